//! Views of ndarray's arrays, at any strides.

use super::{MatMut, MatRef};
use crate::isa::Scalar;
use ndarray::{ArrayView2, ArrayViewMut2};

impl<'a, T: Scalar> From<ArrayView2<'a, T>> for MatRef<'a, T> {
    fn from(view: ArrayView2<'a, T>) -> Self {
        let ((rows, cols), strides) = (view.dim(), view.strides());
        // SAFETY: the array's elements lie at these strides and are borrowed for `'a`.
        unsafe { Self::from_raw(view.as_ptr(), rows, cols, strides[0], strides[1]) }
    }
}

impl<'a, T: Scalar> From<ArrayViewMut2<'a, T>> for MatMut<'a, T> {
    fn from(mut view: ArrayViewMut2<'a, T>) -> Self {
        let (rows, cols) = view.dim();
        let (row_stride, col_stride) = (view.strides()[0], view.strides()[1]);
        // SAFETY: the array's elements lie at these strides, are borrowed exclusively for `'a`, and no two of them lie at one
        // address: ndarray makes no writable view in which they do.
        unsafe { Self::from_raw(view.as_mut_ptr(), rows, cols, row_stride, col_stride) }
    }
}
