//! Adam with decoupled weight decay.

use super::{Adam, AdamSettings, MAX_SLOTS, Rule};
use crate::isa::{Isa, Lanes, Scalar};

/// AdamW (Loshchilov and Hutter, "Decoupled weight decay regularization", 2019): [`Adam`] on x (1 - rate weight_decay).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW<T> {
    adam: Adam<T>,
    /// 1 - rate weight_decay.
    kept: T,
}

impl<T: Scalar> AdamW<T> {
    /// The rule of step `step`, counted from 1.
    pub fn new(settings: AdamSettings, weight_decay: f64, step: u64) -> Self {
        Self { adam: Adam::new(settings, step), kept: T::from_f64(1.0 - settings.rate * weight_decay) }
    }
}

impl<T: Scalar> Rule<T> for AdamW<T> {
    const SLOTS: usize = 2;

    #[inline(always)]
    fn lanes<S: Isa>(
        &self,
        isa: S,
        parameters: T::Lanes<S>,
        gradient: T::Lanes<S>,
        state: &mut [T::Lanes<S>; MAX_SLOTS],
    ) -> T::Lanes<S> {
        let kept = parameters.mul(isa, T::Lanes::<S>::splat(isa, self.kept));
        kept.sub(isa, self.adam.descent(isa, gradient, state))
    }

    fn without_decay(self) -> Self {
        Self { kept: T::ONE, ..self }
    }
}
