//! Tensors as faer's views.

use super::extents;
use crate::error::Error;
use crate::tensor::Tensor;
use faer::{MatMut, MatRef};
use lanegrad_kernels::isa::Scalar;

impl<'a, T: Scalar> TryFrom<&'a Tensor<T>> for MatRef<'a, T> {
    type Error = Error;

    /// [`Error::Shape`] if it is not a matrix.
    fn try_from(tensor: &'a Tensor<T>) -> Result<Self, Error> {
        let (rows, cols) = extents(tensor)?;
        Ok(Self::from_row_major_slice(tensor.values(), rows, cols))
    }
}

impl<'a, T: Scalar> TryFrom<&'a mut Tensor<T>> for MatMut<'a, T> {
    type Error = Error;

    /// [`Error::Shape`] if it is not a matrix.
    fn try_from(tensor: &'a mut Tensor<T>) -> Result<Self, Error> {
        let (rows, cols) = extents(tensor)?;
        Ok(Self::from_row_major_slice_mut(tensor.values_mut(), rows, cols))
    }
}
