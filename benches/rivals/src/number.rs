//! `f32` and `f64`, as every contestant knows them.

use lanegrad_kernels::isa::Scalar;

/// A product by pointers and strides, C <- alpha A B + beta C: m, k, n; alpha; A, B and beta, C with their row and column
/// strides.
pub type StridedGemm<T> =
    unsafe fn(usize, usize, usize, T, *const T, isize, isize, *const T, isize, isize, T, *mut T, isize, isize);

/// A type that everybody multiplies.
pub trait Number: Scalar + faer::traits::ComplexField + gemmkit::GemmScalar {
    /// Its name on the command line and in records.
    const NAME: &'static str;
    /// The name of its product in a CBLAS.
    const CBLAS_GEMM: &'static str;
    /// Its product in matrixmultiply.
    const MATRIXMULTIPLY: StridedGemm<Self>;
}

impl Number for f32 {
    const NAME: &'static str = "f32";
    const CBLAS_GEMM: &'static str = "cblas_sgemm";
    const MATRIXMULTIPLY: StridedGemm<Self> = matrixmultiply::sgemm;
}

impl Number for f64 {
    const NAME: &'static str = "f64";
    const CBLAS_GEMM: &'static str = "cblas_dgemm";
    const MATRIXMULTIPLY: StridedGemm<Self> = matrixmultiply::dgemm;
}

/// The factor of A B: 1.
pub const fn alpha<T: Scalar>() -> T {
    T::ONE
}

/// The factor of the C that was there: 0.
pub const fn beta<T: Scalar>() -> T {
    T::ZERO
}
