//! A sheet of pixels that plotters draws on, for pictures that move.
//!
//! It is drawn larger than it is shown, and averaged: that smooths the edges. Texts are set afterwards, at their real size.

use std::io;

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, RasterizedChar, get_raster, get_raster_width};
use plotters_backend::text_anchor::HPos;
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind, FontStyle,
    FontTransform, rasterizer,
};

use super::chart::{Backend, HEIGHT, WIDTH};

/// Red, green and blue.
pub(super) type Pixel = [u8; 3];

/// Pixels of the drawing for one pixel shown, along each side.
const OVERSAMPLING: usize = 2;

/// The height of a line of the font over the size that plotters' texts are given in.
const LINE_HEIGHT: f64 = 1.3;

/// A white sheet under work, and the texts that will stand on it.
#[derive(Clone)]
pub(super) struct Raster {
    width: usize,
    height: usize,
    pixels: Vec<Pixel>,
    texts: Vec<Label>,
}

/// A text whose anchor is at a pixel of the drawing.
#[derive(Clone)]
struct Label {
    text: String,
    at: BackendCoord,
    anchor: HPos,
    colour: Pixel,
    weight: FontWeight,
    height: RasterHeight,
    is_upright: bool,
}

impl Raster {
    /// A white sheet of the size of all charts.
    pub(super) fn new() -> Self {
        let [width, height] = [WIDTH, HEIGHT].map(|side| side as usize * OVERSAMPLING);
        Self { width, height, pixels: vec![[255; 3]; width * height], texts: Vec::new() }
    }

    /// The picture, row by row, at its real size.
    pub(super) fn shown(&self) -> Vec<Pixel> {
        let [width, height] = [self.width, self.height].map(|side| side / OVERSAMPLING);
        let mut shown = Vec::with_capacity(width * height);
        for rows in self.pixels.chunks_exact(OVERSAMPLING * self.width) {
            let (upper, lower) = rows.as_chunks::<OVERSAMPLING>().0.split_at(width);
            shown.extend(upper.iter().zip(lower).map(|(upper, lower)| average([*upper, *lower])));
        }
        for label in &self.texts {
            label.draw(&mut shown, width, height);
        }
        shown
    }
}

/// The average of a square of pixels.
fn average(square: [[Pixel; OVERSAMPLING]; OVERSAMPLING]) -> Pixel {
    let [[a, b], [c, d]] = square;
    // So it is almost everywhere.
    if a == b && c == d && a == c {
        return a;
    }
    let level = |i: usize| [a, b, c, d].iter().map(|pixel| u32::from(pixel[i])).sum::<u32>();
    [0, 1, 2].map(|i| ((level(i) + 2) / 4) as u8)
}

/// `under` with `share` of `over` on it, the share being from 0 to 1.
fn blend(under: Pixel, over: Pixel, share: f64) -> Pixel {
    let level = |channel: usize| {
        let (under, over) = (f64::from(under[channel]), f64::from(over[channel]));
        (under + share * (over - under)).round() as u8
    };
    [0, 1, 2].map(level)
}

impl Label {
    /// Sets the text, letter by letter; what leaves the sheet is cut.
    fn draw(&self, pixels: &mut [Pixel], width: usize, height: usize) {
        let letter = get_raster_width(self.weight, self.height);
        let length = (self.text.chars().count() * letter) as i32;
        let start = match self.anchor {
            HPos::Left => 0,
            HPos::Center => -length / 2,
            HPos::Right => -length,
        };
        let half = self.height.val() as i32 / 2;
        let (left, top) = (self.at.0 / OVERSAMPLING as i32, self.at.1 / OVERSAMPLING as i32);
        for (index, character) in self.text.chars().enumerate() {
            let Some(glyph) = self.glyph(character) else { continue };
            for (row, coverages) in glyph.rows().enumerate() {
                for (column, &coverage) in coverages.iter().enumerate() {
                    // Along the line and across it, from the anchor.
                    let along = start + (index * letter + column) as i32;
                    let across = row as i32 - half;
                    let (x, y) =
                        if self.is_upright { (left + across, top - along) } else { (left + along, top + across) };
                    if (0..width as i32).contains(&x) && (0..height as i32).contains(&y) {
                        let pixel = &mut pixels[y as usize * width + x as usize];
                        *pixel = blend(*pixel, self.colour, f64::from(coverage) / 255.0);
                    }
                }
            }
        }
    }

    /// The picture of a letter; of a question mark for one that the font lacks.
    fn glyph(&self, letter: char) -> Option<RasterizedChar> {
        get_raster(letter, self.weight, self.height).or(get_raster('?', self.weight, self.height))
    }
}

impl Backend for &mut Raster {
    const UNITS: i32 = OVERSAMPLING as i32;
    /// Letters of 8 pixels for sizes of 12 and 13, and of 12 for a title of 18.
    const LETTER: [f64; 2] = [0.65, 0.67];
}

impl DrawingBackend for &mut Raster {
    type ErrorType = io::Error;

    fn get_size(&self) -> (u32, u32) {
        (self.width as u32, self.height as u32)
    }

    fn ensure_prepared(&mut self) -> Result<(), DrawingErrorKind<io::Error>> {
        Ok(())
    }

    fn present(&mut self) -> Result<(), DrawingErrorKind<io::Error>> {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, colour: BackendColor) -> Result<(), DrawingErrorKind<io::Error>> {
        let (width, height) = (self.width as i32, self.height as i32);
        if (0..width).contains(&x) && (0..height).contains(&y) {
            let (red, green, blue) = colour.rgb;
            let pixel = &mut self.pixels[(y * width + x) as usize];
            *pixel = blend(*pixel, [red, green, blue], colour.alpha);
        }
        Ok(())
    }

    /// Segment by segment, with round joints: the mitred ones of a path that turns back are spikes.
    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Result<(), DrawingErrorKind<io::Error>> {
        let mut points: Vec<BackendCoord> = path.into_iter().collect();
        points.dedup();
        let width = style.stroke_width();
        for ends in points.windows(2) {
            if width <= 1 {
                self.draw_line(ends[0], ends[1], style)?;
            } else {
                self.fill_polygon(rasterizer::polygonize(ends, width), &style.color())?;
            }
        }
        // A round joint of a colour that shines through would be seen twice.
        if width > 2 && style.color().alpha == 1.0 {
            for &joint in points.iter().skip(1).rev().skip(1) {
                self.draw_circle(joint, width / 2, &style.color(), true)?;
            }
        }
        Ok(())
    }

    fn draw_text<S: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &S,
        at: BackendCoord,
    ) -> Result<(), DrawingErrorKind<io::Error>> {
        let (red, green, blue) = style.color().rgb;
        // What the chart multiplies sizes by, undone.
        let height = style.size() / 1.24 / OVERSAMPLING as f64 * LINE_HEIGHT;
        self.texts.push(Label {
            text: text.into(),
            at,
            anchor: style.anchor().h_pos,
            colour: [red, green, blue],
            weight: if matches!(style.style(), FontStyle::Bold) { FontWeight::Bold } else { FontWeight::Regular },
            height: match height {
                ..18.0 => RasterHeight::Size16,
                ..22.0 => RasterHeight::Size20,
                _ => RasterHeight::Size24,
            },
            is_upright: matches!(style.transform(), FontTransform::Rotate270),
        });
        Ok(())
    }
}
