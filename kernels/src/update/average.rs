//! The exponential moving average that most rules keep of something.

use crate::isa::{Isa, Lanes, Scalar};

/// average <- decay average + (1 - decay) value.
///
/// 1 - decay is rounded once, from `f64`: in `f32`, 1 - 0.999 would be off by a hundred thousandth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Average<T> {
    decay: T,
    complement: T,
}

impl<T: Scalar> Average<T> {
    pub fn new(decay: f64) -> Self {
        Self { decay: T::from_f64(decay), complement: T::from_f64(1.0 - decay) }
    }

    #[inline(always)]
    pub fn lanes<S: Isa>(self, isa: S, average: T::Lanes<S>, value: T::Lanes<S>) -> T::Lanes<S> {
        let new = value.mul(isa, T::Lanes::<S>::splat(isa, self.complement));
        average.mul_add(isa, T::Lanes::<S>::splat(isa, self.decay), new)
    }
}
