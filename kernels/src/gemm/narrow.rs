//! Products with a few columns and a long depth: the vectors lie along the depth.
//!
//! With ten columns, vectors along the columns would waste six lanes of sixteen. Here a vector holds two columns of B, half a
//! vector of each along the depth, and meets the same half vector of a row of A twice: `n` columns take `n / 2` multiply-adds
//! for each half vector of depth, none of them wasted if `n` is even, and the few sums that a vector ends with are added up
//! across the vectors of a whole row of C at once.

use super::across::add_across;
use super::locality::is_far;
use super::output::through_copy;
use super::{Operands, pack, part};
use crate::groups::groups;
use crate::isa::{Isa, Lanes, MAX_LANES, Scalar, TileKernel};
use crate::parallel::{self, Divide, Grain};
use crate::workspace::with_scratch;

/// The most columns of B: with more, no level takes fewer cycles this way.
const COLUMNS: usize = 14;
/// Tiles that share each part of B while it is near.
const TILES: usize = 4;
/// The most rows of a tile that needs more of B in a cycle than comes from the second-level cache, at the level that unrolls
/// its tiles, AVX2: a vector of B meets each of the tile's rows once. The portable level multiplies too slowly for that, and
/// AVX-512 has higher tiles.
const LOW: usize = 2;
/// Bytes of a part of B that stays in the first-level cache beside the rows of A that pass through.
const NEAR: usize = 24 * 1024;
/// Tiles that are written to a copy of their rows of C where its columns are not adjacent.
const COPIED: usize = 4;
/// The most rows of a tile at any level.
const MAX_ROWS: usize = 8;
/// The most vectors of sums that are added up together.
const MAX_PAIRS: usize = MAX_LANES / 2;

/// The longest depth of a copy of B: with the rows of A that it meets it fits most second-level caches. A longer one is cut, in
/// the same places whatever the caches and threads are, as an element's bits depend on it.
const DEPTH: usize = 4096;

/// Multiply-adds that adding up the sums of a row costs, about.
const REDUCTION: usize = 12;

/// Whether vectors along the depth take fewer cycles for a row of C than vectors along its `n` columns.
pub(super) fn pays<S: Isa, T: Scalar>(n: usize, k: usize) -> bool {
    n <= COLUMNS && cost::<S, T>(n, k) < n.div_ceil(T::Lanes::<S>::COUNT) * k
}

/// Multiply-adds of vectors that a row of `n` columns takes this way, about.
pub(super) fn cost<S: Isa, T: Scalar>(n: usize, k: usize) -> usize {
    n.div_ceil(2) * k.div_ceil(T::Lanes::<S>::COUNT / 2) + REDUCTION
}

/// C <- epilogue(alpha A B + beta C), where A's rows are adjacent along the depth and B is narrow.
///
/// Each thread copies B for itself: what another core has just written takes longer to arrive.
pub(super) fn run<S: Isa, T: Scalar>(isa: S, operands: Operands<'_, T>, grain: Grain) {
    let rows = operands.a.rows();
    let grain = if rows > grain.items() { grain.at_least(rows.div_ceil(parallel::current())) } else { grain };
    // Few columns leave less time to prefetch than waiting costs (from the third-level cache, two are 1.15 to 1.3 times as fast without).
    let is_far = is_far(operands.a, if operands.b.cols() <= 4 { 3 } else { 8 });
    parallel::divide(NarrowProduct { isa, operands, is_far }, grain);
}

struct NarrowProduct<'a, S, T> {
    isa: S,
    operands: Operands<'a, T>,
    /// Whether A's rows are prefetched.
    is_far: bool,
}

impl<S: Isa, T: Scalar> Divide for NarrowProduct<'_, S, T> {
    fn length(&self) -> usize {
        self.operands.a.rows()
    }

    fn split(self, at: usize) -> (Self, Self) {
        let (top, bottom) = self.operands.split_rows(at);
        (Self { operands: top, ..self }, Self { operands: bottom, ..self })
    }

    fn run(self) {
        let Self { isa, operands: Operands { alpha, a, b, beta, mut c, epilogue }, is_far } = self;
        let (k, cols) = b.shape();
        let longest = part(b, 0, k.min(DEPTH), 0, cols);
        with_scratch(pack::pairs_length::<S, T>(longest), |pairs: &mut [T]| {
            for (first, depth) in groups(k, DEPTH) {
                let (a, b) = (part(a, 0, a.rows(), first, depth), part(b, first, depth, 0, cols));
                let beta = if first == 0 { beta } else { T::ONE };
                let pairs = &mut pairs[..pack::pairs_length::<S, T>(b)];
                pack::pack_pairs::<S, T>(b, pairs);
                let operands = Operands { alpha, a, b, beta, c: c.reborrow(), epilogue: Default::default() };
                NarrowProduct { isa, operands, is_far }.bands(pairs);
            }
        });
        epilogue.apply(isa, c);
    }
}

impl<S: Isa, T: Scalar> NarrowProduct<'_, S, T> {
    /// All rows, without the epilogue; `b` holds B in pairs of columns.
    fn bands(self, b: &[T]) {
        let Self { isa, operands, is_far } = self;
        let Operands { alpha, a, beta, mut c, .. } = operands;
        let (m, cols) = c.shape();
        let (depth, pairs) = (a.cols(), cols.div_ceil(2));
        assert!(m > 0 && cols <= COLUMNS);
        assert!(b.len() >= depth.next_multiple_of(T::Lanes::<S>::COUNT / 2) * 2 * pairs);
        let height = S::PAIR_ROWS[pairs];
        let rest = m % height;
        // A tile always has its height, and a low one is enough for a short rest.
        let high = if rest <= height.div_ceil(2) { m - rest } else { m };
        let most = if c.col_stride() == 1 { m } else { COPIED * height };
        for first in (0..high).step_by(most).chain((high..m).step_by(most)) {
            let is_low = first >= high;
            let end = if is_low { m } else { high };
            let rows = most.min(end - first);
            let mut band = PairBand {
                a: a.element(first, 0),
                a_stride: a.row_stride(),
                b: b.as_ptr(),
                depth,
                alpha,
                beta,
                c: c.element(first, 0),
                c_stride: c.row_stride(),
                rows,
                cols,
            };
            if c.col_stride() == 1 {
                band.run(isa, is_low, is_far);
            } else {
                let mut copy = [T::ZERO; COPIED * MAX_ROWS * COLUMNS];
                let target = c.reborrow().split_rows(first).1.split_rows(rows).0;
                through_copy(isa, target, beta, &mut copy, |c, c_stride| {
                    (band.c, band.c_stride) = (c, c_stride);
                    band.run(isa, is_low, is_far);
                });
            }
        }
    }
}

/// Tiles, one below the other: rows of C <- alpha A B + beta C.
///
/// Whoever makes one promises that `rows` rows of A, at least one and `a_stride` apart, have `depth` adjacent readable
/// elements, that `b` holds B's pairs of columns in whole half vectors of that depth, and that as many rows of C, `c_stride`
/// apart, are readable and writable in `cols` adjacent elements. With `beta` zero, C is not read.
struct PairBand<T> {
    a: *const T,
    a_stride: isize,
    b: *const T,
    depth: usize,
    alpha: T,
    beta: T,
    c: *mut T,
    c_stride: isize,
    rows: usize,
    cols: usize,
}

impl<T: Scalar> PairBand<T> {
    /// In low tiles if that `is_low`; of an A that `is_far`, the rows of the next tile are prefetched.
    fn run<S: Isa>(&self, isa: S, is_low: bool, is_far: bool) {
        let pairs = self.cols.div_ceil(2);
        // Apart, so that levels without the instruction do not compile it.
        #[allow(clippy::collapsible_if)]
        if S::PREFETCHES {
            if is_far {
                return isa.pair_tile(pairs, is_low, PrefetchingBand(self));
            }
        }
        isa.pair_tile(pairs, is_low, self);
    }
}

impl<T: Scalar> TileKernel for &PairBand<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa, const ROWS: usize, const PAIRS: usize>(self, isa: S) {
        self.compute::<S, false, ROWS, PAIRS>(isa);
    }
}

/// A band of an A that lies far out: with each row, the one that the next tile has in its place is prefetched.
struct PrefetchingBand<'a, T>(&'a PairBand<T>);

impl<T: Scalar> TileKernel for PrefetchingBand<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa, const ROWS: usize, const PAIRS: usize>(self, isa: S) {
        self.0.compute::<S, true, ROWS, PAIRS>(isa);
    }
}

impl<T: Scalar> PairBand<T> {
    /// Low tiles take turns with each part of B that fits the first-level cache, so that it comes from further away once for
    /// all of them. That changes no bit: the partial sums wait as they are.
    #[inline(always)]
    fn compute<S: Isa, const PREFETCH: bool, const ROWS: usize, const PAIRS: usize>(&self, isa: S) {
        let tiles = self.rows.div_ceil(ROWS);
        let zero = [[T::Lanes::<S>::splat(isa, T::ZERO); PAIRS]; ROWS];
        let most = NEAR / (2 * PAIRS * size_of::<T>()) / MAX_LANES;
        let is_hungry = S::UNROLL > 1 && ROWS <= LOW;
        if !is_hungry || self.depth <= most * MAX_LANES {
            for tile in 0..tiles {
                // SAFETY: whoever makes a `PairBand` promises A and B.
                let sums =
                    unsafe { self.tile::<ROWS, PAIRS>(tile, 0, self.depth).accumulate::<S, PREFETCH>(isa, zero) };
                self.write(isa, tile, &sums);
            }
            return;
        }
        for top in (0..tiles).step_by(TILES) {
            let mut sums = [zero; TILES];
            for (first, count) in groups(self.depth.div_ceil(MAX_LANES), most) {
                let first = first * MAX_LANES;
                let depth = (count * MAX_LANES).min(self.depth - first);
                for (tile, sums) in (top..tiles).zip(&mut sums) {
                    // SAFETY: whoever makes a `PairBand` promises A and B, and the part starts with a whole half vector.
                    *sums =
                        unsafe { self.tile::<ROWS, PAIRS>(tile, first, depth).accumulate::<S, PREFETCH>(isa, *sums) };
                }
            }
            for (tile, sums) in (top..tiles).zip(&sums) {
                self.write(isa, tile, sums);
            }
        }
    }
}

impl<T: Scalar> PairBand<T> {
    /// The `tile`th tile's part of the depth.
    #[inline(always)]
    fn tile<const ROWS: usize, const PAIRS: usize>(
        &self,
        tile: usize,
        first: usize,
        depth: usize,
    ) -> PairTile<T, ROWS, PAIRS> {
        let rows = std::array::from_fn(|r| {
            // A tile always has its height: the last repeats the last row.
            let row = (tile * ROWS + r).min(self.rows - 1);
            self.a.wrapping_offset(row as isize * self.a_stride).wrapping_add(first)
        });
        PairTile {
            rows,
            b: self.b.wrapping_add(first * 2 * PAIRS),
            depth,
            next: self.a_stride.wrapping_mul(ROWS as isize),
        }
    }

    /// Writes the `tile`th tile's rows of C.
    #[inline(always)]
    fn write<S: Isa, const ROWS: usize, const PAIRS: usize>(
        &self,
        isa: S,
        tile: usize,
        sums: &[[T::Lanes<S>; PAIRS]; ROWS],
    ) {
        let first = tile * ROWS;
        // A constant number of turns, so that the sums stay in registers.
        for (r, sums) in sums.iter().enumerate() {
            if first + r < self.rows {
                // SAFETY: whoever makes a `PairBand` promises `rows` rows of C.
                unsafe { self.update(isa, self.c.wrapping_offset((first + r) as isize * self.c_stride), sums) };
            }
        }
    }

    /// Adds up the partial sums of a row and writes `alpha sums + beta C` to the row of C at `c`.
    ///
    /// # Safety
    /// What the maker of a `PairBand` promises of a row of C.
    #[inline(always)]
    unsafe fn update<S: Isa, const PAIRS: usize>(&self, isa: S, c: *mut T, sums: &[T::Lanes<S>; PAIRS]) {
        let lanes = T::Lanes::<S>::COUNT;
        let half = lanes / 2;
        let alpha = T::Lanes::<S>::splat(isa, self.alpha);
        let beta = T::Lanes::<S>::splat(isa, self.beta);
        // As many pairs as a half vector has lanes make a whole vector of C.
        for first in (0..PAIRS).step_by(half) {
            let mut vectors = [sums[first]; MAX_PAIRS];
            for (i, vector) in vectors.iter_mut().enumerate().take(half) {
                *vector = sums[(first + i).min(PAIRS - 1)];
            }
            let row = add_across::<S, T, MAX_PAIRS>(isa, vectors, half);
            let row = row.interleave_halves(isa).mul(isa, alpha);
            let target = c.wrapping_add(2 * first);
            let width = self.cols - 2 * first;
            // SAFETY: `width` elements of the row are left from here on.
            unsafe {
                if width >= lanes {
                    let old = || T::Lanes::<S>::load(isa, target);
                    let new = if self.beta != T::ZERO { beta.mul_add(isa, old(), row) } else { row };
                    new.store(isa, target);
                } else {
                    let old = || T::Lanes::<S>::load_partial(isa, target, width);
                    let new = if self.beta != T::ZERO { beta.mul_add(isa, old(), row) } else { row };
                    new.store_partial(isa, target, width);
                }
            }
        }
    }
}

/// Some depth of a few rows of A and of B's pairs of columns.
struct PairTile<T, const ROWS: usize, const PAIRS: usize> {
    rows: [*const T; ROWS],
    b: *const T,
    depth: usize,
    /// How far from a row the one lies that the next tile has in its place.
    next: isize,
}

impl<T: Scalar, const ROWS: usize, const PAIRS: usize> PairTile<T, ROWS, PAIRS> {
    /// Adds to `sums[r][p]`, row r of A times pair p of B's columns, half a vector of partial sums for each of the two.
    ///
    /// # Safety
    /// Each row must have `depth` readable elements, and `b` must hold its pairs in whole half vectors of that depth.
    #[inline(always)]
    unsafe fn accumulate<S: Isa, const PREFETCH: bool>(
        &self,
        isa: S,
        mut sums: [[T::Lanes<S>; PAIRS]; ROWS],
    ) -> [[T::Lanes<S>; PAIRS]; ROWS] {
        let lanes = T::Lanes::<S>::COUNT;
        let half = lanes / 2;
        let (whole, rest) = (self.depth / half, self.depth % half);
        let mut b = self.b;
        // A step is about two of a micro-kernel's.
        let unroll = S::UNROLL.div_ceil(2);
        let mut v = 0;
        while v + unroll <= whole {
            for u in 0..unroll {
                // SAFETY: at least `unroll` half vectors of depth are left.
                unsafe { self.step::<S, PREFETCH>(isa, (v + u) * half, b.wrapping_add(u * PAIRS * lanes), &mut sums) };
            }
            v += unroll;
            b = b.wrapping_add(unroll * PAIRS * lanes);
        }
        while v < whole {
            // SAFETY: at least one half vector of depth is left.
            unsafe { self.step::<S, PREFETCH>(isa, v * half, b, &mut sums) };
            v += 1;
            b = b.wrapping_add(PAIRS * lanes);
        }
        if rest > 0 {
            for (sums, row) in sums.iter_mut().zip(&self.rows) {
                // SAFETY: `rest` elements are what is left of the row, and `b` is filled up to a whole half vector.
                unsafe {
                    let x = T::Lanes::<S>::load_twice_partial(isa, row.wrapping_add(whole * half), rest);
                    for (p, sum) in sums.iter_mut().enumerate() {
                        *sum = x.mul_add(isa, T::Lanes::<S>::load(isa, b.wrapping_add(p * lanes)), *sum);
                    }
                }
            }
        }
        sums
    }

    /// Adds half a vector of depth, from element `p` of A's rows and from `b` on.
    ///
    /// # Safety
    /// What [`accumulate`](Self::accumulate) asks for.
    #[inline(always)]
    unsafe fn step<S: Isa, const PREFETCH: bool>(
        &self,
        isa: S,
        p: usize,
        b: *const T,
        sums: &mut [[T::Lanes<S>; PAIRS]; ROWS],
    ) {
        let mut x = [T::Lanes::<S>::splat(isa, T::ZERO); ROWS];
        for (x, row) in x.iter_mut().zip(&self.rows) {
            // SAFETY: half a vector from here on lies within the row's `depth` elements.
            *x = unsafe { T::Lanes::<S>::load_twice(isa, row.wrapping_add(p)) };
            if PREFETCH {
                isa.prefetch_second(row.wrapping_add(p).wrapping_offset(self.next));
            }
        }
        for p in 0..PAIRS {
            // SAFETY: `b` holds `PAIRS` vectors for each half vector of depth.
            let w = unsafe { T::Lanes::<S>::load(isa, b.wrapping_add(p * T::Lanes::<S>::COUNT)) };
            for (sums, &x) in sums.iter_mut().zip(&x) {
                sums[p] = x.mul_add(isa, w, sums[p]);
            }
        }
    }
}
