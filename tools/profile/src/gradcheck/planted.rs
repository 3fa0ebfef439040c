//! A gradient that is wrong on purpose: a check that finds nothing must be shown to be able to.

use lanegrad::Error;
use lanegrad::tape::{Backward, Forward, Inputs, Op, Output, Var};

/// y = the sum of the squares of x, with the gradient x dy instead of 2 x dy.
///
/// To forget the factor of 2 is easy; training then differs little from what it should be.
#[derive(Debug)]
struct WrongSquares;

/// R(W) with the wrong gradient.
pub fn wrong_squares(weights: Var<'_, f64>) -> Var<'_, f64> {
    weights.tape().apply(WrongSquares, &[weights])
}

impl Op<f64> for WrongSquares {
    fn name(&self) -> &'static str {
        "wrong squares"
    }

    fn output(&self, _: Inputs<'_, f64>) -> Result<Output, Error> {
        Ok(Output::of([]))
    }

    fn forward(&self, pass: Forward<'_, f64>) -> Result<(), Error> {
        pass.output[0] = pass.inputs.values(0).iter().map(|x| x * x).sum();
        Ok(())
    }

    fn vjp(&self, mut pass: Backward<'_, f64>) -> Result<(), Error> {
        let (x, dy) = (pass.inputs.values(0), pass.gradient[0]);
        if let Some(dx) = pass.input_gradient(0) {
            dx.accumulator().iter_mut().zip(x).for_each(|(dx, x)| *dx += x * dy);
        }
        Ok(())
    }
}
