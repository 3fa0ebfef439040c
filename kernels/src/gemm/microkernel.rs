//! The micro-kernel: one MR x NR tile of C, its sums in registers.

use crate::aligned::CACHE_LINE;
use crate::caches::caches;
use crate::isa::{Isa, Lanes, Scalar, TileKernel};
use crate::matrix::MatMut;

/// What of A and B a kernel prefetches: nothing.
pub(super) const NOTHING: u8 = 0;
/// Rows of B that it reads itself, a few steps of the depth later.
pub(super) const B_AHEAD: u8 = 1;
/// With each row of B, that of the next tile.
pub(super) const NEXT_B: u8 = 2;
/// With each cache line of its rows of A, those of the rows that come next.
pub(super) const NEXT_A: u8 = 3;

/// Where a micro-kernel finds its rows of A: the element of row `i` at step `p` lies at `first + i stride + p`, or, if
/// `across` rows are adjacent, at `first + i + p stride`.
#[derive(Clone, Copy)]
pub(super) struct PanelOfA<T> {
    pub first: *const T,
    pub stride: isize,
    pub across: bool,
}

/// A tile of C and what its elements are made of: C <- alpha A B + beta C.
pub(super) struct Tile<T> {
    pub depth: usize,
    pub a: PanelOfA<T>,
    pub b: *const T,
    pub b_stride: isize,
    /// How far from each row of B that of the next tile lies: for a kernel that prefetches [`NEXT_B`].
    pub b_next: isize,
    /// How far from each row of A the one lies that comes in its place: for a kernel that prefetches [`NEXT_A`].
    pub a_next: isize,
    pub alpha: T,
    pub beta: T,
    /// The first element of the tile of C, whose columns are adjacent.
    pub c: *mut T,
    pub c_stride: isize,
    /// The first element of the tile of C that is prefetched.
    pub c_next: *const T,
    /// What of C is prefetched while a tile is computed.
    pub prefetch_c: PrefetchC,
    /// Rows of C, and columns: more than all vectors but the last have, and at most as many as all have.
    pub rows: usize,
    pub cols: usize,
}

/// Which tile of a C that lies far out is prefetched while one is computed.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum PrefetchC {
    Nothing,
    /// The next one.
    NextTile,
    /// The one below, of the next rows: it arrives in the second-level cache before their turn comes.
    TileBelow,
}

/// The most steps of the depth of a tile that takes less time than its C does to arrive from memory.
const SHALLOW: usize = 64;

/// Whether C lies further out than in the second-level cache, of which one that fills a quarter is left there by whoever
/// uses it. To prefetch nearer lines costs more than to wait for them.
pub(super) fn is_c_far<T: Scalar>(c: &MatMut<'_, T>) -> bool {
    c.rows().saturating_mul(c.cols()) > caches().second / 4 / size_of::<T>()
}

/// Computes a tile, whose A is `across` if it is to be `ACROSS`: a constant, so that no address takes a chain of additions.
///
/// Whoever makes one promises that A has as many readable rows of `depth` steps as the tile has rows, that B's row `p`,
/// which starts at `b + p b_stride`, is readable in as many whole vectors as the tile has (or, of a `CUT` tile, whose last
/// vector is not whole, in `cols` elements), and that the tile of C is readable and writable. With `beta` zero, C is not
/// read. Each element is one chain of multiply-adds in the order of the depth, the same wherever in a tile it lies and
/// whatever the tile's extents are.
///
/// It is a reference: to copy so many fields on the way to the tile costs as much as a small tile.
pub(super) struct MicroKernel<'a, T, const ACROSS: bool, const CUT: bool, const PREFETCH: u8>(pub &'a Tile<T>);

impl<T: Scalar, const ACROSS: bool, const CUT: bool, const PREFETCH: u8> TileKernel
    for MicroKernel<'_, T, ACROSS, CUT, PREFETCH>
{
    type Output = ();

    #[inline(always)]
    fn run<S: Isa, const ROWS: usize, const VECTORS: usize>(self, isa: S) {
        self.0.prefetch_next::<S, ROWS, VECTORS>(isa);
        // SAFETY: whoever makes a `MicroKernel` promises `depth` steps of `ROWS` rows of A and of `VECTORS` vectors of B, and
        // the tile of C.
        unsafe {
            let sums = self.0.accumulate::<S, ACROSS, CUT, false, PREFETCH, ROWS, VECTORS>(isa);
            self.0.write(isa, sums);
        }
    }
}

/// Computes a whole tile whose B has the strides of a packed panel, and whose A has if it is `ACROSS`: as a [`MicroKernel`], but the
/// strides are constants, which leaves a step with nothing but its loads and multiply-adds.
///
/// Whoever makes one promises what a `MicroKernel` needs, and that the tile [is dense](Tile::is_dense).
pub(super) struct DenseKernel<'a, T, const ACROSS: bool>(pub &'a Tile<T>);

impl<T: Scalar, const ACROSS: bool> TileKernel for DenseKernel<'_, T, ACROSS> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa, const ROWS: usize, const VECTORS: usize>(self, isa: S) {
        self.0.prefetch_next::<S, ROWS, VECTORS>(isa);
        // SAFETY: as for a `MicroKernel`; the strides are those of whole panels by the contract.
        unsafe {
            let sums = self.0.accumulate::<S, ACROSS, false, true, NOTHING, ROWS, VECTORS>(isa);
            self.0.write(isa, sums);
        }
    }
}

/// Computes a tile of a few rows, as wide as B's panel has whole vectors, whose A is not across: as a
/// [`MicroKernel`], but few rows read B, so its rows are prefetched: [`B_AHEAD`], or from afar [`NEXT_B`].
pub(super) struct WideKernel<'a, T, const PREFETCH: u8>(pub &'a Tile<T>);

/// Steps of the depth before which a row of B is prefetched.
const STEPS_AHEAD: isize = 4;

impl<T: Scalar, const PREFETCH: u8> TileKernel for WideKernel<'_, T, PREFETCH> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa, const ROWS: usize, const VECTORS: usize>(self, isa: S) {
        // SAFETY: as for a `MicroKernel`.
        unsafe {
            let sums = self.0.accumulate::<S, false, false, false, PREFETCH, ROWS, VECTORS>(isa);
            self.0.write(isa, sums);
        }
    }
}

impl<T: Scalar> Tile<T> {
    /// What all tiles of `c` share, for sums over `depth` steps; where their rows and columns are is left open.
    #[inline(always)]
    pub fn first_of(c: &MatMut<'_, T>, alpha: T, beta: T, depth: usize) -> Self {
        let (first, nowhere) = (c.element(0, 0), std::ptr::null());
        let a = PanelOfA { first: nowhere, stride: 0, across: false };
        let c_stride = c.row_stride();
        let prefetch_c = match is_c_far(c) {
            false => PrefetchC::Nothing,
            true if depth > SHALLOW => PrefetchC::NextTile,
            true => PrefetchC::TileBelow,
        };
        Self {
            depth,
            a,
            b: nowhere,
            b_stride: 0,
            b_next: 0,
            a_next: 0,
            alpha,
            beta,
            c: first,
            c_stride,
            c_next: first,
            prefetch_c,
            rows: 0,
            cols: 0,
        }
    }

    /// Where row `i` of the tile of C starts.
    #[inline(always)]
    fn line(&self, i: usize) -> *mut T {
        self.c.wrapping_offset(i as isize * self.c_stride)
    }

    /// Whether B, and A if its rows are adjacent, are whole panels of a copy: their strides are the tile's extents.
    #[inline(always)]
    pub fn is_dense<S: Isa>(&self) -> bool {
        let (rows, cols) = (S::GEMM_ROWS, S::GEMM_VECTORS * T::Lanes::<S>::COUNT);
        // What most often is not so comes first.
        self.b_stride == cols as isize
            && (self.rows, self.cols) == (rows, cols)
            && (!self.a.across || self.a.stride == rows as isize)
    }

    /// Prefetches another tile of a C that lies far out: it is on its way while this one is computed.
    #[inline(always)]
    fn prefetch_next<S: Isa, const ROWS: usize, const VECTORS: usize>(&self, isa: S) {
        let lines = |prefetch: fn(S, *const T)| {
            for i in 0..ROWS {
                let line = self.c_next.wrapping_offset(i as isize * self.c_stride);
                for v in 0..VECTORS {
                    prefetch(isa, line.wrapping_add(v * T::Lanes::<S>::COUNT));
                }
            }
        };
        match self.prefetch_c {
            PrefetchC::Nothing => {}
            PrefetchC::NextTile => lines(S::prefetch),
            PrefetchC::TileBelow => lines(S::prefetch_second),
        }
    }

    /// The sums over the depth: `sums[i][v]` is row i of A times vector v of B.
    ///
    /// # Safety
    /// What the maker of a `MicroKernel` promises of A and B.
    #[inline(always)]
    unsafe fn accumulate<
        S,
        const ACROSS: bool,
        const CUT: bool,
        const DENSE: bool,
        const PREFETCH: u8,
        const ROWS: usize,
        const VECTORS: usize,
    >(
        &self,
        isa: S,
    ) -> [[T::Lanes<S>; VECTORS]; ROWS]
    where
        S: Isa,
    {
        let PanelOfA { first: mut a, stride, .. } = self.a;
        let step = match (ACROSS, DENSE) {
            (true, true) => ROWS as isize,
            (true, false) => stride,
            (false, _) => 1,
        };
        let b_stride = if DENSE { (VECTORS * T::Lanes::<S>::COUNT) as isize } else { self.b_stride };
        let mut b = self.b;
        let mut sums = [[T::Lanes::<S>::splat(isa, T::ZERO); VECTORS]; ROWS];
        // With a mask or one more address beside, the registers do not hold what the compiler reads early.
        let unroll = match PREFETCH {
            _ if CUT => 1,
            NEXT_B => S::UNROLL.div_ceil(2),
            _ => S::UNROLL,
        };
        // Rows of A are prefetched by the line.
        let stretch = if PREFETCH == NEXT_A { CACHE_LINE / size_of::<T>() } else { usize::MAX };
        let mut beyond = self.depth;
        while beyond > 0 {
            let mut left = beyond.min(stretch);
            beyond -= left;
            if PREFETCH == NEXT_A {
                for i in 0..ROWS as isize {
                    isa.prefetch_second(a.wrapping_offset(i * stride).wrapping_offset(self.a_next));
                }
            }
            while left >= unroll {
                for u in 0..unroll as isize {
                    let (a, b) = (a.wrapping_offset(u * step), b.wrapping_offset(u * b_stride));
                    // SAFETY: at least `unroll` steps are left.
                    unsafe { self.step::<S, ACROSS, CUT, PREFETCH, ROWS, VECTORS>(isa, a, b, &mut sums) };
                }
                left -= unroll;
                a = a.wrapping_offset(unroll as isize * step);
                b = b.wrapping_offset(unroll as isize * b_stride);
            }
            while left > 0 {
                // SAFETY: at least one step is left.
                unsafe { self.step::<S, ACROSS, CUT, PREFETCH, ROWS, VECTORS>(isa, a, b, &mut sums) };
                left -= 1;
                a = a.wrapping_offset(step);
                b = b.wrapping_offset(b_stride);
            }
        }
        sums
    }

    /// Adds one step of the depth, whose rows of A and of B start at `a` and `b`.
    ///
    /// # Safety
    /// What the maker of a `MicroKernel` promises of A and B.
    #[inline(always)]
    unsafe fn step<
        S,
        const ACROSS: bool,
        const CUT: bool,
        const PREFETCH: u8,
        const ROWS: usize,
        const VECTORS: usize,
    >(
        &self,
        isa: S,
        a: *const T,
        b: *const T,
        sums: &mut [[T::Lanes<S>; VECTORS]; ROWS],
    ) where
        S: Isa,
    {
        let lanes = T::Lanes::<S>::COUNT;
        let row_stride = if ACROSS { 1 } else { self.a.stride };
        let last = self.cols.wrapping_sub((VECTORS - 1) * lanes);
        let mut row = [T::Lanes::<S>::splat(isa, T::ZERO); VECTORS];
        for (v, vector) in row.iter_mut().enumerate() {
            let source = b.wrapping_add(v * lanes);
            *vector = if CUT && v == VECTORS - 1 {
                // SAFETY: the last vector of this row of B has `last` readable elements, by the contract.
                unsafe { T::Lanes::<S>::load_partial(isa, source, last) }
            } else {
                // SAFETY: vector `v` of this row of B is readable, by the contract.
                unsafe { T::Lanes::<S>::load(isa, source) }
            };
            // Where rows straddle cache lines, a stretch's first line was fetched with the stretch before it: so the line of its last element
            // is fetched. (The first tile of a block has nobody before it.)
            match PREFETCH {
                B_AHEAD => {
                    let ahead = STEPS_AHEAD.wrapping_mul(self.b_stride);
                    isa.prefetch(source.wrapping_offset(ahead).wrapping_add(lanes - 1));
                }
                NEXT_B if (v * lanes * size_of::<T>()).is_multiple_of(CACHE_LINE) => {
                    let line = CACHE_LINE / size_of::<T>();
                    isa.prefetch_second(source.wrapping_offset(self.b_next).wrapping_add(line - 1));
                }
                _ => {}
            }
        }
        for (i, sum) in sums.iter_mut().enumerate() {
            // SAFETY: row `i < ROWS` of this depth step of A is readable, by the contract.
            let x = T::Lanes::<S>::splat(isa, unsafe { *a.offset(i as isize * row_stride) });
            for (sum, &vector) in sum.iter_mut().zip(&row) {
                *sum = x.mul_add(isa, vector, *sum);
            }
        }
    }

    /// Writes `alpha sums + beta C` to C.
    ///
    /// # Safety
    /// What the maker of a `MicroKernel` promises of C.
    #[inline(always)]
    unsafe fn write<S: Isa, const ROWS: usize, const VECTORS: usize>(
        &self,
        isa: S,
        sums: [[T::Lanes<S>; VECTORS]; ROWS],
    ) {
        let whole = self.cols == VECTORS * T::Lanes::<S>::COUNT;
        let (scale, read) = (self.alpha != T::ONE, self.beta != T::ZERO);
        // What is decided here is not decided again for each vector.
        // SAFETY: the caller's promise.
        unsafe {
            match (whole, read) {
                (true, false) if !scale => self.update::<S, true, false, false, ROWS, VECTORS>(isa, sums),
                (true, false) => self.update::<S, true, true, false, ROWS, VECTORS>(isa, sums),
                (true, true) => self.update::<S, true, true, true, ROWS, VECTORS>(isa, sums),
                (false, false) => self.update::<S, false, true, false, ROWS, VECTORS>(isa, sums),
                (false, true) => self.update::<S, false, true, true, ROWS, VECTORS>(isa, sums),
            }
        }
    }

    /// Writes `alpha sums + beta C` to C: `alpha` is 1 unless it is to `SCALE`, and `beta` 0 unless it is to `READ`; the last
    /// vector is cut unless the tile is `WHOLE`.
    ///
    /// # Safety
    /// What the maker of a `MicroKernel` promises of C.
    #[inline(always)]
    unsafe fn update<
        S,
        const WHOLE: bool,
        const SCALE: bool,
        const READ: bool,
        const ROWS: usize,
        const VECTORS: usize,
    >(
        &self,
        isa: S,
        sums: [[T::Lanes<S>; VECTORS]; ROWS],
    ) where
        S: Isa,
    {
        let lanes = T::Lanes::<S>::COUNT;
        let alpha = T::Lanes::<S>::splat(isa, self.alpha);
        let beta = T::Lanes::<S>::splat(isa, self.beta);
        let last = self.cols.wrapping_sub((VECTORS - 1) * lanes);
        for (i, sums) in sums.iter().enumerate() {
            for (v, &sum) in sums.iter().enumerate() {
                let target = self.line(i).wrapping_add(v * lanes);
                let scaled = if SCALE { sum.mul(isa, alpha) } else { sum };
                if WHOLE || v < VECTORS - 1 {
                    // SAFETY: a whole vector of this row lies within `cols`.
                    unsafe {
                        let old = || T::Lanes::<S>::load(isa, target);
                        let new = if READ { beta.mul_add(isa, old(), scaled) } else { scaled };
                        new.store(isa, target);
                    }
                } else {
                    // SAFETY: `last` elements of this vector lie within `cols`.
                    unsafe {
                        let old = || T::Lanes::<S>::load_partial(isa, target, last);
                        let new = if READ { beta.mul_add(isa, old(), scaled) } else { scaled };
                        new.store_partial(isa, target, last);
                    }
                }
            }
        }
    }
}
