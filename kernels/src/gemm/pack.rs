//! Copies of blocks in the order in which the micro-kernel reads them.

use crate::isa::{Isa, Lanes, Scalar};
use crate::matrix::MatRef;

/// Elements that [`pack_a`] writes for `rows` rows of depth `depth`.
pub(super) fn a_length(rows: usize, depth: usize) -> usize {
    rows * depth
}

/// Elements that [`pack_b`] writes for `cols` columns of depth `depth`.
pub(super) fn b_length<S: Isa, T: Scalar>(cols: usize, depth: usize) -> usize {
    cols.next_multiple_of(T::Lanes::<S>::COUNT) * depth
}

/// Copies `a` (rows x depth) into micropanels of `panel` rows, each in the order depth, row. The last may have fewer rows.
pub(super) fn pack_a<T: Scalar>(a: MatRef<'_, T>, panel: usize, packed: &mut [T]) {
    let depth = a.cols();
    let mut packed = packed;
    for first in (0..a.rows()).step_by(panel) {
        let height = panel.min(a.rows() - first);
        let (target, rest) = packed.split_at_mut(height * depth);
        pack_panel(a.split_rows(first).1.split_rows(height).0, target);
        packed = rest;
    }
}

/// Depth steps copied at a time, so that the target lines written for one row are still near for the next.
const CHUNK: usize = 32;

fn pack_panel<T: Scalar>(a: MatRef<'_, T>, target: &mut [T]) {
    let (height, depth) = a.shape();
    if a.row_stride() == 1 {
        let columns = a.transposed();
        for (p, line) in target.chunks_exact_mut(height).enumerate() {
            line.copy_from_slice(columns.row(p));
        }
    } else if a.col_stride() == 1 {
        for (chunk, lines) in target.chunks_mut(CHUNK * height).enumerate() {
            for i in 0..height {
                let source = &a.row(i)[chunk * CHUNK..];
                for (line, &x) in lines.chunks_exact_mut(height).zip(source) {
                    line[i] = x;
                }
            }
        }
    } else {
        for p in 0..depth {
            for i in 0..height {
                target[p * height + i] = a.at(i, p);
            }
        }
    }
}

/// Copies `b` (depth x cols) into micropanels as wide as the micro-tile, each in the order depth, column.
///
/// The last panel is as many whole vectors wide as it needs, filled up with zeros.
pub(super) fn pack_b<S: Isa, T: Scalar>(b: MatRef<'_, T>, packed: &mut [T]) {
    let lanes = T::Lanes::<S>::COUNT;
    let panel = S::GEMM_VECTORS * lanes;
    let (depth, cols) = b.shape();
    let mut packed = packed;
    for first in (0..cols).step_by(panel) {
        let width = panel.min(cols - first);
        let padded = width.next_multiple_of(lanes);
        let (target, rest) = packed.split_at_mut(padded * depth);
        let source = b.split_cols(first).1.split_cols(width).0;
        if width < padded {
            target.fill(T::ZERO);
        }
        pack_columns(source, padded, target);
        packed = rest;
    }
}

fn pack_columns<T: Scalar>(b: MatRef<'_, T>, padded: usize, target: &mut [T]) {
    let (depth, width) = b.shape();
    if b.col_stride() == 1 {
        for (p, line) in target.chunks_exact_mut(padded).enumerate() {
            line[..width].copy_from_slice(b.row(p));
        }
    } else if b.row_stride() == 1 {
        let columns = b.transposed();
        for (chunk, lines) in target.chunks_mut(CHUNK * padded).enumerate() {
            for j in 0..width {
                let source = &columns.row(j)[chunk * CHUNK..];
                for (line, &x) in lines.chunks_exact_mut(padded).zip(source) {
                    line[j] = x;
                }
            }
        }
    } else {
        for p in 0..depth {
            for j in 0..width {
                target[p * padded + j] = b.at(p, j);
            }
        }
    }
}
