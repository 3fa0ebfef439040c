//! Points on two scales of powers of ten, with a value each as their colour and size.

use std::ops::Range;

use anyhow::{Result, ensure};
use plotters::style::RGBColor;

use super::axis::{Axis, Scale};
use super::chart::{self, Align, Area, Chart, GREY, INK, LABEL, Texts};

/// A scatter plot.
#[derive(Debug)]
pub struct Scatter<'a> {
    /// What is seen.
    pub title: String,
    /// Of what.
    pub subtitle: String,
    /// What the axis across shows.
    pub x_caption: String,
    /// What the upright axis shows.
    pub y_caption: String,
    /// Where points may lie, across; above 0.
    pub x: Range<f64>,
    /// Where points may lie, upwards; above 0.
    pub y: Range<f64>,
    /// The points.
    pub spots: &'a [Spot],
    /// What the value is, with its unit.
    pub value: &'a str,
    /// What it means that there is none.
    pub missing: &'a str,
}

/// A point.
#[derive(Clone, Copy, Debug)]
pub struct Spot {
    /// Place across.
    pub x: f64,
    /// Place upwards.
    pub y: f64,
    /// Its value, if there is one.
    pub value: Option<f64>,
}

/// Dark blue to yellow through grey, as light as the value is high: cividis, made to look alike to all kinds of colour vision
/// (Nuñez, Anderton, Renslow 2018), at nine places.
const SHADES: [RGBColor; 9] = [
    RGBColor(0x00, 0x22, 0x4E),
    RGBColor(0x1B, 0x3A, 0x6D),
    RGBColor(0x41, 0x4D, 0x6B),
    RGBColor(0x5F, 0x62, 0x70),
    RGBColor(0x7C, 0x7B, 0x78),
    RGBColor(0x9B, 0x93, 0x74),
    RGBColor(0xBC, 0xAF, 0x6A),
    RGBColor(0xDE, 0xCB, 0x55),
    RGBColor(0xFE, 0xE8, 0x38),
];

const AREA: Area = Area { x: 84..640, y: 76..444 };

impl Scatter<'_> {
    /// The picture as an SVG.
    pub fn draw(&self) -> Result<String> {
        ensure!(self.x.start > 0.0 && self.y.start > 0.0, "a scale of powers of ten has no place for 0");
        let axis = |range: &Range<f64>| Axis::around(Scale::Logarithmic, &[range.start.log10(), range.end.log10()]);
        let texts = Texts {
            title: self.title.clone(),
            subtitle: self.subtitle.clone(),
            x_caption: self.x_caption.clone(),
            y_caption: self.y_caption.clone(),
        };
        let values = || self.spots.iter().filter_map(|spot| spot.value);
        let (low, high) = values().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        chart::render(chart::SHEET, &AREA, (&axis(&self.x), &axis(&self.y)), &texts, |chart| {
            let part = |value: f64| if high > low { (value - low) / (high - low) } else { 1.0 };
            let mut spots: Vec<&Spot> = self.spots.iter().collect();
            // The best last, so that nothing covers it.
            spots.sort_by(|a, b| a.value.unwrap_or(f64::MIN).total_cmp(&b.value.unwrap_or(f64::MIN)));
            for spot in &spots {
                let point = (spot.x.log10(), spot.y.log10());
                match spot.value {
                    Some(value) => {
                        let radius = 5.0 + 4.0 * part(value);
                        chart.dot(point, radius + 1.0, &INK)?;
                        chart.dot(point, radius, &shade(part(value)))?;
                    }
                    None => chart.cross(chart.pixel(point.0, point.1), 5.0, &GREY)?,
                }
            }
            if let Some((spot, value)) = spots.last().and_then(|spot| Some((spot, spot.value?))) {
                name_best(chart, &spots, spot, value)?;
            }
            self.key(chart, (low, high))
        })
    }

    /// What the colours mean, right of the plot.
    fn key(&self, chart: &Chart, (low, high): (f64, f64)) -> Result<()> {
        let left = AREA.x.end as f64 + 24.0;
        chart.text(self.value, (left - 4.0, 84.0), LABEL, Align::Left)?;
        let mut height = 108.0;
        if low <= high {
            for step in (0..=4).rev() {
                let part = f64::from(step) / 4.0;
                let value = low + part * (high - low);
                let radius = 5.0 + 4.0 * part;
                chart.spot((left + 8.0, height), radius + 1.0, &INK)?;
                chart.spot((left + 8.0, height), radius, &shade(part))?;
                chart.text(&format!("{value:.1}"), (left + 28.0, height), LABEL, Align::Left)?;
                height += 26.0;
            }
        }
        if self.spots.iter().any(|spot| spot.value.is_none()) {
            chart.cross((left + 8.0, height), 5.0, &GREY)?;
            chart.text(self.missing, (left + 28.0, height), LABEL, Align::Left)?;
        }
        Ok(())
    }
}

/// Writes the value of the best beside it, where the fewest others are covered.
fn name_best(chart: &Chart, spots: &[&Spot], best: &Spot, value: f64) -> Result<()> {
    let pixel = |spot: &Spot| chart.pixel(spot.x.log10(), spot.y.log10());
    let (x, y) = pixel(best);
    let font = chart::Font { bold: true, colour: INK, ..LABEL };
    let text = format!("best {value:.1}");
    let width = chart::text_width(&text, font);
    let places = [
        (x + 16.0, y, Align::Left),
        (x - 16.0, y, Align::Right),
        (x, y - 20.0, Align::Middle),
        (x, y + 20.0, Align::Middle),
    ];
    let covered = |&(x, y, align): &(f64, f64, Align)| {
        let left = match align {
            Align::Left => x,
            Align::Middle => x - width / 2.0,
            Align::Right => x - width,
        };
        let inside = |(across, height): (f64, f64)| {
            (left - 9.0..left + width + 9.0).contains(&across) && (y - 15.0..y + 15.0).contains(&height)
        };
        let is_outside = left + width > f64::from(AREA.x.end) || left < f64::from(AREA.x.start);
        (is_outside, spots.iter().filter(|spot| inside(pixel(spot))).count())
    };
    let (x, y, align) = places.into_iter().min_by_key(covered).expect("there are four places");
    chart.text(&text, (x, y), font, align)
}

/// The colour of a value at a part of the way from the lowest to the highest.
fn shade(part: f64) -> RGBColor {
    let place = part.clamp(0.0, 1.0) * (SHADES.len() - 1) as f64;
    let below = (place as usize).min(SHADES.len() - 2);
    let rest = place - below as f64;
    let (RGBColor(r, g, b), RGBColor(red, green, blue)) = (SHADES[below], SHADES[below + 1]);
    let mix = |from: u8, to: u8| (f64::from(from) + rest * (f64::from(to) - f64::from(from))).round() as u8;
    RGBColor(mix(r, red), mix(g, green), mix(b, blue))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shades_run_from_dark_to_light() {
        let light = |part: f64| {
            let RGBColor(r, g, b) = shade(part);
            0.3 * f64::from(r) + 0.6 * f64::from(g) + 0.1 * f64::from(b)
        };
        assert_eq!(shade(0.0), SHADES[0]);
        assert_eq!(shade(1.0), SHADES[8]);
        assert!((0..20).all(|step| light(f64::from(step) / 20.0) < light(f64::from(step + 1) / 20.0)));
    }

    #[test]
    fn the_name_of_the_best_covers_no_other() {
        // Alone it stands on the right; with a neighbour there, on the left; near an edge, within the plot.
        let anchor = |spots: &[Spot]| {
            let text = String::new;
            let (x, y) = (1e-5..1e-1, 1e-6..1.0);
            let scatter = Scatter {
                title: text(),
                subtitle: text(),
                x_caption: text(),
                y_caption: text(),
                x,
                y,
                spots,
                value: "",
                missing: "",
            };
            let svg = scatter.draw().unwrap();
            let at = svg.find("best").unwrap();
            let element = &svg[svg[..at].rfind("<text").unwrap()..at];
            ["start", "end", "middle"].into_iter().find(|anchor| element.contains(anchor)).unwrap_or("start")
        };
        let best = Spot { x: 1e-3, y: 1e-3, value: Some(2.0) };
        assert_eq!(anchor(&[best]), "start");
        assert_eq!(anchor(&[Spot { x: 2.5e-3, value: Some(1.0), ..best }, best]), "end");
        assert_eq!(anchor(&[Spot { x: 0.09, ..best }]), "end");
    }

    #[test]
    fn the_best_is_named_and_what_is_missing_is_explained() {
        let spots = [
            Spot { x: 1e-3, y: 1e-2, value: Some(31.0) },
            Spot { x: 9e-2, y: 1e-2, value: Some(38.5) },
            Spot { x: 9e-2, y: 0.9, value: None },
        ];
        let text = String::new;
        let (title, subtitle, x_caption, y_caption) = (text(), text(), text(), text());
        let (x, y) = (1e-5..1e-1, 1e-6..1.0);
        let scatter = |spots| {
            let (title, subtitle, x_caption, y_caption) =
                (title.clone(), subtitle.clone(), x_caption.clone(), y_caption.clone());
            let (x, y) = (x.clone(), y.clone());
            Scatter { title, subtitle, x_caption, y_caption, x, y, spots, value: "accuracy (%)", missing: "diverged" }
        };
        let svg = scatter(&spots).draw().unwrap();
        for wanted in ["best 38.5", "accuracy (%)", "diverged", "31.0"] {
            assert!(svg.contains(wanted), "{wanted}");
        }
        scatter(&spots[2..]).draw().unwrap();
        scatter(&[]).draw().unwrap();
    }
}
