//! Picture files as images of CIFAR-10's size.

use crate::predictions::SIDE;
use anyhow::{Context, Result, ensure};
use image::imageops::{FilterType, crop_imm, resize};
use image::{DynamicImage, ImageDecoder, ImageReader, RgbImage};
use lanegrad::data::Images;
use std::path::Path;

/// The most bytes that the pixels of a picture may take: far beyond any camera's.
const MOST_BYTES: u64 = 512 << 20;

/// A picture as a model sees it.
pub struct Photograph {
    /// Width and height of the file's picture.
    pub size: (u32, u32),
    /// 32 x 32 pixels.
    pub small: RgbImage,
}

/// Reads a PNG or JPEG file of any size: the square in its middle, scaled to 32 x 32 pixels, on white where it is
/// transparent.
pub fn read(path: &Path) -> Result<Photograph> {
    let read = || {
        ensure!(path.metadata()?.is_file(), "it is not a regular file");
        let mut decoder = ImageReader::open(path)?.with_guessed_format()?.into_decoder()?;
        // A file of a few bytes can claim any size.
        let (width, height) = decoder.dimensions();
        ensure!(decoder.total_bytes() <= MOST_BYTES, "it is too large, with {width} x {height} pixels");
        // Cameras turn pictures by a note beside them.
        let orientation = decoder.orientation()?;
        let mut picture = DynamicImage::from_decoder(decoder)?;
        picture.apply_orientation(orientation);
        Ok(picture)
    };
    let picture: DynamicImage = read()
        .with_context(|| format!("cannot read the picture {}, which must be a PNG or JPEG file", path.display()))?;
    Ok(Photograph { size: (picture.width(), picture.height()), small: small(&on_white(&picture)) })
}

fn on_white(picture: &DynamicImage) -> RgbImage {
    let pixels = picture.to_rgba8();
    RgbImage::from_fn(pixels.width(), pixels.height(), |x, y| {
        let [red, green, blue, alpha] = pixels.get_pixel(x, y).0.map(u32::from);
        image::Rgb([red, green, blue].map(|channel| ((channel * alpha + 255 * (255 - alpha) + 127) / 255) as u8))
    })
}

/// The square in the middle, scaled.
fn small(picture: &RgbImage) -> RgbImage {
    let (width, height) = picture.dimensions();
    let side = width.min(height);
    let square = crop_imm(picture, (width - side) / 2, (height - side) / 2, side, side).to_image();
    if side == SIDE as u32 {
        return square;
    }
    // Its filter widens as it shrinks a picture: every pixel counts.
    resize(&square, SIDE as u32, SIDE as u32, FilterType::Triangle)
}

impl Photograph {
    /// What was done to the picture, for people.
    pub fn fitting(&self) -> String {
        let (width, height) = self.size;
        let side = width.min(height);
        let cut = if width == height { String::new() } else { format!(", of which the middle {side} x {side}") };
        let scaled = if side == SIDE as u32 { "" } else { ", scaled to 32 x 32" };
        format!("{width} x {height} pixels{cut}{scaled}")
    }

    /// A set of this image alone, as planes of red, green and blue; its label is 0 and means nothing.
    pub fn images(&self, classes: usize) -> Result<Images> {
        let mut images = Images::new(3 * SIDE * SIDE, classes, 1);
        let channel = |channel: usize| self.small.pixels().map(move |pixel| pixel.0[channel]);
        let planes: Vec<u8> = (0..3).flat_map(channel).collect();
        images.push(&planes, 0)?;
        Ok(images)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgba, RgbaImage};

    #[test]
    fn the_middle_square_is_averaged() {
        // 128 x 64: the middle square is red and blue in turn; what is beside it, green, is left out.
        let picture = RgbImage::from_fn(128, 64, |x, y| match x {
            32..96 => image::Rgb(if (x + y) % 2 == 0 { [200, 0, 0] } else { [0, 0, 100] }),
            _ => image::Rgb([0, 255, 0]),
        });
        let small = small(&picture);
        assert_eq!(small.dimensions(), (32, 32));
        for pixel in small.pixels() {
            let [red, green, blue] = pixel.0;
            assert!((95..=105).contains(&red) && green == 0 && (45..=55).contains(&blue), "{pixel:?}");
        }
    }

    /// A PNG file that has little but a header, with its checksum.
    #[test]
    fn a_size_that_fits_no_memory_is_refused() {
        let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
        for (kind, data, checksum) in [
            (b"IHDR", &b"\x00\x06\x1a\x80\x00\x06\x1a\x80\x08\x02\x00\x00\x00"[..], 0xEAF9_0534u32),
            (b"IDAT", b"", 0x35AF_061E),
            (b"IEND", b"", 0xAE42_6082),
        ] {
            bytes.extend((data.len() as u32).to_be_bytes());
            bytes.extend_from_slice(kind);
            bytes.extend_from_slice(data);
            bytes.extend(checksum.to_be_bytes());
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large.png");
        std::fs::write(&path, bytes).unwrap();
        let message = format!("{:#}", read(&path).err().unwrap());
        assert!(message.ends_with("it is too large, with 400000 x 400000 pixels"), "{message}");
    }

    #[test]
    fn any_size_becomes_that_of_the_model() {
        for (width, height) in [(1, 1), (1, 500), (31, 33), (32, 32), (33, 2000)] {
            let picture = RgbImage::from_pixel(width, height, image::Rgb([7, 80, 255]));
            let small = small(&picture);
            assert!(small.dimensions() == (32, 32) && small.pixels().all(|pixel| pixel.0 == [7, 80, 255]));
        }
    }

    #[test]
    fn transparent_pixels_are_white() {
        let picture = RgbaImage::from_fn(2, 1, |x, _| Rgba([10, 20, 30, if x == 0 { 0 } else { 255 }]));
        let opaque = on_white(&DynamicImage::ImageRgba8(picture));
        assert_eq!((opaque.get_pixel(0, 0).0, opaque.get_pixel(1, 0).0), ([255; 3], [10, 20, 30]));
    }

    #[test]
    fn planes_are_in_the_data_sets_order() {
        let small = RgbImage::from_fn(32, 32, |x, y| image::Rgb([x as u8, y as u8, 9]));
        let images = Photograph { size: (32, 32), small }.images(10).unwrap();
        let image = images.image(0);
        assert_eq!((image[5], image[32], image[1024 + 32], image[2048]), (5, 0, 1, 9));
        assert_eq!(crate::predictions::rgb(&images, 0, false)[3 * 33..][..3], [1, 1, 9]);
    }
}
