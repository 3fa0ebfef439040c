//! Softmax cross-entropy.

use super::gather::as_index;
use crate::error::Error;
use crate::tape::{Backward, Forward, Inputs, Op, Output, Var};
use lanegrad_kernels::elementwise::{self, Function};
use lanegrad_kernels::isa::{Isa, Lanes, Scalar};
use lanegrad_kernels::math::exp_lanes;
use lanegrad_kernels::softmax::log_softmax;

/// L = the mean over the rows of S of -ln softmax(s)(label), in nats, through the logarithm of the sum of exponentials;
/// dS = dL (softmax(S) - onehot(labels)) / rows.
#[derive(Clone, Copy, Debug)]
pub struct SoftmaxCrossEntropy;

/// scale exp(x).
#[derive(Clone, Copy)]
struct ScaledExp<T>(T);

impl<T: Scalar> Function<T, 1> for ScaledExp<T> {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [x]: [T::Lanes<S>; 1]) -> T::Lanes<S> {
        exp_lanes::<S, T>(isa, x).mul(isa, T::Lanes::<S>::splat(isa, self.0))
    }
}

impl<'t, T: Scalar> Var<'t, T> {
    /// The mean softmax cross-entropy of rows of scores (N, C) and their labels ([`crate::tape::Tape::indices`], N): one
    /// number, in nats. A failure poisons the result.
    pub fn softmax_cross_entropy(self, labels: Self) -> Self {
        self.tape().apply(SoftmaxCrossEntropy, &[self, labels])
    }

    /// [`Var::softmax_cross_entropy`].
    ///
    /// # Errors
    /// [`Error::Shapes`] if the scores are not a matrix with a row for each label, or have no rows; [`Error::Index`] if a
    /// label is not below the number of classes.
    pub fn try_softmax_cross_entropy(self, labels: Self) -> Result<Self, Error> {
        self.tape().try_apply(SoftmaxCrossEntropy, &[self, labels])
    }
}

/// The number of classes, if input 0 is a matrix of scores and input 1 a label for each row.
pub(crate) fn classes<T: Scalar>(op: &'static str, inputs: Inputs<'_, T>) -> Result<usize, Error> {
    let (scores, labels) = (inputs.shape(0), inputs.shape(1));
    match (scores.extents(), labels.extents()) {
        (&[rows, classes], &[count]) if rows == count && rows > 0 => {
            inputs.values(1).iter().try_for_each(|&label| as_index(op, label, classes).map(drop))?;
            Ok(classes)
        }
        _ => Err(Error::Shapes { op, left: scores.clone(), right: labels.clone() }),
    }
}

impl<T: Scalar> Op<T> for SoftmaxCrossEntropy {
    fn name(&self) -> &'static str {
        "softmax cross-entropy"
    }

    fn takes(&self, inputs: usize) -> bool {
        inputs == 2
    }

    fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error> {
        classes("softmax cross-entropy", inputs)?;
        Ok(Output::of([]).keeping(inputs.values(0).len()))
    }

    fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error> {
        let (rows, classes) = pass.inputs.shape(0).as_matrix();
        log_softmax(pass.inputs.values(0), [rows, classes, 1], pass.residual)?;
        let mut total = 0.0;
        for (row, &label) in pass.residual.chunks_exact(classes).zip(pass.inputs.values(1)) {
            total -= row[as_index("softmax cross-entropy", label, classes)?].to_f64();
        }
        pass.output[0] = T::from_f64(total / rows as f64);
        Ok(())
    }

    fn vjp(&self, mut pass: Backward<'_, T>) -> Result<(), Error> {
        let (rows, classes) = pass.inputs.shape(0).as_matrix();
        let (labels, scale) = (pass.inputs.values(1), pass.gradient[0] * T::from_f64(1.0 / rows as f64));
        let logarithms = std::mem::take(&mut pass.residual);
        let Some(dx) = pass.input_gradient(0) else { return Ok(()) };
        let (dx, add) = dx.parts();
        let f = ScaledExp(scale);
        if add { elementwise::accumulate(f, [logarithms], dx) } else { elementwise::map(f, [logarithms], dx) }?;
        for (row, &label) in dx.chunks_exact_mut(classes).zip(labels) {
            let label = as_index("softmax cross-entropy", label, classes)?;
            row[label] = row[label] - scale;
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
        smooth(|x| x[0].softmax_cross_entropy(x[0].tape().indices(&[2, 0, 1])), &[array(&[3, 4], 1)]);
        smooth(|x| x[0].softmax_cross_entropy(x[0].tape().indices(&[2, 0])) * x[0].sum_all(), &[array(&[2, 20], 1)]);
    }

    #[test]
    fn large_scores_do_not_overflow() {
        let tape = Tape::<f64>::new();
        let scores = tape.variable(&Tensor::from_slice([2, 3], &[123.0, 456.0, 789.0, -1e5, 1e5, 0.0]).unwrap());
        let loss = scores.softmax_cross_entropy(tape.indices(&[2, 1]));
        assert_eq!(loss.item().unwrap(), 0.0);
        loss.backward().unwrap();
        assert!(scores.gradient().unwrap().values().iter().all(|&ds| ds.abs() < 1e-140));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let tape = Tape::<f64>::new();
        let scores = tape.variable(&array(&[2, 3], 1));
        let message = |labels: &[u32]| scores.try_softmax_cross_entropy(tape.indices(labels)).unwrap_err().to_string();
        assert_eq!(message(&[0, 3]), "softmax cross-entropy: index 3 is not below 3");
        assert_eq!(message(&[0]), "softmax cross-entropy: shapes [2, 3] and [1] do not fit");
        assert!(scores.slice(0, 0..0).try_softmax_cross_entropy(tape.indices(&[])).is_err());
    }
}
