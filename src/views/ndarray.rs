//! Tensors as ndarray's views.

use super::extents;
use crate::error::Error;
use crate::tensor::Tensor;
use lanegrad_kernels::isa::Scalar;
use ndarray::{ArrayView2, ArrayViewMut2};

impl<'a, T: Scalar> TryFrom<&'a Tensor<T>> for ArrayView2<'a, T> {
    type Error = Error;

    /// [`Error::Shape`] if it is not a matrix.
    fn try_from(tensor: &'a Tensor<T>) -> Result<Self, Error> {
        let extents = extents(tensor)?;
        Self::from_shape(extents, tensor.values()).map_err(|_| Error::TooLarge { shape: tensor.shape().clone() })
    }
}

impl<'a, T: Scalar> TryFrom<&'a mut Tensor<T>> for ArrayViewMut2<'a, T> {
    type Error = Error;

    /// [`Error::Shape`] if it is not a matrix.
    fn try_from(tensor: &'a mut Tensor<T>) -> Result<Self, Error> {
        let (extents, shape) = (extents(tensor)?, tensor.shape().clone());
        Self::from_shape(extents, tensor.values_mut()).map_err(|_| Error::TooLarge { shape })
    }
}
