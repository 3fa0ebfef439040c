//! `steps.csv`: the loss of every step of a run, for spreadsheets and scripts, and for `profile report`.
//!
//! A line a step, after a line of names:
//!
//! ```csv
//! step,epoch,loss,data_loss,regularisation
//! 1,1,2.302585092994046,2.302585092994046,0
//! ```
//!
//! `loss` is the sum of the other two: the mean loss of the mini-batch's images just before the step, and the regulariser.
//! Numbers are the shortest that are read back as the same bits.

use anyhow::{Context, Result, ensure};
use lanegrad::loss::StepLoss;
use std::fmt::Write;

const HEAD: &str = "step,epoch,loss,data_loss,regularisation";

/// The file of a run with so many steps an epoch.
pub fn to_csv(losses: &[StepLoss], steps_per_epoch: u64) -> Result<String> {
    let mut text = format!("{HEAD}\n");
    for (step, loss) in (0_u64..).zip(losses) {
        let epoch = step / steps_per_epoch.max(1) + 1;
        writeln!(text, "{},{epoch},{},{},{}", step + 1, loss.full(), loss.data, loss.regularisation)?;
    }
    Ok(text)
}

/// What such a file says.
#[derive(Clone, Debug, PartialEq)]
pub struct Steps {
    /// The loss of each step.
    pub losses: Vec<f32>,
    /// Steps of the first epoch.
    pub steps_per_epoch: usize,
}

/// Reads the text of such a file.
///
/// # Errors
/// If it is not of this form, or has no step.
pub fn from_csv(text: &str) -> Result<Steps> {
    let mut lines = text.lines();
    ensure!(lines.next() == Some(HEAD), "it does not begin with the line {HEAD}");
    let (mut losses, mut steps_per_epoch) = (Vec::new(), 0);
    for (step, line) in (1_u64..).zip(lines) {
        let mut fields = line.splitn(4, ',');
        let read = || {
            let (number, epoch, loss) = (fields.next()?, fields.next()?, fields.next()?);
            Some((number.parse::<u64>().ok()?, epoch.parse::<u64>().ok()?, loss.parse::<f64>().ok()?))
        };
        let (number, epoch, loss) = { read }().with_context(|| format!("its line {} is no step", step + 1))?;
        ensure!(number == step, "its line {} is of step {number} instead of {step}", step + 1);
        losses.push(loss as f32);
        steps_per_epoch += usize::from(epoch == 1);
    }
    ensure!(steps_per_epoch > 0, "it has no step of a first epoch");
    Ok(Steps { losses, steps_per_epoch })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_was_written() {
        let loss = |step: u32| StepLoss { data: 2.5 / f64::from(step), regularisation: 0.125 };
        let losses: Vec<StepLoss> = (1..=7).map(loss).collect();
        let text = to_csv(&losses, 3).unwrap();
        assert_eq!(text.lines().nth(4), Some("4,2,0.75,0.625,0.125"));
        let steps = from_csv(&text).unwrap();
        assert_eq!(steps.steps_per_epoch, 3);
        assert_eq!(steps.losses, losses.iter().map(|loss| loss.full() as f32).collect::<Vec<_>>());
        // A run that diverged says so.
        let diverged = to_csv(&[loss(1), StepLoss { data: f64::NAN, regularisation: f64::INFINITY }], 3).unwrap();
        assert!(from_csv(&diverged).unwrap().losses[1].is_nan());
    }

    #[test]
    fn other_texts_are_refused() {
        let head = |rest: &str| format!("{HEAD}\n{rest}");
        for text in
            ["", "step,loss\n1,2", &head(""), &head("1,1"), &head("2,1,0,0,0"), &head("1,1,x,0,0"), &head("1,2,3,4,5")]
        {
            assert!(from_csv(text).is_err(), "{text}");
        }
    }
}
