//! A matrix whose rows are adjacent times one column: dot products, as many at a time as a vector can end with.

use super::Operands;
use crate::isa::{Isa, Kernel, Lanes, MAX_LANES, Scalar};
use crate::parallel::{self, Divide, Grain};
use crate::workspace::with_scratch;

/// The most rows of a tile.
const MAX_ROWS: usize = MAX_LANES / 2;

/// C <- epilogue(alpha A B + beta C), where A's rows are adjacent along the depth and B has one column.
pub(super) fn run<S: Isa, T: Scalar>(isa: S, operands: Operands<'_, T>, grain: Grain) {
    let column = operands.b.transposed();
    if column.col_stride() == 1 {
        let column = column.row(0);
        return parallel::divide(ColumnProduct { isa, operands, column }, grain);
    }
    with_scratch(column.cols(), |copy: &mut [T]| {
        copy.iter_mut().enumerate().for_each(|(p, x)| *x = column.at(0, p));
        parallel::divide(ColumnProduct { isa, operands, column: copy }, grain);
    });
}

/// Some rows of the product.
struct ColumnProduct<'a, S, T> {
    isa: S,
    operands: Operands<'a, T>,
    /// B, its elements adjacent.
    column: &'a [T],
}

impl<S: Isa, T: Scalar> Divide for ColumnProduct<'_, S, T> {
    fn length(&self) -> usize {
        self.operands.a.rows()
    }

    fn split(self, at: usize) -> (Self, Self) {
        let (top, bottom) = self.operands.split_rows(at);
        (Self { operands: top, ..self }, Self { operands: bottom, ..self })
    }

    fn run(self) {
        let Self { isa, operands, column } = self;
        let Operands { alpha, a, beta, c, epilogue, .. } = operands;
        // As many rows as a vector, or half of one, has lanes, so that the sums of all are one vector.
        let rows = T::Lanes::<S>::COUNT.min(MAX_ROWS);
        for first in (0..a.rows()).step_by(rows) {
            let count = rows.min(a.rows() - first);
            let mut sums = [T::ZERO; MAX_LANES];
            let row = |r: usize| a.row(first + r);
            match (count == rows, rows) {
                (true, 8) => isa.vectorize(Dots::<T, 8> { rows: std::array::from_fn(row), column, sums: &mut sums }),
                (true, 4) => isa.vectorize(Dots::<T, 4> { rows: std::array::from_fn(row), column, sums: &mut sums }),
                (true, 2) => isa.vectorize(Dots::<T, 2> { rows: std::array::from_fn(row), column, sums: &mut sums }),
                _ => {
                    for (r, total) in sums[..count].iter_mut().enumerate() {
                        let mut sum = [T::ZERO; MAX_LANES];
                        isa.vectorize(Dots::<T, 1> { rows: [row(r)], column, sums: &mut sum });
                        *total = sum[0];
                    }
                }
            }
            for (r, &sum) in sums[..count].iter().enumerate() {
                // SAFETY: the element exists. It may be uninitialised if `beta` is zero, so there must be no reference to it.
                unsafe { super::write_scaled(c.element(first + r, 0), alpha * sum, beta) };
            }
        }
        epilogue.apply(isa, c);
    }
}

/// sums[r] <- rows[r] times the column, which is as long. A row's sum does not depend on what the other rows are.
struct Dots<'a, T, const R: usize> {
    rows: [&'a [T]; R],
    column: &'a [T],
    sums: &'a mut [T; MAX_LANES],
}

impl<T: Scalar, const R: usize> Kernel for Dots<'_, T, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let lanes = T::Lanes::<S>::COUNT;
        let length = self.column.len();
        assert!(self.rows.iter().all(|row| row.len() == length));
        let whole = length / lanes * lanes;
        let zero = T::Lanes::<S>::splat(isa, T::ZERO);
        let mut totals = [zero; R];
        let column = self.column.as_ptr();
        for d in (0..whole).step_by(lanes) {
            // SAFETY: a whole vector from `d` on lies within the column and each row, which are as long.
            unsafe {
                let w = T::Lanes::<S>::load(isa, column.add(d));
                for (total, row) in totals.iter_mut().zip(&self.rows) {
                    *total = T::Lanes::<S>::load(isa, row.as_ptr().add(d)).mul_add(isa, w, *total);
                }
            }
        }
        if whole < length {
            let w = T::Lanes::<S>::read(isa, &self.column[whole..]);
            for (total, row) in totals.iter_mut().zip(&self.rows) {
                *total = T::Lanes::<S>::read(isa, &row[whole..]).mul_add(isa, w, *total);
            }
        }
        let mut merged = [zero; MAX_LANES];
        for (r, merged) in merged.iter_mut().enumerate().take(lanes) {
            *merged = totals[r % R];
        }
        // Neighbours at ever larger distances, of two vectors into one; at the end of one and itself.
        if lanes > 1 {
            merged = merge::<S, T, 1>(isa, merged, lanes);
        }
        if lanes > 2 {
            merged = merge::<S, T, 2>(isa, merged, lanes / 2);
        }
        if lanes > 4 {
            merged = merge::<S, T, 4>(isa, merged, lanes / 4);
        }
        if lanes > 8 {
            merged = merge::<S, T, 8>(isa, merged, lanes / 8);
        }
        merged[0].write(isa, &mut self.sums[..lanes]);
    }
}

/// Adds neighbours at a distance of `D` lanes in the first `count` vectors, two vectors into one.
#[inline(always)]
fn merge<S: Isa, T: Scalar, const D: usize>(
    isa: S,
    sums: [T::Lanes<S>; MAX_LANES],
    count: usize,
) -> [T::Lanes<S>; MAX_LANES] {
    let mut merged = sums;
    for i in 0..count / 2 {
        merged[i] = sums[2 * i].add_neighbours::<D>(isa, sums[2 * i + 1]);
    }
    merged
}
