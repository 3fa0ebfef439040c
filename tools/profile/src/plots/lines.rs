//! Several curves on one plot, each named beside it.

use std::ops::Range;

use anyhow::{Result, ensure};
use plotters::style::RGBColor;

use super::axis::{Axis, Scale, grouped};
use super::chart::{Align, Area, Backend, Chart, Font, INK, LABEL, SideEntry, Texts, pens};
use super::clip::{Point, inside};
use super::moving::{Moving, animated, still};

pub use super::chart::MOST_CURVES;

/// Most points that are drawn as dots too.
const MOST_DOTS: usize = 40;

/// What an axis shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Whole numbers from 0.
    Count,
    /// Numbers.
    Linear,
    /// Numbers above 0, each power of ten as wide as the next.
    Logarithmic,
}

/// A plot of curves.
#[derive(Debug)]
pub struct Lines<'a> {
    /// What is seen.
    pub title: String,
    /// Of what, and how it was made.
    pub subtitle: String,
    /// What the axis across shows, with its unit.
    pub x_caption: String,
    /// What the upright axis shows, with its unit.
    pub y_caption: String,
    /// How the axis across is divided.
    pub x: Measure,
    /// How the upright axis is divided.
    pub y: Measure,
    /// What is above it is cut off there, and the place marked.
    pub top: Option<f64>,
    /// The curves.
    pub curves: &'a [Curve],
    /// Places across that are marked by an upright line, and what they are called.
    pub marks: &'a [(f64, String)],
    /// What stands above the legend.
    pub note: String,
}

/// A curve.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Its name.
    pub name: String,
    /// A short line about it.
    pub detail: String,
    /// x and y, x ascending; what is not finite counts as above everything.
    pub points: Vec<(f64, f64)>,
}

impl Lines<'_> {
    /// All curves whole, as an SVG.
    pub fn still(&self) -> Result<String> {
        self.check()?;
        still(self)
    }

    /// The curves as they grow, point by point, as a GIF.
    pub fn animation(&self) -> Result<Vec<u8>> {
        self.check()?;
        animated(self)
    }

    fn check(&self) -> Result<()> {
        let places = self.curves.iter().flat_map(|curve| &curve.points).map(|point| point.0);
        ensure!(places.clone().count() > 0, "curves need at least one point");
        ensure!(
            places.clone().all(|x| x.is_finite() && (self.x != Measure::Logarithmic || x > 0.0)),
            "a point has no place"
        );
        Ok(())
    }

    /// The finite values that are shown.
    fn values(&self) -> impl Iterator<Item = f64> {
        let values = self.curves.iter().flat_map(|curve| &curve.points).map(|point| point.1);
        values.filter(|y| y.is_finite() && self.top.is_none_or(|top| *y <= top))
    }

    /// The positions of values on the upright axis: infinite for those that are not finite.
    ///
    /// A logarithmic axis has no place for zero: what is not positive goes where the smallest positive value is.
    fn heights(&self, values: impl Iterator<Item = f64>) -> Vec<f64> {
        let floor = self.values().filter(|y| *y > 0.0).fold(f64::MAX, f64::min);
        let height = |value: f64| match self.y {
            _ if !value.is_finite() => f64::INFINITY,
            Measure::Logarithmic => value.max(floor).log10(),
            Measure::Count | Measure::Linear => value,
        };
        values.map(height).collect()
    }

    /// The position of a place on the axis across.
    fn across(&self, place: f64) -> f64 {
        if self.x == Measure::Logarithmic { place.log10() } else { place }
    }

    /// The curve's points on the axes.
    fn positions(&self, curve: &Curve) -> Vec<Point> {
        let heights = self.heights(curve.points.iter().map(|point| point.1));
        curve.points.iter().zip(heights).map(|(point, height)| (self.across(point.0), height)).collect()
    }

    /// The pieces of a stretch of a curve that are drawn, and where it first goes over the top.
    fn pieces(&self, positions: &[Point], (x, y): (&Range<f64>, &Range<f64>)) -> (Vec<Vec<Point>>, Option<f64>) {
        let limited: Vec<Point> =
            // High enough that a rise to it looks upright, and not so high that nothing can be computed with it.
            positions.iter().map(|&(x, height)| (x, height.min(y.end + 1e4 * (y.end - y.start)))).collect();
        let pieces = inside(&limited, x, y);
        let is_above = |height: f64| height > y.end;
        let exit = limited.windows(2).find(|pair| !is_above(pair[0].1) && is_above(pair[1].1));
        let place = exit.map(|pair| {
            let part = (y.end - pair[0].1) / (pair[1].1 - pair[0].1);
            pair[0].0 + part * (pair[1].0 - pair[0].0)
        });
        (pieces, place)
    }
}

impl Moving for Lines<'_> {
    const AREA: Area = Area { x: 84..560, y: 84..444 };

    fn axes(&self) -> [Axis; 2] {
        let places = || self.curves.iter().flat_map(|curve| &curve.points).map(|point| point.0);
        let (low, high) = places().fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(x), high.max(x)));
        let across = match self.x {
            Measure::Count => Axis::counting(low..high.max(low + 1.0), 0, high as usize, 8),
            Measure::Linear => Axis::linear(low, high),
            Measure::Logarithmic => Axis::around(Scale::Logarithmic, &[low.log10(), high.log10()]),
        };
        let heights = self.heights(self.values().chain(self.top));
        let scale = if self.y == Measure::Logarithmic { Scale::Logarithmic } else { Scale::Linear };
        [across, Axis::around(scale, &heights)]
    }

    fn texts(&self) -> Texts {
        Texts {
            title: self.title.clone(),
            subtitle: self.subtitle.clone(),
            x_caption: self.x_caption.clone(),
            y_caption: self.y_caption.clone(),
        }
    }

    fn grounds(&self) -> Vec<RGBColor> {
        Vec::new()
    }

    fn steps(&self) -> usize {
        self.curves.iter().map(|curve| curve.points.len().saturating_sub(1)).max().unwrap_or(0)
    }

    fn ground<B: Backend>(&self, chart: &Chart<'_, B>) -> Result<()> {
        let (top, bottom) = (f64::from(Self::AREA.y.start), f64::from(Self::AREA.y.end));
        for (place, name) in self.marks {
            let (across, _) = chart.pixel(self.across(*place), 0.0);
            chart.stroke(&[(across, top - 12.0), (across, bottom)], &INK, 1.2)?;
            // Left of its line: over the top go curves right of it.
            chart.text(name, (across - 6.0, top - 9.0), Font { bold: true, colour: INK, ..LABEL }, Align::Right)?;
        }
        Ok(())
    }

    fn trails<B: Backend>(&self, chart: &Chart<'_, B>, steps: Range<usize>) -> Result<()> {
        let [x_axis, y_axis] = self.axes();
        for (curve, pen) in self.curves.iter().zip(pens(self.curves.len())) {
            let positions = self.positions(curve);
            let last = positions.len().saturating_sub(1);
            let end = steps.end.min(last);
            let (pieces, exit) = self.pieces(&positions[steps.start.min(end)..=end], (&x_axis.range, &y_axis.range));
            for piece in pieces {
                if (3..=MOST_DOTS).contains(&positions.len()) {
                    piece.iter().filter(|p| positions.contains(p)).try_for_each(|p| chart.dot(*p, 3.0, &pen.colour))?;
                }
                chart.curve(piece, pen)?;
            }
            if let Some(place) = exit {
                let (x, y) = chart.pixel(place, y_axis.range.end);
                chart.stroke(
                    &[(x - 5.0, y + 1.0), (x, y - 7.0), (x + 5.0, y + 1.0), (x - 5.0, y + 1.0)],
                    &pen.colour,
                    2.0,
                )?;
            }
        }
        Ok(())
    }

    fn heads<B: Backend>(&self, chart: &Chart<'_, B>, step: usize) -> Result<()> {
        let [x_axis, y_axis] = self.axes();
        let mut entries = Vec::new();
        for (curve, pen) in self.curves.iter().zip(pens(self.curves.len())) {
            let positions = self.positions(curve);
            if step < self.steps()
                && let Some(&point) = positions.get(step)
                && !inside(&[point], &x_axis.range, &y_axis.range).is_empty()
            {
                chart.head(point, 4.0, pen)?;
            }
            let detail = match curve.points.get(step) {
                Some((_, value)) if step < self.steps() && value.is_finite() => format!("{value:.4}"),
                _ => curve.detail.clone(),
            };
            entries.push(SideEntry { name: curve.name.clone(), detail, pen });
        }
        let left = Self::AREA.x.end as f64 + 20.0;
        let note = if step < self.steps() { format!("step {}", grouped(step)) } else { self.note.clone() };
        chart.text(&note, (left, 84.0), LABEL, Align::Left)?;
        chart.side_legend(&entries, 112.0, 480.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(curves: &[Curve], y: Measure, top: Option<f64>) -> String {
        let text = String::new;
        let (title, subtitle, note) = ("Losses".into(), text(), text());
        let (x_caption, y_caption) = ("step".into(), "loss".into());
        let (x, marks) = (Measure::Count, &[][..]);
        Lines { title, subtitle, x_caption, y_caption, x, y, top, curves, marks, note }.still().unwrap()
    }

    fn curve(name: &str, heights: &[f64]) -> Curve {
        let points = heights.iter().enumerate().map(|(x, &y)| (x as f64, y)).collect();
        Curve { name: name.into(), detail: format!("{} points", heights.len()), points }
    }

    /// The number of lines of three corners, which mark where a curve goes over the top.
    fn marks(svg: &str) -> usize {
        let picture = roxmltree::Document::parse(svg).unwrap();
        let lines = picture.descendants().filter_map(|node| node.attribute("points"));
        lines.filter(|points| points.split_whitespace().count() == 4).count()
    }

    #[test]
    fn curves_that_go_to_infinity_are_drawn_and_marked() {
        let calm = curve("calm", &[2.3, 2.0, 1.9, 1.8, 1.7, 1.7]);
        let wild = curve("wild", &[2.3, 2.4, 1e30, f64::INFINITY]);
        let lost = curve("lost", &[2.3, 2.4, f64::NAN]);
        for measure in [Measure::Linear, Measure::Logarithmic] {
            let svg = picture(&[calm.clone(), wild.clone(), lost.clone()], measure, Some(3.0));
            assert!(!svg.contains("NaN") && !svg.contains("inf\""), "{svg}");
            for name in ["calm", "wild", "lost", "4 points"] {
                assert!(svg.contains(name), "{name}");
            }
            assert_eq!(marks(&svg), 2);
        }
        assert_eq!(marks(&picture(&[calm], Measure::Linear, Some(3.0))), 0);
    }

    #[test]
    fn curves_without_a_finite_point_are_drawn() {
        picture(&[curve("none", &[f64::NAN])], Measure::Linear, None);
        picture(&[curve("none", &[f64::INFINITY, 0.0, -1.0])], Measure::Logarithmic, None);
        let none: &[Curve] = &[];
        let (x, y) = (Measure::Count, Measure::Linear);
        let text = String::new;
        let (title, subtitle, x_caption, y_caption, note) = (text(), text(), text(), text(), text());
        let empty = Lines { title, subtitle, x_caption, y_caption, x, y, top: None, curves: none, marks: &[], note };
        assert!(empty.still().is_err());
    }
}
