//! The convolution of images.

use crate::error::Error;
use crate::shape::Shape;
use crate::tape::{Backward, Forward, Inputs, Op, Output, Var};
pub use lanegrad_kernels::conv::Activation;
use lanegrad_kernels::conv::{self, Convolution, ConvolutionShape};
use lanegrad_kernels::elementwise::{self, Function};
use lanegrad_kernels::isa::{Isa, Lanes, Scalar};

/// Y = activation(X * W + b): at each window of an image, the sum over its pixels and channels of x times the weights.
///
/// X is (images, height, width, channels), W (kernel height, kernel width, channels / groups, filters), b (filters), Y
/// (images, rows, columns, filters) with (extent + 2 padding - kernel) / stride + 1 rows and columns, rounded down. As
/// everywhere in deep learning the kernel is not flipped. With several groups, part g of the filters sees part g of the
/// channels. Pairs are (rows, columns).
///
/// dX, dW and db are those of dY where Y > 0, if the activation is the rectifier, and of dY otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2d {
    /// From a window to the next.
    pub stride: [usize; 2],
    /// Rows of zeros above and below, columns of zeros left and right.
    pub padding: [usize; 2],
    /// Parts into which channels and filters are cut.
    pub groups: usize,
    /// What is done to the sums at once, in the same pass.
    pub activation: Activation,
}

impl Default for Conv2d {
    /// Every window, no padding, one group, no activation.
    fn default() -> Self {
        Self { stride: [1, 1], padding: [0, 0], groups: 1, activation: Activation::Identity }
    }
}

/// dy where y > 0, else 0.
#[derive(Clone, Copy)]
struct Mask;

impl<T: Scalar> Function<T, 2> for Mask {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [y, dy]: [T::Lanes<S>; 2]) -> T::Lanes<S> {
        let zero = T::Lanes::<S>::splat(isa, T::ZERO);
        y.select_greater(isa, zero, dy, zero)
    }
}

impl<'t, T: Scalar> Var<'t, T> {
    /// The convolution of images (N, H, W, C) with `weight` (KH, KW, C / groups, F), and a `bias` (F) if there is one. A
    /// failure poisons the result.
    ///
    /// ```
    /// use lanegrad::ops::conv2d::Conv2d;
    /// use lanegrad::{tape::Tape, tensor::Tensor};
    /// let tape = Tape::<f32>::new();
    /// let images = tape.variable(&Tensor::ones([2, 8, 8, 3])?);
    /// let weight = tape.variable(&Tensor::ones([3, 3, 3, 4])?);
    /// let y = images.conv2d(weight, None, Conv2d { stride: [2, 2], padding: [1, 1], ..Conv2d::default() });
    /// assert_eq!(y.shape()?.extents(), [2, 4, 4, 4]);
    /// # Ok::<(), lanegrad::Error>(())
    /// ```
    pub fn conv2d(self, weight: Self, bias: Option<Self>, settings: Conv2d) -> Self {
        self.try_conv2d(weight, bias, settings).unwrap_or_else(|error| self.tape().fail(error))
    }

    /// [`Var::conv2d`].
    ///
    /// # Errors
    /// [`Error::Shapes`] if the shapes do not fit, or the kernel is larger than the padded image; [`Error::Kernel`] if stride
    /// or groups are zero, groups do not divide channels and filters, or the padding is larger than the kernel.
    pub fn try_conv2d(self, weight: Self, bias: Option<Self>, settings: Conv2d) -> Result<Self, Error> {
        match bias {
            Some(bias) => self.tape().try_apply(settings, &[self, weight, bias]),
            None => self.tape().try_apply(settings, &[self, weight]),
        }
    }
}

impl Conv2d {
    /// The convolution of images and weights of these shapes.
    fn plan(&self, images: &Shape, weight: &Shape) -> Result<Convolution, Error> {
        let unfit = || Error::Shapes { op: "conv2d", left: images.clone(), right: weight.clone() };
        let (&[batch, height, width, channels], &[rows, columns, depth, filters]) =
            (images.extents(), weight.extents())
        else {
            return Err(unfit());
        };
        let &Self { stride, padding, groups, .. } = self;
        let fits =
            |kernel: usize, extent: usize, padding: usize| kernel <= extent.saturating_add(padding.saturating_mul(2));
        let all_fit = fits(rows, height, padding[0]) && fits(columns, width, padding[1]);
        if depth.checked_mul(groups) != Some(channels) || !all_fit {
            return Err(unfit());
        }
        let kernel = [rows, columns];
        let shape = ConvolutionShape { batch, height, width, channels, filters, kernel, stride, padding, groups };
        Ok(Convolution::new(shape)?)
    }

    fn is_rectified(&self) -> bool {
        self.activation == Activation::Relu
    }
}

impl<T: Scalar> Op<T> for Conv2d {
    fn name(&self) -> &'static str {
        match self.activation {
            Activation::Identity => "conv2d",
            Activation::Relu => "conv2d + relu",
        }
    }

    fn takes(&self, inputs: usize) -> bool {
        matches!(inputs, 2 | 3)
    }

    fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error> {
        let (images, weight) = (inputs.shape(0), inputs.shape(1));
        let plan = self.plan(images, weight)?;
        let ConvolutionShape { batch, filters, .. } = plan.shape();
        if inputs.len() == 3 && inputs.shape(2).extents() != [filters] {
            let (left, right) = (weight.clone(), inputs.shape(2).clone());
            return Err(Error::Shapes { op: "conv2d", left, right });
        }
        let output = Output::of([batch, plan.output_height(), plan.output_width(), filters]);
        Ok(if self.is_rectified() { output.keeping(plan.output_length()) } else { output })
    }

    fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error> {
        let inputs = pass.inputs;
        let plan = self.plan(inputs.shape(0), inputs.shape(1))?;
        let bias = (inputs.len() == 3).then(|| inputs.values(2));
        Ok(conv::forward(&plan, inputs.values(0), inputs.values(1), bias, self.activation, pass.output)?)
    }

    fn vjp(&self, mut pass: Backward<'_, T>) -> Result<(), Error> {
        let inputs = pass.inputs;
        let plan = self.plan(inputs.shape(0), inputs.shape(1))?;
        let (mut dy, masked) = (pass.gradient, std::mem::take(&mut pass.residual));
        if self.is_rectified() {
            elementwise::map(Mask, [pass.output, dy], masked)?;
            dy = masked;
        }
        if let Some(dx) = pass.input_gradient(0) {
            let (dx, add) = dx.parts();
            conv::input_gradient(&plan, dy, inputs.values(1), add, dx)?;
        }
        if let Some(dweights) = pass.input_gradient(1) {
            let (dweights, add) = dweights.parts();
            conv::weight_gradient(&plan, inputs.values(0), dy, add, dweights)?;
        }
        if inputs.len() == 3
            && let Some(dbias) = pass.input_gradient(2)
        {
            let (dbias, add) = dbias.parts();
            conv::bias_gradient(&plan, dy, add, dbias)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Activation, Conv2d};
    use crate::ops::check::{array, smooth};
    use crate::tape::Tape;

    #[test]
    fn gradient() {
        let plain = Conv2d::default();
        for (images, weight, settings) in [
            ([2, 4, 5, 3], [3, 2, 3, 4], plain),
            ([1, 5, 4, 2], [3, 3, 2, 3], Conv2d { padding: [1, 2], stride: [2, 1], ..plain }),
            ([2, 5, 5, 4], [3, 3, 2, 6], Conv2d { padding: [1, 1], stride: [2, 2], groups: 2, ..plain }),
            ([1, 3, 3, 2], [1, 1, 2, 9], plain),
        ] {
            let inputs = [array(&images, 1), array(&weight, 2), array(&[weight[3]], 3)];
            smooth(|x| x[0].conv2d(x[1], Some(x[2]), settings), &inputs);
            smooth(|x| x[0].conv2d(x[1], None, settings).square(), &inputs[..2]);
            let rectified = Conv2d { activation: Activation::Relu, ..settings };
            smooth(|x| x[0].conv2d(x[1], Some(x[2]), rectified) * x[0].sum_all(), &inputs);
            // Twice the same operands, so that the second gradients are added.
            smooth(|x| x[0].conv2d(x[1], Some(x[2]), settings) * x[0].conv2d(x[1], Some(x[2]), rectified), &inputs);
        }
    }

    #[test]
    fn the_fused_rectifier_is_the_rectifier() {
        let tape = Tape::<f32>::new();
        let [x, w, b] =
            [&[2, 6, 6, 3][..], &[3, 3, 3, 5], &[5]].map(|shape| tape.variable(&array(shape, 1).cast::<f32>()));
        let plain = x.conv2d(w, Some(b), Conv2d::default()).relu().value().unwrap();
        let fused = x.conv2d(w, Some(b), Conv2d { activation: Activation::Relu, ..Conv2d::default() });
        assert_eq!(fused.value().unwrap(), plain);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let tape = Tape::<f64>::new();
        let variable = |shape: &[usize]| tape.variable(&array(shape, 1));
        let (x, bias) = (variable(&[1, 4, 4, 3]), variable(&[2]));
        let message =
            |weight: &[usize], bias, settings| x.try_conv2d(variable(weight), bias, settings).unwrap_err().to_string();
        let plain = Conv2d::default();
        assert_eq!(message(&[3, 3, 2, 5], None, plain), "conv2d: shapes [1, 4, 4, 3] and [3, 3, 2, 5] do not fit");
        assert_eq!(message(&[5, 3, 3, 5], None, plain), "conv2d: shapes [1, 4, 4, 3] and [5, 3, 3, 5] do not fit");
        assert_eq!(message(&[3, 3, 3, 5], Some(bias), plain), "conv2d: shapes [3, 3, 3, 5] and [2] do not fit");
        assert_eq!(message(&[3, 3], None, plain), "conv2d: shapes [1, 4, 4, 3] and [3, 3] do not fit");
        let message = message(&[3, 3, 3, 5], None, Conv2d { stride: [0, 1], ..plain });
        assert!(message.contains("stride of rows"), "{message}");
        assert!(x.try_conv2d(variable(&[3, 3, 3, 5]), None, Conv2d { groups: 0, ..plain }).is_err());
    }
}
