//! The race on real training: every rule on the same mini-batches, from the same first weights.

use super::{RaceOptions, with_given_rate};
use crate::args::UpdateOptions;
use crate::plots::lines::{Curve, Lines, Measure};
use crate::results::Results;
use crate::resume::name;
use crate::screen::{four_digits, grouped, setting, three_digits};
use crate::settings;
use crate::trials::{Trials, smoothed};
use anyhow::Result;
use serde::Serialize;
use std::fmt::Write;

/// Steps where nothing else is said.
const STEPS: u64 = 400;

/// Images in a mini-batch where nothing else is said.
const BATCH_SIZE: u32 = 256;

/// The JSON report of a race on training.
#[derive(Debug, Serialize)]
struct Report {
    /// Version of this format.
    version: u32,
    /// `race`.
    command: &'static str,
    /// `training`.
    track: &'static str,
    /// The model.
    model: String,
    /// `cifar10` or `synthetic`.
    data: &'static str,
    /// Images in a mini-batch.
    batch_size: u32,
    seed: u64,
    /// Steps that each rule takes.
    steps: u64,
    /// In the order of the command line.
    rules: Vec<RuleReport>,
}

/// How a rule did.
#[derive(Debug, Serialize)]
struct RuleReport {
    name: String,
    /// Step size.
    lr: f64,
    /// Loss with the regulariser, smoothed, after the last step whose loss was finite.
    loss: Option<f64>,
    /// Accuracy on the test images, from 0 to 1.
    test_accuracy: f64,
    /// The first step whose loss was not finite.
    diverged_at: Option<u64>,
}

/// Trains with each rule, and writes the curves of their losses.
pub fn run(options: &RaceOptions) -> Result<()> {
    let mut results = Results::open(&options.run)?;
    let batch_size = options.batch_size.unwrap_or(BATCH_SIZE);
    let trials = Trials::open(&options.run, &options.model, batch_size, &mut results)?;
    let steps = options.steps.unwrap_or(STEPS);
    let window = (steps / 20).clamp(1, 100);
    let bar = trials.bar(steps * options.rules.len() as u64);
    let (mut rules, mut curves, mut csv) = (Vec::new(), Vec::new(), String::from("rule,step,loss\n"));
    results.line(&format!("{:14} {:>9}  {:>10}  test accuracy", "rule", "step size", "loss"))?;
    for &rule in &options.rules {
        let usual = UpdateOptions { optimizer: rule, lr: None, momentum: None };
        let optimizer = with_given_rate(options, rule, settings::optimizer(&options.model, &usual));
        let mut model = trials.model(optimizer)?;
        let losses: Vec<f64> =
            trials.train(&mut model, steps, &bar, |_| None)?.iter().map(|loss| loss.full()).collect();
        for (step, loss) in losses.iter().enumerate() {
            let _ = writeln!(csv, "{},{step},{loss}", name(rule));
        }
        let smooth = smoothed(&losses, window);
        let report = RuleReport {
            name: name(rule),
            lr: optimizer.rate(),
            loss: smooth.last().copied(),
            test_accuracy: trials.accuracy(&mut model)?,
            diverged_at: ((losses.len() as u64) < steps).then_some(losses.len() as u64),
        };
        bar.suspend(|| results.line(&line(&report)))?;
        curves.push(curve(&report, &smooth));
        rules.push(report);
    }
    bar.finish_and_clear();
    let picture = Lines {
        title: "Update rules on the same mini-batches".into(),
        subtitle: trials.subtitle(),
        x_caption: format!("step (moving average over about {} of them)", grouped(window)),
        y_caption: trials.loss_caption().into(),
        x: Measure::Count,
        y: Measure::Linear,
        top: top(&curves),
        curves: &curves,
        marks: &[],
        note: format!("after step {}", grouped(steps)),
    };
    results.file("race.gif", &picture.animation()?)?;
    results.file("race.svg", picture.still()?.as_bytes())?;
    results.file("race.csv", csv.as_bytes())?;
    results.finish(&Report {
        version: 1,
        command: "race",
        track: "training",
        model: trials.model_text(),
        data: trials.dataset.source.kind(),
        batch_size,
        seed: options.run.seed,
        steps,
        rules,
    })
}

fn line(rule: &RuleReport) -> String {
    let loss = rule.loss.map_or_else(|| "-".into(), four_digits);
    let remark = rule.diverged_at.map_or_else(String::new, |step| format!("  not finite at step {}", grouped(step)));
    let accuracy = 100.0 * rule.test_accuracy;
    format!("{:14} {:>9}  {loss:>10}  {accuracy:11.2} %{remark}", rule.name, setting(rule.lr))
}

fn curve(rule: &RuleReport, losses: &[f64]) -> Curve {
    let mut points: Vec<(f64, f64)> = losses.iter().enumerate().map(|(step, &loss)| (step as f64, loss)).collect();
    if rule.diverged_at.is_some() {
        points.push((losses.len() as f64, f64::INFINITY));
    }
    let detail = match (rule.diverged_at, rule.loss) {
        (None, Some(loss)) => format!("loss {}, {:.1} %", three_digits(loss), 100.0 * rule.test_accuracy),
        _ => "not finite".into(),
    };
    Curve { name: format!("{} {}", rule.name, setting(rule.lr)), detail, points }
}

/// Where the picture ends: a little above the start, unless no curve goes there; nowhere told if none starts finite.
fn top(curves: &[Curve]) -> Option<f64> {
    let starts = curves.iter().filter_map(|curve| curve.points.first());
    let start = starts.map(|point| point.1).filter(|loss| loss.is_finite()).reduce(f64::max)?;
    let losses = curves.iter().flat_map(|curve| &curve.points).map(|point| point.1);
    Some(losses.filter(|loss| loss.is_finite()).fold(start, f64::max).min(1.1 * start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_ends_where_the_curves_do_or_a_little_above_the_start() {
        let top = |losses: &[f64]| {
            let points = losses.iter().enumerate().map(|(step, &loss)| (step as f64, loss)).collect();
            super::top(&[Curve { name: String::new(), detail: String::new(), points }])
        };
        assert_eq!(top(&[2.0, 1.5, 1.8]), Some(2.0));
        assert_eq!(top(&[2.0, 2.1, 1.8]), Some(2.1));
        assert_eq!(top(&[2.0, 90.0, f64::INFINITY]), Some(2.2));
        assert_eq!(top(&[f64::INFINITY]), None);
    }
}
