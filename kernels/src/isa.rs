//! The lane vocabulary: what a kernel may ask of a processor.
//!
//! A kernel is written once, generic over a token `S: Isa`. The token is a zero-sized proof that the processor has the
//! instructions of its [`Level`]: only [`crate::dispatch`] makes one, after it has asked the processor,
//! or a wider one proves its half. Each lane
//! operation takes the token, so that none can be reached without that proof.
//!
//! Rust compiles an intrinsic to one instruction only inside a function that carries the matching `#[target_feature]`.
//! One function a token does: [`Isa::vectorize`], the trampoline. Whatever lies between it and the
//! intrinsics must be `#[inline(always)]`, and no closure may be handed to another thread there (it would lose the
//! feature and run many times slower): threads outside, trampoline inside.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
pub(crate) mod portable;

use std::fmt;

/// An instruction-set level that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// 128-bit lanes that every processor of the target has (SSE2, NEON, wasm), without fused multiply-add on x86.
    Portable,
    /// 256-bit lanes with fused multiply-add (x86-64-v3).
    Avx2,
    /// 512-bit lanes with masks (AVX-512 F, VL, BW, DQ).
    Avx512,
}

impl Level {
    /// Every level, narrowest lanes first.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    /// The name that `LANEGRAD_ISA` understands and reports print.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
    impl Sealed for u8 {}
}
pub(crate) use sealed::Sealed;

/// Work that is generic over the instruction set.
///
/// Give it to [`crate::dispatch::dispatch`], which calls `run` with the best token (outside of any
/// `#[target_feature]` function: the place to start threads), or to [`Isa::vectorize`], which calls it inside the
/// token's trampoline (the place for loops over lanes; `run` and all it calls must then be `#[inline(always)]`).
pub trait Kernel {
    /// What the work returns.
    type Output;
    /// Does the work with the instructions that `isa` proves to be there.
    fn run<S: Isa>(self, isa: S) -> Self::Output;
}

/// A register tile's kernel: its two extents must be constants, so that the accumulators live in registers.
///
/// `run` and all it calls must be `#[inline(always)]`.
pub trait TileKernel {
    /// What the work returns.
    type Output;
    /// Does the work for a tile of `A` by `B`; which extents these are is the business of the method that chose them.
    fn run<S: Isa, const A: usize, const B: usize>(self, isa: S) -> Self::Output;
}

/// A tile kernel at chosen extents: what a trampoline runs, and what a disassembly shows in its symbol's name.
pub(crate) struct Tile<K, const A: usize, const B: usize>(pub K);

impl<K: TileKernel, const A: usize, const B: usize> Kernel for Tile<K, A, B> {
    type Output = K::Output;
    #[inline(always)]
    fn run<S: Isa>(self, isa: S) -> K::Output {
        self.0.run::<S, A, B>(isa)
    }
}

/// A token: the proof that the processor has the instructions of one [`Level`], and that level's register-tile shapes.
pub trait Isa: Copy + Send + Sync + fmt::Debug + Sealed + 'static {
    /// The level whose instructions this token proves.
    const LEVEL: Level;
    /// Whether [`Lanes::load_partial`] is one masked instruction, fit for an inner loop.
    const MASKS: bool;
    /// Whether [`Isa::prefetch`] is an instruction.
    const PREFETCHES: bool;
    /// Whether there are lanes of half the width, which a core of that width computes in half the time.
    const HALVES: bool;
    /// Rows of the GEMM micro-tile (MR).
    const GEMM_ROWS: usize;
    /// Rows of the GEMM micro-tile that is one vector wide: no fewer than `GEMM_ROWS`.
    const SLIM_ROWS: usize;
    /// Vectors in a row of the GEMM micro-tile (NR = this many times the lane count).
    const GEMM_VECTORS: usize;
    /// Steps of the depth that a GEMM micro-kernel takes in one go. Where a step is few instructions, those that count steps
    /// are many among them, and a core may share its front end with another thread.
    const UNROLL: usize;
    /// Samples of the score micro-tile.
    const SCORE_ROWS: usize;
    /// Classes of the score micro-tile.
    const SCORE_CLASSES: usize;
    /// Vectors in a row of the GEMM micro-tile of a few rows, for each number of rows from 0 on.
    const WIDE_VECTORS: &'static [usize];
    /// Rows of the micro-tile of a narrow product, for each number of pairs of columns from 0 to 7.
    const PAIR_ROWS: [usize; 8];
    /// Classes of the weight-gradient micro-tile.
    const GRADIENT_CLASSES: usize;
    /// Vectors of features in the weight-gradient micro-tile.
    const GRADIENT_VECTORS: usize;

    /// Lanes of `f32`.
    type F32: Lanes<Self, f32>;
    /// Lanes of `f64`.
    type F64: Lanes<Self, f64>;

    /// The trampoline: runs `kernel` inside a function that carries this level's `#[target_feature]`.
    ///
    /// It is never inlined, so each kernel is a function of its own.
    fn vectorize<K: Kernel>(self, kernel: K) -> K::Output;

    /// Runs a GEMM micro-kernel for `rows` in `1..=GEMM_ROWS` and `vectors` in `1..=GEMM_VECTORS`, or for `rows` in `1..=SLIM_ROWS` and
    /// one vector, as `run::<S, rows, vectors>`.
    fn gemm_tile<K: TileKernel>(self, rows: usize, vectors: usize, kernel: K) -> K::Output;

    /// Runs a GEMM micro-kernel for `rows` in `5..=GEMM_ROWS`, as `run::<S, rows, GEMM_VECTORS>`.
    fn high_tile<K: TileKernel>(self, rows: usize, kernel: K) -> K::Output;

    /// Runs a GEMM micro-kernel for `rows` in `1..=GEMM_ROWS`, as `run::<H, rows, 1>`, where the lanes of H are half as many.
    fn half_tile<K: TileKernel>(self, rows: usize, kernel: K) -> K::Output;

    /// Runs a GEMM micro-kernel as `run::<S, GEMM_ROWS, GEMM_VECTORS>`.
    fn whole_gemm_tile<K: TileKernel>(self, kernel: K) -> K::Output;

    /// Runs a score micro-kernel for `rows` of 1 or `SCORE_ROWS` and `classes` in `1..=SCORE_CLASSES`, as
    /// `run::<S, rows, classes>`.
    fn score_tile<K: TileKernel>(self, rows: usize, classes: usize, kernel: K) -> K::Output;

    /// Runs a GEMM micro-kernel for `rows` in `1..WIDE_VECTORS.len()`, as `run::<S, rows, WIDE_VECTORS[rows]>`.
    fn wide_tile<K: TileKernel>(self, rows: usize, kernel: K) -> K::Output;

    /// Runs the micro-kernel of a narrow product for `pairs` in `1..=7`, as `run::<S, PAIR_ROWS[pairs], pairs>`, or with half as many
    /// rows, rounded up, if it `is_low`.
    fn pair_tile<K: TileKernel>(self, pairs: usize, is_low: bool, kernel: K) -> K::Output;

    /// Runs a weight-gradient micro-kernel for `classes` in `1..=GRADIENT_CLASSES` and `vectors` of 1 or
    /// `GRADIENT_VECTORS`, as `run::<S, classes, vectors>`.
    fn gradient_tile<K: TileKernel>(self, classes: usize, vectors: usize, kernel: K) -> K::Output;

    /// Asks for the cache line at `address` to be brought near. A hint: any address is allowed.
    fn prefetch<T>(self, address: *const T);

    /// Asks for the cache line at `address` to be brought to the second-level cache. A hint: any address is allowed.
    fn prefetch_second<T>(self, address: *const T);
}

/// An element type of weights, scores and matrices: `f32` or `f64`.
pub trait Scalar:
    Sealed
    + Copy
    + Default
    + PartialOrd
    + fmt::Debug
    + fmt::Display
    + Send
    + Sync
    + bytemuck::Pod
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Neg<Output = Self>
    + std::ops::AddAssign
    + 'static
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Explicit bits of the significand: 23 or 52.
    const MANTISSA_BITS: u32;
    /// Spacing of the numbers just above 1.
    const EPSILON: Self;
    /// Smallest positive number that is not subnormal.
    const MIN_POSITIVE: Self;
    /// Infinity.
    const INFINITY: Self;
    /// Not a number.
    const NAN: Self;

    /// What [`crate::math::exp()`] needs to know of this type.
    #[doc(hidden)]
    const EXP: crate::math::ExpConstants<Self>;
    /// What [`crate::math::ln_lanes`] needs to know of this type.
    #[doc(hidden)]
    const LN: crate::math::LnConstants<Self>;

    /// This type's lanes at the level of `S`.
    type Lanes<S: Isa>: Lanes<S, Self>;

    /// Rounds `x` to this type.
    fn from_f64(x: f64) -> Self;
    /// Widens `self`, exactly.
    fn to_f64(self) -> f64;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// Rows as columns, by shuffles that every processor has.
    fn transpose(block: [[Self; 4]; 4]) -> [[Self; 4]; 4];
}

impl Scalar for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const MANTISSA_BITS: u32 = 23;
    const EPSILON: Self = f32::EPSILON;
    const MIN_POSITIVE: Self = f32::MIN_POSITIVE;
    const INFINITY: Self = f32::INFINITY;
    const NAN: Self = f32::NAN;
    const EXP: crate::math::ExpConstants<Self> = crate::math::ExpConstants::F32;
    const LN: crate::math::LnConstants<Self> = crate::math::LnConstants::F32;
    type Lanes<S: Isa> = S::F32;

    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x as f32
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        f32::ln(self)
    }
    #[inline(always)]
    fn transpose(block: [[Self; 4]; 4]) -> [[Self; 4]; 4] {
        wide::f32x4::transpose(block.map(wide::f32x4::from)).map(|row| row.to_array())
    }
}

impl Scalar for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const MANTISSA_BITS: u32 = 52;
    const EPSILON: Self = f64::EPSILON;
    const MIN_POSITIVE: Self = f64::MIN_POSITIVE;
    const INFINITY: Self = f64::INFINITY;
    const NAN: Self = f64::NAN;
    const EXP: crate::math::ExpConstants<Self> = crate::math::ExpConstants::F64;
    const LN: crate::math::LnConstants<Self> = crate::math::LnConstants::F64;
    type Lanes<S: Isa> = S::F64;

    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn ln(self) -> Self {
        f64::ln(self)
    }
    #[inline(always)]
    fn transpose([a, b, c, d]: [[Self; 4]; 4]) -> [[Self; 4]; 4] {
        let quarter = |a: [f64; 4], b: [f64; 4], j: usize| {
            let rows = [[a[j], a[j + 1]], [b[j], b[j + 1]]];
            wide::f64x2::transpose(rows.map(wide::f64x2::from)).map(|row| row.to_array())
        };
        let join = |left: [f64; 2], right: [f64; 2]| [left[0], left[1], right[0], right[1]];
        let [[e, f], [g, h]] = [quarter(a, b, 0), quarter(c, d, 0)];
        let [[i, j], [k, l]] = [quarter(a, b, 2), quarter(c, d, 2)];
        [join(e, g), join(f, h), join(i, k), join(j, l)]
    }
}

/// The widest lane count of any level and type: how large a buffer for one vector must be.
pub const MAX_LANES: usize = 16;

/// One vector register of `T` at the level of `S`.
///
/// Every operation works lane by lane, rounds each result once (but [`Lanes::mul_add`] at a level without fused
/// multiply-add: twice) and costs one or two instructions, [`Lanes::transpose`] as many for each of its rows.
pub trait Lanes<S: Isa, T: Scalar>: Copy {
    /// Number of lanes.
    const COUNT: usize;

    /// `x` in every lane.
    fn splat(isa: S, x: T) -> Self;

    /// `COUNT` elements from `source`, which needs no alignment.
    ///
    /// # Safety
    /// `source` is valid for reads of `COUNT` elements.
    unsafe fn load(isa: S, source: *const T) -> Self;

    /// `count <= COUNT` elements from `source`, and zero in the lanes beyond.
    ///
    /// # Safety
    /// `source` is valid for reads of `count` elements.
    unsafe fn load_partial(isa: S, source: *const T, count: usize) -> Self;

    /// `COUNT / 2` elements from `source`, twice.
    ///
    /// # Safety
    /// `source` is valid for reads of `COUNT / 2` elements.
    unsafe fn load_twice(isa: S, source: *const T) -> Self;

    /// `count < COUNT / 2` elements from `source`, filled up with zeros, twice.
    ///
    /// # Safety
    /// `source` is valid for reads of `count` elements.
    unsafe fn load_twice_partial(isa: S, source: *const T, count: usize) -> Self;

    /// `COUNT` bytes from `source`, each converted to `T` (exactly).
    ///
    /// # Safety
    /// `source` is valid for reads of `COUNT` bytes.
    unsafe fn load_bytes(isa: S, source: *const u8) -> Self;

    /// Writes all lanes to `target`, which needs no alignment.
    ///
    /// # Safety
    /// `target` is valid for writes of `COUNT` elements.
    unsafe fn store(self, isa: S, target: *mut T);

    /// Writes the first `count < COUNT` lanes to `target`; all of them are written by [`Lanes::store`].
    ///
    /// # Safety
    /// `target` is valid for writes of `count` elements.
    unsafe fn store_partial(self, isa: S, target: *mut T, count: usize);

    /// `self + other`.
    fn add(self, isa: S, other: Self) -> Self;
    /// `self - other`.
    fn sub(self, isa: S, other: Self) -> Self;
    /// `self * other`.
    fn mul(self, isa: S, other: Self) -> Self;
    /// `self / other`.
    fn div(self, isa: S, other: Self) -> Self;
    /// The square root; NaN of what is negative.
    fn sqrt(self, isa: S) -> Self;
    /// The absolute value: the sign bit cleared, that of a NaN too.
    fn abs(self, isa: S) -> Self;
    /// `self * factor + addend`.
    fn mul_add(self, isa: S, factor: Self, addend: Self) -> Self;
    /// Where `self > other` (false for NaN), `then`, else `otherwise`.
    fn select_greater(self, isa: S, other: Self, then: Self, otherwise: Self) -> Self;
    /// Where `self == other` (false for NaN), `then`, else `otherwise`.
    fn select_equal(self, isa: S, other: Self, then: Self, otherwise: Self) -> Self;
    /// The bits of each lane shifted left by `T::MANTISSA_BITS`: the low bits become sign and exponent.
    fn low_bits_to_exponent(self, isa: S) -> Self;
    /// The exponent of each lane as a number: e, where the lane is 2^e times its [`Lanes::significand`].
    ///
    /// For lanes that are positive, finite, and not subnormal; of others it is some number.
    fn exponent(self, isa: S) -> Self;
    /// The significand of each lane, in 1..2; for lanes as [`Lanes::exponent`] wants them.
    fn significand(self, isa: S) -> Self;
    /// The sum of all lanes, added pairwise in a fixed order.
    fn reduce_sum(self, isa: S) -> T;

    /// Sums of neighbours, where lanes i and i ^ `D` are neighbours: of `self` in the lanes whose number lacks the bit `D`, of
    /// `other` in those that have it. `D` is a power of two: less than `COUNT`, and at most 8.
    fn add_neighbours<const D: usize>(self, isa: S, other: Self) -> Self;
    /// The first `COUNT` rows as columns: lane i of the j-th is what was lane j of the i-th.
    fn transpose(isa: S, rows: &mut [Self; MAX_LANES]);
    /// Lane 0, the first of the upper half, lane 1, the second of the upper half, and so on.
    fn interleave_halves(self, isa: S) -> Self;

    /// The greater of the two; NaN where either is.
    #[inline(always)]
    fn max(self, isa: S, other: Self) -> Self {
        // A NaN compares false: one in `other` is what is left, and one in `self` must not be.
        let greater = self.select_greater(isa, other, self, other);
        self.select_equal(isa, self, greater, self)
    }

    /// The lesser of the two; NaN where either is.
    #[inline(always)]
    fn min(self, isa: S, other: Self) -> Self {
        let lesser = other.select_greater(isa, self, self, other);
        self.select_equal(isa, self, lesser, self)
    }

    /// Up to `COUNT` elements from `source`, and zero in the lanes beyond.
    #[inline(always)]
    fn read(isa: S, source: &[T]) -> Self {
        if source.len() >= Self::COUNT {
            // SAFETY: `source` has at least `COUNT` elements.
            unsafe { Self::load(isa, source.as_ptr()) }
        } else {
            // SAFETY: `source` has the `source.len() < COUNT` elements asked for.
            unsafe { Self::load_partial(isa, source.as_ptr(), source.len()) }
        }
    }

    /// Writes the first `target.len()` lanes, at most `COUNT`, to `target`.
    #[inline(always)]
    fn write(self, isa: S, target: &mut [T]) {
        if target.len() >= Self::COUNT {
            // SAFETY: `target` has at least `COUNT` elements.
            unsafe { self.store(isa, target.as_mut_ptr()) }
        } else {
            // SAFETY: `target` has the `target.len() < COUNT` elements asked for.
            unsafe { self.store_partial(isa, target.as_mut_ptr(), target.len()) }
        }
    }
}

/// An element that a kernel reads as lanes of `T`: `T` itself, or a byte, converted on the way into the register.
pub trait Element<T: Scalar>: Sealed + Copy + Send + Sync + bytemuck::Pod + 'static {
    /// The value as `T`, exactly.
    fn to_scalar(self) -> T;

    /// As many elements from `source` as `T` has lanes.
    ///
    /// # Safety
    /// `source` is valid for reads of that many elements.
    unsafe fn load<S: Isa>(isa: S, source: *const Self) -> T::Lanes<S>;

    /// `count` elements from `source`, fewer than `T` has lanes, and zero in the lanes beyond.
    ///
    /// # Safety
    /// `source` is valid for reads of `count` elements.
    unsafe fn load_partial<S: Isa>(isa: S, source: *const Self, count: usize) -> T::Lanes<S>;
}

impl<T: Scalar> Element<T> for T {
    #[inline(always)]
    fn to_scalar(self) -> T {
        self
    }
    #[inline(always)]
    unsafe fn load<S: Isa>(isa: S, source: *const Self) -> T::Lanes<S> {
        // SAFETY: the caller's promise is the one that `Lanes::load` asks for.
        unsafe { T::Lanes::<S>::load(isa, source) }
    }
    #[inline(always)]
    unsafe fn load_partial<S: Isa>(isa: S, source: *const Self, count: usize) -> T::Lanes<S> {
        // SAFETY: the caller's promise is the one that `Lanes::load_partial` asks for.
        unsafe { T::Lanes::<S>::load_partial(isa, source, count) }
    }
}

impl<T: Scalar> Element<T> for u8 {
    #[inline(always)]
    fn to_scalar(self) -> T {
        T::from_f64(f64::from(self))
    }
    #[inline(always)]
    unsafe fn load<S: Isa>(isa: S, source: *const Self) -> T::Lanes<S> {
        // SAFETY: the caller's promise is the one that `Lanes::load_bytes` asks for.
        unsafe { T::Lanes::<S>::load_bytes(isa, source) }
    }
    #[inline(always)]
    unsafe fn load_partial<S: Isa>(isa: S, source: *const Self, count: usize) -> T::Lanes<S> {
        let mut buffer = [0_u8; MAX_LANES];
        // SAFETY: the caller promises `count < COUNT <= MAX_LANES` readable bytes, and `buffer` is disjoint from them.
        unsafe { std::ptr::copy_nonoverlapping(source, buffer.as_mut_ptr(), count) };
        // SAFETY: `buffer` holds `MAX_LANES >= COUNT` bytes.
        unsafe { T::Lanes::<S>::load_bytes(isa, buffer.as_ptr()) }
    }
}
