//! The AVX2 + FMA token: 256-bit lanes, tails by masked loads and in pieces for stores; or, where there is AVX-512, by masks.

use super::avx512::Avx512;
use super::{Isa, Kernel, Lanes, Level, MAX_LANES, Sealed, Tile, TileKernel};
use std::arch::x86_64::*;

/// Proof that the processor has AVX2 and FMA, and AVX-512 F and VL too if `VL`: masks in registers of their own, and 32 of the others.
/// Such a token is half of an [`Avx512`]: what is here of shapes of tiles is not for it.
///
/// Every `unsafe` block of this file that calls an intrinsic rests on that proof: a token exists only where
/// [`Avx2::detect`] or [`Avx512::detect`] has seen the features. What a load or a store needs beyond it stands at the block.
#[derive(Clone, Copy, Debug)]
pub struct Avx2<const VL: bool = false> {
    _proof: (),
}

impl Avx2<false> {
    /// The token, if the processor (and the operating system) supports the level.
    pub(crate) fn detect() -> Option<Self> {
        let supported = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        supported.then_some(Self { _proof: () })
    }
}

impl Avx2<true> {
    /// What AVX-512 proves of half its width.
    #[inline(always)]
    pub(super) fn half(_: Avx512) -> Self {
        Self { _proof: () }
    }
}

impl<const VL: bool> Sealed for Avx2<VL> {}

#[inline(never)]
#[target_feature(enable = "avx2,fma")]
fn trampoline<const VL: bool, K: Kernel>(isa: Avx2<VL>, kernel: K) -> K::Output {
    kernel.run(isa)
}

/// Apart, since a disassembly knows a trampoline by its name.
mod vl {
    use super::{Avx2, Kernel};

    #[inline(never)]
    #[target_feature(enable = "avx2,fma,avx512f,avx512vl")]
    pub(super) fn trampoline<const VL: bool, K: Kernel>(isa: Avx2<VL>, kernel: K) -> K::Output {
        kernel.run(isa)
    }
}

/// The mask of the first `count` of at most 8 lanes.
#[inline(always)]
fn first(count: usize) -> u8 {
    debug_assert!(count <= 8);
    ((1_u16 << count) - 1) as u8
}

/// Set bits in the first `count <= 8` of eight 32-bit lanes.
#[inline(always)]
fn first_of_eight<const VL: bool>(_: Avx2<VL>, count: usize) -> __m256i {
    // SAFETY: the token proves AVX2.
    unsafe { _mm256_cmpgt_epi32(_mm256_set1_epi32(count as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)) }
}

/// Set bits in the first `count <= 4` of four 64-bit lanes.
#[inline(always)]
fn first_of_four<const VL: bool>(_: Avx2<VL>, count: usize) -> __m256i {
    // SAFETY: the token proves AVX2.
    unsafe { _mm256_cmpgt_epi64(_mm256_set1_epi64x(count as i64), _mm256_setr_epi64x(0, 1, 2, 3)) }
}

impl<const VL: bool> Isa for Avx2<VL> {
    const LEVEL: Level = if VL { Level::Avx512 } else { Level::Avx2 };
    const MASKS: bool = true;
    const PREFETCHES: bool = true;
    const HALVES: bool = false;
    // 12 accumulators, 2 vectors of B and one broadcast of A: 15 of 16 registers.
    const GEMM_ROWS: usize = 6;
    const SLIM_ROWS: usize = 6;
    const GEMM_VECTORS: usize = 2;
    // 23 instructions a step instead of 28, for 12 multiply-adds.
    const UNROLL: usize = 4;
    // 10 accumulators, 2 vectors of samples and one of weights: 13 of 16 registers, 7 loads for 10 multiply-adds.
    const SCORE_ROWS: usize = 2;
    const SCORE_CLASSES: usize = 5;
    // As many accumulators as are left beside a vector of B for each of a row and a broadcast.
    const WIDE_VECTORS: &'static [usize] = &[0, 8, 4, 3, 2];
    // r p accumulators, r rows of A and one vector of B: at most 16 registers.
    const PAIR_ROWS: [usize; 8] = [0, 4, 4, 3, 3, 2, 2, 1];
    // 10 accumulators, 2 vectors of features and one broadcast: 13 of 16 registers.
    const GRADIENT_CLASSES: usize = 5;
    const GRADIENT_VECTORS: usize = 2;

    type F32 = __m256;
    type F64 = __m256d;

    #[inline(always)]
    fn vectorize<K: Kernel>(self, kernel: K) -> K::Output {
        if VL {
            // SAFETY: the token proves that the processor has the features of `vl::trampoline`.
            unsafe { vl::trampoline(self, kernel) }
        } else {
            // SAFETY: the token proves that the processor has the features of `trampoline`.
            unsafe { trampoline(self, kernel) }
        }
    }

    fn gemm_tile<K: TileKernel>(self, rows: usize, vectors: usize, kernel: K) -> K::Output {
        match (rows, vectors) {
            (1, 1) => self.vectorize(Tile::<K, 1, 1>(kernel)),
            (2, 1) => self.vectorize(Tile::<K, 2, 1>(kernel)),
            (3, 1) => self.vectorize(Tile::<K, 3, 1>(kernel)),
            (4, 1) => self.vectorize(Tile::<K, 4, 1>(kernel)),
            (5, 1) => self.vectorize(Tile::<K, 5, 1>(kernel)),
            (6, 1) => self.vectorize(Tile::<K, 6, 1>(kernel)),
            (1, 2) => self.vectorize(Tile::<K, 1, 2>(kernel)),
            (2, 2) => self.vectorize(Tile::<K, 2, 2>(kernel)),
            (3, 2) => self.vectorize(Tile::<K, 3, 2>(kernel)),
            (4, 2) => self.vectorize(Tile::<K, 4, 2>(kernel)),
            (5, 2) => self.vectorize(Tile::<K, 5, 2>(kernel)),
            (6, 2) => self.vectorize(Tile::<K, 6, 2>(kernel)),
            _ => unreachable!("a GEMM tile of {rows} rows and {vectors} vectors"),
        }
    }

    fn high_tile<K: TileKernel>(self, rows: usize, kernel: K) -> K::Output {
        match rows {
            5 => self.vectorize(Tile::<K, 5, 2>(kernel)),
            6 => self.vectorize(Tile::<K, 6, 2>(kernel)),
            _ => unreachable!("a high GEMM tile of {rows} rows"),
        }
    }

    fn half_tile<K: TileKernel>(self, rows: usize, _: K) -> K::Output {
        unreachable!("a tile of {rows} rows of half a vector")
    }

    fn whole_gemm_tile<K: TileKernel>(self, kernel: K) -> K::Output {
        self.vectorize(Tile::<K, 6, 2>(kernel))
    }

    fn score_tile<K: TileKernel>(self, rows: usize, classes: usize, kernel: K) -> K::Output {
        match (rows, classes) {
            (1, 1) => self.vectorize(Tile::<K, 1, 1>(kernel)),
            (1, 2) => self.vectorize(Tile::<K, 1, 2>(kernel)),
            (1, 3) => self.vectorize(Tile::<K, 1, 3>(kernel)),
            (1, 4) => self.vectorize(Tile::<K, 1, 4>(kernel)),
            (1, 5) => self.vectorize(Tile::<K, 1, 5>(kernel)),
            (2, 1) => self.vectorize(Tile::<K, 2, 1>(kernel)),
            (2, 2) => self.vectorize(Tile::<K, 2, 2>(kernel)),
            (2, 3) => self.vectorize(Tile::<K, 2, 3>(kernel)),
            (2, 4) => self.vectorize(Tile::<K, 2, 4>(kernel)),
            (2, 5) => self.vectorize(Tile::<K, 2, 5>(kernel)),
            _ => unreachable!("a score tile of {rows} rows and {classes} classes"),
        }
    }

    fn wide_tile<K: TileKernel>(self, rows: usize, kernel: K) -> K::Output {
        match rows {
            1 => self.vectorize(Tile::<K, 1, 8>(kernel)),
            2 => self.vectorize(Tile::<K, 2, 4>(kernel)),
            3 => self.vectorize(Tile::<K, 3, 3>(kernel)),
            4 => self.vectorize(Tile::<K, 4, 2>(kernel)),
            _ => unreachable!("a wide tile of {rows} rows"),
        }
    }

    fn pair_tile<K: TileKernel>(self, pairs: usize, is_low: bool, kernel: K) -> K::Output {
        match (pairs, is_low) {
            (1, false) => self.vectorize(Tile::<K, 4, 1>(kernel)),
            (2, false) => self.vectorize(Tile::<K, 4, 2>(kernel)),
            (3, false) => self.vectorize(Tile::<K, 3, 3>(kernel)),
            (4, false) => self.vectorize(Tile::<K, 3, 4>(kernel)),
            (5, false) => self.vectorize(Tile::<K, 2, 5>(kernel)),
            (6, false) => self.vectorize(Tile::<K, 2, 6>(kernel)),
            (7, false) => self.vectorize(Tile::<K, 1, 7>(kernel)),
            (1, true) => self.vectorize(Tile::<K, 2, 1>(kernel)),
            (2, true) => self.vectorize(Tile::<K, 2, 2>(kernel)),
            (3, true) => self.vectorize(Tile::<K, 2, 3>(kernel)),
            (4, true) => self.vectorize(Tile::<K, 2, 4>(kernel)),
            (5, true) => self.vectorize(Tile::<K, 1, 5>(kernel)),
            (6, true) => self.vectorize(Tile::<K, 1, 6>(kernel)),
            (7, true) => self.vectorize(Tile::<K, 1, 7>(kernel)),
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
            (1, 2) => self.vectorize(Tile::<K, 1, 2>(kernel)),
            (2, 2) => self.vectorize(Tile::<K, 2, 2>(kernel)),
            (3, 2) => self.vectorize(Tile::<K, 3, 2>(kernel)),
            (4, 2) => self.vectorize(Tile::<K, 4, 2>(kernel)),
            (5, 2) => self.vectorize(Tile::<K, 5, 2>(kernel)),
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

impl<const VL: bool> Lanes<Avx2<VL>, f32> for __m256 {
    const COUNT: usize = 8;

    #[inline(always)]
    fn splat(_: Avx2<VL>, x: f32) -> Self {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(_: Avx2<VL>, source: *const f32) -> Self {
        // SAFETY: the token proves AVX2; the caller promises 8 readable elements.
        unsafe { _mm256_loadu_ps(source) }
    }
    #[inline(always)]
    unsafe fn load_partial(isa: Avx2<VL>, source: *const f32, count: usize) -> Self {
        if VL {
            // SAFETY: the token proves AVX-512 F and VL; masked-out lanes are not read, and the caller promises the others.
            return unsafe { _mm256_maskz_loadu_ps(first(count), source) };
        }
        // SAFETY: the token proves AVX2; masked-out lanes are not read, and the caller promises the others.
        unsafe { _mm256_maskload_ps(source, first_of_eight(isa, count)) }
    }
    #[inline(always)]
    unsafe fn load_twice(_: Avx2<VL>, source: *const f32) -> Self {
        // SAFETY: the token proves AVX2; the caller promises 4 readable elements.
        unsafe { _mm256_broadcast_ps(&_mm_loadu_ps(source)) }
    }
    #[inline(always)]
    unsafe fn load_twice_partial(isa: Avx2<VL>, source: *const f32, count: usize) -> Self {
        // SAFETY: the token proves AVX2; masked-out lanes are not read, and the caller promises the others.
        unsafe {
            let four = _mm_maskload_ps(source, _mm256_castsi256_si128(first_of_eight(isa, count)));
            _mm256_set_m128(four, four)
        }
    }
    #[inline(always)]
    unsafe fn load_bytes(_: Avx2<VL>, source: *const u8) -> Self {
        // SAFETY: the token proves AVX2; the caller promises 8 readable bytes.
        unsafe { _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(source.cast()))) }
    }
    #[inline(always)]
    unsafe fn store(self, _: Avx2<VL>, target: *mut f32) {
        // SAFETY: the token proves AVX2; the caller promises 8 writable elements.
        unsafe { _mm256_storeu_ps(target, self) }
    }
    #[inline(always)]
    unsafe fn store_partial(self, _: Avx2<VL>, target: *mut f32, count: usize) {
        if VL {
            // SAFETY: the token proves AVX-512 F and VL; masked-out lanes are not written, and the caller promises the others.
            return unsafe { _mm256_mask_storeu_ps(target, first(count), self) };
        }
        // A masked store is microcode on some processors: a half, a quarter and an eighth of the vector are faster.
        // SAFETY: the token proves AVX2; of the caller's `count < 8` writable elements, each piece takes as many as its bit of
        // `count` stands for.
        unsafe {
            let (mut rest, mut target) = (_mm256_castps256_ps128(self), target);
            if count & 4 != 0 {
                _mm_storeu_ps(target, rest);
                (rest, target) = (_mm256_extractf128_ps(self, 1), target.add(4));
            }
            if count & 2 != 0 {
                target.cast::<f64>().write_unaligned(_mm_cvtsd_f64(_mm_castps_pd(rest)));
                (rest, target) = (_mm_movehl_ps(rest, rest), target.add(2));
            }
            if count & 1 != 0 {
                target.write(_mm_cvtss_f32(rest));
            }
        }
    }
    #[inline(always)]
    fn add(self, _: Avx2<VL>, other: Self) -> Self {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_add_ps(self, other) }
    }
    #[inline(always)]
    fn sub(self, _: Avx2<VL>, other: Self) -> Self {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_sub_ps(self, other) }
    }
    #[inline(always)]
    fn mul(self, _: Avx2<VL>, other: Self) -> Self {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_mul_ps(self, other) }
    }
    #[inline(always)]
    fn div(self, _: Avx2<VL>, other: Self) -> Self {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_div_ps(self, other) }
    }
    #[inline(always)]
    fn sqrt(self, _: Avx2<VL>) -> Self {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_sqrt_ps(self) }
    }
    #[inline(always)]
    fn abs(self, _: Avx2<VL>) -> Self {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), self) }
    }
    #[inline(always)]
    fn mul_add(self, _: Avx2<VL>, factor: Self, addend: Self) -> Self {
        // SAFETY: the token proves FMA.
        unsafe { _mm256_fmadd_ps(self, factor, addend) }
    }
    #[inline(always)]
    fn select_greater(self, _: Avx2<VL>, other: Self, then: Self, otherwise: Self) -> Self {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_blendv_ps(otherwise, then, _mm256_cmp_ps::<_CMP_GT_OQ>(self, other)) }
    }
    #[inline(always)]
    fn select_equal(self, _: Avx2<VL>, other: Self, then: Self, otherwise: Self) -> Self {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_blendv_ps(otherwise, then, _mm256_cmp_ps::<_CMP_EQ_OQ>(self, other)) }
    }
    #[inline(always)]
    fn low_bits_to_exponent(self, _: Avx2<VL>) -> Self {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_castps_si256(self))) }
    }
    #[inline(always)]
    fn exponent(self, _: Avx2<VL>) -> Self {
        // An integer in the low bits of 2^23 is that number plus 2^23.
        // SAFETY: the token proves AVX2.
        unsafe {
            let biased = _mm256_castsi256_ps(_mm256_srli_epi32::<23>(_mm256_castps_si256(self)));
            _mm256_sub_ps(_mm256_or_ps(biased, _mm256_set1_ps(8_388_608.0)), _mm256_set1_ps(8_388_608.0 + 127.0))
        }
    }
    #[inline(always)]
    fn significand(self, _: Avx2<VL>) -> Self {
        // SAFETY: the token proves AVX2.
        unsafe {
            let fraction = _mm256_castsi256_ps(_mm256_set1_epi32(0x007F_FFFF));
            _mm256_or_ps(_mm256_and_ps(self, fraction), _mm256_set1_ps(1.0))
        }
    }
    #[inline(always)]
    fn add_neighbours<const D: usize>(self, _: Avx2<VL>, other: Self) -> Self {
        const { assert!(D.is_power_of_two() && D <= 8) };
        // SAFETY: the token proves AVX2.
        unsafe {
            match D {
                1 => {
                    let (near, far) = (_mm256_blend_ps::<0xAA>(self, other), _mm256_blend_ps::<0xAA>(other, self));
                    _mm256_add_ps(near, _mm256_permute_ps::<0b10_11_00_01>(far))
                }
                2 => {
                    let (near, far) = (_mm256_blend_ps::<0xCC>(self, other), _mm256_blend_ps::<0xCC>(other, self));
                    _mm256_add_ps(near, _mm256_permute_ps::<0b01_00_11_10>(far))
                }
                _ => {
                    let (near, far) = (_mm256_blend_ps::<0xF0>(self, other), _mm256_blend_ps::<0xF0>(other, self));
                    _mm256_add_ps(near, _mm256_permute2f128_ps::<0x01>(far, far))
                }
            }
        }
    }
    #[inline(always)]
    fn transpose(_: Avx2<VL>, rows: &mut [Self; MAX_LANES]) {
        // SAFETY: the token proves AVX2.
        unsafe {
            // First in each half of the vectors, four rows at a time.
            for four in rows[..8].as_chunks_mut::<4>().0 {
                let [a, b, c, d] = *four;
                let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
                let (ab_high, cd_high) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
                *four = [
                    _mm256_shuffle_ps::<0b01_00_01_00>(ab, cd),
                    _mm256_shuffle_ps::<0b11_10_11_10>(ab, cd),
                    _mm256_shuffle_ps::<0b01_00_01_00>(ab_high, cd_high),
                    _mm256_shuffle_ps::<0b11_10_11_10>(ab_high, cd_high),
                ];
            }
            for i in 0..4 {
                let (a, b) = (rows[i], rows[4 + i]);
                (rows[i], rows[4 + i]) = (_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b));
            }
        }
    }
    #[inline(always)]
    fn interleave_halves(self, _: Avx2<VL>) -> Self {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_permutevar8x32_ps(self, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)) }
    }
    #[inline(always)]
    fn reduce_sum(self, _: Avx2<VL>) -> f32 {
        // SAFETY: the token proves AVX2.
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(self), _mm256_extractf128_ps::<1>(self));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }
}

impl<const VL: bool> Lanes<Avx2<VL>, f64> for __m256d {
    const COUNT: usize = 4;

    #[inline(always)]
    fn splat(_: Avx2<VL>, x: f64) -> Self {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_set1_pd(x) }
    }
    #[inline(always)]
    unsafe fn load(_: Avx2<VL>, source: *const f64) -> Self {
        // SAFETY: the token proves AVX2; the caller promises 4 readable elements.
        unsafe { _mm256_loadu_pd(source) }
    }
    #[inline(always)]
    unsafe fn load_partial(isa: Avx2<VL>, source: *const f64, count: usize) -> Self {
        if VL {
            // SAFETY: as for `f32`.
            return unsafe { _mm256_maskz_loadu_pd(first(count), source) };
        }
        // SAFETY: the token proves AVX2; masked-out lanes are not read, and the caller promises the others.
        unsafe { _mm256_maskload_pd(source, first_of_four(isa, count)) }
    }
    #[inline(always)]
    unsafe fn load_twice(_: Avx2<VL>, source: *const f64) -> Self {
        // SAFETY: the token proves AVX2; the caller promises 2 readable elements.
        unsafe { _mm256_broadcast_pd(&_mm_loadu_pd(source)) }
    }
    #[inline(always)]
    unsafe fn load_twice_partial(isa: Avx2<VL>, source: *const f64, count: usize) -> Self {
        // SAFETY: the token proves AVX2; masked-out lanes are not read, and the caller promises the others.
        unsafe {
            let two = _mm_maskload_pd(source, _mm256_castsi256_si128(first_of_four(isa, count)));
            _mm256_set_m128d(two, two)
        }
    }
    #[inline(always)]
    unsafe fn load_bytes(_: Avx2<VL>, source: *const u8) -> Self {
        // SAFETY: the token proves AVX2; the caller promises 4 readable bytes.
        unsafe {
            let bytes = source.cast::<i32>().read_unaligned();
            _mm256_cvtepi32_pd(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(bytes)))
        }
    }
    #[inline(always)]
    unsafe fn store(self, _: Avx2<VL>, target: *mut f64) {
        // SAFETY: the token proves AVX2; the caller promises 4 writable elements.
        unsafe { _mm256_storeu_pd(target, self) }
    }
    #[inline(always)]
    unsafe fn store_partial(self, _: Avx2<VL>, target: *mut f64, count: usize) {
        if VL {
            // SAFETY: as for `f32`.
            return unsafe { _mm256_mask_storeu_pd(target, first(count), self) };
        }
        // SAFETY: as for `f32`, with `count < 4`.
        unsafe {
            let (mut rest, mut target) = (_mm256_castpd256_pd128(self), target);
            if count & 2 != 0 {
                _mm_storeu_pd(target, rest);
                (rest, target) = (_mm256_extractf128_pd(self, 1), target.add(2));
            }
            if count & 1 != 0 {
                target.write(_mm_cvtsd_f64(rest));
            }
        }
    }
    #[inline(always)]
    fn add(self, _: Avx2<VL>, other: Self) -> Self {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_add_pd(self, other) }
    }
    #[inline(always)]
    fn sub(self, _: Avx2<VL>, other: Self) -> Self {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_sub_pd(self, other) }
    }
    #[inline(always)]
    fn mul(self, _: Avx2<VL>, other: Self) -> Self {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_mul_pd(self, other) }
    }
    #[inline(always)]
    fn div(self, _: Avx2<VL>, other: Self) -> Self {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_div_pd(self, other) }
    }
    #[inline(always)]
    fn sqrt(self, _: Avx2<VL>) -> Self {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_sqrt_pd(self) }
    }
    #[inline(always)]
    fn abs(self, _: Avx2<VL>) -> Self {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_andnot_pd(_mm256_set1_pd(-0.0), self) }
    }
    #[inline(always)]
    fn mul_add(self, _: Avx2<VL>, factor: Self, addend: Self) -> Self {
        // SAFETY: the token proves FMA.
        unsafe { _mm256_fmadd_pd(self, factor, addend) }
    }
    #[inline(always)]
    fn select_greater(self, _: Avx2<VL>, other: Self, then: Self, otherwise: Self) -> Self {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_blendv_pd(otherwise, then, _mm256_cmp_pd::<_CMP_GT_OQ>(self, other)) }
    }
    #[inline(always)]
    fn select_equal(self, _: Avx2<VL>, other: Self, then: Self, otherwise: Self) -> Self {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_blendv_pd(otherwise, then, _mm256_cmp_pd::<_CMP_EQ_OQ>(self, other)) }
    }
    #[inline(always)]
    fn low_bits_to_exponent(self, _: Avx2<VL>) -> Self {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_castsi256_pd(_mm256_slli_epi64::<52>(_mm256_castpd_si256(self))) }
    }
    #[inline(always)]
    fn exponent(self, _: Avx2<VL>) -> Self {
        // An integer in the low bits of 2^52 is that number plus 2^52.
        // SAFETY: the token proves AVX2.
        unsafe {
            let biased = _mm256_castsi256_pd(_mm256_srli_epi64::<52>(_mm256_castpd_si256(self)));
            _mm256_sub_pd(
                _mm256_or_pd(biased, _mm256_set1_pd(4_503_599_627_370_496.0)),
                _mm256_set1_pd(4_503_599_627_370_496.0 + 1023.0),
            )
        }
    }
    #[inline(always)]
    fn significand(self, _: Avx2<VL>) -> Self {
        // SAFETY: the token proves AVX2.
        unsafe {
            let fraction = _mm256_castsi256_pd(_mm256_set1_epi64x(0x000F_FFFF_FFFF_FFFF));
            _mm256_or_pd(_mm256_and_pd(self, fraction), _mm256_set1_pd(1.0))
        }
    }
    #[inline(always)]
    fn add_neighbours<const D: usize>(self, _: Avx2<VL>, other: Self) -> Self {
        const { assert!(D.is_power_of_two() && D <= 8) };
        // SAFETY: the token proves AVX2.
        unsafe {
            if D == 1 {
                let (near, far) = (_mm256_blend_pd::<0b1010>(self, other), _mm256_blend_pd::<0b1010>(other, self));
                _mm256_add_pd(near, _mm256_permute_pd::<0b0101>(far))
            } else {
                let (near, far) = (_mm256_blend_pd::<0b1100>(self, other), _mm256_blend_pd::<0b1100>(other, self));
                _mm256_add_pd(near, _mm256_permute2f128_pd::<0x01>(far, far))
            }
        }
    }
    #[inline(always)]
    fn transpose(_: Avx2<VL>, rows: &mut [Self; MAX_LANES]) {
        // SAFETY: the token proves AVX2.
        unsafe {
            for two in rows[..4].as_chunks_mut::<2>().0 {
                let [a, b] = *two;
                *two = [_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b)];
            }
            for i in 0..2 {
                let (a, b) = (rows[i], rows[2 + i]);
                (rows[i], rows[2 + i]) = (_mm256_permute2f128_pd::<0x20>(a, b), _mm256_permute2f128_pd::<0x31>(a, b));
            }
        }
    }
    #[inline(always)]
    fn interleave_halves(self, _: Avx2<VL>) -> Self {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_permute4x64_pd::<0b11_01_10_00>(self) }
    }
    #[inline(always)]
    fn reduce_sum(self, _: Avx2<VL>) -> f64 {
        // SAFETY: the token proves AVX2.
        unsafe {
            let two = _mm_add_pd(_mm256_castpd256_pd128(self), _mm256_extractf128_pd::<1>(self));
            _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)))
        }
    }
}
