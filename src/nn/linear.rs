//! The affine layer.

use super::Layer;
use crate::error::Error;
use crate::init::Initializer;
use crate::tape::{Param, Tape, Var};
use crate::tensor::Tensor;
use lanegrad_kernels::isa::Scalar;

/// Y = X W + b, on the last dimension of X.
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    /// W, of shape (inputs, outputs).
    pub weight: Param,
    /// b, of shape (outputs).
    pub bias: Param,
}

impl Linear {
    /// Adds `name.weight` and `name.bias` to the tape: weights from `initializer`, and zeros.
    ///
    /// # Errors
    /// Those of [`Tape::parameter`] and [`Initializer::draw`].
    pub fn new<T: Scalar>(
        tape: &mut Tape<T>,
        name: &str,
        inputs: usize,
        outputs: usize,
        initializer: &mut Initializer,
    ) -> Result<Self, Error> {
        let weight = initializer.draw([inputs, outputs], inputs, outputs)?;
        Ok(Self {
            weight: tape.parameter(format!("{name}.weight"), &weight)?,
            bias: tape.parameter(format!("{name}.bias"), &Tensor::zeros([outputs])?)?,
        })
    }
}

impl<T: Scalar> Layer<T> for Linear {
    fn forward<'t>(&self, x: Var<'t, T>) -> Var<'t, T> {
        x.linear(x.tape().param(self.weight), x.tape().param(self.bias))
    }
}
