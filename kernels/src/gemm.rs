//! C <- alpha A B + beta C: the matrix product, cache-blocked and packed.
//!
//! A product takes one of these ways. Those whose bits differ are chosen by level, type, shape and strides alone; what is copied, and so
//! whether a product goes directly or in blocks, by the caches, the threads and where B lies, too:
//!
//! * **blocked**: the loops of Goto and van de Geijn's "Anatomy of high-performance matrix multiplication" (2008), with the
//!   roles of A and B exchanged, since the micro-tile's vectors lie along the columns of a row-major C. B is packed unless
//!   there are so few rows that each of its elements is used in one micro-tile only.
//! * **direct**: a small product, tile by tile where it lies; its elements have the bits that the blocked way would give them.
//! * **narrow**: a few columns and a long depth. The vectors lie along the depth, two columns in each.
//! * **row**: one row times a large B: multiples of B's rows.
//! * **column**: one column: dot products.
//!
//! A small C with a very long depth is the sum of such products of parts of it (`deep`).
//!
//! Threads share the rows or columns of C; every element of C is computed by one thread as one chain of operations in the
//! order of the depth, so the result has the same bits for any number of threads.
//!
//! The semantics are those of BLAS: with `beta` zero C is not read; with `alpha` zero, or a depth of zero, C is scaled and A
//! and B are not read; otherwise no factor is skipped, so a NaN in A or B reaches every element of C that depends on it.

mod across;
mod batch;
mod blocked;
mod blocking;
mod column;
mod common;
mod deep;
mod direct;
mod epilogue;
mod microkernel;
mod narrow;
mod pack;
mod packed;
mod raw;
mod row;

pub use batch::{Batch, BatchMut, gemm_batch};
pub use epilogue::{Bias, Epilogue};
pub use packed::{PackedMatrix, gemm_packed};
pub use raw::{dgemm, sgemm};

use crate::caches::caches;
use crate::dispatch;
use crate::error::Error;
use crate::isa::{Isa, Kernel, Lanes, Scalar};
use crate::matrix::{MatMut, MatRef};
use crate::parallel::{self, Divide, Grain};
use blocked::Blocked;
use blocking::Blocking;
use common::Common;

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
#[inline]
pub fn gemm<T: Scalar>(alpha: T, a: MatRef<'_, T>, b: MatRef<'_, T>, beta: T, c: MatMut<'_, T>) -> Result<(), Error> {
    run(&mut Gemm::new(alpha, a, b, beta, c)?)
}

/// Runs a product where its caller made it: to copy its operands takes as long as a tiny product.
#[inline(never)]
pub(crate) fn run<T: Scalar>(product: &mut Gemm<'_, T>) -> Result<(), Error> {
    dispatch::dispatch(InPlace(product))
}

/// A checked product, to be run at a level of one's choice ([`dispatch::dispatch_at`]).
#[derive(Debug)]
pub struct Gemm<'a, T> {
    operands: Operands<'a, T>,
    limits: Option<Limits>,
}

/// The operands of C <- epilogue(alpha A B + beta C), whose extents agree.
#[derive(Debug)]
struct Operands<'a, T> {
    alpha: T,
    a: MatRef<'a, T>,
    b: MatRef<'a, T>,
    beta: T,
    c: MatMut<'a, T>,
    epilogue: Epilogue<'a, T>,
}

impl<T: Scalar> Operands<'_, T> {
    /// The same operands.
    fn reborrow(&mut self) -> Operands<'_, T> {
        let Self { alpha, a, b, beta, ref mut c, epilogue } = *self;
        Operands { alpha, a, b, beta, c: c.reborrow(), epilogue }
    }

    /// For the first `at` rows of C, and the rest.
    fn split_rows(self, at: usize) -> (Self, Self) {
        let Self { alpha, a, b, beta, c, epilogue } = self;
        let ((a_top, a_bottom), (c_top, c_bottom)) = (a.split_rows(at), c.split_rows(at));
        let (top, bottom) = epilogue.split_rows(at);
        (
            Self { alpha, a: a_top, b, beta, c: c_top, epilogue: top },
            Self { alpha, a: a_bottom, b, beta, c: c_bottom, epilogue: bottom },
        )
    }

    /// For the first `at` columns of C, and the rest.
    fn split_cols(self, at: usize) -> (Self, Self) {
        let (left, right) = self.transposed().split_rows(at);
        (left.transposed(), right.transposed())
    }

    /// The same product with rows as columns: C' = B' A'.
    fn transposed(self) -> Self {
        let Self { alpha, a, b, beta, c, epilogue } = self;
        Self { alpha, a: b.transposed(), b: a.transposed(), beta, c: c.transposed(), epilogue: epilogue.transposed() }
    }
}

/// Refuses extents that do not agree.
#[inline]
fn check(a: (usize, usize), b: (usize, usize), c: (usize, usize)) -> Result<(), Error> {
    if b.0 != a.1 {
        return Err(Error::Shape { what: "rows of B and columns of A", expected: (a.1, b.1), found: b });
    }
    if c != (a.0, b.1) {
        return Err(Error::Shape { what: "C and the product of A and B", expected: (a.0, b.1), found: c });
    }
    Ok(())
}

impl<'a, T: Scalar> Gemm<'a, T> {
    /// C <- alpha A B + beta C; see [`gemm`].
    ///
    /// # Errors
    /// [`Error::Shape`] if the extents do not agree.
    #[inline]
    pub fn new(alpha: T, a: MatRef<'a, T>, b: MatRef<'a, T>, beta: T, c: MatMut<'a, T>) -> Result<Self, Error> {
        check(a.shape(), b.shape(), c.shape())?;
        Ok(Self { operands: Operands { alpha, a, b, beta, c, epilogue: Epilogue::default() }, limits: None })
    }

    /// The same product, followed by `epilogue` while C is near.
    ///
    /// ```
    /// use lanegrad_kernels::dispatch::dispatch;
    /// use lanegrad_kernels::gemm::{Bias, Epilogue, Gemm};
    /// use lanegrad_kernels::{MatMut, MatRef};
    /// let (x, weight, bias) = ([1.0, 2.0], [3.0, -4.0, 5.0, -6.0], [0.5, 0.25]);
    /// let mut y = [0.0; 2];
    /// let layer = Gemm::new(
    ///     1.0,
    ///     MatRef::row_major(&x, 1, 2)?,
    ///     MatRef::row_major(&weight, 2, 2)?,
    ///     0.0,
    ///     MatMut::row_major(&mut y, 1, 2)?,
    /// )?;
    /// dispatch(layer.with_epilogue(Epilogue { bias: Bias::Columns(&bias), relu: true })?)?;
    /// assert_eq!(y, [13.5, 0.0]);
    /// # Ok::<(), lanegrad_kernels::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] if the bias has not as many numbers as C has columns, or rows.
    pub fn with_epilogue(mut self, epilogue: Epilogue<'a, T>) -> Result<Self, Error> {
        epilogue.check(self.operands.c.shape())?;
        self.operands.epilogue = epilogue;
        Ok(self)
    }

    /// The same product, the blocked way, however narrow and small it is: in blocks of at most `depth`, `rows` and `cols`,
    /// rounded up to whole micro-tiles, cut for threads wherever it can be, and with copies of A and B where `copies` is true.
    ///
    /// It is for tests: small operands reach the edges of the loops so.
    #[doc(hidden)]
    pub fn with_blocks(self, depth: usize, rows: usize, cols: usize, copies: [bool; 2]) -> Self {
        let [pack_a, pack_b] = copies;
        Self { limits: Some(Limits { depth, rows, cols, pack_a, pack_b }), ..self }
    }
}

/// The largest blocks that a test allows, and the copies that it asks for.
#[derive(Clone, Copy, Debug)]
struct Limits {
    depth: usize,
    rows: usize,
    cols: usize,
    pack_a: bool,
    pack_b: bool,
}

impl<T: Scalar> Kernel for Gemm<'_, T> {
    type Output = ();

    fn run<S: Isa>(mut self, isa: S) {
        // What `gemm` runs, too, is compiled once.
        dispatch::start(isa, InPlace(&mut self));
    }
}

/// A product where it lies: to move its operands from function to function takes as long as a small product.
struct InPlace<'g, 'a, T>(&'g mut Gemm<'a, T>);

impl<T: Scalar> Kernel for InPlace<'_, '_, T> {
    type Output = ();

    fn run<S: Isa>(self, isa: S) {
        let Gemm { operands, limits } = self.0;
        if limits.is_none() && direct::pays::<S, T>(operands) {
            return direct::run(isa, operands);
        }
        let ((m, n), k) = (operands.c.shape(), operands.a.cols());
        let operands = operands.reborrow();
        if is_trivial(&operands) {
            return finish_trivial(isa, operands);
        }
        match (limits, deep::parts::<S, T>(m, k, n)) {
            (Some(limits), _) => limited(isa, operands, *limits),
            (None, 1) => product(isa, operands),
            (None, parts) => deep::run(isa, operands, parts),
        }
    }
}

/// Whether C is empty, or does not depend on A and B.
fn is_trivial<T: Scalar>(operands: &Operands<'_, T>) -> bool {
    let (m, n) = operands.c.shape();
    m == 0 || n == 0 || operands.a.cols() == 0 || operands.alpha == T::ZERO
}

/// C <- epilogue(beta C).
fn finish_trivial<S: Isa, T: Scalar>(isa: S, operands: Operands<'_, T>) {
    let Operands { beta, mut c, epilogue, .. } = operands;
    // The other extent of an empty C may be any number.
    if c.rows() == 0 || c.cols() == 0 {
        return;
    }
    scale(beta, c.reborrow());
    epilogue.apply(isa, c);
}

/// The product of operands that are not empty.
fn product<S: Isa, T: Scalar>(isa: S, operands: Operands<'_, T>) {
    let (path, is_transposed) = choose::<S, T>(&operands);
    let operands = if is_transposed { operands.transposed() } else { operands };
    let ((m, n), k) = (operands.c.shape(), operands.a.cols());
    let is_small = m.saturating_mul(n).saturating_mul(k) <= WORTH_A_THREAD;
    match path {
        Path::Column => column::run(isa, operands, if is_small { m.into() } else { grain(k) }),
        Path::Row => row::run(isa, operands, if is_small { n.into() } else { grain(k) }),
        Path::Narrow => narrow::run(isa, operands, if is_small { m.into() } else { grain(n * k) }),
        Path::Blocked { pack_a, pack_b } => {
            let (blocking, common) = (Blocking::new::<S, T>(k, pack_a), Common::Neither);
            // Cut the longer side.
            let along_rows = m >= n;
            let product = Blocked { isa, operands, blocking, pack_a, pack_b, along_rows, common };
            if is_small {
                return product.run();
            }
            let rows = tile_rows::<S, T>(product.operands.a, product.operands.b);
            product.divide(blocked_grain::<S, T>(along_rows, rows, (m, k, n)));
        }
    }
}

/// The product in blocks within `limits`, cut for threads wherever it can be.
fn limited<S: Isa, T: Scalar>(isa: S, operands: Operands<'_, T>, limits: Limits) {
    let (path, is_transposed) = choose::<S, T>(&operands);
    let operands = if is_transposed { operands.transposed() } else { operands };
    let (pack_a, pack_b) = match path {
        Path::Blocked { pack_a, pack_b } => (pack_a || limits.pack_a, pack_b || limits.pack_b),
        // It may be that neither can be read where it lies.
        _ => (true, true),
    };
    let ((m, n), k) = (operands.c.shape(), operands.a.cols());
    let blocking = Blocking::new::<S, T>(k, pack_a).limited::<S, T>(limits);
    let along_rows = m >= n;
    let step = if along_rows { S::GEMM_ROWS } else { S::GEMM_VECTORS * T::Lanes::<S>::COUNT };
    Blocked { isa, operands, blocking, pack_a, pack_b, along_rows, common: Common::Neither }.divide(step.into());
}

/// Rows or columns of C, in whole micro-tiles of `rows` rows, that make a piece worth a thread.
fn blocked_grain<S: Isa, T: Scalar>(along_rows: bool, rows: usize, (m, k, n): (usize, usize, usize)) -> Grain {
    let (step, each) = if along_rows { (rows, n * k) } else { (S::GEMM_VECTORS * T::Lanes::<S>::COUNT, m * k) };
    grain(each).multiple_of(step)
}

/// Multiply-adds below which a piece of work is not worth another thread: about 10 microseconds.
const WORTH_A_THREAD: usize = 1 << 19;

/// Items of `each` multiply-adds that make a piece worth a thread.
fn grain(each: usize) -> Grain {
    Grain::of(each, WORTH_A_THREAD)
}

/// C <- beta C, without reading C if beta is zero.
///
/// Not `0 + beta C`, which would make a 0 of a -0.
fn scale<T: Scalar>(beta: T, c: MatMut<'_, T>) {
    if beta == T::ONE {
        return;
    }
    let is_upright = c.row_stride().unsigned_abs() < c.col_stride().unsigned_abs();
    let c = if is_upright { c.transposed() } else { c };
    for i in 0..c.rows() {
        for j in 0..c.cols() {
            let target = c.element(i, j);
            // SAFETY: the element exists. It may be uninitialised if `beta` is zero, so there must be no reference to it, and
            // it is not read then.
            unsafe { target.write(if beta == T::ZERO { T::ZERO } else { beta * target.read() }) };
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
    Column,
    Row,
    Narrow,
    Blocked { pack_a: bool, pack_b: bool },
}

/// A side of C this short is served by at most two micro-tiles.
const NARROW: usize = 16;
/// Rows of micro-tiles beyond which a copy of B pays: where its block cannot stay in the second-level cache, where its rows share a set of
/// the first-level cache, where its block fills more than a quarter of the second-level cache, and where that does not hold it.
const REUSES: [usize; 4] = [1, 12, 24, 6];
/// The same at the level that unrolls its tiles, AVX2, where whole tiles of a copy take fewer instructions: where vectors of B cross cache
/// lines and it fits the first-level cache, where they cross and the second-level cache holds it, where they do not cross and B fills
/// at most a quarter of that, and where it fills more. Each of several threads that share rows is to have as many.
const UNROLLED_REUSES: [usize; 4] = [24, 12, 64, 20];
/// The same where rows of B share a set and tiles are lower than AVX-512's: they need twice as much from the second-level cache.
const LOW_REUSES: usize = 3;
/// Rows of a micro-tile that is not low.
const HIGH: usize = 12;
/// Columns of C beyond which an A whose rows are not adjacent along the depth pays for a copy.
const PACKED_A: usize = 64;
/// Columns of C, and elements of a row of A, from which on an A whose rows are adjacent along the depth pays for a copy, too, at the
/// level that unrolls its tiles, AVX2: 1.02 to 1.05 times as fast at 1024 cubed, 1.07 at 2048.
const LONG_A: usize = 768;

/// The way that a product takes, and whether its operands are transposed for it: C's columns are adjacent if possible.
fn choose<S: Isa, T: Scalar>(operands: &Operands<'_, T>) -> (Path, bool) {
    let Operands { a, b, c, .. } = operands;
    let ((m, n), k) = (c.shape(), a.cols());
    let streams = |wide: MatRef<'_, T>| wide.col_stride() == 1;
    if n == 1 && a.col_stride() == 1 {
        (Path::Column, false)
    } else if m == 1 && b.row_stride() == 1 {
        (Path::Column, true)
    } else if m == 1 && row::pays(*b) {
        (Path::Row, false)
    } else if n == 1 && row::pays(a.transposed()) {
        (Path::Row, true)
    } else if m <= NARROW && streams(*b) {
        (blocked::<S, T>(*a, *b), false)
    } else if n <= NARROW && streams(a.transposed()) {
        (blocked::<S, T>(b.transposed(), a.transposed()), true)
    } else if a.col_stride() == 1 && narrow::pays::<S, T>(n, k) {
        (Path::Narrow, false)
    } else if b.row_stride() == 1 && narrow::pays::<S, T>(m, k) {
        (Path::Narrow, true)
    } else if c.row_stride().unsigned_abs() < c.col_stride().unsigned_abs() {
        (blocked::<S, T>(b.transposed(), a.transposed()), true)
    } else {
        (blocked::<S, T>(*a, *b), false)
    }
}

/// The blocked way, with copies of A and B where they pay.
fn blocked<S: Isa, T: Scalar>(a: MatRef<'_, T>, b: MatRef<'_, T>) -> Path {
    Path::Blocked { pack_a: packs_a::<S, T>(a, b.cols()), pack_b: b.col_stride() != 1 || packs_b::<S, T>(a, b) }
}

/// Whether a copy of B pays, whose rows are adjacent.
fn packs_b<S: Isa, T: Scalar>(a: MatRef<'_, T>, b: MatRef<'_, T>) -> bool {
    let (m, (k, n)) = (a.rows(), b.shape());
    let tiles = m.div_ceil(tile_rows::<S, T>(a, b));
    let depth = Blocking::depth::<S, T>(k);
    let bytes = depth.saturating_mul(n).saturating_mul(size_of::<T>());
    let is_unrolled = S::UNROLL > 1;
    // Where rows of C are shared among threads, so is the copy, for which they meet once more.
    let shares_rows = m >= n && m.saturating_mul(n).saturating_mul(k) > WORTH_A_THREAD;
    let each_reuses = |times: usize| tiles > times && (!shares_rows || tiles / parallel::current() > times);
    match bytes {
        _ if leaves_the_second_cache(b, depth) => tiles > REUSES[0],
        _ if is_thrashing(b) => tiles > if S::GEMM_ROWS >= HIGH { REUSES[1] } else { LOW_REUSES },
        bytes if bytes > caches().second => tiles > REUSES[3],
        bytes if is_unrolled && crosses_lines::<S, T>(b) => {
            each_reuses(UNROLLED_REUSES[usize::from(bytes > caches().first)])
        }
        bytes if bytes > caches().second / 4 => tiles > REUSES[2] && (!is_unrolled || each_reuses(UNROLLED_REUSES[3])),
        _ => is_unrolled && each_reuses(UNROLLED_REUSES[2]),
    }
}

/// Whether a copy of A pays where C has `n` columns.
fn packs_a<S: Isa, T: Scalar>(a: MatRef<'_, T>, n: usize) -> bool {
    match (a.row_stride(), a.col_stride()) {
        (_, 1) => S::UNROLL > 1 && n.min(a.cols()) >= LONG_A,
        (1, _) => n > PACKED_A,
        _ => true,
    }
}

/// Whether many rows, which lie whole pages apart, share each set of the first-level cache.
fn is_thrashing<T: Scalar>(matrix: MatRef<'_, T>) -> bool {
    matrix.rows() > 2 * caches().first_ways && are_pages_apart(matrix)
}

/// Whether the rows of a matrix lie whole pages apart.
fn are_pages_apart<T: Scalar>(matrix: MatRef<'_, T>) -> bool {
    matrix.row_stride().unsigned_abs().wrapping_mul(size_of::<T>()).is_multiple_of(4096)
}

/// Whether some of the vectors that whole rows of the matrix are cut into lie in two cache lines.
fn crosses_lines<S: Isa, T: Scalar>(matrix: MatRef<'_, T>) -> bool {
    let row_bytes = matrix.row_stride().unsigned_abs().wrapping_mul(size_of::<T>());
    let vector = T::Lanes::<S>::COUNT * size_of::<T>();
    !(matrix.element(0, 0).addr() | row_bytes).is_multiple_of(vector)
}

/// Whether `depth` rows do not fit the second-level cache together, however short they are: rows a multiple of a large power of two apart
/// share a few of its sets.
fn leaves_the_second_cache<T: Scalar>(matrix: MatRef<'_, T>, depth: usize) -> bool {
    let row_bytes = matrix.row_stride().unsigned_abs().wrapping_mul(size_of::<T>());
    let apart = 1_usize.checked_shl(row_bytes.trailing_zeros()).unwrap_or(0);
    depth.saturating_mul(apart) > caches().second
}

/// Bytes of a matrix.
fn bytes<T: Scalar>(matrix: MatRef<'_, T>) -> usize {
    matrix.rows().saturating_mul(matrix.cols()).saturating_mul(size_of::<T>())
}

/// Whether a matrix that is read once, row after row, lies so far out that its rows are prefetched while those before them are used:
/// it fills more than a `share`th of the third-level cache, which others use, too. A processor foresees what comes from nearer, and
/// a kernel that does little with a number has no time to prefetch it.
fn is_far<T: Scalar>(matrix: MatRef<'_, T>, share: usize) -> bool {
    bytes(matrix) > (caches().third / share).max(caches().second)
}

/// Rows of a micro-tile whose A is read where it lies: at most MR.
///
/// Rows whole pages apart share one set of the first-level cache. There, a panel has no more rows than the set has lines, which is
/// faster than a copy. Where all rows are one panel, it is cut only if it is much higher (12 x 3072 x 256 went to 1.4 times its speed), and
/// B, which is then read twice, stays near.
fn tile_rows<S: Isa, T: Scalar>(a: MatRef<'_, T>, b: MatRef<'_, T>) -> usize {
    let ways = caches().first_ways;
    let is_high = a.rows() > 2 * ways || a.rows() > ways + 2 && !is_thrashing(b);
    if a.col_stride() == 1 && is_high && are_pages_apart(a) { ways.min(S::GEMM_ROWS) } else { S::GEMM_ROWS }
}

/// The part of `matrix` that starts at (`row`, `col`) and has `rows` x `cols` elements.
fn part<T: Scalar>(matrix: MatRef<'_, T>, row: usize, rows: usize, col: usize, cols: usize) -> MatRef<'_, T> {
    matrix.split_rows(row).1.split_rows(rows).0.split_cols(col).1.split_cols(cols).0
}

/// Runs `work` on a copy of `c` and its row stride, and writes the copy back: for a C whose columns are not adjacent.
fn through_copy<T: Scalar>(mut c: MatMut<'_, T>, beta: T, copy: &mut [T], work: impl FnOnce(*mut T, isize)) {
    let (rows, cols) = c.shape();
    let copy = &mut copy[..rows * cols];
    let elements = (0..rows).flat_map(|i| (0..cols).map(move |j| (i, j)));
    if beta != T::ZERO {
        for (x, (i, j)) in copy.iter_mut().zip(elements.clone()) {
            *x = *c.at_mut(i, j);
        }
    }
    work(copy.as_mut_ptr(), cols as isize);
    for (&x, (i, j)) in copy.iter().zip(elements) {
        // SAFETY: the element exists. It may be uninitialised if `beta` is zero, so there must be no reference to it.
        unsafe { c.element(i, j).write(x) };
    }
}
