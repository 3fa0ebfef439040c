//! A tile of dot products along adjacent elements: what class scores and narrow matrix products have in common.
//!
//! With ten classes, vectors along the classes would waste six lanes of sixteen. Vectors along the features waste none:
//! each pair of a row and a weight row keeps a vector of partial sums, which is added up once, at the end.

use crate::aligned::CACHE_LINE;
use crate::isa::{Element, Isa, Lanes, Scalar, TileKernel};

/// The most rows, and the most weight rows, of a tile at any level.
pub(crate) const MAX_EXTENT: usize = 8;

/// `sums[r][c] = sum over d of rows[r][d] weights[c][d]` for `ROWS` rows and `CLASSES` weight rows.
///
/// A pair's sum depends on its two rows alone, not on the tile's extents.
pub(crate) struct DotTile<'a, T, P> {
    /// Where each row starts: at least `ROWS` of them, valid for `length` elements.
    pub rows: [*const P; MAX_EXTENT],
    /// Addresses whose lines are asked for while this tile is computed, from each start as far as the rows go.
    pub ahead: [*const P; MAX_EXTENT],
    /// Where the first weight row starts; each of `CLASSES` is valid for `length` elements.
    pub weights: *const T,
    /// Elements from one weight row to the next.
    pub weight_stride: isize,
    /// Elements in a row.
    pub length: usize,
    pub sums: &'a mut [[T; MAX_EXTENT]; MAX_EXTENT],
}

impl<T: Scalar, P: Element<T>> TileKernel for DotTile<'_, T, P> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa, const ROWS: usize, const CLASSES: usize>(self, isa: S) {
        let lanes = T::Lanes::<S>::COUNT;
        let line = (CACHE_LINE / size_of::<P>()).max(lanes);
        let zero = T::Lanes::<S>::splat(isa, T::ZERO);
        let mut sums = [[zero; CLASSES]; ROWS];
        let mut done = 0;
        while done + line <= self.length {
            for ahead in self.ahead.iter().take(ROWS) {
                isa.prefetch(ahead.wrapping_add(done));
            }
            let mut d = done;
            done += line;
            while d < done {
                // SAFETY: a whole vector from `d` on lies within `length`, for which all rows are valid.
                unsafe { self.step::<S, ROWS, CLASSES>(isa, d, lanes, &mut sums) };
                d += lanes;
            }
        }
        while done + lanes <= self.length {
            // SAFETY: a whole vector from `done` on lies within `length`, for which all rows are valid.
            unsafe { self.step::<S, ROWS, CLASSES>(isa, done, lanes, &mut sums) };
            done += lanes;
        }
        if done < self.length {
            // SAFETY: the elements from `done` on, fewer than a vector, lie within `length`, for which all rows are valid.
            unsafe { self.step::<S, ROWS, CLASSES>(isa, done, self.length - done, &mut sums) };
        }
        for (target, sums) in self.sums.iter_mut().zip(sums) {
            for (target, sum) in target.iter_mut().zip(sums) {
                *target = sum.reduce_sum(isa);
            }
        }
    }
}

impl<T: Scalar, P: Element<T>> DotTile<'_, T, P> {
    /// Adds the products of `count` elements, at most a vector, from element `d` on.
    ///
    /// # Safety
    /// Every row and weight row is valid for `d + count` elements.
    #[inline(always)]
    unsafe fn step<S: Isa, const ROWS: usize, const CLASSES: usize>(
        &self,
        isa: S,
        d: usize,
        count: usize,
        sums: &mut [[T::Lanes<S>; CLASSES]; ROWS],
    ) {
        let full = count == T::Lanes::<S>::COUNT;
        let mut rows = [T::Lanes::<S>::splat(isa, T::ZERO); ROWS];
        for (x, row) in rows.iter_mut().zip(self.rows) {
            let source = row.wrapping_add(d);
            // SAFETY: `count` elements are readable there, by the contract.
            *x = unsafe { if full { P::load(isa, source) } else { P::load_partial(isa, source, count) } };
        }
        for c in 0..CLASSES {
            let source = self.weights.wrapping_offset(c as isize * self.weight_stride).wrapping_add(d);
            // SAFETY: `count` elements are readable there, by the contract.
            let w = unsafe {
                if full { T::Lanes::<S>::load(isa, source) } else { T::Lanes::<S>::load_partial(isa, source, count) }
            };
            for (sum, &x) in sums.iter_mut().zip(&rows) {
                sum[c] = x.mul_add(isa, w, sum[c]);
            }
        }
    }
}
