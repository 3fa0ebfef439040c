//! What functions of one number have in common as operations.

use crate::error::Error;
use crate::tape::{Backward, Forward, Inputs, Op, Output};
use lanegrad_kernels::elementwise::{self, Function};
use lanegrad_kernels::isa::{Isa, Scalar};
use std::fmt::Debug;

/// A function of one number and its derivative, on lanes.
///
/// Both methods must be `#[inline(always)]`.
pub trait Pointwise<T: Scalar>: Copy + Debug + Send + Sync + 'static {
    /// What the operation is called.
    const NAME: &'static str;
    /// y = f(x).
    fn value<S: Isa>(self, isa: S, x: T::Lanes<S>) -> T::Lanes<S>;
    /// dy f'(x), given x and y = f(x).
    fn slope<S: Isa>(self, isa: S, x: T::Lanes<S>, y: T::Lanes<S>, dy: T::Lanes<S>) -> T::Lanes<S>;
}

/// The operation that applies a function to each element.
#[derive(Clone, Copy, Debug)]
pub struct Unary<F>(pub F);

#[derive(Clone, Copy)]
struct Value<F>(F);

impl<T: Scalar, F: Pointwise<T>> Function<T, 1> for Value<F> {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [x]: [T::Lanes<S>; 1]) -> T::Lanes<S> {
        self.0.value(isa, x)
    }
}

#[derive(Clone, Copy)]
struct Slope<F>(F);

impl<T: Scalar, F: Pointwise<T>> Function<T, 3> for Slope<F> {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [x, y, dy]: [T::Lanes<S>; 3]) -> T::Lanes<S> {
        self.0.slope(isa, x, y, dy)
    }
}

impl<T: Scalar, F: Pointwise<T>> Op<T> for Unary<F> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error> {
        Ok(Output::of(inputs.shape(0)))
    }

    fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error> {
        Ok(elementwise::map(Value(self.0), [pass.inputs.values(0)], pass.output)?)
    }

    fn vjp(&self, mut pass: Backward<'_, T>) -> Result<(), Error> {
        let operands = [pass.inputs.values(0), pass.output, pass.gradient];
        let Some(dx) = pass.input_gradient(0) else { return Ok(()) };
        let (dx, add) = dx.parts();
        let f = Slope(self.0);
        Ok(if add { elementwise::accumulate(f, operands, dx) } else { elementwise::map(f, operands, dx) }?)
    }
}
