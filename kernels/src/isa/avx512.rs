//! The AVX-512 token: 512-bit lanes, tails by mask.

use super::avx2::Avx2;
use super::{Isa, Kernel, Lanes, Level, MAX_LANES, Sealed, Tile, TileKernel};
use std::arch::x86_64::*;

/// Proof that the processor has AVX-512 F, VL, BW and DQ, and with them AVX2 and FMA.
///
/// Every `unsafe` block of this file that calls an intrinsic rests on that proof: a token exists only where
/// [`Avx512::detect`] has seen the features. What a load or a store needs beyond it stands at the block.
#[derive(Clone, Copy, Debug)]
pub struct Avx512 {
    _proof: (),
}

impl Avx512 {
    /// The token, if the processor (and the operating system) supports the level.
    pub(crate) fn detect() -> Option<Self> {
        let supported = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma");
        supported.then_some(Self { _proof: () })
    }
}

impl Sealed for Avx512 {}

#[inline(never)]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
fn trampoline<K: Kernel>(isa: Avx512, kernel: K) -> K::Output {
    kernel.run(isa)
}

/// The mask of the first `count` of at most 16 lanes.
#[inline(always)]
fn first(count: usize) -> u16 {
    debug_assert!(count <= 16);
    ((1_u32 << count) - 1) as u16
}

/// Quarters as columns: quarter i of vector j is quarter j of row i.
///
/// # Safety
/// The processor has AVX-512 F.
#[inline(always)]
unsafe fn transpose_quarters([a, b, c, d]: [__m512; 4]) -> [__m512; 4] {
    // SAFETY: the caller's promise.
    unsafe {
        let (ab_even, ab_odd) =
            (_mm512_shuffle_f32x4::<0b10_00_10_00>(a, b), _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b));
        let (cd_even, cd_odd) =
            (_mm512_shuffle_f32x4::<0b10_00_10_00>(c, d), _mm512_shuffle_f32x4::<0b11_01_11_01>(c, d));
        [
            _mm512_shuffle_f32x4::<0b10_00_10_00>(ab_even, cd_even),
            _mm512_shuffle_f32x4::<0b10_00_10_00>(ab_odd, cd_odd),
            _mm512_shuffle_f32x4::<0b11_01_11_01>(ab_even, cd_even),
            _mm512_shuffle_f32x4::<0b11_01_11_01>(ab_odd, cd_odd),
        ]
    }
}

impl Isa for Avx512 {
    const LEVEL: Level = Level::Avx512;
    const MASKS: bool = true;
    const PREFETCHES: bool = true;
    const HALVES: bool = true;
    // 24 accumulators, 2 vectors of B and one broadcast of A: 27 of 32 registers, 14 loads for 24 multiply-adds.
    const GEMM_ROWS: usize = 12;
    // 16 accumulators: 16 cubed of `f32` is one tile (1.02).
    const SLIM_ROWS: usize = 16;
    const GEMM_VECTORS: usize = 2;
    // A step is 24 multiply-adds: what counts steps is little beside them.
    const UNROLL: usize = 1;
    // 25 accumulators, 5 vectors of samples and one of weights: 31 of 32 registers, 10 loads for 25 multiply-adds.
    const SCORE_ROWS: usize = 5;
    const SCORE_CLASSES: usize = 5;
    // As many accumulators as are left beside a vector of B for each of a row and a broadcast.
    const WIDE_VECTORS: &'static [usize] = &[0, 16, 10, 7, 6, 5, 4];
    // A tile of r rows and p pairs has r p accumulators, r rows of A and one vector of B: at most 31 of 32 registers.
    const PAIR_ROWS: [usize; 8] = [0, 8, 8, 7, 6, 5, 4, 3];
    // 20 accumulators, 4 vectors of features (one cache line of bytes) and one broadcast: 25 of 32 registers.
    const GRADIENT_CLASSES: usize = 5;
    const GRADIENT_VECTORS: usize = 4;

    type F32 = __m512;
    type F64 = __m512d;

    #[inline(always)]
    fn vectorize<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: the token proves that the processor has the features of `trampoline`.
        unsafe { trampoline(self, kernel) }
    }

    fn gemm_tile<K: TileKernel>(self, rows: usize, vectors: usize, kernel: K) -> K::Output {
        match (rows, vectors) {
            (1, 1) => self.vectorize(Tile::<K, 1, 1>(kernel)),
            (2, 1) => self.vectorize(Tile::<K, 2, 1>(kernel)),
            (3, 1) => self.vectorize(Tile::<K, 3, 1>(kernel)),
            (4, 1) => self.vectorize(Tile::<K, 4, 1>(kernel)),
            (5, 1) => self.vectorize(Tile::<K, 5, 1>(kernel)),
            (6, 1) => self.vectorize(Tile::<K, 6, 1>(kernel)),
            (7, 1) => self.vectorize(Tile::<K, 7, 1>(kernel)),
            (8, 1) => self.vectorize(Tile::<K, 8, 1>(kernel)),
            (9, 1) => self.vectorize(Tile::<K, 9, 1>(kernel)),
            (10, 1) => self.vectorize(Tile::<K, 10, 1>(kernel)),
            (11, 1) => self.vectorize(Tile::<K, 11, 1>(kernel)),
            (12, 1) => self.vectorize(Tile::<K, 12, 1>(kernel)),
            (13, 1) => self.vectorize(Tile::<K, 13, 1>(kernel)),
            (14, 1) => self.vectorize(Tile::<K, 14, 1>(kernel)),
            (15, 1) => self.vectorize(Tile::<K, 15, 1>(kernel)),
            (16, 1) => self.vectorize(Tile::<K, 16, 1>(kernel)),
            (1, 2) => self.vectorize(Tile::<K, 1, 2>(kernel)),
            (2, 2) => self.vectorize(Tile::<K, 2, 2>(kernel)),
            (3, 2) => self.vectorize(Tile::<K, 3, 2>(kernel)),
            (4, 2) => self.vectorize(Tile::<K, 4, 2>(kernel)),
            (5, 2) => self.vectorize(Tile::<K, 5, 2>(kernel)),
            (6, 2) => self.vectorize(Tile::<K, 6, 2>(kernel)),
            (7, 2) => self.vectorize(Tile::<K, 7, 2>(kernel)),
            (8, 2) => self.vectorize(Tile::<K, 8, 2>(kernel)),
            (9, 2) => self.vectorize(Tile::<K, 9, 2>(kernel)),
            (10, 2) => self.vectorize(Tile::<K, 10, 2>(kernel)),
            (11, 2) => self.vectorize(Tile::<K, 11, 2>(kernel)),
            (12, 2) => self.vectorize(Tile::<K, 12, 2>(kernel)),
            _ => unreachable!("a GEMM tile of {rows} rows and {vectors} vectors"),
        }
    }

    fn high_tile<K: TileKernel>(self, rows: usize, kernel: K) -> K::Output {
        match rows {
            5 => self.vectorize(Tile::<K, 5, 2>(kernel)),
            6 => self.vectorize(Tile::<K, 6, 2>(kernel)),
            7 => self.vectorize(Tile::<K, 7, 2>(kernel)),
            8 => self.vectorize(Tile::<K, 8, 2>(kernel)),
            9 => self.vectorize(Tile::<K, 9, 2>(kernel)),
            10 => self.vectorize(Tile::<K, 10, 2>(kernel)),
            11 => self.vectorize(Tile::<K, 11, 2>(kernel)),
            12 => self.vectorize(Tile::<K, 12, 2>(kernel)),
            _ => unreachable!("a high GEMM tile of {rows} rows"),
        }
    }

    fn half_tile<K: TileKernel>(self, rows: usize, kernel: K) -> K::Output {
        let half = Avx2::half(self);
        match rows {
            1 => half.vectorize(Tile::<K, 1, 1>(kernel)),
            2 => half.vectorize(Tile::<K, 2, 1>(kernel)),
            3 => half.vectorize(Tile::<K, 3, 1>(kernel)),
            4 => half.vectorize(Tile::<K, 4, 1>(kernel)),
            5 => half.vectorize(Tile::<K, 5, 1>(kernel)),
            6 => half.vectorize(Tile::<K, 6, 1>(kernel)),
            7 => half.vectorize(Tile::<K, 7, 1>(kernel)),
            8 => half.vectorize(Tile::<K, 8, 1>(kernel)),
            9 => half.vectorize(Tile::<K, 9, 1>(kernel)),
            10 => half.vectorize(Tile::<K, 10, 1>(kernel)),
            11 => half.vectorize(Tile::<K, 11, 1>(kernel)),
            12 => half.vectorize(Tile::<K, 12, 1>(kernel)),
            _ => unreachable!("a tile of {rows} rows of half a vector"),
        }
    }

    fn whole_gemm_tile<K: TileKernel>(self, kernel: K) -> K::Output {
        self.vectorize(Tile::<K, 12, 2>(kernel))
    }

    fn score_tile<K: TileKernel>(self, rows: usize, classes: usize, kernel: K) -> K::Output {
        match (rows, classes) {
            (1, 1) => self.vectorize(Tile::<K, 1, 1>(kernel)),
            (1, 2) => self.vectorize(Tile::<K, 1, 2>(kernel)),
            (1, 3) => self.vectorize(Tile::<K, 1, 3>(kernel)),
            (1, 4) => self.vectorize(Tile::<K, 1, 4>(kernel)),
            (1, 5) => self.vectorize(Tile::<K, 1, 5>(kernel)),
            (5, 1) => self.vectorize(Tile::<K, 5, 1>(kernel)),
            (5, 2) => self.vectorize(Tile::<K, 5, 2>(kernel)),
            (5, 3) => self.vectorize(Tile::<K, 5, 3>(kernel)),
            (5, 4) => self.vectorize(Tile::<K, 5, 4>(kernel)),
            (5, 5) => self.vectorize(Tile::<K, 5, 5>(kernel)),
            _ => unreachable!("a score tile of {rows} rows and {classes} classes"),
        }
    }

    fn wide_tile<K: TileKernel>(self, rows: usize, kernel: K) -> K::Output {
        match rows {
            1 => self.vectorize(Tile::<K, 1, 16>(kernel)),
            2 => self.vectorize(Tile::<K, 2, 10>(kernel)),
            3 => self.vectorize(Tile::<K, 3, 7>(kernel)),
            4 => self.vectorize(Tile::<K, 4, 6>(kernel)),
            5 => self.vectorize(Tile::<K, 5, 5>(kernel)),
            6 => self.vectorize(Tile::<K, 6, 4>(kernel)),
            _ => unreachable!("a wide tile of {rows} rows"),
        }
    }

    fn pair_tile<K: TileKernel>(self, pairs: usize, is_low: bool, kernel: K) -> K::Output {
        match (pairs, is_low) {
            (1, false) => self.vectorize(Tile::<K, 8, 1>(kernel)),
            (2, false) => self.vectorize(Tile::<K, 8, 2>(kernel)),
            (3, false) => self.vectorize(Tile::<K, 7, 3>(kernel)),
            (4, false) => self.vectorize(Tile::<K, 6, 4>(kernel)),
            (5, false) => self.vectorize(Tile::<K, 5, 5>(kernel)),
            (6, false) => self.vectorize(Tile::<K, 4, 6>(kernel)),
            (7, false) => self.vectorize(Tile::<K, 3, 7>(kernel)),
            (1, true) => self.vectorize(Tile::<K, 4, 1>(kernel)),
            (2, true) => self.vectorize(Tile::<K, 4, 2>(kernel)),
            (3, true) => self.vectorize(Tile::<K, 4, 3>(kernel)),
            (4, true) => self.vectorize(Tile::<K, 3, 4>(kernel)),
            (5, true) => self.vectorize(Tile::<K, 3, 5>(kernel)),
            (6, true) => self.vectorize(Tile::<K, 2, 6>(kernel)),
            (7, true) => self.vectorize(Tile::<K, 2, 7>(kernel)),
            _ => unreachable!("a tile of {pairs} pairs of columns"),
        }
    }

    fn gradient_tile<K: TileKernel>(self, classes: usize, vectors: usize, kernel: K) -> K::Output {
        match (classes, vectors) {
            (1, 1) => self.vectorize(Tile::<K, 1, 1>(kernel)),
            (2, 1) => self.vectorize(Tile::<K, 2, 1>(kernel)),
            (3, 1) => self.vectorize(Tile::<K, 3, 1>(kernel)),
            (4, 1) => self.vectorize(Tile::<K, 4, 1>(kernel)),
            (5, 1) => self.vectorize(Tile::<K, 5, 1>(kernel)),
            (1, 4) => self.vectorize(Tile::<K, 1, 4>(kernel)),
            (2, 4) => self.vectorize(Tile::<K, 2, 4>(kernel)),
            (3, 4) => self.vectorize(Tile::<K, 3, 4>(kernel)),
            (4, 4) => self.vectorize(Tile::<K, 4, 4>(kernel)),
            (5, 4) => self.vectorize(Tile::<K, 5, 4>(kernel)),
            _ => unreachable!("a gradient tile of {classes} classes and {vectors} vectors"),
        }
    }

    #[inline(always)]
    fn prefetch<T>(self, address: *const T) {
        // SAFETY: a prefetch is a hint and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }

    #[inline(always)]
    fn prefetch_second<T>(self, address: *const T) {
        // SAFETY: a prefetch is a hint and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast()) }
    }
}

impl Lanes<Avx512, f32> for __m512 {
    const COUNT: usize = 16;

    #[inline(always)]
    fn splat(_: Avx512, x: f32) -> Self {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(_: Avx512, source: *const f32) -> Self {
        // SAFETY: the token proves AVX-512; the caller promises 16 readable elements.
        unsafe { _mm512_loadu_ps(source) }
    }
    #[inline(always)]
    unsafe fn load_partial(_: Avx512, source: *const f32, count: usize) -> Self {
        // SAFETY: the token proves AVX-512; masked-out lanes are not read, and the caller promises the others.
        unsafe { _mm512_maskz_loadu_ps(first(count), source) }
    }
    #[inline(always)]
    unsafe fn load_twice(_: Avx512, source: *const f32) -> Self {
        // SAFETY: the token proves AVX-512; the caller promises 8 readable elements.
        unsafe { _mm512_broadcast_f32x8(_mm256_loadu_ps(source)) }
    }
    #[inline(always)]
    unsafe fn load_twice_partial(_: Avx512, source: *const f32, count: usize) -> Self {
        // SAFETY: the token proves AVX-512; masked-out lanes are not read, and the caller promises the others.
        unsafe { _mm512_broadcast_f32x8(_mm256_maskz_loadu_ps(first(count) as u8, source)) }
    }
    #[inline(always)]
    unsafe fn load_bytes(_: Avx512, source: *const u8) -> Self {
        // SAFETY: the token proves AVX-512; the caller promises 16 readable bytes.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(source.cast()))) }
    }
    #[inline(always)]
    unsafe fn store(self, _: Avx512, target: *mut f32) {
        // SAFETY: the token proves AVX-512; the caller promises 16 writable elements.
        unsafe { _mm512_storeu_ps(target, self) }
    }
    #[inline(always)]
    unsafe fn store_partial(self, _: Avx512, target: *mut f32, count: usize) {
        // SAFETY: the token proves AVX-512; masked-out lanes are not written, and the caller promises the others.
        unsafe { _mm512_mask_storeu_ps(target, first(count), self) }
    }
    #[inline(always)]
    fn add(self, _: Avx512, other: Self) -> Self {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_add_ps(self, other) }
    }
    #[inline(always)]
    fn sub(self, _: Avx512, other: Self) -> Self {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_sub_ps(self, other) }
    }
    #[inline(always)]
    fn mul(self, _: Avx512, other: Self) -> Self {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_mul_ps(self, other) }
    }
    #[inline(always)]
    fn div(self, _: Avx512, other: Self) -> Self {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_div_ps(self, other) }
    }
    #[inline(always)]
    fn sqrt(self, _: Avx512) -> Self {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_sqrt_ps(self) }
    }
    #[inline(always)]
    fn abs(self, _: Avx512) -> Self {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_abs_ps(self) }
    }
    #[inline(always)]
    fn mul_add(self, _: Avx512, factor: Self, addend: Self) -> Self {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_fmadd_ps(self, factor, addend) }
    }
    #[inline(always)]
    fn select_greater(self, _: Avx512, other: Self, then: Self, otherwise: Self) -> Self {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(self, other), otherwise, then) }
    }
    #[inline(always)]
    fn select_equal(self, _: Avx512, other: Self, then: Self, otherwise: Self) -> Self {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_EQ_OQ>(self, other), otherwise, then) }
    }
    #[inline(always)]
    fn low_bits_to_exponent(self, _: Avx512) -> Self {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<23>(_mm512_castps_si512(self))) }
    }
    #[inline(always)]
    fn exponent(self, _: Avx512) -> Self {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_getexp_ps(self) }
    }
    #[inline(always)]
    fn significand(self, _: Avx512) -> Self {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_getmant_ps::<_MM_MANT_NORM_1_2, _MM_MANT_SIGN_SRC>(self) }
    }
    #[inline(always)]
    fn add_neighbours<const D: usize>(self, _: Avx512, other: Self) -> Self {
        const { assert!(D.is_power_of_two() && D <= 8) };
        let mask = [0xAAAA, 0xCCCC, 0xF0F0, 0xFF00][D.trailing_zeros() as usize];
        // SAFETY: the token proves AVX-512.
        unsafe {
            let near = _mm512_mask_blend_ps(mask, self, other);
            let far = _mm512_mask_blend_ps(mask, other, self);
            let swapped = match D {
                1 => _mm512_permute_ps::<0b10_11_00_01>(far),
                2 => _mm512_permute_ps::<0b01_00_11_10>(far),
                4 => _mm512_shuffle_f32x4::<0b10_11_00_01>(far, far),
                _ => _mm512_shuffle_f32x4::<0b01_00_11_10>(far, far),
            };
            _mm512_add_ps(near, swapped)
        }
    }
    #[inline(always)]
    fn transpose(_: Avx512, rows: &mut [Self; MAX_LANES]) {
        // SAFETY: the token proves AVX-512.
        unsafe {
            // First in each quarter of the vectors, four rows at a time.
            for four in rows.as_chunks_mut::<4>().0 {
                let [a, b, c, d] = *four;
                let (ab, cd) = (_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d));
                let (ab_high, cd_high) = (_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d));
                *four = [
                    _mm512_shuffle_ps::<0b01_00_01_00>(ab, cd),
                    _mm512_shuffle_ps::<0b11_10_11_10>(ab, cd),
                    _mm512_shuffle_ps::<0b01_00_01_00>(ab_high, cd_high),
                    _mm512_shuffle_ps::<0b11_10_11_10>(ab_high, cd_high),
                ];
            }
            for i in 0..4 {
                let quarters = [rows[i], rows[4 + i], rows[8 + i], rows[12 + i]];
                [rows[i], rows[4 + i], rows[8 + i], rows[12 + i]] = transpose_quarters(quarters);
            }
        }
    }
    #[inline(always)]
    fn interleave_halves(self, _: Avx512) -> Self {
        // SAFETY: the token proves AVX-512.
        unsafe {
            let order = _mm512_setr_epi32(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
            _mm512_permutexvar_ps(order, self)
        }
    }
    #[inline(always)]
    fn reduce_sum(self, _: Avx512) -> f32 {
        // SAFETY: the token proves AVX-512.
        unsafe {
            let high = _mm512_extractf32x8_ps::<1>(self);
            let eight = _mm256_add_ps(_mm512_castps512_ps256(self), high);
            let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }
}

impl Lanes<Avx512, f64> for __m512d {
    const COUNT: usize = 8;

    #[inline(always)]
    fn splat(_: Avx512, x: f64) -> Self {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_set1_pd(x) }
    }
    #[inline(always)]
    unsafe fn load(_: Avx512, source: *const f64) -> Self {
        // SAFETY: the token proves AVX-512; the caller promises 8 readable elements.
        unsafe { _mm512_loadu_pd(source) }
    }
    #[inline(always)]
    unsafe fn load_partial(_: Avx512, source: *const f64, count: usize) -> Self {
        // SAFETY: the token proves AVX-512; masked-out lanes are not read, and the caller promises the others.
        unsafe { _mm512_maskz_loadu_pd(first(count) as u8, source) }
    }
    #[inline(always)]
    unsafe fn load_twice(_: Avx512, source: *const f64) -> Self {
        // SAFETY: the token proves AVX-512; the caller promises 4 readable elements.
        unsafe { _mm512_broadcast_f64x4(_mm256_loadu_pd(source)) }
    }
    #[inline(always)]
    unsafe fn load_twice_partial(_: Avx512, source: *const f64, count: usize) -> Self {
        // SAFETY: the token proves AVX-512; masked-out lanes are not read, and the caller promises the others.
        unsafe { _mm512_broadcast_f64x4(_mm256_maskz_loadu_pd(first(count) as u8, source)) }
    }
    #[inline(always)]
    unsafe fn load_bytes(_: Avx512, source: *const u8) -> Self {
        // SAFETY: the token proves AVX-512; the caller promises 8 readable bytes.
        unsafe { _mm512_cvtepi32_pd(_mm256_cvtepu8_epi32(_mm_loadl_epi64(source.cast()))) }
    }
    #[inline(always)]
    unsafe fn store(self, _: Avx512, target: *mut f64) {
        // SAFETY: the token proves AVX-512; the caller promises 8 writable elements.
        unsafe { _mm512_storeu_pd(target, self) }
    }
    #[inline(always)]
    unsafe fn store_partial(self, _: Avx512, target: *mut f64, count: usize) {
        // SAFETY: the token proves AVX-512; masked-out lanes are not written, and the caller promises the others.
        unsafe { _mm512_mask_storeu_pd(target, first(count) as u8, self) }
    }
    #[inline(always)]
    fn add(self, _: Avx512, other: Self) -> Self {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_add_pd(self, other) }
    }
    #[inline(always)]
    fn sub(self, _: Avx512, other: Self) -> Self {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_sub_pd(self, other) }
    }
    #[inline(always)]
    fn mul(self, _: Avx512, other: Self) -> Self {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_mul_pd(self, other) }
    }
    #[inline(always)]
    fn div(self, _: Avx512, other: Self) -> Self {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_div_pd(self, other) }
    }
    #[inline(always)]
    fn sqrt(self, _: Avx512) -> Self {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_sqrt_pd(self) }
    }
    #[inline(always)]
    fn abs(self, _: Avx512) -> Self {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_abs_pd(self) }
    }
    #[inline(always)]
    fn mul_add(self, _: Avx512, factor: Self, addend: Self) -> Self {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_fmadd_pd(self, factor, addend) }
    }
    #[inline(always)]
    fn select_greater(self, _: Avx512, other: Self, then: Self, otherwise: Self) -> Self {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_mask_blend_pd(_mm512_cmp_pd_mask::<_CMP_GT_OQ>(self, other), otherwise, then) }
    }
    #[inline(always)]
    fn select_equal(self, _: Avx512, other: Self, then: Self, otherwise: Self) -> Self {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_mask_blend_pd(_mm512_cmp_pd_mask::<_CMP_EQ_OQ>(self, other), otherwise, then) }
    }
    #[inline(always)]
    fn low_bits_to_exponent(self, _: Avx512) -> Self {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_castsi512_pd(_mm512_slli_epi64::<52>(_mm512_castpd_si512(self))) }
    }
    #[inline(always)]
    fn exponent(self, _: Avx512) -> Self {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_getexp_pd(self) }
    }
    #[inline(always)]
    fn significand(self, _: Avx512) -> Self {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_getmant_pd::<_MM_MANT_NORM_1_2, _MM_MANT_SIGN_SRC>(self) }
    }
    #[inline(always)]
    fn add_neighbours<const D: usize>(self, _: Avx512, other: Self) -> Self {
        const { assert!(D.is_power_of_two() && D <= 8) };
        let mask = [0xAA, 0xCC, 0xF0, 0][D.trailing_zeros() as usize];
        // SAFETY: the token proves AVX-512.
        unsafe {
            let near = _mm512_mask_blend_pd(mask, self, other);
            let far = _mm512_mask_blend_pd(mask, other, self);
            let swapped = match D {
                1 => _mm512_permute_pd::<0b01010101>(far),
                2 => _mm512_permutex_pd::<0b01_00_11_10>(far),
                _ => _mm512_shuffle_f64x2::<0b01_00_11_10>(far, far),
            };
            _mm512_add_pd(near, swapped)
        }
    }
    #[inline(always)]
    fn transpose(_: Avx512, rows: &mut [Self; MAX_LANES]) {
        // SAFETY: the token proves AVX-512.
        unsafe {
            for two in rows[..8].as_chunks_mut::<2>().0 {
                let [a, b] = *two;
                *two = [_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b)];
            }
            for i in 0..2 {
                let quarters = [rows[i], rows[2 + i], rows[4 + i], rows[6 + i]].map(|row| _mm512_castpd_ps(row));
                let quarters = transpose_quarters(quarters).map(|row| _mm512_castps_pd(row));
                [rows[i], rows[2 + i], rows[4 + i], rows[6 + i]] = quarters;
            }
        }
    }
    #[inline(always)]
    fn interleave_halves(self, _: Avx512) -> Self {
        // SAFETY: the token proves AVX-512.
        unsafe { _mm512_permutexvar_pd(_mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7), self) }
    }
    #[inline(always)]
    fn reduce_sum(self, _: Avx512) -> f64 {
        // SAFETY: the token proves AVX-512.
        unsafe {
            let high = _mm512_extractf64x4_pd::<1>(self);
            let four = _mm256_add_pd(_mm512_castpd512_pd256(self), high);
            let two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd::<1>(four));
            _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)))
        }
    }
}
