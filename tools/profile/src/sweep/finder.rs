//! The learning-rate range test: the step size rises from batch to batch, and the loss says where it is too small, right, and
//! too large (Smith, "Cyclical learning rates for training neural networks", 2017).

use super::{Head, SweepOptions, two_digits};
use crate::plots::lines::{Curve, Lines, Measure};
use crate::results::Results;
use crate::screen::{grouped, setting};
use crate::trials::{Trials, smoothed};
use anyhow::Result;
use serde::Serialize;
use std::fmt::Write;
use std::ops::Range;

/// Steps where nothing else is said.
pub const STEPS: u64 = 300;

/// With fewer steps there are too few smoothed losses for a slope.
pub const FEWEST_STEPS: u64 = 50;

/// Steps that the smoothed loss looks back over.
const WINDOW: u64 = 15;

/// What part of the step size with the lowest loss is suggested.
const SUGGESTED_PART: f64 = 0.25;

/// The JSON report.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    head: Head,
    /// Step sizes of the first and the last step.
    range: [f64; 2],
    /// Steps before the smoothed loss went over three times its start, or to the end of the range.
    steps: usize,
    finding: Finding,
}

/// What the test says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Finding {
    /// Where the smoothed loss is lowest.
    lowest: f64,
    /// Where it falls fastest, for a step size that grows by a constant factor.
    steepest: Option<f64>,
    /// The step size to start with.
    suggestion: Option<f64>,
}

/// What a range test saw.
pub struct RangeTest {
    /// Step sizes of the first and the last step.
    range: Range<f64>,
    /// The step size of each step.
    rates: Vec<f64>,
    /// The loss before each step, with the regulariser, up to the first that is not finite.
    losses: Vec<f64>,
    /// The same, smoothed.
    smooth: Vec<f64>,
    /// Steps before the smoothed loss is several times its start: after that it only explodes.
    steps: usize,
    finding: Finding,
}

impl RangeTest {
    /// Where the smoothed loss is lowest.
    pub fn lowest(&self) -> f64 {
        self.finding.lowest
    }

    /// Whether training broke before the end of the range.
    fn is_broken_off(&self) -> bool {
        self.steps < self.rates.len()
    }
}

/// Trains for `steps` steps while the step size rises.
pub fn test(options: &SweepOptions, trials: &Trials, steps: u64) -> Result<RangeTest> {
    let usual = options.usual_rate();
    let range = options.lr_range.clone().unwrap_or(usual * 1e-3..usual * 1e3);
    let rates: Vec<f64> = (0..steps).map(|step| at(&range, step as f64 / (steps - 1).max(1) as f64)).collect();
    let bar = trials.bar(steps);
    let mut model = trials.model(options.optimizer(range.start))?;
    let losses = trials.train(&mut model, steps, &bar, |step| Some(rates[step as usize]))?;
    bar.finish_and_clear();
    let losses: Vec<f64> = losses.iter().map(|loss| loss.full()).collect();
    let smooth = smoothed(&losses, WINDOW);
    let start = smooth.first().copied().unwrap_or(f64::NAN);
    let steps = smooth.iter().position(|loss| *loss > 3.0 * start).unwrap_or(smooth.len());
    let finding = find(&rates[..steps], &smooth[..steps]);
    Ok(RangeTest { range, rates, losses, smooth, steps, finding })
}

/// Does a range test, and says what came of it.
pub fn run(options: &SweepOptions, trials: &Trials, mut results: Results) -> Result<()> {
    let test = test(options, trials, options.steps.unwrap_or(STEPS))?;
    if test.losses.is_empty() {
        results
            .line("The loss is not finite at the first step already, before any step size matters: no suggestion.")?;
    } else {
        results.lines(words(&test.finding, &test.range, test.is_broken_off()))?;
    }
    let mut csv = String::from("step,lr,loss,smoothed\n");
    for (step, (loss, smooth)) in test.losses.iter().zip(&test.smooth).enumerate() {
        let _ = writeln!(csv, "{step},{},{loss},{smooth}", test.rates[step]);
    }
    results.file("find.svg", picture(trials, options, &test)?.as_bytes())?;
    results.file("find.csv", csv.as_bytes())?;
    results.finish(&Report {
        head: Head::new("find", options, trials),
        range: [test.range.start, test.range.end],
        steps: test.steps,
        finding: test.finding,
    })
}

/// The step size at a part of the way from the lower end of a range to the upper, by equal factors.
pub fn at(range: &Range<f64>, part: f64) -> f64 {
    (range.start.ln() + part * (range.end / range.start).ln()).exp()
}

/// What the smoothed losses at ascending step sizes say.
///
/// The suggestion is a part of where the loss is lowest, and not where it falls fastest, which early noise and the first, easy
/// steps of a network decide. The slope is that of a straight line through the smoothed losses of a window, over the logarithm
/// of the step size; the first steps do not count, since the average is still settling there.
fn find(rates: &[f64], smooth: &[f64]) -> Finding {
    let window = WINDOW as usize;
    let order = |a: &usize, b: &usize| smooth[*a].total_cmp(&smooth[*b]);
    let lowest = (window.min(smooth.len())..smooth.len()).min_by(order).unwrap_or(0);
    let reach = window / 2 + 1;
    let slope = |middle: usize| {
        let places = middle - reach..=middle + reach;
        let mean = smooth[places.clone()].iter().sum::<f64>() / (2 * reach + 1) as f64;
        places.map(|i| (i as f64 - middle as f64) * (smooth[i] - mean)).sum::<f64>()
    };
    let middles = (window + reach)..lowest.saturating_sub(reach);
    let steepest = middles.min_by(|a, b| slope(*a).total_cmp(&slope(*b))).filter(|middle| slope(*middle) < 0.0);
    let lowest_rate = rates.get(lowest).copied().unwrap_or(f64::NAN);
    Finding {
        lowest: lowest_rate,
        steepest: steepest.map(|step| rates[step]),
        suggestion: steepest.map(|_| lowest_rate * SUGGESTED_PART),
    }
}

/// The finding, for people.
fn words(finding: &Finding, range: &Range<f64>, is_broken_off: bool) -> Vec<String> {
    let mut lines = vec![format!("The step size rose from {} to {}.", two(range.start), two(range.end))];
    match (finding.steepest, finding.suggestion) {
        (Some(steepest), Some(suggestion)) => {
            lines.push(format!(
                "The smoothed loss falls fastest at {} and is lowest at {}.",
                two(steepest),
                two(finding.lowest)
            ));
            lines.push(format!(
                "suggestion --lr {}: a quarter of where the loss is lowest, since beyond that training breaks",
                two(suggestion)
            ));
        }
        _ => lines.push("The loss never falls in this range: no suggestion; try a lower one with --lr-range.".into()),
    }
    if !is_broken_off {
        lines.push(
            "warning: training did not break in this range, so that the best may lie beyond it: try --lr-range.".into(),
        );
    }
    lines
}

/// A step size in two digits.
fn two(rate: f64) -> String {
    setting(two_digits(rate))
}

fn picture(trials: &Trials, options: &SweepOptions, test: &RangeTest) -> Result<String> {
    let curve = |name: &str, detail: &str, losses: &[f64]| {
        let mut points: Vec<(f64, f64)> = test.rates.iter().copied().zip(losses.iter().copied()).collect();
        if let Some(&rate) = test.rates.get(losses.len()) {
            points.push((rate, f64::INFINITY));
        }
        Curve { name: name.into(), detail: detail.into(), points }
    };
    let curves = [
        curve("smoothed", &format!("over about {WINDOW} steps"), &test.smooth),
        curve("each mini-batch", &format!("{} steps", grouped(test.losses.len() as u64)), &test.losses),
    ];
    let marks: Vec<(f64, String)> =
        test.finding.suggestion.map(|rate| (rate, format!("suggestion {}", two(rate)))).into_iter().collect();
    Lines {
        title: "Learning-rate range test".into(),
        subtitle: format!("{}  ·  {}", trials.subtitle(), options.optimizer(1.0).name()),
        x_caption: "step size, rising from mini-batch to mini-batch (log scale)".into(),
        y_caption: trials.loss_caption().into(),
        x: Measure::Logarithmic,
        y: Measure::Linear,
        top: test.smooth.first().map(|start| 1.5 * start),
        curves: &curves,
        marks: &marks,
        note: format!("lowest at {}", two(test.finding.lowest)),
    }
    .still()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Losses that stay, fall around 1e-2, stay, and explode from 1 on.
    fn usual(rate: f64) -> f64 {
        let fall = 1.0 / (1.0 + (rate / 1e-2).powi(2));
        1.5 + 0.8 * fall + (rate / 3.0).powi(4)
    }

    #[test]
    fn what_is_suggested_lies_below_where_the_loss_is_lowest() {
        let rates: Vec<f64> = (0..300).map(|step| at(&(1e-5..1e1), f64::from(step) / 299.0)).collect();
        let losses: Vec<f64> = rates.iter().map(|rate| usual(*rate)).collect();
        let finding = find(&rates, &losses);
        let steepest = finding.steepest.unwrap();
        assert!((steepest.log10() + 2.0).abs() < 0.1, "{finding:?}");
        assert!((0.05..1.0).contains(&finding.lowest), "{finding:?}");
        let suggestion = finding.suggestion.unwrap();
        assert!((suggestion / finding.lowest - 0.25).abs() < 1e-12);
        let text = words(&finding, &(1e-5..1e1), true).join("\n");
        assert!(text.contains(&format!("suggestion --lr {}", two(suggestion))) && !text.contains("warning"), "{text}");
        assert!(words(&finding, &(1e-5..1e1), false).join("\n").contains("warning"));
    }

    #[test]
    fn an_early_spike_is_no_suggestion() {
        let rates: Vec<f64> = (0..300).map(|step| at(&(1e-5..1e1), f64::from(step) / 299.0)).collect();
        let mut losses: Vec<f64> = rates.iter().map(|rate| usual(*rate)).collect();
        losses[..5].copy_from_slice(&[90.0, 40.0, 20.0, 10.0, 5.0]);
        let finding = find(&rates, &losses);
        assert!((finding.steepest.unwrap().log10() + 2.0).abs() < 0.1, "{finding:?}");
        losses[..5].fill(1e-3);
        assert_eq!(find(&rates, &losses).suggestion, finding.suggestion);
    }

    #[test]
    fn a_loss_that_never_falls_has_no_suggestion() {
        let rates: Vec<f64> = (0..100).map(|step| at(&(1.0..10.0), f64::from(step) / 99.0)).collect();
        let rising: Vec<f64> = (0..100).map(f64::from).collect();
        let finding = find(&rates, &rising);
        assert_eq!(finding.suggestion, None);
        assert!(words(&finding, &(1.0..10.0), true).join(" ").contains("no suggestion"));
        find(&rates[..1], &rising[..1]);
        find(&[], &[]);
    }
}
