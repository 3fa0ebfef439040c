//! The same elements in another shape.

use crate::error::Error;
use crate::shape::Shape;
use crate::tape::{Backward, Forward, Inputs, Op, Output, Var};
use lanegrad_kernels::isa::Scalar;

/// The same elements in another shape; dX is dY in the old one.
#[derive(Clone, Debug)]
pub struct Reshape {
    /// The shape of the result.
    pub shape: Shape,
}

impl<'t, T: Scalar> Var<'t, T> {
    /// The same elements in another shape. A failure poisons the result.
    pub fn reshape(self, shape: impl Into<Shape>) -> Self {
        self.tape().apply(Reshape { shape: shape.into() }, &[self])
    }

    /// [`Var::reshape`].
    ///
    /// # Errors
    /// [`Error::Shapes`] if that shape has another number of elements.
    pub fn try_reshape(self, shape: impl Into<Shape>) -> Result<Self, Error> {
        self.tape().try_apply(Reshape { shape: shape.into() }, &[self])
    }

    /// All dimensions but the first as one: images as rows.
    pub fn flatten(self) -> Self {
        match self.shape() {
            Ok(shape) if shape.rank() > 0 => {
                let (_, rows, columns) = shape.around(0);
                self.reshape([rows, columns])
            }
            Ok(_) => self.reshape([1, 1]),
            Err(error) => self.tape().fail(error),
        }
    }
}

impl<T: Scalar> Op<T> for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error> {
        let old = inputs.shape(0);
        if old.elements()? != self.shape.elements()? {
            return Err(Error::Shapes { op: "reshape", left: old.clone(), right: self.shape.clone() });
        }
        Ok(Output::of(&self.shape))
    }

    fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error> {
        pass.output.copy_from_slice(pass.inputs.values(0));
        Ok(())
    }

    fn vjp(&self, mut pass: Backward<'_, T>) -> Result<(), Error> {
        let dy = pass.gradient;
        if let Some(dx) = pass.input_gradient(0) {
            super::add_to(dx, dy);
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
        smooth(|x| (x[0].reshape([6]) * x[1]).reshape([3, 2]), &[array(&[2, 3], 1), array(&[6], 2)]);
        smooth(|x| x[0].flatten() * x[0].flatten(), &[array(&[2, 3, 2], 1)]);
    }

    #[test]
    fn another_number_of_elements_is_refused() {
        let tape = Tape::<f64>::new();
        let error = tape.variable(&array(&[2, 3], 1)).try_reshape([4]).unwrap_err();
        assert_eq!(error.to_string(), "reshape: shapes [2, 3] and [4] do not fit");
    }
}
