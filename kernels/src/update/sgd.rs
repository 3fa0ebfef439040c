//! Gradient descent.

use super::{MAX_SLOTS, Rule};
use crate::isa::{Isa, Lanes, Scalar};

/// Gradient descent: x <- x - rate dx.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd<T> {
    /// Step size.
    pub rate: T,
}

impl<T: Scalar> Rule<T> for Sgd<T> {
    const SLOTS: usize = 0;

    #[inline(always)]
    fn lanes<S: Isa>(
        &self,
        isa: S,
        parameters: T::Lanes<S>,
        gradient: T::Lanes<S>,
        _: &mut [T::Lanes<S>; MAX_SLOTS],
    ) -> T::Lanes<S> {
        gradient.mul_add(isa, T::Lanes::<S>::splat(isa, -self.rate), parameters)
    }
}
