//! Layers one after the other.

use super::Layer;
use crate::tape::Var;
use lanegrad_kernels::isa::Scalar;

/// Layers one after the other.
#[derive(Debug)]
pub struct Sequential<T: Scalar = f32> {
    layers: Vec<Box<dyn Layer<T>>>,
}

impl<T: Scalar> Default for Sequential<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Scalar> Sequential<T> {
    /// No layer: what goes in comes out.
    pub fn new() -> Self {
        Self { layers: Vec::new() }
    }

    /// With `layer` after the others.
    pub fn with(mut self, layer: impl Layer<T> + 'static) -> Self {
        self.layers.push(Box::new(layer));
        self
    }

    /// The layers, first to last.
    pub fn layers(&self) -> &[Box<dyn Layer<T>>] {
        &self.layers
    }
}

impl<T: Scalar> Layer<T> for Sequential<T> {
    fn forward<'t>(&self, x: Var<'t, T>) -> Var<'t, T> {
        self.layers.iter().fold(x, |x, layer| layer.forward(x))
    }
}

/// All dimensions but the first as one; rows stay what they are, without a copy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flatten;

impl<T: Scalar> Layer<T> for Flatten {
    fn forward<'t>(&self, x: Var<'t, T>) -> Var<'t, T> {
        match x.shape() {
            Ok(shape) if shape.rank() == 2 => x,
            _ => x.flatten(),
        }
    }
}
