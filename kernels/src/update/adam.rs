//! Adam.

use super::average::Average;
use super::{MAX_SLOTS, Rule};
use crate::isa::{Isa, Lanes, Scalar};

/// The settings of [`Adam`], and of what is built on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamSettings {
    /// Step size.
    pub rate: f64,
    /// How the mean gradient forgets, from 0 to below 1.
    pub beta1: f64,
    /// How the mean square forgets, from 0 to below 1.
    pub beta2: f64,
    /// What keeps the step of a parameter without gradient finite.
    pub epsilon: f64,
}

/// Adam (Kingma and Ba, "Adam: a method for stochastic optimization", 2015): m <- beta1 m + (1 - beta1) dx,
/// v <- beta2 v + (1 - beta2) dx^2, x <- x - rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon) at step t,
/// counted from 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam<T> {
    mean: Average<T>,
    square: Average<T>,
    /// rate / (1 - beta1^t).
    rate: T,
    /// 1 / (1 - beta2^t).
    square_correction: T,
    epsilon: T,
}

impl<T: Scalar> Adam<T> {
    /// The rule of step `step`, counted from 1; the corrections are computed in `f64`.
    pub fn new(settings: AdamSettings, step: u64) -> Self {
        let AdamSettings { rate, beta1, beta2, epsilon } = settings;
        // A power is 0 long before the step reaches the largest number of this type.
        let exponent = i32::try_from(step).unwrap_or(i32::MAX);
        Self {
            mean: Average::new(beta1),
            square: Average::new(beta2),
            rate: T::from_f64(rate / (1.0 - beta1.powi(exponent))),
            square_correction: T::from_f64(1.0 / (1.0 - beta2.powi(exponent))),
            epsilon: T::from_f64(epsilon),
        }
    }

    /// rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon), for the new m and v, which replace the old ones.
    #[inline(always)]
    pub(super) fn descent<S: Isa>(
        &self,
        isa: S,
        gradient: T::Lanes<S>,
        state: &mut [T::Lanes<S>; MAX_SLOTS],
    ) -> T::Lanes<S> {
        state[0] = self.mean.lanes(isa, state[0], gradient);
        state[1] = self.square.lanes(isa, state[1], gradient.mul(isa, gradient));
        let root = state[1].mul(isa, T::Lanes::<S>::splat(isa, self.square_correction)).sqrt(isa);
        let root = root.add(isa, T::Lanes::<S>::splat(isa, self.epsilon));
        state[0].mul(isa, T::Lanes::<S>::splat(isa, self.rate)).div(isa, root)
    }
}

impl<T: Scalar> Rule<T> for Adam<T> {
    const SLOTS: usize = 2;

    #[inline(always)]
    fn lanes<S: Isa>(
        &self,
        isa: S,
        parameters: T::Lanes<S>,
        gradient: T::Lanes<S>,
        state: &mut [T::Lanes<S>; MAX_SLOTS],
    ) -> T::Lanes<S> {
        parameters.sub(isa, self.descent(isa, gradient, state))
    }
}
