//! The command line.

mod values;

use crate::data::DataOptions;
use crate::doctor::DoctorOptions;
use crate::gradcheck::GradcheckOptions;
use crate::graph::GraphOptions;
use crate::lecture::LectureOptions;
use crate::noise::NoiseOptions;
use crate::page::PageOptions;
use crate::predict::PredictOptions;
use crate::race::RaceOptions;
use crate::resume::Settings;
use crate::roofline::RooflineOptions;
use crate::search::SearchOptions;
use crate::sweep::SweepOptions;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use lanegrad::schedule::Schedule;
use std::path::PathBuf;
pub use values::{
    BiasName, CheckpointEvery, Init, LossName, ModelName, OptimizerName, Preprocess, SampleName, parse_image_count,
    parse_not_negative, parse_positive,
};
use values::{parse_data, parse_every, parse_init, parse_part};

/// Train classifiers on CIFAR-10 at the speed of the processor, and see what the lecture on losses, gradients and optimization
/// shows: run it, watch it, keep it as a picture
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
        let matches = taking_negatives(Self::command()).get_matches();
        let mut command = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()).command;
        if let (Command::Train(options), Some(matches)) = (&mut command, matches.subcommand_matches("train")) {
            options.given = given(matches);
        }
        if let Command::Train(options) = &command
            // What a resumed run does not say comes from its checkpoint.
            && options.resume.is_none()
            && let Err(message) = options.check()
        {
            let mut command = Self::command();
            command.build();
            // The subcommand's error shows its own usage.
            let train = command.find_subcommand_mut("train").expect("train is a subcommand");
            train.error(ErrorKind::ArgumentConflict, message).exit();
        }
        command
    }
}

/// Lets every option see a negative number, and say what it wants instead: else it would be taken for an option of its own.
fn taking_negatives(command: clap::Command) -> clap::Command {
    let taking = |argument: clap::Arg| {
        let takes = argument.get_action().takes_values();
        if takes { argument.allow_negative_numbers(true) } else { argument }
    };
    command.mut_args(taking).mut_subcommands(taking_negatives)
}

/// What `profile train` was told on the command line, by the long names of the options.
fn given(matches: &ArgMatches) -> Settings {
    let mut command = Arguments::command();
    command.build();
    let train = command.find_subcommand("train").expect("train is a subcommand");
    let told = train.get_arguments().filter(|argument| {
        let id = argument.get_id().as_str();
        id != "help" && matches.value_source(id) == Some(ValueSource::CommandLine)
    });
    let values = |argument: &clap::Arg| {
        let raw = matches.get_raw(argument.get_id().as_str()).into_iter().flatten();
        raw.map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(",")
    };
    told.filter_map(|argument| Some((argument.get_long()?.to_owned(), values(argument)))).collect()
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a classifier and report losses, accuracy, speed and the fraction of the processor's peak
    Train(Box<TrainOptions>),
    /// Let a trained model guess what is on a picture, or all test images, and see what it takes for what
    Predict(Box<PredictOptions>),
    /// Show a finished run on one page for the browser: curves, weights, mistakes, speed, and the command that repeats it
    Report(PageOptions),
    /// See what the step size does: four of them side by side, one gradient and many step sizes, searches
    Sweep(Box<SweepOptions>),
    /// Let update rules race, on maps of functions and on real training: an animation, a still, the paths
    Race(Box<RaceOptions>),
    /// Look for weights by chance: strategy #1 of the lecture, "a first very bad idea solution"
    Search(SearchOptions),
    /// Check the gradient of a model: backpropagation against differences, number by number
    Gradcheck(GradcheckOptions),
    /// Show the computational graph of the lecture's examples or of a model, with every value and gradient
    Graph(GraphOptions),
    /// Measure how well a mini-batch's gradient points along the full one, and what either costs
    Noise(Box<NoiseOptions>),
    /// Compute the lecture's worked example with the kernels, beside the numbers on its slides
    Lecture(LectureOptions),
    /// Measure every kernel beside what the processor and its memory can do
    Roofline(RooflineOptions),
    /// Check that all is well: data, loss, gradient, learning, threads, processor, memory
    Doctor(DoctorOptions),
    /// Get CIFAR-10, check it, or write a synthetic set in its layout
    Data(DataOptions),
}

/// Where data come from and results go: options of every command that computes something.
#[derive(Args, Clone, Debug)]
pub struct RunOptions {
    /// A directory with CIFAR-10's six .bin files, or `synthetic`, or `synthetic:N` for N training images and a fifth of
    /// that to test on
    ///
    /// Without this option: the directory in $CIFAR10_DIR if that is set, else data/cifar-10-batches-bin if it is there,
    /// else the synthetic data set.
    #[arg(long, value_name = "DIR|synthetic[:N]", value_parser = parse_data)]
    pub data: Option<String>,

    /// Threads [default: as many as the processor runs at once]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,

    /// Seed of everything random: initial weights, the order of the images, the synthetic data set
    #[arg(long, default_value_t = 0)]
    pub seed: u64,

    /// Where files are written; earlier ones there are replaced, but for those of another run of `train`
    /// [default: a new directory below runs]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Also write the JSON report to this file, or to standard output (`-`; the table then goes to standard error)
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<String>,
}

/// What a model is, what it sees, and what it minimises.
#[derive(Args, Clone, Debug)]
pub struct ModelOptions {
    /// The model
    #[arg(long, value_enum, default_value_t = ModelName::Linear)]
    pub model: ModelName,

    /// Widths of the hidden layers of the model `mlp`, with commas between [default: 512]
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub hidden: Option<Vec<u32>>,

    /// The loss: softmax cross-entropy, or the multiclass support vector machine's hinge loss with margin 1
    #[arg(long, value_enum, default_value_t = LossName::Softmax)]
    pub loss: LossName,

    /// What the model sees: pixels of 0 to 255 as they are, minus the mean image, or also divided by each pixel's
    /// standard deviation
    #[arg(long, value_enum, default_value_t = Preprocess::Standardize)]
    pub preprocess: Preprocess,

    /// Initial weights: zero, normally distributed with a standard deviation, or as He or Xavier scale them to the layer
    /// [default: zero for `linear`, he for `mlp` and `convnet`, Caffe's for `quick`]
    #[arg(long, value_name = "zero|normal:STD|he|xavier", value_parser = parse_init)]
    pub init: Option<Init>,

    /// A bias of its own, not regularised, or the lecture's trick: a weight for a pixel that is always 1, regularised as
    /// all weights are [default: separate, which networks always have]
    #[arg(long, value_enum)]
    pub bias: Option<BiasName>,

    /// Strength lambda of the regulariser lambda * (sum of squares of the weights)
    /// [default: 0.001 for `linear`, 0.0001 for networks, 0.002 for `quick`]
    #[arg(long, value_name = "LAMBDA", value_parser = parse_not_negative)]
    pub reg: Option<f64>,
}

/// How weights are updated.
#[derive(Args, Clone, Debug)]
pub struct UpdateOptions {
    /// The update rule
    #[arg(long, value_enum, default_value_t = OptimizerName::Sgd)]
    pub optimizer: OptimizerName,

    /// Step size [default: one that suits loss, preprocessing and optimizer]
    #[arg(long, value_name = "RATE", value_parser = parse_positive)]
    pub lr: Option<f64>,

    /// The part of the velocity that the optimizers `momentum`, `nesterov`, `graves-rmsprop` and `muon` keep from step to step
    /// [default: 0.9; muon 0.95]
    #[arg(long, value_name = "PART", value_parser = parse_part)]
    pub momentum: Option<f64>,
}

/// The options of `profile train`.
#[derive(Args, Clone, Debug)]
pub struct TrainOptions {
    /// What is trained.
    #[command(flatten)]
    pub model: ModelOptions,

    /// How weights are updated.
    #[command(flatten)]
    pub update: UpdateOptions,

    /// How the step size changes from mini-batch to mini-batch: constant, step:N:FACTOR, exponential:FACTOR, cosine or
    /// one-cycle, after warmup:N+ if wanted
    #[arg(long, value_name = "SCHEDULE", default_value = "constant")]
    pub schedule: Schedule,

    /// Scale the gradient of all parameters together to at most this norm (networks only)
    #[arg(long, value_name = "NORM", value_parser = parse_positive)]
    pub clip_norm: Option<f64>,

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

    /// Data, threads, seed, files.
    #[command(flatten)]
    pub run: RunOptions,

    /// Go on from a checkpoint, or that in the folder of a run, with its options; --data, --threads and --out may be
    /// others, and --epochs or --iterations more
    ///
    /// Without --out, files go where the checkpoint is. The result is that of a run that was never interrupted, byte for byte.
    #[arg(long, value_name = "FILE|DIR")]
    pub resume: Option<PathBuf>,

    /// Replace the run whose files are in --out: its files are removed before the first step
    #[arg(long, conflicts_with = "resume")]
    pub overwrite: bool,

    /// When `checkpoint.safetensors` is written beside the report: after each epoch, every so many mini-batches, or never
    /// [but always on Ctrl-C]
    #[arg(long, value_name = "epoch|STEPS|never", default_value = "epoch", value_parser = parse_every)]
    pub checkpoint_every: CheckpointEvery,

    /// Also measure where the time of a step goes, kernel by kernel
    #[arg(long)]
    pub time: bool,

    /// What was told, and is not a default.
    #[arg(skip)]
    pub given: Settings,
}

impl ModelOptions {
    /// Whether the options go together.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.hidden.is_some() && self.model != ModelName::Mlp {
            return Err("--hidden is a setting of --model mlp");
        }
        if self.bias.is_some() && self.model != ModelName::Linear {
            return Err("--bias is a setting of --model linear");
        }
        match (self.init, self.model) {
            (Some(_), ModelName::Quick) => Err("--init: the model quick has Caffe's initial weights"),
            (Some(Init::He | Init::Xavier), ModelName::Linear) => Err("--init he and xavier are for networks"),
            (Some(Init::Zero), ModelName::Mlp | ModelName::Convnet) => {
                Err("--init zero leaves the layers of a network without a gradient")
            }
            _ => Ok(()),
        }
    }

    /// Widths of the hidden layers.
    pub fn hidden(&self) -> Vec<usize> {
        self.hidden.as_ref().map_or_else(|| vec![512], |widths| widths.iter().map(|&width| width as usize).collect())
    }
}

impl UpdateOptions {
    /// Whether the options go together, and with the model.
    pub fn check(&self, model: ModelName) -> Result<(), &'static str> {
        if self.momentum.is_some() && !self.optimizer.has_momentum() {
            return Err("--momentum is a setting of --optimizer momentum, nesterov, graves-rmsprop and muon");
        }
        if self.optimizer == OptimizerName::Muon && model == ModelName::Linear {
            return Err("--optimizer muon is for networks: the linear model has no matrix to make orthogonal");
        }
        Ok(())
    }
}

impl TrainOptions {
    /// Whether the options go together.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.clip_norm.is_some() && self.model.model == ModelName::Linear {
            return Err("--clip-norm is for networks: the linear model's gradient is never written down");
        }
        self.model.check()?;
        self.update.check(self.model.model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
