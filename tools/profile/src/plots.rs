//! SVG pictures of a training run: the loss of every mini-batch, the test accuracy and the size of the steps after every
//! epoch, the confusion matrix of the test images.

mod animation;
mod axis;
mod chart;
mod clip;
mod confusion;
pub mod contour;
mod gradcheck;
mod labels;
pub mod lines;
pub mod map;
mod moving;
mod noise;
pub mod race;
mod raster;
pub mod roofline;
pub mod scatter;
mod search;
mod update_ratios;

pub use confusion::{ConfusionMatrix, confusion_matrix};
pub use noise::{NoiseMark, NoisePicture, noise_picture};
pub use update_ratios::{UpdateRatios, has_ratios, update_ratios};

use std::ops::Range;

use anyhow::{Result, ensure};
use plotters::style::{Color, RGBColor};

use axis::{Axis, Scale, grouped, whole_step};
use chart::{Align, Area, BLUE, CAPTION, Chart, Entry, Font, GREY, LABEL, NARROW, SHEET, SKY, Texts, VERMILLION};

pub use gradcheck::{CheckedParameter, gradcheck_picture};
pub use search::{SearchCurve, search_curve};

/// Most places across the plot at which a curve is drawn: about one per pixel.
const COLUMNS: usize = 700;

/// Most epochs whose points are drawn one by one.
const MOST_DOTS: usize = 60;

/// Early in a run the moving average spans about one part in so many of the steps so far.
const WARM_UP: f64 = 6.0;

/// Where a picture is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As a file of its own: it says what it shows.
    Sheet,
    /// On a page that says what it shows, perhaps on a phone: small, and without a title.
    Narrow,
}

/// What a loss curve shows.
#[derive(Clone, Copy, Debug)]
pub struct LossCurve<'a> {
    /// What was trained: `softmax classifier`.
    pub model: &'a str,
    /// What the loss is: `cross-entropy`.
    pub loss: &'a str,
    /// The unit of the loss, such as `nats`; empty when it has none.
    pub unit: &'a str,
    /// What it was trained on: `CIFAR-10, 50,000 images`.
    pub data: &'a str,
    /// Images per mini-batch.
    pub batch_size: usize,
    /// Mini-batches per epoch.
    pub steps_per_epoch: usize,
    /// The loss of each mini-batch, in the order of training; they need not be finite.
    pub losses: &'a [f32],
}

/// What an accuracy curve shows.
#[derive(Clone, Copy, Debug)]
pub struct AccuracyCurve<'a> {
    /// What was trained: `softmax classifier`.
    pub model: &'a str,
    /// What it was tested on: `CIFAR-10, 10,000 test images`.
    pub data: &'a str,
    /// How many classes there are to guess from.
    pub classes: usize,
    /// The part of the test images that was classified correctly after each epoch, from 0 to 1.
    pub accuracies: &'a [f64],
}

/// Draws the loss of every mini-batch and its moving average, and returns the SVG.
///
/// The vertical axis is logarithmic when the losses span more than about one and a half powers of
/// ten. Losses that are not finite leave a gap, marked by a band over the whole height.
pub fn loss_curve(curve: &LossCurve, format: Format) -> Result<String> {
    ensure!(!curve.losses.is_empty(), "a loss curve needs at least one loss");
    ensure!(curve.steps_per_epoch > 0, "an epoch needs at least one step");
    let steps = curve.losses.len();
    let scale = Scale::for_values(curve.losses);
    let positions = scale.positions(curve.losses);
    let window = average_window(steps);
    let averages = moving_average(&positions, window);
    let gaps = gaps(&positions);
    let (paper, area, most_ticks) = match format {
        Format::Sheet => (SHEET, Area { x: 84..756, y: 116..444 }, 8),
        Format::Narrow => (NARROW, Area { x: 56..388, y: 56..248 }, 4),
    };
    let x_axis = Axis::counting(0.0..steps.max(2) as f64, 0, steps, most_ticks);
    let y_axis = Axis::around(scale, &positions);
    let legend = loss_legend(&positions, window);
    let texts = loss_texts(curve, scale, format);
    chart::render(paper, &area, (&x_axis, &y_axis), &texts, |chart| {
        chart.legend(&legend)?;
        epoch_ticks(chart, curve, y_axis.range.start, most_ticks)?;
        for gap in &gaps {
            draw_gap(chart, gap, &y_axis.range)?;
        }
        if window == 1 {
            return draw_runs(chart, &thinned(&positions), &BLUE.mix(1.0), 2.0);
        }
        draw_runs(chart, &thinned(&positions), &SKY.mix(0.6), 0.8)?;
        draw_runs(chart, &thinned(&averages), &BLUE.mix(1.0), 2.0)
    })
}

fn loss_texts(curve: &LossCurve, scale: Scale, format: Format) -> Texts {
    let remarks = match (curve.unit, scale) {
        ("", Scale::Linear) => String::new(),
        ("", Scale::Logarithmic) => " (log scale)".into(),
        (unit, Scale::Linear) => format!(" ({unit})"),
        (unit, Scale::Logarithmic) => format!(" ({unit}, log scale)"),
    };
    Texts {
        title: format!("Training loss ({}): {}", curve.loss, curve.model),
        subtitle: format!(
            "{}  ·  batch size {}  ·  {} steps = 1 epoch",
            curve.data,
            grouped(curve.batch_size),
            grouped(curve.steps_per_epoch)
        ),
        x_caption: "step (number of the mini-batch)".into(),
        y_caption: format!("loss{remarks}"),
    }
    .fit_for(format)
}

impl Texts {
    /// Without a heading where the page has one.
    fn fit_for(self, format: Format) -> Self {
        match format {
            Format::Sheet => self,
            Format::Narrow => Self { title: String::new(), subtitle: String::new(), ..self },
        }
    }
}

fn loss_legend(positions: &[f64], window: usize) -> Vec<Entry> {
    let raw = Entry {
        text: "each mini-batch".into(),
        colour: if window == 1 { BLUE.mix(1.0) } else { SKY.mix(0.8) },
        width: if window == 1 { 2.0 } else { 1.2 },
    };
    let average = (window > 1).then(|| Entry {
        text: format!("moving average ({} steps)", grouped(window)),
        colour: BLUE.mix(1.0),
        width: 2.5,
    });
    let missing = not_finite_text(positions).map(|text| Entry { text, colour: VERMILLION.mix(0.3), width: 10.0 });
    [Some(raw), average, missing].into_iter().flatten().collect()
}

/// Says which losses are not finite, when there are any.
fn not_finite_text(positions: &[f64]) -> Option<String> {
    let first = positions.iter().position(|p| p.is_nan())?;
    let count = positions.iter().filter(|p| p.is_nan()).count();
    let step = grouped(first + 1);
    Some(if count == positions.len() - first {
        format!("not finite from step {step} on")
    } else {
        format!("not finite at {} steps (first: {step})", grouped(count))
    })
}

/// Light vertical lines at the ends of round numbers of epochs, named above the plot.
fn epoch_ticks(chart: &Chart, curve: &LossCurve, bottom: f64, most: usize) -> Result<()> {
    let epochs = curve.losses.len() / curve.steps_per_epoch;
    for epoch in (0..=epochs).step_by(whole_step(epochs, most)).skip(1) {
        let (across, _) = chart.pixel((epoch * curve.steps_per_epoch) as f64, bottom);
        chart.upper_tick(across, &format!("epoch {}", grouped(epoch)))?;
    }
    Ok(())
}

/// Over how many steps the average runs: enough to calm the curve, few enough to follow it.
/// One stands for no averaging, in runs too short for it.
fn average_window(steps: usize) -> usize {
    match steps {
        ..50 => 1,
        _ => (steps / 50).clamp(10, 200),
    }
}

/// The exponential moving average of the positions, NaN left out, over about `window` places.
///
/// It runs forwards and then backwards, over half the window each: a single run would trail
/// behind a falling curve. It averages what is seen, which on a logarithmic axis is logarithms.
fn moving_average(positions: &[f64], window: usize) -> Vec<f64> {
    let mut averages = positions.to_vec();
    average_along(averages.iter_mut().enumerate(), window);
    average_along(averages.iter_mut().enumerate().rev(), window);
    averages
}

/// Replaces each position by the average of those before it, in the order given.
///
/// The first one counts fully, so there is no bias towards a made-up start. Early places in the
/// run count for more than the window says: there the loss falls fastest.
fn average_along<'a>(places: impl Iterator<Item = (usize, &'a mut f64)>, window: usize) {
    let least = (2.0 / window as f64).min(1.0);
    let mut average = None;
    for (place, position) in places.filter(|(_, position)| !position.is_nan()) {
        let share = f64::max(least, WARM_UP / (WARM_UP + place as f64));
        let before = average.unwrap_or(*position);
        *position = before + share * (*position - before);
        average = Some(*position);
    }
}

/// The places that share each column of the plot; short runs have a column for every place.
fn columns(places: usize) -> impl Iterator<Item = Range<usize>> {
    let count = places.min(COLUMNS);
    (0..count).map(move |column| column * places / count..(column + 1) * places / count)
}

/// The runs of points to draw, interrupted where a whole column has no finite position. Of each
/// column only the lowest and the highest point stay: more would not be seen.
fn thinned(positions: &[f64]) -> Vec<Vec<(f64, f64)>> {
    let mut runs = vec![Vec::new()];
    for column in columns(positions.len()) {
        let finite = column.filter(|place| !positions[*place].is_nan());
        let by_position = |a: &usize, b: &usize| positions[*a].total_cmp(&positions[*b]);
        let ends = [finite.clone().min_by(by_position), finite.max_by(by_position)];
        let [Some(lowest), Some(highest)] = ends else {
            runs.push(Vec::new());
            continue;
        };
        let mut places = vec![lowest.min(highest), lowest.max(highest)];
        places.dedup();
        let points = places.into_iter().map(|place| ((place + 1) as f64, positions[place]));
        if let Some(run) = runs.last_mut() {
            run.extend(points);
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

/// Draws runs of points as lines, and as a dot where a run is a single point.
fn draw_runs(chart: &Chart, runs: &[Vec<(f64, f64)>], colour: &impl Color, width: f64) -> Result<()> {
    for run in runs {
        match run.as_slice() {
            [point] => chart.dot(*point, width.max(1.5) + 1.0, colour)?,
            _ => chart.line(run.clone(), colour, width)?,
        }
    }
    Ok(())
}

/// The stretches of steps in whose columns a position is missing, each from the step before it to
/// the step after it, so that it fills the gap in the curve.
fn gaps(positions: &[f64]) -> Vec<Range<f64>> {
    let mut gaps: Vec<Range<f64>> = Vec::new();
    for column in columns(positions.len()) {
        if !positions[column.clone()].iter().any(|p| p.is_nan()) {
            continue;
        }
        let start = column.start as f64;
        let end = (column.end + 1).min(positions.len()) as f64;
        match gaps.last_mut() {
            Some(last) if last.end >= start => last.end = end,
            _ => gaps.push(start..end),
        }
    }
    gaps
}

/// Marks a stretch without finite losses, with a firm edge where the run left them.
fn draw_gap(chart: &Chart, gap: &Range<f64>, height: &Range<f64>) -> Result<()> {
    chart.band(gap.clone(), height, &VERMILLION.mix(0.15))?;
    let edge = vec![(gap.start, height.start), (gap.start, height.end)];
    chart.line(edge, &VERMILLION, 1.0)
}

/// Draws the test accuracy after each epoch next to the accuracy of guessing, and returns the SVG.
pub fn accuracy_curve(curve: &AccuracyCurve, format: Format) -> Result<String> {
    ensure!(!curve.accuracies.is_empty(), "an accuracy curve needs at least one epoch");
    ensure!(curve.classes > 0, "an accuracy curve needs at least one class");
    let percents: Vec<f64> = curve.accuracies.iter().map(|part| percent(*part)).collect();
    let chance = 100.0 / curve.classes as f64;
    let epochs = percents.len();
    let aside = (epochs as f64 * 0.02).max(0.5);
    let (paper, area, most_ticks) = match format {
        Format::Sheet => (SHEET, Area { x: 84..672, y: 84..444 }, 12),
        Format::Narrow => (NARROW, Area { x: 48..310, y: 20..248 }, 6),
    };
    let x_axis = Axis::counting(1.0 - aside..epochs as f64 + aside, 1, epochs, most_ticks);
    let highest = percents.iter().copied().fold(chance, f64::max);
    let y_axis = Axis::linear(0.0, (highest * 1.05).min(100.0));
    let texts = Texts {
        title: format!("Test accuracy: {}", curve.model),
        subtitle: curve.data.into(),
        x_caption: "epoch".into(),
        y_caption: "test accuracy (%)".into(),
    }
    .fit_for(format);
    chart::render(paper, &area, (&x_axis, &y_axis), &texts, |chart| {
        chart.dotted(chance, &x_axis.range, &GREY)?;
        draw_runs(chart, &thinned(&percents), &BLUE, 2.0)?;
        if epochs <= MOST_DOTS {
            for point in thinned(&percents).into_iter().flatten() {
                chart.dot(point, 3.5, &BLUE)?;
            }
        }
        draw_marks(chart, &marks(&percents, chance), &area)
    })
}

/// A part in percent; NaN when it is none.
fn percent(part: f64) -> f64 {
    if (0.0..=1.0).contains(&part) { part * 100.0 } else { f64::NAN }
}

/// A value named beside the plot.
struct Mark {
    /// The epoch of its point, when it has one.
    epoch: Option<usize>,
    percent: f64,
    name: String,
    colour: RGBColor,
}

impl Mark {
    /// The value as it is written: `41.25 %`, but `10 %` for a round chance level.
    fn value(&self) -> String {
        let decimals = match self.epoch {
            Some(_) => 2,
            None if self.percent.fract() == 0.0 => 0,
            None => 1,
        };
        format!("{:.decimals$} %", self.percent)
    }
}

/// The best and the last accuracy, and the chance level.
fn marks(percents: &[f64], chance: f64) -> Vec<Mark> {
    let mark =
        |index: usize, name: String, colour| Mark { epoch: Some(index + 1), percent: percents[index], name, colour };
    let finite = || (0..percents.len()).filter(|index| !percents[*index].is_nan());
    // The earliest of equals is the best: training longer did not pay.
    let best = finite().rev().max_by(|a, b| percents[*a].total_cmp(&percents[*b]));
    let chance = Mark { epoch: None, percent: chance, name: "chance".into(), colour: GREY };
    match (best, finite().next_back()) {
        (Some(best), Some(last)) if best == last => {
            let name = if last == 0 { "epoch 1" } else { "best and last" };
            vec![mark(best, name.into(), VERMILLION), chance]
        }
        (Some(best), Some(last)) => vec![
            mark(best, format!("best, epoch {}", grouped(best + 1)), VERMILLION),
            mark(last, format!("last, epoch {}", grouped(last + 1)), BLUE),
            chance,
        ],
        _ => vec![chance],
    }
}

/// Draws the marked points, and their values to the right of the plot, where no curve runs.
fn draw_marks(chart: &Chart, marks: &[Mark], area: &Area) -> Result<()> {
    let wanted: Vec<f64> = marks.iter().map(|mark| chart.pixel(1.0, mark.percent).1).collect();
    let heights = spread(&wanted, 38.0, area.y.end as f64 - 14.0);
    let left = area.x.end as f64 + 12.0;
    for (mark, height) in marks.iter().zip(heights) {
        if let Some(epoch) = mark.epoch {
            chart.dot((epoch as f64, mark.percent), 5.0, &mark.colour)?;
        }
        let value = Font { bold: true, colour: mark.colour, ..CAPTION };
        let text = mark.value();
        chart.text(&text, (left, height - 8.0), value, Align::Left)?;
        chart.text(&mark.name, (left, height + 8.0), LABEL, Align::Left)?;
    }
    Ok(())
}

/// Moves heights, given from the top of the picture down, apart until they are `distance` from
/// each other and none is below `bottom`.
fn spread(wanted: &[f64], distance: f64, bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    let mut heights = wanted.to_vec();
    let mut above = f64::NEG_INFINITY;
    for &index in &order {
        heights[index] = heights[index].max(above + distance);
        above = heights[index];
    }
    let mut below = bottom + distance;
    for &index in order.iter().rev() {
        heights[index] = heights[index].min(below - distance);
        below = heights[index];
    }
    heights
}

#[cfg(test)]
mod tests;
