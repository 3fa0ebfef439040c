//! The relative errors of a gradient check, parameter by parameter.

use anyhow::{Result, ensure};
use lanegrad::gradcheck::{Element, Verdict};
use plotters::style::{Color, RGBAColor};

use super::axis::{Axis, Scale, Tick};
use super::chart::{self, Align, Area, BLUE, Entry, GREY, LABEL, SHEET, SKY, Texts, VERMILLION, text_width};

/// The elements of a parameter that were checked.
#[derive(Clone, Debug)]
pub struct CheckedParameter<'a> {
    /// Its name.
    pub name: &'a str,
    /// What was found.
    pub elements: Vec<&'a Element>,
}

/// Smaller relative errors than this one are drawn here: zero has no place on a logarithmic axis.
const LEAST: f64 = 1e-14;

/// Good whatever the relative error is.
const WITHIN_ROUNDING: &str = "good, within rounding";

/// What elements are told apart by, in the order in which they are drawn.
const KINDS: [&str; 4] = ["good", WITHIN_ROUNDING, "kink", "not right"];

/// Draws the relative error of each element in a row for its parameter, with the limits of the verdicts, and returns the SVG.
pub fn gradcheck_picture(model: &str, step: f64, parameters: &[CheckedParameter]) -> Result<String> {
    ensure!(!parameters.is_empty(), "a gradient check of no parameter");
    let rows = parameters.len();
    let x_axis = Axis::around(Scale::Logarithmic, &[LEAST.log10(), 0.0]);
    let ticks = parameters
        .iter()
        .enumerate()
        .map(|(row, parameter)| Tick { position: (rows - row) as f64, label: parameter.name.into() });
    let y_axis = Axis { range: 0.4..rows as f64 + 0.6, ticks: ticks.collect() };
    let widest = parameters.iter().map(|parameter| text_width(parameter.name, LABEL)).fold(0.0, f64::max);
    let area = Area { x: (widest as i32 + 48).min(300)..772, y: 116..444 };
    let texts = Texts {
        title: format!("Gradient check: {model}"),
        subtitle: format!(
            "backpropagation against centred differences, h = {step:e}, in f64; equal values are drawn at 1e-14"
        ),
        x_caption: "relative error |a - n| / max(|a|, |n|), with limits at 1e-7, 1e-4 and 1e-2".into(),
        y_caption: String::new(),
    };
    chart::render(SHEET, &area, (&x_axis, &y_axis), &texts, |chart| {
        let is_present = |kind: &&str| parameters.iter().any(|p| p.elements.iter().any(|e| kind_of(e) == *kind));
        let entry = |kind: &str| Entry { text: kind.into(), colour: colour_of(kind), width: 7.0 };
        let legend = KINDS.into_iter().filter(is_present).map(entry);
        chart.legend(&legend.collect::<Vec<_>>())?;
        for (verdict, range) in [("good", -14..-7), ("doubtful", -7..-4), ("suspicious", -4..-2), ("wrong", -2..0)] {
            let [left, right] = [range.start, range.end].map(|power| chart.pixel(power.into(), 1.0).0);
            chart.text(verdict, (f64::midpoint(left, right), area.y.start as f64 - 12.0), LABEL, Align::Middle)?;
            if range.end < 0 {
                chart.stroke(
                    &[(right, area.y.start as f64 - 18.0), (right, area.y.end as f64)],
                    &GREY.mix(0.6),
                    1.0,
                )?;
            }
        }
        for kind in KINDS {
            for (row, parameter) in parameters.iter().enumerate() {
                for (number, element) in parameter.elements.iter().enumerate().filter(|(_, e)| kind_of(e) == kind) {
                    let height = (rows - row) as f64 + scatter(number);
                    let radius = if kind == "not right" { 4.0 } else { 2.6 };
                    chart.dot((position(element.error), height), radius, &colour_of(kind))?;
                }
            }
        }
        Ok(())
    })
}

fn kind_of(element: &Element) -> &'static str {
    match element.verdict {
        _ if element.within_rounding => WITHIN_ROUNDING,
        Verdict::Good => "good",
        Verdict::Kink => "kink",
        _ => "not right",
    }
}

fn colour_of(kind: &str) -> RGBAColor {
    match kind {
        "good" => BLUE.mix(0.8),
        WITHIN_ROUNDING => SKY.mix(0.6),
        "kink" => GREY.mix(0.9),
        _ => VERMILLION.mix(1.0),
    }
}

/// Where an error is drawn; one that is not a number is the worst there is.
fn position(error: f64) -> f64 {
    if error.is_nan() { 0.0 } else { error.clamp(LEAST, 1.0).log10() }
}

/// Dots of equal error are drawn at different heights within their row.
fn scatter(number: usize) -> f64 {
    0.08 * ((number * 3) % 7) as f64 - 0.24
}
