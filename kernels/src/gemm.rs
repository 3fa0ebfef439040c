//! C <- alpha A B + beta C: the matrix product, cache-blocked and packed.
//!
//! A product takes one of these ways. Those whose bits differ are chosen by level, type, shape and strides alone; what is copied, and so
//! whether a product goes directly or in blocks, by the caches, the threads and where B lies, too:
//!
//! * **blocked**: the loops of Goto and van de Geijn's "Anatomy of high-performance matrix multiplication" (2008), with the
//!   roles of A and B exchanged, since the micro-tile's vectors lie along the columns of a row-major C. An operand is packed
//!   where that pays: a B that many rows of tiles read from afar or across cache lines, an A that is not row-major.
//! * **direct**: a small product, tile by tile where it lies; its elements have the bits that the blocked way would give them.
//! * **narrow**: a few columns and a long depth. The vectors lie along the depth, two columns in each.
//! * **row**: one row times a large B: multiples of B's rows.
//! * **column**: one column: dot products.
//! * **edge**: the last columns of a C a little wider than whole vectors go the narrow way, the others the blocked or the direct one.
//!
//! An operand that lies the wrong way may be turned first (`turn`).
//!
//! A small C with a very long depth is the sum of such products of parts of it (`deep`).
//!
//! Threads share the rows or columns of C, or the parts of a long depth; in which order the products of an element are added does
//! not depend on how many there are, so the result has the same bits for any number of threads. (Which NaN a NaN is may vary:
//! its sign and payload, where different ones meet.)
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
mod edge;
mod epilogue;
mod locality;
mod microkernel;
mod narrow;
mod output;
mod pack;
mod packed;
mod path;
mod raw;
mod row;
mod transpose;
mod turn;

pub use batch::{Batch, BatchMut, gemm_batch};
pub use epilogue::{Bias, Epilogue};
pub use packed::{PackedMatrix, gemm_packed};
pub use raw::{dgemm, sgemm};

use crate::dispatch;
use crate::error::Error;
use crate::isa::{Isa, Kernel, Scalar};
use crate::matrix::{MatMut, MatRef};

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
        if limits.is_some() {
            return self.0.run_indirectly(isa);
        }
        let is_row_major = operands.a.col_stride() == 1 && operands.b.col_stride() == 1 && operands.c.col_stride() == 1;
        if !is_row_major && !direct::is_tiny(operands) && run_turned(isa, operands) {
            return;
        }
        let edge = edge::columns::<S, T>(operands);
        if edge > 0 {
            edge::run(isa, operands, edge);
        } else if direct::pays::<S, T>(operands) {
            direct::run(isa, operands);
        } else {
            self.0.run_indirectly(isa);
        }
    }
}

impl<T: Scalar> Gemm<'_, T> {
    /// The product by any way but the direct one. It is a function of its own, so that a small product does not save its registers.
    #[inline(never)]
    fn run_indirectly<S: Isa>(&mut self, isa: S) {
        let Self { operands, limits } = self;
        let ((m, n), k) = (operands.c.shape(), operands.a.cols());
        if is_trivial(operands) {
            return finish_trivial(isa, operands.reborrow());
        }
        match (limits, deep::parts::<S, T>(m, k, n)) {
            (Some(limits), _) => path::limited(isa, operands.reborrow(), *limits),
            (None, 1) => path::product(isa, operands),
            (None, parts) => deep::run(isa, operands.reborrow(), parts),
        }
    }
}

/// Runs a product whose C has adjacent rows as C' = B' A', and one in which it pays to turn an operand; false if it is neither.
#[inline(never)]
fn run_turned<S: Isa, T: Scalar>(isa: S, operands: &mut Operands<'_, T>) -> bool {
    if operands.c.col_stride() != 1 && operands.c.row_stride() == 1 {
        run_anew(isa, operands.reborrow().transposed());
        return true;
    }
    let turn = turn::choose::<S, T>(operands);
    if let Some(turn) = turn {
        turn::run(isa, operands.reborrow(), turn);
    }
    turn.is_some()
}

/// Runs a product that is made of another.
fn run_anew<S: Isa, T: Scalar>(isa: S, operands: Operands<'_, T>) {
    InPlace(&mut Gemm { operands, limits: None }).run(isa);
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
    output::scale(beta, c.reborrow());
    epilogue.apply(isa, c);
}

/// The part of `matrix` that starts at (`row`, `col`) and has `rows` x `cols` elements.
fn part<T: Scalar>(matrix: MatRef<'_, T>, row: usize, rows: usize, col: usize, cols: usize) -> MatRef<'_, T> {
    matrix.split_rows(row).1.split_rows(rows).0.split_cols(col).1.split_cols(cols).0
}
