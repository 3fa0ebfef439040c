//! The logarithm of the softmax function.

use crate::error::Error;
use crate::ops::along::Along;
use crate::tape::{Backward, Forward, Inputs, Op, Output, Var};
use lanegrad_kernels::elementwise::{Function, Identity};
use lanegrad_kernels::isa::{Isa, Lanes, Scalar};
use lanegrad_kernels::math::exp_lanes;
use lanegrad_kernels::softmax::log_softmax;

/// y = x - ln(sum of exp(x)) along a dimension, without overflow; dx = dy - exp(y) (sum of dy).
#[derive(Clone, Copy, Debug)]
pub struct LogSoftmax {
    axis: isize,
}

/// dy - exp(y) sum.
#[derive(Clone, Copy)]
struct Slope;

impl<T: Scalar> Function<T, 3> for Slope {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [dy, y, sum]: [T::Lanes<S>; 3]) -> T::Lanes<S> {
        dy.sub(isa, exp_lanes::<S, T>(isa, y).mul(isa, sum))
    }
}

impl<'t, T: Scalar> Var<'t, T> {
    /// x - ln(sum of exp(x)), the sum along `axis` (a negative one counts from the last). A failure poisons the result.
    pub fn log_softmax(self, axis: isize) -> Self {
        self.tape().apply(LogSoftmax { axis }, &[self])
    }

    /// [`Var::log_softmax`].
    ///
    /// # Errors
    /// [`Error::Axis`] if there is no such dimension.
    pub fn try_log_softmax(self, axis: isize) -> Result<Self, Error> {
        self.tape().try_apply(LogSoftmax { axis }, &[self])
    }
}

impl<T: Scalar> Op<T> for LogSoftmax {
    fn name(&self) -> &'static str {
        "log-softmax"
    }

    fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error> {
        let along = Along::new(inputs.shape(0), inputs.shape(0).axis(self.axis)?);
        Ok(Output::of(inputs.shape(0)).keeping(along.sums()))
    }

    fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error> {
        let along = Along::new(pass.shape, pass.shape.axis(self.axis)?);
        Ok(log_softmax(pass.inputs.values(0), along.extents, pass.output)?)
    }

    fn vjp(&self, mut pass: Backward<'_, T>) -> Result<(), Error> {
        let along = Along::new(pass.shape, pass.shape.axis(self.axis)?);
        let (y, dy, sums) = (pass.output, pass.gradient, std::mem::take(&mut pass.residual));
        let Some(dx) = pass.input_gradient(0) else { return Ok(()) };
        along.sum(Identity, [along.whole(dy)], sums)?;
        along.add(Slope, [along.whole(dy), along.whole(y), along.repeated(sums)], dx)
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{array, smooth};
    use crate::tape::Tape;
    use crate::tensor::Tensor;

    #[test]
    fn gradient() {
        for axis in [0, 1, -1] {
            smooth(|x| x[0].log_softmax(axis), &[array(&[3, 4, 5], 1)]);
            smooth(|x| x[0].log_softmax(axis) * x[0], &[array(&[2, 17, 3], 1)]);
        }
    }

    #[test]
    fn large_numbers_and_axes_that_are_not_there() {
        let tape = Tape::<f32>::new();
        let x = tape.variable(&Tensor::from_slice([3], &[1000.0, 1000.0, -1000.0]).unwrap());
        let y = x.log_softmax(0).value().unwrap();
        assert!((y.values()[1] + std::f32::consts::LN_2).abs() < 1e-6 && y.values()[2] < -1999.0);
        assert_eq!(x.try_log_softmax(1).unwrap_err().to_string(), "there is no axis 1 in shape [3]");
        assert!(tape.scalar(1.0).try_log_softmax(0).is_err());
        assert_eq!(x.slice(0, 0..0).log_softmax(0).shape().unwrap().extents(), [0]);
    }
}
