//! Products with at most a few columns, whose rows are adjacent along the depth: nothing wide is packed.

use super::{Operands, write_scaled};
use crate::aligned::padded_row;
use crate::dot_tile::{DotTile, MAX_EXTENT};
use crate::groups::groups;
use crate::isa::{Isa, Scalar};
use crate::matrix::{MatMut, MatRef};
use crate::parallel::{self, Divide};
use crate::workspace::with_scratch;

/// C <- alpha A B + beta C, where A's rows are adjacent along the depth and B is narrow.
///
/// B is copied once so that its columns are adjacent, unless they are.
pub(super) fn run<S: Isa, T: Scalar>(isa: S, operands: Operands<'_, T>, grain: usize) {
    let Operands { alpha, a, b, beta, c } = operands;
    let columns = b.transposed();
    if columns.col_stride() == 1 {
        return parallel::divide(NarrowProduct { isa, alpha, a, columns, beta, c }, grain);
    }
    let (width, depth) = columns.shape();
    let stride = padded_row(depth, size_of::<T>());
    with_scratch(width * stride, |copy| {
        for (j, line) in copy.chunks_exact_mut(stride).enumerate() {
            for (p, x) in line[..depth].iter_mut().enumerate() {
                *x = columns.at(j, p);
            }
        }
        let columns = MatRef::with_strides(copy, 0, width, depth, stride as isize, 1)
            .expect("the copy has the size that was asked for");
        parallel::divide(NarrowProduct { isa, alpha, a, columns, beta, c }, grain);
    });
}

struct NarrowProduct<'a, S, T> {
    isa: S,
    alpha: T,
    a: MatRef<'a, T>,
    columns: MatRef<'a, T>,
    beta: T,
    c: MatMut<'a, T>,
}

impl<S: Isa, T: Scalar> Divide for NarrowProduct<'_, S, T> {
    fn length(&self) -> usize {
        self.a.rows()
    }

    fn split(self, at: usize) -> (Self, Self) {
        let (a_top, a_bottom) = self.a.split_rows(at);
        let (c_top, c_bottom) = self.c.split_rows(at);
        (Self { a: a_top, c: c_top, ..self }, Self { a: a_bottom, c: c_bottom, ..self })
    }

    fn run(self) {
        let mut sums = [[T::ZERO; MAX_EXTENT]; MAX_EXTENT];
        let mut first = 0;
        while first < self.a.rows() {
            let rows = if self.a.rows() - first >= S::SCORE_ROWS { S::SCORE_ROWS } else { 1 };
            let parts = self.columns.rows().div_ceil(S::SCORE_CLASSES);
            for (part, (j, classes)) in groups(self.columns.rows(), S::SCORE_CLASSES).enumerate() {
                let row = |i: usize| self.a.element((first + i).min(self.a.rows() - 1), 0);
                let tile = DotTile {
                    rows: std::array::from_fn(row),
                    ahead: std::array::from_fn(|i| row(i + rows)),
                    part: (part, parts),
                    weights: self.columns.element(j, 0),
                    weight_stride: self.columns.row_stride(),
                    length: self.a.cols(),
                    sums: &mut sums,
                };
                tile.compute(self.isa, rows, classes);
                for (i, sums) in sums[..rows].iter().enumerate() {
                    for (c, &sum) in sums[..classes].iter().enumerate() {
                        let target = self.c.element(first + i, j + c);
                        // SAFETY: C has this element, which may be uninitialised if `beta` is zero.
                        unsafe { write_scaled(target, self.alpha * sum, self.beta) };
                    }
                }
            }
            first += rows;
        }
    }
}
