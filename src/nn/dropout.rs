//! Dropout.

use super::Layer;
use crate::error::Error;
use crate::init::Initializer;
use crate::tape::Var;
use lanegrad_kernels::isa::Scalar;

/// In training, drops each element with some probability and scales the others up; in evaluation, does nothing.
///
/// Which elements are dropped follows from the layer's seed and [`crate::tape::Tape::step`] alone.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    probability: f64,
    seed: u64,
}

impl Dropout {
    /// Drops with `probability`.
    ///
    /// # Errors
    /// [`Error::Setting`] if that is not at least 0 and less than 1.
    pub fn new(probability: f64, initializer: &mut Initializer) -> Result<Self, Error> {
        if !(0.0..1.0).contains(&probability) {
            return Err(Error::Setting(format!("elements cannot be dropped with probability {probability}")));
        }
        Ok(Self { probability, seed: initializer.seed() })
    }
}

impl<T: Scalar> Layer<T> for Dropout {
    fn forward<'t>(&self, x: Var<'t, T>) -> Var<'t, T> {
        if x.tape().is_training() { x.dropout(self.probability, self.seed) } else { x }
    }
}
