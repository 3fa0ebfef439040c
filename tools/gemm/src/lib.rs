//! The crate [`gemm`](https://docs.rs/gemm/0.19) on Lanegrad's kernels: what its users call, under the same names.
//!
//! A workspace that patches the registry's `gemm` with this package gets its products from [`lanegrad_kernels`]; see
//! `README.md` for the lines it takes. `f32` and `f64` go to the kernels as they are, other types through tiles of real
//! numbers in scratch memory (`tiles`). A result has the same bits for any number of threads.

mod call;
mod element;
mod parallelism;
mod settings;
mod tiles;

pub use parallelism::Parallelism;
pub use settings::{
    DEFAULT_LHS_PACKING_THRESHOLD_MULTI_THREAD, DEFAULT_LHS_PACKING_THRESHOLD_SINGLE_THREAD,
    DEFAULT_RHS_PACKING_THRESHOLD, DEFAULT_THREADING_THRESHOLD, DEFAULT_WASM_SIMD128,
    get_lhs_packing_threshold_multi_thread, get_lhs_packing_threshold_single_thread, get_rhs_packing_threshold,
    get_threading_threshold, get_wasm_simd128, set_lhs_packing_threshold_multi_thread,
    set_lhs_packing_threshold_single_thread, set_rhs_packing_threshold, set_threading_threshold, set_wasm_simd128,
};

use call::{Call, Matrix};
use element::{Element, Real};

/// A complex number of two `f32`.
#[allow(non_camel_case_types)]
pub type c32 = num_complex::Complex32;
/// A complex number of two `f64`.
#[allow(non_camel_case_types)]
pub type c64 = num_complex::Complex64;
/// A number of half precision.
#[cfg(feature = "f16")]
#[allow(non_camel_case_types)]
pub type f16 = half::f16;

/// dst <- alpha dst + beta lhs rhs, for dst of `m` x `n`, lhs of `m` x `k`, rhs of `k` x `n` elements.
///
/// Element (i, j) of a matrix lies `i rs + j cs` elements from its pointer; strides may be negative, and for lhs and rhs
/// zero. dst is not read if `read_dst` is false or `alpha` zero. lhs and rhs are read whatever `beta` is, so that a NaN in
/// them reaches dst. `conj_dst`, `conj_lhs` and `conj_rhs` conjugate an operand before it is used; they mean nothing to
/// real numbers.
///
/// Half precision is computed in `f32`, `alpha` and `beta` included, and each element rounded once.
///
/// Prints an error and aborts the process if `LANEGRAD_ISA` pins instructions that are not there.
///
/// # Panics
/// If `T` is none of `f32`, `f64`, `c32`, `c64`, `f16`.
///
/// # Safety
/// * All pointers are aligned as their type is.
/// * Every element of lhs and rhs is readable and initialised.
/// * Every element of dst is writable, and if dst is read, readable and initialised.
/// * No two elements of dst lie at one address, and none of them where one of lhs or rhs does.
#[allow(clippy::too_many_arguments)]
pub unsafe fn gemm<T: 'static>(
    m: usize,
    n: usize,
    k: usize,
    dst: *mut T,
    dst_cs: isize,
    dst_rs: isize,
    read_dst: bool,
    lhs: *const T,
    lhs_cs: isize,
    lhs_rs: isize,
    rhs: *const T,
    rhs_cs: isize,
    rhs_rs: isize,
    alpha: T,
    beta: T,
    conj_dst: bool,
    conj_lhs: bool,
    conj_rhs: bool,
    parallelism: Parallelism,
) {
    let call = Call {
        shape: (m, n, k),
        dst: Matrix { first: dst, row_stride: dst_rs, col_stride: dst_cs },
        lhs: Matrix { first: lhs, row_stride: lhs_rs, col_stride: lhs_cs },
        rhs: Matrix { first: rhs, row_stride: rhs_rs, col_stride: rhs_cs },
        read_dst,
        alpha,
        beta,
        conj_dst,
        conj_lhs,
        conj_rhs,
    };
    // SAFETY: the caller's promises, which are the same for the type that T is.
    unsafe {
        if let Some(call) = call.of::<f32>() {
            return real(&call, parallelism);
        }
        if let Some(call) = call.of::<f64>() {
            return real(&call, parallelism);
        }
        if let Some(call) = call.of::<c32>() {
            return in_tiles(&call, parallelism);
        }
        if let Some(call) = call.of::<c64>() {
            return in_tiles(&call, parallelism);
        }
        #[cfg(feature = "f16")]
        if let Some(call) = call.of::<f16>() {
            return in_tiles(&call, parallelism);
        }
    }
    panic!("gemm computes f32, f64, c32, c64 and f16, not {}", std::any::type_name::<T>());
}

/// The product on real numbers that the kernels compute.
///
/// # Safety
/// As [`gemm`].
unsafe fn real<T: Real>(call: &Call<T>, parallelism: Parallelism) {
    if call.beta == T::ZERO {
        // The kernels would skip lhs and rhs.
        // SAFETY: the caller's promises.
        return unsafe { in_tiles(call, parallelism) };
    }
    let kept = if call.read_dst { call.alpha } else { T::ZERO };
    // SAFETY: the caller's promises are those of the kernels, which do not read dst if `kept` is zero.
    parallelism.run(call.work(), || unsafe { T::product(call.shape, call.beta, call.lhs, call.rhs, kept, call.dst) });
}

/// The product on other numbers.
///
/// # Safety
/// As [`gemm`].
unsafe fn in_tiles<T: Element>(call: &Call<T>, parallelism: Parallelism) {
    // SAFETY: the caller's promises.
    parallelism.run(call.work(), || unsafe { tiles::run(call) });
}
