//! The numbers that a program can set, with upstream's defaults.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// The value that [`get_threading_threshold`] has at first.
pub const DEFAULT_THREADING_THRESHOLD: usize = 48 * 48 * 256;
/// The value that [`get_rhs_packing_threshold`] has at first.
pub const DEFAULT_RHS_PACKING_THRESHOLD: usize = if cfg!(target_arch = "aarch64") { 2 } else { 128 };
/// The value that [`get_lhs_packing_threshold_single_thread`] has at first.
pub const DEFAULT_LHS_PACKING_THRESHOLD_SINGLE_THREAD: usize = 8;
/// The value that [`get_lhs_packing_threshold_multi_thread`] has at first.
pub const DEFAULT_LHS_PACKING_THRESHOLD_MULTI_THREAD: usize = 16;
/// The value that [`get_wasm_simd128`] has at first: whether the feature `wasm-simd128-enable` is on.
pub const DEFAULT_WASM_SIMD128: bool = cfg!(feature = "wasm-simd128-enable");

/// The most that a packing threshold can be set to.
const MOST_PACKING_THRESHOLD: usize = 256;

static THREADING: AtomicUsize = AtomicUsize::new(DEFAULT_THREADING_THRESHOLD);
static RHS_PACKING: AtomicUsize = AtomicUsize::new(DEFAULT_RHS_PACKING_THRESHOLD);
static LHS_PACKING_SINGLE_THREAD: AtomicUsize = AtomicUsize::new(DEFAULT_LHS_PACKING_THRESHOLD_SINGLE_THREAD);
static LHS_PACKING_MULTI_THREAD: AtomicUsize = AtomicUsize::new(DEFAULT_LHS_PACKING_THRESHOLD_MULTI_THREAD);
static WASM_SIMD128: AtomicBool = AtomicBool::new(DEFAULT_WASM_SIMD128);

/// Multiply-adds of real numbers below which a product runs on the calling thread, whatever its parallelism.
pub fn get_threading_threshold() -> usize {
    THREADING.load(Relaxed)
}
/// Sets [`get_threading_threshold`].
pub fn set_threading_threshold(value: usize) {
    THREADING.store(value, Relaxed);
}

/// What [`set_rhs_packing_threshold`] set. Without effect: Lanegrad decides by itself what to copy.
pub fn get_rhs_packing_threshold() -> usize {
    RHS_PACKING.load(Relaxed)
}
/// Sets [`get_rhs_packing_threshold`], to 256 at most.
pub fn set_rhs_packing_threshold(value: usize) {
    RHS_PACKING.store(value.min(MOST_PACKING_THRESHOLD), Relaxed);
}

/// What [`set_lhs_packing_threshold_single_thread`] set. Without effect.
pub fn get_lhs_packing_threshold_single_thread() -> usize {
    LHS_PACKING_SINGLE_THREAD.load(Relaxed)
}
/// Sets [`get_lhs_packing_threshold_single_thread`], to 256 at most.
pub fn set_lhs_packing_threshold_single_thread(value: usize) {
    LHS_PACKING_SINGLE_THREAD.store(value.min(MOST_PACKING_THRESHOLD), Relaxed);
}

/// What [`set_lhs_packing_threshold_multi_thread`] set. Without effect.
pub fn get_lhs_packing_threshold_multi_thread() -> usize {
    LHS_PACKING_MULTI_THREAD.load(Relaxed)
}
/// Sets [`get_lhs_packing_threshold_multi_thread`], to 256 at most.
pub fn set_lhs_packing_threshold_multi_thread(value: usize) {
    LHS_PACKING_MULTI_THREAD.store(value.min(MOST_PACKING_THRESHOLD), Relaxed);
}

/// What [`set_wasm_simd128`] set. Without effect: a WebAssembly build uses the instructions it was compiled for.
pub fn get_wasm_simd128() -> bool {
    WASM_SIMD128.load(Relaxed)
}
/// Sets [`get_wasm_simd128`].
pub fn set_wasm_simd128(enable: bool) {
    WASM_SIMD128.store(enable, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_what_is_got() {
        for (get, set, default) in [
            (
                get_rhs_packing_threshold as fn() -> usize,
                set_rhs_packing_threshold as fn(usize),
                DEFAULT_RHS_PACKING_THRESHOLD,
            ),
            (get_lhs_packing_threshold_single_thread, set_lhs_packing_threshold_single_thread, 8),
            (get_lhs_packing_threshold_multi_thread, set_lhs_packing_threshold_multi_thread, 16),
        ] {
            assert_eq!(get(), default);
            set(77);
            assert_eq!(get(), 77);
            set(1000);
            assert_eq!(get(), MOST_PACKING_THRESHOLD);
            set(default);
        }
        assert_eq!(get_threading_threshold(), DEFAULT_THREADING_THRESHOLD);
        set_threading_threshold(1 << 30);
        assert_eq!(get_threading_threshold(), 1 << 30);
        set_threading_threshold(DEFAULT_THREADING_THRESHOLD);
        assert_eq!(get_wasm_simd128(), DEFAULT_WASM_SIMD128);
        set_wasm_simd128(!DEFAULT_WASM_SIMD128);
        assert_eq!(get_wasm_simd128(), !DEFAULT_WASM_SIMD128);
        set_wasm_simd128(DEFAULT_WASM_SIMD128);
    }
}
