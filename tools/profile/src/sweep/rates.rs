//! Four step sizes side by side: the lecture's slide "The effects of step size".

use super::{Head, SweepOptions, finder, ladder, two_digits};
use crate::plots::lines::{Curve, Lines, Measure};
use crate::results::Results;
use crate::screen::{grouped, setting};
use crate::trials::{Trials, smoothed};
use anyhow::{Result, bail};
use serde::Serialize;
use std::fmt::Write;

/// A low, a good, a high and a very high step size, as parts of the one at which a range test has its lowest loss.
const NAMED: [(&str, f64); 4] = [("low", 1.0 / 300.0), ("good", 1.0 / 3.0), ("high", 1.2), ("very high", 5.0)];

/// The JSON report.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    head: Head,
    /// Steps of each training.
    steps: u64,
    runs: Vec<RunReport>,
    /// The losses after one step of every length along one gradient.
    ladder: Vec<ladder::Rung>,
}

/// How a training went.
#[derive(Debug, Serialize)]
struct RunReport {
    /// `low`, `good`, `high` or `very high`, unless step sizes were told.
    name: Option<&'static str>,
    /// Step size.
    lr: f64,
    /// The loss, with the regulariser, before the first step.
    first_loss: Option<f64>,
    /// The mean over the last tenth of the steps, unless the training diverged.
    last_loss: Option<f64>,
    /// The first step whose loss was not finite.
    diverged_at: Option<u64>,
    /// Accuracy on the test images, from 0 to 1.
    test_accuracy: f64,
}

/// Trains with each step size, and takes the ladder.
pub fn run(options: &SweepOptions, trials: &Trials, mut results: Results) -> Result<()> {
    let epoch = trials.sampler()?.steps_per_epoch();
    let steps = options.steps.unwrap_or(epoch * if options.is_linear() { 5 } else { 1 });
    let rates: Vec<(Option<&str>, f64)> = match &options.lr {
        Some(rates) => rates.iter().map(|&rate| (None, rate)).collect(),
        None => {
            let lowest = finder::test(options, trials, finder::STEPS)?.lowest();
            if !lowest.is_finite() {
                bail!("no step size lets the loss fall: name some with --lr");
            }
            results
                .line(&format!("step sizes around {lowest:.1e}, where a range test (--find) has its lowest loss"))?;
            results.line("")?;
            NAMED.iter().map(|&(name, part)| (Some(name), two_digits(part * lowest))).collect()
        }
    };
    let bar = trials.bar(steps * rates.len() as u64);
    let (mut runs, mut curves, mut csv) = (Vec::new(), Vec::new(), String::from("lr,step,loss\n"));
    results.line(&format!("{:10} {:>9}  {:>10}  {:>10}  test accuracy", "", "step size", "first loss", "end loss"))?;
    for (name, rate) in rates {
        let mut model = trials.model(options.optimizer(rate))?;
        let losses: Vec<f64> =
            trials.train(&mut model, steps, &bar, |_| None)?.iter().map(|loss| loss.full()).collect();
        for (step, loss) in losses.iter().enumerate() {
            let _ = writeln!(csv, "{rate},{step},{loss}");
        }
        let is_whole = losses.len() as u64 == steps;
        let tail = &losses[losses.len() - losses.len().div_ceil(10)..];
        let run = RunReport {
            name,
            lr: rate,
            first_loss: losses.first().copied(),
            last_loss: is_whole.then(|| tail.iter().sum::<f64>() / tail.len() as f64),
            diverged_at: (!is_whole).then_some(losses.len() as u64),
            test_accuracy: trials.accuracy(&mut model)?,
        };
        bar.suspend(|| results.line(&line(&run)))?;
        curves.push(curve(&run, &losses, epoch));
        runs.push(run);
    }
    bar.finish_and_clear();
    results.file("sweep.svg", picture(options, trials, &curves, steps).still()?.as_bytes())?;
    results.file("sweep.csv", csv.as_bytes())?;

    let ladder = ladder::climb(trials)?;
    results.line("")?;
    results.lines(ladder::lines(&ladder))?;
    results.file("ladder.svg", ladder::picture(trials, &ladder)?.as_bytes())?;
    results.finish(&Report { head: Head::new("rates", options, trials), steps, runs, ladder })
}

fn line(run: &RunReport) -> String {
    let number = |loss: Option<f64>| loss.map_or_else(|| "-".into(), |loss| format!("{loss:.4}"));
    let last = match run.last_loss {
        Some(loss) if loss >= 1e6 => format!("{loss:.2e}"),
        loss => number(loss),
    };
    let remark = run.diverged_at.map_or_else(String::new, |step| format!("  not finite at step {}", grouped(step)));
    let (name, accuracy) = (run.name.unwrap_or_default(), 100.0 * run.test_accuracy);
    format!("{name:10} {:>9}  {:>10}  {last:>10}  {accuracy:11.2} %{remark}", setting(run.lr), number(run.first_loss))
}

/// The curve of a training, over its epochs.
fn curve(run: &RunReport, losses: &[f64], epoch: u64) -> Curve {
    let place = |step: usize| step as f64 / epoch as f64;
    let smooth = smoothed(losses, (epoch / 10).max(1));
    let mut points: Vec<(f64, f64)> = smooth.into_iter().enumerate().map(|(step, loss)| (place(step), loss)).collect();
    if run.diverged_at.is_some() {
        points.push((place(losses.len()), f64::INFINITY));
    }
    let rate = setting(run.lr);
    let detail = match (run.diverged_at, run.last_loss) {
        (None, Some(loss)) if loss < 1000.0 => format!("ends at {loss:.3}"),
        (None, Some(loss)) => format!("ends at {loss:.1e}"),
        (step, _) => format!("not finite at step {}", grouped(step.unwrap_or(0))),
    };
    Curve { name: run.name.map_or_else(|| rate.clone(), |name| format!("{name}: {rate}")), detail, points }
}

fn picture<'a>(options: &SweepOptions, trials: &Trials, curves: &'a [Curve], steps: u64) -> Lines<'a> {
    let start = curves.iter().filter_map(|curve| curve.points.first()).map(|point| point.1);
    let start = start.filter(|loss| loss.is_finite()).fold(0.0, f64::max);
    let lowest = curves.iter().flat_map(|curve| &curve.points).map(|point| point.1).fold(start, f64::min);
    Lines {
        title: "The effects of step size (learning rate)".into(),
        subtitle: format!("{}  ·  {}", trials.subtitle(), options.optimizer(1.0).name()),
        x_caption: "epoch".into(),
        y_caption: trials.loss_caption().into(),
        x: Measure::Linear,
        y: Measure::Linear,
        // Room for a run that ends above its start, before it is cut off.
        top: Some(start + 0.6 * (start - lowest).max(0.1 * start)),
        curves,
        marks: &[],
        note: format!("{} steps each", grouped(steps)),
    }
}
