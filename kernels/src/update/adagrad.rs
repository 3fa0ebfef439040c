//! Adagrad.

use super::{MAX_SLOTS, Rule};
use crate::isa::{Isa, Lanes, Scalar};

/// Adagrad (Duchi, Hazan and Singer, "Adaptive subgradient methods", 2011): c <- c + dx^2,
/// x <- x - rate dx / (sqrt(c) + epsilon).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adagrad<T> {
    /// Step size.
    pub rate: T,
    /// What keeps the first steps of a parameter without gradient finite.
    pub epsilon: T,
}

impl<T: Scalar> Rule<T> for Adagrad<T> {
    const SLOTS: usize = 1;

    #[inline(always)]
    fn lanes<S: Isa>(
        &self,
        isa: S,
        parameters: T::Lanes<S>,
        gradient: T::Lanes<S>,
        state: &mut [T::Lanes<S>; MAX_SLOTS],
    ) -> T::Lanes<S> {
        state[0] = gradient.mul_add(isa, gradient, state[0]);
        let root = state[0].sqrt(isa).add(isa, T::Lanes::<S>::splat(isa, self.epsilon));
        let step = gradient.mul(isa, T::Lanes::<S>::splat(isa, self.rate));
        parameters.sub(isa, step.div(isa, root))
    }
}
