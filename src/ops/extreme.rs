//! The greatest and the least elements over dimensions.

use crate::error::Error;
use crate::ops::reduce::Axes;
use crate::shape::Shape;
use crate::tape::{Backward, Forward, Inputs, Op, Output, Var};
use lanegrad_kernels::isa::Scalar;

/// y = the greatest or the least of all x over some dimensions, NaN if one is.
///
/// The gradient goes to where y comes from, whole: to the first of equals in row-major order (to the first NaN, if y is that).
#[derive(Clone, Copy, Debug)]
pub struct Extreme {
    axes: Axes,
    end: End,
}

/// Which extreme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Greatest,
    Least,
}

impl<'t, T: Scalar> Var<'t, T> {
    /// The greatest elements over the dimensions in `axes` (negative ones count from the last); the gradient goes to the
    /// first of equals. A failure poisons the result.
    ///
    /// ```
    /// use lanegrad::{tape::Tape, tensor::Tensor};
    /// let tape = Tape::<f64>::new();
    /// let x = tape.variable(&Tensor::from_slice([2, 2], &[3.0, 3.0, -1.0, 5.0])?);
    /// let y = x.max([1]);
    /// y.sum_all().backward()?;
    /// assert_eq!(y.value()?.values(), [3.0, 5.0]);
    /// assert_eq!(x.gradient()?.values(), [1.0, 0.0, 0.0, 1.0]);
    /// # Ok::<(), lanegrad::Error>(())
    /// ```
    pub fn max(self, axes: impl AsRef<[isize]>) -> Self {
        self.tape().or_poisoned(self.try_max(axes))
    }

    /// [`Var::max`].
    ///
    /// # Errors
    /// [`Error::Axis`] if there is no such dimension, [`Error::Shape`] if there are more than 64 or there is no element to
    /// choose from.
    pub fn try_max(self, axes: impl AsRef<[isize]>) -> Result<Self, Error> {
        self.extreme(axes.as_ref(), false, End::Greatest)
    }

    /// [`Var::max`] that leaves the dimensions in place, with extent 1.
    pub fn max_keep(self, axes: impl AsRef<[isize]>) -> Self {
        self.tape().or_poisoned(self.try_max_keep(axes))
    }

    /// [`Var::max_keep`].
    ///
    /// # Errors
    /// [`Error::Axis`] if there is no such dimension, [`Error::Shape`] if there are more than 64 or there is no element to
    /// choose from.
    pub fn try_max_keep(self, axes: impl AsRef<[isize]>) -> Result<Self, Error> {
        self.extreme(axes.as_ref(), true, End::Greatest)
    }

    /// The greatest of all elements: one number.
    pub fn max_all(self) -> Self {
        self.tape().apply(Extreme { axes: Axes::ALL, end: End::Greatest }, &[self])
    }

    /// The least elements over the dimensions in `axes` (negative ones count from the last); the gradient goes to the
    /// first of equals. A failure poisons the result.
    pub fn min(self, axes: impl AsRef<[isize]>) -> Self {
        self.tape().or_poisoned(self.try_min(axes))
    }

    /// [`Var::min`].
    ///
    /// # Errors
    /// [`Error::Axis`] if there is no such dimension, [`Error::Shape`] if there are more than 64 or there is no element to
    /// choose from.
    pub fn try_min(self, axes: impl AsRef<[isize]>) -> Result<Self, Error> {
        self.extreme(axes.as_ref(), false, End::Least)
    }

    /// [`Var::min`] that leaves the dimensions in place, with extent 1.
    pub fn min_keep(self, axes: impl AsRef<[isize]>) -> Self {
        self.tape().or_poisoned(self.try_min_keep(axes))
    }

    /// [`Var::min_keep`].
    ///
    /// # Errors
    /// [`Error::Axis`] if there is no such dimension, [`Error::Shape`] if there are more than 64 or there is no element to
    /// choose from.
    pub fn try_min_keep(self, axes: impl AsRef<[isize]>) -> Result<Self, Error> {
        self.extreme(axes.as_ref(), true, End::Least)
    }

    /// The least of all elements: one number.
    pub fn min_all(self) -> Self {
        self.tape().apply(Extreme { axes: Axes::ALL, end: End::Least }, &[self])
    }

    fn extreme(self, axes: &[isize], keep: bool, end: End) -> Result<Self, Error> {
        let axes = Axes::new(&self.shape()?, axes, keep)?;
        self.tape().try_apply(Extreme { axes, end }, &[self])
    }
}

impl End {
    /// What every number beats.
    fn beaten_by_all<T: Scalar>(self) -> T {
        match self {
            Self::Greatest => -T::INFINITY,
            Self::Least => T::INFINITY,
        }
    }

    /// Whether `x` takes the place of `y`.
    fn beats<T: Scalar>(self, x: T, y: T) -> bool {
        let further = match self {
            Self::Greatest => x > y,
            Self::Least => x < y,
        };
        further || is_nan(x)
    }
}

fn is_nan<T: Scalar>(x: T) -> bool {
    x.partial_cmp(&x).is_none()
}

/// Calls `visit` with the position of each element of an array, in row-major order, and that of another whose strides these
/// are.
fn for_each_element(extents: &[usize], strides: &[usize], mut visit: impl FnMut(usize, usize)) {
    fn walk(extents: &[usize], strides: &[usize], x: &mut usize, y: usize, visit: &mut impl FnMut(usize, usize)) {
        let (Some((&extent, inner)), Some((&stride, inner_strides))) = (extents.split_first(), strides.split_first())
        else {
            visit(*x, y);
            *x += 1;
            return;
        };
        for i in 0..extent {
            walk(inner, inner_strides, x, y + i * stride, visit);
        }
    }
    walk(extents, strides, &mut 0, 0, &mut visit);
}

impl Extreme {
    /// How far each dimension of an array of this shape goes in the result.
    fn strides(&self, shape: &Shape) -> Result<Shape, Error> {
        self.axes.kept(shape).broadcast_strides(shape)
    }
}

impl<T: Scalar> Op<T> for Extreme {
    fn name(&self) -> &'static str {
        match self.end {
            End::Greatest => "max",
            End::Least => "min",
        }
    }

    fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error> {
        let (op, shape) = (Op::<T>::name(self), inputs.shape(0));
        let output = self.axes.output(op, shape)?;
        let elements = output.elements()?;
        if self.axes.terms(shape) == 0 && elements > 0 {
            return Err(Error::Shape { op, shape: shape.clone(), wanted: "nothing has no extreme" });
        }
        Ok(Output::of(output).keeping(elements))
    }

    fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error> {
        let (x, shape, y) = (pass.inputs.values(0), pass.inputs.shape(0), pass.output);
        let strides = self.strides(shape)?;
        y.fill(self.end.beaten_by_all());
        for_each_element(shape.extents(), strides.extents(), |i, j| {
            if self.end.beats(x[i], y[j]) {
                y[j] = x[i];
            }
        });
        Ok(())
    }

    fn vjp(&self, mut pass: Backward<'_, T>) -> Result<(), Error> {
        let (x, shape) = (pass.inputs.values(0), pass.inputs.shape(0));
        let (y, dy, given) = (pass.output, pass.gradient, std::mem::take(&mut pass.residual));
        let strides = self.strides(shape)?;
        let Some(dx) = pass.input_gradient(0) else { return Ok(()) };
        let dx = dx.accumulator();
        given.fill(T::ZERO);
        for_each_element(shape.extents(), strides.extents(), |i, j| {
            let equal = x[i] == y[j] || is_nan(x[i]);
            if equal && given[j] == T::ZERO {
                given[j] = T::ONE;
                dx[i] += dy[j];
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{array, smooth};
    use crate::tape::Tape;
    use crate::tensor::Tensor;

    #[test]
    fn gradient() {
        for axes in [&[0][..], &[1], &[-1], &[0, 2], &[1, 2], &[0, 1, 2], &[]] {
            smooth(|x| x[0].max(axes).square(), &[array(&[2, 3, 4], 1)]);
            smooth(|x| x[0] * x[0].min_keep(axes), &[array(&[2, 3, 4], 2)]);
        }
        smooth(|x| x[0].max_all() * x[0].min_all() + x[0].max_keep([0]).sum_all(), &[array(&[2, 35], 1)]);
        smooth(|x| x[0].min([1]), &[array(&[2, 3], 3)]);
    }

    #[test]
    fn the_first_of_equals_gets_the_gradient() {
        let tape = Tape::<f64>::new();
        let x = tape.variable(&Tensor::from_slice([2, 3], &[1.0, 2.0, 2.0, 2.0, 0.0, 1.0]).unwrap());
        (x.max([0, 1]) * 5.0 + x.max([0]).sum_all()).backward().unwrap();
        assert_eq!(x.gradient().unwrap().values(), [0.0, 6.0, 1.0, 1.0, 0.0, 0.0]);
        let tape = Tape::<f64>::new();
        let x = tape.variable(&Tensor::from_slice([3], &[-0.0, 0.0, 0.0]).unwrap());
        x.min_all().backward().unwrap();
        assert_eq!(x.gradient().unwrap().values(), [1.0, 0.0, 0.0]);
    }

    #[test]
    fn values_at_the_edges() {
        let tape = Tape::<f64>::new();
        let x = tape.variable(&Tensor::from_slice([2, 2], &[1.0, f64::NAN, -f64::INFINITY, -f64::INFINITY]).unwrap());
        let most = x.max([1]);
        assert!(most.value().unwrap().values()[0].is_nan());
        assert_eq!(most.value().unwrap().values()[1], -f64::INFINITY);
        most.sum_all().backward().unwrap();
        assert_eq!(x.gradient().unwrap().values(), [0.0, 1.0, 1.0, 0.0]);
        let nothing = x.slice(0, 0..0);
        assert_eq!(nothing.max([1]).shape().unwrap().extents(), [0]);
        assert_eq!(nothing.max([0]).check().unwrap_err().to_string(), "max: shape [0, 2], but nothing has no extreme");
    }
}
