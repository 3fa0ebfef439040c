//! Update rules, chosen at run time.
//!
//! The rules themselves are kernels ([`lanegrad_kernels::update`]): one in-place pass over parameters and state. The
//! regulariser is not their business: it is part of the loss, lambda times the sum of squares of the weights, and adds
//! 2 lambda W to the gradient that a rule sees. The weight decay of AdamW, Lion and Muon is another thing: it shrinks the
//! weights beside the gradient.
//!
//! An [`Updater`] keeps the state of a rule for the parameters of a whole network, which lie in one arena.
//!
//! # Beside PyTorch
//!
//! Rules follow the CS231n notes and their papers. Where `torch.optim` is defined otherwise:
//!
//! | rule | here | `torch.optim` |
//! |---|---|---|
//! | momentum | v <- mu v - rate dx, x <- x + v | `SGD`: v <- mu v + dx, x <- x - rate v: the same path while the rate is constant; after a change of rate the old velocity counts at the new rate |
//! | nesterov | the step is mu v - rate dx, for the new v | `SGD(nesterov=True)`: rate (dx + mu v): the same path, likewise; Sutskever's form differs by a shift of x |
//! | adagrad | dx / (sqrt(c) + epsilon), c from 0, epsilon 1e-8 | the same, epsilon 1e-10 |
//! | adadelta | no step size in the paper: rate 1, rho 0.95, epsilon 1e-6 inside the roots | the same, rho 0.9 |
//! | rmsprop | epsilon outside the root, rho 0.99 | the same (TensorFlow has it inside) |
//! | graves-rmsprop | epsilon inside the root; the rate is in the velocity | `RMSprop(centered=True)`: epsilon outside; the rate beside the velocity |
//! | adam, adamw | epsilon beside the corrected root, t counts from 1 | the same |
//! | lion | as in its paper | none |
//! | muon | as published, in full precision; what is no matrix gets AdamW | `Muon` since 2.9, matrices only, bfloat16; weight decay 0.1 |
//! | regulariser | lambda times the sum of squares adds 2 lambda W | `weight_decay=w` adds w W |

mod muon;
mod updater;

pub use lanegrad_kernels::update::Rule;
pub use updater::{Segment, Updater};

use crate::error::Error;
use lanegrad_kernels::isa::Scalar;
use lanegrad_kernels::update::{
    Adadelta, Adagrad, Adam, AdamSettings, AdamW, GravesRmsProp, Lion, Momentum, Nesterov, RmsProp, Sgd,
};

/// An update rule with its settings.
///
/// The constructors take the step size and set the rest to what the rule's paper, or common practice, says.
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
    /// v <- momentum v - rate dx, x <- x + momentum v - rate dx.
    Nesterov {
        /// Step size.
        rate: f64,
        /// The part of the velocity that is kept from step to step.
        momentum: f64,
    },
    /// c <- c + dx^2, x <- x - rate dx / (sqrt(c) + epsilon).
    Adagrad {
        /// Step size.
        rate: f64,
        /// Keeps the quotient finite.
        epsilon: f64,
    },
    /// c <- rho c + (1 - rho) dx^2, d = sqrt((u + epsilon) / (c + epsilon)) dx, u <- rho u + (1 - rho) d^2, x <- x - rate d.
    Adadelta {
        /// Step size; the paper has none, which is 1.
        rate: f64,
        /// How both averages forget.
        rho: f64,
        /// Starts the steps, and keeps the quotient finite.
        epsilon: f64,
    },
    /// c <- rho c + (1 - rho) dx^2, x <- x - rate dx / (sqrt(c) + epsilon).
    RmsProp {
        /// Step size.
        rate: f64,
        /// How the mean square forgets.
        rho: f64,
        /// Keeps the quotient finite.
        epsilon: f64,
    },
    /// n and g the averages of dx^2 and dx, v <- momentum v - rate dx / sqrt(n - g^2 + epsilon), x <- x + v.
    GravesRmsProp {
        /// Step size.
        rate: f64,
        /// How both averages forget.
        rho: f64,
        /// The part of the velocity that is kept from step to step.
        momentum: f64,
        /// Keeps the quotient finite.
        epsilon: f64,
    },
    /// m and v the averages of dx and dx^2, x <- x - rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon).
    Adam {
        /// Step size.
        rate: f64,
        /// How the mean gradient forgets.
        beta1: f64,
        /// How the mean square forgets.
        beta2: f64,
        /// Keeps the quotient finite.
        epsilon: f64,
    },
    /// Adam on x (1 - rate weight_decay).
    AdamW {
        /// Step size.
        rate: f64,
        /// How the mean gradient forgets.
        beta1: f64,
        /// How the mean square forgets.
        beta2: f64,
        /// Keeps the quotient finite.
        epsilon: f64,
        /// What regularised parameters lose at each step, as a part of the rate.
        weight_decay: f64,
    },
    /// x <- x - rate (sign(beta1 m + (1 - beta1) dx) + weight_decay x), m <- beta2 m + (1 - beta2) dx.
    Lion {
        /// Step size.
        rate: f64,
        /// How much of the mean gradient is in the direction.
        beta1: f64,
        /// How the mean gradient forgets.
        beta2: f64,
        /// What regularised parameters lose at each step, as a part of the rate.
        weight_decay: f64,
    },
    /// For matrices, a step along the momentum made orthogonal; AdamW with beta 0.9 and 0.95 and epsilon 1e-10 for
    /// everything else. See [`Optimizer::muon`].
    Muon {
        /// Step size for matrices.
        rate: f64,
        /// How the mean gradient of a matrix forgets.
        momentum: f64,
        /// What regularised parameters lose at each step, as a part of their rate.
        weight_decay: f64,
        /// AdamW's step size for the other parameters, as a part of `rate`.
        adam_part: f64,
    },
}

/// A setting's name and value.
type Setting = (&'static str, f64);

/// What is done with the rule that an [`Optimizer`] stands for: generic, so that the rule is compiled into the kernel.
pub trait WithRule<T: Scalar> {
    /// What comes of it.
    type Output;
    /// Does it with `rule`.
    fn with<R: Rule<T>>(self, rule: R) -> Self::Output;
}

impl Optimizer {
    /// Gradient descent.
    pub const fn sgd(rate: f64) -> Self {
        Self::Sgd { rate }
    }

    /// Momentum 0.9.
    pub const fn momentum(rate: f64) -> Self {
        Self::Momentum { rate, momentum: 0.9 }
    }

    /// Nesterov's accelerated gradient with momentum 0.9.
    pub const fn nesterov(rate: f64) -> Self {
        Self::Nesterov { rate, momentum: 0.9 }
    }

    /// Adagrad with epsilon 1e-8; 0.01 is a usual rate.
    pub const fn adagrad(rate: f64) -> Self {
        Self::Adagrad { rate, epsilon: 1e-8 }
    }

    /// Adadelta with rho 0.95 and epsilon 1e-6; the paper's rate is 1.
    pub const fn adadelta(rate: f64) -> Self {
        Self::Adadelta { rate, rho: 0.95, epsilon: 1e-6 }
    }

    /// RMSProp with rho 0.99 and epsilon 1e-8; 1e-3 is a usual rate.
    pub const fn rms_prop(rate: f64) -> Self {
        Self::RmsProp { rate, rho: 0.99, epsilon: 1e-8 }
    }

    /// Graves' RMSProp with rho 0.95, momentum 0.9 and epsilon 1e-4; the paper's rate is 1e-4.
    pub const fn graves_rms_prop(rate: f64) -> Self {
        Self::GravesRmsProp { rate, rho: 0.95, momentum: 0.9, epsilon: 1e-4 }
    }

    /// Adam with beta 0.9 and 0.999 and epsilon 1e-8; 1e-3 is the paper's rate.
    pub const fn adam(rate: f64) -> Self {
        Self::Adam { rate, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }

    /// AdamW as [`Optimizer::adam`], with weight decay 0.01.
    pub const fn adam_w(rate: f64) -> Self {
        Self::AdamW { rate, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 }
    }

    /// Lion with beta 0.9 and 0.99 and no weight decay; its rate is a third to a tenth of AdamW's, 1e-4 by default.
    pub const fn lion(rate: f64) -> Self {
        Self::Lion { rate, beta1: 0.9, beta2: 0.99, weight_decay: 0.0 }
    }

    /// Muon (Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024) with momentum 0.95, no weight
    /// decay, and AdamW at 0.015 times its rate for what is not a matrix; 0.02 is a usual rate.
    ///
    /// With m <- momentum m + (1 - momentum) dx and d = momentum m + (1 - momentum) dx (Nesterov's), X = d / |d| goes through
    /// five Newton-Schulz iterations X <- a X + b (X X') X + c (X X')^2 X, a = 3.4445, b = -4.7750, c = 2.0315, which bring
    /// its singular values near 1; then x <- x (1 - rate weight_decay) - rate sqrt(max(1, rows / columns)) X.
    pub const fn muon(rate: f64) -> Self {
        Self::Muon { rate, momentum: 0.95, weight_decay: 0.0, adam_part: 0.015 }
    }

    /// The name in reports and on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sgd { .. } => "sgd",
            Self::Momentum { .. } => "momentum",
            Self::Nesterov { .. } => "nesterov",
            Self::Adagrad { .. } => "adagrad",
            Self::Adadelta { .. } => "adadelta",
            Self::RmsProp { .. } => "rmsprop",
            Self::GravesRmsProp { .. } => "graves-rmsprop",
            Self::Adam { .. } => "adam",
            Self::AdamW { .. } => "adamw",
            Self::Lion { .. } => "lion",
            Self::Muon { .. } => "muon",
        }
    }

    /// Step size.
    pub fn rate(mut self) -> f64 {
        *self.rate_mut()
    }

    /// The same rule with another step size.
    #[must_use]
    pub fn with_rate(mut self, rate: f64) -> Self {
        *self.rate_mut() = rate;
        self
    }

    fn rate_mut(&mut self) -> &mut f64 {
        match self {
            Self::Sgd { rate }
            | Self::Momentum { rate, .. }
            | Self::Nesterov { rate, .. }
            | Self::Adagrad { rate, .. }
            | Self::Adadelta { rate, .. }
            | Self::RmsProp { rate, .. }
            | Self::GravesRmsProp { rate, .. }
            | Self::Adam { rate, .. }
            | Self::AdamW { rate, .. }
            | Self::Lion { rate, .. }
            | Self::Muon { rate, .. } => rate,
        }
    }

    /// Numbers of state for each parameter.
    pub fn slots(self) -> usize {
        struct Slots;
        impl WithRule<f64> for Slots {
            type Output = usize;
            fn with<R: Rule<f64>>(self, _: R) -> usize {
                R::SLOTS
            }
        }
        self.apply(1, Slots)
    }

    /// Does `work` with the rule of step `step`, counted from 1; for Muon, with that of parameters that are no matrices.
    pub fn apply<T: Scalar, W: WithRule<T>>(self, step: u64, work: W) -> W::Output {
        let number = T::from_f64;
        match self {
            Self::Sgd { rate } => work.with(Sgd { rate: number(rate) }),
            Self::Momentum { rate, momentum } => work.with(Momentum { rate: number(rate), momentum: number(momentum) }),
            Self::Nesterov { rate, momentum } => work.with(Nesterov { rate: number(rate), momentum: number(momentum) }),
            Self::Adagrad { rate, epsilon } => work.with(Adagrad { rate: number(rate), epsilon: number(epsilon) }),
            Self::Adadelta { rate, rho, epsilon } => work.with(Adadelta::new(rate, rho, epsilon)),
            Self::RmsProp { rate, rho, epsilon } => work.with(RmsProp::new(rate, rho, epsilon)),
            Self::GravesRmsProp { rate, rho, momentum, epsilon } => {
                work.with(GravesRmsProp::new(rate, rho, momentum, epsilon))
            }
            Self::Adam { rate, beta1, beta2, epsilon } => {
                work.with(Adam::new(AdamSettings { rate, beta1, beta2, epsilon }, step))
            }
            Self::AdamW { rate, beta1, beta2, epsilon, weight_decay } => {
                work.with(AdamW::new(AdamSettings { rate, beta1, beta2, epsilon }, weight_decay, step))
            }
            Self::Lion { rate, beta1, beta2, weight_decay } => work.with(Lion::new(rate, (beta1, beta2), weight_decay)),
            Self::Muon { rate, weight_decay, adam_part, .. } => {
                let settings = AdamSettings { rate: rate * adam_part, beta1: 0.9, beta2: 0.95, epsilon: 1e-10 };
                work.with(AdamW::new(settings, weight_decay, step))
            }
        }
    }

    /// Checks that training is possible with these settings.
    ///
    /// # Errors
    /// [`Error::Setting`] if a rate, epsilon or weight decay is negative or not finite, or what forgets (momentum, rho,
    /// beta) is not from 0 to below 1.
    pub fn check(self) -> Result<(), Error> {
        let (sizes, parts) = self.settings();
        let refuse = |name: &str, value: f64, wanted: &str| {
            Err(Error::Setting(format!("{} with a {name} of {value}: it must be {wanted}", self.name())))
        };
        for (name, value) in sizes.into_iter().chain([("rate", self.rate())]) {
            if !(value.is_finite() && value >= 0.0) {
                return refuse(name, value, "a number that is not negative");
            }
        }
        for (name, value) in parts {
            if !(0.0..1.0).contains(&value) {
                return refuse(name, value, "from 0 to less than 1");
            }
        }
        Ok(())
    }

    /// The settings besides the rate: two that are not negative, and two that are parts of 1.
    fn settings(self) -> ([Setting; 2], [Setting; 2]) {
        let none = ("", 0.0);
        let momentum = |value| ("momentum", value);
        let epsilon = |value| ("epsilon", value);
        let betas = |beta1, beta2| [("beta1", beta1), ("beta2", beta2)];
        match self {
            Self::Sgd { .. } => ([none; 2], [none; 2]),
            Self::Momentum { momentum: m, .. } | Self::Nesterov { momentum: m, .. } => ([none; 2], [momentum(m), none]),
            Self::Adagrad { epsilon: e, .. } => ([epsilon(e), none], [none; 2]),
            Self::Adadelta { rho, epsilon: e, .. } | Self::RmsProp { rho, epsilon: e, .. } => {
                ([epsilon(e), none], [("rho", rho), none])
            }
            Self::GravesRmsProp { rho, momentum: m, epsilon: e, .. } => {
                ([epsilon(e), none], [("rho", rho), momentum(m)])
            }
            Self::Adam { beta1, beta2, epsilon: e, .. } => ([epsilon(e), none], betas(beta1, beta2)),
            Self::AdamW { beta1, beta2, epsilon: e, weight_decay, .. } => {
                ([epsilon(e), ("weight decay", weight_decay)], betas(beta1, beta2))
            }
            Self::Lion { beta1, beta2, weight_decay, .. } => {
                ([("weight decay", weight_decay), none], betas(beta1, beta2))
            }
            Self::Muon { momentum: m, weight_decay, adam_part, .. } => {
                ([("weight decay", weight_decay), ("part for AdamW", adam_part)], [momentum(m), none])
            }
        }
    }
}
