//! Update rules on the map of a function.

use std::ops::Range;

use anyhow::Result;
use plotters::style::{RGBColor, WHITE};

use super::axis::{Axis, grouped};
use super::chart::{Align, Area, Backend, Chart, INK, LABEL, SideEntry, Texts, pens};
use super::clip::{Point, inside};
use super::contour::{self, Grid, band_colour};
use super::moving::{Moving, animated, still};

/// A race on the map of a function.
#[derive(Debug)]
pub struct MapRace<'a> {
    /// What is seen.
    pub title: &'a str,
    /// The function's formula and what else there is to say.
    pub subtitle: &'a str,
    /// The function's heights.
    pub grid: &'a Grid,
    /// The heights of lines and bands, ascending.
    pub levels: &'a [f64],
    /// Where these are, in words, in two short lines.
    pub levels_text: [&'a str; 2],
    /// The function's minimum, if it has one.
    pub minimum: Option<[f64; 2]>,
    /// Who takes part.
    pub runners: &'a [Runner],
}

/// One who takes part.
#[derive(Debug)]
pub struct Runner {
    /// Its name.
    pub name: String,
    /// Its settings.
    pub settings: String,
    /// Where it was before the first step and after each; it need not stay on the map, nor finite.
    pub path: Vec<[f64; 2]>,
    /// The function there.
    pub values: Vec<f64>,
}

impl MapRace<'_> {
    /// The race when it is over, as an SVG.
    pub fn still(&self) -> Result<String> {
        still(self)
    }

    /// The race as a GIF.
    pub fn animation(&self) -> Result<Vec<u8>> {
        animated(self)
    }
}

impl Moving for MapRace<'_> {
    const AREA: Area = Area { x: 84..560, y: 76..444 };

    fn axes(&self) -> [Axis; 2] {
        [&self.grid.x, &self.grid.y].map(|range| Axis::within(range.clone()))
    }

    fn texts(&self) -> Texts {
        Texts { title: self.title.into(), subtitle: self.subtitle.into(), x_caption: "x".into(), y_caption: "y".into() }
    }

    fn grounds(&self) -> Vec<RGBColor> {
        (0..=self.levels.len()).map(|band| band_colour(band, self.levels.len())).collect()
    }

    fn steps(&self) -> usize {
        self.runners.iter().map(|runner| runner.path.len() - 1).max().unwrap_or(0)
    }

    fn ground<B: Backend>(&self, chart: &Chart<'_, B>) -> Result<()> {
        contour::draw(chart, self.grid, self.levels)?;
        let (left, bottom) = (Self::AREA.x.end as f64 + 20.0, Self::AREA.y.end as f64 - 8.0);
        for (text, height) in self.levels_text.iter().zip([bottom - 16.0, bottom]) {
            chart.text(text, (left, height), LABEL, Align::Left)?;
        }
        if let Some(&[x, y]) = self.runners.first().and_then(|runner| runner.path.first())
            && !inside(&[(x, y)], &self.grid.x, &self.grid.y).is_empty()
        {
            chart.dot((x, y), 5.0, &INK)?;
            chart.dot((x, y), 3.0, &WHITE)?;
        }
        Ok(())
    }

    fn trails<B: Backend>(&self, chart: &Chart<'_, B>, steps: Range<usize>) -> Result<()> {
        for (runner, pen) in self.runners.iter().zip(pens(self.runners.len())) {
            let end = steps.end.min(runner.path.len() - 1);
            let points: Vec<Point> = runner.path[steps.start.min(end)..=end].iter().map(|&[x, y]| (x, y)).collect();
            for piece in inside(&points, &self.grid.x, &self.grid.y) {
                chart.curve(piece, pen)?;
            }
        }
        Ok(())
    }

    fn heads<B: Backend>(&self, chart: &Chart<'_, B>, step: usize) -> Result<()> {
        let mut entries = Vec::new();
        for (runner, pen) in self.runners.iter().zip(pens(self.runners.len())) {
            let here = step.min(runner.path.len() - 1);
            let point = (runner.path[here][0], runner.path[here][1]);
            if !inside(&[point], &self.grid.x, &self.grid.y).is_empty() {
                chart.head(point, 5.0, pen)?;
            }
            let detail = format!("f = {}", short(runner.values[here]));
            entries.push(SideEntry { name: format!("{} {}", runner.name, runner.settings), detail, pen });
        }
        let left = Self::AREA.x.end as f64 + 20.0;
        let remark = if self.minimum.is_some() { "   (× minimum)" } else { "" };
        chart.text(&format!("after step {}{remark}", grouped(step)), (left, 84.0), LABEL, Align::Left)?;
        if let Some([x, y]) = self.minimum {
            chart.cross(chart.pixel(x, y), 9.0, &INK)?;
        }
        chart.side_legend(&entries, 108.0, f64::from(Self::AREA.y.end) - 32.0)
    }
}

/// A number in few letters: `41.25`, `0.0864`, `5.3e-5`.
fn short(value: f64) -> String {
    match value.abs() {
        size if !size.is_finite() => "not finite".into(),
        0.0 => "0".into(),
        0.001..1000.0 => {
            let decimals = (3 - value.abs().log10().floor() as i32).clamp(0, 5) as usize;
            format!("{value:.decimals$}")
        }
        1000.0..1e6 => format!("{value:.0}"),
        _ => format!("{value:.1e}"),
    }
}
