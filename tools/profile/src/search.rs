//! `profile search`: strategy #1 of the lecture, "a first very bad idea solution: random search".

mod candidates;
mod losses;
mod strategy;

use crate::args::{BiasName, LossName, ModelName, ModelOptions, Preprocess, RunOptions, parse_positive};
use crate::contact_sheet::contact_sheet;
use crate::dataset::{Loaded, load, source_name};
use crate::interrupt::{Interrupt, Interrupted};
use crate::machine::Machine;
use crate::model::{linear_tensors, normalisation, templates};
use crate::plots::{SearchCurve, search_curve};
use crate::report;
use crate::results::Results;
use crate::screen::{Screen, grouped, progress_bar};
use crate::weights::{self, Description};
use anyhow::{Context, Result};
use clap::Args;
use lanegrad::Loss;
use lanegrad::data::{Dataset, Normalisation, Source};
use lanegrad::linear::{Bias, LinearClassifier};
use lanegrad::loss::Evaluation;
use lanegrad::tensor::Tensor;
use serde::Serialize;
use std::time::Instant;
use strategy::{Attempt, Found, Search};

/// The options of `profile search`.
#[derive(Args, Clone, Debug)]
pub struct SearchOptions {
    /// Matrices of weights, or steps, to try
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub tries: u32,

    /// Start from one matrix of weights, take steps of random direction, and keep those that lower the loss
    #[arg(long)]
    pub local: bool,

    /// Standard deviation of the weights that are drawn [default: 1e-4; with --local 1e-3]
    #[arg(long, value_name = "STD", value_parser = parse_positive)]
    pub deviation: Option<f64>,

    /// Standard deviation of each weight's part of a step [default: 1e-4]
    #[arg(long, value_name = "STD", requires = "local", value_parser = parse_positive)]
    pub step: Option<f64>,

    /// The loss that is compared: the multiclass support vector machine's hinge loss with margin 1, or softmax cross-entropy
    #[arg(long, value_enum, default_value_t = LossName::Hinge)]
    pub loss: LossName,

    /// What the weights see: pixels of 0 to 255 as they are, minus the mean image, or also divided by each pixel's standard
    /// deviation
    #[arg(long, value_enum, default_value_t = Preprocess::Mean)]
    pub preprocess: Preprocess,

    /// Print the line of every attempt, as the slide does, not only of the first seven and of those that tell something
    #[arg(long)]
    pub all: bool,

    /// Data, threads, seed, files.
    #[command(flatten)]
    pub run: RunOptions,
}

impl SearchOptions {
    /// Standard deviation of the weights that are drawn: the lecture's, or for a local search that of the CS231n notes.
    fn deviation(&self) -> f64 {
        self.deviation.unwrap_or(if self.local { 1e-3 } else { 1e-4 })
    }

    /// The model whose weights are looked for.
    fn model(&self) -> ModelOptions {
        ModelOptions {
            model: ModelName::Linear,
            hidden: None,
            loss: self.loss,
            preprocess: self.preprocess,
            init: None,
            bias: Some(BiasName::Trick),
            reg: Some(0.0),
        }
    }

    /// Standard deviation of a local search's steps.
    fn step(&self) -> Option<f64> {
        self.local.then(|| self.step.unwrap_or(1e-4))
    }

    /// Whether the line of an attempt is printed: the lecture shows the first seven.
    fn is_shown(&self, attempt: &Attempt) -> bool {
        let tells = if self.local { (attempt.number + 1).is_multiple_of(100) } else { attempt.is_best };
        self.all || tells || attempt.number < 7
    }
}

/// Searches as `options` say, prints attempts as the slide does, and writes picture, templates, weights and report.
pub fn run(options: &SearchOptions) -> Result<()> {
    let interrupt = Interrupt::listen();
    let mut results = Results::open(&options.run)?;
    let Loaded { dataset, name } = load(&options.run, &mut results.screen)?;
    let mut machine = Machine::new(options.run.threads)?;
    announce(options, &dataset, &mut results.screen)?;

    let normalisation = normalisation(options.preprocess, &dataset.train);
    let search = Search {
        images: &dataset.train,
        normalisation: &normalisation,
        loss: options.loss.into(),
        tries: options.tries as usize,
        deviation: options.deviation(),
        step: options.step(),
        seed: options.run.seed,
        interrupt: &interrupt,
    };
    let start = Instant::now();
    let found = watched(&search, options, &machine, &mut results.screen)?;
    let seconds = start.elapsed().as_secs_f64();
    machine.measure_peak()?;
    if found.attempts.len() < search.tries {
        let best = found.attempts.last().map_or(f64::INFINITY, |attempt| attempt.best);
        let (made, tries) = (found.attempts.len(), search.tries);
        return Err(Interrupted(format!("interrupted after {made} of {tries} attempts; best loss {best:.6}")).into());
    }
    let weights = found.best.as_ref().context("no attempt has a loss that is a number: give a smaller --deviation")?;
    let classifier = classifier(weights, &normalisation)?;
    let test = machine.threads.run(|| classifier.evaluate(&dataset.test, search.loss))?;

    let report = report(options, (&found, seconds), &classifier, (test, &dataset), &machine)?;
    sum_up(&report, &found, &dataset, &mut results.screen)?;
    let tensors = linear_tensors(&classifier)?;
    let description = Description::new(&options.model(), &dataset, &name, options.run.seed);
    let pictures = templates(tensors[0].1.values(), classifier.features(), &dataset.class_names)?;
    let title = format!("The best of {} random matrices, {}", grouped(search.tries as u64), source_name(&dataset));
    let title = if options.local { format!("After a random local search, {}", source_name(&dataset)) } else { title };
    let weights = weights::safetensors(tensors, classifier.normalisation(), &description)?;
    results.file("weights.safetensors", &weights)?;
    results.file("search.svg", picture(options, &found, &dataset)?.as_bytes())?;
    results.file("templates.png", &contact_sheet(&pictures, &title)?)?;
    results.finish(&report)
}

/// Says what is about to be done.
fn announce(options: &SearchOptions, dataset: &Dataset, screen: &mut Screen) -> Result<()> {
    let images = &dataset.train;
    let pixels = match options.preprocess {
        Preprocess::Raw => "raw pixels",
        Preprocess::Mean => "pixels minus the mean image",
        Preprocess::Standardize => "standardised pixels",
    };
    let loss: Loss = options.loss.into();
    screen.line(&format!(
        "search     W = randn({}, {}) * {}, seed {}",
        images.classes(),
        images.features() + 1,
        options.deviation(),
        options.run.seed
    ))?;
    if let Some(step) = options.step() {
        screen.line(&format!("           then W + randn * {step}, kept if the loss is lower"))?;
    }
    screen.line(&format!(
        "loss       {}, mean over all {} training images, {pixels}",
        loss.name(),
        grouped(images.len() as u64)
    ))?;
    screen.line("")
}

/// Searches, prints attempts, and shows how far the search is.
fn watched(search: &Search, options: &SearchOptions, machine: &Machine, screen: &mut Screen) -> Result<Found> {
    let bar = progress_bar(search.tries as u64, "attempt");
    let mut closed = Ok(());
    let found = machine.threads.run(|| {
        search.run(|attempt| {
            bar.inc(1);
            if options.is_shown(&attempt) && closed.is_ok() {
                let Attempt { number, loss, best, .. } = attempt;
                let line = format!("in attempt {number} the loss was {loss:.6}, best {best:.6}");
                closed = bar.suspend(|| screen.line(&line));
            }
        })
    });
    bar.finish_and_clear();
    closed?;
    found
}

/// A classifier with weights (C x (D + 1)) whose last column is the bias.
fn classifier(weights: &Tensor<f32>, normalisation: &Normalisation<f32>) -> Result<LinearClassifier> {
    let features = normalisation.mean.len();
    let rows = || weights.values().chunks_exact(features + 1);
    let bias: Vec<f32> = rows().map(|row| row[features]).collect();
    let weights: Vec<f32> = rows().flat_map(|row| &row[..features]).copied().collect();
    let mut classifier = LinearClassifier::new(bias.len(), normalisation, Bias::Trick)?;
    classifier.set_parameters(&weights, &bias)?;
    Ok(classifier)
}

/// The JSON report of a search, version 1.
///
/// `losses` holds the mean loss of each attempt, in order, without a regulariser; null where it is not finite. `start_loss` is
/// that of the weights that a local search starts from, and `kept` how many attempts were the best so far. `gflops` counts a
/// multiplication and an addition for each weight, image and attempt, over the `seconds` of the whole search.
#[derive(Debug, Serialize)]
struct Report {
    version: u32,
    command: &'static str,
    machine: report::Machine,
    data: report::Data,
    strategy: &'static str,
    loss: &'static str,
    deviation: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<f64>,
    seed: u64,
    seconds: f64,
    gflops: f64,
    peak_fraction: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_loss: Option<f64>,
    losses: Vec<f64>,
    kept: usize,
    best_attempt: Option<usize>,
    best_loss: f64,
    test_loss: f64,
    test_accuracy: f64,
    weights_sha256: String,
}

fn report(
    options: &SearchOptions,
    (found, seconds): (&Found, f64),
    classifier: &LinearClassifier,
    (test, dataset): (Evaluation, &Dataset),
    machine: &Machine,
) -> Result<Report> {
    let images = found.attempts.len() as f64 * dataset.train.len() as f64;
    let gflops = 2.0 * images * classifier.parameters() as f64 / seconds * 1e-9;
    let loss: Loss = options.loss.into();
    Ok(Report {
        version: 1,
        command: "search",
        machine: machine.into(),
        data: report::Data { kind: dataset.source.kind().into(), train: dataset.train.len(), test: dataset.test.len() },
        strategy: if options.local { "local" } else { "random" },
        loss: loss.name(),
        deviation: options.deviation(),
        step: options.step(),
        seed: options.run.seed,
        seconds,
        gflops,
        peak_fraction: gflops / machine.peak_gflops,
        start_loss: found.start,
        losses: found.attempts.iter().map(|attempt| attempt.loss).collect(),
        kept: found.attempts.iter().filter(|attempt| attempt.is_best).count(),
        best_attempt: found.attempts.iter().rfind(|attempt| attempt.is_best).map(|attempt| attempt.number),
        best_loss: found.attempts.last().map_or(f64::INFINITY, |attempt| attempt.best),
        test_loss: test.loss,
        test_accuracy: test.accuracy,
        weights_sha256: weights::sha256(&linear_tensors(classifier)?),
    })
}

/// Prints what came out.
fn sum_up(report: &Report, found: &Found, dataset: &Dataset, screen: &mut Screen) -> Result<()> {
    let images = dataset.test.len() as u64;
    screen.line("")?;
    let attempt = report.best_attempt.map_or("the start".into(), |number| format!("attempt {number}"));
    let kept = match found.start {
        Some(start) => format!("; {} of {} steps kept, from {start:.6}", report.kept, found.attempts.len()),
        None => String::new(),
    };
    screen.line(&format!("best       {attempt}, training loss {:.6}{kept}", report.best_loss))?;
    screen.line(&format!(
        "test       {:.2} % of {} images right (guessing: {:.0} %), loss {:.4}",
        100.0 * report.test_accuracy,
        grouped(images),
        100.0 / dataset.test.classes() as f64,
        report.test_loss
    ))?;
    if matches!(dataset.source, Source::Cifar10 { .. }) {
        screen.line(match found.start {
            Some(_) => "           (the CS231n notes: 21.4 %)",
            None => "           (the slide: 15.55 %; strategy #2, `profile train`: 40 %)",
        })?;
    }
    screen.line(&format!(
        "speed      {:.1} s, {:.0} GFLOP/s, {:.0} % of the multiply-add peak",
        report.seconds,
        report.gflops,
        100.0 * report.peak_fraction
    ))?;
    screen.line(&format!("weights SHA-256 {}", report.weights_sha256))
}

/// The losses of the attempts, and the best so far.
fn picture(options: &SearchOptions, found: &Found, dataset: &Dataset) -> Result<String> {
    let losses: Vec<f32> = found.attempts.iter().map(|attempt| attempt.loss as f32).collect();
    let best: Vec<f32> = found.attempts.iter().map(|attempt| attempt.best as f32).collect();
    let classes = dataset.train.classes() as f32;
    let (loss, zero_weights) = match options.loss {
        LossName::Hinge => ("hinge loss", classes - 1.0),
        LossName::Softmax => ("cross-entropy loss (nats)", classes.ln()),
    };
    let data = format!("{}, {} training images", source_name(dataset), grouped(dataset.train.len() as u64));
    search_curve(&SearchCurve {
        is_local: options.local,
        data: &data,
        loss,
        losses: &losses,
        best: &best,
        zero_weights,
    })
}
