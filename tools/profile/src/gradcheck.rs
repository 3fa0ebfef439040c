//! `profile gradcheck`: "always use the analytic gradient, but check the implementation with the numerical gradient".

mod json;
mod planted;
mod table;

use crate::args::{ModelName, ModelOptions, RunOptions, parse_positive};
use crate::dataset::{Loaded, load};
use crate::interrupt::{Interrupt, Interrupted};
use crate::machine::start_threads;
use crate::names::described;
use crate::objective::{Objective, draw_as_he, squares, weights};
use crate::plots::{CheckedParameter, gradcheck_picture};
use crate::report;
use crate::results::Results;
use crate::resume::Conflict;
use crate::screen::{Screen, grouped, progress_bar};
use crate::settings;
use anyhow::{Result, anyhow};
use clap::Args;
use indicatif::ProgressBar;
use json::{JsonElement, JsonReport};
use lanegrad::Loss;
use lanegrad::data::Dataset;
use lanegrad::gradcheck::{Differences, Element, GradientCheck, Report, Verdict};
use lanegrad::tape::Tape;
use std::ops::Range;
use std::time::Instant;
use table::Table;

/// The options of `profile gradcheck`.
#[derive(Args, Clone, Debug)]
pub struct GradcheckOptions {
    /// What is checked. A linear classifier starts from weights of `normal:0.01` here, where --init says nothing else.
    #[command(flatten)]
    pub model: ModelOptions,

    /// Images that the loss is the mean over
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub batch_size: u32,

    /// Numbers of each parameter that are checked, drawn from all over it
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000_000))]
    pub samples: u32,

    /// Check every number of every parameter
    #[arg(long, conflicts_with = "samples")]
    pub all: bool,

    /// The step h of the centred differences (f(x + h) - f(x - h)) / 2h
    #[arg(long, value_name = "H", default_value_t = 1e-5, value_parser = parse_positive)]
    pub step: f64,

    /// Elements that are printed, worst first
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub show: usize,

    /// Also print the slides' table: W, W + h in one dimension after the other, the loss, and its slope
    #[arg(long)]
    pub table: bool,

    /// Compute the regulariser's gradient as W instead of 2 W, to see that the check finds it
    #[arg(long)]
    pub plant_error: bool,

    /// Data, threads, seed, files.
    #[command(flatten)]
    pub run: RunOptions,
}

impl GradcheckOptions {
    /// Whether the options go together.
    fn check(&self) -> Result<()> {
        self.model.check().map_err(|message| Conflict(message.into()))?;
        if self.plant_error && settings::strength(&self.model) == 0.0 {
            return Err(
                Conflict("--plant-error is an error in the regulariser's gradient: give --reg above 0".into()).into()
            );
        }
        Ok(())
    }
}

/// Checks the gradient as `options` say, and writes picture and report; an error if the gradient is not right.
pub fn run(options: &GradcheckOptions) -> Result<()> {
    options.check()?;
    let interrupt = Interrupt::listen();
    let mut results = Results::open(&options.run)?;
    let Loaded { mut dataset, .. } = load(&options.run, &mut results.screen)?;
    if options.model.model.wants_channels_last() {
        dataset.train = dataset.train.channels_last(3)?;
    }
    let threads = start_threads(options.run.threads)?;
    let mut tape = Tape::new();
    let images = (&dataset.train, options.batch_size as usize);
    let objective = Objective::new(&options.model, images, (options.run.seed, true), &mut tape)?;
    let are_small = options.model.model != ModelName::Linear && spread(&mut tape) < SMALL_SPREAD;
    if are_small {
        draw_as_he(&mut tape, options.run.seed)?;
    }
    announce(options, &tape, objective.labels.len(), &mut results.screen)?;
    if are_small {
        results.line(
            "weights    drawn anew as He et al. scale them: the first ones are too small, and a step would cross",
        )?;
        results.line("           the kinks of many activations at once")?;
    }
    results.line("")?;

    let bar = progress_bar(calls(options, &tape), "call of the loss");
    let (of_interrupt, of_bar) = (&interrupt, &bar);
    let checked = threads.run(move || Checked::new(options, &objective, tape, (of_interrupt, of_bar)));
    bar.finish_and_clear();
    if interrupt.is_asked() {
        return Err(Interrupted("interrupted before all elements were checked".into()).into());
    }
    let checked = checked?;
    if let Some(table) = &checked.table {
        results.lines(table.lines())?;
    }
    results.lines(checked.lines(options.show))?;
    results.file("gradcheck.svg", checked.picture(options)?.as_bytes())?;
    results.finish(&checked.report(options, &dataset, threads.count())?)?;
    checked.judge()
}

/// The [`spread`] below which weights are drawn anew: activations of a hundredth of their inputs.
const SMALL_SPREAD: f64 = 1e-2;

/// About how much smaller the scores are than with weights as He et al. scale them: the product over the layers of the root
/// of the mean square of their weights, over sqrt(2 / inputs).
fn spread(tape: &mut Tape<f64>) -> f64 {
    let layers = weights(tape);
    let values = tape.parameters_mut();
    let ratio = |(range, fan_in): (Range<usize>, usize)| {
        let squares: f64 = values[range.clone()].iter().map(|weight| weight * weight).sum();
        (squares / range.len() as f64 * fan_in as f64 / 2.0).sqrt()
    };
    layers.into_iter().map(ratio).product()
}

/// About how often the loss is computed: twice for each element, but for those that may be at a kink.
fn calls(options: &GradcheckOptions, tape: &Tape<f64>) -> u64 {
    let mut elements = 0;
    tape.for_each_parameter(|info| elements += info.range.len().min(samples(options).unwrap_or(usize::MAX)));
    2 * elements as u64 + 1
}

fn samples(options: &GradcheckOptions) -> Option<usize> {
    (!options.all).then_some(options.samples as usize)
}

/// Says what is about to be done.
fn announce(options: &GradcheckOptions, tape: &Tape<f64>, images: usize, screen: &mut Screen) -> Result<()> {
    let parameters = grouped(tape.parameter_count() as u64);
    screen.line(&format!("model      {}, {parameters} parameters, computed in f64", described(&options.model)))?;
    let strength = settings::strength(&options.model);
    let images = grouped(images as u64);
    screen.line(&format!("loss       mean of {images} training images, + {strength:e} * (sum of squares of W)"))?;
    let count = match samples(options) {
        Some(samples) => format!("{} numbers of each parameter", grouped(samples as u64)),
        None => "every number".into(),
    };
    screen.line(&format!("check      {count}, centred differences, h = {:e}, seed {}", options.step, options.run.seed))
}

/// What was found.
struct Checked {
    report: Report,
    table: Option<Table>,
    /// Seconds of one analytic gradient, and of the numerical one of the checked elements.
    seconds: (f64, f64),
    /// Numbers in all parameters.
    parameters: usize,
    /// Images that the loss is the mean over: of a small set, fewer than were asked for.
    images: usize,
}

impl Checked {
    fn new(
        options: &GradcheckOptions,
        objective: &Objective,
        mut tape: Tape<f64>,
        (interrupt, bar): (&Interrupt, &ProgressBar),
    ) -> Result<Self> {
        let squares = if options.plant_error { planted::wrong_squares } else { squares };
        let table = options.table.then(|| Table::new(objective, squares, &mut tape)).transpose()?;
        let start = Instant::now();
        tape.reset();
        objective.record(&tape, squares).backward()?;
        let analytic = start.elapsed().as_secs_f64();
        let check = GradientCheck {
            differences: Differences::Centred,
            step: options.step,
            samples: samples(options),
            seed: options.run.seed,
        };
        let start = Instant::now();
        let report = check.run(&mut tape, |tape| {
            bar.inc(1);
            if interrupt.is_asked() {
                return tape.fail(lanegrad::Error::Setting("interrupted".into()));
            }
            objective.record(tape, squares)
        })?;
        let seconds = (analytic, start.elapsed().as_secs_f64());
        Ok(Self { report, table, seconds, parameters: tape.parameter_count(), images: objective.labels.len() })
    }

    /// The elements of a parameter, worst first.
    fn of<'a>(&'a self, parameter: &'a str) -> impl Iterator<Item = &'a Element> {
        self.report.elements.iter().filter(move |element| element.parameter == parameter)
    }

    /// The tables: the worst elements, and each parameter.
    fn lines(&self, show: usize) -> Vec<String> {
        let mut lines = Vec::new();
        let width = self.report.elements.iter().map(|element| place(element).len()).max().unwrap_or(0).max(24);
        if show > 0 {
            lines.push(format!(
                "{:<width$}  {:>14}  {:>14}  {:>10}  verdict",
                "worst first", "analytic", "numerical", "rel. error"
            ));
        }
        for element in self.report.elements.iter().take(show) {
            let Element { analytic, numerical, error, verdict, .. } = element;
            let (place, note) = (place(element), element.note());
            lines.push(format!(
                "{place:<width$}  {analytic:>14.7e}  {numerical:>14.7e}  {error:>10.2e}  {verdict}{note}"
            ));
        }
        if show > 0 {
            lines.push(String::new());
        }
        lines.push(format!(
            "{:<width$}  {:>22}  {:>10}  {:>5} {:>10} {:>5} {:>8} {:>10} {:>5}",
            "parameter", "checked", "rel. error", "good", "(rounding)", "kink", "doubtful", "suspicious", "wrong"
        ));
        for (parameter, checked, elements) in &self.report.coverage {
            let count = |verdict| self.of(parameter).filter(|element| element.verdict == verdict).count();
            let [good, kink, doubtful, suspicious, wrong] = VERDICTS.map(count);
            let of = format!("{} of {}", grouped(*checked as u64), grouped(*elements as u64));
            let worst = largest_error(self.of(parameter));
            let rounded = self.of(parameter).filter(|element| element.within_rounding).count();
            lines.push(format!(
                "{parameter:<width$}  {of:>22}  {worst:>10.2e}  {good:>5} {rounded:>10} {kink:>5} {doubtful:>8} {suspicious:>10} \
                 {wrong:>5}"
            ));
        }
        lines.extend(self.remarks());
        lines
    }

    /// What the tables mean, and what each gradient costs.
    fn remarks(&self) -> Vec<String> {
        let mut lines = vec![
            String::new(),
            "rel. error is |a - n| / max(|a|, |n|): below 1e-7 good, below 1e-4 doubtful, below 1e-2 suspicious, else wrong;".into(),
            "good (rounding): the two differ by no more than the rounding of the loss, divided by the step".into(),
        ];
        let kinks = self.report.elements.iter().filter(|element| element.verdict == Verdict::Kink).count();
        if kinks > 0 {
            lines.push(format!(
                "kink ({kinks}): a max(0, .) changes sides within a step; the numerical slope mixes both sides, the analytic one is right"
            ));
        }
        let (analytic, numerical) = self.seconds;
        let whole = numerical / self.report.elements.len().max(1) as f64 * self.parameters as f64;
        lines.push(format!(
            "analytic:  exact, and all {} derivatives in {}; numerical: approximate, and would take {} for all",
            grouped(self.parameters as u64),
            duration(analytic),
            duration(whole)
        ));
        lines.push(format!("verdict    {}", self.report.verdict()));
        lines
    }

    /// An error if the gradient is not right.
    fn judge(&self) -> Result<()> {
        match self.report.elements.first() {
            Some(worst) if !self.report.passes() => Err(anyhow!(
                "the gradient check fails: {} is {:.7e} by backpropagation and {:.7e} by differences, {}",
                place(worst),
                worst.analytic,
                worst.numerical,
                worst.verdict
            )),
            _ => Ok(()),
        }
    }

    fn picture(&self, options: &GradcheckOptions) -> Result<String> {
        let parameters: Vec<_> = self
            .report
            .coverage
            .iter()
            .map(|(name, ..)| CheckedParameter { name, elements: self.of(name).collect() })
            .collect();
        let loss: Loss = options.model.loss.into();
        let planted = if options.plant_error { ", with an error planted" } else { "" };
        let model = format!("{}, {} loss{planted}", options.model.model.name(), loss.name());
        gradcheck_picture(&model, options.step, &parameters)
    }

    fn report(&self, options: &GradcheckOptions, dataset: &Dataset, threads: usize) -> Result<JsonReport<'_>> {
        let loss: Loss = options.model.loss.into();
        Ok(JsonReport {
            version: 1,
            command: "gradcheck",
            isa: lanegrad::kernels::dispatch::level()?.name(),
            threads,
            data: report::Data {
                kind: dataset.source.kind().into(),
                train: dataset.train.len(),
                test: dataset.test.len(),
            },
            model: report::Model {
                name: options.model.model.name().into(),
                loss: loss.name().into(),
                parameters: self.parameters,
            },
            reg: settings::strength(&options.model),
            batch_size: self.images,
            seed: options.run.seed,
            step: options.step,
            verdict: self.report.verdict().name(),
            worst_error: self.report.worst_error(),
            passes: self.report.passes(),
            analytic_seconds: self.seconds.0,
            numerical_seconds: self.seconds.1,
            elements: self.report.elements.iter().map(JsonElement::from).collect(),
            table: self.table.as_ref(),
        })
    }
}

/// All verdicts, best first.
const VERDICTS: [Verdict; 5] = [Verdict::Good, Verdict::Kink, Verdict::Doubtful, Verdict::Suspicious, Verdict::Wrong];

/// An element as it is written: `linear.weight[3, 17]`.
fn place(element: &Element) -> String {
    format!("{}{:?}", element.parameter, element.index)
}

/// The largest relative error but of those at a kink; NaN if one is.
fn largest_error<'a>(elements: impl Iterator<Item = &'a Element>) -> f64 {
    let telling = elements.filter(|element| element.verdict != Verdict::Kink);
    telling.map(|element| element.error.abs()).max_by(f64::total_cmp).unwrap_or(0.0)
}

/// A time with its unit.
fn duration(seconds: f64) -> String {
    match seconds {
        ..0.1 => format!("{:.1} ms", 1e3 * seconds),
        ..120.0 => format!("{seconds:.1} s"),
        ..7200.0 => format!("{:.0} minutes", seconds / 60.0),
        _ => format!("{:.0} hours", seconds / 3600.0),
    }
}
