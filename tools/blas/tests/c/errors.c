/* Wrong arguments, one at a time: each must reach this program's own error handler with its position, and nothing may
 * be written. With REFERENCE defined, the program has the reference implementation's variable for row-major calls too,
 * and a handler that obeys it.
 */
#include "lanegrad_blas.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static char reported_name[32];
static long reported_position;
static size_t reported_width;
static int failures;

/* `width`: bytes of the integers of the interface that the handler belongs to. */
static void report(const char *name, size_t length, long position, size_t width) {
    memcpy(reported_name, name, length);
    reported_name[length] = '\0';
    reported_position = position;
    reported_width = width;
}

void xerbla_(const char *name, const int32_t *position, size_t length) {
    report(name, length, *position, sizeof(*position));
}

void scipy_xerbla_64_(const char *name, const int64_t *position, size_t length) {
    report(name, length, *position, sizeof(*position));
}

#ifdef REFERENCE
int RowMajorStrg;

static long callers(const char *name, long position) {
    if (!RowMajorStrg) return position;
    if (strstr(name, "gemm")) {
        switch (position) {
        case 4: return 5;
        case 5: return 4;
        case 9: return 11;
        case 11: return 9;
        }
    }
    if (strstr(name, "gemv")) {
        switch (position) {
        case 3: return 4;
        case 4: return 3;
        }
    }
    return position;
}
#else
static long callers(const char *name, long position) {
    (void)name;
    return position;
}
#endif

void cblas_xerbla(int32_t position, const char *name, const char *format, ...) {
    (void)format;
    report(name, strlen(name), callers(name, position), sizeof(position));
}

void scipy_cblas_xerbla64_(int64_t position, const char *name, const char *format, ...) {
    (void)format;
    report(name, strlen(name), callers(name, position), sizeof(position));
}

static void expect(const char *called, const char *name, long position, size_t width, int is_untouched) {
    if (strcmp(reported_name, name) != 0 || reported_position != position || reported_width != width ||
        !is_untouched) {
        printf("%s: argument %ld of '%s' (%zu bytes) for argument %ld of '%s' (%zu bytes)%s\n", called,
               reported_position, reported_name, reported_width, position, name, width,
               is_untouched ? "" : ", and wrote");
        failures++;
    }
    reported_name[0] = '\0';
    reported_position = 0;
    reported_width = 0;
}

/* The largest number of the type. */
#define LARGEST(INTEGER) ((INTEGER)(sizeof(INTEGER) == 4 ? INT32_MAX : INT64_MAX))

#define DEFINE_FORTRAN(REAL, INTEGER, GEMM, GEMV, GEMM_NAME, GEMV_NAME)                                                \
    static void gemm_case_##GEMM(long position, char ta, char tb, INTEGER m, INTEGER n, INTEGER k, INTEGER lda,        \
                                 INTEGER ldb, INTEGER ldc) {                                                           \
        REAL a[16] = {1}, b[16] = {1}, c[16] = {7}, alpha = 1, beta = 2;                                               \
        GEMM(&ta, &tb, &m, &n, &k, &alpha, a, &lda, b, &ldb, &beta, c, &ldc);                                          \
        expect(#GEMM, position ? GEMM_NAME : "", position, position ? sizeof(INTEGER) : 0, c[0] == 7);                 \
    }                                                                                                                  \
    static void gemv_case_##GEMV(long position, char t, INTEGER m, INTEGER n, INTEGER lda, INTEGER incx,               \
                                 INTEGER incy) {                                                                       \
        REAL a[16] = {1}, x[16] = {1}, y[16] = {7}, alpha = 1, beta = 2;                                               \
        GEMV(&t, &m, &n, &alpha, a, &lda, x, &incx, &beta, y, &incy);                                                  \
        expect(#GEMV, position ? GEMV_NAME : "", position, position ? sizeof(INTEGER) : 0, y[0] == 7);                 \
    }                                                                                                                  \
    static void check_##GEMM(void) {                                                                                   \
        gemm_case_##GEMM(1, '/', '/', -1, -1, -1, 0, 0, 0);                                                            \
        gemm_case_##GEMM(2, 'c', '/', -1, -1, -1, 0, 0, 0);                                                            \
        gemm_case_##GEMM(3, 'n', 'T', -1, -1, -1, 0, 0, 0);                                                            \
        gemm_case_##GEMM(4, 'N', 't', 0, -1, -1, 0, 0, 0);                                                             \
        gemm_case_##GEMM(5, 'N', 'C', 0, 0, -1, 0, 0, 0);                                                              \
        gemm_case_##GEMM(8, 'N', 'N', 0, 0, 0, 0, 0, 0);                                                               \
        gemm_case_##GEMM(8, 'N', 'N', 3, 2, 1, 2, 0, 0);                                                               \
        gemm_case_##GEMM(8, 'T', 'N', 1, 2, 3, 2, 0, 0);                                                               \
        gemm_case_##GEMM(10, 'N', 'N', 0, 0, 0, 1, 0, 0);                                                              \
        gemm_case_##GEMM(10, 'N', 'N', 1, 1, 3, 1, 2, 0);                                                              \
        gemm_case_##GEMM(10, 'T', 'T', 1, 3, 1, 1, 2, 0);                                                              \
        gemm_case_##GEMM(13, 'N', 'N', 3, 1, 1, 3, 1, 2);                                                              \
        gemm_case_##GEMM(13, 'N', 'N', 0, 1, 1, 1, 1, 0);                                                              \
        gemm_case_##GEMM(8, 'N', 'N', 1, 1, LARGEST(INTEGER), LARGEST(INTEGER), LARGEST(INTEGER), 1);                  \
        gemm_case_##GEMM(13, 'N', 'N', 1, LARGEST(INTEGER), 0, 1, 1, LARGEST(INTEGER));                                \
        gemm_case_##GEMM(0, 'N', 'N', 0, LARGEST(INTEGER), LARGEST(INTEGER), 1, LARGEST(INTEGER), 1);                  \
        gemv_case_##GEMV(1, '/', -1, -1, 0, 0, 0);                                                                     \
        gemv_case_##GEMV(2, 'n', -1, -1, 0, 0, 0);                                                                     \
        gemv_case_##GEMV(3, 't', 0, -1, 0, 0, 0);                                                                      \
        gemv_case_##GEMV(6, 'C', 0, 0, 0, 0, 0);                                                                       \
        gemv_case_##GEMV(6, 'T', 3, 2, 2, 0, 0);                                                                       \
        gemv_case_##GEMV(8, 'N', 3, 2, 3, 0, 0);                                                                       \
        gemv_case_##GEMV(11, 'N', 3, 2, 3, -1, 0);                                                                     \
        gemv_case_##GEMV(6, 'N', 1, LARGEST(INTEGER), LARGEST(INTEGER), 1, 1);                                         \
        gemv_case_##GEMV(0, 'N', LARGEST(INTEGER), 0, LARGEST(INTEGER), 1, 1);                                         \
    }

#define DEFINE_CBLAS(REAL, INTEGER, GEMM, GEMV, GEMM_NAME, GEMV_NAME)                                                  \
    static void gemm_case_##GEMM(long position, int order, int ta, int tb, INTEGER m, INTEGER n, INTEGER k,            \
                                 INTEGER lda, INTEGER ldb, INTEGER ldc) {                                              \
        REAL a[16] = {1}, b[16] = {1}, c[16] = {7};                                                                    \
        GEMM(order, ta, tb, m, n, k, 1, a, lda, b, ldb, 2, c, ldc);                                                    \
        expect(#GEMM, GEMM_NAME, position, sizeof(INTEGER), c[0] == 7);                                                \
    }                                                                                                                  \
    static void gemv_case_##GEMV(long position, int order, int t, INTEGER m, INTEGER n, INTEGER lda, INTEGER incx,     \
                                 INTEGER incy) {                                                                       \
        REAL a[16] = {1}, x[16] = {1}, y[16] = {7};                                                                    \
        GEMV(order, t, m, n, 1, a, lda, x, incx, 2, y, incy);                                                          \
        expect(#GEMV, GEMV_NAME, position, sizeof(INTEGER), y[0] == 7);                                                \
    }                                                                                                                  \
    static void check_##GEMM(void) {                                                                                   \
        gemm_case_##GEMM(1, 0, 0, 0, -1, -1, -1, 0, 0, 0);                                                             \
        for (int order = 101; order <= 102; order++) {                                                                 \
            gemm_case_##GEMM(2, order, 110, 0, -1, -1, -1, 0, 0, 0);                                                   \
            gemm_case_##GEMM(3, order, 111, 114, -1, -1, -1, 0, 0, 0);                                                 \
            gemm_case_##GEMM(4, order, 111, 112, -1, 0, 0, 1, 1, 1);                                                   \
            gemm_case_##GEMM(5, order, 111, 112, 0, -1, 0, 1, 1, 1);                                                   \
            gemm_case_##GEMM(6, order, 111, 112, 0, 0, -1, 1, 1, 1);                                                   \
            gemv_case_##GEMV(2, order, 0, -1, -1, 0, 0, 0);                                                            \
            gemv_case_##GEMV(3, order, 111, -1, 0, 1, 1, 1);                                                           \
            gemv_case_##GEMV(4, order, 113, 0, -1, 1, 1, 1);                                                           \
            gemv_case_##GEMV(9, order, 112, 3, 2, 3, 0, 0);                                                            \
            gemv_case_##GEMV(12, order, 112, 3, 2, 3, 1, 0);                                                           \
        }                                                                                                              \
        gemm_case_##GEMM(4, 102, 111, 111, -1, -1, 0, 1, 1, 1);                                                        \
        gemm_case_##GEMM(9, 102, 111, 111, 3, 1, 1, 2, 1, 3);                                                          \
        gemm_case_##GEMM(9, 102, 112, 111, 1, 1, 3, 2, 3, 1);                                                          \
        gemm_case_##GEMM(11, 102, 111, 111, 1, 1, 3, 1, 2, 1);                                                         \
        gemm_case_##GEMM(11, 102, 111, 113, 1, 3, 1, 1, 2, 1);                                                         \
        gemm_case_##GEMM(14, 102, 111, 111, 3, 1, 1, 3, 1, 2);                                                         \
        /* The reference checks the column-major call of the transposed product, so N before M and B before A. */      \
        gemm_case_##GEMM(5, 101, 111, 111, -1, -1, 0, 1, 1, 1);                                                        \
        gemm_case_##GEMM(9, 101, 111, 111, 1, 1, 3, 2, 1, 1);                                                          \
        gemm_case_##GEMM(9, 101, 112, 111, 3, 1, 1, 2, 1, 1);                                                          \
        gemm_case_##GEMM(11, 101, 111, 111, 1, 3, 1, 0, 2, 3);                                                         \
        gemm_case_##GEMM(11, 101, 111, 112, 1, 1, 3, 3, 2, 1);                                                         \
        gemm_case_##GEMM(14, 101, 111, 111, 1, 3, 1, 1, 3, 2);                                                         \
        gemv_case_##GEMV(7, 102, 111, 3, 2, 2, 1, 1);                                                                  \
        gemv_case_##GEMV(7, 101, 111, 2, 3, 2, 1, 1);                                                                  \
    }

DEFINE_FORTRAN(float, int32_t, sgemm_, sgemv_, "SGEMM ", "SGEMV ")
DEFINE_FORTRAN(double, int32_t, dgemm_, dgemv_, "DGEMM ", "DGEMV ")
DEFINE_FORTRAN(float, int64_t, scipy_sgemm_64_, scipy_sgemv_64_, "SGEMM ", "SGEMV ")
DEFINE_FORTRAN(double, int64_t, scipy_dgemm_64_, scipy_dgemv_64_, "DGEMM ", "DGEMV ")
DEFINE_CBLAS(float, int32_t, cblas_sgemm, cblas_sgemv, "cblas_sgemm", "cblas_sgemv")
DEFINE_CBLAS(double, int32_t, cblas_dgemm, cblas_dgemv, "cblas_dgemm", "cblas_dgemv")
DEFINE_CBLAS(float, int64_t, scipy_cblas_sgemm64_, scipy_cblas_sgemv64_, "cblas_sgemm", "cblas_sgemv")
DEFINE_CBLAS(double, int64_t, scipy_cblas_dgemm64_, scipy_cblas_dgemv64_, "cblas_dgemm", "cblas_dgemv")

int main(void) {
    check_sgemm_();
    check_dgemm_();
    check_scipy_sgemm_64_();
    check_scipy_dgemm_64_();
    check_cblas_sgemm();
    check_cblas_dgemm();
    check_scipy_cblas_sgemm64_();
    check_scipy_cblas_dgemm64_();
    return failures != 0;
}
