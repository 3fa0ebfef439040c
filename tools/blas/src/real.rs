//! The two kinds of numbers.

use crate::report::Routine;
use lanegrad_kernels::isa::Scalar;

/// The product of the kernels: m, k, n, alpha, A and its strides, B and its strides, beta, C and its strides.
pub(crate) type Product<T> =
    unsafe fn(usize, usize, usize, T, *const T, isize, isize, *const T, isize, isize, T, *mut T, isize, isize);

/// A real number that the kernels multiply, and what BLAS calls its routines.
pub(crate) trait Real: Scalar {
    /// C <- alpha A B + beta C on raw pointers.
    const PRODUCT: Product<Self>;
    /// The product of matrices.
    const GEMM: Routine;
    /// The product of a matrix and a vector.
    const GEMV: Routine;
}

impl Real for f32 {
    const PRODUCT: Product<Self> = lanegrad_kernels::sgemm;
    const GEMM: Routine = Routine { fortran: "SGEMM ", c: c"cblas_sgemm" };
    const GEMV: Routine = Routine { fortran: "SGEMV ", c: c"cblas_sgemv" };
}

impl Real for f64 {
    const PRODUCT: Product<Self> = lanegrad_kernels::dgemm;
    const GEMM: Routine = Routine { fortran: "DGEMM ", c: c"cblas_dgemm" };
    const GEMV: Routine = Routine { fortran: "DGEMV ", c: c"cblas_dgemv" };
}
