//! The blocked way through a product: the loops over blocks, panels and tiles.

use super::blocking::Blocking;
use super::common::{self, Common};
use super::epilogue::Epilogue;
use super::locality::{FEW, HIGH, SHORT, bytes, fetches, tile_rows, turns_a};
use super::microkernel::{
    B_AHEAD, DenseKernel, MicroKernel, NEXT_A, NEXT_B, NOTHING, PanelOfA, PrefetchC, Tile, WideKernel,
};
use super::output::through_copy;
use super::pack;
use super::{Operands, part};
use crate::caches::caches;
use crate::datapath::is_half_as_wide;
use crate::groups::groups;
use crate::isa::{Isa, Lanes, MAX_LANES, Scalar};
use crate::matrix::{MatMut, MatRef};
use crate::parallel::{self, Divide, Grain};
use crate::workspace::with_scratch;
use std::ops::Range;

/// A part of the rows or columns of a blocked product.
pub(super) struct Blocked<'a, S, T> {
    pub isa: S,
    pub operands: Operands<'a, T>,
    pub blocking: Blocking,
    pub pack_a: bool,
    pub pack_b: bool,
    /// Whether each tile prefetches what the next one reads of B. All parts do what pays for the whole.
    pub prefetch_b: bool,
    /// Rows of the tiles, but for the last. It, too, follows from the whole.
    pub tile_rows: usize,
    pub along_rows: bool,
    /// What all parts read, if it was copied for all of them.
    pub common: Common<'a, T>,
}

impl<'a, S: Isa, T: Scalar> Blocked<'a, S, T> {
    /// All of a product, with copies of A and of B where `copies` is true.
    pub fn new(
        isa: S,
        operands: Operands<'a, T>,
        blocking: Blocking,
        [pack_a, pack_b]: [bool; 2],
        along_rows: bool,
    ) -> Self {
        let prefetch_b = !pack_b && fetches::<S, T>(operands.a, operands.b);
        let has_panels = pack_a && !turns_a::<S, T>(operands.a);
        let tile_rows = if has_panels { S::GEMM_ROWS } else { tile_rows::<S, T>(operands.a, operands.b, pack_b) };
        let common = Common::Neither;
        Self { isa, operands, blocking, pack_a, pack_b, prefetch_b, tile_rows, along_rows, common }
    }

    /// Shares the work among threads, in whole steps of `grain`.
    ///
    /// What each of several pieces would copy for itself is copied once.
    pub fn divide(self, grain: Grain) {
        if self.length() <= grain.items() || parallel::current() == 1 {
            return self.run();
        }
        let (a, b) = (self.operands.a, self.operands.b);
        let k = a.cols();
        let length = match self.along_rows {
            true if self.pack_b => common::length::<T>(common::padded::<S, T>(b.cols()), k),
            false if self.pack_a => common::length::<T>(a.rows(), k),
            _ => None,
        };
        let Some(length) = length else {
            return parallel::divide(self, grain);
        };
        with_scratch(length, |packed: &mut [T]| {
            let (matrix, of_a) = if self.along_rows { (b, false) } else { (a, true) };
            common::pack_all(self.isa, matrix, of_a, self.blocking.depth, packed);
            let common = if of_a { Common::A(packed) } else { Common::whole_b::<S>(packed, b.cols()) };
            parallel::divide(Blocked { common, ..self }, grain);
        });
    }

    /// The loops over blocks: A's rows (MC), the depth (KC), B's columns (NC).
    fn loops(self, a_packed: &mut [T], b_packed: &mut [T]) {
        let Self { isa, operands, blocking, pack_a, pack_b, prefetch_b, tile_rows, common, .. } = self;
        let Operands { alpha, a, b, beta, mut c, epilogue } = operands;
        let (m, n) = c.shape();
        let k = a.cols();
        // What is read once need not stay near.
        let is_read_again = m > tile_rows;
        let block_cols = if pack_b || is_read_again { blocking.equal_cols::<S, T>(n) } else { n };
        for i in (0..m).step_by(blocking.rows) {
            let rows = blocking.rows.min(m - i);
            for p in (0..k).step_by(blocking.depth) {
                let depth = blocking.depth.min(k - p);
                let beta = if p == 0 { beta } else { T::ONE };
                let a_block = part(a, i, rows, p, depth);
                let copy: &[T] = match common {
                    Common::A(all) => &all[m * p + i * depth..][..rows * depth],
                    _ if pack_a => {
                        pack::pack_a(isa, a_block, a_packed);
                        a_packed
                    }
                    _ => &[],
                };
                let a_block = if !pack_a {
                    BlockOfA::Streamed { view: a_block, tile_rows }
                } else if turns_a::<S, T>(a) {
                    let view = MatRef::row_major(copy, rows, depth).expect("there is room for the block");
                    BlockOfA::Streamed { view, tile_rows }
                } else {
                    BlockOfA::Packed(copy)
                };
                for j in (0..n).step_by(block_cols) {
                    let cols = block_cols.min(n - j);
                    let view = part(b, p, depth, j, cols);
                    let target = c.reborrow().split_rows(i).1.split_rows(rows).0;
                    let target = target.split_cols(j).1.split_cols(cols).0;
                    let b_block = match common {
                        Common::B { all, padded, first } => {
                            let packed = &all[padded * p + (first + j) * depth..];
                            BlockOfB { packed, streamed: 0, view, next: None }
                        }
                        _ => {
                            let streamed = if pack_b { 0 } else { streamed::<S, T>(cols) };
                            if streamed < cols {
                                pack::pack_b(isa, view.split_cols(streamed).1, b_packed);
                            }
                            let next = prefetch_b.then(|| match (j + cols < n, p + depth < k) {
                                (true, _) => cols as isize,
                                (false, true) => b.row_stride().wrapping_mul(depth as isize).wrapping_sub(j as isize),
                                (false, false) => 0,
                            });
                            BlockOfB { packed: b_packed, streamed, view, next }
                        }
                    };
                    let epilogue =
                        if p + depth == k { epilogue.part((i, rows), (j, cols)) } else { Epilogue::default() };
                    macro_kernel(isa, alpha, a_block, b_block, beta, epilogue, target);
                }
            }
        }
    }
}

impl<S: Isa, T: Scalar> Divide for Blocked<'_, S, T> {
    fn length(&self) -> usize {
        if self.along_rows { self.operands.c.rows() } else { self.operands.c.cols() }
    }

    fn split(self, at: usize) -> (Self, Self) {
        let (first, rest) = if self.along_rows { self.operands.split_rows(at) } else { self.operands.split_cols(at) };
        let common = if self.along_rows { self.common } else { self.common.after_columns(at) };
        (Self { operands: first, ..self }, Self { operands: rest, common, ..self })
    }

    fn run(self) {
        let (m, n) = self.operands.c.shape();
        let Blocking { depth, rows, .. } = self.blocking;
        let own_a = self.pack_a && !matches!(self.common, Common::A(_));
        let own_b = !matches!(self.common, Common::B { .. });
        let a_length = if own_a { pack::a_length(rows.min(m), depth) } else { 0 };
        let b_cols = if self.pack_b { self.blocking.equal_cols::<S, T>(n) } else { n - streamed::<S, T>(n) };
        let b_length = if own_b { pack::b_length::<S, T>(b_cols, depth) } else { 0 };
        if a_length + b_length == 0 {
            return self.loops(&mut [], &mut []);
        }
        with_scratch(a_length + b_length, |scratch: &mut [T]| {
            let (a_packed, b_packed) = scratch.split_at_mut(a_length);
            self.loops(a_packed, b_packed);
        });
    }
}

/// Rows of a panel of A from `first` on, where they lie: adjacent along the depth, or across the rows.
#[inline(always)]
pub(super) fn panel_of<T: Scalar>(a: MatRef<'_, T>, first: usize) -> PanelOfA<T> {
    let across = a.col_stride() != 1;
    PanelOfA { first: a.element(first, 0), stride: if across { a.col_stride() } else { a.row_stride() }, across }
}

/// Columns of a B of `cols` columns that are read where they lie, if B is not packed: all, or those that fill whole tiles.
pub(super) fn streamed<S: Isa, T: Scalar>(cols: usize) -> usize {
    if S::MASKS { cols } else { cols - cols % (S::GEMM_VECTORS * T::Lanes::<S>::COUNT) }
}

/// A block of A.
#[derive(Clone, Copy)]
enum BlockOfA<'a, T> {
    /// Where it lies: its elements are adjacent along the depth, or across the rows.
    Streamed { view: MatRef<'a, T>, tile_rows: usize },
    /// In micropanels as high as the micro-tile, each in the order depth, row. The last may have fewer rows.
    Packed(&'a [T]),
}

/// How far from what a tile reads of A and of B what is read next lies, if that is to be prefetched.
#[derive(Clone, Copy)]
pub(super) struct Next {
    /// The rows of A that come in the place of these; else 0.
    pub a: isize,
    /// The block of B that comes in the place of this, which may be this one again.
    pub b: Option<isize>,
}

impl Next {
    /// What is near needs no prefetching.
    pub const NEAR: Self = Self { a: 0, b: None };
}

/// A block of B: its first `streamed` columns are read where they lie, the others from `packed`.
struct BlockOfB<'a, T> {
    packed: &'a [T],
    streamed: usize,
    view: MatRef<'a, T>,
    /// How far from it the block that comes next lies, if that is to be prefetched.
    next: Option<isize>,
}

/// The most tiles of a row of C whose rows of A are prefetched; what more tiles share is worth waiting for.
const FEW_TILES: usize = 16;

/// C <- epilogue(alpha A B + beta C) for one block: the loops over micropanels of A, then of B.
fn macro_kernel<S: Isa, T: Scalar>(
    isa: S,
    alpha: T,
    a: BlockOfA<'_, T>,
    b: BlockOfB<'_, T>,
    beta: T,
    epilogue: Epilogue<'_, T>,
    mut c: MatMut<'_, T>,
) {
    let finish = !epilogue.is_none();
    let rows_of_c = c.rows();
    assert_eq!(b.view.cols(), c.cols());
    let mut tile = Tile::first_of(&c, alpha, beta, b.view.rows());
    let mut tiles = |i: usize, height: usize, panel: PanelOfA<T>, next_rows: isize| {
        (tile.rows, tile.a) = (height, panel);
        // Every row of tiles fetches B again: what the rows before it left in the second-level cache, others may have driven out.
        let next_block = if i + height < rows_of_c { b.next.map(|_| 0) } else { b.next };
        let next = Next { a: next_rows, b: next_block };
        // SAFETY: both arms below give panels of `height` rows of A, as deep as B, where C has rows; B has C's columns.
        unsafe { row_of_tiles(isa, &mut tile, &b, i, next, &mut c) };
        if finish {
            epilogue.rows(i, height).apply(isa, c.reborrow().split_rows(i).1.split_rows(height).0);
        }
    };
    match a {
        BlockOfA::Streamed { view, tile_rows } => {
            assert_eq!(view.shape(), (rows_of_c, b.view.rows()));
            let few = FEW_TILES * S::GEMM_VECTORS * T::Lanes::<S>::COUNT;
            // A core whose tiles are low comes sooner to the next rows.
            let near = caches().second / if S::GEMM_ROWS >= HIGH { 2 } else { 4 };
            let prefetch = view.col_stride() == 1 && b.view.cols() <= few && bytes(view) > near;
            for (i, height) in groups(rows_of_c, tile_rows) {
                let next = if prefetch { view.row_stride().wrapping_mul(height as isize) } else { 0 };
                tiles(i, height, panel_of(view, i), next);
            }
        }
        BlockOfA::Packed(packed) => {
            let depth = b.view.rows();
            for i in (0..rows_of_c).step_by(S::GEMM_ROWS) {
                let height = S::GEMM_ROWS.min(rows_of_c - i);
                let first = packed[i * depth..][..height * depth].as_ptr();
                tiles(i, height, PanelOfA { first, stride: height as isize, across: true }, 0);
            }
        }
    }
}

/// The tiles of the rows of C from `first` on that `tile` is for, one after the other.
///
/// # Safety
/// The tile's depth, which is B's, and its rows are set, of which C has as many from `first` on, and its A, which is readable as far.
/// C and B's view have as many columns.
#[inline(always)]
unsafe fn row_of_tiles<S: Isa, T: Scalar>(
    isa: S,
    tile: &mut Tile<T>,
    b: &BlockOfB<'_, T>,
    first: usize,
    next: Next,
    c: &mut MatMut<'_, T>,
) {
    // No tile reads some columns where they lie and others from the copy.
    let n = c.cols();
    if b.streamed > 0 {
        let stride = b.view.row_stride();
        let whole = b.streamed - if b.streamed == n { halved::<S, T>(c) } else { 0 };
        let b_at = |j: usize| (b.view.element(0, j), stride);
        // SAFETY: the caller's promise of the tile and of B's view, whose first columns these are: whole vectors on a level without
        // masks, by what `streamed` gave.
        unsafe {
            tiles::<S, T, false>(isa, tile, b_at(0), first, 0..whole, next, c);
            if whole < b.streamed {
                half_tile(isa, tile, b_at(whole), (first, whole), c);
            }
        }
    }
    if b.streamed < n {
        // The panels of the copy are what the tiles read.
        assert!(b.packed.len() >= pack::b_length::<S, T>(n - b.streamed, tile.depth), "a copy of {n} columns");
        // SAFETY: the caller's promise of the tile; the copy is as long as all panels of these columns, checked above.
        unsafe { tiles::<S, T, true>(isa, tile, (b.packed.as_ptr(), 0), first, b.streamed..n, next, c) };
    }
}

/// The tiles of some columns of the rows of C from `first` on that `tile` is for.
///
/// # Safety
/// The tile's depth and its rows are set, of which C has as many from `first` on, and its A, which is readable as far. C has the
/// `columns`. B is readable in as many rows as the tile is deep: in as many elements as there are columns, from the address given on,
/// with the row stride given, in whole vectors on a level without masks; or, if it is `PACKED`, in micropanels as wide as the
/// micro-tile, the last in as many whole vectors as it needs. So what each tile reads and writes is there.
#[inline(always)]
pub(super) unsafe fn tiles<S: Isa, T: Scalar, const PACKED: bool>(
    isa: S,
    tile: &mut Tile<T>,
    (b, b_stride): (*const T, isize),
    first: usize,
    columns: Range<usize>,
    next: Next,
    c: &mut MatMut<'_, T>,
) {
    let lanes = T::Lanes::<S>::COUNT;
    let n = c.cols();
    let is_scattered = c.col_stride() != 1;
    debug_assert!(columns.end <= n && first + tile.rows <= c.rows());
    debug_assert!(PACKED || S::MASKS || columns.len().is_multiple_of(lanes));
    // What a wide tile of many rows writes holds up the next one.
    let is_long = tile.rows <= FEW || tile.depth > SHORT;
    let has_wide = !PACKED && tile.rows < S::WIDE_VECTORS.len() && is_long && !tile.a.across && !is_scattered;
    let wide = if has_wide { S::WIDE_VECTORS[tile.rows] * lanes } else { usize::MAX };
    let mut j = columns.start;
    while j < columns.end {
        let is_wide = wide <= columns.end - j;
        let cols = if is_wide { wide } else { (S::GEMM_VECTORS * lanes).min(columns.end - j) };
        let is_cut = !PACKED && !cols.is_multiple_of(lanes);
        tile.cols = cols;
        tile.c = c.element(first, j);
        tile.c_next = match tile.prefetch_c {
            PrefetchC::TileBelow => c.element(first + tile.rows, j),
            _ if j + cols < n => c.element(first, j + cols),
            _ => c.element(first + tile.rows, 0),
        };
        // All panels before this one are full ones, so `depth` rows of the columns before it precede it.
        tile.b = b.wrapping_add((j - columns.start) * if PACKED { tile.depth } else { 1 });
        let to_next = next.b.map(|block| if j + cols < n { cols as isize } else { block.wrapping_sub(j as isize) });
        // The first tile of some rows prefetches the rows below, of which the other tiles find theirs near.
        let prefetch = if next.a != 0 && j == 0 {
            tile.a_next = next.a;
            NEXT_A
        } else if let Some(to_next) = to_next.filter(|&distance| distance != 0 && !is_cut) {
            tile.b_next = to_next;
            NEXT_B
        } else {
            NOTHING
        };
        tile.b_stride = if PACKED { cols.next_multiple_of(lanes) as isize } else { b_stride };
        if is_scattered {
            let target = c.reborrow().split_rows(first).1.split_rows(tile.rows).0;
            // SAFETY: the caller's promise, for these columns.
            unsafe { compute_scattered(isa, tile, is_cut, prefetch, target.split_cols(j).1.split_cols(cols).0) };
        } else if is_wide && S::PREFETCHES && prefetch == NEXT_B {
            isa.wide_tile(tile.rows, WideKernel::<T, NEXT_B>(tile));
        } else if is_wide {
            isa.wide_tile(tile.rows, WideKernel::<T, B_AHEAD>(tile));
        } else {
            // SAFETY: the caller's promise, for these columns.
            unsafe { compute(isa, tile, is_cut, prefetch) };
        }
        j += cols;
    }
}

/// Columns at the end of C that are a tile of half a vector: where a whole one would be filled to no more than that, and takes twice
/// as long. Few rows are better off with those columns in the tile before, if that is not as wide as any: their sums wait for each other.
#[inline(always)]
pub(super) fn halved<S: Isa, T: Scalar>(c: &MatMut<'_, T>) -> usize {
    let lanes = T::Lanes::<S>::COUNT;
    let rest = c.cols() % lanes;
    let is_half = S::HALVES && rest > 0 && rest <= lanes / 2;
    let pays = is_half && (c.rows() > FEW || c.cols() % (S::GEMM_VECTORS * lanes) == rest);
    if pays && c.col_stride() == 1 && is_half_as_wide() { rest } else { 0 }
}

/// The tile of the last columns, from `j` on, at most half a vector, of the rows of C from `first` on that `tile` is for.
///
/// # Safety
/// That of [`tiles`] that are not packed, for these columns; `b` is where B's part of them starts.
pub(super) unsafe fn half_tile<S: Isa, T: Scalar>(
    isa: S,
    tile: &mut Tile<T>,
    (b, b_stride): (*const T, isize),
    (first, j): (usize, usize),
    c: &mut MatMut<'_, T>,
) {
    debug_assert!(c.cols() - j <= T::Lanes::<S>::COUNT / 2 && first + tile.rows <= c.rows());
    tile.cols = c.cols() - j;
    tile.c = c.element(first, j);
    tile.c_next = c.element(first + tile.rows, if tile.prefetch_c == PrefetchC::TileBelow { j } else { 0 });
    (tile.b, tile.b_stride) = (b, b_stride);
    // Apart, so that no level compiles what it has not.
    if S::HALVES {
        if tile.a.across {
            isa.half_tile(tile.rows, MicroKernel::<T, true, true, NOTHING>(tile));
        } else {
            isa.half_tile(tile.rows, MicroKernel::<T, false, true, NOTHING>(tile));
        }
    }
}

/// Computes a tile of a C whose columns are adjacent, whose last vector is not whole if it `is_cut`.
///
/// # Safety
/// What the tile describes is there, as [`MicroKernel`] needs it.
#[inline(always)]
pub(super) unsafe fn compute<S: Isa, T: Scalar>(isa: S, tile: &Tile<T>, is_cut: bool, prefetch: u8) {
    let (rows, vectors) = (tile.rows, tile.cols.div_ceil(T::Lanes::<S>::COUNT));
    // Apart, so that no level compiles what it has not.
    #[allow(clippy::collapsible_if)]
    if S::PREFETCHES {
        let is_high = vectors == S::GEMM_VECTORS && rows > FEW;
        if prefetch != NOTHING && is_high && !tile.a.across && (S::UNROLL == 1 || !is_cut) {
            // SAFETY: the caller's promise.
            return unsafe { compute_prefetching(isa, tile, is_cut, prefetch) };
        }
    }
    #[allow(clippy::collapsible_if)]
    if S::MASKS {
        if is_cut {
            return if tile.a.across {
                isa.gemm_tile(rows, vectors, MicroKernel::<T, true, true, NOTHING>(tile))
            } else {
                isa.gemm_tile(rows, vectors, MicroKernel::<T, false, true, NOTHING>(tile))
            };
        }
    }
    match (tile.a.across, tile.is_dense::<S>()) {
        (true, true) => isa.whole_gemm_tile(DenseKernel::<T, true>(tile)),
        (false, true) => isa.whole_gemm_tile(DenseKernel::<T, false>(tile)),
        (true, false) => isa.gemm_tile(rows, vectors, MicroKernel::<T, true, false, NOTHING>(tile)),
        (false, false) => isa.gemm_tile(rows, vectors, MicroKernel::<T, false, false, NOTHING>(tile)),
    }
}

/// Computes a high tile as wide as any, whose A is not across, and prefetches what is read next. A cut one leaves no register
/// for that at the level that unrolls its tiles, AVX2.
///
/// # Safety
/// That of [`compute`].
unsafe fn compute_prefetching<S: Isa, T: Scalar>(isa: S, tile: &Tile<T>, is_cut: bool, prefetch: u8) {
    debug_assert!(!is_cut || prefetch == NEXT_A);
    #[allow(clippy::collapsible_if)]
    if const { S::UNROLL == 1 } {
        if is_cut {
            return isa.high_tile(tile.rows, MicroKernel::<T, false, true, NEXT_A>(tile));
        }
    }
    if prefetch == NEXT_A {
        isa.high_tile(tile.rows, MicroKernel::<T, false, false, NEXT_A>(tile));
    } else {
        isa.high_tile(tile.rows, MicroKernel::<T, false, false, NEXT_B>(tile));
    }
}

/// The most elements a micro-tile has at any level: 12 rows of 2 vectors.
const MAX_TILE: usize = 12 * 2 * MAX_LANES;

/// Computes a tile of any C, through one on the stack, by the same vector operations.
///
/// # Safety
/// That of [`compute`], but for C, which is given.
#[inline(never)]
unsafe fn compute_scattered<S: Isa, T: Scalar>(isa: S, tile: &Tile<T>, is_cut: bool, prefetch: u8, c: MatMut<'_, T>) {
    through_copy(isa, c, tile.beta, &mut [T::ZERO; MAX_TILE], |c, c_stride| {
        // What lies beside the copy is not what comes next.
        let tile = Tile { c, c_stride, prefetch_c: PrefetchC::Nothing, ..*tile };
        // SAFETY: the caller's promise of A and B; the copy has C's extents, which are the tile's.
        unsafe { compute(isa, &tile, is_cut, prefetch) };
    });
}
