//! Pictures that move: GIFs of a few fixed colours.

use std::collections::HashMap;

use anyhow::{Context, Result};
use gif::{DisposalMethod, Encoder, Frame, Repeat};
use plotters::style::RGBColor;

use super::chart::{HEIGHT, WIDTH};
use super::raster::Pixel;

/// A GIF has at most so many colours, one of which stands for "as before".
const MOST_COLOURS: usize = 256;

/// The colours of a GIF.
pub(super) struct Palette {
    colours: Vec<Pixel>,
    /// The nearest colour of every pixel seen so far.
    nearest: HashMap<Pixel, u8>,
}

impl Palette {
    /// These colours, and what smooth edges make of them: mixtures of each with each background.
    ///
    /// Colours beyond what a GIF can have are left out, the finest mixtures first.
    pub(super) fn new(backgrounds: &[RGBColor], foregrounds: &[RGBColor]) -> Self {
        let pixel = |&RGBColor(red, green, blue): &RGBColor| [red, green, blue];
        let mut colours: Vec<Pixel> = backgrounds.iter().chain(foregrounds).map(pixel).collect();
        for share in [0.5, 0.25, 0.75, 0.125, 0.375, 0.625, 0.875] {
            for under in backgrounds.iter().map(pixel) {
                let mixed = |over: Pixel| {
                    let level = |i: usize| f64::from(under[i]) + share * (f64::from(over[i]) - f64::from(under[i]));
                    [0, 1, 2].map(|i| level(i).round() as u8)
                };
                colours.extend(foregrounds.iter().map(pixel).map(mixed));
            }
        }
        let mut seen = std::collections::HashSet::new();
        colours.retain(|colour| seen.insert(*colour));
        colours.truncate(MOST_COLOURS - 1);
        Self { colours, nearest: HashMap::new() }
    }

    /// The number that stands for "as before".
    fn transparent(&self) -> u8 {
        self.colours.len() as u8
    }

    /// The numbers of the colours nearest to these pixels.
    fn all_nearest(&mut self, pixels: &[Pixel]) -> Vec<u8> {
        let mut colours = Vec::with_capacity(pixels.len());
        // Neighbours are equal for the most part.
        for equal in pixels.chunk_by(|a, b| a == b) {
            let colour = self.nearest(equal[0]);
            colours.resize(colours.len() + equal.len(), colour);
        }
        colours
    }

    /// The number of the colour nearest to `pixel`.
    fn nearest(&mut self, pixel: Pixel) -> u8 {
        let colours = &self.colours;
        *self.nearest.entry(pixel).or_insert_with(|| {
            let distance = |colour: &Pixel| -> i32 {
                let channels = colour.iter().zip(&pixel);
                channels.map(|(&a, &b)| (i32::from(a) - i32::from(b)).pow(2)).sum()
            };
            (0..colours.len()).min_by_key(|&i| distance(&colours[i])).unwrap_or(0) as u8
        })
    }
}

/// A GIF under work, of the size of all charts, that starts again when it has ended.
pub(super) struct Animation {
    encoder: Encoder<Vec<u8>>,
    palette: Palette,
    /// The colours of the last frame.
    last: Option<Vec<u8>>,
}

impl Animation {
    /// An animation without a frame.
    pub(super) fn new(palette: Palette) -> Result<Self> {
        // The place of the transparent colour needs a colour too.
        let mut bytes: Vec<u8> = palette.colours.iter().flatten().copied().collect();
        bytes.extend([255; 3]);
        let mut encoder =
            Encoder::new(Vec::new(), WIDTH as u16, HEIGHT as u16, &bytes).context("writing the head of a GIF")?;
        encoder.set_repeat(Repeat::Infinite).context("writing the head of a GIF")?;
        Ok(Self { encoder, palette, last: None })
    }

    /// Appends a picture, row by row, that is seen for `hundredths` of a second.
    ///
    /// Only the rectangle that differs from the last one is written, and in it only the pixels that differ.
    pub(super) fn frame(&mut self, pixels: &[Pixel], hundredths: u16) -> Result<()> {
        let colours = self.palette.all_nearest(pixels);
        let [left, top, right, bottom] = match &self.last {
            Some(last) => changed(last, &colours),
            None => [0, 0, WIDTH as usize, HEIGHT as usize],
        };
        let transparent = self.palette.transparent();
        let mut buffer = Vec::with_capacity((right - left) * (bottom - top));
        for y in top..bottom {
            for at in y * WIDTH as usize + left..y * WIDTH as usize + right {
                let is_as_before = self.last.as_ref().is_some_and(|last| last[at] == colours[at]);
                buffer.push(if is_as_before { transparent } else { colours[at] });
            }
        }
        let frame = Frame {
            delay: hundredths,
            dispose: DisposalMethod::Keep,
            transparent: Some(transparent),
            left: left as u16,
            top: top as u16,
            width: (right - left) as u16,
            height: (bottom - top) as u16,
            buffer: buffer.into(),
            ..Frame::default()
        };
        self.encoder.write_frame(&frame).context("writing a frame of a GIF")?;
        self.last = Some(colours);
        Ok(())
    }

    /// The file.
    pub(super) fn finish(self) -> Result<Vec<u8>> {
        self.encoder.into_inner().context("finishing a GIF")
    }
}

/// Left, top, right and bottom of the smallest rectangle that holds what differs; one pixel if nothing does.
fn changed(before: &[u8], after: &[u8]) -> [usize; 4] {
    let width = WIDTH as usize;
    let [mut left, mut top, mut right, mut bottom] = [width, HEIGHT as usize, 0, 0];
    for (y, (before, after)) in before.chunks(width).zip(after.chunks(width)).enumerate() {
        let differs = |x: &usize| before[*x] != after[*x];
        if let (Some(first), Some(last)) = ((0..width).find(differs), (0..width).rfind(differs)) {
            (left, right) = (left.min(first), right.max(last + 1));
            (top, bottom) = (top.min(y), y + 1);
        }
    }
    if right == 0 { [0, 0, 1, 1] } else { [left, top, right, bottom] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_read_back_are_what_was_drawn() {
        let (black, white) = (RGBColor(0, 0, 0), RGBColor(255, 255, 255));
        let mut animation = Animation::new(Palette::new(&[white], &[black])).unwrap();
        let mut picture = vec![[255; 3]; (WIDTH * HEIGHT) as usize];
        let mut expected = Vec::new();
        for at in [5, 70_000, 70_001] {
            picture[at] = [3, 2, 1];
            animation.frame(&picture, 4).unwrap();
            expected.push(at);
        }
        animation.frame(&picture, 100).unwrap();
        let bytes = animation.finish().unwrap();
        let mut options = gif::DecodeOptions::new();
        options.set_color_output(gif::ColorOutput::RGBA);
        let mut decoder = options.read_info(bytes.as_slice()).unwrap();
        assert_eq!((decoder.width(), decoder.height()), (800, 500));
        let mut canvas = vec![[0; 4]; (WIDTH * HEIGHT) as usize];
        let mut delays = Vec::new();
        while let Some(frame) = decoder.read_next_frame().unwrap() {
            delays.push(frame.delay);
            for (i, pixel) in frame.buffer.chunks_exact(4).enumerate() {
                let (x, y) = (i % usize::from(frame.width), i / usize::from(frame.width));
                if pixel[3] > 0 {
                    let at = (usize::from(frame.top) + y) * WIDTH as usize + usize::from(frame.left) + x;
                    canvas[at] = [pixel[0], pixel[1], pixel[2], pixel[3]];
                }
            }
        }
        assert_eq!(delays, [4, 4, 4, 100]);
        let dark: Vec<usize> = (0..canvas.len()).filter(|&at| canvas[at] == [0, 0, 0, 255]).collect();
        assert_eq!(dark, expected);
        assert!(canvas.iter().filter(|pixel| **pixel == [255; 4]).count() == canvas.len() - 3);
    }
}
