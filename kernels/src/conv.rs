//! Convolutions of images, and their gradients, without a matrix of windows.
//!
//! Images are (batch, height, width, channels), row-major with adjacent channels; weights are (kernel height, kernel width,
//! channels of a group, filters). So the taps of one kernel row and all their channels are one run of adjacent numbers,
//! in an image as in the weights, and every pass is a small matrix product a kernel row whose sums stay in registers over the
//! whole kernel, or over all the pixels of an image:
//!
//! | pass | a row of the tile | a vector of the tile | summed over |
//! |---|---|---|---|
//! | [`forward`] | a pixel of y | filters | kernel rows, taps, channels |
//! | [`input_gradient`] | a pixel of dx | channels | kernel rows, taps, filters |
//! | [`weight_gradient`] | a tap and channel | filters | images, rows, pixels |
//!
//! Where windows reach beyond an image, its rows are copied with zeros around them, an image at a time, so that no loop asks
//! where a border is. The gradient of the input with stride s is s x s convolutions of dy, each with every s-th tap.
//!
//! Each element is one chain of multiply-adds in an order that the shape alone fixes. No factor within an image is skipped;
//! the zeros around it are factors too, so that an infinite weight makes NaN of them.

mod bias_gradient;
mod contraction;
mod correlate;
mod geometry;
mod pad;
mod weight_gradient;

use crate::dispatch;
use crate::error::{Error, Wanted};
use crate::isa::{Isa, Kernel, Scalar};
use crate::parallel::{self, Grain};
use correlate::{Addend, Correlation, Weights};
use geometry::Axis;
use pad::Frame;

/// The extents of a [`Convolution`]; pairs are (rows, columns).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvolutionShape {
    /// Images.
    pub batch: usize,
    /// Rows of an input image.
    pub height: usize,
    /// Pixels in a row of an input image.
    pub width: usize,
    /// Channels of an input image.
    pub channels: usize,
    /// Channels of an output image.
    pub filters: usize,
    /// Rows and columns of a window.
    pub kernel: [usize; 2],
    /// Rows and columns from a window to the next.
    pub stride: [usize; 2],
    /// Rows of zeros above and below, columns of zeros left and right.
    pub padding: [usize; 2],
    /// Parts into which channels and filters are cut; a filter sees the channels of its part.
    pub groups: usize,
}

/// A convolution that exists: its windows fit, its groups come out even, its elements can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    shape: ConvolutionShape,
    output: [usize; 2],
}

/// What is done to an output before it is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    #[default]
    Identity,
    /// max(0, y); NaN stays NaN.
    Relu,
}

impl Activation {
    /// No output is below this.
    fn floor<T: Scalar>(self) -> T {
        match self {
            Self::Identity => T::from_f64(f64::NEG_INFINITY),
            Self::Relu => T::ZERO,
        }
    }
}

/// The product, if it can be counted: with elements of 8 bytes, an address space holds it a few times.
pub(crate) fn product(what: &'static str, factors: &[usize]) -> Result<usize, Error> {
    let product = factors.iter().try_fold(1_usize, |product, &factor| product.checked_mul(factor));
    let found = factors.iter().copied().max().unwrap_or(0);
    let countable = product.filter(|&product| product <= usize::MAX >> 7);
    countable.ok_or(Error::Geometry { what, found, wanted: Wanted::Countable })
}

/// Refuses zero.
pub(crate) fn at_least_one(what: &'static str, found: usize) -> Result<(), Error> {
    if found > 0 { Ok(()) } else { Err(Error::Geometry { what, found, wanted: Wanted::AtLeastOne }) }
}

/// Refuses more than `limit`.
pub(crate) fn at_most(what: &'static str, found: usize, limit: usize) -> Result<(), Error> {
    if found <= limit { Ok(()) } else { Err(Error::Geometry { what, found, wanted: Wanted::AtMost(limit) }) }
}

fn multiple_of(what: &'static str, found: usize, divisor: usize) -> Result<(), Error> {
    let wanted = Wanted::MultipleOf(divisor);
    if found.is_multiple_of(divisor) { Ok(()) } else { Err(Error::Geometry { what, found, wanted }) }
}

/// Refuses a slice of another length.
pub(crate) fn same_length(what: &'static str, expected: usize, found: usize) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::Shape { what, expected: (1, expected), found: (1, found) }) }
}

impl Convolution {
    /// Checks `shape`; the output has (extent + 2 padding - kernel) / stride + 1 rows and columns, rounded down.
    ///
    /// # Errors
    /// [`Error::Geometry`] if kernel, stride or groups are zero, the kernel is larger than the padded image, the padding
    /// larger than the kernel, the groups do not divide channels and filters, or there are too many elements to count.
    pub fn new(shape: ConvolutionShape) -> Result<Self, Error> {
        let ConvolutionShape { batch, height, width, channels, filters, kernel, mut stride, padding, groups } = shape;
        let mut padded = [0; 2];
        let mut output = [0; 2];
        let names = [
            ("kernel height", "stride of rows", "padding of rows", "image height"),
            ("kernel width", "stride of columns", "padding of columns", "image width"),
        ];
        for (i, (kernel_name, stride_name, padding_name, extent_name)) in names.into_iter().enumerate() {
            at_least_one(kernel_name, kernel[i])?;
            at_least_one(stride_name, stride[i])?;
            at_most(padding_name, padding[i], kernel[i])?;
            let extent = [height, width][i];
            product(kernel_name, &[kernel[i], 2])?;
            product(extent_name, &[extent, 2])?;
            padded[i] = extent + 2 * padding[i];
            at_most(kernel_name, kernel[i], padded[i])?;
            // A stride that leaves one window does not matter beyond that.
            stride[i] = stride[i].min(padded[i] - kernel[i] + 1);
            output[i] = (padded[i] - kernel[i]) / stride[i] + 1;
        }
        at_least_one("groups", groups)?;
        multiple_of("channels", channels, groups)?;
        multiple_of("filters", filters, groups)?;
        // Padded images of either side and weights filled up to whole vectors, as scratch holds them.
        let deepest = channels.max(filters).max(1);
        product("input image with padding", &[padded[0] + kernel[0], padded[1] + kernel[1], deepest])?;
        product("input", &[batch, height, width, channels])?;
        product("output", &[batch, output[0], output[1], filters])?;
        let vectors = |count: usize| count.saturating_add(contraction::MAX_WIDTH);
        product("weights", &[kernel[0], kernel[1], vectors(channels), vectors(filters)])?;
        let work = &[batch.max(1), output[0], output[1], kernel[0] * kernel[1], channels.max(1), filters.max(1)];
        product("multiply-adds", work)?;
        Ok(Self { shape: ConvolutionShape { stride, ..shape }, output })
    }

    /// The extents; a stride that leaves one window only may be a smaller one than was given.
    pub fn shape(&self) -> ConvolutionShape {
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
        let ConvolutionShape { batch, height, width, channels, .. } = self.shape;
        batch * height * width * channels
    }

    /// Elements of the weights: kernel height x kernel width x channels / groups x filters.
    pub fn weight_length(&self) -> usize {
        let ConvolutionShape { channels, filters, kernel, groups, .. } = self.shape;
        kernel[0] * kernel[1] * (channels / groups) * filters
    }

    /// Elements of the output: batch x output height x output width x filters.
    pub fn output_length(&self) -> usize {
        self.shape.batch * self.output[0] * self.output[1] * self.shape.filters
    }

    /// Multiply-adds of an output image, those with the zeros around the input included.
    pub fn multiply_adds(&self) -> usize {
        self.output[0] * self.output[1] * self.weight_length()
    }

    fn check<T>(&self, x: Option<&[T]>, weights: &[T], y: &[T]) -> Result<(), Error> {
        if let Some(x) = x {
            same_length("input of the convolution", self.input_length(), x.len())?;
        }
        same_length("weights of the convolution", self.weight_length(), weights.len())?;
        same_length("output of the convolution", self.output_length(), y.len())
    }

    /// How the windows lie in the input.
    fn input_frame(&self) -> Frame {
        let ConvolutionShape { height, width, channels, kernel, stride, padding, .. } = self.shape;
        Frame {
            rows: Axis::forward(height, self.output[0], kernel[0], stride[0], padding[0]),
            cols: Axis::forward(width, self.output[1], kernel[1], stride[1], padding[1]),
            channels,
        }
    }

    /// How the windows of the input's gradient lie in the output's.
    fn output_frame(&self) -> Frame {
        let ConvolutionShape { height, width, filters, kernel, stride, padding, .. } = self.shape;
        Frame {
            rows: Axis::gradient(self.output[0], height, kernel[0], stride[0], padding[0]),
            cols: Axis::gradient(self.output[1], width, kernel[1], stride[1], padding[1]),
            channels: filters,
        }
    }

    fn weights<'a, T>(&self, data: &'a [T], transposed: bool) -> Weights<'a, T> {
        let ConvolutionShape { channels, filters, kernel, groups, .. } = self.shape;
        Weights { data, kernel_cols: kernel[1], channels: channels / groups, filters, transposed }
    }
}

/// y <- activation(bias + the sums over each window of x times the weights).
///
/// Runs at [`dispatch::level`] on the threads of the calling pool.
///
/// # Errors
/// [`Error::Shape`] if a slice does not have the convolution's length, and those of [`dispatch::level`]. Nothing is written then.
#[inline(never)]
pub fn forward<T: Scalar>(
    convolution: &Convolution,
    x: &[T],
    weights: &[T],
    bias: Option<&[T]>,
    activation: Activation,
    y: &mut [T],
) -> Result<(), Error> {
    dispatch::dispatch(Forward::new(convolution, x, weights, bias, activation, y)?)
}

/// A checked [`forward`], to be run at a level of one's choice.
#[derive(Debug)]
pub struct Forward<'a, T> {
    convolution: Convolution,
    x: &'a [T],
    weights: &'a [T],
    bias: Option<&'a [T]>,
    activation: Activation,
    y: &'a mut [T],
}

impl<'a, T: Scalar> Forward<'a, T> {
    /// See [`forward`].
    ///
    /// # Errors
    /// [`Error::Shape`] if a slice does not have the convolution's length.
    pub fn new(
        convolution: &Convolution,
        x: &'a [T],
        weights: &'a [T],
        bias: Option<&'a [T]>,
        activation: Activation,
        y: &'a mut [T],
    ) -> Result<Self, Error> {
        convolution.check(Some(x), weights, y)?;
        if let Some(bias) = bias {
            same_length("bias of the convolution", convolution.shape.filters, bias.len())?;
        }
        Ok(Self { convolution: *convolution, x, weights, bias, activation, y })
    }
}

impl<T: Scalar> Kernel for Forward<'_, T> {
    type Output = ();
    fn run<S: Isa>(self, isa: S) {
        let Self { convolution, x, weights, bias, activation, y } = self;
        let correlation = Correlation {
            frame: convolution.input_frame(),
            filters: convolution.shape.filters,
            groups: convolution.shape.groups,
            source: x,
            target: y,
            weights: convolution.weights(weights, false),
            addend: bias.map_or(Addend::Zero, Addend::Bias),
            floor: activation.floor(),
        };
        correlation.run(isa, convolution.multiply_adds() / convolution.output[0]);
    }
}

/// dx (+)= the gradient of the input, from that of the output; with `add` false, what dx holds is not read.
///
/// dx\[h, w, c\] = the sum over all taps (k, l) and filters f of dy\[(h + p - k) / s, (w + p - l) / s, f\] weights\[k, l, c, f\].
///
/// # Errors
/// [`Error::Shape`] if a slice does not have the convolution's length, and those of [`dispatch::level`]. Nothing is written then.
#[inline(never)]
pub fn input_gradient<T: Scalar>(
    convolution: &Convolution,
    dy: &[T],
    weights: &[T],
    add: bool,
    dx: &mut [T],
) -> Result<(), Error> {
    dispatch::dispatch(InputGradient::new(convolution, dy, weights, add, dx)?)
}

/// A checked [`input_gradient`], to be run at a level of one's choice.
#[derive(Debug)]
pub struct InputGradient<'a, T> {
    convolution: Convolution,
    dy: &'a [T],
    weights: &'a [T],
    add: bool,
    dx: &'a mut [T],
}

impl<'a, T: Scalar> InputGradient<'a, T> {
    /// See [`input_gradient`].
    ///
    /// # Errors
    /// [`Error::Shape`] if a slice does not have the convolution's length.
    pub fn new(
        convolution: &Convolution,
        dy: &'a [T],
        weights: &'a [T],
        add: bool,
        dx: &'a mut [T],
    ) -> Result<Self, Error> {
        convolution.check(Some(dx), weights, dy)?;
        Ok(Self { convolution: *convolution, dy, weights, add, dx })
    }
}

impl<T: Scalar> Kernel for InputGradient<'_, T> {
    type Output = ();
    fn run<S: Isa>(self, isa: S) {
        let Self { convolution, dy, weights, add, dx } = self;
        let correlation = Correlation {
            frame: convolution.output_frame(),
            filters: convolution.shape.channels,
            groups: convolution.shape.groups,
            source: dy,
            target: dx,
            weights: convolution.weights(weights, true),
            addend: if add { Addend::Target } else { Addend::Zero },
            floor: T::from_f64(f64::NEG_INFINITY),
        };
        correlation.run(isa, convolution.multiply_adds() / convolution.shape.height.max(1));
    }
}

/// dweights (+)= the gradient of the weights; with `add` false, what dweights holds is not read.
///
/// dweights\[k, l, c, f\] = the sum over all images and output pixels (i, j) of x\[s i + k - p, s j + l - p, c\] dy\[i, j, f\].
///
/// # Errors
/// [`Error::Shape`] if a slice does not have the convolution's length, and those of [`dispatch::level`]. Nothing is written then.
#[inline(never)]
pub fn weight_gradient<T: Scalar>(
    convolution: &Convolution,
    x: &[T],
    dy: &[T],
    add: bool,
    dweights: &mut [T],
) -> Result<(), Error> {
    dispatch::dispatch(WeightGradient::new(convolution, x, dy, add, dweights)?)
}

/// A checked [`weight_gradient`], to be run at a level of one's choice.
#[derive(Debug)]
pub struct WeightGradient<'a, T> {
    convolution: Convolution,
    x: &'a [T],
    dy: &'a [T],
    add: bool,
    dweights: &'a mut [T],
}

impl<'a, T: Scalar> WeightGradient<'a, T> {
    /// See [`weight_gradient`].
    ///
    /// # Errors
    /// [`Error::Shape`] if a slice does not have the convolution's length.
    pub fn new(
        convolution: &Convolution,
        x: &'a [T],
        dy: &'a [T],
        add: bool,
        dweights: &'a mut [T],
    ) -> Result<Self, Error> {
        convolution.check(Some(x), dweights, dy)?;
        Ok(Self { convolution: *convolution, x, dy, add, dweights })
    }
}

impl<T: Scalar> Kernel for WeightGradient<'_, T> {
    type Output = ();
    fn run<S: Isa>(self, isa: S) {
        let Self { convolution, x, dy, add, dweights } = self;
        let ConvolutionShape { batch, filters, kernel, groups, .. } = convolution.shape;
        let shards =
            weight_gradient::Shards { batch, frame: convolution.input_frame(), kernel, filters, groups, x, dy, add };
        shards.run(isa, dweights, convolution.multiply_adds());
    }
}

/// dbias (+)= the gradient of the bias, the sum of dy over all images and pixels; with `add` false, what dbias holds is not read.
///
/// # Errors
/// [`Error::Shape`] if a slice does not have the convolution's length, and those of [`dispatch::level`]. Nothing is written then.
#[inline(never)]
pub fn bias_gradient<T: Scalar>(convolution: &Convolution, dy: &[T], add: bool, dbias: &mut [T]) -> Result<(), Error> {
    dispatch::dispatch(BiasGradient::new(convolution, dy, add, dbias)?)
}

/// A checked [`bias_gradient`], to be run at a level of one's choice.
#[derive(Debug)]
pub struct BiasGradient<'a, T> {
    dy: &'a [T],
    add: bool,
    dbias: &'a mut [T],
}

impl<'a, T: Scalar> BiasGradient<'a, T> {
    /// See [`bias_gradient`].
    ///
    /// # Errors
    /// [`Error::Shape`] if a slice does not have the convolution's length.
    pub fn new(convolution: &Convolution, dy: &'a [T], add: bool, dbias: &'a mut [T]) -> Result<Self, Error> {
        same_length("output of the convolution", convolution.output_length(), dy.len())?;
        same_length("bias of the convolution", convolution.shape.filters, dbias.len())?;
        Ok(Self { dy, add, dbias })
    }
}

impl<T: Scalar> Kernel for BiasGradient<'_, T> {
    type Output = ();
    fn run<S: Isa>(self, isa: S) {
        bias_gradient::run(isa, self.dy, self.add, self.dbias);
    }
}

/// Multiply-adds below which a piece of work is not worth another thread: about 10 microseconds.
const WORTH_A_THREAD: usize = 1 << 19;

/// Rows of `each` multiply-adds that make a piece worth a thread: whole images where there are enough of them, so that
/// no row is copied for two pieces.
fn grain(images: usize, rows: usize, each: usize) -> Grain {
    let grain = Grain::of(each, WORTH_A_THREAD);
    if images >= 4 * parallel::current() { grain.multiple_of(rows) } else { grain }
}
