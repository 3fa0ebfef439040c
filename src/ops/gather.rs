//! Entries along the first dimension, by index.

use crate::error::Error;
use crate::tape::{Backward, Forward, Inputs, Op, Output, Tape, Var};
use lanegrad_kernels::isa::Scalar;

/// Row i of the result is row index(i) of the input; each row of dX is the sum of the rows of dY that came from it.
#[derive(Clone, Copy, Debug)]
pub struct Gather;

impl<T: Scalar> Tape<T> {
    /// Indices or class labels on the tape: a constant of one dimension.
    ///
    /// They lie there as numbers of the tape's type, which has every integer up to 2^24 exactly.
    ///
    /// ```
    /// use lanegrad::{tape::Tape, tensor::Tensor};
    /// let tape = Tape::<f32>::new();
    /// let rows = tape.variable(&Tensor::from_slice([3, 2], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])?);
    /// assert_eq!(rows.gather(tape.indices(&[2, 0, 2])).value()?.values(), [4.0, 5.0, 0.0, 1.0, 4.0, 5.0]);
    /// # Ok::<(), lanegrad::Error>(())
    /// ```
    pub fn indices(&self, indices: &[u32]) -> Var<'_, T> {
        self.constant_with(indices.len(), |values| {
            for (value, &index) in values.iter_mut().zip(indices) {
                *value = T::from_f64(index.into());
                if value.to_f64() as u32 != index {
                    return Err(Error::Index { op: "indices", index: index as usize, limit: 1 << 24 });
                }
            }
            Ok(())
        })
    }
}

impl<'t, T: Scalar> Var<'t, T> {
    /// The entries along the first dimension that `indices` names ([`Tape::indices`]), in that order. A failure poisons the
    /// result.
    pub fn gather(self, indices: Self) -> Self {
        self.tape().apply(Gather, &[self, indices])
    }

    /// [`Var::gather`].
    ///
    /// # Errors
    /// [`Error::Shapes`] if there is no first dimension or the indices have not exactly one; [`Error::Index`] and
    /// [`Error::NotAnIndex`] if one names no entry.
    pub fn try_gather(self, indices: Self) -> Result<Self, Error> {
        self.tape().try_apply(Gather, &[self, indices])
    }
}

/// A number on the tape as an index below `limit`.
pub(crate) fn as_index<T: Scalar>(op: &'static str, value: T, limit: usize) -> Result<usize, Error> {
    let value = value.to_f64();
    let index = value as usize;
    if index as f64 != value {
        return Err(Error::NotAnIndex { op, value, limit });
    }
    if index < limit { Ok(index) } else { Err(Error::Index { op, index, limit }) }
}

impl<T: Scalar> Op<T> for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn takes(&self, inputs: usize) -> bool {
        inputs == 2
    }

    fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error> {
        let (shape, indices) = (inputs.shape(0), inputs.shape(1));
        let (&[count], Some(&limit)) = (indices.extents(), shape.extents().first()) else {
            return Err(Error::Shapes { op: "gather", left: shape.clone(), right: indices.clone() });
        };
        inputs.values(1).iter().try_for_each(|&index| as_index("gather", index, limit).map(drop))?;
        Ok(Output::of(shape.replaced(0, &[count])))
    }

    fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error> {
        let (_, limit, run) = pass.inputs.shape(0).around(0);
        let rows = pass.output.chunks_exact_mut(run.max(1));
        for (target, &index) in rows.zip(pass.inputs.values(1)) {
            let row = as_index("gather", index, limit)?;
            target.copy_from_slice(&pass.inputs.values(0)[row * run..][..run]);
        }
        Ok(())
    }

    fn vjp(&self, mut pass: Backward<'_, T>) -> Result<(), Error> {
        let (_, limit, run) = pass.inputs.shape(0).around(0);
        let (indices, dy) = (pass.inputs.values(1), pass.gradient);
        let Some(dx) = pass.input_gradient(0) else { return Ok(()) };
        let dx = dx.accumulator();
        for (dy, &index) in dy.chunks_exact(run.max(1)).zip(indices) {
            let row = as_index("gather", index, limit)?;
            dx[row * run..][..run].iter_mut().zip(dy).for_each(|(dx, &dy)| *dx += dy);
        }
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
        smooth(|x| x[0].gather(x[0].tape().indices(&[2, 0, 2, 1, 2])).square(), &[array(&[3, 2, 2], 1)]);
    }

    #[test]
    fn rows_that_are_not_there_are_refused() {
        let tape = Tape::<f32>::new();
        let x = tape.variable(&array(&[3, 2], 1).cast());
        assert_eq!(x.gather(tape.indices(&[3])).value().unwrap_err().to_string(), "gather: index 3 is not below 3");
        assert!(tape.indices(&[(1 << 24) + 1]).check().is_err());
        for (label, shown) in [(f32::NAN, "NaN"), (-1.0, "-1"), (0.5, "0.5"), (f32::INFINITY, "inf")] {
            let labels = tape.constant(&Tensor::from_slice([1], &[label]).unwrap());
            let message = format!("gather: {shown} is not an index below 3");
            assert_eq!(x.try_gather(labels).unwrap_err().to_string(), message);
        }
        assert!(x.gather(x).check().is_err());
    }
}
