//! The loss after one step along one gradient, for step sizes of all powers of ten.
//!
//! After the printout in the CS231n notes on optimization: too small a step changes nothing, too large a one overshoots, and
//! beyond the best, ten times the step is ten times the loss.

use crate::model::Model;
use crate::plots::lines::{Curve, Lines, Measure};
use crate::trials::Trials;
use anyhow::Result;
use lanegrad::optim::Optimizer;
use serde::Serialize;

/// The powers of ten of the notes. More are taken until the last ones show how the loss rises beyond the best.
const FIRST: i32 = -10;
const LAST: i32 = -1;
const UTMOST: i32 = 8;

/// How many of them.
const BEYOND_BEST: usize = 3;

/// Where the picture ends, in losses before the step.
const TOP: f64 = 3.0;

/// One step from the first weights.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Rung {
    /// Step size.
    pub lr: f64,
    /// The loss with the regulariser before the step; the same for all.
    pub before: f64,
    /// The loss after it, on the same images; absent if it is not finite.
    pub after: Option<f64>,
}

/// Takes steps of all sizes from the same weights along the gradient of the first mini-batch.
pub fn climb(trials: &Trials) -> Result<Vec<Rung>> {
    let mut model = trials.model(Optimizer::sgd(0.0))?;
    let start = model.snapshot()?;
    let batch = trials.first_batch()?;
    let mut rungs: Vec<Rung> = Vec::new();
    for power in FIRST..=UTMOST {
        trials.check_interrupt()?;
        if power > LAST && is_past_best(&rungs) {
            break;
        }
        let lr = 10f64.powi(power);
        model.restore(&start)?;
        let [before, after] = step_and_look(&mut model, trials, &batch, lr)?;
        rungs.push(Rung { lr, before, after: after.is_finite().then_some(after) });
    }
    Ok(rungs)
}

/// Whether the last few rungs are beyond the best.
fn is_past_best(rungs: &[Rung]) -> bool {
    let tail = rungs.len().saturating_sub(BEYOND_BEST);
    best(rungs).is_none_or(|best| rungs[..tail].iter().any(|rung| rung.lr == best.lr))
}

/// The losses on `batch` before and after a step.
fn step_and_look(model: &mut Model, trials: &Trials, batch: &[u32], rate: f64) -> Result<[f64; 2]> {
    let (trainer, images) = (model.trainer(), &trials.dataset.train);
    trainer.set_rate(rate);
    let losses = trials.machine.threads.run(|| {
        let before = trainer.step(images, batch)?;
        // A second step is taken for the loss that it finds.
        Ok::<_, lanegrad::Error>([before.full(), trainer.step(images, batch)?.full()])
    })?;
    Ok(losses)
}

/// The rung after which the loss is lowest.
fn best(rungs: &[Rung]) -> Option<&Rung> {
    let finite = rungs.iter().filter(|rung| rung.after.is_some());
    finite.min_by(|a, b| a.after.unwrap_or(f64::MAX).total_cmp(&b.after.unwrap_or(f64::MAX)))
}

/// The printout of the notes, with the best marked.
pub fn lines(rungs: &[Rung]) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(rung) = rungs.first() {
        lines.push("one step along the gradient of the first mini-batch, from the first weights".into());
        lines.push(format!("original loss: {:.6}", rung.before));
    }
    let best = best(rungs).map(|rung| rung.lr);
    for rung in rungs {
        let after = match rung.after {
            Some(loss) if loss < 1e12 => format!("{loss:.6}"),
            Some(loss) => format!("{loss:.6e}"),
            None => "not finite".into(),
        };
        let mark = if best == Some(rung.lr) { "   <- lowest" } else { "" };
        lines.push(format!("for step size {:e} new loss: {after}{mark}", rung.lr));
    }
    lines
}

/// The losses over the step sizes, up to a few times the loss before: the dip at the best would not be seen beside those
/// that explode.
pub fn picture(trials: &Trials, rungs: &[Rung]) -> Result<String> {
    let points = rungs.iter().map(|rung| (rung.lr, rung.after.unwrap_or(f64::INFINITY))).collect();
    let before = rungs.first().map_or(f64::NAN, |rung| rung.before);
    let ends = [rungs.first(), rungs.last()];
    let level = ends.iter().flatten().map(|rung| (rung.lr, before)).collect();
    let lowest = best(rungs).map_or_else(String::new, |rung| format!("lowest at {:e}", rung.lr));
    let curves = [
        Curve { name: "after the step".into(), detail: lowest, points },
        Curve { name: "before".into(), detail: format!("{before:.4}"), points: level },
    ];
    Lines {
        title: "One gradient, steps of all sizes".into(),
        subtitle: trials.subtitle(),
        x_caption: "step size (log scale)".into(),
        y_caption: trials.loss_caption().into(),
        x: Measure::Logarithmic,
        y: Measure::Linear,
        top: Some(TOP * before).filter(|top| top.is_finite()),
        curves: &curves,
        marks: &[],
        note: "on one mini-batch".into(),
    }
    .still()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rungs(after: &[Option<f64>]) -> Vec<Rung> {
        let rung = |(i, &after): (usize, &Option<f64>)| Rung { lr: 10f64.powi(i as i32 - 10), before: 2.2, after };
        after.iter().enumerate().map(rung).collect()
    }

    #[test]
    fn the_lowest_is_marked_and_infinity_is_named() {
        let rungs = rungs(&[Some(2.2), Some(1.6), Some(25.0), None]);
        let lines = lines(&rungs);
        assert_eq!(lines[1], "original loss: 2.200000");
        assert_eq!(lines[3], "for step size 1e-9 new loss: 1.600000   <- lowest");
        assert_eq!(lines[5], "for step size 1e-7 new loss: not finite");
        assert!(!is_past_best(&rungs));
        let more = [&rungs[..], &[Rung { lr: 1e-6, before: 2.2, after: Some(1e9) }]].concat();
        assert!(is_past_best(&more));
    }
}
