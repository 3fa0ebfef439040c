//! Gradient descent with momentum.

use super::{MAX_SLOTS, Rule};
use crate::isa::{Isa, Lanes, Scalar};

/// Momentum: v <- momentum v - rate dx, x <- x + v (the form of the CS231n notes).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Momentum<T> {
    /// Step size.
    pub rate: T,
    /// The part of the velocity that is kept from step to step, below 1.
    pub momentum: T,
}

impl<T: Scalar> Rule<T> for Momentum<T> {
    const SLOTS: usize = 1;

    #[inline(always)]
    fn lanes<S: Isa>(
        &self,
        isa: S,
        parameters: T::Lanes<S>,
        gradient: T::Lanes<S>,
        state: &mut [T::Lanes<S>; MAX_SLOTS],
    ) -> T::Lanes<S> {
        let step = gradient.mul(isa, T::Lanes::<S>::splat(isa, -self.rate));
        state[0] = state[0].mul_add(isa, T::Lanes::<S>::splat(isa, self.momentum), step);
        parameters.add(isa, state[0])
    }
}
