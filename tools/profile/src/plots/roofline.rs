//! The roofline: GFLOP/s over FLOP/byte, both on scales of powers of ten, under the roofs of the machine.

use anyhow::{Result, ensure};
use plotters::style::{Color, RGBColor};

use super::axis::{Axis, Scale};
use super::chart::{self, Align, Area, Chart, Font, GREY, INK, LABEL, Paper, SERIES, Texts};
use super::labels;

/// The picture.
#[derive(Debug)]
pub struct Roofline<'a> {
    /// What is seen.
    pub title: &'a str,
    /// Of which machine.
    pub subtitle: String,
    /// The level roof, in GFLOP/s.
    pub peak: f64,
    /// The slanted roofs, in GB/s, and what they are of; the first is the lowest.
    pub bandwidths: &'a [(f64, &'a str)],
    /// The points, in groups of one colour each.
    pub groups: &'a [(&'a str, Vec<Point>)],
}

/// A kernel.
#[derive(Clone, Debug)]
pub struct Point {
    /// Stands beside it.
    pub number: usize,
    /// Stands in the legend.
    pub name: String,
    /// FLOP/byte.
    pub intensity: f64,
    /// GFLOP/s.
    pub gflops: f64,
}

const PAPER: Paper = Paper { width: 1060, height: 640, legend: 74.0 };
const AREA: Area = Area { x: 84..640, y: 84..580 };

/// The legend's left edges, its top, and from one line to the next.
const COLUMNS: [f64; 2] = [660.0, 868.0];
const LEGEND_TOP: f64 = 92.0;
const LINE: f64 = 17.0;

/// A number beside a point.
const NUMBER: Font = Font { size: 11.0, bold: true, colour: INK };

impl Roofline<'_> {
    /// The picture as an SVG.
    pub fn draw(&self) -> Result<String> {
        let points = || self.groups.iter().flat_map(|group| &group.1);
        let is_drawable = |x: f64| x.is_finite() && x > 0.0;
        ensure!(
            points().all(|point| is_drawable(point.intensity) && is_drawable(point.gflops)),
            "a point has no place"
        );
        ensure!(is_drawable(self.peak), "a roof needs a height");
        let mut across: Vec<f64> = points().map(|point| point.intensity.log10()).collect();
        across.extend([-1.0, 2.0]);
        let mut up: Vec<f64> = points().map(|point| point.gflops.log10()).collect();
        up.push((1.3 * self.peak).log10());
        let [x_axis, y_axis] = [across, up].map(|positions| Axis::around(Scale::Logarithmic, &positions));
        let texts = Texts {
            title: self.title.into(),
            subtitle: self.subtitle.clone(),
            x_caption: "arithmetic intensity: operations for each byte moved (FLOP/byte, log scale)".into(),
            y_caption: "speed (GFLOP/s, log scale)".into(),
        };
        chart::render(PAPER, &AREA, (&x_axis, &y_axis), &texts, |chart| {
            let roofs = self.draw_roofs(chart, (&x_axis, &y_axis))?;
            self.points(chart, &roofs)?;
            self.legend(chart)
        })
    }

    /// The ends of the roofs, slanted ones first: log(GFLOP/s) = log(FLOP/byte) + log(GB/s) up to the level one.
    fn roofs(&self, (x_axis, y_axis): (&Axis, &Axis)) -> Vec<[(f64, f64); 2]> {
        let (left, right, floor) = (x_axis.range.start, x_axis.range.end, y_axis.range.start);
        let peak = self.peak.log10();
        let slanted = self.bandwidths.iter().map(|(bandwidth, _)| {
            let slope = bandwidth.log10();
            let start = left.max(floor - slope).min(right);
            let end = (peak - slope).clamp(start, right);
            [(start, start + slope), (end, end + slope)]
        });
        let mut roofs: Vec<_> = slanted.collect();
        let ridge = roofs.iter().map(|roof| roof[1].0).fold(right, f64::min);
        roofs.push([(ridge, peak), (right, peak)]);
        roofs
    }

    /// Draws the roofs; returns places along them, in pixels.
    fn draw_roofs(&self, chart: &Chart, axes: (&Axis, &Axis)) -> Result<Vec<(f64, f64)>> {
        let roofs = self.roofs(axes);
        let mut places = Vec::new();
        for (place, [start, end]) in roofs.iter().enumerate() {
            chart.line(vec![*start, *end], &roof_colour(place), roof_width(place))?;
            let (from, to) = (chart.pixel(start.0, start.1), chart.pixel(end.0, end.1));
            let steps = ((to.0 - from.0).hypot(to.1 - from.1) / 3.0).ceil() as usize;
            let part = |step: usize| step as f64 / steps.max(1) as f64;
            let at = |part: f64| (from.0 + part * (to.0 - from.0), from.1 + part * (to.1 - from.1));
            places.extend((0..=steps).map(part).map(at));
        }
        Ok(places)
    }

    /// A dot for each kernel, and its number beside it where there is room.
    fn points(&self, chart: &Chart, roofs: &[(f64, f64)]) -> Result<()> {
        let mut pixels = Vec::new();
        for ((_, points), colour) in self.groups.iter().zip(SERIES) {
            for point in points {
                let (x, y) = (point.intensity.log10(), point.gflops.log10());
                chart.dot((x, y), 3.5, &colour)?;
                pixels.push((chart.pixel(x, y), point.number, colour));
            }
        }
        let places: Vec<(f64, f64)> = pixels.iter().map(|pixel| pixel.0).collect();
        let labels = labels::place(&places, roofs, (15.0, 12.0), &AREA);
        for ((at, number, colour), label) in pixels.into_iter().zip(labels) {
            if (label.0 - at.0).hypot(label.1 - at.1) > labels::NEAR {
                chart.stroke(&[at, label], &colour.mix(0.5), 0.7)?;
            }
            self.number(chart, number, label, colour)?;
        }
        Ok(())
    }

    fn number(&self, chart: &Chart, number: usize, at: (f64, f64), colour: RGBColor) -> Result<()> {
        chart.text(&number.to_string(), at, Font { colour, ..NUMBER }, Align::Middle)
    }

    /// The names of the numbers, group by group.
    fn legend(&self, chart: &Chart) -> Result<()> {
        let lines: usize = self.groups.iter().map(|group| group.1.len() + 2).sum();
        let (mut column, mut line) = (0, 0);
        for ((name, points), colour) in self.groups.iter().zip(SERIES) {
            // A group stays together, in the column that it begins in.
            if column == 0 && line > 0 && 2 * (line + points.len()) > lines + 6 {
                (column, line) = (1, 0);
            }
            let left = COLUMNS[column];
            let height = |line: usize| LEGEND_TOP + LINE * line as f64;
            chart.spot((left + 4.0, height(line)), 4.0, &colour)?;
            chart.text(name, (left + 14.0, height(line)), Font { bold: true, colour: INK, ..LABEL }, Align::Left)?;
            for point in points {
                line += 1;
                self.number(chart, point.number, (left + 8.0, height(line)), colour)?;
                chart.text(&point.name, (left + 22.0, height(line)), LABEL, Align::Left)?;
            }
            line += 2;
        }
        let (left, height) = (COLUMNS[column], |line: usize| LEGEND_TOP + LINE * line as f64);
        chart.text("roofs", (left, height(line)), Font { bold: true, colour: INK, ..LABEL }, Align::Left)?;
        let slanted = self.bandwidths.iter().map(|(bandwidth, name)| format!("{name} {bandwidth:.0} GB/s"));
        for (place, text) in slanted.enumerate() {
            let height = height(line + place + 1);
            chart.stroke(&[(left, height), (left + 16.0, height)], &roof_colour(place), roof_width(place))?;
            chart.text(&text, (left + 22.0, height), LABEL, Align::Left)?;
        }
        let height = height(line + self.bandwidths.len() + 1);
        chart.stroke(&[(left, height), (left + 16.0, height)], &INK, 2.0)?;
        chart.text(&format!("peak {:.0} GFLOP/s", self.peak), (left + 22.0, height), LABEL, Align::Left)
    }
}

/// The first slanted roof and the level one are what counts for data in memory.
fn roof_colour(place: usize) -> RGBColor {
    if place == 1 { GREY } else { INK }
}

fn roof_width(place: usize) -> f64 {
    if place == 1 { 1.0 } else { 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(number: usize, intensity: f64, gflops: f64) -> Point {
        Point { number, name: format!("kernel {number}"), intensity, gflops }
    }

    #[test]
    fn roofs_meet_at_their_ridges() {
        let groups = [("products", vec![point(1, 10.0, 100.0)])];
        let bandwidths = &[(20.0, "memory"), (200.0, "cache")];
        let (title, subtitle) = ("", String::new());
        let roofline = Roofline { title, subtitle, peak: 200.0, bandwidths, groups: &groups };
        let axes = [Axis::around(Scale::Logarithmic, &[-1.0, 2.0]), Axis::around(Scale::Logarithmic, &[0.0, 3.0])];
        let [memory, cache, peak] = roofline.roofs((&axes[0], &axes[1]))[..] else { panic!("three roofs") };
        let near = |found: (f64, f64), x: f64, y: f64| (found.0 - x).abs() < 1e-9 && (found.1 - y).abs() < 1e-9;
        assert!(near(memory[0], -1.0, 2f64.log10()) && near(memory[1], 1.0, 200f64.log10()), "{memory:?}");
        assert!(near(cache[1], 0.0, 200f64.log10()), "{cache:?}");
        assert!(near(peak[0], 0.0, 200f64.log10()) && near(peak[1], 2.0, 200f64.log10()), "{peak:?}");
    }

    #[test]
    fn every_kernel_is_numbered_and_named() {
        let groups = [
            ("products", (1..20).map(|i| point(i, i as f64, 100.0)).collect::<Vec<_>>()),
            ("updates", (20..40).map(|i| point(i, 0.3, 5.0)).collect()),
        ];
        let bandwidths = &[(20.0, "memory"), (200.0, "cache")];
        let (title, subtitle) = ("Kernels", String::new());
        let roofline = Roofline { title, subtitle, peak: 200.0, bandwidths, groups: &groups };
        let svg = roofline.draw().unwrap();
        let picture = roxmltree::Document::parse(&svg).unwrap();
        let texts: Vec<&str> = picture.descendants().filter_map(|node| node.text()).map(str::trim).collect();
        for number in 1..40 {
            assert!(texts.contains(&format!("kernel {number}").as_str()), "{number}");
            assert!(texts.iter().filter(|text| **text == number.to_string()).count() >= 2, "{number}");
        }
        let groups = [("none", vec![point(1, 0.0, 1.0)])];
        assert!(Roofline { groups: &groups, ..roofline }.draw().is_err());
    }
}
