//! y <- alpha op(A) x + beta y on a column-major matrix.

use crate::arguments::{Position, first_element, first_wrong, is_addressable};
use crate::real::Real;

/// The arguments of xGEMV, whose positions are those in Fortran's list.
#[derive(Clone, Copy)]
pub(crate) struct Gemv<T> {
    pub is_transposed: bool,
    /// Rows of A.
    pub m: i64,
    /// Columns of A.
    pub n: i64,
    pub alpha: T,
    pub a: *const T,
    pub lda: i64,
    pub x: *const T,
    pub incx: i64,
    pub beta: T,
    pub y: *mut T,
    pub incy: i64,
}

impl<T: Real> Gemv<T> {
    /// The product of a row-major matrix with these arguments: in memory, a row-major A is a column-major A'.
    pub fn mirrored(self) -> Self {
        Self { is_transposed: !self.is_transposed, m: self.n, n: self.m, ..self }
    }

    /// Computes the product, unless an argument is wrong: its position is the error.
    ///
    /// # Safety
    /// If the arguments are right, A, x and y are a matrix and vectors of these extents, y shares no element with the
    /// others, and nobody else writes any of them or reads y meanwhile.
    pub unsafe fn run(self) -> Result<(), Position> {
        let Self { is_transposed, m, n, alpha, a, lda, x, incx, beta, y, incy } = self;
        first_wrong([(2, m < 0), (3, n < 0), (6, lda < m.max(1)), (8, incx == 0), (11, incy == 0)])?;
        if m == 0 || n == 0 || alpha == T::ZERO && beta == T::ONE {
            return Ok(());
        }
        let (length, depth) = if is_transposed { (n, m) } else { (m, n) };
        let has_product = alpha != T::ZERO;
        first_wrong([
            (6, has_product && !is_addressable::<T>(lda, n, m)),
            (8, has_product && !is_addressable::<T>(incx, depth, 1)),
            (11, !is_addressable::<T>(incy, length, 1)),
        ])?;
        let (rsa, csa) = if is_transposed { (lda as isize, 1) } else { (1, lda as isize) };
        let x = first_element(x, depth, incx);
        let y = first_element(y, length, incy).cast_mut();
        let (length, depth) = (length as usize, depth as usize);
        // SAFETY: the caller's promise; the increment, which is not zero, keeps y's elements apart.
        unsafe {
            T::PRODUCT(length, depth, 1, alpha, a, rsa, csa, x, incx as isize, 0, beta, y, incy as isize, 0);
        }
        Ok(())
    }
}
