//! The linear classifier and its loss, fused.

use super::gather::as_index;
use crate::error::Error;
use crate::ops::add_to;
use crate::ops::matmul::beta;
use crate::shape::Shape;
use crate::tape::{Backward, Forward, Inputs, Op, Output, Var};
use lanegrad_kernels::classifier::{self, Linear, Loss, Samples, StoreGradient};
use lanegrad_kernels::isa::Scalar;
use lanegrad_kernels::{MatMut, MatRef, gemm};
use std::cell::Cell;

/// L = the mean loss of the scores X W' + b, for X (N, D), W (C, D), b (C) and N labels.
///
/// No scores are kept, only dS = dL / d(scores), C x N: dW = dS X, db = the sums of the rows of dS, dX = dS' W.
#[derive(Clone, Copy, Debug)]
pub struct Classify {
    loss: Loss,
}

impl<'t, T: Scalar> Var<'t, T> {
    /// The mean loss of a linear classifier on these rows of features (N, D), in one pass: `weight` (C, D) has a row for each
    /// class, `bias` (C), and `labels` ([`crate::tape::Tape::indices`], N). A failure poisons the result.
    ///
    /// The same as [`Var::linear`] with the transposed weights and then [`Var::softmax_cross_entropy`] or [`Var::hinge`], in
    /// less memory and time.
    pub fn classify(self, weight: Self, bias: Self, labels: Self, loss: Loss) -> Self {
        self.tape().apply(Classify { loss }, &[self, weight, bias, labels])
    }

    /// [`Var::classify`].
    ///
    /// # Errors
    /// [`Error::Shapes`] if the shapes do not fit or there are no rows, [`Error::Index`] if a label is not below the number
    /// of classes.
    pub fn try_classify(self, weight: Self, bias: Self, labels: Self, loss: Loss) -> Result<Self, Error> {
        self.tape().try_apply(Classify { loss }, &[self, weight, bias, labels])
    }
}

/// N, D and C.
fn extents<T: Scalar>(inputs: Inputs<'_, T>) -> (usize, usize, usize) {
    let ((samples, features), (classes, _)) = (inputs.shape(0).as_matrix(), inputs.shape(1).as_matrix());
    (samples, features, classes)
}

thread_local! {
    /// Labels and row numbers as integers, kept for their memory.
    static NUMBERS: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
}

/// Runs `work` with the inputs as the fused kernels want them.
///
/// A call made while `work` runs, by a task that this thread steals, finds no memory and makes its own.
fn with_samples<T: Scalar, R>(
    inputs: Inputs<'_, T>,
    work: impl FnOnce(Samples<'_, T>) -> Result<R, Error>,
) -> Result<R, Error> {
    let (samples, features, _) = extents(inputs);
    let mut numbers = NUMBERS.take();
    numbers.clear();
    // Both were checked to be that small when the operation was recorded.
    numbers.extend(inputs.values(3).iter().map(|label| label.to_f64() as u32));
    numbers.extend(0..samples as u32);
    let (labels, index) = numbers.split_at(samples);
    let rows = Samples::new(inputs.values(0), features, features, labels, index).map_err(Error::from);
    let result = rows.and_then(work);
    NUMBERS.set(numbers);
    result
}

impl<T: Scalar> Op<T> for Classify {
    fn name(&self) -> &'static str {
        "classify"
    }

    fn takes(&self, inputs: usize) -> bool {
        inputs == 4
    }

    fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error> {
        let [x, weight, bias, labels] = [0, 1, 2, 3].map(|i| inputs.shape(i));
        let unfit =
            |left: &Shape, right: &Shape| Error::Shapes { op: "classify", left: left.clone(), right: right.clone() };
        let (&[samples, features], &[classes, columns]) = (x.extents(), weight.extents()) else {
            return Err(unfit(x, weight));
        };
        if features != columns {
            return Err(unfit(x, weight));
        }
        if bias.extents() != [classes] {
            return Err(unfit(weight, bias));
        }
        if labels.extents() != [samples] || samples == 0 || u32::try_from(samples).is_err() {
            return Err(unfit(x, labels));
        }
        inputs.values(3).iter().try_for_each(|&label| as_index("classify", label, classes).map(drop))?;
        // dScores and, in turns, the losses and db.
        let kept = classes.checked_mul(samples).and_then(|scores| scores.checked_add(samples.max(classes)));
        Ok(Output::of([]).keeping(kept.ok_or_else(|| unfit(x, weight))?))
    }

    fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error> {
        let (samples, features, classes) = extents(pass.inputs);
        let (dscores, rest) = pass.residual.split_at_mut(classes * samples);
        let losses = &mut rest[..samples];
        let model = Linear::new(MatRef::row_major(pass.inputs.values(1), classes, features)?, pass.inputs.values(2))?;
        let target = MatMut::row_major(dscores, classes, samples)?;
        with_samples(pass.inputs, |rows| Ok(classifier::forward(model, rows, self.loss, target, losses)?))?;
        let total: f64 = losses.iter().map(|loss| loss.to_f64()).sum();
        pass.output[0] = T::from_f64(total / samples as f64);
        Ok(())
    }

    fn vjp(&self, mut pass: Backward<'_, T>) -> Result<(), Error> {
        let (samples, features, classes) = extents(pass.inputs);
        let (inputs, dloss) = (pass.inputs, pass.gradient[0]);
        let (dscores, rest) = std::mem::take(&mut pass.residual).split_at_mut(classes * samples);
        let dbias = &mut rest[..classes];
        if dloss != T::ONE {
            dscores.iter_mut().for_each(|ds| *ds = *ds * dloss);
        }
        let dscores = MatRef::row_major(dscores, classes, samples)?;
        let x = MatRef::row_major(inputs.values(0), samples, features)?;
        let mut bias_done = false;
        if let Some(dweight) = pass.input_gradient(1) {
            let (dweight, add) = dweight.parts();
            let dweights = MatMut::row_major(dweight, classes, features)?;
            if add {
                gemm(T::ONE, dscores, x, T::ONE, dweights)?;
            } else {
                let store = StoreGradient { dweights, normalisation: None };
                with_samples(inputs, |rows| Ok(classifier::backward(rows, dscores, dbias, store)?))?;
                bias_done = true;
            }
        }
        if let Some(target) = pass.input_gradient(2) {
            if !bias_done {
                for (class, db) in dbias.iter_mut().enumerate() {
                    *db = T::from_f64(dscores.row(class).iter().map(|ds| ds.to_f64()).sum());
                }
            }
            add_to(target, dbias);
        }
        if let Some(dx) = pass.input_gradient(0) {
            let (dx, add) = dx.parts();
            let weight = MatRef::row_major(inputs.values(1), classes, features)?;
            gemm(T::ONE, dscores.transposed(), weight, beta(add), MatMut::row_major(dx, samples, features)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{array, smooth};
    use crate::tape::Tape;
    use lanegrad_kernels::classifier::Loss;

    const LABELS: [u32; 3] = [2, 0, 1];

    #[test]
    fn gradient() {
        let inputs = [array(&[3, 5], 1), array(&[4, 5], 2), array(&[4], 3)];
        for loss in [Loss::Softmax, Loss::Hinge] {
            smooth(|x| x[0].classify(x[1], x[2], x[0].tape().indices(&LABELS), loss), &inputs);
            // Everything twice, so that gradients are added and scaled.
            smooth(
                |x| {
                    let labels = x[0].tape().indices(&LABELS);
                    let once = x[0].classify(x[1], x[2], labels, loss);
                    once * x[0].classify(x[1] * 2.0, x[2], labels, loss) + x[0].classify(x[1], x[2], labels, loss)
                },
                &inputs,
            );
        }
        // Nobody wants the weights' gradient.
        let weight = array(&[4, 5], 2);
        smooth(
            |x| {
                let tape = x[0].tape();
                x[0].classify(tape.constant(&weight), x[1], tape.indices(&LABELS), Loss::Softmax)
            },
            &[array(&[3, 5], 1), array(&[4], 3)],
        );
    }

    #[test]
    fn it_is_the_linear_layer_and_the_loss() {
        let tape = Tape::<f32>::new();
        let [x, w, b] = [(&[3, 70][..], 1), (&[10, 70], 2), (&[10], 3)]
            .map(|(shape, seed)| tape.variable(&array(shape, seed).cast::<f32>()));
        let labels = tape.indices(&LABELS);
        let scores = x.linear(w.transpose(), b);
        for (loss, plain) in
            [(Loss::Softmax, scores.softmax_cross_entropy(labels)), (Loss::Hinge, scores.hinge(labels))]
        {
            let (fused, plain) = (x.classify(w, b, labels, loss).item().unwrap(), plain.item().unwrap());
            assert!((fused - plain).abs() <= 1e-5 * plain.abs(), "{loss:?}: {fused} {plain}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let tape = Tape::<f64>::new();
        let [x, w, b] = [&[3, 5][..], &[4, 6], &[5]].map(|shape| tape.variable(&array(shape, 1)));
        let message = |x: crate::tape::Var<'_, f64>, labels: &[u32]| {
            x.try_classify(w, b, tape.indices(labels), Loss::Softmax).unwrap_err().to_string()
        };
        assert_eq!(message(x, &LABELS), "classify: shapes [3, 5] and [4, 6] do not fit");
        let wide = tape.variable(&array(&[3, 6], 1));
        assert_eq!(message(wide, &LABELS), "classify: shapes [4, 6] and [5] do not fit");
        let bias = tape.variable(&array(&[4], 1));
        let message =
            |labels: &[u32]| wide.try_classify(w, bias, tape.indices(labels), Loss::Softmax).unwrap_err().to_string();
        assert_eq!(message(&[0]), "classify: shapes [3, 6] and [1] do not fit");
        assert_eq!(message(&[0, 4, 1]), "classify: index 4 is not below 4");
    }
}
