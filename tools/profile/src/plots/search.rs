//! The losses of a random search, and the best so far.

use anyhow::{Result, ensure};
use plotters::style::Color;

use super::axis::{Axis, Scale, grouped};
use super::chart::{self, Align, Area, BLUE, CAPTION, Chart, Entry, Font, GREY, LABEL, SHEET, SKY, Texts, VERMILLION};
use super::{spread, thinned};

/// What the picture of a search shows.
#[derive(Clone, Copy, Debug)]
pub struct SearchCurve<'a> {
    /// Whether each attempt is a step from the best before it.
    pub is_local: bool,
    /// What the loss is the mean over: `CIFAR-10, 50,000 training images`.
    pub data: &'a str,
    /// What the loss is, with its unit: `hinge loss`.
    pub loss: &'a str,
    /// The mean loss of each attempt; they need not be finite.
    pub losses: &'a [f32],
    /// The least so far, after each attempt.
    pub best: &'a [f32],
    /// The loss of weights that are all zero.
    pub zero_weights: f32,
}

/// Draws the loss of each attempt as a dot and the best so far as a line, and returns the SVG.
pub fn search_curve(curve: &SearchCurve) -> Result<String> {
    ensure!(!curve.losses.is_empty(), "the picture of a search needs at least one attempt");
    ensure!(curve.losses.len() == curve.best.len(), "a best loss for each attempt");
    let (losses, best) = (Scale::Linear.positions(curve.losses), Scale::Linear.positions(curve.best));
    let zero = f64::from(curve.zero_weights);
    let attempts = losses.len();
    let shown: Vec<f64> = losses.iter().chain(&best).copied().chain([zero]).collect();
    let x_axis = Axis::counting(0.0..attempts.max(2) as f64, 0, attempts, 8);
    let y_axis = Axis::around(Scale::Linear, &shown);
    let area = Area { x: 84..640, y: 100..444 };
    chart::render(SHEET, &area, (&x_axis, &y_axis), &texts(curve), |chart| {
        chart.legend(&[
            Entry { text: "an attempt".into(), colour: SKY.mix(1.0), width: 4.0 },
            Entry { text: "best so far".into(), colour: BLUE.mix(1.0), width: 2.5 },
        ])?;
        chart.dotted(zero, &x_axis.range, &GREY)?;
        for point in thinned(&losses).into_iter().flatten() {
            chart.dot(point, 1.6, &SKY.mix(0.8))?;
        }
        for stairs in thinned(&best) {
            chart.line(as_stairs(&stairs), &BLUE, 2.0)?;
        }
        let marks = [last_mark(&best), Some((zero, "all weights zero".to_owned(), GREY))];
        draw_marks(chart, &marks.into_iter().flatten().collect::<Vec<_>>(), &area)
    })
}

fn texts(curve: &SearchCurve) -> Texts {
    let count = grouped(curve.losses.len());
    let (title, attempt) = if curve.is_local {
        (format!("Random local search: {count} steps, kept if better"), "attempt (number of the step)")
    } else {
        (format!("Random search: the best of {count} matrices of weights"), "attempt (number of the matrix)")
    };
    Texts { title, subtitle: curve.data.into(), x_caption: attempt.into(), y_caption: format!("mean {}", curve.loss) }
}

/// The best loss stays what it is until the next better one.
fn as_stairs(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut stairs: Vec<(f64, f64)> = Vec::new();
    for &(x, y) in points {
        if let Some(&(_, before)) = stairs.last() {
            stairs.push((x, before));
        }
        stairs.push((x, y));
    }
    stairs
}

/// A level that is named beside the plot.
type Mark = (f64, String, plotters::style::RGBColor);

/// The best of all, and where it was found.
fn last_mark(best: &[f64]) -> Option<Mark> {
    let last = *best.last().filter(|last| !last.is_nan())?;
    let found = best.iter().position(|&loss| loss == last)?;
    Some((last, format!("best, attempt {}", grouped(found)), VERMILLION))
}

fn draw_marks(chart: &Chart, marks: &[Mark], area: &Area) -> Result<()> {
    let wanted: Vec<f64> = marks.iter().map(|(level, ..)| chart.pixel(0.0, *level).1).collect();
    let heights = spread(&wanted, 38.0, area.y.end as f64 - 14.0);
    let left = area.x.end as f64 + 12.0;
    for ((level, name, colour), height) in marks.iter().zip(heights) {
        let value = Font { bold: true, colour: *colour, ..CAPTION };
        chart.text(&format!("{level:.4}"), (left, height - 8.0), value, Align::Left)?;
        chart.text(name, (left, height + 8.0), LABEL, Align::Left)?;
    }
    Ok(())
}
