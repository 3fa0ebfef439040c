//! `profile sweep`: what the step size does.
//!
//! The lecture's slide "The effects of step size (or learning rate)", and the experiments of the CS231n notes around it: one
//! gradient and many step sizes, random search over step size and regularisation, the loss along random directions; and the
//! learning-rate range test.

mod finder;
mod ladder;
mod rates;
mod search;
mod slice;

use crate::args::{ModelName, ModelOptions, OptimizerName, RunOptions, UpdateOptions, parse_positive};
use crate::plots::lines::MOST_CURVES;
use crate::results::Results;
use crate::resume::Conflict;
use crate::settings;
use crate::trials::Trials;
use anyhow::Result;
use clap::Args;
use lanegrad::optim::Optimizer;
use serde::Serialize;
use std::ops::Range;

/// The options of `profile sweep`.
#[derive(Args, Clone, Debug)]
pub struct SweepOptions {
    /// Train with random pairs of step size and regularisation, and draw the accuracy of each on images held out
    #[arg(long, group = "mode")]
    pub search: bool,

    /// Let the step size rise from batch to batch, and suggest one (the learning-rate range test)
    #[arg(long, group = "mode")]
    pub find: bool,

    /// Draw the loss along one and two random directions from the weights of a short training
    #[arg(long, group = "mode")]
    pub slice: bool,

    /// Step sizes to train with [default: a low, a good, a high and a very high one for the model]
    #[arg(long, value_name = "RATE,...", value_delimiter = ',',
        value_parser = parse_positive, conflicts_with = "mode")]
    pub lr: Option<Vec<f64>>,

    /// The range of step sizes, for --find and --search [default: around the usual one]
    #[arg(long, value_name = "LOW,HIGH", value_parser = parse_range)]
    pub lr_range: Option<Range<f64>>,

    /// The range of regularisation strengths, for --search [default: 1e-6,1]
    #[arg(long, value_name = "LOW,HIGH", value_parser = parse_range)]
    pub reg_range: Option<Range<f64>>,

    /// Pairs that --search tries [default: 40; 12 for networks]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub trials: Option<u64>,

    /// The update rule
    #[arg(long, value_enum, default_value_t = OptimizerName::Sgd)]
    pub optimizer: OptimizerName,

    /// Steps of each training [default: 5 epochs for `linear`, 1 for networks; 1 for --search and --slice; 300 steps
    /// for --find]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub steps: Option<u64>,

    /// Images in a mini-batch
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub batch_size: u32,

    /// What is trained.
    #[command(flatten)]
    pub model: ModelOptions,

    /// Data, threads, seed, files.
    #[command(flatten)]
    pub run: RunOptions,
}

impl SweepOptions {
    /// The rule at a step size.
    fn optimizer(&self, rate: f64) -> Optimizer {
        settings::optimizer(&self.model, &UpdateOptions { optimizer: self.optimizer, lr: Some(rate), momentum: None })
    }

    /// The step size that `profile train` has without --lr.
    fn usual_rate(&self) -> f64 {
        settings::optimizer(&self.model, &UpdateOptions { optimizer: self.optimizer, lr: None, momentum: None }).rate()
    }

    /// Whether the model is the linear one.
    fn is_linear(&self) -> bool {
        self.model.model == ModelName::Linear
    }
}

fn parse_range(text: &str) -> Result<Range<f64>, String> {
    let (low, high) = text.split_once(',').ok_or("expected two numbers with a comma between, such as 1e-5,1e-1")?;
    let (low, high) = (parse_positive(low.trim())?, parse_positive(high.trim())?);
    if low < high { Ok(low..high) } else { Err("expected the lower number first".into()) }
}

/// Whether the options go together.
fn check(options: &SweepOptions) -> Result<(), &'static str> {
    options.model.check()?;
    UpdateOptions { optimizer: options.optimizer, lr: None, momentum: None }.check(options.model.model)?;
    if options.find && options.steps.is_some_and(|steps| steps < finder::FEWEST_STEPS) {
        return Err("--steps: --find needs at least 50 of them, to tell a slope from noise");
    }
    if options.lr.as_ref().is_some_and(|rates| rates.len() > MOST_CURVES) {
        return Err("--lr: at most 11 step sizes are drawn, so that each can be told apart");
    }
    if options.search && options.model.reg.is_some() {
        return Err("--reg: --search tries strengths of its own; --reg-range says which");
    }
    if !options.search && (options.trials.is_some() || options.reg_range.is_some()) {
        return Err("--trials and --reg-range are settings of --search");
    }
    if !options.search && !options.find && options.lr_range.is_some() {
        return Err("--lr-range is a setting of --search and --find");
    }
    Ok(())
}

/// The number rounded to two digits, as one would type it.
fn two_digits(number: f64) -> f64 {
    format!("{number:.1e}").parse().unwrap_or(number)
}

/// What the JSON report of each experiment begins with.
#[derive(Debug, Serialize)]
struct Head {
    /// Version of this format.
    version: u32,
    /// `sweep`.
    command: &'static str,
    /// `rates`, `find`, `search` or `slice`.
    experiment: &'static str,
    /// The model.
    model: String,
    /// `cifar10` or `synthetic`.
    data: &'static str,
    /// The update rule.
    optimizer: String,
    /// Images in a mini-batch.
    batch_size: u32,
    seed: u64,
}

impl Head {
    fn new(experiment: &'static str, options: &SweepOptions, trials: &Trials) -> Self {
        Self {
            version: 1,
            command: "sweep",
            experiment,
            model: trials.model_text(),
            data: trials.dataset.source.kind(),
            optimizer: options.optimizer(options.usual_rate()).name().into(),
            batch_size: options.batch_size,
            seed: options.run.seed,
        }
    }
}

/// Does what the options ask for.
pub fn run(options: &SweepOptions) -> Result<()> {
    check(options).map_err(|message| Conflict(message.into()))?;
    let mut results = Results::open(&options.run)?;
    let mut trials = Trials::open(&options.run, &options.model, options.batch_size, &mut results)?;
    if options.search {
        trials.hold_out()?;
        return search::run(options, &trials, results);
    }
    if options.find {
        return finder::run(options, &trials, results);
    }
    if options.slice {
        return slice::run(options, &trials, results);
    }
    rates::run(options, &trials, results)
}
