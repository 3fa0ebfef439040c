//! Layers: operations with named parameters.
//!
//! ```
//! use lanegrad::init::{Initializer, Scheme};
//! use lanegrad::nn::{Layer, Linear, Relu, Sequential};
//! use lanegrad::{tape::Tape, tensor::Tensor};
//!
//! let mut tape = Tape::<f32>::new();
//! let mut initializer = Initializer::new(Scheme::He, 0);
//! let model = Sequential::new()
//!     .with(Linear::new(&mut tape, "fc1", 4, 16, &mut initializer)?)
//!     .with(Relu)
//!     .with(Linear::new(&mut tape, "fc2", 16, 3, &mut initializer)?);
//! let scores = model.forward(tape.constant(&Tensor::ones([2, 4])?));
//! let loss = scores.softmax_cross_entropy(tape.indices(&[0, 2]));
//! loss.backward()?;
//! assert_eq!(tape.parameter_count(), 4 * 16 + 16 + 16 * 3 + 3);
//! # Ok::<(), lanegrad::Error>(())
//! ```
//!
//! A layer's numbers lie on the tape it was made for, under its name (`fc1.weight`, `fc1.bias`); the layer itself only knows
//! where. Images are NHWC: batch, height, width, channels.

pub mod models;

mod activation;
mod batch_norm;
mod conv2d;
mod dropout;
mod linear;
mod local_response_norm;
mod pool2d;
mod sequential;

pub use activation::{Relu, Sigmoid, Tanh};
pub use batch_norm::BatchNorm;
pub use conv2d::Conv2d;
pub use dropout::Dropout;
pub use linear::Linear;
pub use local_response_norm::LocalResponseNorm;
pub use pool2d::{AvgPool2d, MaxPool2d};
pub use sequential::{Flatten, Sequential};

use crate::tape::Var;
use lanegrad_kernels::isa::Scalar;
use std::fmt::Debug;

/// A function of one array, with parameters on the tape that the array is on.
pub trait Layer<T: Scalar>: Debug + Send {
    /// Records the layer's operations on `x`. Never panics: what fails poisons the result.
    fn forward<'t>(&self, x: Var<'t, T>) -> Var<'t, T>;
}
