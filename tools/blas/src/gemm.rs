//! C <- alpha op(A) op(B) + beta C on column-major matrices.

use crate::arguments::{Position, first_wrong, is_addressable};
use crate::real::Real;

/// A matrix in memory, and whether it or its transpose takes part.
#[derive(Clone, Copy)]
pub(crate) struct Operand<T> {
    pub first: *const T,
    /// Elements from one column to the next.
    pub leading: i64,
    pub is_transposed: bool,
}

impl<T> Operand<T> {
    /// Strides of op(A)'s rows and columns.
    fn strides(&self) -> (isize, isize) {
        let leading = self.leading as isize;
        if self.is_transposed { (leading, 1) } else { (1, leading) }
    }

    /// Extents of A itself, where those of op(A) are `rows` x `cols`.
    fn stored(&self, rows: i64, cols: i64) -> (i64, i64) {
        if self.is_transposed { (cols, rows) } else { (rows, cols) }
    }
}

/// The arguments of xGEMM, whose positions are those in Fortran's list.
#[derive(Clone, Copy)]
pub(crate) struct Gemm<T> {
    /// Rows of C.
    pub m: i64,
    /// Columns of C.
    pub n: i64,
    /// Columns of op(A).
    pub k: i64,
    pub alpha: T,
    pub a: Operand<T>,
    pub b: Operand<T>,
    pub beta: T,
    pub c: *mut T,
    pub ldc: i64,
}

impl<T: Real> Gemm<T> {
    /// The product of row-major matrices with these arguments: in memory, a row-major C is a column-major C' = B' A'.
    pub fn mirrored(self) -> Self {
        Self { m: self.n, n: self.m, a: self.b, b: self.a, ..self }
    }

    /// Computes the product, unless an argument is wrong: its position is the error.
    ///
    /// # Safety
    /// If the arguments are right, A, B and C are matrices of these extents, C shares no element with the others, and
    /// nobody else writes any of them or reads C meanwhile.
    pub unsafe fn run(self) -> Result<(), Position> {
        self.check()?;
        let Self { m, n, k, alpha, a, b, beta, c, ldc } = self;
        let has_product = k > 0 && alpha != T::ZERO;
        if m == 0 || n == 0 || !has_product && beta == T::ONE {
            return Ok(());
        }
        self.check_addresses(has_product)?;
        let ((rsa, csa), (rsb, csb)) = (a.strides(), b.strides());
        let (m, n, k) = (m as usize, n as usize, k as usize);
        // SAFETY: the caller's promise; the strides, which are at least a column's length, keep C's elements apart.
        unsafe { T::PRODUCT(m, k, n, alpha, a.first, rsa, csa, b.first, rsb, csb, beta, c, 1, ldc as isize) };
        Ok(())
    }

    fn check(&self) -> Result<(), Position> {
        let (rows_of_a, _) = self.a.stored(self.m, self.k);
        let (rows_of_b, _) = self.b.stored(self.k, self.n);
        first_wrong([
            (3, self.m < 0),
            (4, self.n < 0),
            (5, self.k < 0),
            (8, self.a.leading < rows_of_a.max(1)),
            (10, self.b.leading < rows_of_b.max(1)),
            (13, self.ldc < self.m.max(1)),
        ])
    }

    fn check_addresses(&self, has_product: bool) -> Result<(), Position> {
        let (rows_of_a, cols_of_a) = self.a.stored(self.m, self.k);
        let (rows_of_b, cols_of_b) = self.b.stored(self.k, self.n);
        first_wrong([
            (8, has_product && !is_addressable::<T>(self.a.leading, cols_of_a, rows_of_a)),
            (10, has_product && !is_addressable::<T>(self.b.leading, cols_of_b, rows_of_b)),
            (13, !is_addressable::<T>(self.ldc, self.n, self.m)),
        ])
    }
}
