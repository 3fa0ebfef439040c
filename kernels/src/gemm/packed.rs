//! A right operand that is packed once and multiplied many times.

use super::blocked::Blocked;
use super::blocking::Blocking;
use super::common::{self, Common};
use super::epilogue::Epilogue;
use super::locality::packs_a;
use super::path::{WORTH_A_THREAD, blocked_grain};
use super::{Operands, check, finish_trivial, is_trivial};
use crate::aligned::AlignedVec;
use crate::dispatch;
use crate::error::Error;
use crate::isa::{Isa, Kernel, Lanes, Level, Scalar};
use crate::matrix::{MatMut, MatRef};
use crate::parallel::Divide;

/// A matrix B (k x n) in the order in which the micro-kernel reads it, for the level it was packed at.
///
/// Where one B meets many A, as the weights of a layer do, each product is spared the copy that it would make. It takes the
/// memory of the matrix, its columns rounded up to whole vectors.
#[derive(Clone, Debug)]
pub struct PackedMatrix<T> {
    level: Level,
    shape: (usize, usize),
    data: AlignedVec<T>,
}

impl<T: Scalar> PackedMatrix<T> {
    /// Packs `b` for [`dispatch::level`].
    ///
    /// # Errors
    /// Those of [`dispatch::level`], and [`Error::OutOfBounds`] if there is not enough memory for the copy.
    pub fn new(b: MatRef<'_, T>) -> Result<Self, Error> {
        Self::at(dispatch::level()?, b)
    }

    /// Packs `b` for `level`, at which its products will run.
    ///
    /// # Errors
    /// [`Error::UnsupportedIsa`], and [`Error::OutOfBounds`] if there is not enough memory for the copy.
    pub fn at(level: Level, b: MatRef<'_, T>) -> Result<Self, Error> {
        let data = dispatch::dispatch_at(level, Pack(b))??;
        Ok(Self { level, shape: b.shape(), data })
    }

    /// Rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        self.shape
    }

    /// The level it was packed for.
    pub fn level(&self) -> Level {
        self.level
    }
}

struct Pack<'a, T>(MatRef<'a, T>);

impl<T: Scalar> Kernel for Pack<'_, T> {
    type Output = Result<AlignedVec<T>, Error>;

    fn run<S: Isa>(self, isa: S) -> Self::Output {
        let b = self.0;
        let (k, n) = b.shape();
        let padded = n.checked_next_multiple_of(T::Lanes::<S>::COUNT);
        let length = if k == 0 { 0 } else { padded.map_or(usize::MAX, |padded| padded.saturating_mul(k)) };
        let mut data = AlignedVec::default();
        data.try_resize(length).map_err(|_| Error::OutOfBounds {
            shape: b.shape(),
            strides: (b.row_stride(), b.col_stride()),
            length,
            offset: 0,
        })?;
        if length > 0 {
            common::pack_all(isa, b, false, Blocking::new::<S, T>(k, false).depth, &mut data);
        }
        Ok(data)
    }
}

/// C <- epilogue(alpha A B + beta C) for a B that is packed already: A of m x k, B of k x n, C of m x n elements.
///
/// The semantics are those of [`gemm`](super::gemm()); the bits may be others, since that may take another way.
///
/// # Errors
/// [`Error::Shape`] if the extents do not agree. C is unchanged then.
#[inline(never)]
pub fn gemm_packed<T: Scalar>(
    alpha: T,
    a: MatRef<'_, T>,
    b: &PackedMatrix<T>,
    beta: T,
    c: MatMut<'_, T>,
    epilogue: Epilogue<'_, T>,
) -> Result<(), Error> {
    check(a.shape(), b.shape, c.shape())?;
    epilogue.check(c.shape())?;
    // Only its shape is looked at: its elements are in the copy.
    let nothing = [T::ZERO];
    let shape_of_b = MatRef::with_strides(&nothing, 0, b.shape.0, b.shape.1, 0, 0)?;
    dispatch::dispatch_at(b.level, PackedProduct(Operands { alpha, a, b: shape_of_b, beta, c, epilogue }, &b.data))
}

struct PackedProduct<'a, T>(Operands<'a, T>, &'a [T]);

impl<T: Scalar> Kernel for PackedProduct<'_, T> {
    type Output = ();

    fn run<S: Isa>(self, isa: S) {
        let operands = self.0;
        if is_trivial(&operands) {
            return finish_trivial(isa, operands);
        }
        let (m, n) = operands.c.shape();
        let k = operands.a.cols();
        let pack_a = packs_a::<S, T>(operands.a, n);
        let blocking = Blocking::new::<S, T>(k, pack_a);
        let along_rows = m >= n;
        let common = Common::whole_b::<S>(self.1, n);
        let product = Blocked { common, ..Blocked::new(isa, operands, blocking, [pack_a, true], along_rows) };
        if m.saturating_mul(n).saturating_mul(k) <= WORTH_A_THREAD {
            return product.run();
        }
        let grain = blocked_grain::<S, T>(along_rows, product.tile_rows, (m, k, n));
        crate::parallel::divide(product, grain);
    }
}
