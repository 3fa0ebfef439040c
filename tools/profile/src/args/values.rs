//! What options say: the names of models, losses and rules, and numbers within bounds.

use clap::ValueEnum;
use lanegrad::Loss;
use lanegrad::linear::Bias;
use lanegrad::train::Sampling;
use std::fmt;

/// Models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModelName {
    /// Scores = W x + b
    Linear,
    /// Affine layers with rectifiers between
    Mlp,
    /// Three 5 x 5 convolutions (32, 32, 64 filters), each with a rectifier and a 2 x 2 maximum, and affine layers of 64 and 10
    Convnet,
    /// Caffe's cifar10_quick: three 5 x 5 convolutions, overlapping 3 x 3 pools, affine layers of 64 and 10
    Quick,
}

impl ModelName {
    /// The name in reports and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Mlp => "mlp",
            Self::Convnet => "convnet",
            Self::Quick => "quick",
        }
    }

    /// Whether it convolves.
    pub fn wants_channels_last(self) -> bool {
        matches!(self, Self::Convnet | Self::Quick)
    }
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
    Muon,
}

impl OptimizerName {
    /// Whether the rule has a velocity.
    pub fn has_momentum(self) -> bool {
        matches!(self, Self::Momentum | Self::Nesterov | Self::GravesRmsProp | Self::Muon)
    }
}

/// Initial weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All zero.
    Zero,
    /// Normally distributed with mean 0 and this standard deviation.
    Normal(f64),
    /// Normal, with a variance of 2 / fan-in.
    He,
    /// Uniform, with a variance of 2 / (fan-in + fan-out).
    Xavier,
}

/// When checkpoints are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointEvery {
    /// After each epoch.
    Epoch,
    /// After so many mini-batches, and at the end.
    Steps(u64),
    /// On Ctrl-C alone.
    Never,
}

/// `epoch`, `never` or a number of steps.
pub fn parse_every(text: &str) -> Result<CheckpointEvery, String> {
    match text {
        "epoch" => Ok(CheckpointEvery::Epoch),
        "never" => Ok(CheckpointEvery::Never),
        _ => match text.parse() {
            Ok(steps) if steps > 0 => Ok(CheckpointEvery::Steps(steps)),
            _ => Err("expected `epoch`, `never` or a number of steps above 0".into()),
        },
    }
}

impl fmt::Display for Init {
    /// As on the command line.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero => formatter.write_str("zero"),
            Self::Normal(deviation) => write!(formatter, "normal:{deviation}"),
            Self::He => formatter.write_str("he"),
            Self::Xavier => formatter.write_str("xavier"),
        }
    }
}

/// `zero`, `normal:STD`, `he` or `xavier`.
pub fn parse_init(text: &str) -> Result<Init, String> {
    match text {
        "zero" => Ok(Init::Zero),
        "he" => Ok(Init::He),
        "xavier" => Ok(Init::Xavier),
        _ => {
            let deviation = text.strip_prefix("normal:").ok_or("expected `zero`, `normal:STD`, `he` or `xavier`")?;
            parse_positive(deviation).map(Init::Normal)
        }
    }
}

/// What names a data set: `synthetic`, `synthetic:N` with a number of images, or a directory.
pub fn parse_data(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("expected the folder of CIFAR-10, or `synthetic`".into());
    }
    if let Some(images) = text.strip_prefix("synthetic:") {
        parse_image_count(images)?;
    }
    Ok(text.into())
}

/// How many images to draw for training: enough for one to test on, and not more than memory holds.
pub fn parse_image_count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (5..=1_000_000).contains(count));
    count.ok_or_else(|| "expected from 5 to 1,000,000 images".into())
}

fn parse_number(text: &str, wanted: &str, fits: impl Fn(f64) -> bool) -> Result<f64, String> {
    match text.parse::<f64>() {
        // The kernels compute in f32, with twice the regularisation: what does not fit there is refused here.
        Ok(number) if fits(number) && fits(f64::from(number as f32)) && (2.0 * number as f32).is_finite() => Ok(number),
        Ok(number) if fits(number) => Err(format!("expected {wanted} that 32 bits can hold")),
        _ => Err(format!("expected {wanted}")),
    }
}

/// A number above 0 that `f32` can hold.
pub fn parse_positive(text: &str) -> Result<f64, String> {
    parse_number(text, "a number above 0", |number| number > 0.0)
}

/// A number that is not negative and that `f32` can hold.
pub fn parse_not_negative(text: &str) -> Result<f64, String> {
    parse_number(text, "a number that is not negative", |number| number >= 0.0)
}

/// A number from 0 to less than 1.
pub fn parse_part(text: &str) -> Result<f64, String> {
    parse_number(text, "a number from 0 to less than 1", |number| (0.0..1.0).contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

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
