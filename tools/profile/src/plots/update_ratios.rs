//! How far the steps move the weights, epoch by epoch.

use anyhow::{Result, ensure};
use plotters::style::RGBColor;
use std::collections::BTreeMap;

use super::Format;
use super::axis::{Axis, Scale};
use super::chart::{self, Align, Area, BLUE, Chart, GREY, LABEL, NARROW, SHEET, SKY, Texts, VERMILLION};
use super::{MOST_DOTS, draw_runs, spread, thinned};

/// A usual ratio: far above it the step size is too large, far below it too small.
const USUAL: f64 = 1e-3;

/// The colours of Okabe and Ito that stand out on white.
const COLOURS: [RGBColor; 6] =
    [BLUE, VERMILLION, RGBColor(0x00, 0x9E, 0x73), RGBColor(0xCC, 0x79, 0xA7), SKY, RGBColor(0xB8, 0x86, 0x00)];

/// What the curves show.
#[derive(Clone, Copy, Debug)]
pub struct UpdateRatios<'a> {
    /// What was trained: `softmax classifier`.
    pub model: &'a str,
    /// How it was trained: `momentum, step size 1e-2`.
    pub optimizer: &'a str,
    /// For each epoch, by parameter, the norm of the last step over that of the values before it.
    pub epochs: &'a [BTreeMap<String, f64>],
}

/// Whether there is anything to show.
pub fn has_ratios(epochs: &[BTreeMap<String, f64>]) -> bool {
    epochs.iter().flat_map(BTreeMap::values).any(|&ratio| !position(ratio).is_nan())
}

/// One parameter over the epochs.
struct Curve {
    name: String,
    /// The logarithm of each epoch's ratio; NaN where there is none.
    positions: Vec<f64>,
    colour: RGBColor,
    is_bias: bool,
}

/// Draws, for each parameter, the norm of a step over that of the values before it, and returns the SVG.
///
/// Parameters of one layer have one colour; the line of its bias is thin.
///
/// # Errors
/// If there is no ratio to show.
pub fn update_ratios(ratios: &UpdateRatios, format: Format) -> Result<String> {
    let curves = curves(ratios.epochs);
    ensure!(!curves.is_empty(), "there are no ratios to show");
    let (paper, area, most_ticks) = match format {
        Format::Sheet => (SHEET, Area { x: 84..664, y: 84..444 }, 12),
        Format::Narrow => (NARROW, Area { x: 66..306, y: 20..248 }, 6),
    };
    let epochs = ratios.epochs.len();
    let aside = (epochs as f64 * 0.02).max(0.5);
    let x_axis = Axis::counting(1.0 - aside..epochs as f64 + aside, 1, epochs, most_ticks);
    let all: Vec<f64> =
        curves.iter().flat_map(|curve| &curve.positions).copied().chain([(0.8 * USUAL).log10()]).collect();
    let y_axis = Axis::around(Scale::Logarithmic, &all);
    let texts = Texts {
        title: format!("Size of a step beside the weights: {}", ratios.model),
        subtitle: format!("{}  ·  last step of each epoch; about 0.001 is usual", ratios.optimizer),
        x_caption: "epoch".into(),
        y_caption: match format {
            Format::Sheet => "norm of the step / norm of the weights (log scale)".into(),
            Format::Narrow => "step / weights (log scale)".into(),
        },
    }
    .fit_for(format);
    chart::render(paper, &area, (&x_axis, &y_axis), &texts, |chart| {
        chart.dotted(USUAL.log10(), &x_axis.range, &GREY)?;
        for curve in &curves {
            let width = if curve.is_bias { 1.0 } else { 2.0 };
            draw_runs(chart, &thinned(&curve.positions), &curve.colour, width)?;
            if epochs <= MOST_DOTS {
                for point in thinned(&curve.positions).into_iter().flatten() {
                    chart.dot(point, width + 1.0, &curve.colour)?;
                }
            }
        }
        name(chart, &curves, &area)
    })
}

/// One curve a parameter, those of a layer in one colour.
fn curves(epochs: &[BTreeMap<String, f64>]) -> Vec<Curve> {
    let mut names: Vec<&String> = epochs.iter().flat_map(BTreeMap::keys).collect();
    names.sort();
    names.dedup();
    let layer = |name: &str| name.rsplit_once('.').map_or(name, |(layer, _)| layer).to_owned();
    let mut layers: Vec<String> = names.iter().map(|name| layer(name)).collect();
    layers.dedup();
    let curve = |name: &String| {
        let place = layers.iter().position(|found| *found == layer(name)).unwrap_or(0);
        let positions = epochs.iter().map(|epoch| epoch.get(name).map_or(f64::NAN, |ratio| position(*ratio))).collect();
        Curve { name: name.clone(), positions, colour: COLOURS[place % COLOURS.len()], is_bias: name.ends_with("bias") }
    };
    names.into_iter().map(curve).filter(|curve| curve.positions.iter().any(|p| !p.is_nan())).collect()
}

/// The logarithm of a ratio; NaN of one that has none.
fn position(ratio: f64) -> f64 {
    if ratio > 0.0 && ratio.is_finite() { ratio.log10() } else { f64::NAN }
}

/// Names the curves to the right of the plot, at the heights of their last points.
fn name(chart: &Chart, curves: &[Curve], area: &Area) -> Result<()> {
    let wanted: Vec<f64> = curves
        .iter()
        .map(|curve| curve.positions.iter().rev().find(|p| !p.is_nan()).copied().unwrap_or_default())
        .map(|position| chart.pixel(1.0, position).1)
        .collect();
    let left = area.x.end as f64 + 10.0;
    let height = (area.y.end - area.y.start) as f64;
    let distance = (height / curves.len() as f64).min(16.0);
    for (curve, at) in curves.iter().zip(spread(&wanted, distance, area.y.end as f64)) {
        let font = chart::Font { bold: !curve.is_bias, colour: curve.colour, ..LABEL };
        chart.text(&curve.name, (left, at), font, Align::Left)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(epochs: &[BTreeMap<String, f64>], format: Format) -> Result<String> {
        update_ratios(&UpdateRatios { model: "SVM", optimizer: "sgd", epochs }, format)
    }

    #[test]
    fn every_parameter_has_a_named_curve() {
        let epoch =
            |scale: f64| BTreeMap::from([("fc1.weight".into(), 2e-3 * scale), ("fc1.bias".into(), 1e-2 * scale)]);
        for format in [Format::Sheet, Format::Narrow] {
            for count in [1, 2, 100] {
                let epochs: Vec<_> = (1..=count).map(|e| epoch(1.0 / f64::from(e))).collect();
                let svg = drawn(&epochs, format).unwrap();
                let picture = roxmltree::Document::parse(&svg).unwrap();
                let texts: Vec<&str> = picture.descendants().filter_map(|node| node.text()).map(str::trim).collect();
                assert!(texts.contains(&"fc1.weight") && texts.contains(&"fc1.bias"), "{texts:?}");
            }
        }
    }

    #[test]
    fn ratios_that_are_none_leave_gaps() {
        let epochs: Vec<_> = [0.1, 0.0, f64::NAN, 0.2].map(|ratio| BTreeMap::from([("w".to_owned(), ratio)])).into();
        assert_eq!(curves(&epochs)[0].positions.iter().filter(|p| p.is_nan()).count(), 2);
        drawn(&epochs, Format::Sheet).unwrap();
        assert!(has_ratios(&epochs) && !has_ratios(&epochs[1..3]) && !has_ratios(&[]));
        assert!(drawn(&epochs[1..3], Format::Sheet).is_err());
        assert!(drawn(&[], Format::Sheet).is_err());
        assert!(drawn(&[BTreeMap::new()], Format::Sheet).is_err());
    }
}
