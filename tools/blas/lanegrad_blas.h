/* What liblanegrad_blas exports. The 32-bit CBLAS functions are those of any cblas.h: include one or the other.
 *
 * order: 101 row-major, 102 column-major. transa, transb, trans: 111 as it is, 112 or 113 transposed; in Fortran's
 * functions 'N', 'T' or 'C'. Fortran compilers append the lengths of strings, which these functions do not read.
 */
#ifndef LANEGRAD_BLAS_H
#define LANEGRAD_BLAS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LANEGRAD_CBLAS(REAL, INTEGER, GEMM, GEMV, DOT)                                                                 \
    void GEMM(int order, int transa, int transb, INTEGER m, INTEGER n, INTEGER k, REAL alpha, const REAL *a,           \
              INTEGER lda, const REAL *b, INTEGER ldb, REAL beta, REAL *c, INTEGER ldc);                               \
    void GEMV(int order, int trans, INTEGER m, INTEGER n, REAL alpha, const REAL *a, INTEGER lda, const REAL *x,       \
              INTEGER incx, REAL beta, REAL *y, INTEGER incy);                                                         \
    REAL DOT(INTEGER n, const REAL *x, INTEGER incx, const REAL *y, INTEGER incy);

#define LANEGRAD_FORTRAN(REAL, INTEGER, GEMM, GEMV, DOT)                                                               \
    void GEMM(const char *transa, const char *transb, const INTEGER *m, const INTEGER *n, const INTEGER *k,            \
              const REAL *alpha, const REAL *a, const INTEGER *lda, const REAL *b, const INTEGER *ldb,                 \
              const REAL *beta, REAL *c, const INTEGER *ldc);                                                          \
    void GEMV(const char *trans, const INTEGER *m, const INTEGER *n, const REAL *alpha, const REAL *a,                 \
              const INTEGER *lda, const REAL *x, const INTEGER *incx, const REAL *beta, REAL *y, const INTEGER *incy); \
    REAL DOT(const INTEGER *n, const REAL *x, const INTEGER *incx, const REAL *y, const INTEGER *incy);

LANEGRAD_CBLAS(float, int32_t, cblas_sgemm, cblas_sgemv, cblas_sdot)
LANEGRAD_CBLAS(double, int32_t, cblas_dgemm, cblas_dgemv, cblas_ddot)
LANEGRAD_FORTRAN(float, int32_t, sgemm_, sgemv_, sdot_)
LANEGRAD_FORTRAN(double, int32_t, dgemm_, dgemv_, ddot_)

/* What NumPy's wheels call: 64-bit integers. */
LANEGRAD_CBLAS(float, int64_t, scipy_cblas_sgemm64_, scipy_cblas_sgemv64_, scipy_cblas_sdot64_)
LANEGRAD_CBLAS(double, int64_t, scipy_cblas_dgemm64_, scipy_cblas_dgemv64_, scipy_cblas_ddot64_)
LANEGRAD_FORTRAN(float, int64_t, scipy_sgemm_64_, scipy_sgemv_64_, scipy_sdot_64_)
LANEGRAD_FORTRAN(double, int64_t, scipy_dgemm_64_, scipy_dgemv_64_, scipy_ddot_64_)

#undef LANEGRAD_CBLAS
#undef LANEGRAD_FORTRAN

#ifdef __cplusplus
}
#endif

#endif
