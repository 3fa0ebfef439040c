//! The portable token: 128-bit lanes of `wide`, which picks its instructions when the crate is compiled.

use super::{Isa, Kernel, Lanes, Level, MAX_LANES, Sealed, Tile, TileKernel};
use wide::{f32x4, f64x2, u32x4, u64x2};

/// The level that every processor of the target has; it needs no proof.
#[derive(Clone, Copy, Debug)]
pub struct Portable {
    _proof: (),
}

impl Portable {
    /// The token: this level is always there.
    pub(crate) fn detect() -> Option<Self> {
        Some(Self { _proof: () })
    }
}

impl Sealed for Portable {}

#[inline(never)]
fn trampoline<K: Kernel>(isa: Portable, kernel: K) -> K::Output {
    kernel.run(isa)
}

impl Isa for Portable {
    const LEVEL: Level = Level::Portable;
    const MASKS: bool = false;
    const PREFETCHES: bool = false;
    const HALVES: bool = false;
    // 8 accumulators, 2 vectors of B, one broadcast of A and one product: 12 of SSE2's 16 registers.
    const GEMM_ROWS: usize = 4;
    const SLIM_ROWS: usize = 4;
    const GEMM_VECTORS: usize = 2;
    // More, and the compiler reads several steps of A at once and takes them apart on the stack.
    const UNROLL: usize = 1;
    const SCORE_ROWS: usize = 2;
    const SCORE_CLASSES: usize = 4;
    // As many accumulators as are left beside a vector of B for each of a row and a broadcast.
    const WIDE_VECTORS: &'static [usize] = &[0, 8, 4, 3, 2];
    // r p accumulators, r rows of A, one vector of B and one product: at most 16 registers.
    const PAIR_ROWS: [usize; 8] = [0, 4, 3, 2, 2, 1, 1, 1];
    const GRADIENT_CLASSES: usize = 4;
    const GRADIENT_VECTORS: usize = 2;

    type F32 = f32x4;
    type F64 = f64x2;

    #[inline(always)]
    fn vectorize<K: Kernel>(self, kernel: K) -> K::Output {
        trampoline(self, kernel)
    }

    fn gemm_tile<K: TileKernel>(self, rows: usize, vectors: usize, kernel: K) -> K::Output {
        match (rows, vectors) {
            (1, 1) => self.vectorize(Tile::<K, 1, 1>(kernel)),
            (2, 1) => self.vectorize(Tile::<K, 2, 1>(kernel)),
            (3, 1) => self.vectorize(Tile::<K, 3, 1>(kernel)),
            (4, 1) => self.vectorize(Tile::<K, 4, 1>(kernel)),
            (1, 2) => self.vectorize(Tile::<K, 1, 2>(kernel)),
            (2, 2) => self.vectorize(Tile::<K, 2, 2>(kernel)),
            (3, 2) => self.vectorize(Tile::<K, 3, 2>(kernel)),
            (4, 2) => self.vectorize(Tile::<K, 4, 2>(kernel)),
            _ => unreachable!("a GEMM tile of {rows} rows and {vectors} vectors"),
        }
    }

    fn high_tile<K: TileKernel>(self, rows: usize, _: K) -> K::Output {
        unreachable!("a high GEMM tile of {rows} rows")
    }

    fn half_tile<K: TileKernel>(self, rows: usize, _: K) -> K::Output {
        unreachable!("a tile of {rows} rows of half a vector")
    }

    fn whole_gemm_tile<K: TileKernel>(self, kernel: K) -> K::Output {
        self.vectorize(Tile::<K, 4, 2>(kernel))
    }

    fn score_tile<K: TileKernel>(self, rows: usize, classes: usize, kernel: K) -> K::Output {
        match (rows, classes) {
            (1, 1) => self.vectorize(Tile::<K, 1, 1>(kernel)),
            (1, 2) => self.vectorize(Tile::<K, 1, 2>(kernel)),
            (1, 3) => self.vectorize(Tile::<K, 1, 3>(kernel)),
            (1, 4) => self.vectorize(Tile::<K, 1, 4>(kernel)),
            (2, 1) => self.vectorize(Tile::<K, 2, 1>(kernel)),
            (2, 2) => self.vectorize(Tile::<K, 2, 2>(kernel)),
            (2, 3) => self.vectorize(Tile::<K, 2, 3>(kernel)),
            (2, 4) => self.vectorize(Tile::<K, 2, 4>(kernel)),
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
            (2, false) => self.vectorize(Tile::<K, 3, 2>(kernel)),
            (3, false) => self.vectorize(Tile::<K, 2, 3>(kernel)),
            (4, false) => self.vectorize(Tile::<K, 2, 4>(kernel)),
            (5, false) => self.vectorize(Tile::<K, 1, 5>(kernel)),
            (6, false) => self.vectorize(Tile::<K, 1, 6>(kernel)),
            (7, false) => self.vectorize(Tile::<K, 1, 7>(kernel)),
            (1, true) => self.vectorize(Tile::<K, 2, 1>(kernel)),
            (2, true) => self.vectorize(Tile::<K, 2, 2>(kernel)),
            (3, true) => self.vectorize(Tile::<K, 1, 3>(kernel)),
            (4, true) => self.vectorize(Tile::<K, 1, 4>(kernel)),
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
            (1, 2) => self.vectorize(Tile::<K, 1, 2>(kernel)),
            (2, 2) => self.vectorize(Tile::<K, 2, 2>(kernel)),
            (3, 2) => self.vectorize(Tile::<K, 3, 2>(kernel)),
            (4, 2) => self.vectorize(Tile::<K, 4, 2>(kernel)),
            _ => unreachable!("a gradient tile of {classes} classes and {vectors} vectors"),
        }
    }

    #[inline(always)]
    fn prefetch<T>(self, _: *const T) {}

    #[inline(always)]
    fn prefetch_second<T>(self, _: *const T) {}
}

impl Lanes<Portable, f32> for f32x4 {
    const COUNT: usize = 4;

    #[inline(always)]
    fn splat(_: Portable, x: f32) -> Self {
        Self::splat(x)
    }
    #[inline(always)]
    unsafe fn load(_: Portable, source: *const f32) -> Self {
        // SAFETY: the caller promises 4 readable elements.
        Self::from(unsafe { source.cast::<[f32; 4]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn load_partial(_: Portable, source: *const f32, count: usize) -> Self {
        let mut buffer = [0.0; 4];
        // SAFETY: the caller promises `count <= 4` readable elements; `buffer` has room for them and is disjoint.
        unsafe { std::ptr::copy_nonoverlapping(source, buffer.as_mut_ptr(), count) };
        Self::from(buffer)
    }
    #[inline(always)]
    unsafe fn load_twice(_: Portable, source: *const f32) -> Self {
        // SAFETY: the caller promises 2 readable elements.
        let [a, b] = unsafe { source.cast::<[f32; 2]>().read_unaligned() };
        f32x4::from([a, b, a, b])
    }
    #[inline(always)]
    unsafe fn load_twice_partial(_: Portable, source: *const f32, count: usize) -> Self {
        // SAFETY: the caller promises `count` readable elements.
        let a = if count > 0 { unsafe { *source } } else { 0.0 };
        f32x4::from([a, 0.0, a, 0.0])
    }
    #[inline(always)]
    unsafe fn load_bytes(_: Portable, source: *const u8) -> Self {
        // SAFETY: the caller promises 4 readable bytes.
        let bytes = unsafe { source.cast::<[u8; 4]>().read_unaligned() };
        Self::from(bytes.map(f32::from))
    }
    #[inline(always)]
    unsafe fn store(self, _: Portable, target: *mut f32) {
        // SAFETY: the caller promises 4 writable elements.
        unsafe { target.cast::<[f32; 4]>().write_unaligned(self.to_array()) }
    }
    #[inline(always)]
    unsafe fn store_partial(self, _: Portable, target: *mut f32, count: usize) {
        // One by one: a copy of a length that is not known is a call.
        for (i, x) in self.to_array().into_iter().enumerate().take(count) {
            // SAFETY: the caller promises `count` writable elements.
            unsafe { target.add(i).write(x) };
        }
    }
    #[inline(always)]
    fn add(self, _: Portable, other: Self) -> Self {
        self + other
    }
    #[inline(always)]
    fn sub(self, _: Portable, other: Self) -> Self {
        self - other
    }
    #[inline(always)]
    fn mul(self, _: Portable, other: Self) -> Self {
        self * other
    }
    #[inline(always)]
    fn div(self, _: Portable, other: Self) -> Self {
        self / other
    }
    #[inline(always)]
    fn sqrt(self, _: Portable) -> Self {
        Self::sqrt(self)
    }
    #[inline(always)]
    fn abs(self, _: Portable) -> Self {
        Self::abs(self)
    }
    #[inline(always)]
    fn mul_add(self, _: Portable, factor: Self, addend: Self) -> Self {
        Self::mul_add(self, factor, addend)
    }
    #[inline(always)]
    fn select_greater(self, _: Portable, other: Self, then: Self, otherwise: Self) -> Self {
        self.simd_gt(other).bitselect(then, otherwise)
    }
    #[inline(always)]
    fn select_equal(self, _: Portable, other: Self, then: Self, otherwise: Self) -> Self {
        self.simd_eq(other).bitselect(then, otherwise)
    }
    #[inline(always)]
    fn low_bits_to_exponent(self, _: Portable) -> Self {
        bytemuck::cast(bytemuck::cast::<_, u32x4>(self) << 23_u32)
    }
    #[inline(always)]
    fn exponent(self, _: Portable) -> Self {
        // An integer in the low bits of 2^23 is that number plus 2^23.
        let biased = bytemuck::cast::<_, u32x4>(self) >> 23_u32;
        bytemuck::cast::<_, Self>(biased | u32x4::splat(0x4B00_0000_u32)) - Self::splat(8_388_608.0 + 127.0)
    }
    #[inline(always)]
    fn significand(self, _: Portable) -> Self {
        let fraction = bytemuck::cast::<_, u32x4>(self) & u32x4::splat(0x007F_FFFF_u32);
        bytemuck::cast(fraction | u32x4::splat(0x3F80_0000_u32))
    }
    #[inline(always)]
    fn add_neighbours<const D: usize>(self, _: Portable, other: Self) -> Self {
        const { assert!(D.is_power_of_two() && D <= 8) };
        let (a, b) = (self.to_array(), other.to_array());
        let sum = |i: usize| if i & D == 0 { a[i] + a[(i ^ D) % 4] } else { b[i] + b[(i ^ D) % 4] };
        f32x4::from([sum(0), sum(1), sum(2), sum(3)])
    }
    #[inline(always)]
    fn transpose(_: Portable, rows: &mut [Self; MAX_LANES]) {
        let [a, b, c, d, ..] = *rows;
        rows[..4].copy_from_slice(&f32x4::transpose([a, b, c, d]));
    }
    #[inline(always)]
    fn interleave_halves(self, _: Portable) -> Self {
        let [a, b, c, d] = self.to_array();
        f32x4::from([a, c, b, d])
    }
    #[inline(always)]
    fn reduce_sum(self, _: Portable) -> f32 {
        let [a, b, c, d] = self.to_array();
        (a + c) + (b + d)
    }
}

impl Lanes<Portable, f64> for f64x2 {
    const COUNT: usize = 2;

    #[inline(always)]
    fn splat(_: Portable, x: f64) -> Self {
        Self::splat(x)
    }
    #[inline(always)]
    unsafe fn load(_: Portable, source: *const f64) -> Self {
        // SAFETY: the caller promises 2 readable elements.
        Self::from(unsafe { source.cast::<[f64; 2]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn load_partial(_: Portable, source: *const f64, count: usize) -> Self {
        let mut buffer = [0.0; 2];
        // SAFETY: the caller promises `count <= 2` readable elements; `buffer` has room for them and is disjoint.
        unsafe { std::ptr::copy_nonoverlapping(source, buffer.as_mut_ptr(), count) };
        Self::from(buffer)
    }
    #[inline(always)]
    unsafe fn load_twice(_: Portable, source: *const f64) -> Self {
        // SAFETY: the caller promises a readable element.
        f64x2::splat(unsafe { *source })
    }
    #[inline(always)]
    unsafe fn load_twice_partial(_: Portable, _: *const f64, _: usize) -> Self {
        // Half a vector is one lane: less than that is none.
        f64x2::splat(0.0)
    }
    #[inline(always)]
    unsafe fn load_bytes(_: Portable, source: *const u8) -> Self {
        // SAFETY: the caller promises 2 readable bytes.
        let bytes = unsafe { source.cast::<[u8; 2]>().read_unaligned() };
        Self::from(bytes.map(f64::from))
    }
    #[inline(always)]
    unsafe fn store(self, _: Portable, target: *mut f64) {
        // SAFETY: the caller promises 2 writable elements.
        unsafe { target.cast::<[f64; 2]>().write_unaligned(self.to_array()) }
    }
    #[inline(always)]
    unsafe fn store_partial(self, _: Portable, target: *mut f64, count: usize) {
        if count > 0 {
            // SAFETY: the caller promises `count < 2` writable elements.
            unsafe { target.write(self.to_array()[0]) };
        }
    }
    #[inline(always)]
    fn add(self, _: Portable, other: Self) -> Self {
        self + other
    }
    #[inline(always)]
    fn sub(self, _: Portable, other: Self) -> Self {
        self - other
    }
    #[inline(always)]
    fn mul(self, _: Portable, other: Self) -> Self {
        self * other
    }
    #[inline(always)]
    fn div(self, _: Portable, other: Self) -> Self {
        self / other
    }
    #[inline(always)]
    fn sqrt(self, _: Portable) -> Self {
        Self::sqrt(self)
    }
    #[inline(always)]
    fn abs(self, _: Portable) -> Self {
        Self::abs(self)
    }
    #[inline(always)]
    fn mul_add(self, _: Portable, factor: Self, addend: Self) -> Self {
        Self::mul_add(self, factor, addend)
    }
    #[inline(always)]
    fn select_greater(self, _: Portable, other: Self, then: Self, otherwise: Self) -> Self {
        self.simd_gt(other).bitselect(then, otherwise)
    }
    #[inline(always)]
    fn select_equal(self, _: Portable, other: Self, then: Self, otherwise: Self) -> Self {
        self.simd_eq(other).bitselect(then, otherwise)
    }
    #[inline(always)]
    fn low_bits_to_exponent(self, _: Portable) -> Self {
        bytemuck::cast(bytemuck::cast::<_, u64x2>(self) << 52_u32)
    }
    #[inline(always)]
    fn exponent(self, _: Portable) -> Self {
        // An integer in the low bits of 2^52 is that number plus 2^52.
        let biased = bytemuck::cast::<_, u64x2>(self) >> 52_u32;
        bytemuck::cast::<_, Self>(biased | u64x2::splat(0x4330_0000_0000_0000_u64))
            - Self::splat(4_503_599_627_370_496.0 + 1023.0)
    }
    #[inline(always)]
    fn significand(self, _: Portable) -> Self {
        let fraction = bytemuck::cast::<_, u64x2>(self) & u64x2::splat(0x000F_FFFF_FFFF_FFFF_u64);
        bytemuck::cast(fraction | u64x2::splat(0x3FF0_0000_0000_0000_u64))
    }
    #[inline(always)]
    fn add_neighbours<const D: usize>(self, _: Portable, other: Self) -> Self {
        const { assert!(D.is_power_of_two() && D <= 8) };
        let ([a, b], [c, d]) = (self.to_array(), other.to_array());
        f64x2::from([a + b, c + d])
    }
    #[inline(always)]
    fn transpose(_: Portable, rows: &mut [Self; MAX_LANES]) {
        let [a, b, ..] = *rows;
        rows[..2].copy_from_slice(&f64x2::transpose([a, b]));
    }
    #[inline(always)]
    fn interleave_halves(self, _: Portable) -> Self {
        self
    }
    #[inline(always)]
    fn reduce_sum(self, _: Portable) -> f64 {
        let [a, b] = self.to_array();
        a + b
    }
}
