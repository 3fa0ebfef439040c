//! Copies of blocks in the order in which the micro-kernel reads them.

use super::locality::turns_a;
use super::transpose::{Ahead, transpose};
use crate::aligned::CACHE_LINE;
use crate::isa::{Isa, Lanes, Scalar};
use crate::matrix::{MatMut, MatRef};

/// Elements that [`pack_a`] writes for `rows` rows of depth `depth`.
pub(super) fn a_length(rows: usize, depth: usize) -> usize {
    rows * depth
}

/// Elements that [`pack_b`] writes for `cols` columns of depth `depth`.
pub(super) fn b_length<S: Isa, T: Scalar>(cols: usize, depth: usize) -> usize {
    cols.next_multiple_of(T::Lanes::<S>::COUNT) * depth
}

/// Copies `a` (rows x depth) into micropanels as high as the micro-tile, each in the order depth, row, of which the last may have
/// fewer rows; or row by row, if [that](turns_a) is how tiles read it.
pub(super) fn pack_a<S: Isa, T: Scalar>(isa: S, a: MatRef<'_, T>, packed: &mut [T]) {
    let depth = a.cols();
    if turns_a::<S, T>(a) {
        let packed = MatMut::row_major(packed, a.rows(), depth).expect("there is room for A");
        return transpose(isa, a.transposed(), packed, Ahead::Nothing);
    }
    let whole = if a.row_stride() == 1 { a.rows() - a.rows() % S::GEMM_ROWS } else { 0 };
    let (top, rest) = a.split_rows(whole);
    let (panels, mut packed) = packed.split_at_mut(whole * depth);
    pack_whole_panels(isa, top.transposed(), S::GEMM_ROWS, panels);
    for first in (0..rest.rows()).step_by(S::GEMM_ROWS) {
        let height = S::GEMM_ROWS.min(rest.rows() - first);
        let (target, others) = packed.split_at_mut(height * depth);
        pack_panel(isa, rest.split_rows(first).1.split_rows(height).0, target);
        packed = others;
    }
}

fn pack_panel<S: Isa, T: Scalar>(isa: S, a: MatRef<'_, T>, target: &mut [T]) {
    let (height, depth) = a.shape();
    if a.row_stride() == 1 {
        let columns = a.transposed();
        for (p, line) in target.chunks_exact_mut(height).enumerate() {
            line.copy_from_slice(columns.row(p));
        }
    } else if a.col_stride() == 1 {
        let target = MatMut::row_major(target, depth, height).expect("there is room for the panel");
        transpose(isa, a, target, Ahead::Panel);
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
pub(super) fn pack_b<S: Isa, T: Scalar>(isa: S, b: MatRef<'_, T>, packed: &mut [T]) {
    let lanes = T::Lanes::<S>::COUNT;
    let panel = S::GEMM_VECTORS * lanes;
    let whole = if b.col_stride() == 1 { b.cols() - b.cols() % panel } else { 0 };
    let (left, rest) = b.split_cols(whole);
    let (panels, packed) = packed.split_at_mut(whole * b.rows());
    pack_whole_panels(isa, left, panel, panels);
    pack_panels(isa, rest, panel, lanes, packed);
}

/// Rows of B that are copied to one panel before the next panel has its turn.
const ROWS: usize = 8;

/// Copies rows, whose elements are adjacent, into panels that they fill.
///
/// A few rows at a time, since B may lie far out: whole rows are read in one go, and the next are prefetched.
#[inline(always)]
fn pack_whole_panels<S: Isa, T: Scalar>(isa: S, b: MatRef<'_, T>, panel: usize, packed: &mut [T]) {
    let (depth, cols) = b.shape();
    for first in (0..depth).step_by(ROWS) {
        let rows = first..depth.min(first + ROWS);
        for (left, packed) in (0..cols).step_by(panel).zip(packed.chunks_exact_mut(panel * depth)) {
            for p in rows.clone() {
                let next = b.element(p + ROWS, left);
                for line in (0..panel * size_of::<T>()).step_by(CACHE_LINE) {
                    isa.prefetch(next.wrapping_byte_add(line));
                }
                // The length is a constant here, so that no copy is a call.
                packed[p * panel..][..panel].copy_from_slice(&b.row(p)[left..][..panel]);
            }
        }
    }
}

/// Copies any B, panel after panel.
fn pack_panels<S: Isa, T: Scalar>(isa: S, b: MatRef<'_, T>, panel: usize, lanes: usize, packed: &mut [T]) {
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
        pack_columns(isa, source, padded, target);
        packed = rest;
    }
}

fn pack_columns<S: Isa, T: Scalar>(isa: S, b: MatRef<'_, T>, padded: usize, target: &mut [T]) {
    let (depth, width) = b.shape();
    if b.col_stride() == 1 {
        for (p, line) in target.chunks_exact_mut(padded).enumerate() {
            line[..width].copy_from_slice(b.row(p));
        }
    } else if b.row_stride() == 1 {
        let target = MatMut::with_strides(target, 0, depth, width, padded as isize, 1);
        transpose(isa, b.transposed(), target.expect("there is room for the panel"), Ahead::Panel);
    } else {
        for p in 0..depth {
            for j in 0..width {
                target[p * padded + j] = b.at(p, j);
            }
        }
    }
}

/// Rows and columns of a block that is transposed in registers.
const BLOCK: usize = 4;

/// Elements that [`pack_pairs`] writes for `b`.
pub(super) fn pairs_length<S: Isa, T: Scalar>(b: MatRef<'_, T>) -> usize {
    let half = T::Lanes::<S>::COUNT / 2;
    b.rows().next_multiple_of(half) * b.cols().next_multiple_of(2)
}

/// Copies a narrow `b` (depth x cols) in pairs of columns: for each half vector of depth, for each pair, that of the first
/// column and that of the second. What is missing is zero.
pub(super) fn pack_pairs<S: Isa, T: Scalar>(b: MatRef<'_, T>, packed: &mut [T]) {
    let half = T::Lanes::<S>::COUNT / 2;
    let (depth, cols) = b.shape();
    let step = half * cols.next_multiple_of(2);
    let are_rows_adjacent = b.col_stride() == 1;
    for (first, target) in (0..depth).step_by(half).zip(packed.chunks_exact_mut(step)) {
        if are_rows_adjacent && half == 2 && first + half <= depth {
            interleave([b.row(first), b.row(first + 1)], target);
        } else if are_rows_adjacent && half >= BLOCK && cols >= BLOCK && first + half <= depth {
            for p in (0..half).step_by(BLOCK) {
                let row = first + p;
                let rows = [b.row(row), b.row(row + 1), b.row(row + 2), b.row(row + 3)];
                transpose_narrow(rows, target, half, p);
            }
        } else if b.row_stride() == 1 && first + half <= depth {
            for (j, target) in target.chunks_exact_mut(half).enumerate().take(cols) {
                target.copy_from_slice(&b.transposed().row(j)[first..first + half]);
            }
        } else {
            for p in 0..half.min(depth - first) {
                for j in 0..cols {
                    target[j * half + p] = b.at(first + p, j);
                }
            }
        }
        for p in depth - first..half {
            (0..cols).for_each(|j| target[j * half + p] = T::ZERO);
        }
        target[cols * half..].fill(T::ZERO);
    }
}

/// Writes the elements of two rows in turns.
#[inline(always)]
fn interleave<T: Scalar>([a, b]: [&[T]; 2], target: &mut [T]) {
    for ((&a, &b), target) in a.iter().zip(b).zip(target.as_chunks_mut::<2>().0) {
        *target = [a, b];
    }
}

/// Writes column j of the four rows to `target` from `j apart + first` on. The rows have at least four elements.
#[inline(always)]
fn transpose_narrow<T: Scalar>(rows: [&[T]; BLOCK], target: &mut [T], apart: usize, first: usize) {
    let cols = rows[0].len();
    let [a, b, c, d] = rows.map(|row| row.as_chunks::<BLOCK>().0);
    // Extents are constants here, so that no element is checked by itself.
    for ((((a, b), c), d), target) in a.iter().zip(b).zip(c).zip(d).zip(target.chunks_exact_mut(BLOCK * apart)) {
        write_columns([*a, *b, *c, *d], target, apart, first);
    }
    if !cols.is_multiple_of(BLOCK) {
        // The last block overlaps the one before it: it writes the same again.
        let from = cols - BLOCK;
        let [a, b, c, d] = rows;
        let last = [block_of(a, from), block_of(b, from), block_of(c, from), block_of(d, from)];
        write_columns(last, &mut target[from * apart..][..BLOCK * apart], apart, first);
    }
}

/// Writes column j of a block to `target` from `j apart + first` on.
#[inline(always)]
fn write_columns<T: Scalar>(block: [[T; BLOCK]; BLOCK], target: &mut [T], apart: usize, first: usize) {
    let columns = T::transpose(block);
    let (a, b) = target.split_at_mut(2 * apart);
    let ((a, b), (c, d)) = (a.split_at_mut(apart), b.split_at_mut(apart));
    a[first..][..BLOCK].copy_from_slice(&columns[0]);
    b[first..][..BLOCK].copy_from_slice(&columns[1]);
    c[first..][..BLOCK].copy_from_slice(&columns[2]);
    d[first..][..BLOCK].copy_from_slice(&columns[3]);
}

#[inline(always)]
fn block_of<T: Scalar>(row: &[T], from: usize) -> [T; BLOCK] {
    let block = &row[from..from + BLOCK];
    [block[0], block[1], block[2], block[3]]
}
