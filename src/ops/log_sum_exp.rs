//! The logarithm of a sum of exponentials.

use crate::error::Error;
use crate::ops::along::Along;
use crate::tape::{Backward, Forward, Inputs, Op, Output, Var};
use lanegrad_kernels::elementwise::Function;
use lanegrad_kernels::isa::{Isa, Lanes, Scalar};
use lanegrad_kernels::math::exp_lanes;
use lanegrad_kernels::softmax::log_softmax;

/// y = ln(sum of exp(x)) along a dimension, without overflow; dx = dy softmax(x).
#[derive(Clone, Copy, Debug)]
pub struct LogSumExp {
    axis: isize,
}

/// exp(a) dy.
#[derive(Clone, Copy)]
struct Slope;

impl<T: Scalar> Function<T, 2> for Slope {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [a, dy]: [T::Lanes<S>; 2]) -> T::Lanes<S> {
        exp_lanes::<S, T>(isa, a).mul(isa, dy)
    }
}

impl<'t, T: Scalar> Var<'t, T> {
    /// ln(sum of exp(x)) along `axis` (a negative one counts from the last), which is left out of the result. A failure
    /// poisons the result.
    pub fn log_sum_exp(self, axis: isize) -> Self {
        self.tape().apply(LogSumExp { axis }, &[self])
    }
}

/// The greater number, or NaN if either is.
fn greater<T: Scalar>(a: T, b: T) -> T {
    if b > a || b.partial_cmp(&b).is_none() { b } else { a }
}

impl<T: Scalar> Op<T> for LogSumExp {
    fn name(&self) -> &'static str {
        "log-sum-exp"
    }

    fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error> {
        let shape = inputs.shape(0);
        let axis = shape.axis(self.axis)?;
        if shape.extents()[axis] == 0 {
            return Err(Error::Shape {
                op: "log-sum-exp",
                shape: shape.clone(),
                wanted: "an empty sum has no logarithm",
            });
        }
        Ok(Output::of(shape.without(axis)).keeping(inputs.values(0).len()))
    }

    fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error> {
        let (x, shape) = (pass.inputs.values(0), pass.inputs.shape(0));
        let along = Along::new(shape, shape.axis(self.axis)?);
        log_softmax(x, along.extents, pass.residual)?;
        let [_, extent, inner] = along.extents;
        for (i, y) in pass.output.iter_mut().enumerate() {
            // The greatest x less the greatest logarithm of the softmax, which is between 0 and -ln(extent).
            let first = i / inner * extent * inner + i % inner;
            let greatest = |values: &[T]| {
                values[first..]
                    .iter()
                    .step_by(inner)
                    .take(extent)
                    .fold(-T::INFINITY, |most, &value| greater(most, value))
            };
            *y = greatest(x) - greatest(pass.residual);
        }
        Ok(())
    }

    fn vjp(&self, mut pass: Backward<'_, T>) -> Result<(), Error> {
        let shape = pass.inputs.shape(0);
        let along = Along::new(shape, shape.axis(self.axis)?);
        let (dy, logarithms) = (pass.gradient, std::mem::take(&mut pass.residual));
        let Some(dx) = pass.input_gradient(0) else { return Ok(()) };
        along.add(Slope, [along.whole(logarithms), along.repeated(dy)], dx)
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
            smooth(|x| x[0].log_sum_exp(axis) * x[0].sum([axis]), &[array(&[3, 4, 5], 1)]);
        }
    }

    #[test]
    fn large_numbers_do_not_overflow() {
        let tape = Tape::<f64>::new();
        let x = tape.variable(&Tensor::from_slice([2, 2], &[-1e30, 1e4, 1e4, 1e4]).unwrap());
        assert_eq!(x.log_sum_exp(1).value().unwrap().values(), [1e4, 1e4 + std::f64::consts::LN_2]);
        let message = "log-sum-exp: shape [0, 2], but an empty sum has no logarithm";
        assert_eq!(x.slice(0, 0..0).log_sum_exp(0).value().unwrap_err().to_string(), message);
    }
}
