//! What functions of two numbers have in common as operations: broadcasting, and its gradient.

use crate::error::Error;
use crate::shape::Shape;
use crate::tape::{Backward, Forward, InputGradient, Inputs, Op, Output};
use lanegrad_kernels::elementwise::{self, Broadcast, BroadcastMut, Function};
use lanegrad_kernels::isa::{Isa, Scalar};
use std::fmt::Debug;

/// A function of two numbers and its derivatives, on lanes.
///
/// All methods must be `#[inline(always)]`.
pub trait PairwiseFunction<T: Scalar>: Copy + Debug + Send + Sync + 'static {
    /// What the operation is called.
    const NAME: &'static str;
    /// y = f(a, b).
    fn value<S: Isa>(self, isa: S, a: T::Lanes<S>, b: T::Lanes<S>) -> T::Lanes<S>;
    /// dy times the derivative by a, given a, b and dy.
    fn left<S: Isa>(self, isa: S, a: T::Lanes<S>, b: T::Lanes<S>, dy: T::Lanes<S>) -> T::Lanes<S>;
    /// dy times the derivative by b, given a, b and dy.
    fn right<S: Isa>(self, isa: S, a: T::Lanes<S>, b: T::Lanes<S>, dy: T::Lanes<S>) -> T::Lanes<S>;
}

/// The operation that applies a function to each pair of elements of two arrays, broadcast to one shape.
#[derive(Clone, Copy, Debug)]
pub struct Binary<F>(pub F);

#[derive(Clone, Copy)]
struct Value<F>(F);

impl<T: Scalar, F: PairwiseFunction<T>> Function<T, 2> for Value<F> {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [a, b]: [T::Lanes<S>; 2]) -> T::Lanes<S> {
        self.0.value(isa, a, b)
    }
}

#[derive(Clone, Copy)]
struct Left<F>(F);

impl<T: Scalar, F: PairwiseFunction<T>> Function<T, 3> for Left<F> {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [a, b, dy]: [T::Lanes<S>; 3]) -> T::Lanes<S> {
        self.0.left(isa, a, b, dy)
    }
}

#[derive(Clone, Copy)]
struct Right<F>(F);

impl<T: Scalar, F: PairwiseFunction<T>> Function<T, 3> for Right<F> {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [a, b, dy]: [T::Lanes<S>; 3]) -> T::Lanes<S> {
        self.0.right(isa, a, b, dy)
    }
}

impl<T: Scalar, F: PairwiseFunction<T>> Op<T> for Binary<F> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn takes(&self, inputs: usize) -> bool {
        inputs == 2
    }

    fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error> {
        let (left, right) = (inputs.shape(0), inputs.shape(1));
        let unfit = |_| Error::Shapes { op: F::NAME, left: left.clone(), right: right.clone() };
        Ok(Output::of(left.broadcast(right).map_err(unfit)?))
    }

    fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error> {
        let strides = strides(pass.inputs, pass.shape)?;
        let [a, b] = [0, 1].map(|i| Broadcast { values: pass.inputs.values(i), strides: strides[i].extents() });
        Ok(elementwise::map_broadcast(Value(self.0), pass.shape.extents(), [a, b], pass.output)?)
    }

    fn vjp(&self, mut pass: Backward<'_, T>) -> Result<(), Error> {
        let (inputs, shape) = (pass.inputs, pass.shape);
        let input_strides = strides(inputs, shape)?;
        let [a, b] = [0, 1].map(|i| Broadcast { values: inputs.values(i), strides: input_strides[i].extents() });
        let dy_strides = shape.broadcast_strides(shape)?;
        let dy = Broadcast { values: pass.gradient, strides: dy_strides.extents() };
        if let Some(da) = pass.input_gradient(0) {
            add_broadcast(Left(self.0), shape, [a, b, dy], da, &input_strides[0], inputs.shape(0))?;
        }
        if let Some(db) = pass.input_gradient(1) {
            add_broadcast(Right(self.0), shape, [a, b, dy], db, &input_strides[1], inputs.shape(1))?;
        }
        Ok(())
    }
}

fn strides<T: Scalar>(inputs: Inputs<'_, T>, shape: &Shape) -> Result<[Shape; 2], Error> {
    Ok([inputs.shape(0).broadcast_strides(shape)?, inputs.shape(1).broadcast_strides(shape)?])
}

/// dx += f(operands) over `shape`, summed where dx, of shape `own`, is repeated.
fn add_broadcast<T: Scalar, const N: usize>(
    f: impl Function<T, N>,
    shape: &Shape,
    operands: [Broadcast<'_, T>; N],
    dx: InputGradient<'_, T>,
    strides: &Shape,
    own: &Shape,
) -> Result<(), Error> {
    let (dx, add) = dx.parts();
    if !add && own == shape {
        return Ok(elementwise::map_broadcast(f, shape.extents(), operands, dx)?);
    }
    if !add {
        dx.fill(T::ZERO);
    }
    let target = BroadcastMut { values: dx, strides: strides.extents() };
    Ok(elementwise::accumulate_broadcast(f, shape.extents(), operands, target)?)
}
