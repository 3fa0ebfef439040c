//! Tensors as nalgebra's views.

use super::extents;
use crate::error::Error;
use crate::tensor::Tensor;
use lanegrad_kernels::isa::Scalar;
use nalgebra::{Dyn, MatrixView, MatrixViewMut};

impl<'a, T: Scalar> TryFrom<&'a Tensor<T>> for MatrixView<'a, T, Dyn, Dyn, Dyn, Dyn> {
    type Error = Error;

    /// [`Error::Shape`] if it is not a matrix.
    fn try_from(tensor: &'a Tensor<T>) -> Result<Self, Error> {
        let (rows, cols) = extents(tensor)?;
        Ok(Self::from_slice_with_strides(tensor.values(), rows, cols, cols, 1))
    }
}

impl<'a, T: Scalar> TryFrom<&'a mut Tensor<T>> for MatrixViewMut<'a, T, Dyn, Dyn, Dyn, Dyn> {
    type Error = Error;

    /// [`Error::Shape`] if it is not a matrix.
    fn try_from(tensor: &'a mut Tensor<T>) -> Result<Self, Error> {
        let (rows, cols) = extents(tensor)?;
        Ok(Self::from_slice_with_strides_mut(tensor.values_mut(), rows, cols, cols, 1))
    }
}
