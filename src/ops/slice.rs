//! A part of an array along a dimension.

use crate::error::Error;
use crate::tape::{Backward, Forward, Inputs, Op, Output, Var};
use lanegrad_kernels::isa::Scalar;
use std::ops::Range;

/// The entries of a range along one dimension; dX is dY there and zero elsewhere.
#[derive(Clone, Debug)]
pub struct Slice {
    axis: isize,
    range: Range<usize>,
}

impl<'t, T: Scalar> Var<'t, T> {
    /// The entries in `range` along `axis` (a negative one counts from the last). A failure poisons the result.
    pub fn slice(self, axis: isize, range: Range<usize>) -> Self {
        self.tape().apply(Slice { axis, range }, &[self])
    }

    /// [`Var::slice`].
    ///
    /// # Errors
    /// [`Error::Index`] if the range reaches beyond the end, [`Error::Axis`] if there is no such dimension.
    pub fn try_slice(self, axis: isize, range: Range<usize>) -> Result<Self, Error> {
        self.tape().try_apply(Slice { axis, range }, &[self])
    }

    /// Entry `index` along `axis`, without that dimension. A failure poisons the result.
    pub fn at(self, axis: isize, index: usize) -> Self {
        self.try_at(axis, index).unwrap_or_else(|error| self.tape().fail(error))
    }

    /// [`Var::at`].
    ///
    /// # Errors
    /// [`Error::Index`] if there is no such entry, [`Error::Axis`] if there is no such dimension.
    pub fn try_at(self, axis: isize, index: usize) -> Result<Self, Error> {
        let part = self.try_slice(axis, index..index.saturating_add(1))?;
        let shape = part.shape()?;
        part.try_reshape(shape.without(shape.axis(axis)?))
    }
}

impl<T: Scalar> Op<T> for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }

    fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error> {
        let shape = inputs.shape(0);
        let axis = shape.axis(self.axis)?;
        let limit = shape.extents()[axis];
        if self.range.end > limit || self.range.start > self.range.end {
            let index = self.range.start.max(self.range.end);
            return Err(Error::Index { op: "slice", index, limit: limit + 1 });
        }
        Ok(Output::of(shape.replaced(axis, &[self.range.len()])))
    }

    fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error> {
        let shape = pass.inputs.shape(0);
        let (_, extent, inner) = shape.around(shape.axis(self.axis)?);
        let (run, x) = (self.range.len() * inner, pass.inputs.values(0));
        if run > 0 {
            for (target, row) in pass.output.chunks_exact_mut(run).zip(x.chunks_exact(extent * inner)) {
                target.copy_from_slice(&row[self.range.start * inner..][..run]);
            }
        }
        Ok(())
    }

    fn vjp(&self, mut pass: Backward<'_, T>) -> Result<(), Error> {
        let shape = pass.inputs.shape(0);
        let (_, extent, inner) = shape.around(shape.axis(self.axis)?);
        let (run, dy) = (self.range.len() * inner, pass.gradient);
        let Some(dx) = pass.input_gradient(0) else { return Ok(()) };
        let dx = dx.accumulator();
        if run > 0 {
            for (row, dy) in dx.chunks_exact_mut(extent * inner).zip(dy.chunks_exact(run)) {
                row[self.range.start * inner..][..run].iter_mut().zip(dy).for_each(|(dx, &dy)| *dx += dy);
            }
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
        for (axis, range) in [(0, 1..2), (1, 0..2), (2, 1..4), (-1, 3..4), (1, 1..1)] {
            smooth(|x| x[0].slice(axis, range.clone()).sum_all() + x[0].square().sum_all(), &[array(&[2, 3, 4], 1)]);
        }
        smooth(|x| x[0].at(1, 2).square(), &[array(&[2, 3, 4], 1)]);
    }

    #[test]
    fn what_lies_outside_is_refused() {
        let tape = Tape::<f64>::new();
        let x = tape.variable(&array(&[2, 3], 1));
        assert_eq!(x.slice(1, 1..3).value().unwrap().values(), [1, 2, 4, 5].map(|i| x.value().unwrap().values()[i]));
        assert_eq!(x.at(0, 1).shape().unwrap().extents(), [3]);
        assert_eq!(x.try_slice(1, 2..4).unwrap_err().to_string(), "slice: index 4 is not below 4");
        #[allow(clippy::reversed_empty_ranges)]
        let reversed = 3..2;
        assert!(x.try_slice(1, reversed).is_err());
        assert!(x.try_slice(2, 0..1).is_err());
        assert!(x.at(0, usize::MAX).check().is_err());
    }
}
