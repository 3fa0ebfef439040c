/* Without an error handler, a wrong argument is one line on standard error, and the program goes on. */
#include "lanegrad_blas.h"

int main(void) {
    float a[4] = {1, 2, 3, 4}, b[4] = {1, 0, 0, 1}, c[4] = {7, 7, 7, 7};
    const float one = 1;
    const int64_t two = 2, wrong = 1;
    cblas_sgemm(101, 111, 111, 2, 2, 2, 1, a, 1, b, 2, 0, c, 2);
    scipy_sgemm_64_("N", "N", &two, &two, &two, &one, a, &two, b, &two, &one, c, &wrong);
    if (c[0] != 7 || c[3] != 7) return 1;
    cblas_sgemm(101, 111, 111, 2, 2, 2, 1, a, 2, b, 2, 0, c, 2);
    return c[0] != 1 || c[1] != 2 || c[2] != 3 || c[3] != 4;
}
