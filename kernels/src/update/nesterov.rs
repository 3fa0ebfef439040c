//! Nesterov's accelerated gradient.

use super::{MAX_SLOTS, Rule};
use crate::isa::{Isa, Lanes, Scalar};

/// Nesterov's accelerated gradient (1983; for deep networks Sutskever et al. 2013): v' <- momentum v - rate dx,
/// x <- x - momentum v + (1 + momentum) v' (the form of the CS231n notes, where x is the point looked ahead to).
///
/// Since momentum v = v' + rate dx, that step is momentum v' - rate dx, which is what is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nesterov<T> {
    /// Step size.
    pub rate: T,
    /// The part of the velocity that is kept from step to step, below 1.
    pub momentum: T,
}

impl<T: Scalar> Rule<T> for Nesterov<T> {
    const SLOTS: usize = 1;

    #[inline(always)]
    fn lanes<S: Isa>(
        &self,
        isa: S,
        parameters: T::Lanes<S>,
        gradient: T::Lanes<S>,
        state: &mut [T::Lanes<S>; MAX_SLOTS],
    ) -> T::Lanes<S> {
        let momentum = T::Lanes::<S>::splat(isa, self.momentum);
        let step = gradient.mul(isa, T::Lanes::<S>::splat(isa, -self.rate));
        state[0] = state[0].mul_add(isa, momentum, step);
        parameters.add(isa, state[0].mul_add(isa, momentum, step))
    }
}
