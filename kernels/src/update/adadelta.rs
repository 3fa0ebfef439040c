//! Adadelta.

use super::average::Average;
use super::{MAX_SLOTS, Rule};
use crate::isa::{Isa, Lanes, Scalar};

/// Adadelta (Zeiler, "ADADELTA: an adaptive learning rate method", 2012): c <- rho c + (1 - rho) dx^2,
/// d = -sqrt((u + epsilon) / (c + epsilon)) dx, u <- rho u + (1 - rho) d^2, x <- x + rate d.
///
/// The paper has no step size: its rate is 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adadelta<T> {
    rate: T,
    square: Average<T>,
    epsilon: T,
}

impl<T: Scalar> Adadelta<T> {
    /// With both averages forgetting at `rho`, from 0 to below 1.
    pub fn new(rate: f64, rho: f64, epsilon: f64) -> Self {
        Self { rate: T::from_f64(rate), square: Average::new(rho), epsilon: T::from_f64(epsilon) }
    }
}

impl<T: Scalar> Rule<T> for Adadelta<T> {
    const SLOTS: usize = 2;

    #[inline(always)]
    fn lanes<S: Isa>(
        &self,
        isa: S,
        parameters: T::Lanes<S>,
        gradient: T::Lanes<S>,
        state: &mut [T::Lanes<S>; MAX_SLOTS],
    ) -> T::Lanes<S> {
        let epsilon = T::Lanes::<S>::splat(isa, self.epsilon);
        state[0] = self.square.lanes(isa, state[0], gradient.mul(isa, gradient));
        let ratio = state[1].add(isa, epsilon).div(isa, state[0].add(isa, epsilon));
        let descent = ratio.sqrt(isa).mul(isa, gradient);
        state[1] = self.square.lanes(isa, state[1], descent.mul(isa, descent));
        descent.mul_add(isa, T::Lanes::<S>::splat(isa, -self.rate), parameters)
    }
}
