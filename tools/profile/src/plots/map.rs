//! A function of two numbers as a map with a key.

use anyhow::Result;
use plotters::style::WHITE;

use super::axis::{Axis, decimal_label};
use super::chart::{self, Align, Area, Font, GREY, INK, LABEL, Texts};
use super::contour::{self, Grid, band_colour};

/// About how many lines there are.
const LEVELS: usize = 12;

const AREA: Area = Area { x: 84..600, y: 76..444 };

/// A map.
#[derive(Debug)]
pub struct Map<'a> {
    /// What is seen.
    pub title: String,
    /// Of what.
    pub subtitle: String,
    /// What the axis across shows.
    pub x_caption: String,
    /// What the upright axis shows.
    pub y_caption: String,
    /// The heights.
    pub grid: &'a Grid,
    /// What a height is, with its unit.
    pub value: &'a str,
    /// A point and what it is called.
    pub centre: Option<(f64, f64, &'a str)>,
}

impl Map<'_> {
    /// The picture as an SVG.
    pub fn draw(&self) -> Result<String> {
        let levels = levels(self.grid.heights());
        let axes = [&self.grid.x, &self.grid.y].map(|range| Axis::within(range.clone()));
        let texts = Texts {
            title: self.title.clone(),
            subtitle: self.subtitle.clone(),
            x_caption: self.x_caption.clone(),
            y_caption: self.y_caption.clone(),
        };
        chart::render(chart::SHEET, &AREA, (&axes[0], &axes[1]), &texts, |chart| {
            contour::draw(chart, self.grid, &levels)?;
            if let Some((x, y, name)) = self.centre {
                chart.dot((x, y), 5.0, &WHITE)?;
                chart.dot((x, y), 4.0, &INK)?;
                let (x, y) = chart.pixel(x, y);
                chart.text(name, (x + 10.0, y), Font { bold: true, colour: INK, ..LABEL }, Align::Left)?;
            }
            let left = AREA.x.end as f64 + 20.0;
            let (name, unit) = self.value.split_once(" (").unwrap_or((self.value, ""));
            chart.text(name, (left, 84.0), LABEL, Align::Left)?;
            let unit = if unit.is_empty() { String::new() } else { format!("({unit}") };
            chart.text(&unit, (left, 100.0), LABEL, Align::Left)?;
            let step = levels.get(1).zip(levels.first()).map_or(1.0, |(b, a)| b - a);
            for (row, band) in (0..=levels.len()).rev().enumerate() {
                let top = 116.0 + 20.0 * row as f64;
                for line in 0..18 {
                    let height = top + f64::from(line);
                    let ends = [(left, height), (left + 24.0, height)];
                    chart.stroke(&ends, &band_colour(band, levels.len()), 1.4)?;
                }
                if let Some(level) = band.checked_sub(1).and_then(|below| levels.get(below)) {
                    let label = decimal_label(*level, step, level.abs());
                    chart.stroke(&[(left, top + 19.0), (left + 28.0, top + 19.0)], &GREY, 0.8)?;
                    chart.text(&label, (left + 34.0, top + 19.0), LABEL, Align::Left)?;
                }
            }
            Ok(())
        })
    }
}

/// Round levels between the lowest and the highest of the heights.
fn levels(heights: &[f64]) -> Vec<f64> {
    let finite = || heights.iter().copied().filter(|height| height.is_finite());
    let (low, high) = finite().fold((f64::MAX, f64::MIN), |(low, high), height| (low.min(height), high.max(height)));
    if low >= high {
        return Vec::new();
    }
    let axis = Axis::linear_with(low, high, LEVELS);
    axis.ticks.iter().map(|tick| tick.position).filter(|level| *level > low && *level < high).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_round_and_inside() {
        let found = levels(&[1.71, f64::NAN, 3.33]);
        assert!((6..=LEVELS + 4).contains(&found.len()), "{found:?}");
        assert!(found.iter().all(|level| *level > 1.71 && *level < 3.33));
        assert!(found.is_sorted());
        assert!(levels(&[2.0, 2.0]).is_empty() && levels(&[]).is_empty());
    }
}
