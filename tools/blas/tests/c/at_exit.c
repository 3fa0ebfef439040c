/* A product in what runs after `main`, when a thread's own memory is gone: large enough for threads and copies. */
#include "lanegrad_blas.h"

#include <stdio.h>
#include <stdlib.h>

enum { SIZE = 300 };

static float a[SIZE * SIZE], b[SIZE * SIZE], c[SIZE * SIZE];

/* Row-major: C = the transpose of A, times B. */
static void multiply(void) {
    cblas_sgemm(101, 112, 111, SIZE, SIZE, SIZE, 1.0f, a, SIZE, b, SIZE, 0.0f, c, SIZE);
    for (int i = 0; i < SIZE * SIZE; i++) {
        if (c[i] != 2.0f * SIZE) {
            printf("element %d is %f\n", i, c[i]);
            _Exit(1);
        }
    }
}

static void last(void) {
    multiply();
    puts("done");
    fflush(stdout);
}

int main(void) {
    for (int i = 0; i < SIZE * SIZE; i++) {
        a[i] = 1.0f;
        b[i] = 2.0f;
    }
    if (atexit(last)) return 2;
    multiply();
    return 0;
}
