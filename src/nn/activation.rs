//! Layers that apply a function to each element.

use super::Layer;
use crate::tape::Var;
use lanegrad_kernels::isa::Scalar;

/// The rectifier, max(x, 0).
#[derive(Clone, Copy, Debug, Default)]
pub struct Relu;

impl<T: Scalar> Layer<T> for Relu {
    fn forward<'t>(&self, x: Var<'t, T>) -> Var<'t, T> {
        x.relu()
    }
}

/// The hyperbolic tangent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tanh;

impl<T: Scalar> Layer<T> for Tanh {
    fn forward<'t>(&self, x: Var<'t, T>) -> Var<'t, T> {
        x.tanh()
    }
}

/// The logistic sigmoid.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sigmoid;

impl<T: Scalar> Layer<T> for Sigmoid {
    fn forward<'t>(&self, x: Var<'t, T>) -> Var<'t, T> {
        x.sigmoid()
    }
}
