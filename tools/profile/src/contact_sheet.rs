//! PNG contact sheets of small pictures: the templates that a linear classifier has learned, a network's filters, images with
//! the guesses about them.

mod guesses;

pub use guesses::{Group, Layout, sheet_of_guesses};

use anyhow::{Context, Result, ensure};
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

/// Width and height of CIFAR-10's images in pixels.
const SIDE: usize = 32;

/// Numbers of such an image: a red, a green and a blue plane, each row by row.
const VALUES: usize = 3 * SIDE * SIDE;

/// Width and height of the place of an enlarged picture.
const IMAGE: usize = 128;

/// Between the pictures and the edge of the sheet.
const MARGIN: usize = 24;

/// Between two pictures of a row, and between two rows.
const GUTTER: usize = 20;

/// Between a picture and its label.
const LABEL_GAP: usize = 4;

/// Between the title and the pictures.
const TITLE_GAP: usize = 16;

const LABEL: Face = Face(FontWeight::Regular, RasterHeight::Size16);
const TITLE: Face = Face(FontWeight::Bold, RasterHeight::Size20);

/// Darkness of the letters: black on white would outshine the pictures.
const INK: u8 = 0x22;

/// What stands in for weights that show nothing: constant or not finite ones.
const MID_GREY: u8 = 128;

/// Weights as a picture: a red, a green and a blue number for each pixel.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Written under it.
    label: String,
    width: usize,
    /// Row by row.
    pixels: Vec<[f32; 3]>,
}

impl Picture {
    /// A picture of CIFAR-10's size: `values` are the red, the green and the blue plane.
    pub fn planar(label: &str, values: &[f32]) -> Result<Self> {
        let plane = SIDE * SIDE;
        ensure!(values.len() == VALUES, "the picture of {label} has {} values instead of {VALUES}", values.len());
        let pixel = |at: usize| [0, 1, 2].map(|channel| values[channel * plane + at]);
        Ok(Self { label: label.into(), width: SIDE, pixels: (0..plane).map(pixel).collect() })
    }

    /// A picture whose `values` are red, green and blue for each pixel, row by row.
    pub fn channels_last(label: &str, width: usize, values: &[f32]) -> Result<Self> {
        let (pixels, rest) = values.as_chunks::<3>();
        let is_whole = width > 0 && rest.is_empty() && pixels.len().is_multiple_of(width) && !pixels.is_empty();
        ensure!(is_whole, "the picture of {label} has {} values, which make no rows of {width} pixels", values.len());
        Ok(Self { label: label.into(), width, pixels: pixels.to_vec() })
    }

    /// What is written under it.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The picture alone, a pixel for each weight, as a PNG; stretched as on a sheet.
    pub fn png(&self) -> Result<Vec<u8>> {
        png_rgb(self.width, self.height(), rescaled(self).as_flattened())
    }

    fn height(&self) -> usize {
        self.pixels.len() / self.width
    }

    /// How many times it is enlarged, to fill its place.
    fn zoom(&self) -> usize {
        (IMAGE / self.width.max(self.height())).max(1)
    }
}

/// Draws pictures with their labels in a grid under a title, and returns the PNG.
///
/// Each picture is stretched on its own, its smallest weight to black and its largest to full
/// colour, over the three channels together, as in the well-known figure of the CS231n notes.
pub fn contact_sheet(pictures: &[Picture], title: &str) -> Result<Vec<u8>> {
    ensure!(!pictures.is_empty(), "a contact sheet needs at least one picture");
    let columns = columns(pictures.len());
    let width = 2 * MARGIN + columns * IMAGE + (columns - 1) * GUTTER;
    let title = wrapped(title, (width - 2 * MARGIN) / TITLE.letter_width());
    let top = grid_top(title.len());
    let rows = pictures.len().div_ceil(columns);
    let cell = IMAGE + LABEL_GAP + LABEL.height() + GUTTER;
    let mut sheet = Sheet::new(width, top + rows * cell - GUTTER + MARGIN);
    for (line, text) in title.iter().enumerate() {
        sheet.text(text, MARGIN, MARGIN + line * TITLE.height(), TITLE);
    }
    for (index, picture) in pictures.iter().enumerate() {
        let (row, column) = (index / columns, index % columns);
        let (left, top) = (MARGIN + column * (IMAGE + GUTTER), top + row * cell);
        sheet.picture(picture, left, top);
        sheet.label(&picture.label, left, top + IMAGE + LABEL_GAP);
    }
    png_rgb(sheet.width, sheet.height, &sheet.pixels)
}

/// Encodes rows of red, green and blue bytes as a PNG.
pub fn png_rgb(width: usize, height: usize, pixels: &[u8]) -> Result<Vec<u8>> {
    let expected = width.checked_mul(height).and_then(|count| count.checked_mul(3));
    ensure!(
        expected == Some(pixels.len()),
        "{} bytes do not make a picture of {width} x {height} pixels",
        pixels.len()
    );
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width.try_into()?, height.try_into()?);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Balanced);
    let mut writer = encoder.write_header().context("writing the head of a PNG")?;
    writer.write_image_data(pixels).context("writing the pixels of a PNG")?;
    writer.finish().context("finishing a PNG")?;
    Ok(file)
}

/// Columns of the grid: the fewest, in a grid at least as wide as high, that leave no place
/// empty; when only a long row could do that, a nearly square grid.
fn columns(count: usize) -> usize {
    let square = (count as f64).sqrt().ceil() as usize;
    let full = (square..2 * square).find(|columns| count.is_multiple_of(*columns));
    full.unwrap_or(square)
}

/// Where the pictures begin, under a title of so many lines.
fn grid_top(title_lines: usize) -> usize {
    match title_lines {
        0 => MARGIN,
        lines => MARGIN + lines * TITLE.height() + TITLE_GAP,
    }
}

/// The pixels of a picture, row by row, each channel between 0 and 255.
fn rescaled(picture: &Picture) -> Vec<[u8; 3]> {
    let finite = || picture.pixels.iter().flatten().copied().filter(|weight| weight.is_finite()).map(f64::from);
    let low = finite().fold(f64::INFINITY, f64::min);
    let high = finite().fold(f64::NEG_INFINITY, f64::max);
    let level = |weight: f32| {
        if !weight.is_finite() || high <= low {
            return MID_GREY;
        }
        ((f64::from(weight) - low) / (high - low) * 255.0).round() as u8
    };
    picture.pixels.iter().map(|pixel| pixel.map(level)).collect()
}

/// The words of a text in lines of at most so many letters; a longer word is cut.
fn wrapped(text: &str, letters: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word = shortened(word, letters);
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= letters => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

/// A text of at most so many letters, with dots in place of what was cut.
fn shortened(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.into();
    }
    let kept: String = text.chars().take(letters.saturating_sub(2)).collect();
    kept + ".."
}

/// A weight and a size of the font, whose letters are all equally wide.
#[derive(Clone, Copy)]
struct Face(FontWeight, RasterHeight);

impl Face {
    fn height(self) -> usize {
        self.1.val()
    }

    fn letter_width(self) -> usize {
        get_raster_width(self.0, self.1)
    }
}

/// A white sheet of red, green and blue bytes.
struct Sheet {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Sheet {
    fn new(width: usize, height: usize) -> Self {
        let pixels = vec![255; 3 * width * height];
        Self { width, height, pixels }
    }

    fn set(&mut self, x: usize, y: usize, colour: [u8; 3]) {
        let at = 3 * (y * self.width + x);
        self.pixels[at..at + 3].copy_from_slice(&colour);
    }

    /// Covers that part of 255 of a pixel with ink.
    fn ink(&mut self, x: usize, y: usize, coverage: u8) {
        let at = 3 * (y * self.width + x);
        for channel in &mut self.pixels[at..at + 3] {
            let under = i32::from(*channel);
            *channel = (under - i32::from(coverage) * (under - i32::from(INK)) / 255) as u8;
        }
    }

    /// Draws an enlarged picture in the middle of its place.
    fn picture(&mut self, picture: &Picture, left: usize, top: usize) {
        let (pixels, zoom) = (rescaled(picture), picture.zoom());
        let (width, height) = (picture.width * zoom, picture.height() * zoom);
        let (left, top) = (left + IMAGE.saturating_sub(width) / 2, top + IMAGE.saturating_sub(height) / 2);
        for y in 0..height.min(IMAGE) {
            for x in 0..width.min(IMAGE) {
                self.set(left + x, top + y, pixels[y / zoom * picture.width + x / zoom]);
            }
        }
    }

    /// Writes a label under the middle of its picture.
    fn label(&mut self, name: &str, left: usize, top: usize) {
        let name = shortened(name, IMAGE / LABEL.letter_width());
        let width = name.chars().count() * LABEL.letter_width();
        self.text(&name, left + (IMAGE - width) / 2, top, LABEL);
    }

    /// Writes a line; letters that the font lacks become question marks.
    fn text(&mut self, text: &str, left: usize, top: usize, face: Face) {
        for (index, letter) in text.chars().enumerate() {
            let glyph = get_raster(letter, face.0, face.1).or(get_raster('?', face.0, face.1));
            let left = left + index * face.letter_width();
            for (y, row) in glyph.iter().flat_map(|glyph| glyph.rows().enumerate()) {
                for (x, coverage) in row.iter().enumerate() {
                    self.ink(left + x, top + y, *coverage);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
