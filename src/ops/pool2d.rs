//! Maximum and average pooling of images.

use crate::error::Error;
use crate::shape::Shape;
use crate::tape::{Backward, Forward, Inputs, Op, Output, Var};
use lanegrad_kernels::isa::Scalar;
use lanegrad_kernels::pool::{self, Pooling, PoolingShape};

/// How windows lie in an image; pairs are (rows, columns).
///
/// There are (extent + 2 padding - kernel) / stride + 1 of them in each direction. Rounded up, a last one that would start
/// behind the image is left out, as in Caffe and PyTorch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Rows and columns of a window.
    pub kernel: [usize; 2],
    /// From a window to the next.
    pub stride: [usize; 2],
    /// Rows above and below, columns left and right of the image, less than the kernel's.
    pub padding: [usize; 2],
    /// Whether the number of windows is rounded up.
    pub ceil: bool,
}

impl Window {
    /// Square windows, without padding, their number rounded down.
    pub const fn new(kernel: usize, stride: usize) -> Self {
        Self { kernel: [kernel, kernel], stride: [stride, stride], padding: [0, 0], ceil: false }
    }

    /// With this much padding on each side.
    pub const fn padded(self, padding: usize) -> Self {
        Self { padding: [padding, padding], ..self }
    }

    /// With the number of windows rounded up.
    pub const fn ceil(self) -> Self {
        Self { ceil: true, ..self }
    }

    /// The pooling of images of this shape.
    fn plan(&self, op: &'static str, images: &Shape) -> Result<Pooling, Error> {
        let &[batch, height, width, channels] = images.extents() else {
            let wanted = "images are (batch, height, width, channels)";
            return Err(Error::Shape { op, shape: images.clone(), wanted });
        };
        let &Self { kernel, stride, padding, ceil } = self;
        let fits =
            |i: usize, extent: usize| (1..=extent.saturating_add(padding[i].saturating_mul(2))).contains(&kernel[i]);
        if !fits(0, height) || !fits(1, width) {
            return Err(Error::Shapes { op, left: images.clone(), right: Shape::new(&kernel) });
        }
        Ok(Pooling::new(PoolingShape { batch, height, width, channels, kernel, stride, padding, ceil })?)
    }
}

/// The shape of the result.
fn output(plan: &Pooling) -> Output {
    let PoolingShape { batch, channels, .. } = plan.shape();
    Output::of([batch, plan.output_height(), plan.output_width(), channels])
}

/// y = the greatest x in each window, channel by channel; padding never is. NaN if one is.
///
/// The gradient goes to the first of equals, row by row; where windows overlap, gradients add up.
#[derive(Clone, Copy, Debug)]
pub struct MaxPool2d {
    window: Window,
}

/// y = the mean of x in each window, channel by channel; dx = dy over the divisor, added up where windows overlap.
///
/// The divisor is the number of elements in the window: with those of the padding, or only those of the image. What lies
/// beyond the padding, under a window that rounding up added, never counts.
#[derive(Clone, Copy, Debug)]
pub struct AvgPool2d {
    window: Window,
    count_padding: bool,
}

impl<'t, T: Scalar> Var<'t, T> {
    /// The greatest elements in windows of images (N, H, W, C). A failure poisons the result.
    pub fn max_pool2d(self, window: Window) -> Self {
        self.tape().apply(MaxPool2d { window }, &[self])
    }

    /// [`Var::max_pool2d`].
    ///
    /// # Errors
    /// [`Error::Shape`] if these are not images, [`Error::Shapes`] if the kernel is empty or larger than the padded image,
    /// [`Error::Kernel`] if the stride is zero or the padding not less than the kernel.
    pub fn try_max_pool2d(self, window: Window) -> Result<Self, Error> {
        self.tape().try_apply(MaxPool2d { window }, &[self])
    }

    /// The means of windows of images (N, H, W, C); with `count_padding`, the zeros of the padding are part of the mean. A
    /// failure poisons the result.
    pub fn avg_pool2d(self, window: Window, count_padding: bool) -> Self {
        self.tape().apply(AvgPool2d { window, count_padding }, &[self])
    }

    /// [`Var::avg_pool2d`].
    ///
    /// # Errors
    /// Those of [`Var::try_max_pool2d`].
    pub fn try_avg_pool2d(self, window: Window, count_padding: bool) -> Result<Self, Error> {
        self.tape().try_apply(AvgPool2d { window, count_padding }, &[self])
    }
}

impl<T: Scalar> Op<T> for MaxPool2d {
    fn name(&self) -> &'static str {
        "max_pool2d"
    }

    fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error> {
        Ok(output(&self.window.plan("max_pool2d", inputs.shape(0))?))
    }

    fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error> {
        let plan = self.window.plan("max_pool2d", pass.inputs.shape(0))?;
        Ok(pool::max_forward(&plan, pass.inputs.values(0), pass.output)?)
    }

    fn vjp(&self, mut pass: Backward<'_, T>) -> Result<(), Error> {
        let plan = self.window.plan("max_pool2d", pass.inputs.shape(0))?;
        let (x, y, dy) = (pass.inputs.values(0), pass.output, pass.gradient);
        let Some(dx) = pass.input_gradient(0) else { return Ok(()) };
        let (dx, add) = dx.parts();
        Ok(pool::max_backward(&plan, x, y, dy, add, dx)?)
    }
}

impl<T: Scalar> Op<T> for AvgPool2d {
    fn name(&self) -> &'static str {
        "avg_pool2d"
    }

    fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error> {
        Ok(output(&self.window.plan("avg_pool2d", inputs.shape(0))?))
    }

    fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error> {
        let plan = self.window.plan("avg_pool2d", pass.inputs.shape(0))?;
        Ok(pool::average_forward(&plan, self.count_padding, pass.inputs.values(0), pass.output)?)
    }

    fn vjp(&self, mut pass: Backward<'_, T>) -> Result<(), Error> {
        let plan = self.window.plan("avg_pool2d", pass.inputs.shape(0))?;
        let dy = pass.gradient;
        let Some(dx) = pass.input_gradient(0) else { return Ok(()) };
        let (dx, add) = dx.parts();
        Ok(pool::average_backward(&plan, self.count_padding, dy, add, dx)?)
    }
}

#[cfg(test)]
mod tests {
    use super::Window;
    use crate::ops::check::{array, smooth};
    use crate::tape::Tape;
    use crate::tensor::Tensor;

    #[test]
    fn gradient() {
        let wide = Window { kernel: [2, 3], stride: [1, 2], padding: [1, 0], ceil: false };
        for window in [Window::new(2, 2), Window::new(3, 2).ceil(), Window::new(3, 2).padded(1).ceil(), wide] {
            let inputs = [array(&[2, 6, 5, 3], 1)];
            smooth(
                |x| x[0].max_pool2d(window).square().sum_all() + (x[0] * x[0]).max_pool2d(window).sum_all(),
                &inputs,
            );
            for count_padding in [true, false] {
                smooth(|x| x[0].avg_pool2d(window, count_padding).square(), &inputs);
                smooth(|x| x[0].avg_pool2d(window, count_padding) * x[0].avg_pool2d(window, false), &inputs);
            }
        }
    }

    #[test]
    fn values_shapes_and_ties() {
        let tape = Tape::<f64>::new();
        let x = tape.variable(&Tensor::arange(9).unwrap().reshape([1, 3, 3, 1]).unwrap());
        assert_eq!(x.max_pool2d(Window::new(2, 2)).value().unwrap().values(), [4.0]);
        assert_eq!(x.max_pool2d(Window::new(2, 2).ceil()).value().unwrap().values(), [4.0, 5.0, 7.0, 8.0]);
        let average = |count| x.avg_pool2d(Window::new(2, 2).padded(1), count).value().unwrap();
        assert_eq!(average(true).values(), [0.0, 0.75, 2.25, 6.0]);
        assert_eq!(average(false).values(), [0.0, 1.5, 4.5, 6.0]);
        let tied = tape.variable(&Tensor::ones([1, 2, 2, 1]).unwrap());
        tied.max_pool2d(Window::new(2, 2)).sum_all().backward().unwrap();
        assert_eq!(tied.gradient().unwrap().values(), [1.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let tape = Tape::<f32>::new();
        let x = tape.variable(&Tensor::ones([1, 2, 3, 1]).unwrap());
        let message = |window| x.try_max_pool2d(window).unwrap_err().to_string();
        assert_eq!(message(Window::new(3, 1)), "max_pool2d: shapes [1, 2, 3, 1] and [3, 3] do not fit");
        assert!(message(Window::new(2, 0)).contains("stride of rows"), "{}", message(Window::new(2, 0)));
        assert!(message(Window::new(2, 1).padded(2)).contains("padding of rows"));
        assert!(x.flatten().try_avg_pool2d(Window::new(1, 1), true).is_err());
    }
}
