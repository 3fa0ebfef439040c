//! How well the gradients of mini-batches of every size point along the full one.

use super::axis::{Axis, Tick, grouped};
use super::chart::{self, Area, BLUE, Entry, GREY, SHEET, Texts, VERMILLION};
use crate::screen::rounded;
use anyhow::{Result, ensure};
use plotters::style::Color;

/// Room for a label above the plot, in pixels.
const LABEL_WIDTH: f64 = 54.0;

/// What the picture shows.
#[derive(Clone, Copy, Debug)]
pub struct NoisePicture<'a> {
    /// What the gradient is of: `convnet`.
    pub model: &'a str,
    /// At which images and weights it was taken.
    pub data: &'a str,
    /// Images of a batch whose noise is as large as the gradient.
    pub noise_scale: f64,
    /// The batch sizes, smallest first; the last is the full gradient.
    pub batches: &'a [NoiseMark],
}

/// A batch size.
#[derive(Clone, Copy, Debug)]
pub struct NoiseMark {
    /// Images in a batch.
    pub batch_size: usize,
    /// Mean cosine to the full gradient over the draws.
    pub cosine: f64,
    /// Its standard deviation.
    pub deviation: f64,
    /// The cosine that the noise scale says.
    pub expected: f64,
    /// Time of a gradient.
    pub seconds: f64,
}

impl NoiseMark {
    /// The place on the horizontal axis.
    fn position(&self) -> f64 {
        (self.batch_size as f64).log2()
    }
}

/// Draws the cosines over the batch size, with the times above, and returns the SVG.
pub fn noise_picture(picture: &NoisePicture) -> Result<String> {
    let batches = picture.batches;
    let (Some(first), Some(last)) = (batches.first(), batches.last()) else {
        anyhow::bail!("a picture of gradient noise needs at least one batch size");
    };
    ensure!(batches.iter().all(|batch| batch.cosine.is_finite()), "a cosine is no number");
    let x_axis = sizes_axis(batches, last.position());
    let lowest = batches.iter().map(|batch| batch.cosine - batch.deviation).fold(0.0, f64::min);
    let y_axis = Axis::linear(lowest, 1.0);
    let texts = Texts {
        title: format!("How well a mini-batch's gradient points along the full one: {}", picture.model),
        subtitle: format!("{}  ·  above the plot: time of a gradient", picture.data),
        x_caption: format!("images in the mini-batch (log scale; the last: all {})", grouped(last.batch_size)),
        y_caption: "cosine of the angle to the full gradient".into(),
    };
    let area = Area { x: 84..756, y: 130..444 };
    chart::render(SHEET, &area, (&x_axis, &y_axis), &texts, |chart| {
        chart.legend(&legend(picture))?;
        let mut free_from = f64::NEG_INFINITY;
        for batch in batches {
            let (across, _) = chart.pixel(batch.position(), 0.0);
            // The last one's time is that of the full gradient: the one before gives way.
            let crowds_last =
                chart.pixel(last.position(), 0.0).0 - across < LABEL_WIDTH && batch.batch_size != last.batch_size;
            if across >= free_from && !crowds_last {
                chart.upper_tick(across, &time(batch.seconds))?;
                free_from = across + LABEL_WIDTH;
            }
        }
        let scale = picture.noise_scale.max(first.batch_size as f64).log2();
        if (x_axis.range.start..=x_axis.range.end).contains(&scale) {
            chart.line(vec![(scale, y_axis.range.start), (scale, y_axis.range.end)], &VERMILLION, 1.5)?;
        }
        let points = |value: fn(&NoiseMark) -> f64| batches.iter().map(move |batch| (batch.position(), value(batch)));
        chart.line(points(|batch| batch.expected).collect(), &GREY, 1.5)?;
        for batch in batches {
            let (low, high) = (batch.cosine - batch.deviation, (batch.cosine + batch.deviation).min(1.0));
            chart.line(vec![(batch.position(), low), (batch.position(), high)], &BLUE.mix(0.5), 5.0)?;
        }
        chart.line(points(|batch| batch.cosine).collect(), &BLUE, 2.0)?;
        for point in points(|batch| batch.cosine) {
            chart.dot(point, 3.5, &BLUE)?;
        }
        Ok(())
    })
}

/// Every second power of two, and a little room at the ends.
fn sizes_axis(batches: &[NoiseMark], last: f64) -> Axis {
    let stride = if batches.len() > 9 { 2 } else { 1 };
    let powers = (0..=last.floor() as u32).step_by(stride);
    let tick = |power: u32| Tick { position: f64::from(power), label: grouped(1 << power) };
    Axis { range: -0.3..last + 0.3, ticks: powers.map(tick).collect() }
}

fn legend(picture: &NoisePicture) -> Vec<Entry> {
    let scale = format!("noise scale: {} images", rounded(picture.noise_scale));
    vec![
        Entry { text: "mean, one standard deviation".into(), colour: BLUE.mix(1.0), width: 2.5 },
        Entry { text: scale, colour: VERMILLION.mix(1.0), width: 2.0 },
        Entry { text: "cosine that this predicts".into(), colour: GREY.mix(1.0), width: 1.5 },
    ]
}

/// A time with two digits that count, in a unit that suits it.
fn time(seconds: f64) -> String {
    let (value, unit) = match seconds {
        ..1e-3 => (seconds * 1e6, "µs"),
        ..1.0 => (seconds * 1e3, "ms"),
        _ => (seconds, "s"),
    };
    let decimals = if value < 9.95 { 1 } else { 0 };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (seconds, text) in [(4.2e-6, "4.2 µs"), (9.96e-4, "996 µs"), (0.0123, "12 ms"), (3.04, "3.0 s")] {
            assert_eq!(time(seconds), text);
        }
    }
}
