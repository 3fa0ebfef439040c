//! Dimensions in another order.

use crate::error::Error;
use crate::tape::{Backward, Forward, Inputs, Op, Output, Var};
use crate::tensor::{permute_into, permuted};
use lanegrad_kernels::isa::Scalar;

/// The most dimensions that can be put in another order.
pub const MAX_AXES: usize = 8;

/// Dimension `i` of the result is dimension `axes[i]` of the input; dX is dY with the inverse order.
#[derive(Clone, Copy, Debug)]
pub struct Permute {
    axes: [usize; MAX_AXES],
    rank: usize,
}

impl Permute {
    fn new(axes: &[usize]) -> Option<Self> {
        let mut kept = [0; MAX_AXES];
        kept.get_mut(..axes.len())?.copy_from_slice(axes);
        Some(Self { axes: kept, rank: axes.len() })
    }

    fn axes(&self) -> &[usize] {
        &self.axes[..self.rank]
    }
}

impl<'t, T: Scalar> Var<'t, T> {
    /// Dimension `i` of the result is dimension `axes[i]`. A failure poisons the result.
    pub fn permute(self, axes: &[usize]) -> Self {
        self.try_permute(axes).unwrap_or_else(|error| self.tape().fail(error))
    }

    /// [`Var::permute`].
    ///
    /// # Errors
    /// [`Error::Shape`] if `axes` does not name each dimension once, or there are more than [`MAX_AXES`].
    pub fn try_permute(self, axes: &[usize]) -> Result<Self, Error> {
        let too_many = || Error::Shape {
            op: "permute",
            shape: crate::shape::Shape::new(axes),
            wanted: "at most 8 axes are possible",
        };
        self.tape().try_apply(Permute::new(axes).ok_or_else(too_many)?, &[self])
    }

    /// The last two dimensions exchanged: rows as columns. A failure poisons the result.
    pub fn transpose(self) -> Self {
        self.try_transpose().unwrap_or_else(|error| self.tape().fail(error))
    }

    /// [`Var::transpose`].
    ///
    /// # Errors
    /// [`Error::Shape`] if there are less than two dimensions, or more than [`MAX_AXES`].
    pub fn try_transpose(self) -> Result<Self, Error> {
        let shape = self.shape()?;
        let rank = shape.rank();
        if !(2..=MAX_AXES).contains(&rank) {
            let wanted = "a transpose needs two dimensions, and at most 8";
            return Err(Error::Shape { op: "transpose", shape, wanted });
        }
        let mut axes = [0, 1, 2, 3, 4, 5, 6, 7];
        axes.swap(rank - 1, rank - 2);
        self.try_permute(&axes[..rank])
    }
}

impl<T: Scalar> Op<T> for Permute {
    fn name(&self) -> &'static str {
        "permute"
    }

    fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error> {
        Ok(Output::of(permuted(inputs.shape(0), self.axes())?))
    }

    fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error> {
        permute_into(pass.inputs.shape(0), pass.inputs.values(0), self.axes(), pass.output);
        Ok(())
    }

    fn vjp(&self, mut pass: Backward<'_, T>) -> Result<(), Error> {
        let mut inverse = [0; MAX_AXES];
        for (i, &axis) in self.axes().iter().enumerate() {
            inverse[axis] = i;
        }
        let (dy, shape, inverse) = (pass.gradient, pass.shape, &inverse[..self.rank]);
        // The residual is not big enough for a second copy, and most gradients are fresh: only those need no addition.
        let Some(dx) = pass.input_gradient(0) else { return Ok(()) };
        let (dx, add) = dx.parts();
        if add {
            crate::tensor::permute_each(shape, dy, inverse, dx, |to, from| *to += from);
        } else {
            permute_into(shape, dy, inverse, dx);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{array, smooth};
    use crate::tape::Tape;

    #[test]
    fn gradient() {
        smooth(|x| x[0].permute(&[2, 0, 1]) * x[1], &[array(&[2, 3, 4], 1), array(&[4, 2, 3], 2)]);
        // The same input twice, so that the second gradient is added to the first.
        smooth(|x| x[0].matmul(x[0].transpose()) + x[0].matmul(x[1]), &[array(&[3, 4], 1), array(&[4, 3], 2)]);
    }

    #[test]
    fn values_are_moved() {
        let tape = Tape::<f64>::new();
        let x = array(&[2, 3, 4], 1);
        let y = tape.variable(&x).permute(&[2, 0, 1]).value().unwrap();
        assert_eq!(y, x.permute(&[2, 0, 1]).unwrap());
        for (i, j, k) in [(0, 0, 0), (1, 2, 3), (1, 0, 2)] {
            assert_eq!(y.get(&[k, i, j]).unwrap(), x.get(&[i, j, k]).unwrap());
        }
        assert!(tape.variable(&x).try_permute(&[0, 0, 1]).is_err());
        assert!(tape.variable(&x).try_permute(&[0; 9]).is_err());
    }
}
