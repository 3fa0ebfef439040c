//! Slopes by differences, and whether their disagreement with a derivative is an error or a kink.

use crate::error::Error;
use crate::tape::{Tape, Var};
use crate::tensor::Tensor;
use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;

/// How often the rounding of one value the difference of two may be off by.
const ROUNDINGS: f64 = 16.0;

/// What the rounding of values near `here` makes of a slope over `step`.
pub fn rounding(here: f64, step: f64) -> f64 {
    ROUNDINGS * f64::EPSILON * here.abs().max(f64::MIN_POSITIVE) / step
}

/// A function of a tape's parameters, and the slopes it has; dropping it leaves the tape as it was.
pub struct Slopes<'a, F> {
    tape: &'a mut Tape<f64>,
    f: F,
    /// The parameters and buffers, as they were.
    before: Vec<f64>,
    /// The step that the tape is held at.
    step: u64,
    /// What the elements of a result of more than one are weighed with.
    weights: Option<Tensor<f64>>,
    /// How often the function was called for slopes.
    pub calls: usize,
    /// How often beyond that, to tell errors from kinks.
    pub probes: usize,
}

impl<'a, F> Slopes<'a, F> {
    /// The slopes of `f` at the parameters that `tape` has now.
    pub fn new(tape: &'a mut Tape<f64>, f: F) -> Self {
        let before = tape.parameters_mut().to_vec();
        Self { step: tape.step(), tape, f, before, weights: None, calls: 0, probes: 0 }
    }

    /// The flat gradient that was analysed.
    pub fn gradient(&mut self) -> Vec<f64> {
        self.tape.parameters_and_gradients().1.to_vec()
    }

    fn restore(&mut self) {
        self.tape.reset();
        self.tape.set_step(self.step);
        self.tape.parameters_mut().copy_from_slice(&self.before);
    }
}

impl<F> Drop for Slopes<'_, F> {
    fn drop(&mut self) {
        self.restore();
    }
}

impl<F: for<'t> FnMut(&'t Tape<f64>) -> Var<'t, f64>> Slopes<'_, F> {
    /// Computes the analytic gradient, and the value.
    pub fn analyse(&mut self, generator: &mut Xoshiro256PlusPlus) -> Result<f64, Error> {
        self.restore();
        let result = (self.f)(self.tape);
        self.tape.finish()?;
        let shape = result.shape()?;
        if shape.elements()? == 1 {
            result.backward()?;
        } else {
            let weights = Tensor::from_fn(shape, |_| generator.random_range(0.5..1.5))?;
            result.backward_from(&weights)?;
            self.weights = Some(weights);
        }
        weighed(result, self.weights.as_ref())
    }

    /// The value at the parameters as they were.
    pub fn value(&mut self) -> Result<f64, Error> {
        self.evaluate(|_| ())
    }

    /// The value with one element of the parameters moved by `step`.
    pub fn value_at(&mut self, position: usize, step: f64) -> Result<f64, Error> {
        self.evaluate(|parameters| parameters[position] += step)
    }

    fn evaluate(&mut self, change: impl FnOnce(&mut [f64])) -> Result<f64, Error> {
        self.restore();
        change(self.tape.parameters_mut());
        self.calls += 1;
        let result = (self.f)(self.tape);
        self.tape.finish()?;
        weighed(result, self.weights.as_ref())
    }

    /// The slopes behind and ahead over `step`, if the disagreement of `analytic` with their mean is due to a kink.
    ///
    /// A kink within a step but not at the point itself is out of reach of a step a hundred times smaller: that one agrees,
    /// while the slopes ahead and behind over the large one differ by more than the curvature explains. At a kink the slopes
    /// ahead and behind differ at both steps by as much, and the analytic value is one of them or lies between.
    pub fn kink(&mut self, position: usize, analytic: f64, here: f64, step: f64) -> Result<Option<[f64; 2]>, Error> {
        let calls = self.calls;
        let (wide, near) = (self.sides(position, here, step)?, self.sides(position, here, step / 100.0)?);
        let rounding = rounding(here, step / 100.0);
        let agrees_nearby = (analytic - near.mean()).abs() <= rounding + 1e-6 * near.mean().abs();
        let crossed = agrees_nearby && wide.bend() > 10.0 * (100.0 * near.bend()).max(rounding);
        let at_point = near.bend() > rounding && near.bend() > 0.5 * wide.bend() && wide.bend() > 0.5 * near.bend();
        let is_kink = crossed
            || (at_point && near.distance(analytic) <= rounding)
            || self.has_many_kinks(position, analytic, here, step)?;
        (self.probes, self.calls) = (self.probes + self.calls - calls, calls);
        Ok(is_kink.then_some([wide.behind, wide.ahead]))
    }

    /// Whether the disagreement of `analytic` with the slope over `step` is due to many kinks within a step, as where the bias
    /// of a convolution moves thousands of activations at once.
    ///
    /// However small a step, some may be within it. But the disagreement then falls with the step until nothing of it is left,
    /// which that of a wrong value never does. Where a function is only curved it falls too, but evenly. The smaller the step,
    /// the closer the slopes on both sides and the larger the rounding: it is judged where both together are least.
    fn has_many_kinks(&mut self, position: usize, analytic: f64, here: f64, step: f64) -> Result<bool, Error> {
        let mut before = self.sides(position, here, step)?;
        let (widest, mut reach, mut is_even) = ((analytic - before.mean()).abs(), step, true);
        let (mut least, mut agrees) = (0.5 * widest, false);
        for _ in 0..SMALLER_STEPS {
            reach /= 10.0;
            let (sides, rounding) = (self.sides(position, here, reach)?, rounding(here, reach));
            let [error, error_before] = [sides, before].map(|sides| (analytic - sides.mean()).abs());
            // A tenth of the step makes a tenth of the bend and a hundredth of the error, or about that.
            is_even &= error <= error_before / 30.0 + rounding
                && (10.0 * sides.bend() - before.bend()).abs() <= 0.1 * before.bend() + 20.0 * rounding;
            if sides.bend() + rounding < least {
                least = sides.bend() + rounding;
                agrees = sides.distance(analytic) <= rounding;
            }
            before = sides;
        }
        Ok(agrees && !is_even)
    }

    /// The slopes behind and ahead over `step`.
    fn sides(&mut self, position: usize, here: f64, step: f64) -> Result<Sides, Error> {
        let ahead = (self.value_at(position, step)? - here) / step;
        let behind = (here - self.value_at(position, -step)?) / step;
        Ok(Sides { behind, ahead })
    }
}

/// How many powers of ten smaller steps get, in the search for one that no kink is within.
const SMALLER_STEPS: usize = 5;

/// One-sided slopes.
#[derive(Clone, Copy)]
struct Sides {
    behind: f64,
    ahead: f64,
}

impl Sides {
    /// The slope by centred differences.
    fn mean(self) -> f64 {
        0.5 * (self.behind + self.ahead)
    }

    /// How far `slope` is from lying between them.
    fn distance(self, slope: f64) -> f64 {
        let (low, high) = (self.behind.min(self.ahead), self.behind.max(self.ahead));
        (low - slope).max(slope - high).max(0.0)
    }

    /// How far the slopes are apart.
    fn bend(self) -> f64 {
        (self.ahead - self.behind).abs()
    }
}

/// The only element of `result`, or the sum of its elements times their weights.
fn weighed(result: Var<'_, f64>, weights: Option<&Tensor<f64>>) -> Result<f64, Error> {
    match weights {
        None => result.item(),
        Some(weights) => result.look(|values| values.iter().zip(weights.values()).map(|(x, weight)| x * weight).sum()),
    }
}
