//! Lion.

use super::average::Average;
use super::{MAX_SLOTS, Rule};
use crate::isa::{Isa, Lanes, Scalar};

/// Lion (Chen et al., "Symbolic discovery of optimization algorithms", 2023): c = beta1 m + (1 - beta1) dx,
/// x <- x - rate (sign(c) + weight_decay x), m <- beta2 m + (1 - beta2) dx.
///
/// sign(0) is 0, and sign(NaN) is NaN: a gradient that is no number is not hidden.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lion<T> {
    direction: Average<T>,
    mean: Average<T>,
    rate: T,
    /// 1 - rate weight_decay.
    kept: T,
}

impl<T: Scalar> Lion<T> {
    /// With `beta1` and `beta2` from 0 to below 1.
    pub fn new(rate: f64, (beta1, beta2): (f64, f64), weight_decay: f64) -> Self {
        Self {
            direction: Average::new(beta1),
            mean: Average::new(beta2),
            rate: T::from_f64(rate),
            kept: T::from_f64(1.0 - rate * weight_decay),
        }
    }
}

impl<T: Scalar> Rule<T> for Lion<T> {
    const SLOTS: usize = 1;

    #[inline(always)]
    fn lanes<S: Isa>(
        &self,
        isa: S,
        parameters: T::Lanes<S>,
        gradient: T::Lanes<S>,
        state: &mut [T::Lanes<S>; MAX_SLOTS],
    ) -> T::Lanes<S> {
        let zero = T::Lanes::<S>::splat(isa, T::ZERO);
        let direction = self.direction.lanes(isa, state[0], gradient);
        state[0] = self.mean.lanes(isa, state[0], gradient);
        let step = zero.select_greater(isa, direction, T::Lanes::<S>::splat(isa, -self.rate), direction);
        let step = direction.select_greater(isa, zero, T::Lanes::<S>::splat(isa, self.rate), step);
        parameters.mul(isa, T::Lanes::<S>::splat(isa, self.kept)).sub(isa, step)
    }

    fn without_decay(self) -> Self {
        Self { kept: T::ONE, ..self }
    }
}
