//! RMSProp.

use super::average::Average;
use super::{MAX_SLOTS, Rule};
use crate::isa::{Isa, Lanes, Scalar};

/// RMSProp (Hinton, "Neural networks for machine learning", lecture 6e, 2012): c <- rho c + (1 - rho) dx^2,
/// x <- x - rate dx / (sqrt(c) + epsilon).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsProp<T> {
    rate: T,
    square: Average<T>,
    epsilon: T,
}

impl<T: Scalar> RmsProp<T> {
    /// With the mean square forgetting at `rho`, from 0 to below 1.
    pub fn new(rate: f64, rho: f64, epsilon: f64) -> Self {
        Self { rate: T::from_f64(rate), square: Average::new(rho), epsilon: T::from_f64(epsilon) }
    }
}

impl<T: Scalar> Rule<T> for RmsProp<T> {
    const SLOTS: usize = 1;

    #[inline(always)]
    fn lanes<S: Isa>(
        &self,
        isa: S,
        parameters: T::Lanes<S>,
        gradient: T::Lanes<S>,
        state: &mut [T::Lanes<S>; MAX_SLOTS],
    ) -> T::Lanes<S> {
        state[0] = self.square.lanes(isa, state[0], gradient.mul(isa, gradient));
        let root = state[0].sqrt(isa).add(isa, T::Lanes::<S>::splat(isa, self.epsilon));
        let step = gradient.mul(isa, T::Lanes::<S>::splat(isa, self.rate));
        parameters.sub(isa, step.div(isa, root))
    }
}
