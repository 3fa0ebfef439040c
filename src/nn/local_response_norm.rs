//! The layer of local response normalisation.

use super::Layer;
use crate::tape::Var;
use lanegrad_kernels::isa::Scalar;

pub use crate::ops::local_response_norm::LocalResponseNorm;

impl<T: Scalar> Layer<T> for LocalResponseNorm {
    fn forward<'t>(&self, x: Var<'t, T>) -> Var<'t, T> {
        x.local_response_norm(*self)
    }
}
