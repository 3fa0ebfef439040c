//! Data sets of labelled images, kept as bytes.
//!
//! CIFAR-10 is 154 MB as bytes and 615 MB as floats, and an epoch reads all of it, so pixels are
//! converted where they are used and nowhere else. [`cifar10::read`] reads the real set,
//! [`synthetic::generate`] draws one of the same shape that needs no files.

use std::fmt;
use std::path::PathBuf;

use crate::error::Error;
use lanegrad_kernels::aligned::{AlignedVec, padded_row};

pub mod cifar10;
mod normalisation;
pub mod synthetic;

pub use normalisation::Normalisation;

/// Images added up in 32 bits before the sums move to 64: 65,536 * 255 * 255 < 2^32.
const IMAGES_PER_BLOCK: usize = 1 << 16;

/// Where a data set came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Read from CIFAR-10's binary files.
    Cifar10 {
        /// The directory that holds them.
        directory: PathBuf,
    },
    /// Drawn from a seed.
    Synthetic {
        /// The seed.
        seed: u64,
    },
}

impl Source {
    /// A short name for reports and file names: `cifar10` or `synthetic`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Cifar10 { .. } => "cifar10",
            Self::Synthetic { .. } => "synthetic",
        }
    }
}

/// Images to train on and images to test on, with the names of their classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// Where the images came from.
    pub source: Source,
    /// The images to learn from.
    pub train: Images,
    /// The images that only measure what was learnt.
    pub test: Images,
    /// One name a class; label `k` means `class_names[k]`.
    pub class_names: Vec<String>,
}

/// Labelled images of `features` bytes each, in rows of `stride` bytes.
///
/// Rows that lie a multiple of 4096 bytes apart fight over the same cache sets, and 3072 bytes get
/// there with every fourth row. The stride is an odd number of cache lines, so that consecutive
/// rows spread over all sets; the bytes between `features` and `stride` are zero.
#[derive(Clone, PartialEq, Eq)]
pub struct Images {
    features: usize,
    classes: usize,
    stride: usize,
    pixels: AlignedVec<u8>,
    labels: Vec<u32>,
}

impl Images {
    /// An empty set for images of `features` bytes with labels below `classes`.
    ///
    /// Room for `capacity` images is reserved when there is that much memory; `push` grows the set
    /// past it.
    pub fn new(features: usize, classes: usize, capacity: usize) -> Self {
        let stride = padded_row(features, 1);
        let mut pixels = AlignedVec::default();
        let mut labels = Vec::new();
        // A capacity is only advice: one that cannot be had is no error until the images arrive.
        let _ = pixels.try_reserve(capacity.saturating_mul(stride));
        let _ = labels.try_reserve_exact(capacity);
        Self { features, classes, stride, pixels, labels }
    }

    /// Appends an image of `features` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::ImageSize`] for another number of bytes and [`Error::Label`] for a label that is
    /// not below `classes`. The set is then as it was.
    pub fn push(&mut self, pixels: &[u8], label: u32) -> Result<(), Error> {
        if pixels.len() != self.features {
            return Err(Error::ImageSize { expected: self.features, found: pixels.len() });
        }
        if !is_label(label, self.classes) {
            return Err(Error::Label { label, classes: self.classes });
        }
        let start = self.len() * self.stride;
        self.pixels.resize(start + self.stride);
        self.pixels[start..start + self.features].copy_from_slice(pixels);
        self.labels.push(label);
        Ok(())
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Bytes in an image.
    pub fn features(&self) -> usize {
        self.features
    }

    /// The number of classes; every label is below it.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Bytes from the start of one image to the start of the next: an odd multiple of 64.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// All pixels, `len * stride` bytes: image `i` starts at `i * stride`, the padding is zero.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// All labels, one an image.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The `features` bytes of image `i`.
    ///
    /// # Panics
    ///
    /// If `i` is not below `len`.
    pub fn image(&self, i: usize) -> &[u8] {
        assert!(i < self.len(), "image {i} of a set of {}", self.len());
        &self.pixels[i * self.stride..][..self.features]
    }

    /// The first `count` images, or all if there are fewer.
    pub fn first(&self, count: usize) -> Self {
        let count = count.min(self.len());
        let mut first = Self::new(self.features, self.classes, count);
        first.pixels.resize(count * self.stride);
        first.pixels.copy_from_slice(&self.pixels[..count * self.stride]);
        first.labels.extend_from_slice(&self.labels[..count]);
        first
    }

    /// The same images with the values of each pixel adjacent, as convolutions want them: what is feature `c P + p` here,
    /// channel c of P pixels, is feature `p channels + c` there.
    ///
    /// # Errors
    /// [`Error::Setting`] if the features are not so many channels of pixels.
    pub fn channels_last(&self, channels: usize) -> Result<Self, Error> {
        if channels == 0 || !self.features.is_multiple_of(channels) {
            let message = format!("images of {} features do not have {channels} channels", self.features);
            return Err(Error::Setting(message));
        }
        let pixels = self.features / channels;
        let mut result = self.clone();
        let rows = self.pixels.chunks_exact(self.stride).zip(result.pixels.chunks_exact_mut(self.stride));
        for (planes, row) in rows.take(self.len()) {
            for (channel, plane) in planes[..self.features].chunks_exact(pixels.max(1)).enumerate() {
                for (target, &value) in row[channel..self.features].iter_mut().step_by(channels).zip(plane) {
                    *target = value;
                }
            }
        }
        Ok(result)
    }

    /// The mean of every feature over the set, `features` values from 0 to 255.
    ///
    /// Callers that want the deviation too get both from one pass of [`Images::statistics`].
    pub fn mean(&self) -> Vec<f32> {
        self.statistics().mean
    }

    /// The population standard deviation of every feature over the set, `features` values from 0
    /// to 127.5. It is 0 for a feature that never changes.
    ///
    /// Callers that want the mean too get both from one pass of [`Images::statistics`].
    pub fn standard_deviation(&self) -> Vec<f32> {
        self.statistics().standard_deviation
    }

    /// Mean and standard deviation of every feature over the set, from one pass over the pixels.
    ///
    /// The sums are integers and therefore exact, in any order. An empty set has zeros.
    pub fn statistics(&self) -> PixelStatistics {
        let mut sums = vec![Sums::default(); self.features];
        for block in self.pixels.chunks(IMAGES_PER_BLOCK.saturating_mul(self.stride)) {
            self.add_block(block, &mut sums);
        }
        let count = self.len().max(1) as u64;
        PixelStatistics {
            mean: sums.iter().map(|sums| sums.mean(count)).collect(),
            standard_deviation: sums.iter().map(|sums| sums.standard_deviation(count)).collect(),
        }
    }

    /// Adds a block of whole rows, at most `IMAGES_PER_BLOCK` of them, to the sums.
    fn add_block(&self, block: &[u8], sums: &mut [Sums]) {
        let mut values = vec![0u32; self.features];
        let mut squares = vec![0u32; self.features];
        for row in block.chunks_exact(self.stride) {
            for ((value, square), &pixel) in values.iter_mut().zip(&mut squares).zip(row) {
                let pixel = u32::from(pixel);
                *value += pixel;
                *square += pixel * pixel;
            }
        }
        for ((sums, value), square) in sums.iter_mut().zip(values).zip(squares) {
            sums.values += u64::from(value);
            sums.squares += u64::from(square);
        }
    }
}

/// What the set is, without its millions of pixels.
impl fmt::Debug for Images {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Images")
            .field("len", &self.len())
            .field("features", &self.features)
            .field("classes", &self.classes)
            .field("stride", &self.stride)
            .finish_non_exhaustive()
    }
}

/// Mean and spread of every feature over a set of images, in units of a pixel's 0 to 255.
#[derive(Clone, Debug, PartialEq)]
pub struct PixelStatistics {
    /// The mean of each feature.
    pub mean: Vec<f32>,
    /// The population standard deviation of each feature: divided by n, not n - 1.
    pub standard_deviation: Vec<f32>,
}

/// The sum of a feature's values and of their squares.
#[derive(Clone, Default)]
struct Sums {
    values: u64,
    squares: u64,
}

impl Sums {
    fn mean(&self, count: u64) -> f32 {
        (self.values as f64 / count as f64) as f32
    }

    /// n^2 variance = n sum(x^2) - sum(x)^2, a difference of integers that loses no digit.
    fn standard_deviation(&self, count: u64) -> f32 {
        let [values, squares] = [self.values, self.squares].map(u128::from);
        let scaled_variance = u128::from(count) * squares - values * values;
        ((scaled_variance as f64).sqrt() / count as f64) as f32
    }
}

/// Whether `label` names one of `classes` classes.
fn is_label(label: u32, classes: usize) -> bool {
    usize::try_from(label).is_ok_and(|label| label < classes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stride_is_an_odd_number_of_lines() {
        for (features, stride) in [(0, 64), (1, 64), (64, 64), (65, 192), (192, 192), (3072, 3136)] {
            assert_eq!(Images::new(features, 10, 0).stride(), stride, "{features} features");
        }
    }

    #[test]
    fn images_keep_their_bytes_labels_and_zero_padding() {
        let mut images = Images::new(3, 2, 2);
        images.push(&[1, 2, 3], 1).unwrap();
        images.push(&[4, 5, 6], 0).unwrap();
        assert_eq!((images.len(), images.features(), images.classes()), (2, 3, 2));
        assert_eq!(images.image(0), [1, 2, 3]);
        assert_eq!(images.image(1), [4, 5, 6]);
        assert_eq!(images.labels(), [1, 0]);
        assert_eq!(images.pixels().len(), 2 * 64);
        assert!(images.pixels()[3..64].iter().chain(&images.pixels()[67..]).all(|&byte| byte == 0));
    }

    #[test]
    fn the_first_images_are_a_set_of_their_own() {
        let mut images = Images::new(3, 2, 3);
        for i in 0..3 {
            images.push(&[i, 2, 3], u32::from(i % 2)).unwrap();
        }
        let first = images.first(2);
        assert_eq!((first.len(), first.image(1), first.labels()), (2, &[1, 2, 3][..], &[0, 1][..]));
        assert_eq!(images.first(9), images);
        assert!(images.first(0).is_empty());
    }

    #[test]
    fn a_refused_image_leaves_the_set_as_it_was() {
        let mut images = Images::new(3, 2, 0);
        let short = images.push(&[1, 2], 0).unwrap_err();
        assert_eq!(short.to_string(), "an image of 2 bytes in a set whose images have 3");
        let label = images.push(&[1, 2, 3], 2).unwrap_err();
        assert_eq!(label.to_string(), "label 2 is not below 2, the number of classes");
        assert!(images.is_empty() && images.pixels().is_empty());
    }

    #[test]
    #[should_panic(expected = "image 0 of a set of 0")]
    fn an_image_past_the_end_panics() {
        Images::new(0, 1, 0).image(0);
    }

    #[test]
    fn absurd_sizes_are_harmless() {
        let mut images = Images::new(usize::MAX, 1, usize::MAX);
        assert!(matches!(images.push(&[0], 0), Err(Error::ImageSize { .. })));
        assert!(images.pixels().is_empty());
        let mut images = Images::new(1, 1, usize::MAX);
        images.push(&[7], 0).unwrap();
        assert_eq!(images.image(0), [7]);
    }

    #[test]
    fn statistics_match_their_definition() {
        let mut images = Images::new(5, 1, 100);
        for i in 0..100u32 {
            let row = [0, 255, i, i * i, 255 * (i % 2)].map(|value| value as u8);
            images.push(&row, 0).unwrap();
        }
        let PixelStatistics { mean, standard_deviation } = images.statistics();
        for feature in 0..5 {
            let column: Vec<f64> = (0..100).map(|i| images.image(i)[feature].into()).collect();
            let expected_mean = column.iter().sum::<f64>() / 100.0;
            let squares = column.iter().map(|value| (value - expected_mean).powi(2));
            let expected_deviation = (squares.sum::<f64>() / 100.0).sqrt();
            assert_eq!(mean[feature], expected_mean as f32);
            assert!((f64::from(standard_deviation[feature]) - expected_deviation).abs() < 1e-5);
        }
        assert_eq!((mean[4], standard_deviation[4]), (127.5, 127.5));
        assert_eq!((images.mean(), images.standard_deviation()), (mean, standard_deviation));
    }

    #[test]
    fn statistics_of_more_white_images_than_a_block_holds_do_not_overflow() {
        let mut images = Images::new(1, 1, IMAGES_PER_BLOCK + 1);
        for _ in 0..=IMAGES_PER_BLOCK {
            images.push(&[255], 0).unwrap();
        }
        assert_eq!((images.mean(), images.standard_deviation()), (vec![255.0], vec![0.0]));
    }

    #[test]
    fn statistics_of_an_empty_set_are_zero() {
        let images = Images::new(2, 1, 0);
        assert_eq!((images.mean(), images.standard_deviation()), (vec![0.0; 2], vec![0.0; 2]));
    }

    #[test]
    fn debug_output_has_no_pixels() {
        let images = format!("{:?}", Images::new(3072, 10, 0));
        assert_eq!(images, "Images { len: 0, features: 3072, classes: 10, stride: 3136, .. }");
    }

    #[test]
    fn sources_have_short_names() {
        assert_eq!(Source::Cifar10 { directory: PathBuf::new() }.kind(), "cifar10");
        assert_eq!(Source::Synthetic { seed: 0 }.kind(), "synthetic");
    }
}
