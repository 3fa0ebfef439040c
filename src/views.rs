//! Matrices of other libraries, without a copy.
//!
//! With the feature of a library, its matrices are operands of [`gemm`](crate::kernels::gemm()): views of them become a
//! [`MatRef`](crate::kernels::MatRef) or [`MatMut`](crate::kernels::MatMut) by `from`, at any strides. The other
//! way, a [`Tensor`] that is a matrix becomes the library's view by `try_from`.
//!
//! | feature | becomes a `MatRef` | becomes a `MatMut` | a tensor becomes |
//! |---|---|---|---|
//! | `ndarray` | `ArrayView2` | `ArrayViewMut2` | `ArrayView2`, `ArrayViewMut2` |
//! | `nalgebra` | `&Matrix` of any storage | `&mut Matrix` of any storage | `DMatrixView`, `DMatrixViewMut` |
//! | `faer` | `MatRef` | `MatMut` | `MatRef`, `MatMut` |
//!
//! These features are for programs that call Lanegrad. One that has ndarray or nalgebra computed on it by the package
//! `matrixmultiply` of this repository, or faer by its `gemm`, cannot have the feature of that library, too: Lanegrad would be
//! built from itself, which cargo calls a cyclic dependency.
//!
//! A tensor's memory begins on a cache line, so an owned array of another library cannot take it over: `to_owned` of
//! the view copies.

#[cfg(feature = "faer")]
mod faer;
#[cfg(feature = "nalgebra")]
mod nalgebra;
#[cfg(feature = "ndarray")]
mod ndarray;

use crate::error::Error;
use crate::tensor::Tensor;
use lanegrad_kernels::isa::Scalar;

/// Rows and columns of a tensor that is a matrix; both fit `isize`, as those of any tensor do.
fn extents<T: Scalar>(tensor: &Tensor<T>) -> Result<(usize, usize), Error> {
    match *tensor.shape().extents() {
        [rows, cols] => Ok((rows, cols)),
        _ => Err(Error::Shape { op: "view", shape: tensor.shape().clone(), wanted: "a matrix has two dimensions" }),
    }
}
