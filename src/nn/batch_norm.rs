//! The batch normalisation layer.

use super::Layer;
use crate::error::Error;
use crate::ops::batch_norm::update_running_statistics;
use crate::tape::{Param, Tape, Var};
use crate::tensor::Tensor;
use lanegrad_kernels::isa::Scalar;

/// Batch normalisation of each channel, which is the last dimension.
///
/// In training, by the batch's own statistics, which the running ones follow when the layer is applied: running <- (1 -
/// momentum) running + momentum batch, where the variance counts as the unbiased one, divided by m - 1. In evaluation, by
/// the running ones.
#[derive(Clone, Copy, Debug)]
pub struct BatchNorm {
    /// gamma, the factor of each channel, 1 at first.
    pub weight: Param,
    /// beta, what is added to each channel, 0 at first.
    pub bias: Param,
    /// The running mean, a buffer, 0 at first.
    pub running_mean: Param,
    /// The running variance, a buffer, 1 at first.
    pub running_variance: Param,
    /// The share of a batch in the running statistics.
    pub momentum: f64,
    /// What is added to a variance.
    pub epsilon: f64,
}

impl BatchNorm {
    /// Adds `name.weight`, `name.bias`, `name.running_mean` and `name.running_variance` to the tape; momentum 0.1, epsilon
    /// 1e-5.
    ///
    /// # Errors
    /// Those of [`Tape::parameter`].
    pub fn new<T: Scalar>(tape: &mut Tape<T>, name: &str, channels: usize) -> Result<Self, Error> {
        let (zeros, ones) = (Tensor::zeros([channels])?, Tensor::ones([channels])?);
        Ok(Self {
            weight: tape.parameter(format!("{name}.weight"), &ones)?,
            bias: tape.parameter(format!("{name}.bias"), &zeros)?,
            running_mean: tape.buffer(format!("{name}.running_mean"), &zeros)?,
            running_variance: tape.buffer(format!("{name}.running_variance"), &ones)?,
            momentum: 0.1,
            epsilon: 1e-5,
        })
    }
}

impl<T: Scalar> Layer<T> for BatchNorm {
    fn forward<'t>(&self, x: Var<'t, T>) -> Var<'t, T> {
        let tape = x.tape();
        let [gamma, beta] = [self.weight, self.bias].map(|param| tape.param(param));
        if !tape.is_training() {
            let [mean, variance] = [self.running_mean, self.running_variance].map(|param| tape.param(param));
            return x.batch_norm_with(mean, variance, gamma, beta, self.epsilon);
        }
        let y = x.batch_norm(gamma, beta, self.epsilon);
        match update_running_statistics(y, self.running_mean, self.running_variance, self.momentum) {
            Ok(()) => y,
            Err(error) => tape.fail(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::GradientCheck;
    use crate::ops::check::array;

    #[test]
    fn running_statistics_follow_the_batch_and_serve_evaluation() {
        let mut tape = Tape::<f64>::new();
        let layer = BatchNorm::new(&mut tape, "bn", 2).unwrap();
        let x = Tensor::from_slice([3, 2], &[1.0, 10.0, 2.0, 10.0, 6.0, 10.0]).unwrap();
        layer.forward(tape.constant(&x)).check().unwrap();
        // Means 3 and 10, unbiased variances 7 and 0.
        let near = |param, expected: [f64; 2]| {
            let found = tape.value(param).unwrap();
            found.values().iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12)
        };
        assert!(near(layer.running_mean, [0.3, 1.0]) && near(layer.running_variance, [1.6, 0.9]));
        tape.reset();
        tape.set_training(false);
        let y = layer.forward(tape.constant(&x)).value().unwrap();
        assert!((y.values()[4] - 5.7 / (1.6_f64 + 1e-5).sqrt()).abs() < 1e-12);
        assert_eq!(tape.value(layer.running_mean).unwrap().values()[1], 1.0);
        assert_eq!(tape.parameter_count(), 4);
    }

    #[test]
    fn buffers_do_not_enter_the_gradient() {
        let mut tape = Tape::<f64>::new();
        let layer = BatchNorm::new(&mut tape, "bn", 3).unwrap();
        let x = array(&[4, 3], 1);
        let check = GradientCheck::default();
        let report = check.run(&mut tape, |tape| layer.forward(tape.constant(&x)).square().tanh()).unwrap();
        assert!(report.passes() && report.elements.len() == 6, "{report}");
    }

    #[test]
    fn a_layer_of_another_tape_is_refused() {
        let layer = BatchNorm::new(&mut Tape::<f64>::new(), "bn", 2).unwrap();
        let tape = Tape::<f64>::new();
        assert!(layer.forward(tape.constant(&Tensor::ones([3, 2]).unwrap())).check().is_err());
    }
}
