//! The sheet that the curves are drawn on: heading, legend, frame and plot area.

use std::ops::Range;

use anyhow::Result;
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::Axis;

/// Size of a picture in pixels.
pub(super) const WIDTH: u32 = 800;
pub(super) const HEIGHT: u32 = 500;

/// Plotters puts everything on whole units, which makes steps of gentle slopes. A picture is
/// therefore drawn this many times larger, and shown at its size by the header of the SVG.
const UNITS: i32 = 10;

/// Blue, sky blue, vermillion: the colours of Okabe and Ito stay apart for every kind of colour
/// vision.
pub(super) const BLUE: RGBColor = RGBColor(0x00, 0x72, 0xB2);
pub(super) const SKY: RGBColor = RGBColor(0x56, 0xB4, 0xE9);
pub(super) const VERMILLION: RGBColor = RGBColor(0xD5, 0x5E, 0x00);
pub(super) const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
pub(super) const GREY: RGBColor = RGBColor(0x5A, 0x5A, 0x5A);
const RULE: RGBColor = RGBColor(0xE4, 0xE4, 0xE4);

/// Heights of the lines above the plot, from the top of the sheet.
const TITLE_HEIGHT: f64 = 28.0;
const SUBTITLE_HEIGHT: f64 = 50.0;
const LEGEND_HEIGHT: f64 = 74.0;

/// Where the plot area lies on the sheet, in pixels.
pub(super) struct Area {
    pub x: Range<i32>,
    pub y: Range<i32>,
}

/// Where a text stands relative to its point.
#[derive(Clone, Copy)]
pub(super) enum Align {
    Left,
    Middle,
    Right,
}

/// How a text looks.
#[derive(Clone, Copy)]
pub(super) struct Font {
    pub size: f64,
    pub bold: bool,
    pub colour: RGBColor,
}

pub(super) const TITLE: Font = Font { size: 18.0, bold: true, colour: INK };
pub(super) const CAPTION: Font = Font { size: 13.0, bold: false, colour: GREY };
pub(super) const LABEL: Font = Font { size: 12.0, bold: false, colour: GREY };

/// One entry of the legend: a stroke and what it stands for.
pub(super) struct Entry {
    pub text: String,
    pub colour: RGBAColor,
    pub width: f64,
}

/// What the sheet says around the plot area.
pub(super) struct Texts {
    pub title: String,
    pub subtitle: String,
    pub x_caption: String,
    pub y_caption: String,
}

/// A sheet under work. Points of curves are positions on the axes, texts stand at pixels.
pub(super) struct Chart<'a> {
    sheet: DrawingArea<SVGBackend<'a>, Shift>,
    plot: DrawingArea<SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>,
    area: &'a Area,
}

/// Draws a sheet with its frame and texts, lets `paint` add the curves, and returns the SVG.
pub(super) fn render(
    area: &Area,
    axes: (&Axis, &Axis),
    texts: &Texts,
    paint: impl FnOnce(&Chart) -> Result<()>,
) -> Result<String> {
    let mut svg = String::new();
    let size = (WIDTH * UNITS as u32, HEIGHT * UNITS as u32);
    let sheet = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    let units = |pixels: &Range<i32>| pixels.start * UNITS..pixels.end * UNITS;
    let upwards = area.y.end * UNITS..area.y.start * UNITS;
    let (x_range, y_range) = (axes.0.range.clone(), axes.1.range.clone());
    let coordinates = Cartesian2d::new(x_range, y_range, (units(&area.x), upwards));
    let plot = sheet.apply_coord_spec(coordinates);
    let chart = Chart { sheet, plot, area };
    chart.sheet.fill(&WHITE)?;
    chart.frame(axes, texts)?;
    paint(&chart)?;
    chart.sheet.present()?;
    drop(chart);
    Ok(at_real_size(&svg, size))
}

/// The same SVG, shown at the size of the picture; its corners are rounded, because the mitred
/// ones of a noisy curve reach far beyond its values.
fn at_real_size(svg: &str, (width, height): (u32, u32)) -> String {
    let drawn = format!(r#"<svg width="{width}" height="{height}""#);
    let shown = format!(r#"<svg width="{WIDTH}" height="{HEIGHT}" stroke-linejoin="round""#);
    svg.replacen(&drawn, &shown, 1)
}

impl Chart<'_> {
    /// Grid, axes, tick labels, captions and heading.
    fn frame(&self, (x_axis, y_axis): (&Axis, &Axis), texts: &Texts) -> Result<()> {
        let Area { x, y } = self.area;
        for tick in &y_axis.ticks {
            let (_, height) = self.pixel(x_axis.range.start, tick.position);
            self.stroke(&[(x.start as f64, height), (x.end as f64, height)], &RULE, 1.0)?;
            self.text(&tick.label, (x.start as f64 - 8.0, height), LABEL, Align::Right)?;
        }
        let (left, right, bottom) = (x.start as f64, x.end as f64, y.end as f64);
        self.stroke(&[(left, bottom), (right, bottom)], &GREY, 1.0)?;
        for tick in &x_axis.ticks {
            let (across, _) = self.pixel(tick.position, y_axis.range.start);
            self.stroke(&[(across, bottom), (across, bottom + 5.0)], &GREY, 1.0)?;
            self.text(&tick.label, (across, bottom + 15.0), LABEL, Align::Middle)?;
        }
        let middle = f64::midpoint(left, right);
        self.text(&texts.x_caption, (middle, bottom + 40.0), CAPTION, Align::Middle)?;
        let widths = y_axis.ticks.iter().map(|tick| text_width(&tick.label, LABEL));
        let caption = (left - widths.fold(0.0, f64::max) - 24.0).max(10.0);
        self.upright(&texts.y_caption, (caption, f64::midpoint(y.start as f64, bottom)))?;
        self.fitted(&texts.title, (left, TITLE_HEIGHT), TITLE)?;
        self.fitted(&texts.subtitle, (left, SUBTITLE_HEIGHT), CAPTION)
    }

    /// The pixel of a point of the plot.
    pub(super) fn pixel(&self, x: f64, y: f64) -> (f64, f64) {
        let (x, y) = self.plot.map_coordinate(&(x, y));
        (f64::from(x) / f64::from(UNITS), f64::from(y) / f64::from(UNITS))
    }

    /// A line through points of the plot.
    pub(super) fn line(&self, points: Vec<(f64, f64)>, colour: &impl Color, width: f64) -> Result<()> {
        Ok(self.plot.draw(&PathElement::new(points, style(colour, width)))?)
    }

    /// A filled circle at a point of the plot, `radius` pixels large.
    pub(super) fn dot(&self, point: (f64, f64), radius: f64, colour: &impl Color) -> Result<()> {
        Ok(self.plot.draw(&Circle::new(point, units(radius), colour.filled()))?)
    }

    /// A band over the whole height of the plot.
    pub(super) fn band(&self, x: Range<f64>, y: &Range<f64>, colour: &impl Color) -> Result<()> {
        let corners = [(x.start, y.start), (x.end, y.end)];
        Ok(self.plot.draw(&Rectangle::new(corners, colour.filled()))?)
    }

    /// A dotted level line over the whole width of the plot.
    pub(super) fn dotted(&self, level: f64, x: &Range<f64>, colour: &RGBColor) -> Result<()> {
        let ends = [(x.start, level), (x.end, level)];
        let dots = DashedPathElement::new(ends, units(2.0), units(4.0), style(colour, 1.5));
        Ok(self.plot.draw(&dots)?)
    }

    /// A line through pixels of the sheet.
    pub(super) fn stroke(&self, pixels: &[(f64, f64)], colour: &impl Color, width: f64) -> Result<()> {
        let points: Vec<_> = pixels.iter().map(|pixel| on_sheet(*pixel)).collect();
        Ok(self.sheet.draw(&PathElement::new(points, style(colour, width)))?)
    }

    /// A thin vertical line over the height of the plot, with a short label above it.
    pub(super) fn upper_tick(&self, across: f64, label: &str) -> Result<()> {
        let (top, bottom) = (self.area.y.start as f64, self.area.y.end as f64);
        self.stroke(&[(across, top - 4.0), (across, bottom)], &RULE, 1.0)?;
        self.text(label, (across, top - 12.0), LABEL, Align::Middle)
    }

    /// A row of legend entries under the heading, where no curve can run into it.
    pub(super) fn legend(&self, entries: &[Entry]) -> Result<()> {
        let mut left = self.area.x.start as f64;
        for entry in entries {
            let swatch = [(left, LEGEND_HEIGHT), (left + 22.0, LEGEND_HEIGHT)];
            self.stroke(&swatch, &entry.colour, entry.width)?;
            self.text(&entry.text, (left + 29.0, LEGEND_HEIGHT), LABEL, Align::Left)?;
            left += 29.0 + text_width(&entry.text, LABEL) + 18.0;
        }
        Ok(())
    }

    /// A text whose vertical middle is at a pixel.
    pub(super) fn text(&self, text: &str, at: (f64, f64), font: Font, align: Align) -> Result<()> {
        let style = text_style(font, align);
        Ok(self.sheet.draw(&Text::new(text, on_sheet(at), style))?)
    }

    /// A caption that reads upwards.
    fn upright(&self, text: &str, at: (f64, f64)) -> Result<()> {
        let style = text_style(CAPTION, Align::Middle).transform(FontTransform::Rotate270);
        Ok(self.sheet.draw(&Text::new(text, on_sheet(at), style))?)
    }

    /// A text of the heading: set smaller, then cut, when it would leave the sheet.
    fn fitted(&self, text: &str, at: (f64, f64), font: Font) -> Result<()> {
        let room = f64::from(WIDTH) - at.0 - 10.0;
        let shrink = (room / text_width(text, font)).clamp(0.7, 1.0);
        let font = Font { size: font.size * shrink, ..font };
        let letters = (room / text_width("x", font)) as usize;
        if text.chars().count() <= letters {
            return self.text(text, at, font, Align::Left);
        }
        let cut: String = text.chars().take(letters - 1).collect();
        self.text(&format!("{cut}…"), at, font, Align::Left)
    }
}

/// About how wide a text is, generously: the SVG does not know the fonts of its reader.
pub(super) fn text_width(text: &str, font: Font) -> f64 {
    let letter = if font.bold { 0.66 } else { 0.58 };
    text.chars().count() as f64 * letter * font.size
}

fn style(colour: &impl Color, width: f64) -> ShapeStyle {
    colour.stroke_width(units(width) as u32)
}

fn text_style(font: Font, align: Align) -> TextStyle<'static> {
    let weight = if font.bold { FontStyle::Bold } else { FontStyle::Normal };
    let horizontal = match align {
        Align::Left => HPos::Left,
        Align::Middle => HPos::Center,
        Align::Right => HPos::Right,
    };
    // Plotters writes 1/1.24 of the size that it is given.
    let size = font.size * f64::from(UNITS) * 1.24;
    TextStyle {
        font: FontDesc::new(FontFamily::SansSerif, size, weight),
        color: font.colour.to_backend_color(),
        pos: Pos::new(horizontal, VPos::Center),
    }
}

fn units(pixels: f64) -> i32 {
    (pixels * f64::from(UNITS)).round() as i32
}

fn on_sheet((x, y): (f64, f64)) -> (i32, i32) {
    (units(x), units(y))
}
