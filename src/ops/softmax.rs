//! The softmax function.

use crate::error::Error;
use crate::ops::along::Along;
use crate::tape::{Backward, Forward, Inputs, Op, Output, Var};
use lanegrad_kernels::elementwise::Function;
use lanegrad_kernels::isa::{Isa, Lanes, Scalar};
use lanegrad_kernels::math::exp;
use lanegrad_kernels::softmax::log_softmax;

/// y = exp(x) / (sum of exp(x)) along a dimension, without overflow; dx = y (dy - (sum of dy y)).
#[derive(Clone, Copy, Debug)]
pub struct Softmax {
    axis: isize,
}

/// a b.
#[derive(Clone, Copy)]
struct Product;

impl<T: Scalar> Function<T, 2> for Product {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [a, b]: [T::Lanes<S>; 2]) -> T::Lanes<S> {
        a.mul(isa, b)
    }
}

/// y (dy - sum).
#[derive(Clone, Copy)]
struct Slope;

impl<T: Scalar> Function<T, 3> for Slope {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [dy, y, sum]: [T::Lanes<S>; 3]) -> T::Lanes<S> {
        y.mul(isa, dy.sub(isa, sum))
    }
}

impl<'t, T: Scalar> Var<'t, T> {
    /// exp(x) / (sum of exp(x)), the sum along `axis` (a negative one counts from the last). A failure poisons the result.
    ///
    /// For a loss, [`Var::softmax_cross_entropy`] and [`Var::log_softmax`] lose no digits to probabilities near zero.
    pub fn softmax(self, axis: isize) -> Self {
        self.tape().apply(Softmax { axis }, &[self])
    }

    /// [`Var::softmax`].
    ///
    /// # Errors
    /// [`Error::Axis`] if there is no such dimension.
    pub fn try_softmax(self, axis: isize) -> Result<Self, Error> {
        self.tape().try_apply(Softmax { axis }, &[self])
    }
}

impl<T: Scalar> Op<T> for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error> {
        let along = Along::new(inputs.shape(0), inputs.shape(0).axis(self.axis)?);
        Ok(Output::of(inputs.shape(0)).keeping(inputs.values(0).len().max(along.sums())))
    }

    fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error> {
        let along = Along::new(pass.shape, pass.shape.axis(self.axis)?);
        let logarithms = &mut pass.residual[..pass.output.len()];
        log_softmax(pass.inputs.values(0), along.extents, logarithms)?;
        Ok(exp(logarithms, pass.output)?)
    }

    fn vjp(&self, mut pass: Backward<'_, T>) -> Result<(), Error> {
        let along = Along::new(pass.shape, pass.shape.axis(self.axis)?);
        let (y, dy, residual) =
            (along.whole(pass.output), along.whole(pass.gradient), std::mem::take(&mut pass.residual));
        let Some(dx) = pass.input_gradient(0) else { return Ok(()) };
        let sums = &mut residual[..along.sums()];
        along.sum(Product, [dy, y], sums)?;
        along.add(Slope, [dy, y, along.repeated(sums)], dx)
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
            smooth(|x| x[0].softmax(axis), &[array(&[3, 4, 5], 1)]);
            smooth(|x| x[0].softmax(axis) * x[0], &[array(&[2, 17, 3], 1)]);
        }
    }

    #[test]
    fn probabilities_sum_to_one_and_do_not_overflow() {
        let tape = Tape::<f64>::new();
        let x = tape.variable(&Tensor::from_slice([2, 3], &[123.0, 456.0, 789.0, -1e5, 1e5, 1e5]).unwrap());
        let y = x.softmax(-1);
        assert_eq!(y.value().unwrap().values()[1..], [(-333.0_f64).exp(), 1.0, 0.0, 0.5, 0.5]);
        assert_eq!(y.sum([1]).value().unwrap().values(), [1.0, 1.0]);
        assert_eq!(x.try_softmax(2).unwrap_err().to_string(), "there is no axis 2 in shape [2, 3]");
        assert_eq!(x.slice(0, 0..0).softmax(0).shape().unwrap().extents(), [0, 3]);
    }
}
