//! What `profile` does where no option says: step sizes and strengths that train well on CIFAR-10.

use crate::args::{Init, LossName, ModelName, ModelOptions, OptimizerName, Preprocess, UpdateOptions};
use lanegrad::optim::Optimizer;

/// Strength of the regulariser.
pub fn strength(options: &ModelOptions) -> f64 {
    options.reg.unwrap_or(match options.model {
        ModelName::Linear => 1e-3,
        ModelName::Mlp | ModelName::Convnet => 1e-4,
        // Caffe's weight decay of 0.004 is the whole factor of W in the gradient, 2 lambda here.
        ModelName::Quick => 2e-3,
    })
}

/// Initial weights, for the models that have a choice.
pub fn init(options: &ModelOptions) -> Option<Init> {
    match options.model {
        ModelName::Linear => Some(options.init.unwrap_or(Init::Zero)),
        ModelName::Mlp | ModelName::Convnet => Some(options.init.unwrap_or(Init::He)),
        ModelName::Quick => None,
    }
}

/// A step size for networks of standardised pixels.
fn network_rate(options: &ModelOptions, rule: OptimizerName) -> f64 {
    let pixels = match options.preprocess {
        Preprocess::Standardize => 1.0,
        // Pixels are 64 times as large, and with them the gradient of the first layer.
        Preprocess::Mean => 1.0 / 64.0,
        Preprocess::Raw => 1.0 / 256.0,
    };
    pixels
        * match rule {
            OptimizerName::Sgd => 5e-2,
            OptimizerName::Momentum | OptimizerName::Nesterov => 1e-2,
            OptimizerName::Adagrad => 5e-3,
            OptimizerName::Adadelta => 1.0,
            OptimizerName::RmsProp | OptimizerName::Adam | OptimizerName::AdamW => 5e-4,
            OptimizerName::GravesRmsProp => 1e-4,
            OptimizerName::Lion => 1e-4,
            OptimizerName::Muon => 1e-2,
        }
}

/// A step size that trains well on CIFAR-10; the larger the features and the more terms a loss has, the smaller.
fn default_rate(options: &ModelOptions, rule: OptimizerName) -> f64 {
    if options.model != ModelName::Linear {
        return network_rate(options, rule);
    }
    let rate = match (options.preprocess, options.loss) {
        (Preprocess::Standardize, LossName::Softmax) => 3e-3,
        (Preprocess::Standardize, LossName::Hinge) => 3e-4,
        (Preprocess::Mean, LossName::Softmax) => 1e-6,
        (Preprocess::Mean, LossName::Hinge) => 1e-7,
        // The mean of raw pixels dwarfs all else, so that only small steps stay stable.
        (Preprocess::Raw, LossName::Softmax) => 2e-7,
        (Preprocess::Raw, LossName::Hinge) => 2e-8,
    };
    // Rules that scale the gradient themselves move each weight by about the rate, whatever the loss.
    let scaled = match options.preprocess {
        Preprocess::Standardize => 1e-4,
        Preprocess::Mean => 2e-6,
        Preprocess::Raw => 5e-7,
    };
    match rule {
        OptimizerName::Sgd => rate,
        // A constant gradient moves momentum 0.9 ten times as far.
        OptimizerName::Momentum | OptimizerName::Nesterov => 0.1 * rate,
        // Its steps shrink with the root of their number.
        OptimizerName::Adagrad => 10.0 * scaled,
        // Its own steps, meant for networks, are too long here by a factor of 30 or more.
        OptimizerName::Adadelta => 300.0 * scaled,
        OptimizerName::RmsProp | OptimizerName::Adam | OptimizerName::AdamW => scaled,
        OptimizerName::GravesRmsProp => 0.1 * scaled,
        // Every step is a full one.
        OptimizerName::Lion | OptimizerName::Muon => 0.3 * scaled,
    }
}

/// The update rule that the options ask for.
pub fn optimizer(model: &ModelOptions, update: &UpdateOptions) -> Optimizer {
    let rate = update.lr.unwrap_or_else(|| default_rate(model, update.optimizer));
    let mut optimizer = match update.optimizer {
        OptimizerName::Sgd => Optimizer::sgd(rate),
        OptimizerName::Momentum => Optimizer::momentum(rate),
        OptimizerName::Nesterov => Optimizer::nesterov(rate),
        OptimizerName::Adagrad => Optimizer::adagrad(rate),
        OptimizerName::Adadelta => Optimizer::adadelta(rate),
        OptimizerName::RmsProp => Optimizer::rms_prop(rate),
        OptimizerName::GravesRmsProp => Optimizer::graves_rms_prop(rate),
        OptimizerName::Adam => Optimizer::adam(rate),
        OptimizerName::AdamW => Optimizer::adam_w(rate),
        OptimizerName::Lion => Optimizer::lion(rate),
        OptimizerName::Muon => Optimizer::muon(rate),
    };
    if let (Some(momentum), Some(given)) = (momentum_mut(&mut optimizer), update.momentum) {
        *momentum = given;
    }
    optimizer
}

/// Where that stands in its settings.
fn momentum_mut(optimizer: &mut Optimizer) -> Option<&mut f64> {
    match optimizer {
        Optimizer::Momentum { momentum, .. }
        | Optimizer::Nesterov { momentum, .. }
        | Optimizer::GravesRmsProp { momentum, .. }
        | Optimizer::Muon { momentum, .. } => Some(momentum),
        _ => None,
    }
}

/// The part of the velocity that the rule keeps, if it has one.
pub fn momentum(mut optimizer: Optimizer) -> Option<f64> {
    momentum_mut(&mut optimizer).copied()
}
