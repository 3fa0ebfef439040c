//! Update rules, chosen at run time.
//!
//! The rules themselves are kernels ([`lanegrad_kernels::update`]): one in-place pass over parameters and state. The
//! regulariser is not their business: it is part of the loss, lambda times the sum of squares of the weights, and adds
//! 2 lambda W to the gradient that a rule sees.

use lanegrad_kernels::isa::Scalar;
pub use lanegrad_kernels::update::{Momentum, Rule, Sgd};

/// An update rule with its settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimizer {
    /// x <- x - rate dx.
    Sgd {
        /// Step size.
        rate: f64,
    },
    /// v <- momentum v - rate dx, x <- x + v.
    Momentum {
        /// Step size.
        rate: f64,
        /// The part of the velocity that is kept from step to step.
        momentum: f64,
    },
}

/// What is done with the rule that an [`Optimizer`] stands for: generic, so that the rule is compiled into the kernel.
pub trait WithRule<T: Scalar> {
    /// What comes of it.
    type Output;
    /// Does it with `rule`.
    fn with<R: Rule<T>>(self, rule: R) -> Self::Output;
}

impl Optimizer {
    /// The name in reports and on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sgd { .. } => "sgd",
            Self::Momentum { .. } => "momentum",
        }
    }

    /// Step size.
    pub fn rate(self) -> f64 {
        match self {
            Self::Sgd { rate } | Self::Momentum { rate, .. } => rate,
        }
    }

    /// Numbers of state for each parameter.
    pub fn slots(self) -> usize {
        match self {
            Self::Sgd { .. } => <Sgd<f64> as Rule<f64>>::SLOTS,
            Self::Momentum { .. } => <Momentum<f64> as Rule<f64>>::SLOTS,
        }
    }

    /// Does `work` with the rule.
    pub fn apply<T: Scalar, W: WithRule<T>>(self, work: W) -> W::Output {
        match self {
            Self::Sgd { rate } => work.with(Sgd { rate: T::from_f64(rate) }),
            Self::Momentum { rate, momentum } => {
                work.with(Momentum { rate: T::from_f64(rate), momentum: T::from_f64(momentum) })
            }
        }
    }
}
