//! Step sizes that change over a training.
//!
//! A [`Schedule`] is a function of the step alone, so that a training that goes on from a checkpoint needs no state of it.
//! Steps count from 0, in whatever unit the caller counts: mini-batches or epochs.
//!
//! With base rate r, step s, T steps in all:
//!
//! | text | rate |
//! |---|---|
//! | `constant` | r |
//! | `step:N:F` | r F^floor(s / N) |
//! | `exponential:F` | r F^s |
//! | `cosine` | r (1 + cos(pi s / T)) / 2, Loshchilov and Hutter, "SGDR", 2017 |
//! | `one-cycle` | half cosines from r / 25 up to r at step 0.3 T - 1, then down to r / 250,000 at step T - 1; Smith and Topin, "Super-convergence", 2018, with PyTorch's settings |
//! | `warmup:N+REST` | r (s + 1) / N for s < N (Goyal et al., 2017), then REST with s - N for s and T - N for T |

use crate::error::Error;
use std::f64::consts::PI;
use std::fmt;
use std::str::FromStr;

/// How the rate changes after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// It does not.
    Constant,
    /// By `factor` every `every` steps.
    Step {
        /// Steps from change to change, at least 1.
        every: u64,
        /// What the rate is multiplied by.
        factor: f64,
    },
    /// By `factor` each step.
    Exponential {
        /// What the rate is multiplied by.
        factor: f64,
    },
    /// Down to zero along half a cosine.
    Cosine,
    /// Up and down again along half cosines.
    OneCycle,
}

/// A step size as a function of the step; see the [module](self) for the formulas.
///
/// ```
/// use lanegrad::schedule::Schedule;
/// let schedule: Schedule = "warmup:500+cosine".parse()?;
/// assert_eq!(schedule.rate(0.1, 249, 10_500), 0.05);
/// assert_eq!(schedule.rate(0.1, 500, 10_500), 0.1);
/// assert_eq!(schedule.to_string(), "warmup:500+cosine");
/// # Ok::<(), lanegrad::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Steps of the linear warm-up; 0 for none.
    pub warmup: u64,
    /// What follows it.
    pub shape: Shape,
}

/// What one-cycle's peak is to its first rate.
const ONE_CYCLE_START: f64 = 25.0;
/// What one-cycle's first rate is to its last.
const ONE_CYCLE_END: f64 = 1e4;
/// The part of one-cycle's steps in which the rate rises.
const ONE_CYCLE_RISE: f64 = 0.3;

impl Schedule {
    /// The base rate at every step.
    pub const CONSTANT: Self = Self { warmup: 0, shape: Shape::Constant };

    /// The same after a linear warm-up of `steps` steps.
    #[must_use]
    pub const fn with_warmup(self, steps: u64) -> Self {
        Self { warmup: steps, ..self }
    }

    /// The rate at `step`, counted from 0, of `total_steps`; beyond the last step it stays what it was there or goes on
    /// as the formula does.
    pub fn rate(self, base: f64, step: u64, total_steps: u64) -> f64 {
        match step.checked_sub(self.warmup) {
            Some(step) => base * self.shape.factor(step, total_steps.saturating_sub(self.warmup)),
            None => base * (step + 1) as f64 / self.warmup as f64,
        }
    }
}

impl From<Shape> for Schedule {
    fn from(shape: Shape) -> Self {
        Self { warmup: 0, shape }
    }
}

impl Shape {
    /// The rate as a part of the base rate.
    fn factor(self, step: u64, total: u64) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::Step { every, factor } => factor.powf((step / every.max(1)) as f64),
            Self::Exponential { factor } => factor.powf(step as f64),
            Self::Cosine => descent(step as f64, total as f64),
            Self::OneCycle => {
                let (step, total) = (step as f64, total as f64);
                let first = 1.0 / ONE_CYCLE_START;
                let last = first / ONE_CYCLE_END;
                let peak = (ONE_CYCLE_RISE * total - 1.0).max(0.0);
                if step < peak {
                    1.0 + (first - 1.0) * descent(step, peak)
                } else {
                    last + (1.0 - last) * descent(step - peak, total - 1.0 - peak)
                }
            }
        }
    }
}

/// Half a cosine from 1 at `at = 0` down to 0 at `at = length`, and 0 beyond.
fn descent(at: f64, length: f64) -> f64 {
    if at >= length {
        return if at > 0.0 { 0.0 } else { 1.0 };
    }
    (1.0 + (PI * at / length).cos()) / 2.0
}

impl fmt::Display for Schedule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.warmup > 0 {
            write!(formatter, "warmup:{}+", self.warmup)?;
        }
        match self.shape {
            Shape::Constant => formatter.write_str("constant"),
            Shape::Step { every, factor } => write!(formatter, "step:{every}:{factor}"),
            Shape::Exponential { factor } => write!(formatter, "exponential:{factor}"),
            Shape::Cosine => formatter.write_str("cosine"),
            Shape::OneCycle => formatter.write_str("one-cycle"),
        }
    }
}

impl FromStr for Schedule {
    type Err = Error;

    /// Reads `[warmup:N+]SHAPE` or `warmup:N`, SHAPE being `constant`, `step:N:FACTOR`, `exponential:FACTOR`, `cosine` or
    /// `one-cycle`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let Some(rest) = text.strip_prefix("warmup:") else {
            return Ok(shape(text)?.into());
        };
        let (steps, shape_text) = rest.split_once('+').unwrap_or((rest, "constant"));
        Ok(Self { warmup: count(steps, "a warm-up")?, shape: shape(shape_text)? })
    }
}

fn shape(text: &str) -> Result<Shape, Error> {
    let mut words = text.split(':');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some("constant"), None, ..) => Ok(Shape::Constant),
        (Some("cosine"), None, ..) => Ok(Shape::Cosine),
        (Some("one-cycle"), None, ..) => Ok(Shape::OneCycle),
        (Some("exponential"), Some(factor), None, _) => Ok(Shape::Exponential { factor: positive(factor)? }),
        (Some("step"), Some(every), Some(factor), None) => {
            Ok(Shape::Step { every: count(every, "a step")?, factor: positive(factor)? })
        }
        _ => Err(Error::Setting(format!(
            "no schedule is called {text:?}: expected [warmup:N+] and constant, step:N:FACTOR, exponential:FACTOR, cosine or \
             one-cycle"
        ))),
    }
}

fn count(text: &str, what: &str) -> Result<u64, Error> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(Error::Setting(format!("{what} of {text:?} steps: expected a whole number above 0"))),
    }
}

fn positive(text: &str) -> Result<f64, Error> {
    match text.parse() {
        Ok(number) if f64::is_finite(number) && number > 0.0 => Ok(number),
        _ => Err(Error::Setting(format!("a schedule with a factor of {text:?}: expected a number above 0"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(text: &str, points: &[(u64, f64)], total: u64) {
        let schedule: Schedule = text.parse().unwrap();
        for &(step, wanted) in points {
            let rate = schedule.rate(2.0, step, total);
            assert!((rate - wanted).abs() < 1e-12, "{text} at {step}: {rate}, not {wanted}");
        }
    }

    #[test]
    fn known_points_of_every_shape() {
        rates("constant", &[(0, 2.0), (99, 2.0)], 100);
        rates("step:30:0.1", &[(0, 2.0), (29, 2.0), (30, 0.2), (59, 0.2), (60, 0.02)], 100);
        rates("exponential:0.5", &[(0, 2.0), (1, 1.0), (4, 0.125)], 100);
        rates(
            "cosine",
            &[(0, 2.0), (25, 1.0 + 0.5_f64.sqrt()), (50, 1.0), (75, 1.0 - 0.5_f64.sqrt()), (100, 0.0), (101, 0.0)],
            100,
        );
        // The values of PyTorch's OneCycleLR(max_lr=2, total_steps=10): up over steps 0 to 2, down over 2 to 9.
        let down = |s: f64| 8e-6 + (2.0 - 8e-6) * (1.0 + (PI * s / 7.0).cos()) / 2.0;
        rates(
            "one-cycle",
            &[(0, 0.08), (1, 1.04), (2, 2.0), (3, down(1.0)), (6, down(4.0)), (9, 8e-6), (50, 8e-6)],
            10,
        );
    }

    #[test]
    fn a_warm_up_rises_to_the_base_and_shifts_what_follows() {
        rates("warmup:4+constant", &[(0, 0.5), (1, 1.0), (3, 2.0), (4, 2.0)], 100);
        rates("warmup:10+cosine", &[(4, 1.0), (9, 2.0), (10, 2.0), (60, 1.0), (110, 0.0)], 110);
        rates("warmup:5+step:10:0.5", &[(4, 2.0), (14, 2.0), (15, 1.0), (25, 0.5)], 100);
    }

    #[test]
    fn few_steps_give_finite_rates() {
        for text in [
            "constant",
            "step:1:0.5",
            "exponential:0.9",
            "cosine",
            "one-cycle",
            "warmup:3+cosine",
            "warmup:9+one-cycle",
        ] {
            let schedule: Schedule = text.parse().unwrap();
            for total in 0..12 {
                for step in (0..total + 3).chain([u64::MAX]) {
                    let rate = schedule.rate(1.0, step, total);
                    assert!((0.0..=1.0).contains(&rate), "{text} at {step} of {total}: {rate}");
                }
            }
        }
    }

    #[test]
    fn text_round_trips() {
        for text in [
            "constant",
            "step:30:0.1",
            "exponential:0.95",
            "cosine",
            "one-cycle",
            "warmup:500+cosine",
            "warmup:1+step:2:3",
        ] {
            assert_eq!(text.parse::<Schedule>().unwrap().to_string(), text);
        }
        assert_eq!("warmup:7".parse::<Schedule>().unwrap(), Schedule::CONSTANT.with_warmup(7));
    }

    #[test]
    fn what_is_no_schedule_is_refused_in_one_line_that_quotes_it() {
        for text in [
            "",
            "cos",
            "cosine:1",
            "step",
            "step:30",
            "step:0:0.1",
            "step:-1:0.1",
            "step:3:0.1:2",
            "step:3:x",
            "exponential:0",
            "exponential:nan",
            "exponential:inf",
            "warmup:0+cosine",
            "warmup:x+cosine",
            "warmup:5+",
            "warmup:5+warmup:5",
        ] {
            let message = text.parse::<Schedule>().unwrap_err().to_string();
            assert!(message.contains('"') && !message.contains('\n'), "{text}: {message}");
        }
    }
}
