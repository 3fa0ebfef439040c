//! Sums and means over dimensions.

use crate::error::Error;
use crate::ops::unary::{Pointwise, Unary};
use crate::shape::Shape;
use crate::tape::{Backward, Forward, Inputs, Op, Output, Var};
use lanegrad_kernels::elementwise::{self, Broadcast, BroadcastMut, Function};
use lanegrad_kernels::isa::{Isa, Lanes, Scalar};

/// The most dimensions of an array that can be reduced.
const MAX_AXES: usize = 64;

/// Dimensions of an array that are reduced to one index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axes {
    /// Bit i is set if dimension i is reduced.
    bits: u64,
    /// Whether those dimensions stay, with extent 1.
    keep: bool,
}

impl Axes {
    /// All dimensions.
    pub const ALL: Self = Self { bits: u64::MAX, keep: false };

    /// Those of `shape` that `axes` names; negative ones count from the last.
    pub fn new(shape: &Shape, axes: &[isize], keep: bool) -> Result<Self, Error> {
        let bit = |bits: u64, &axis: &isize| Ok::<u64, Error>(bits | 1 << (shape.axis(axis)? % MAX_AXES));
        Ok(Self { bits: axes.iter().try_fold(0, bit)?, keep })
    }

    fn has(&self, axis: usize) -> bool {
        self.bits >> axis & 1 == 1
    }

    /// `shape` with the reduced dimensions of extent 1.
    pub fn kept(&self, shape: &Shape) -> Shape {
        let mut kept = shape.clone();
        for (axis, extent) in kept.extents_mut().iter_mut().enumerate() {
            if self.has(axis) {
                *extent = 1;
            }
        }
        kept
    }

    /// How many elements of an array of this shape come together in one.
    pub fn terms(&self, shape: &Shape) -> usize {
        let reduced = |&(axis, _): &(usize, &usize)| self.has(axis);
        shape.extents().iter().enumerate().filter(reduced).map(|(_, &extent)| extent).product()
    }

    /// The shape of the result for an array of this shape.
    ///
    /// # Errors
    /// [`Error::Shape`] if it has more dimensions than can be told apart here.
    pub fn output(&self, op: &'static str, shape: &Shape) -> Result<Shape, Error> {
        if shape.rank() > MAX_AXES {
            return Err(Error::Shape { op, shape: shape.clone(), wanted: "at most 64 dimensions can be reduced" });
        }
        if self.keep {
            return Ok(self.kept(shape));
        }
        let mut left = shape.clone();
        for axis in (0..shape.rank()).rev().filter(|&axis| self.has(axis)) {
            left = left.without(axis);
        }
        Ok(left)
    }
}

/// y = the sum over some dimensions, divided by the number of its terms for the mean; dx = dy divided likewise, repeated.
#[derive(Clone, Copy, Debug)]
pub struct Sum {
    axes: Axes,
    /// Whether the sum is divided by the number of its terms.
    mean: bool,
}

impl Sum {
    /// What the sum of an array of this shape is divided by.
    fn divisor<T: Scalar>(&self, shape: &Shape) -> T {
        if self.mean { T::from_f64(self.axes.terms(shape) as f64) } else { T::ONE }
    }
}

/// scale x.
#[derive(Clone, Copy)]
struct Scale<T>(T);

impl<T: Scalar> Function<T, 1> for Scale<T> {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [x]: [T::Lanes<S>; 1]) -> T::Lanes<S> {
        x.mul(isa, T::Lanes::<S>::splat(isa, self.0))
    }
}

/// y = sqrt(x) for the norm: dx = dy / (2 y), and 0 where y is, the subgradient of a norm at zero.
#[derive(Clone, Copy, Debug)]
struct NormRoot;

impl<T: Scalar> Pointwise<T> for NormRoot {
    const NAME: &'static str = "sqrt";

    #[inline(always)]
    fn value<S: Isa>(self, isa: S, x: T::Lanes<S>) -> T::Lanes<S> {
        x.sqrt(isa)
    }

    #[inline(always)]
    fn slope<S: Isa>(self, isa: S, _: T::Lanes<S>, y: T::Lanes<S>, dy: T::Lanes<S>) -> T::Lanes<S> {
        // What is not above zero is zero or NaN, and so is its slope.
        y.select_greater(isa, T::Lanes::<S>::splat(isa, T::ZERO), dy.div(isa, y.add(isa, y)), y)
    }
}

impl<'t, T: Scalar> Var<'t, T> {
    /// The sum over the dimensions in `axes` (negative ones count from the last). A failure poisons the result.
    pub fn sum(self, axes: impl AsRef<[isize]>) -> Self {
        self.tape().or_poisoned(self.try_sum(axes))
    }

    /// [`Var::sum`].
    ///
    /// # Errors
    /// [`Error::Axis`] if there is no such dimension, [`Error::Shape`] if there are more than 64.
    pub fn try_sum(self, axes: impl AsRef<[isize]>) -> Result<Self, Error> {
        self.reduce(axes.as_ref(), false, false)
    }

    /// [`Var::sum`] that leaves the dimensions in place, with extent 1.
    pub fn sum_keep(self, axes: impl AsRef<[isize]>) -> Self {
        self.tape().or_poisoned(self.try_sum_keep(axes))
    }

    /// [`Var::sum_keep`].
    ///
    /// # Errors
    /// [`Error::Axis`] if there is no such dimension, [`Error::Shape`] if there are more than 64.
    pub fn try_sum_keep(self, axes: impl AsRef<[isize]>) -> Result<Self, Error> {
        self.reduce(axes.as_ref(), true, false)
    }

    /// The sum of all elements: one number.
    pub fn sum_all(self) -> Self {
        self.tape().apply(Sum { axes: Axes::ALL, mean: false }, &[self])
    }

    /// The mean over the dimensions in `axes` (negative ones count from the last). A failure poisons the result.
    pub fn mean(self, axes: impl AsRef<[isize]>) -> Self {
        self.tape().or_poisoned(self.try_mean(axes))
    }

    /// [`Var::mean`].
    ///
    /// # Errors
    /// [`Error::Axis`] if there is no such dimension, [`Error::Shape`] if there are more than 64.
    pub fn try_mean(self, axes: impl AsRef<[isize]>) -> Result<Self, Error> {
        self.reduce(axes.as_ref(), false, true)
    }

    /// [`Var::mean`] that leaves the dimensions in place, with extent 1.
    pub fn mean_keep(self, axes: impl AsRef<[isize]>) -> Self {
        self.tape().or_poisoned(self.try_mean_keep(axes))
    }

    /// [`Var::mean_keep`].
    ///
    /// # Errors
    /// [`Error::Axis`] if there is no such dimension, [`Error::Shape`] if there are more than 64.
    pub fn try_mean_keep(self, axes: impl AsRef<[isize]>) -> Result<Self, Error> {
        self.reduce(axes.as_ref(), true, true)
    }

    /// The mean of all elements: one number.
    pub fn mean_all(self) -> Self {
        self.tape().apply(Sum { axes: Axes::ALL, mean: true }, &[self])
    }

    fn reduce(self, axes: &[isize], keep: bool, mean: bool) -> Result<Self, Error> {
        let axes = Axes::new(&self.shape()?, axes, keep)?;
        self.tape().try_apply(Sum { axes, mean }, &[self])
    }

    /// The Euclidean norm over the dimensions in `axes`, which stay with extent 1: the square root of the sum of squares
    /// plus `epsilon`. The gradient where that is 0 is 0. A failure poisons the result.
    pub fn norm_keep(self, axes: impl AsRef<[isize]>, epsilon: T) -> Self {
        self.tape().or_poisoned(self.try_norm_keep(axes, epsilon))
    }

    /// [`Var::norm_keep`].
    ///
    /// # Errors
    /// Those of [`Var::try_sum_keep`].
    pub fn try_norm_keep(self, axes: impl AsRef<[isize]>, epsilon: T) -> Result<Self, Error> {
        // Before anything is recorded.
        Axes::new(&self.shape()?, axes.as_ref(), true)?.output("sum", &self.shape()?)?;
        self.tape().try_apply(Unary(NormRoot), &[self.square().try_sum_keep(axes)? + epsilon])
    }

    /// The Euclidean norm of all elements: the square root of the sum of squares. The gradient of a norm of 0 is 0.
    pub fn norm(self) -> Self {
        self.tape().apply(Unary(NormRoot), &[self.square().sum_all()])
    }
}

impl<T: Scalar> Op<T> for Sum {
    fn name(&self) -> &'static str {
        if self.mean { "mean" } else { "sum" }
    }

    fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error> {
        Ok(Output::of(self.axes.output("sum", inputs.shape(0))?))
    }

    fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error> {
        let shape = pass.inputs.shape(0);
        let (own, strides) = (shape.broadcast_strides(shape)?, self.axes.kept(shape).broadcast_strides(shape)?);
        pass.output.fill(T::ZERO);
        let x = Broadcast { values: pass.inputs.values(0), strides: own.extents() };
        let y = BroadcastMut { values: pass.output, strides: strides.extents() };
        elementwise::accumulate_broadcast(Scale(T::ONE), shape.extents(), [x], y)?;
        // Divided, so that the mean of equal numbers is that number.
        let divisor = self.divisor::<T>(shape);
        if divisor != T::ONE {
            pass.output.iter_mut().for_each(|y| *y = *y / divisor);
        }
        Ok(())
    }

    fn vjp(&self, mut pass: Backward<'_, T>) -> Result<(), Error> {
        let shape = pass.inputs.shape(0);
        let (own, strides) = (shape.broadcast_strides(shape)?, self.axes.kept(shape).broadcast_strides(shape)?);
        let dy = Broadcast { values: pass.gradient, strides: strides.extents() };
        let Some(dx) = pass.input_gradient(0) else { return Ok(()) };
        let (dx, add) = dx.parts();
        let f = Scale(T::ONE / self.divisor(shape));
        if !add {
            return Ok(elementwise::map_broadcast(f, shape.extents(), [dy], dx)?);
        }
        let dx = BroadcastMut { values: dx, strides: own.extents() };
        Ok(elementwise::accumulate_broadcast(f, shape.extents(), [dy], dx)?)
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{array, smooth};
    use crate::tape::Tape;

    #[test]
    fn gradient() {
        for axes in [&[0][..], &[1], &[2], &[-1], &[0, 2], &[0, 1], &[1, 2], &[0, 1, 2], &[]] {
            smooth(|x| (x[0] * x[0]).sum(axes).tanh(), &[array(&[2, 3, 4], 1)]);
            smooth(|x| x[0] / x[0].square().mean_keep(axes), &[array(&[2, 3, 4], 1)]);
        }
        smooth(|x| x[0].sum_all() * x[0].mean_all(), &[array(&[2, 35], 1)]);
        smooth(|x| x[0].norm() + (x[0] / x[0].norm_keep([-1], 1e-3)).sum_all(), &[array(&[3, 4], 1)]);
    }

    #[test]
    fn the_gradient_of_a_norm_of_zero_is_zero() {
        let tape = Tape::<f64>::new();
        let x = tape.variable(&crate::tensor::Tensor::from_slice([2, 2], &[0.0, -0.0, 3.0, -4.0]).unwrap());
        x.norm_keep([1], 0.0).sum_all().backward().unwrap();
        let gradient = x.gradient().unwrap();
        assert_eq!(gradient.values()[..2], [0.0; 2]);
        assert!((gradient.values()[2] - 0.6).abs() < 1e-15 && (gradient.values()[3] + 0.8).abs() < 1e-15);
        let tape = Tape::<f32>::new();
        let x = tape.variable(&crate::tensor::Tensor::zeros([19]).unwrap());
        x.norm().backward().unwrap();
        assert_eq!(x.gradient().unwrap().values(), [0.0; 19]);
        let tape = Tape::<f32>::new();
        let x = tape.variable(&crate::tensor::Tensor::full([3], f32::NAN).unwrap());
        x.norm().backward().unwrap();
        assert!(x.gradient().unwrap().values().iter().all(|dx| dx.is_nan()));
    }

    #[test]
    fn shapes_and_values() {
        let tape = Tape::<f64>::new();
        let x = tape.variable(&crate::tensor::Tensor::arange(24).unwrap().reshape([2, 3, 4]).unwrap());
        assert_eq!(x.sum([0, -1]).value().unwrap().values(), [60.0, 92.0, 124.0]);
        assert_eq!(x.mean([0, -1]).value().unwrap().values(), [7.5, 11.5, 15.5]);
        assert_eq!(x.sum_keep([1]).shape().unwrap().extents(), [2, 1, 4]);
        assert_eq!(x.sum_all().item().unwrap(), 276.0);
        let ones = tape.variable(&crate::tensor::Tensor::ones([49]).unwrap());
        assert_eq!(ones.mean_all().item().unwrap(), 1.0);
        assert_eq!(x.sum([3]).value().unwrap_err().to_string(), "there is no axis 3 in shape [2, 3, 4]");
    }
}
