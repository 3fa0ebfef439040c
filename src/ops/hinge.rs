//! The multiclass hinge loss.

use super::cross_entropy::classes;
use super::gather::as_index;
use crate::error::Error;
use crate::tape::{Backward, Forward, Inputs, Op, Output, Var};
use lanegrad_kernels::isa::Scalar;

/// L = the mean over the rows of S of the sum over the wrong classes j of max(0, s(j) - s(label) + 1), the loss of the
/// lecture's support vector machine (Weston and Watkins, "Multi-class Support Vector Machines", 1998).
///
/// ds(j) = dL / rows where a margin is violated, ds(label) = -dL / rows for each of them.
#[derive(Clone, Copy, Debug)]
pub struct Hinge;

impl<'t, T: Scalar> Var<'t, T> {
    /// The mean multiclass hinge loss, with margin 1, of rows of scores (N, C) and their labels
    /// ([`crate::tape::Tape::indices`], N): one number. A failure poisons the result.
    pub fn hinge(self, labels: Self) -> Self {
        self.tape().apply(Hinge, &[self, labels])
    }

    /// [`Var::hinge`].
    ///
    /// # Errors
    /// [`Error::Shapes`] if the scores are not a matrix with a row for each label, or have no rows; [`Error::Index`] if a
    /// label is not below the number of classes.
    pub fn try_hinge(self, labels: Self) -> Result<Self, Error> {
        self.tape().try_apply(Hinge, &[self, labels])
    }
}

/// Calls `violated` with each wrong class and its margin, if that is positive or not a number.
fn each_margin<T: Scalar>(scores: &[T], label: usize, mut violated: impl FnMut(usize, T)) {
    for (class, &score) in scores.iter().enumerate() {
        let margin = score - scores[label] + T::ONE;
        let satisfied = margin <= T::ZERO;
        if class != label && !satisfied {
            violated(class, margin);
        }
    }
}

impl<T: Scalar> Op<T> for Hinge {
    fn name(&self) -> &'static str {
        "hinge"
    }

    fn takes(&self, inputs: usize) -> bool {
        inputs == 2
    }

    fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error> {
        classes("hinge", inputs)?;
        Ok(Output::of([]))
    }

    fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error> {
        let (rows, classes) = pass.inputs.shape(0).as_matrix();
        let mut total = 0.0;
        for (scores, &label) in pass.inputs.values(0).chunks_exact(classes).zip(pass.inputs.values(1)) {
            each_margin(scores, as_index("hinge", label, classes)?, |_, margin| total += margin.to_f64());
        }
        pass.output[0] = T::from_f64(total / rows as f64);
        Ok(())
    }

    fn vjp(&self, mut pass: Backward<'_, T>) -> Result<(), Error> {
        let (rows, classes) = pass.inputs.shape(0).as_matrix();
        let (inputs, scale) = (pass.inputs, pass.gradient[0] * T::from_f64(1.0 / rows as f64));
        let Some(ds) = pass.input_gradient(0) else { return Ok(()) };
        let rows = ds.accumulator().chunks_exact_mut(classes).zip(inputs.values(0).chunks_exact(classes));
        for ((ds, scores), &label) in rows.zip(inputs.values(1)) {
            let label = as_index("hinge", label, classes)?;
            each_margin(scores, label, |class, _| {
                ds[class] += scale;
                ds[label] = ds[label] - scale;
            });
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
        smooth(|x| (x[0] * 2.0).hinge(x[0].tape().indices(&[2, 0, 1])), &[array(&[3, 4], 1)]);
    }

    #[test]
    fn not_a_number_is_not_hidden() {
        let tape = Tape::<f32>::new();
        let scores = tape.variable(&Tensor::from_slice([1, 2], &[0.0, f32::NAN]).unwrap());
        assert!(scores.hinge(tape.indices(&[0])).item().unwrap().is_nan());
    }
}
