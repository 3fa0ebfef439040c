//! Views of nalgebra's matrices: owned ones, views, of static or dynamic extents.

use super::{MatMut, MatRef};
use crate::isa::Scalar;
use nalgebra::{Dim, Matrix, RawStorage, RawStorageMut};

impl<'a, T: Scalar, R: Dim, C: Dim, S: RawStorage<T, R, C>> From<&'a Matrix<T, R, C, S>> for MatRef<'a, T> {
    fn from(matrix: &'a Matrix<T, R, C, S>) -> Self {
        let ((rows, cols), (row_stride, col_stride)) = (matrix.shape(), matrix.strides());
        // SAFETY: the matrix's elements lie at these strides and are borrowed for `'a`.
        unsafe { Self::from_raw(matrix.as_ptr(), rows, cols, row_stride as isize, col_stride as isize) }
    }
}

impl<'a, T: Scalar, R: Dim, C: Dim, S: RawStorageMut<T, R, C>> From<&'a mut Matrix<T, R, C, S>> for MatMut<'a, T> {
    fn from(matrix: &'a mut Matrix<T, R, C, S>) -> Self {
        let ((rows, cols), (row_stride, col_stride)) = (matrix.shape(), matrix.strides());
        // SAFETY: the matrix's elements lie at these strides and are borrowed exclusively for `'a`.
        unsafe { Self::from_foreign(matrix.as_mut_ptr(), rows, cols, row_stride as isize, col_stride as isize) }
    }
}
