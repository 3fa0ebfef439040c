//! In-place update rules: one pass over parameters, gradient and state.
//!
//! A rule is written once, for one vector of parameters ([`Rule::lanes`]), and used by a plain pass over slices
//! ([`update()`], [`update_segments`]) and by kernels that update weights while the gradient is still in a register or the
//! nearest cache.
//!
//! Regularisation is not the rule's business: the lecture's R(W) is the plain sum of squares, so a strength lambda adds
//! `2 lambda W` to the gradient, whatever the rule. Each pass takes that factor, `decay = 2 lambda`. A rule that shrinks
//! the parameters beside the gradient ([`AdamW`], [`Lion`]) has a weight decay of its own besides.
//!
//! | rule | slots | source |
//! |---|---|---|
//! | [`Sgd`] | none | |
//! | [`Momentum`] | velocity | Polyak 1964, in the form of the CS231n notes |
//! | [`Nesterov`] | velocity | Nesterov 1983, likewise |
//! | [`Adagrad`] | sum of squares | Duchi, Hazan and Singer 2011 |
//! | [`Adadelta`] | mean squares of gradient and of step | Zeiler 2012 |
//! | [`RmsProp`] | mean square | Hinton's lecture 6e, 2012 |
//! | [`GravesRmsProp`] | mean square, mean, velocity | Graves 2013 |
//! | [`Adam`], [`AdamW`] | mean, mean square | Kingma and Ba 2015; Loshchilov and Hutter 2019 |
//! | [`Lion`] | mean | Chen et al. 2023 |

mod adadelta;
mod adagrad;
mod adam;
mod adamw;
mod average;
pub mod clip;
mod graves;
mod lion;
mod momentum;
mod nesterov;
mod pass;
mod rmsprop;
mod sgd;

pub use adadelta::Adadelta;
pub use adagrad::Adagrad;
pub use adam::{Adam, AdamSettings};
pub use adamw::AdamW;
pub use graves::GravesRmsProp;
pub use lion::Lion;
pub use momentum::Momentum;
pub use nesterov::Nesterov;
pub use pass::{Segment, Update};
pub use rmsprop::RmsProp;
pub use sgd::Sgd;

use crate::dispatch;
use crate::error::Error;
use crate::isa::{Isa, Scalar};

/// The most state vectors a rule may keep for a parameter vector.
pub const MAX_SLOTS: usize = 3;

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

    /// The rule for parameters that are not regularised: without a weight decay of its own.
    fn without_decay(self) -> Self {
        self
    }
}

/// Updates `parameters` in place for the gradient `gradient + decay parameters`.
///
/// All slices have the same length but `state`, which has one such length for each of the rule's slots, slot after slot.
/// Large ones are shared by the threads of the calling pool.
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

/// [`update()`] of the elements that lie in `segments`, in one pass; what lies between them is neither read nor written.
///
/// A slot of `state` may be longer than the parameters, so that each starts on a cache line: `state` is as many vectors of
/// one length as the rule has slots. Segments that are not regularised are updated without `decay` and without the rule's own weight decay.
///
/// # Errors
/// As [`update()`], and [`Error::Segment`] if the segments are not ascending, disjoint and within `parameters`.
#[inline(never)]
pub fn update_segments<T: Scalar, R: Rule<T>>(
    rule: R,
    decay: T,
    segments: &[Segment],
    parameters: &mut [T],
    gradient: &[T],
    state: &mut [T],
) -> Result<(), Error> {
    dispatch::dispatch(Update::of_segments(rule, decay, segments, parameters, gradient, state)?)
}
