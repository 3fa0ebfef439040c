//! The product on raw pointers, with the signature that matrixmultiply 0.3 made common.

use super::{Epilogue, Gemm, InPlace, Operands};
use crate::dispatch;
use crate::isa::Scalar;
use crate::matrix::{MatMut, MatRef};

/// C <- alpha A B + beta C on `f32`, for A of `m` x `k`, B of `k` x `n`, C of `m` x `n` elements.
///
/// The signature is that of `matrixmultiply::sgemm` 0.3: `rsa` is A's row stride and `csa` its column stride, in elements,
/// and likewise for B and C; they may be negative, and for A and B zero. See [`crate::gemm()`] for the semantics.
///
/// Runs on the threads of the calling pool. Aborts the process if `LANEGRAD_ISA` pins a level that is not there.
///
/// # Safety
/// * All pointers are aligned as their type is.
/// * Every element (i, j) of A is readable and initialised at `a + i rsa + j csa`, and of B likewise; nobody writes them
///   meanwhile.
/// * Every element (i, j) of C is writable at `c + i rsc + j csc`, and readable and initialised unless `beta` is zero.
/// * No two elements of C lie at one address, none of C's lies where A's or B's do, and nobody else reads or writes them
///   meanwhile.
/// * The elements of each matrix lie in one allocation.
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
    // SAFETY: the caller's promises are those that the views need.
    let (a, b, c) = unsafe {
        (MatRef::from_raw(a, m, k, rsa, csa), MatRef::from_raw(b, k, n, rsb, csb), MatMut::from_raw(c, m, n, rsc, csc))
    };
    run(Operands { alpha, a, b, beta, c, epilogue: Epilogue::default() });
}

/// C <- alpha A B + beta C on `f64`; the signature is that of `matrixmultiply::dgemm` 0.3, all else as [`sgemm`].
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
    // SAFETY: the caller's promises are those that the views need.
    let (a, b, c) = unsafe {
        (MatRef::from_raw(a, m, k, rsa, csa), MatRef::from_raw(b, k, n, rsb, csb), MatMut::from_raw(c, m, n, rsc, csc))
    };
    run(Operands { alpha, a, b, beta, c, epilogue: Epilogue::default() });
}

fn run<T: Scalar>(operands: Operands<'_, T>) {
    dispatch::dispatch_or_abort(InPlace(&mut Gemm { operands, limits: None }));
}
