//! In-place update rules: one pass over parameters, gradient and state.
//!
//! A rule is written once, for one vector of parameters ([`Rule::lanes`]), and used by a plain pass over slices
//! ([`update()`]) and by kernels that update weights while the gradient is still in a register or the nearest cache.
//!
//! Regularisation is not the rule's business: the lecture's R(W) is the plain sum of squares, so a strength lambda adds
//! `2 lambda W` to the gradient, whatever the rule. Each pass takes that factor, `decay = 2 lambda`.

mod momentum;
mod sgd;

pub use momentum::Momentum;
pub use sgd::Sgd;

use crate::dispatch;
use crate::error::Error;
use crate::isa::{Isa, Kernel, Lanes, Scalar};

/// The most state vectors a rule may keep for a parameter vector.
pub const MAX_SLOTS: usize = 1;

/// An update rule.
pub trait Rule<T: Scalar>: Copy + Send + Sync {
    /// Numbers of state that the rule keeps for each parameter, at most [`MAX_SLOTS`]; they start at zero.
    const SLOTS: usize;

    /// The new parameters, from the old ones and the gradient; `state` holds the vectors of the first `SLOTS` slots.
    ///
    /// Must be `#[inline(always)]`.
    fn lanes<S: Isa>(
        &self,
        isa: S,
        parameters: T::Lanes<S>,
        gradient: T::Lanes<S>,
        state: &mut [T::Lanes<S>; MAX_SLOTS],
    ) -> T::Lanes<S>;
}

/// Updates `parameters` in place for the gradient `gradient + decay parameters`.
///
/// All slices have the same length but `state`, which has one such length for each of the rule's slots, slot after slot.
///
/// # Errors
/// [`Error::Shape`] if the lengths do not agree, and those of [`dispatch::level`]. Nothing is changed then.
pub fn update<T: Scalar, R: Rule<T>>(
    rule: R,
    decay: T,
    parameters: &mut [T],
    gradient: &[T],
    state: &mut [T],
) -> Result<(), Error> {
    dispatch::dispatch(Update::new(rule, decay, parameters, gradient, state)?)
}

/// A checked [`update()`], to be run at a level of one's choice.
#[derive(Debug)]
pub struct Update<'a, T, R> {
    rule: R,
    decay: T,
    parameters: &'a mut [T],
    gradient: &'a [T],
    state: &'a mut [T],
}

impl<'a, T: Scalar, R: Rule<T>> Update<'a, T, R> {
    /// See [`update()`].
    ///
    /// # Errors
    /// [`Error::Shape`] if the lengths do not agree.
    pub fn new(
        rule: R,
        decay: T,
        parameters: &'a mut [T],
        gradient: &'a [T],
        state: &'a mut [T],
    ) -> Result<Self, Error> {
        const { assert!(R::SLOTS <= MAX_SLOTS) };
        let length = parameters.len();
        if gradient.len() != length {
            let (expected, found) = ((1, length), (1, gradient.len()));
            return Err(Error::Shape { what: "gradient and parameters", expected, found });
        }
        if state.len() != R::SLOTS * length {
            let (expected, found) = ((R::SLOTS, length), (1, state.len()));
            return Err(Error::Shape { what: "state of the update rule", expected, found });
        }
        Ok(Self { rule, decay, parameters, gradient, state })
    }
}

impl<T: Scalar, R: Rule<T>> Kernel for Update<'_, T, R> {
    type Output = ();
    fn run<S: Isa>(self, isa: S) {
        isa.vectorize(UpdateLoop(self));
    }
}

struct UpdateLoop<'a, T, R>(Update<'a, T, R>);

impl<T: Scalar, R: Rule<T>> Kernel for UpdateLoop<'_, T, R> {
    type Output = ();
    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let Update { rule, decay, parameters, gradient, state } = self.0;
        let lanes = T::Lanes::<S>::COUNT;
        let length = parameters.len();
        let decay = T::Lanes::<S>::splat(isa, decay);
        for (chunk, (x, dx)) in parameters.chunks_mut(lanes).zip(gradient.chunks(lanes)).enumerate() {
            let count = x.len();
            let slot = |k: usize| k * length + chunk * lanes..k * length + chunk * lanes + count;
            let mut slots = [T::Lanes::<S>::splat(isa, T::ZERO); MAX_SLOTS];
            for (k, vector) in slots.iter_mut().enumerate().take(R::SLOTS) {
                *vector = T::Lanes::<S>::read(isa, &state[slot(k)]);
            }
            let old = T::Lanes::<S>::read(isa, x);
            let gradient = old.mul_add(isa, decay, T::Lanes::<S>::read(isa, dx));
            rule.lanes(isa, old, gradient, &mut slots).write(isa, x);
            for (k, vector) in slots.iter().enumerate().take(R::SLOTS) {
                vector.write(isa, &mut state[slot(k)]);
            }
        }
    }
}
