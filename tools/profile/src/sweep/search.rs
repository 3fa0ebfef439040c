//! Random search over step size and regularisation.

use super::{Head, SweepOptions, finder};
use crate::plots::scatter::{Scatter, Spot};
use crate::results::Results;
use crate::screen::{grouped, setting};
use crate::trials::Trials;
use anyhow::Result;
use rand::SeedableRng;
use rand_distr::{Distribution, StandardUniform};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::Serialize;
use std::fmt::Write;
use std::ops::Range;

/// The nearest to an edge, as a part of the range's logarithm, that the best may lie without a warning.
const EDGE: f64 = 0.1;

/// The JSON report.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    head: Head,
    /// Steps of each training.
    steps: u64,
    /// Images that the accuracy is of; no training sees them, and they are not the test images.
    held_out: usize,
    /// All trials, in the order in which they were drawn.
    trials: Vec<TrialReport>,
    /// What to be careful about.
    warnings: Vec<String>,
}

/// One pair and what came of it.
#[derive(Clone, Copy, Debug, Serialize)]
struct TrialReport {
    /// Step size.
    lr: f64,
    /// Strength of the regulariser.
    reg: f64,
    /// Accuracy on the images held out, from 0 to 1.
    accuracy: f64,
    /// Whether the loss became infinite or no number.
    diverged: bool,
}

/// Draws pairs, trains with each, and shows what each reached.
pub fn run(options: &SweepOptions, trials: &Trials, mut results: Results) -> Result<()> {
    let usual = options.usual_rate();
    let rates = options.lr_range.clone().unwrap_or(usual * 1e-2..usual * 1e2);
    let strengths = options.reg_range.clone().unwrap_or(1e-6..1.0);
    let steps = options.steps.unwrap_or(trials.sampler()?.steps_per_epoch());
    let count = options.trials.unwrap_or(if options.is_linear() { 40 } else { 12 });
    let held_out = trials.dataset.test.len();
    results.line(&format!(
        "{} pairs, {} steps each, accuracy on {} of the training images, held out",
        grouped(count),
        grouped(steps),
        grouped(held_out as u64)
    ))?;
    let bar = trials.bar(steps * count);
    let mut generator = Xoshiro256PlusPlus::seed_from_u64(options.run.seed);
    let mut found = Vec::new();
    for _ in 0..count {
        let mut draw = |range: &Range<f64>| {
            let part: f64 = StandardUniform.sample(&mut generator);
            finder::at(range, part)
        };
        let (lr, reg) = (draw(&rates), draw(&strengths));
        let mut model = trials.model_with_strength(options.optimizer(lr), reg)?;
        let before = bar.position();
        let losses = trials.train(&mut model, steps, &bar, |_| None)?;
        bar.set_position(before + steps);
        let diverged = (losses.len() as u64) < steps;
        found.push(TrialReport { lr, reg, accuracy: trials.accuracy(&mut model)?, diverged });
    }
    bar.finish_and_clear();
    let mut best: Vec<TrialReport> = found.iter().copied().filter(|trial| !trial.diverged).collect();
    best.sort_by(|a, b| b.accuracy.total_cmp(&a.accuracy));
    table(&best, found.len() - best.len()).iter().try_for_each(|line| results.line(line))?;
    let warnings = match best.first() {
        Some(best) => border_warnings(best, &rates, &strengths),
        None => vec!["every training diverged: try smaller step sizes with --lr-range".into()],
    };
    for warning in &warnings {
        eprintln!("warning: {warning}");
    }
    let mut csv = String::from("lr,reg,accuracy,diverged\n");
    for trial in &found {
        let _ = writeln!(csv, "{},{},{},{}", trial.lr, trial.reg, trial.accuracy, trial.diverged);
    }
    let spot = |trial: &TrialReport| Spot {
        x: trial.lr,
        y: trial.reg,
        value: (!trial.diverged).then_some(100.0 * trial.accuracy),
    };
    let spots: Vec<Spot> = found.iter().map(spot).collect();
    let picture = Scatter {
        title: "Random search over step size and regularisation".into(),
        subtitle: format!("{}  ·  {}", trials.subtitle(), options.optimizer(1.0).name()),
        x_caption: "step size (log scale)".into(),
        y_caption: "regularisation strength λ (log scale)".into(),
        x: rates,
        y: strengths,
        spots: &spots,
        value: "accuracy (%)",
        missing: "diverged",
    };
    results.file("search.svg", picture.draw()?.as_bytes())?;
    results.file("search.csv", csv.as_bytes())?;
    results.finish(&Report { head: Head::new("search", options, trials), steps, held_out, trials: found, warnings })
}

/// The best ten, the best first.
fn table(best: &[TrialReport], diverged: usize) -> Vec<String> {
    let short = |value: f64| setting(format!("{value:.2e}").parse().unwrap_or(value));
    let mut lines = vec![String::new(), format!("{:>9}  {:>9}  accuracy", "step size", "strength")];
    for trial in best.iter().take(10) {
        lines.push(format!("{:>9}  {:>9}  {:6.2} %", short(trial.lr), short(trial.reg), 100.0 * trial.accuracy));
    }
    if diverged > 0 {
        lines.push(format!("{} diverged", grouped(diverged as u64)));
    }
    lines
}

/// A warning for each range near whose end the best lies: a better one may be beyond.
fn border_warnings(best: &TrialReport, rates: &Range<f64>, strengths: &Range<f64>) -> Vec<String> {
    let warning = |name: &str, option: &str, value: f64, range: &Range<f64>| {
        let part = (value / range.start).ln() / (range.end / range.start).ln();
        let end = if part < EDGE {
            "lower"
        } else if part > 1.0 - EDGE {
            "upper"
        } else {
            return None;
        };
        Some(format!("the best {name}, {value:.1e}, lies near the {end} end of its range: widen it with {option}"))
    };
    let warnings =
        [warning("step size", "--lr-range", best.lr, rates), warning("strength", "--reg-range", best.reg, strengths)];
    warnings.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_at_a_border_is_warned_about() {
        let warnings = |lr, reg| {
            let best = TrialReport { lr, reg, accuracy: 0.4, diverged: false };
            border_warnings(&best, &(1e-5..1e-1), &(1e-6..1.0)).join(" ")
        };
        assert_eq!(warnings(1e-3, 1e-3), "");
        assert!(warnings(1.5e-5, 1e-3).contains("step size") && warnings(1.5e-5, 1e-3).contains("lower"));
        assert!(warnings(9e-2, 1e-3).contains("upper end"));
        assert!(warnings(1e-3, 0.5).contains("--reg-range"));
    }
}
