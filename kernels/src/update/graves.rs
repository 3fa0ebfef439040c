//! Graves' RMSProp.

use super::average::Average;
use super::{MAX_SLOTS, Rule};
use crate::isa::{Isa, Lanes, Scalar};

/// RMSProp centred and with momentum (Graves, "Generating sequences with recurrent neural networks", 2013, equations 38
/// to 41; what trains neural Turing machines): n <- rho n + (1 - rho) dx^2, g <- rho g + (1 - rho) dx,
/// v <- momentum v - rate dx / sqrt(n - g^2 + epsilon), x <- x + v.
///
/// The variance n - g^2 is taken as zero where rounding makes it negative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GravesRmsProp<T> {
    rate: T,
    average: Average<T>,
    momentum: T,
    epsilon: T,
}

impl<T: Scalar> GravesRmsProp<T> {
    /// With both averages forgetting at `rho`, from 0 to below 1.
    pub fn new(rate: f64, rho: f64, momentum: f64, epsilon: f64) -> Self {
        let [rate, momentum, epsilon] = [rate, momentum, epsilon].map(T::from_f64);
        Self { rate, average: Average::new(rho), momentum, epsilon }
    }
}

impl<T: Scalar> Rule<T> for GravesRmsProp<T> {
    const SLOTS: usize = 3;

    #[inline(always)]
    fn lanes<S: Isa>(
        &self,
        isa: S,
        parameters: T::Lanes<S>,
        gradient: T::Lanes<S>,
        state: &mut [T::Lanes<S>; MAX_SLOTS],
    ) -> T::Lanes<S> {
        let zero = T::Lanes::<S>::splat(isa, T::ZERO);
        state[0] = self.average.lanes(isa, state[0], gradient.mul(isa, gradient));
        state[1] = self.average.lanes(isa, state[1], gradient);
        let variance = state[0].sub(isa, state[1].mul(isa, state[1]));
        let variance = variance.select_greater(isa, zero, variance, zero);
        let root = variance.add(isa, T::Lanes::<S>::splat(isa, self.epsilon)).sqrt(isa);
        let step = gradient.mul(isa, T::Lanes::<S>::splat(isa, self.rate)).div(isa, root);
        state[2] = state[2].mul(isa, T::Lanes::<S>::splat(isa, self.momentum)).sub(isa, step);
        parameters.add(isa, state[2])
    }
}
