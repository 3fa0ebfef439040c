//! Lanegrad's products behind the interface of [matrixmultiply](https://docs.rs/matrixmultiply/0.3.11) 0.3.11.
//!
//! A program that uses matrixmultiply, directly or through ndarray or nalgebra, gets these in its place with
//!
//! ```toml
//! [patch.crates-io]
//! matrixmultiply = { git = "https://…/lanegrad" }
//! ```
//!
//! A matrix is a pointer to element (0, 0), two extents, a row stride and a column stride; strides count elements and may
//! be negative, and zero for what is only read. C <- alpha A B + beta C, for A of m x k, B of k x n, C of m x n elements:
//!
//! * `beta` zero: C is not read, and may be uninitialised;
//! * `alpha` or `k` zero: C is scaled, and A and B are not read, as in BLAS. (matrixmultiply reads them for an `alpha` of
//!   zero, so that a NaN reaches C.)
//!
//! Products run on the calling thread; with the feature `threading`, on the threads of the calling rayon pool. The bits of
//! the result are the same.

#[cfg(feature = "cgemm")]
mod complex;

#[cfg(feature = "cgemm")]
pub use complex::{CGemmOption, cgemm, zgemm};

/// C <- alpha A B + beta C on `f32`.
///
/// A has `m` x `k` elements, `rsa` and `csa` are its row and column stride in elements, and likewise for B of `k` x `n` and
/// C of `m` x `n` elements.
///
/// # Safety
/// * All pointers are aligned as their type is.
/// * Every element (i, j) of A is readable at `a + i rsa + j csa`, and of B likewise.
/// * Every element (i, j) of C is writable at `c + i rsc + j csc`, and readable and initialised unless `beta` is zero.
/// * No two elements of C lie at one address, and none of C's lies where A's or B's do.
#[allow(clippy::too_many_arguments)]
pub unsafe fn sgemm(
    m: usize,
    k: usize,
    n: usize,
    alpha: f32,
    a: *const f32,
    rsa: isize,
    csa: isize,
    b: *const f32,
    rsb: isize,
    csb: isize,
    beta: f32,
    c: *mut f32,
    rsc: isize,
    csc: isize,
) {
    // SAFETY: the caller promises what the kernel asks for.
    on_allowed_threads(|| unsafe {
        lanegrad_kernels::sgemm(m, k, n, alpha, a, rsa, csa, b, rsb, csb, beta, c, rsc, csc);
    });
}

/// C <- alpha A B + beta C on `f64`; all else as [`sgemm`].
///
/// # Safety
/// As [`sgemm`].
#[allow(clippy::too_many_arguments)]
pub unsafe fn dgemm(
    m: usize,
    k: usize,
    n: usize,
    alpha: f64,
    a: *const f64,
    rsa: isize,
    csa: isize,
    b: *const f64,
    rsb: isize,
    csb: isize,
    beta: f64,
    c: *mut f64,
    rsc: isize,
    csc: isize,
) {
    // SAFETY: the caller promises what the kernel asks for.
    on_allowed_threads(|| unsafe {
        lanegrad_kernels::dgemm(m, k, n, alpha, a, rsa, csa, b, rsb, csb, beta, c, rsc, csc);
    });
}

/// Runs `product` on the calling thread, or on the threads of its pool if the feature `threading` allows that.
fn on_allowed_threads(product: impl FnOnce()) {
    if cfg!(feature = "threading") { product() } else { lanegrad_kernels::parallel::alone(product) }
}
