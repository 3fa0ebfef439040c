//! C <- alpha A B + beta C: the matrix product, cache-blocked and packed.
//!
//! A product takes one of two ways, chosen by level, type, shape and strides alone:
//!
//! * **blocked**: the loops of Goto and van de Geijn's "Anatomy of high-performance matrix multiplication" (2008), with the
//!   roles of A and B exchanged, since the micro-tile's vectors lie along the columns of a row-major C. B is packed unless
//!   there are so few rows that each of its elements is used in one micro-tile only.
//! * **narrow** (`skinny`): a few columns and a long depth. The vectors lie along the depth.
//!
//! Threads share the rows or columns of C; every element of C is computed by one thread as one chain of operations in the
//! order of the depth, so the result has the same bits for any number of threads.
//!
//! The semantics are those of BLAS: with `beta` zero C is not read; with `alpha` zero, or a depth of zero, C is scaled and A
//! and B are not read; otherwise no factor is skipped, so a NaN in A or B reaches every element of C that depends on it.

mod blocking;
mod common;
mod microkernel;
mod pack;
mod raw;
pub(crate) mod skinny;

pub use raw::{dgemm, sgemm};

use crate::dispatch;
use crate::error::Error;
use crate::isa::{Isa, Kernel, Lanes, Scalar};
use crate::matrix::{MatMut, MatRef};
use crate::parallel::{self, Divide};
use crate::workspace::with_scratch;
use blocking::Blocking;
use common::Common;
use microkernel::{MicroKernel, Packed, Streamed};

/// C <- alpha A B + beta C, for A of m x k, B of k x n, C of m x n elements, at any strides.
///
/// Runs at [`dispatch::level`] on the threads of the calling pool; small products run on the calling thread.
///
/// ```
/// use lanegrad_kernels::{MatMut, MatRef, gemm};
/// let a = [1.0, 2.0, 3.0, 4.0];
/// let b = [5.0, 6.0, 7.0, 8.0];
/// let mut c = [0.0; 4];
/// gemm(
///     1.0,
///     MatRef::row_major(&a, 2, 2)?,
///     MatRef::row_major(&b, 2, 2)?,
///     0.0,
///     MatMut::row_major(&mut c, 2, 2)?,
/// )?;
/// assert_eq!(c, [19.0, 22.0, 43.0, 50.0]);
/// # Ok::<(), lanegrad_kernels::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] if the extents do not agree, and those of [`dispatch::level`]. C is unchanged then.
pub fn gemm<T: Scalar>(alpha: T, a: MatRef<'_, T>, b: MatRef<'_, T>, beta: T, c: MatMut<'_, T>) -> Result<(), Error> {
    dispatch::dispatch(Gemm::new(alpha, a, b, beta, c)?)
}

/// A checked product, to be run at a level of one's choice ([`dispatch::dispatch_at`]).
#[derive(Debug)]
pub struct Gemm<'a, T>(Operands<'a, T>);

/// The operands of C <- alpha A B + beta C, whose extents agree.
#[derive(Debug)]
struct Operands<'a, T> {
    alpha: T,
    a: MatRef<'a, T>,
    b: MatRef<'a, T>,
    beta: T,
    c: MatMut<'a, T>,
}

impl<'a, T: Scalar> Gemm<'a, T> {
    /// C <- alpha A B + beta C; see [`gemm`].
    ///
    /// # Errors
    /// [`Error::Shape`] if the extents do not agree.
    pub fn new(alpha: T, a: MatRef<'a, T>, b: MatRef<'a, T>, beta: T, c: MatMut<'a, T>) -> Result<Self, Error> {
        if b.rows() != a.cols() {
            let expected = (a.cols(), b.cols());
            return Err(Error::Shape { what: "rows of B and columns of A", expected, found: b.shape() });
        }
        if c.shape() != (a.rows(), b.cols()) {
            let expected = (a.rows(), b.cols());
            return Err(Error::Shape { what: "C and the product of A and B", expected, found: c.shape() });
        }
        Ok(Self(Operands { alpha, a, b, beta, c }))
    }
}

impl<T: Scalar> Kernel for Gemm<'_, T> {
    type Output = ();

    fn run<S: Isa>(self, isa: S) {
        let operands = self.0;
        let (m, n) = operands.c.shape();
        let k = operands.a.cols();
        if m == 0 || n == 0 {
            return;
        }
        if k == 0 || operands.alpha == T::ZERO {
            return scale(operands.beta, operands.c);
        }
        let (path, operands) = choose::<S, T>(operands);
        let (m, n) = operands.c.shape();
        match path {
            Path::Narrow => skinny::run(isa, operands, grain(n * k)),
            Path::Blocked { pack_a, pack_b } => {
                // Cut the longer side, in whole micro-tiles.
                let along_rows = m >= n;
                let (step, each) =
                    if along_rows { (S::GEMM_ROWS, n * k) } else { (S::GEMM_VECTORS * T::Lanes::<S>::COUNT, m * k) };
                let grain = grain(each).next_multiple_of(step);
                let common = Common::Neither;
                Blocked { isa, operands, pack_a, pack_b, along_rows, common }.divide(grain);
            }
        }
    }
}

/// Multiply-adds below which a piece of work is not worth another thread: about 10 microseconds.
const WORTH_A_THREAD: usize = 1 << 19;

/// Items of `each` multiply-adds that make a piece worth a thread.
fn grain(each: usize) -> usize {
    (WORTH_A_THREAD / each.max(1)).max(1)
}

/// C <- beta C, without reading C if beta is zero.
fn scale<T: Scalar>(beta: T, c: MatMut<'_, T>) {
    for i in 0..c.rows() {
        for j in 0..c.cols() {
            // SAFETY: the element exists. It may be uninitialised if `beta` is zero, so there must be no reference to it.
            unsafe { write_scaled(c.element(i, j), T::ZERO, beta) };
        }
    }
}

/// target <- sum + beta target, without reading it if beta is zero.
///
/// # Safety
/// `target` is valid for writes, and for reads unless `beta` is zero.
unsafe fn write_scaled<T: Scalar>(target: *mut T, sum: T, beta: T) {
    // SAFETY: the caller's promise.
    unsafe {
        let new = if beta == T::ZERO { sum } else { sum + beta * target.read() };
        target.write(new);
    }
}

#[derive(Clone, Copy, Debug)]
enum Path {
    Narrow,
    Blocked { pack_a: bool, pack_b: bool },
}

/// A side of C this short is served by at most two micro-tiles or four dot tiles.
const NARROW: usize = 16;
/// The depth, in vectors, from which summing along it pays for adding up the lanes at the end.
const NARROW_DEPTH: usize = 4;
/// Bytes of a block of B that stays in a second-level cache where it lies, so that a copy would gain nothing.
const UNPACKED_B: usize = 256 * 1024;
/// Columns of C up to which a row of A is used too few times to pay for a copy.
const UNPACKED_A_COLUMNS: usize = 512;

/// The way that a product takes, and its operands turned so that it can: C's columns adjacent if possible.
fn choose<S: Isa, T: Scalar>(operands: Operands<'_, T>) -> (Path, Operands<'_, T>) {
    let k = operands.a.cols();
    let deep = k >= NARROW_DEPTH * T::Lanes::<S>::COUNT;
    let (m, n) = operands.c.shape();
    let streams = |wide: MatRef<'_, T>| wide.col_stride() == 1;
    if m <= NARROW && streams(operands.b) {
        (Path::Blocked { pack_a: true, pack_b: false }, operands)
    } else if n <= NARROW && streams(operands.a.transposed()) {
        (Path::Blocked { pack_a: true, pack_b: false }, transposed(operands))
    } else if n <= NARROW && deep && operands.a.col_stride() == 1 {
        (Path::Narrow, operands)
    } else if m <= NARROW && deep && operands.b.row_stride() == 1 {
        (Path::Narrow, transposed(operands))
    } else if operands.c.row_stride().unsigned_abs() < operands.c.col_stride().unsigned_abs() {
        blocked::<S, T>(transposed(operands))
    } else {
        blocked::<S, T>(operands)
    }
}

/// The blocked way, with copies of A and B where they pay.
fn blocked<S: Isa, T: Scalar>(operands: Operands<'_, T>) -> (Path, Operands<'_, T>) {
    let (k, n) = operands.b.shape();
    let depth = Blocking::new::<S, T>(k).depth;
    let pack_b = operands.b.col_stride() != 1 || depth.saturating_mul(n) > UNPACKED_B / size_of::<T>();
    // Rows whole pages apart share a cache set, which has fewer lines than a panel has rows.
    let row_bytes = operands.a.row_stride().unsigned_abs().wrapping_mul(size_of::<T>());
    let pack_a = operands.a.col_stride() != 1 || n > UNPACKED_A_COLUMNS || row_bytes.is_multiple_of(4096);
    (Path::Blocked { pack_a, pack_b }, operands)
}

/// The same product with rows as columns: C' = B' A'.
fn transposed<T: Scalar>(operands: Operands<'_, T>) -> Operands<'_, T> {
    let Operands { alpha, a, b, beta, c } = operands;
    Operands { alpha, a: b.transposed(), b: a.transposed(), beta, c: c.transposed() }
}

/// A part of the rows or columns of a blocked product.
struct Blocked<'a, S, T> {
    isa: S,
    operands: Operands<'a, T>,
    pack_a: bool,
    pack_b: bool,
    along_rows: bool,
    /// What all parts read, if it was copied for all of them.
    common: Common<'a, T>,
}

impl<S: Isa, T: Scalar> Blocked<'_, S, T> {
    /// Shares the work among threads, in pieces of a multiple of `grain`.
    ///
    /// What each of several pieces would copy for itself is copied once.
    fn divide(self, grain: usize) {
        let (a, b) = (self.operands.a, self.operands.b);
        let k = a.cols();
        let extent = match self.along_rows {
            true if self.pack_b => Some(common::padded::<S, T>(b.cols())),
            false if self.pack_a => Some(a.rows()),
            _ => None,
        };
        let length = extent.and_then(|extent| common::length::<T>(extent, k));
        let is_cut = parallel::current() > 1 && self.length() > grain;
        let Some(length) = length.filter(|_| is_cut) else {
            return parallel::divide(self, grain);
        };
        with_scratch(length, |packed: &mut [T]| {
            let Self { isa, operands, pack_a, pack_b, along_rows, .. } = self;
            let (matrix, of_a) = if along_rows { (b, false) } else { (a, true) };
            common::pack_all(isa, matrix, of_a, Blocking::new::<S, T>(k).depth, packed);
            let common = if of_a { Common::A(packed) } else { Common::B(packed) };
            parallel::divide(Blocked { isa, operands, pack_a, pack_b, along_rows, common }, grain);
        });
    }
}

impl<S: Isa, T: Scalar> Divide for Blocked<'_, S, T> {
    fn length(&self) -> usize {
        if self.along_rows { self.operands.c.rows() } else { self.operands.c.cols() }
    }

    fn split(self, at: usize) -> (Self, Self) {
        let Operands { alpha, a, b, beta, c } = self.operands;
        let part = |a, b, c| Self { operands: Operands { alpha, a, b, beta, c }, ..self };
        if self.along_rows {
            let ((a_top, a_bottom), (c_top, c_bottom)) = (a.split_rows(at), c.split_rows(at));
            (part(a_top, b, c_top), part(a_bottom, b, c_bottom))
        } else {
            let ((b_left, b_right), (c_left, c_right)) = (b.split_cols(at), c.split_cols(at));
            (part(a, b_left, c_left), part(a, b_right, c_right))
        }
    }

    /// The loops over blocks: A's rows (MC), the depth (KC), B's columns (NC).
    fn run(self) {
        let Operands { alpha, a, b, beta, mut c } = self.operands;
        let (m, n) = c.shape();
        let k = a.cols();
        let blocking = Blocking::new::<S, T>(k);
        // Without packing, only the columns beyond the last whole micro-tile are copied.
        let tile_cols = S::GEMM_VECTORS * T::Lanes::<S>::COUNT;
        let block_cols = if self.pack_b { blocking.cols.min(n) } else { n };
        let (own_a, own_b) = match self.common {
            Common::Neither => (self.pack_a, true),
            Common::A(_) => (false, true),
            Common::B(_) => (self.pack_a, false),
        };
        let a_length = if own_a { pack::a_length(blocking.rows.min(m), blocking.depth) } else { 0 };
        let b_cols = if self.pack_b { block_cols } else { n % tile_cols };
        let b_length = if own_b { pack::b_length::<S, T>(b_cols, blocking.depth) } else { 0 };
        with_scratch(a_length + b_length, |scratch: &mut [T]| {
            let (a_packed, b_packed) = scratch.split_at_mut(a_length);
            for i in (0..m).step_by(blocking.rows) {
                let rows = blocking.rows.min(m - i);
                for p in (0..k).step_by(blocking.depth) {
                    let depth = blocking.depth.min(k - p);
                    let beta = if p == 0 { beta } else { T::ONE };
                    let a_block = part(a, i, rows, p, depth);
                    let a_block = match self.common {
                        Common::A(all) => BlockOfA::Packed(&all[m * p + i * depth..][..rows * depth]),
                        _ if self.pack_a => {
                            pack::pack_a(self.isa, a_block, a_packed);
                            BlockOfA::Packed(a_packed)
                        }
                        _ => BlockOfA::Streamed(a_block),
                    };
                    for j in (0..n).step_by(block_cols) {
                        let cols = block_cols.min(n - j);
                        let view = part(b, p, depth, j, cols);
                        let b_block = match self.common {
                            Common::B(all) => {
                                let packed = &all[common::padded::<S, T>(n) * p + j * depth..];
                                BlockOfB { packed, streamed: 0, view }
                            }
                            _ => {
                                let streamed = if self.pack_b { 0 } else { cols - cols % tile_cols };
                                pack::pack_b(self.isa, view.split_cols(streamed).1, b_packed);
                                BlockOfB { packed: b_packed, streamed, view }
                            }
                        };
                        let target = c.reborrow().split_rows(i).1.split_rows(rows).0;
                        let target = target.split_cols(j).1.split_cols(cols).0;
                        macro_kernel(self.isa, alpha, a_block, b_block, beta, target);
                    }
                }
            }
        });
    }
}

/// The part of `matrix` that starts at (`row`, `col`) and has `rows` x `cols` elements.
fn part<T: Scalar>(matrix: MatRef<'_, T>, row: usize, rows: usize, col: usize, cols: usize) -> MatRef<'_, T> {
    matrix.split_rows(row).1.split_rows(rows).0.split_cols(col).1.split_cols(cols).0
}

/// A block of B: its first `streamed` columns are read where they lie, the others from `packed`.
struct BlockOfB<'a, T> {
    packed: &'a [T],
    streamed: usize,
    view: MatRef<'a, T>,
}

impl<T: Scalar> BlockOfB<'_, T> {
    /// Where the micropanel that starts at column `j` lies, and its row stride; `width` is its width in whole vectors.
    fn panel(&self, j: usize, width: usize) -> (*const T, isize) {
        if j < self.streamed {
            (self.view.element(0, j), self.view.row_stride())
        } else {
            // All panels before this one are full ones, so `depth` rows of the columns before it precede it.
            let depth = self.view.rows();
            (self.packed[(j - self.streamed) * depth..][..width * depth].as_ptr(), width as isize)
        }
    }
}

/// A block of A: copied, or where it lies.
#[derive(Clone, Copy)]
enum BlockOfA<'a, T> {
    Packed(&'a [T]),
    Streamed(MatRef<'a, T>),
}

/// C <- alpha A B + beta C for one block: the loops over micropanels of A, then of B.
fn macro_kernel<S: Isa, T: Scalar>(
    isa: S,
    alpha: T,
    a: BlockOfA<'_, T>,
    b: BlockOfB<'_, T>,
    beta: T,
    c: MatMut<'_, T>,
) {
    let lanes = T::Lanes::<S>::COUNT;
    let depth = b.view.rows();
    let (rows, cols) = c.shape();
    for i in (0..rows).step_by(S::GEMM_ROWS) {
        let height = S::GEMM_ROWS.min(rows - i);
        for j in (0..cols).step_by(S::GEMM_VECTORS * lanes) {
            let width = (S::GEMM_VECTORS * lanes).min(cols - j);
            let vectors = width.div_ceil(lanes);
            let (b, b_stride) = b.panel(j, vectors * lanes);
            let (c_row_stride, c_col_stride) = (c.row_stride(), c.col_stride());
            let c = c.element(i, j);
            // The micropanels of A and B have `depth` steps of `height` rows and of `vectors` whole vectors, and the tile of
            // C has `height` rows of `width` elements, as a `MicroKernel` needs.
            match &a {
                BlockOfA::Packed(packed) => {
                    let a = Packed(packed[i * depth..][..height * depth].as_ptr());
                    let kernel =
                        MicroKernel { depth, a, b, b_stride, alpha, beta, c, c_row_stride, c_col_stride, cols: width };
                    isa.gemm_tile(height, vectors, kernel);
                }
                BlockOfA::Streamed(view) => {
                    let a = Streamed { first: view.element(i, 0), row_stride: view.row_stride() };
                    let kernel =
                        MicroKernel { depth, a, b, b_stride, alpha, beta, c, c_row_stride, c_col_stride, cols: width };
                    isa.gemm_tile(height, vectors, kernel);
                }
            }
        }
    }
}
