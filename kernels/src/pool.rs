//! Maximum and average pooling of images, and their gradients.
//!
//! Images are (batch, height, width, channels), row-major with adjacent channels: the vectors lie along the channels. Windows may
//! overlap and may reach beyond the image; what lies there never wins a maximum. Threads share the rows of the
//! result; each element is computed in an order that the shape alone fixes.

mod average;
mod max;
mod windows;

pub use average::{AverageBackward, AverageForward, average_backward, average_forward};
pub use max::{MaxBackward, MaxForward, max_backward, max_forward};

use crate::conv::{at_least_one, at_most, product};
use crate::error::Error;
use crate::parallel::{self, Grain};
use std::ops::Range;

/// The extents of a [`Pooling`]; pairs are (rows, columns).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolingShape {
    /// Images.
    pub batch: usize,
    /// Rows of an input image.
    pub height: usize,
    /// Pixels in a row of an input image.
    pub width: usize,
    /// Channels of input and output.
    pub channels: usize,
    /// Rows and columns of a window.
    pub kernel: [usize; 2],
    /// Rows and columns from a window to the next.
    pub stride: [usize; 2],
    /// Rows above and below, columns left and right of the image.
    pub padding: [usize; 2],
    /// Whether the number of windows is rounded up, as Caffe does.
    ///
    /// A last window that would start behind the image is left out, as in Caffe and PyTorch.
    pub ceil: bool,
}

/// A pooling that exists: each of its windows holds a pixel, and its elements can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pooling {
    shape: PoolingShape,
    output: [usize; 2],
}

impl Pooling {
    /// Checks `shape`; the output has (extent + 2 padding - kernel) / stride + 1 rows and columns, rounded down or up.
    ///
    /// # Errors
    /// [`Error::Geometry`] if image, kernel or stride are zero, the kernel is larger than the padded image, the padding not
    /// smaller than the kernel, or there are too many elements to count.
    pub fn new(shape: PoolingShape) -> Result<Self, Error> {
        let PoolingShape { batch, height, width, channels, kernel, mut stride, padding, ceil } = shape;
        let mut output = [0; 2];
        let names = [
            ("kernel height", "stride of rows", "padding of rows", "image height"),
            ("kernel width", "stride of columns", "padding of columns", "image width"),
        ];
        for (i, (kernel_name, stride_name, padding_name, extent_name)) in names.into_iter().enumerate() {
            let extent = [height, width][i];
            at_least_one(extent_name, extent)?;
            at_least_one(kernel_name, kernel[i])?;
            at_least_one(stride_name, stride[i])?;
            at_most(padding_name, padding[i], kernel[i] - 1)?;
            product(extent_name, &[extent, 4])?;
            product(kernel_name, &[kernel[i], 4])?;
            let padded = extent + 2 * padding[i];
            at_most(kernel_name, kernel[i], padded)?;
            // A stride that leaves one window does not matter beyond that.
            stride[i] = stride[i].min(padded);
            let rest = padded - kernel[i];
            let steps = if ceil { rest.div_ceil(stride[i]) } else { rest / stride[i] };
            // Rounding up may put the last window where there is no pixel.
            let starts_behind = steps * stride[i] >= extent + padding[i];
            output[i] = steps + 1 - usize::from(starts_behind);
        }
        product("input", &[batch, height, width, channels])?;
        product("output", &[batch, output[0], output[1], channels])?;
        Ok(Self { shape: PoolingShape { stride, ..shape }, output })
    }

    /// The extents; a stride that leaves one window only may be a smaller one than was given.
    pub fn shape(&self) -> PoolingShape {
        self.shape
    }

    /// Rows of an output image.
    pub fn output_height(&self) -> usize {
        self.output[0]
    }

    /// Pixels in a row of an output image.
    pub fn output_width(&self) -> usize {
        self.output[1]
    }

    /// Elements of the input: batch x height x width x channels.
    pub fn input_length(&self) -> usize {
        let PoolingShape { batch, height, width, channels, .. } = self.shape;
        batch * height * width * channels
    }

    /// Elements of the output: batch x output height x output width x channels.
    pub fn output_length(&self) -> usize {
        self.shape.batch * self.output[0] * self.output[1] * self.shape.channels
    }

    /// The rows (axis 0) or columns (axis 1) of the image that window `o` covers.
    fn covered(&self, axis: usize, o: usize) -> Range<usize> {
        let extent = [self.shape.height, self.shape.width][axis];
        let start = o * self.shape.stride[axis];
        let (first, end) = (start, start + self.shape.kernel[axis]);
        first.saturating_sub(self.shape.padding[axis])..end.saturating_sub(self.shape.padding[axis]).min(extent)
    }

    /// The rows of windows that cover a row of `rows`.
    fn covering(&self, rows: Range<usize>) -> Range<usize> {
        let PoolingShape { kernel, stride, padding, .. } = self.shape;
        let first = (rows.start + padding[0] + 1).saturating_sub(kernel[0]).div_ceil(stride[0]);
        let end = (rows.end + padding[0]).div_ceil(stride[0]).min(self.output[0]);
        first.min(end)..end
    }

    /// The images that have some of the rows `range` of all images, of `rows` rows each: which one, and its rows.
    fn images(range: Range<usize>, rows: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
        let images = range.start / rows..range.end.div_ceil(rows);
        images.map(move |image| {
            let first = image * rows;
            (image, range.start.max(first) - first..range.end.min(first + rows) - first)
        })
    }

    /// Rows that make a piece worth a thread, for images of `rows` rows in the result.
    fn grain(&self, rows: usize) -> Grain {
        let reads = self.output_length() / self.shape.batch.max(1) * self.shape.kernel[0] * self.shape.kernel[1];
        let grain = Grain::of(reads / rows, WORTH_A_THREAD);
        if self.shape.batch >= 4 * parallel::current() { grain.multiple_of(rows) } else { grain }
    }
}

/// Elements of windows below which a piece of work is not worth another thread: about 10 microseconds.
const WORTH_A_THREAD: usize = 1 << 16;
