//! The arguments of a product, together.

use crate::element::Element;
use std::any::TypeId;

/// A matrix by the pointer to its first element and its strides in elements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<P> {
    pub first: P,
    pub row_stride: isize,
    pub col_stride: isize,
}

impl<T> Matrix<*const T> {
    /// The part whose first element is (`row`, `col`).
    pub fn from(self, row: usize, col: usize) -> Self {
        Self { first: self.first.wrapping_offset(self.distance(row, col)), ..self }
    }

    fn cast<U>(self) -> Matrix<*const U> {
        Matrix { first: self.first.cast(), row_stride: self.row_stride, col_stride: self.col_stride }
    }
}

impl<T> Matrix<*mut T> {
    /// The part whose first element is (`row`, `col`).
    pub fn from(self, row: usize, col: usize) -> Self {
        Self { first: self.first.wrapping_offset(self.distance(row, col)), ..self }
    }

    fn cast<U>(self) -> Matrix<*mut U> {
        Matrix { first: self.first.cast(), row_stride: self.row_stride, col_stride: self.col_stride }
    }
}

impl<P> Matrix<P> {
    fn distance(&self, row: usize, col: usize) -> isize {
        let (down, across) = (row as isize, col as isize);
        down.wrapping_mul(self.row_stride).wrapping_add(across.wrapping_mul(self.col_stride))
    }

    /// Whether the elements of a column lie nearer to one another than those of a row.
    pub fn is_column_major(&self) -> bool {
        self.row_stride.unsigned_abs() < self.col_stride.unsigned_abs()
    }
}

/// dst <- alpha dst + beta lhs rhs; see [`crate::gemm`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<T> {
    /// m, n, k.
    pub shape: (usize, usize, usize),
    pub dst: Matrix<*mut T>,
    pub lhs: Matrix<*const T>,
    pub rhs: Matrix<*const T>,
    pub read_dst: bool,
    pub alpha: T,
    pub beta: T,
    pub conj_dst: bool,
    pub conj_lhs: bool,
    pub conj_rhs: bool,
}

impl<T: 'static> Call<T> {
    /// The same call, if its elements are of type `U`.
    pub fn of<U: Copy + 'static>(&self) -> Option<Call<U>> {
        (TypeId::of::<T>() == TypeId::of::<U>()).then(|| {
            // SAFETY: T is U, which is `Copy`.
            let (alpha, beta) =
                unsafe { ((&raw const self.alpha).cast::<U>().read(), (&raw const self.beta).cast::<U>().read()) };
            Call {
                shape: self.shape,
                dst: self.dst.cast(),
                lhs: self.lhs.cast(),
                rhs: self.rhs.cast(),
                read_dst: self.read_dst,
                alpha,
                beta,
                conj_dst: self.conj_dst,
                conj_lhs: self.conj_lhs,
                conj_rhs: self.conj_rhs,
            }
        })
    }
}

impl<T: Element> Call<T> {
    /// Multiply-adds of real numbers.
    pub fn work(&self) -> usize {
        let (m, n, k) = self.shape;
        m.saturating_mul(n).saturating_mul(k).saturating_mul(T::TERMS.len())
    }
}
