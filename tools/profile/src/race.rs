//! `profile race`: update rules against each other, on functions that can be seen as a map, and on real training.
//!
//! After the two animations on the lecture's slide "The effects of different update form formulas" (Alec Radford's). The
//! rules are the engine's own, [`lanegrad::optim::Updater`], in `f64` on the maps.

mod surface;
mod training;

use crate::args::{
    LossName, ModelName, ModelOptions, OptimizerName, Preprocess, RunOptions, UpdateOptions, parse_positive,
};
use crate::plots::contour::Grid;
use crate::plots::race::{MapRace, Runner};
use crate::results::Results;
use crate::resume::{Conflict, name};
use crate::screen::{grouped, setting};
use anyhow::Result;
use clap::{Args, ValueEnum};
use lanegrad::optim::{Optimizer, Segment, Updater};
use serde::Serialize;
use std::fmt::Write;
use surface::Surface;

/// The options of `profile race`.
#[derive(Args, Clone, Debug)]
pub struct RaceOptions {
    /// What the rules race on
    #[arg(long, value_enum, default_value_t = Track::Beale)]
    pub on: Track,

    /// Who takes part, with commas between
    #[arg(
        long,
        value_name = "RULE,...",
        value_enum,
        value_delimiter = ',',
        default_value = "sgd,momentum,nesterov,adagrad,adadelta,rmsprop,adam"
    )]
    pub rules: Vec<OptimizerName>,

    /// Other step sizes than the usual ones: `adam=0.1,sgd=0.002`
    #[arg(long, value_name = "RULE=RATE,...", value_delimiter = ',', value_parser = parse_rate)]
    pub lr: Vec<(OptimizerName, f64)>,

    /// Where every rule starts on a map [default: beale 1,1.5, saddle 0.25,0.001, valley -9,1]
    #[arg(long, value_name = "X,Y", allow_hyphen_values = true, value_parser = parse_point)]
    pub start: Option<[f64; 2]>,

    /// Steps that each rule takes [default: beale 1000, saddle 200, valley 400, training 400]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub steps: Option<u64>,

    /// Images in a mini-batch, on `training` [default: 256]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub batch_size: Option<u32>,

    /// What is trained, on `training`.
    #[command(flatten)]
    pub model: ModelOptions,

    /// Data, threads, seed, files.
    #[command(flatten)]
    pub run: RunOptions,
}

impl RaceOptions {
    /// An option that only a training has a use for, if one was told. Those of the model that have a default value cannot be
    /// told from it, and a map ignores that value.
    fn told_for_training(&self) -> Option<&'static str> {
        let ModelOptions { model, hidden, loss, preprocess, init, bias, reg } = &self.model;
        let told = [
            ("--batch-size", self.batch_size.is_some()),
            ("--model", *model != ModelName::Linear),
            ("--hidden", hidden.is_some()),
            ("--loss", *loss != LossName::Softmax),
            ("--preprocess", *preprocess != Preprocess::Standardize),
            ("--init", init.is_some()),
            ("--bias", bias.is_some()),
            ("--reg", reg.is_some()),
        ];
        told.into_iter().find(|(_, is_told)| *is_told).map(|(name, _)| name)
    }
}

/// What rules race on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Track {
    /// The map of Beale's function: a steep wall and a curved, flat valley
    Beale,
    /// The map of 4x² - y²: whoever finds no way off the saddle stays there
    Saddle,
    /// The map of x²/50 + 8y²: 400 times as steep across as along
    Valley,
    /// A model's training: --model, --loss, --data and so on say which
    Training,
}

impl Track {
    /// The function, if it is one that has a map.
    fn surface(self) -> Option<Surface> {
        match self {
            Self::Beale => Some(Surface::Beale),
            Self::Saddle => Some(Surface::Saddle),
            Self::Valley => Some(Surface::Valley),
            Self::Training => None,
        }
    }
}

fn parse_rate(text: &str) -> Result<(OptimizerName, f64), String> {
    let (rule, rate) = text.split_once('=').ok_or("expected RULE=RATE, such as adam=0.1")?;
    let named = OptimizerName::from_str(rule, false).map_err(|_| {
        let names = OptimizerName::value_variants().iter().map(|&rule| name(rule)).collect::<Vec<_>>();
        format!("there is no rule `{rule}`; the rules are {}", names.join(", "))
    })?;
    Ok((named, parse_positive(rate)?))
}

fn parse_point(text: &str) -> Result<[f64; 2], String> {
    let number = |text: &str| text.trim().parse().ok().filter(|number: &f64| number.abs() <= FARTHEST);
    let point = text.split_once(',').and_then(|(x, y)| Some([number(x)?, number(y)?]));
    point.ok_or_else(|| {
        format!("expected two numbers from -{FARTHEST} to {FARTHEST} with a comma between, such as 1,1.5")
    })
}

/// Beyond it the sixth powers of Beale's function leave nothing of the numbers that are added to them.
const FARTHEST: f64 = 100.0;

/// The JSON report of a race on a map.
#[derive(Debug, Serialize)]
struct Report {
    /// Version of this format.
    version: u32,
    /// `race`.
    command: &'static str,
    /// `beale`, `saddle` or `valley`.
    track: String,
    /// The function.
    formula: &'static str,
    /// Where every rule starts.
    start: [f64; 2],
    /// Steps that each takes.
    steps: u64,
    /// The value that `steps_to_goal` is about.
    goal: f64,
    /// In the order of the command line.
    rules: Vec<RuleReport>,
}

/// How a rule did.
#[derive(Debug, Serialize)]
struct RuleReport {
    name: &'static str,
    /// Step size.
    lr: f64,
    /// f at the start; then after 10, 100, 1000 ... steps, and after the last.
    values: Vec<(u64, f64)>,
    /// Where it is after the last step.
    end: [f64; 2],
    /// The first step after which f was below the goal.
    steps_to_goal: Option<u64>,
}

/// Lets the rules race, prints how each did, and writes a still, an animation and the paths.
pub fn run(options: &RaceOptions) -> Result<()> {
    check(options)?;
    match options.on.surface() {
        Some(surface) => on_map(surface, options),
        None => training::run(options),
    }
}

/// Whether the options go together.
fn check(options: &RaceOptions) -> Result<()> {
    let refuse = |message: String| Err(Conflict(message).into());
    for (place, rule) in options.rules.iter().enumerate() {
        if options.rules[..place].contains(rule) {
            return refuse(format!("--rules: {} is named twice", name(*rule)));
        }
    }
    if let Some((rule, _)) = options.lr.iter().find(|(rule, _)| !options.rules.contains(rule)) {
        return refuse(format!("--lr {}: it is not among the --rules that take part", name(*rule)));
    }
    if options.on != Track::Training && options.rules.contains(&OptimizerName::Muon) {
        return refuse("--rules muon: it is for matrices, and a point on a map is none".into());
    }
    if options.on == Track::Training {
        if options.start.is_some() {
            return refuse("--start is for the maps: beale, saddle, valley".into());
        }
        for &rule in &options.rules {
            let update = UpdateOptions { optimizer: rule, lr: None, momentum: None };
            update.check(options.model.model).or_else(|message| refuse(message.into()))?;
        }
    } else if let Some(name) = options.told_for_training() {
        return refuse(format!("{name} is a setting of --on training"));
    }
    options.model.check().or_else(|message| refuse(message.into()))
}

/// The rule with the step size that it was told, if any.
fn with_given_rate(options: &RaceOptions, rule: OptimizerName, optimizer: Optimizer) -> Optimizer {
    let given = options.lr.iter().rev().find(|(given, _)| *given == rule);
    given.map_or(optimizer, |(_, rate)| optimizer.with_rate(*rate))
}

/// The points that `optimizer` visits in `steps` steps, the start among them.
fn path(surface: Surface, optimizer: Optimizer, start: [f64; 2], steps: u64) -> Result<Vec<[f64; 2]>> {
    let point = Segment { range: 0..2, matrix: None, decay: false };
    let mut updater = Updater::<f64>::new(optimizer, &[point])?;
    let (mut here, mut path) = (start, vec![start]);
    for _ in 0..steps {
        updater.step(&mut here, &surface.gradient(path[path.len() - 1]), 0.0)?;
        path.push(here);
    }
    Ok(path)
}

fn on_map(surface: Surface, options: &RaceOptions) -> Result<()> {
    let mut results = Results::open(&options.run)?;
    let start = options.start.unwrap_or(surface.start());
    let steps = options.steps.unwrap_or(surface.steps());

    let (mut runners, mut rules) = (Vec::new(), Vec::new());
    for &rule in &options.rules {
        let optimizer = with_given_rate(options, rule, surface.optimizer(rule));
        let path = path(surface, optimizer, start, steps)?;
        let values: Vec<f64> = path.iter().map(|&point| surface.value(point)).collect();
        rules.push(RuleReport {
            name: optimizer.name(),
            lr: optimizer.rate(),
            values: milestones(steps).into_iter().map(|step| (step, values[step as usize])).collect(),
            end: path[path.len() - 1],
            steps_to_goal: values.iter().position(|value| *value < surface.goal()).map(|step| step as u64),
        });
        runners.push(Runner { name: name(rule), settings: setting(optimizer.rate()), path, values });
    }
    let report = Report {
        version: 1,
        command: "race",
        track: options.on.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned()),
        formula: surface.formula(),
        start,
        steps,
        goal: surface.goal(),
        rules,
    };
    results.lines(table(&report))?;

    let (grid, levels) = (Grid::sample(surface.window(), [161, 121], |x, y| surface.value([x, y])), surface.levels());
    let [x, y] = start;
    let subtitle = format!("{}  ·  start ({x}, {y})", surface.formula());
    let race = MapRace {
        title: surface.title(),
        subtitle: &subtitle,
        grid: &grid,
        levels: &levels,
        levels_text: surface.levels_text(),
        minimum: surface.minimum(),
        runners: &runners,
    };
    results.file("race.gif", &race.animation()?)?;
    results.file("race.svg", race.still()?.as_bytes())?;
    results.file("race.csv", csv(&runners).as_bytes())?;
    results.finish(&report)
}

/// The steps whose values are reported: 0, 10, 100, 1000 ... and the last.
fn milestones(steps: u64) -> Vec<u64> {
    let powers = std::iter::successors(Some(10_u64), |step| step.checked_mul(10)).take_while(|&step| step < steps);
    [0].into_iter().chain(powers).chain([steps]).collect()
}

/// How each rule did, for people.
fn table(report: &Report) -> Vec<String> {
    let [x, y] = report.start;
    let mut lines = vec![format!("function   {}", report.formula), format!("start      ({x}, {y})"), String::new()];
    let mut head = format!("{:14} {:>9}", "rule", "step size");
    for (step, _) in report.rules.first().map_or(&[][..], |rule| &rule.values) {
        let step = if *step == 0 { "f at start".into() } else { format!("step {}", grouped(*step)) };
        let _ = write!(head, " {step:>12}");
    }
    let _ = write!(head, " {:>24}  steps to f < {}", "ends at", report.goal);
    lines.push(head);
    for rule in &report.rules {
        let mut line = format!("{:14} {:>9}", rule.name, setting(rule.lr));
        for (_, value) in &rule.values {
            let _ = write!(line, " {:>12}", written(*value));
        }
        let end = format!("({}, {})", written(rule.end[0]), written(rule.end[1]));
        let goal = rule.steps_to_goal.map_or_else(|| "not reached".into(), grouped);
        let _ = write!(line, " {end:>24}  {goal}");
        lines.push(line);
    }
    lines
}

/// A number in at most eleven letters.
fn written(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        0.001..100_000.0 => format!("{value:.5}"),
        _ => format!("{value:.3e}"),
    }
}

/// The paths: a line for every step of every rule, numbers in full.
fn csv(runners: &[Runner]) -> String {
    let mut text = String::from("rule,step,x,y,f\n");
    for runner in runners {
        for (step, ([x, y], value)) in runner.path.iter().zip(&runner.values).enumerate() {
            let _ = writeln!(text, "{},{step},{x},{y},{value}", runner.name);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The function after 100 and 1000 steps from Beale's start, computed in f64 outside of this project.
    #[test]
    fn paths_on_beale_are_those_computed_elsewhere() {
        for (optimizer, hundred, thousand) in [
            (Surface::Beale.optimizer(OptimizerName::Sgd), 2.8261, 0.086390),
            (Surface::Beale.optimizer(OptimizerName::Momentum), 0.123575, 4.3446e-5),
            (Surface::Beale.optimizer(OptimizerName::Nesterov), 0.115432, 4.4269e-5),
            (Surface::Beale.optimizer(OptimizerName::Adagrad), 4.72335, 0.069687),
            (Surface::Beale.optimizer(OptimizerName::RmsProp), 6.74998, 8.93e-4),
            (Surface::Beale.optimizer(OptimizerName::Adadelta), 19.2342, 0.031004),
            (Optimizer::adam(1e-2), 12.4327, 0.039429),
            (Optimizer::adam(0.1), 0.072557, 1.7e-14),
        ] {
            let path = path(Surface::Beale, optimizer, [1.0, 1.5], 1000).unwrap();
            let at = |step: usize| Surface::Beale.value(path[step]);
            // As many digits as are known.
            let (early, late) = (at(100) / hundred - 1.0, at(1000) / thousand - 1.0);
            assert!(early.abs() < 2e-5, "{} {} {hundred}", optimizer.name(), at(100));
            assert!(late.abs() < 0.03, "{} {} {thousand}", optimizer.name(), at(1000));
        }
    }

    /// Steps until f < -1 from (0.25, 0.001), computed in f64 outside of this project.
    #[test]
    fn the_saddle_is_left_when_it_was_elsewhere() {
        for (rule, expected) in [
            (OptimizerName::Sgd, 349),
            (OptimizerName::Momentum, 72),
            (OptimizerName::Nesterov, 67),
            (OptimizerName::Adagrad, 17),
            (OptimizerName::Adadelta, 13),
            (OptimizerName::RmsProp, 72),
            (OptimizerName::Adam, 77),
        ] {
            let optimizer = Surface::Saddle.optimizer(rule);
            let left = |start| {
                let path = path(Surface::Saddle, optimizer, start, 500).unwrap();
                path.iter().position(|&point| Surface::Saddle.value(point) < -1.0)
            };
            assert_eq!(left([0.25, 1e-3]), Some(expected), "{rule:?}");
            assert_eq!(left([0.25, 0.0]), None, "{rule:?} at y = 0");
        }
    }

    #[test]
    fn milestones_are_powers_of_ten_and_the_last() {
        assert_eq!(milestones(1), [0, 1]);
        assert_eq!(milestones(100), [0, 10, 100]);
        assert_eq!(milestones(400), [0, 10, 100, 400]);
    }
}
