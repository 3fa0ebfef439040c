//! Arrays joined along a dimension.

use crate::error::Error;
use crate::shape::Shape;
use crate::tape::{Backward, Forward, Inputs, Op, Output, Tape, Var};
use lanegrad_kernels::isa::Scalar;

/// The inputs one after the other along one dimension; each gets its part of dY.
#[derive(Clone, Copy, Debug)]
pub struct Concat {
    axis: isize,
}

impl<T: Scalar> Tape<T> {
    /// `variables` one after the other along `axis` (a negative one counts from the last). A failure poisons the result.
    pub fn concat<'t>(&'t self, variables: &[Var<'t, T>], axis: isize) -> Var<'t, T> {
        self.apply(Concat { axis }, variables)
    }

    /// [`Tape::concat`].
    ///
    /// # Errors
    /// [`Error::Shapes`] if two shapes differ in another dimension, [`Error::Axis`] if there is no such dimension, and
    /// [`Error::Inputs`] if there is nothing to join.
    pub fn try_concat<'t>(&'t self, variables: &[Var<'t, T>], axis: isize) -> Result<Var<'t, T>, Error> {
        self.try_apply(Concat { axis }, variables)
    }
}

impl Concat {
    /// Extents before the dimension, and for each input the elements from it on.
    fn runs<'a, T: Scalar>(&self, inputs: Inputs<'a, T>) -> Result<(usize, impl Fn(usize) -> usize + 'a), Error> {
        let axis = inputs.shape(0).axis(self.axis)?;
        let outer = inputs.shape(0).around(axis).0;
        let run = move |i| {
            let (_, extent, inner) = Shape::around(inputs.shape(i), axis);
            extent * inner
        };
        Ok((outer, run))
    }
}

impl<T: Scalar> Op<T> for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn takes(&self, inputs: usize) -> bool {
        inputs > 0
    }

    fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error> {
        let first = inputs.shape(0);
        let axis = first.axis(self.axis)?;
        let mut total = 0_usize;
        for i in 0..inputs.len() {
            let shape = inputs.shape(i);
            let unfit = || Error::Shapes { op: "concat", left: first.clone(), right: shape.clone() };
            if shape.rank() != first.rank() || shape.replaced(axis, &[0]) != first.replaced(axis, &[0]) {
                return Err(unfit());
            }
            total = total.checked_add(shape.extents()[axis]).ok_or_else(unfit)?;
        }
        Ok(Output::of(first.replaced(axis, &[total])))
    }

    fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error> {
        let (outer, run) = self.runs(pass.inputs)?;
        let mut rest = pass.output;
        for row in 0..outer {
            for i in 0..pass.inputs.len() {
                let (target, after) = std::mem::take(&mut rest).split_at_mut(run(i));
                target.copy_from_slice(&pass.inputs.values(i)[row * run(i)..][..run(i)]);
                rest = after;
            }
        }
        Ok(())
    }

    fn vjp(&self, mut pass: Backward<'_, T>) -> Result<(), Error> {
        let (inputs, dy) = (pass.inputs, pass.gradient);
        let (outer, run) = self.runs(inputs)?;
        let total: usize = (0..inputs.len()).map(&run).sum();
        let mut before = 0;
        for i in 0..inputs.len() {
            if let Some(dx) = pass.input_gradient(i) {
                let dx = dx.accumulator();
                for row in 0..outer {
                    let part = &dy[row * total + before..][..run(i)];
                    dx[row * run(i)..][..run(i)].iter_mut().zip(part).for_each(|(dx, &dy)| *dx += dy);
                }
            }
            before += run(i);
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
        for axis in [0, 1, 2, -1] {
            let mut shapes = [[2, 3, 4], [2, 3, 4], [2, 3, 4]];
            let position = if axis < 0 { 2 } else { axis as usize };
            (shapes[1][position], shapes[2][position]) = (1, 5);
            let inputs = [array(&shapes[0], 1), array(&shapes[1], 2), array(&shapes[2], 3)];
            smooth(|x| x[0].tape().concat(&[x[0], x[1], x[2], x[0]], axis).square(), &inputs);
        }
    }

    #[test]
    fn joins_along_any_dimension_and_refuses_what_does_not_fit() {
        let tape = Tape::<f64>::new();
        let (a, b) = (tape.variable(&array(&[2, 3], 1)), tape.variable(&array(&[2, 1], 2)));
        let y = tape.concat(&[a, b], 1).value().unwrap();
        assert_eq!(y.shape().extents(), [2, 4]);
        assert_eq!(y.get(&[1, 3]).unwrap(), b.value().unwrap().get(&[1, 0]).unwrap());
        assert_eq!(tape.try_concat(&[a, b], 0).unwrap_err().to_string(), "concat: shapes [2, 3] and [2, 1] do not fit");
        assert!(tape.try_concat(&[], 0).is_err());
        assert!(tape.try_concat(&[a], 2).is_err());
    }
}
