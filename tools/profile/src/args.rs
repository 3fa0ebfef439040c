//! The command line.

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use lanegrad::Loss;
use lanegrad::linear::Bias;
use lanegrad::train::Sampling;
use std::path::PathBuf;

/// Train on full CIFAR-10 epochs, and see what was learned and how close to the hardware it ran.
#[derive(Debug, Parser)]
#[command(name = "profile", version, max_term_width = 100)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Arguments {
    /// The command of this process's arguments; ends the process with status 2 if they make no sense.
    pub fn read() -> Command {
        let command = Self::parse().command;
        if let Command::Train(options) = &command
            && options.momentum.is_some()
            && !options.optimizer.has_momentum()
        {
            let message = "--momentum is a setting of --optimizer momentum, nesterov and graves-rmsprop";
            Self::command().error(ErrorKind::ArgumentConflict, message).exit();
        }
        command
    }
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a linear classifier and report losses, accuracy, speed and the fraction of the processor's peak
    Train(TrainOptions),
    /// Compute the lecture's worked example with the kernels, beside the numbers on its slides
    Lecture,
}

/// The options of `profile train`.
#[derive(Args, Clone, Debug)]
pub struct TrainOptions {
    /// A directory with CIFAR-10's six .bin files, or `synthetic`
    ///
    /// Without this option: the directory in $CIFAR10_DIR if that is set, else data/cifar-10-batches-bin if it is there,
    /// else the synthetic data set.
    #[arg(long, value_name = "DIR|synthetic")]
    pub data: Option<String>,

    /// The model
    #[arg(long, value_enum, default_value_t = Model::Linear)]
    pub model: Model,

    /// The loss: softmax cross-entropy, or the multiclass support vector machine's hinge loss with margin 1
    #[arg(long, value_enum, default_value_t = LossName::Softmax)]
    pub loss: LossName,

    /// What the model sees: pixels of 0 to 255 as they are, minus the mean image, or also divided by each pixel's
    /// standard deviation
    #[arg(long, value_enum, default_value_t = Preprocess::Standardize)]
    pub preprocess: Preprocess,

    /// Initial weights: zero, or normally distributed with a standard deviation
    #[arg(long, value_name = "zero|normal:STD", default_value = "zero", value_parser = parse_init)]
    pub init: Init,

    /// A bias of its own, not regularised, or the lecture's trick: a weight for a pixel that is always 1, regularised as
    /// all weights are
    #[arg(long, value_enum, default_value_t = BiasName::Separate)]
    pub bias: BiasName,

    /// Passes over the training set
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub epochs: u64,

    /// Steps to train for, instead of epochs; loss and regulariser are printed at every 100th and the last
    #[arg(long, value_name = "N", conflicts_with = "epochs", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub iterations: Option<u64>,

    /// How batches are drawn: each image once an epoch, or every image independently
    #[arg(long, value_enum, default_value_t = SampleName::Epoch)]
    pub sample: SampleName,

    /// Images in a mini-batch
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub batch_size: u32,

    /// The update rule
    #[arg(long, value_enum, default_value_t = OptimizerName::Sgd)]
    pub optimizer: OptimizerName,

    /// Step size [default: one that suits loss, preprocessing and optimizer]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true, value_parser = parse_positive)]
    pub lr: Option<f64>,

    /// Strength lambda of the regulariser lambda * (sum of squares of the weights)
    #[arg(long, value_name = "LAMBDA", default_value_t = 0.001, allow_negative_numbers = true, value_parser = parse_not_negative)]
    pub reg: f64,

    /// The part of the velocity that the optimizers `momentum`, `nesterov` and `graves-rmsprop` keep from step to step
    /// [default: 0.9]
    #[arg(long, value_name = "PART", allow_negative_numbers = true, value_parser = parse_part)]
    pub momentum: Option<f64>,

    /// Threads [default: as many as the processor runs at once]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,

    /// Seed of the initial weights, of the order of the images, and of the synthetic data set
    #[arg(long, default_value_t = 0)]
    pub seed: u64,

    /// Where pictures, report and weights are written; files of an earlier run there are replaced
    /// [default: a new directory below runs]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Also write the JSON report to this file, or to standard output (`-`; the table then goes to standard error)
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<String>,
}

/// Models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Model {
    /// Scores = W x + b.
    Linear,
}

/// Losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum LossName {
    Softmax,
    Hinge,
}

impl From<LossName> for Loss {
    fn from(name: LossName) -> Self {
        match name {
            LossName::Softmax => Self::Softmax,
            LossName::Hinge => Self::Hinge,
        }
    }
}

/// Preprocessing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum Preprocess {
    Raw,
    Mean,
    Standardize,
}

/// Kinds of bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum BiasName {
    Separate,
    Trick,
}

impl From<BiasName> for Bias {
    fn from(name: BiasName) -> Self {
        match name {
            BiasName::Separate => Self::Separate,
            BiasName::Trick => Self::Trick,
        }
    }
}

/// Ways to draw batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum SampleName {
    Epoch,
    Replacement,
}

impl From<SampleName> for Sampling {
    fn from(name: SampleName) -> Self {
        match name {
            SampleName::Epoch => Self::Epoch,
            SampleName::Replacement => Self::Replacement,
        }
    }
}

/// Update rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum OptimizerName {
    Sgd,
    Momentum,
    Nesterov,
    Adagrad,
    Adadelta,
    #[value(name = "rmsprop")]
    RmsProp,
    #[value(name = "graves-rmsprop")]
    GravesRmsProp,
    Adam,
    #[value(name = "adamw")]
    AdamW,
    Lion,
}

impl OptimizerName {
    /// Whether the rule has a velocity.
    fn has_momentum(self) -> bool {
        matches!(self, Self::Momentum | Self::Nesterov | Self::GravesRmsProp)
    }
}

/// Initial weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All zero.
    Zero,
    /// Normally distributed with mean 0 and this standard deviation.
    Normal(f64),
}

fn parse_init(text: &str) -> Result<Init, String> {
    if text == "zero" {
        return Ok(Init::Zero);
    }
    let deviation = text.strip_prefix("normal:").ok_or("expected `zero` or `normal:STD`")?;
    parse_positive(deviation).map(Init::Normal)
}

fn parse_number(text: &str, wanted: &str, fits: impl Fn(f64) -> bool) -> Result<f64, String> {
    match text.parse::<f64>() {
        // The kernels compute in f32, with twice the regularisation: what does not fit there is refused here.
        Ok(number) if fits(number) && fits(f64::from(number as f32)) && (2.0 * number as f32).is_finite() => Ok(number),
        _ => Err(format!("expected {wanted}")),
    }
}

fn parse_positive(text: &str) -> Result<f64, String> {
    parse_number(text, "a number above 0", |number| number > 0.0)
}

fn parse_not_negative(text: &str) -> Result<f64, String> {
    parse_number(text, "a number that is not negative", |number| number >= 0.0)
}

fn parse_part(text: &str) -> Result<f64, String> {
    parse_number(text, "a number from 0 to less than 1", |number| (0.0..1.0).contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn initial_weights() {
        assert_eq!(parse_init("zero"), Ok(Init::Zero));
        assert_eq!(parse_init("normal:1e-3"), Ok(Init::Normal(1e-3)));
        for text in ["normal", "normal:", "normal:-1", "normal:nan", "normal:inf", "one"] {
            assert!(parse_init(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_that_no_training_survives_are_refused() {
        for text in ["nan", "inf", "-inf", "0", "-1", "1e300", "1e-60", "3e38", "", "x"] {
            assert!(parse_positive(text).is_err(), "{text}");
        }
        assert_eq!(parse_not_negative("0"), Ok(0.0));
        assert!(parse_part("1").is_err());
    }
}
