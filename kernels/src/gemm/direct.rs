//! The direct way through a small product: one block, read where it lies, without the copies and loops that larger ones gain from.

use super::blocked::{Next, compute, half_tile, halved, panel_of, streamed, tiles};
use super::blocking::Blocking;
use super::locality::{are_pages_apart, is_thrashing, tile_rows};
use super::microkernel::{NOTHING, Tile, is_c_far};
use super::path::{Path, WORTH_A_THREAD, choose};
use super::{Operands, is_trivial, narrow};
use crate::groups::groups;
use crate::isa::{Isa, Lanes, Scalar};

/// Multiply-adds up to which a product of row-major operands is too small for copies, unless B's rows share a set of the first-level cache.
const TINY: usize = 1 << 15;

/// Whether a product goes this way.
pub(super) fn pays<S: Isa, T: Scalar>(operands: &Operands<'_, T>) -> bool {
    let ((m, n), k) = (operands.c.shape(), operands.a.cols());
    let size = m.saturating_mul(n).saturating_mul(k);
    if size > WORTH_A_THREAD || operands.c.col_stride() != 1 || is_trivial(operands) || !is_one_block::<S, T>(k, n) {
        return false;
    }
    let is_across = operands.a.col_stride() != 1;
    if is_tiny(operands) && (is_across || !narrow::pays::<S, T>(n, k)) && !is_thrashing(operands.b) {
        return true;
    }
    matches!(choose::<S, T>(operands), (Path::Blocked { pack_a: false, pack_b: false }, false))
}

/// Whether a product is too small for copies: one of which tiles read all operands as they are.
#[inline(always)]
pub(super) fn is_tiny<T: Scalar>(operands: &Operands<'_, T>) -> bool {
    let Operands { a, b, ref c, .. } = *operands;
    let (m, n) = c.shape();
    let is_streamed = c.col_stride() == 1 && b.col_stride() == 1 && (a.col_stride() == 1 || a.row_stride() == 1);
    is_streamed && m > 1 && n > 1 && m.saturating_mul(n).saturating_mul(a.cols()) <= TINY
}

/// Whether a product without copies is one block.
#[inline(always)]
fn is_one_block<S: Isa, T: Scalar>(k: usize, n: usize) -> bool {
    Blocking::depth::<T>(k) >= k && streamed::<S, T>(n) == n
}

/// C <- epilogue(alpha A B + beta C), tile by tile.
///
/// The two ways are functions of their own, since either would take registers from the other.
pub(super) fn run<S: Isa, T: Scalar>(isa: S, operands: &mut Operands<'_, T>) {
    let c = &operands.c;
    let is_one_tile_wide = c.cols() <= S::GEMM_VECTORS * T::Lanes::<S>::COUNT;
    if is_one_tile_wide && halved::<S, T>(c) == 0 && !is_c_far(c) {
        one_tile_wide(isa, operands);
    } else {
        rows_of_tiles(isa, operands);
    }
}

/// That, where a tile is as wide as C: what its columns are is said once. At 16 cubed, 1.04 to 1.1 times as fast.
#[inline(never)]
fn one_tile_wide<S: Isa, T: Scalar>(isa: S, operands: &mut Operands<'_, T>) {
    let Operands { alpha, a, b, beta, ref mut c, epilogue } = *operands;
    let (m, n) = c.shape();
    let is_cut = !n.is_multiple_of(T::Lanes::<S>::COUNT);
    let mut tile = Tile::first_of(c, alpha, beta, a.cols());
    tile.cols = n;
    (tile.b, tile.b_stride) = (b.element(0, 0), b.row_stride());
    // Rows whole pages apart might not all fit a set of the first-level cache.
    let is_slim = n <= T::Lanes::<S>::COUNT && m <= S::SLIM_ROWS && !are_pages_apart(a);
    for (i, rows) in groups(m, if is_slim { m } else { tile_rows::<S, T>(a, b, false) }) {
        (tile.rows, tile.a, tile.c) = (rows, panel_of(a, i), c.element(i, 0));
        // SAFETY: the operands' extents agree, so A and C have these rows, and B as many columns as C, all of which are read where they
        // lie only if they are whole vectors or the level has masks (`is_one_block`).
        unsafe { compute(isa, &tile, is_cut, NOTHING) };
    }
    if !epilogue.is_none() {
        epilogue.apply(isa, c.reborrow());
    }
}

/// That, where rows of C are several tiles.
#[inline(never)]
fn rows_of_tiles<S: Isa, T: Scalar>(isa: S, operands: &mut Operands<'_, T>) {
    let Operands { alpha, a, b, beta, ref mut c, epilogue } = *operands;
    let (m, n) = c.shape();
    let mut tile = Tile::first_of(c, alpha, beta, a.cols());
    let whole = n - halved::<S, T>(c);
    for (i, rows) in groups(m, tile_rows::<S, T>(a, b, false)) {
        (tile.rows, tile.a) = (rows, panel_of(a, i));
        let b_at = |j: usize| (b.element(0, j), b.row_stride());
        // SAFETY: as above.
        unsafe {
            tiles::<S, T, false>(isa, &mut tile, b_at(0), i, 0..whole, Next::NEAR, c);
            if whole < n {
                half_tile(isa, &mut tile, b_at(whole), (i, whole), c);
            }
        }
    }
    if !epilogue.is_none() {
        epilogue.apply(isa, c.reborrow());
    }
}
