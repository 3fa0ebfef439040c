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

/// Blue, sky blue, vermillion: the colours of Okabe and Ito stay apart for every kind of colour
/// vision.
pub(super) const BLUE: RGBColor = RGBColor(0x00, 0x72, 0xB2);
pub(super) const SKY: RGBColor = RGBColor(0x56, 0xB4, 0xE9);
pub(super) const VERMILLION: RGBColor = RGBColor(0xD5, 0x5E, 0x00);
/// The colours of several things side by side, of Okabe and Ito too; their yellow would not be seen on white.
pub(super) const SERIES: [RGBColor; 7] = [
    RGBColor(0x00, 0x00, 0x00),
    BLUE,
    VERMILLION,
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0xE6, 0x9F, 0x00),
    SKY,
];
/// What one of several curves is drawn with.
#[derive(Clone, Copy)]
pub(super) struct Pen {
    pub colour: RGBColor,
    /// Whether a line has a white core: the colours come round again.
    pub is_hollow: bool,
    /// Width of a line, in pixels.
    pub width: f64,
}

/// Width of the last of several curves, and by how much each one before it is wider.
const THINNEST: f64 = 1.8;
const WIDER: f64 = 0.5;

/// The pens of so many curves, in the order in which they are drawn: each is thinner than those before, whose edges are seen where it
/// lies on them.
pub(super) fn pens(count: usize) -> impl Iterator<Item = Pen> {
    let colours = [false, true].into_iter().flat_map(|is_hollow| SERIES.map(|colour| (colour, is_hollow)));
    colours.take(count).enumerate().map(move |(row, (colour, is_hollow))| {
        let width = if is_hollow { 4.0 } else { THINNEST + WIDER * (count.min(SERIES.len()) - 1 - row) as f64 };
        Pen { colour, is_hollow, width }
    })
}

/// The most curves on one sheet: the legend of more would not fit beside the plot.
pub const MOST_CURVES: usize = 11;

pub(super) const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
pub(super) const GREY: RGBColor = RGBColor(0x5A, 0x5A, 0x5A);
pub(super) const RULE: RGBColor = RGBColor(0xE4, 0xE4, 0xE4);

/// Heights of the lines above the plot, from the top of the sheet.
const TITLE_HEIGHT: f64 = 28.0;
const SUBTITLE_HEIGHT: f64 = 50.0;

/// A sheet, in pixels.
#[derive(Clone, Copy)]
pub(super) struct Paper {
    pub width: u32,
    pub height: u32,
    /// Where the legend stands, from the top.
    pub legend: f64,
}

/// A picture with a title.
pub(super) const SHEET: Paper = Paper { width: WIDTH, height: HEIGHT, legend: 74.0 };

/// A picture without a title, whose letters can be read at the width of a phone.
pub(super) const NARROW: Paper = Paper { width: 420, height: 300, legend: 16.0 };

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

/// One entry of the legend beside a plot.
pub(super) struct SideEntry {
    pub name: String,
    pub detail: String,
    pub pen: Pen,
}

/// From one entry of a legend beside a plot to the next, where there is room.
pub(super) const SIDE_ENTRY_HEIGHT: f64 = 40.0;

/// What the sheet says around the plot area.
pub(super) struct Texts {
    pub title: String,
    pub subtitle: String,
    pub x_caption: String,
    pub y_caption: String,
}

/// What a sheet is drawn with: an SVG, or pixels.
pub(super) trait Backend: DrawingBackend<ErrorType = std::io::Error> {
    /// Plotters puts everything on whole units, which makes steps of gentle slopes. A picture is therefore drawn this many
    /// times larger than it is shown.
    const UNITS: i32;
    /// About how wide a letter is, as a part of the font's size: plain, and bold.
    const LETTER: [f64; 2];
}

/// Its header shows an SVG at its size.
impl Backend for SVGBackend<'_> {
    const UNITS: i32 = 10;
    /// Generously: the SVG does not know the fonts of its reader.
    const LETTER: [f64; 2] = [0.58, 0.66];
}

/// A sheet under work. Points of curves are positions on the axes, texts stand at pixels.
pub(super) struct Chart<'a, B: Backend = SVGBackend<'a>> {
    sheet: DrawingArea<B, Shift>,
    plot: DrawingArea<B, Cartesian2d<RangedCoordf64, RangedCoordf64>>,
    area: &'a Area,
    paper: Paper,
}

/// Draws a sheet with its frame and texts, lets `paint` add the curves, and returns the SVG.
pub(super) fn render(
    paper: Paper,
    area: &Area,
    axes: (&Axis, &Axis),
    texts: &Texts,
    paint: impl FnOnce(&Chart) -> Result<()>,
) -> Result<String> {
    let mut svg = String::new();
    let size = [paper.width, paper.height].map(|pixels| pixels * SVGBackend::UNITS as u32);
    let chart = Chart::new(SVGBackend::with_string(&mut svg, size.into()), paper, area, axes);
    chart.sheet.fill(&WHITE)?;
    chart.frame(axes, texts)?;
    paint(&chart)?;
    chart.sheet.present()?;
    drop(chart);
    Ok(at_real_size(&svg, size, paper))
}

/// The same SVG, shown at the size of the picture; its corners are rounded, because the mitred
/// ones of a noisy curve reach far beyond its values.
fn at_real_size(svg: &str, [width, height]: [u32; 2], paper: Paper) -> String {
    let drawn = format!(r#"<svg width="{width}" height="{height}""#);
    let shown = format!(r#"<svg width="{}" height="{}" stroke-linejoin="round""#, paper.width, paper.height);
    svg.replacen(&drawn, &shown, 1)
}

impl<'a, B: Backend> Chart<'a, B> {
    /// An empty sheet with a plot of these axes.
    pub(super) fn new(backend: B, paper: Paper, area: &'a Area, axes: (&Axis, &Axis)) -> Self {
        let sheet = backend.into_drawing_area();
        let units = |pixels: &Range<i32>| pixels.start * B::UNITS..pixels.end * B::UNITS;
        let upwards = area.y.end * B::UNITS..area.y.start * B::UNITS;
        let (x_range, y_range) = (axes.0.range.clone(), axes.1.range.clone());
        let plot = sheet.apply_coord_spec(Cartesian2d::new(x_range, y_range, (units(&area.x), upwards)));
        Self { sheet, plot, area, paper }
    }

    /// Grid, axes, tick labels, captions and heading.
    pub(super) fn frame(&self, (x_axis, y_axis): (&Axis, &Axis), texts: &Texts) -> Result<()> {
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
        let widths = y_axis.ticks.iter().map(|tick| Self::text_width(&tick.label, LABEL));
        let caption = (left - widths.fold(0.0, f64::max) - 24.0).max(10.0);
        self.upright(&texts.y_caption, (caption, f64::midpoint(y.start as f64, bottom)), CAPTION, Align::Middle)?;
        self.fitted(&texts.title, (left, TITLE_HEIGHT), TITLE)?;
        self.fitted(&texts.subtitle, (left, SUBTITLE_HEIGHT), CAPTION)
    }

    /// The pixel of a point of the plot.
    pub(super) fn pixel(&self, x: f64, y: f64) -> (f64, f64) {
        let (x, y) = self.plot.map_coordinate(&(x, y));
        (f64::from(x) / f64::from(B::UNITS), f64::from(y) / f64::from(B::UNITS))
    }

    /// A line through points of the plot.
    pub(super) fn line(&self, points: Vec<(f64, f64)>, colour: &impl Color, width: f64) -> Result<()> {
        Ok(self.plot.draw(&PathElement::new(points, Self::style(colour, width)))?)
    }

    /// A curve through points of the plot.
    pub(super) fn curve(&self, points: Vec<(f64, f64)>, pen: Pen) -> Result<()> {
        if pen.is_hollow {
            self.line(points.clone(), &pen.colour, pen.width)?;
            return self.line(points, &WHITE, 0.4 * pen.width);
        }
        self.line(points, &pen.colour, pen.width)
    }

    /// The point that a growing curve has come to, `radius` pixels large.
    pub(super) fn head(&self, point: (f64, f64), radius: f64, pen: Pen) -> Result<()> {
        self.dot(point, radius + 1.0, &WHITE)?;
        self.dot(point, radius, &pen.colour)?;
        if pen.is_hollow { self.dot(point, 0.4 * radius, &WHITE) } else { Ok(()) }
    }

    /// A filled circle at a point of the plot, `radius` pixels large.
    pub(super) fn dot(&self, point: (f64, f64), radius: f64, colour: &impl Color) -> Result<()> {
        Ok(self.plot.draw(&Circle::new(point, Self::units(radius), colour.filled()))?)
    }

    /// A filled circle at a pixel of the sheet.
    pub(super) fn spot(&self, at: (f64, f64), radius: f64, colour: &impl Color) -> Result<()> {
        Ok(self.sheet.draw(&Circle::new(Self::on_sheet(at), Self::units(radius), colour.filled()))?)
    }

    /// A band over the whole height of the plot.
    pub(super) fn band(&self, x: Range<f64>, y: &Range<f64>, colour: &impl Color) -> Result<()> {
        let corners = [(x.start, y.start), (x.end, y.end)];
        Ok(self.plot.draw(&Rectangle::new(corners, colour.filled()))?)
    }

    /// A filled rectangle between two points of the plot.
    pub(super) fn rectangle(&self, corners: [(f64, f64); 2], colour: &impl Color) -> Result<()> {
        Ok(self.plot.draw(&Rectangle::new(corners, colour.filled()))?)
    }

    /// A dotted level line over the whole width of the plot.
    pub(super) fn dotted(&self, level: f64, x: &Range<f64>, colour: &RGBColor) -> Result<()> {
        let ends = [(x.start, level), (x.end, level)];
        let dots = DashedPathElement::new(ends, Self::units(2.0), Self::units(4.0), Self::style(colour, 1.5));
        Ok(self.plot.draw(&dots)?)
    }

    /// A line through pixels of the sheet.
    pub(super) fn stroke(&self, pixels: &[(f64, f64)], colour: &impl Color, width: f64) -> Result<()> {
        let points: Vec<_> = pixels.iter().map(|pixel| Self::on_sheet(*pixel)).collect();
        Ok(self.sheet.draw(&PathElement::new(points, Self::style(colour, width)))?)
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
            let swatch = [(left, self.paper.legend), (left + 22.0, self.paper.legend)];
            self.stroke(&swatch, &entry.colour, entry.width)?;
            self.text(&entry.text, (left + 29.0, self.paper.legend), LABEL, Align::Left)?;
            left += 29.0 + Self::text_width(&entry.text, LABEL) + 18.0;
        }
        Ok(())
    }

    /// A cross of two strokes at a pixel.
    pub(super) fn cross(&self, (x, y): (f64, f64), reach: f64, colour: &impl Color) -> Result<()> {
        self.stroke(&[(x - reach, y - reach), (x + reach, y + reach)], colour, 2.0)?;
        self.stroke(&[(x - reach, y + reach), (x + reach, y - reach)], colour, 2.0)
    }

    /// Entries one below the other right of the plot, between two heights: a stroke, a name, and a line about it in grey.
    pub(super) fn side_legend(&self, entries: &[SideEntry], top: f64, bottom: f64) -> Result<()> {
        let left = self.area.x.end as f64 + 20.0;
        let entry_height = SIDE_ENTRY_HEIGHT.min((bottom - top) / entries.len().max(1) as f64);
        for (row, entry) in entries.iter().enumerate() {
            let height = top + entry_height * row as f64;
            let swatch = [(left, height), (left + 22.0, height)];
            self.stroke(&swatch, &entry.pen.colour, 4.0)?;
            if entry.pen.is_hollow {
                self.stroke(&swatch, &WHITE, 1.6)?;
            }
            let name = Font { bold: true, colour: INK, ..LABEL };
            self.text(&entry.name, (left + 30.0, height), name, Align::Left)?;
            self.text(&entry.detail, (left + 30.0, height + 16.0), LABEL, Align::Left)?;
        }
        Ok(())
    }

    /// A text whose vertical middle is at a pixel.
    pub(super) fn text(&self, text: &str, at: (f64, f64), font: Font, align: Align) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let style = Self::text_style(font, align);
        Ok(self.sheet.draw(&Text::new(text, Self::on_sheet(at), style))?)
    }

    /// A text that reads upwards.
    pub(super) fn upright(&self, text: &str, at: (f64, f64), font: Font, align: Align) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let style = Self::text_style(font, align).transform(FontTransform::Rotate270);
        Ok(self.sheet.draw(&Text::new(text, Self::on_sheet(at), style))?)
    }

    /// A text of the heading: set smaller, then cut, when it would leave the sheet.
    fn fitted(&self, text: &str, at: (f64, f64), font: Font) -> Result<()> {
        let room = f64::from(self.paper.width) - at.0 - 10.0;
        let shrink = (room / Self::text_width(text, font)).clamp(0.7, 1.0);
        let font = Font { size: font.size * shrink, ..font };
        let letters = (room / Self::text_width("x", font)) as usize;
        if text.chars().count() <= letters {
            return self.text(text, at, font, Align::Left);
        }
        let cut: String = text.chars().take(letters - 1).collect();
        self.text(&format!("{cut}…"), at, font, Align::Left)
    }

    fn style(colour: &impl Color, width: f64) -> ShapeStyle {
        colour.stroke_width(Self::units(width) as u32)
    }

    fn text_style(font: Font, align: Align) -> TextStyle<'static> {
        let weight = if font.bold { FontStyle::Bold } else { FontStyle::Normal };
        let horizontal = match align {
            Align::Left => HPos::Left,
            Align::Middle => HPos::Center,
            Align::Right => HPos::Right,
        };
        // Plotters writes 1/1.24 of the size that it is given.
        let size = font.size * f64::from(B::UNITS) * 1.24;
        TextStyle {
            font: FontDesc::new(FontFamily::SansSerif, size, weight),
            color: font.colour.to_backend_color(),
            pos: Pos::new(horizontal, VPos::Center),
        }
    }

    /// About how wide a text is.
    fn text_width(text: &str, font: Font) -> f64 {
        text.chars().count() as f64 * B::LETTER[usize::from(font.bold)] * font.size
    }

    fn units(pixels: f64) -> i32 {
        (pixels * f64::from(B::UNITS)).round() as i32
    }

    fn on_sheet((x, y): (f64, f64)) -> (i32, i32) {
        (Self::units(x), Self::units(y))
    }
}

/// About how wide a text of an SVG is, generously.
pub(super) fn text_width(text: &str, font: Font) -> f64 {
    Chart::<SVGBackend>::text_width(text, font)
}
