//! A tile of dot products along adjacent elements: class scores.
//!
//! With ten classes, vectors along the classes would waste six lanes of sixteen. Vectors along the features waste none:
//! each pair of a row and a weight row keeps a vector of partial sums, which is added up once, at the end.

use crate::isa::{Element, Isa, Lanes, Scalar, TileKernel};

/// The most rows, and the most weight rows, of a tile at any level.
pub(crate) const MAX_EXTENT: usize = 8;

/// `sums[r][c] = sum over d of rows[r][d] weights[c][d]` for a few rows and a few weight rows.
///
/// A pair's sum depends on its two rows alone, not on the tile's extents.
pub(crate) struct DotTile<'a, T, P> {
    /// Where each row starts; the tile's first ones are valid for `length` elements.
    pub rows: [*const P; MAX_EXTENT],
    /// Where rows start whose memory is asked for while this tile is computed. Only a hint.
    pub ahead: [*const P; MAX_EXTENT],
    /// Which part of those rows, of how many: tiles that share `ahead` each ask for their part, so that fewer requests
    /// are under way at a time and the weights' own do not wait behind them.
    pub part: (usize, usize),
    /// Where the first weight row starts; each of the tile's is valid for `length` elements.
    pub weights: *const T,
    /// Elements from one weight row to the next.
    pub weight_stride: isize,
    /// Elements in a row.
    pub length: usize,
    pub sums: &'a mut [[T; MAX_EXTENT]; MAX_EXTENT],
}

impl<T: Scalar, P: Element<T>> DotTile<'_, T, P> {
    /// Computes the tile for its first `rows` rows, 1 or `S::SCORE_ROWS`, and `classes` weight rows.
    pub fn compute<S: Isa>(mut self, isa: S, rows: usize, classes: usize) {
        isa.score_tile(rows, classes, WholeVectors(&mut self));
        let whole = self.length / T::Lanes::<S>::COUNT * T::Lanes::<S>::COUNT;
        if whole < self.length {
            self.add_rest(rows, classes, whole);
        }
    }

    /// Adds the products of the elements from `first` on, one after the other.
    fn add_rest(&mut self, rows: usize, classes: usize, first: usize) {
        for r in 0..rows {
            for c in 0..classes {
                for d in first..self.length {
                    let weight = self.weights.wrapping_offset(c as isize * self.weight_stride).wrapping_add(d);
                    // SAFETY: whoever makes a `DotTile` promises `length` elements in each of these rows.
                    let (x, w) = unsafe { (*self.rows[r].wrapping_add(d), *weight) };
                    self.sums[r][c] += x.to_scalar() * w;
                }
            }
        }
    }
}

/// The part of a tile that fills whole vectors.
struct WholeVectors<'t, 'a, T, P>(&'t mut DotTile<'a, T, P>);

impl<T: Scalar, P: Element<T>> TileKernel for WholeVectors<'_, '_, T, P> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa, const ROWS: usize, const CLASSES: usize>(self, isa: S) {
        let DotTile { rows, ahead, part, weights, weight_stride, length, ref mut sums } = *self.0;
        let ahead = ahead.map(|row| row.wrapping_add(length * part.0 / part.1));
        let ahead_step = (T::Lanes::<S>::COUNT / part.1).max(1);
        let zero = T::Lanes::<S>::splat(isa, T::ZERO);
        let mut totals = [[zero; CLASSES]; ROWS];
        for vector in 0..length / T::Lanes::<S>::COUNT {
            let d = vector * T::Lanes::<S>::COUNT;
            let mut x = [zero; ROWS];
            for r in 0..ROWS {
                isa.prefetch(ahead[r].wrapping_add(vector * ahead_step));
                // SAFETY: whoever makes a `DotTile` promises `length` elements in each row, and a whole vector from `d` on
                // lies within them.
                x[r] = unsafe { P::load(isa, rows[r].wrapping_add(d)) };
            }
            for c in 0..CLASSES {
                let row = weights.wrapping_offset(c as isize * weight_stride);
                // SAFETY: likewise for each weight row.
                let w = unsafe { T::Lanes::<S>::load(isa, row.wrapping_add(d)) };
                for (totals, &x) in totals.iter_mut().zip(&x) {
                    totals[c] = x.mul_add(isa, w, totals[c]);
                }
            }
        }
        for (sums, totals) in sums.iter_mut().zip(&totals) {
            for (sum, total) in sums.iter_mut().zip(totals) {
                *sum = total.reduce_sum(isa);
            }
        }
    }
}
