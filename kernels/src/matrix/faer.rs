//! Views of faer's matrices, at any strides.

use super::{MatMut, MatRef};
use crate::isa::Scalar;
use faer::{Shape, Stride};

impl<'a, T: Scalar, R: Shape, C: Shape, RS: Stride, CS: Stride> From<faer::MatRef<'a, T, R, C, RS, CS>>
    for MatRef<'a, T>
{
    fn from(view: faer::MatRef<'a, T, R, C, RS, CS>) -> Self {
        let (rows, cols) = (view.nrows().unbound(), view.ncols().unbound());
        let (row_stride, col_stride) = (view.row_stride().element_stride(), view.col_stride().element_stride());
        // SAFETY: the matrix's elements lie at these strides and are borrowed for `'a`.
        unsafe { Self::from_raw(view.as_ptr(), rows, cols, row_stride, col_stride) }
    }
}

impl<'a, T: Scalar, R: Shape, C: Shape, RS: Stride, CS: Stride> From<faer::MatMut<'a, T, R, C, RS, CS>>
    for MatMut<'a, T>
{
    fn from(view: faer::MatMut<'a, T, R, C, RS, CS>) -> Self {
        let (rows, cols) = (view.nrows().unbound(), view.ncols().unbound());
        let (row_stride, col_stride) = (view.row_stride().element_stride(), view.col_stride().element_stride());
        // SAFETY: the matrix's elements lie at these strides and are borrowed exclusively for `'a`.
        unsafe { Self::from_foreign(view.as_ptr_mut(), rows, cols, row_stride, col_stride) }
    }
}
