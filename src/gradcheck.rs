//! The gradient check: numerical against analytic gradients.
//!
//! The numerical gradient is approximate, slow, and easy to write; the analytic one is exact, fast, and easy to get wrong.
//! So derive the analytic one and check it with the other, in `f64`: in `f32` the rounding of a loss near 1, divided by a
//! step of 1e-5, is an error of a hundredth in the slope.
//!
//! ```
//! use lanegrad::gradcheck::{Verdict, gradcheck};
//! use lanegrad::tensor::Tensor;
//! let inputs = [Tensor::from_slice([2], &[0.5, -1.5])?, Tensor::scalar(2.0)];
//! let report = gradcheck(|x| (x[0] * x[1]).tanh().sum_all(), &inputs)?;
//! assert_eq!(report.verdict(), Verdict::Good);
//! println!("{report}");
//! # Ok::<(), lanegrad::Error>(())
//! ```
//!
//! Sources: the CS231n notes, "Gradient checks" (<https://cs231n.github.io/neural-networks-3/>), for the relative error, the
//! thresholds and the kinks.

use crate::error::Error;
use crate::shape::Shape;
use crate::tape::{ParameterInfo, Tape, Var};
use crate::tensor::Tensor;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::fmt;

/// The step h of the lecture's numerical gradient.
pub const STEP: f64 = 1e-5;

/// How a slope is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Differences {
    /// (f(x + h) - f(x)) / h: one call for each element and one more; its error falls with h.
    Forward,
    /// (f(x + h) - f(x - h)) / 2h: two calls for each element; its error falls with the square of h.
    #[default]
    Centred,
}

/// The slope of `f` along each element of `x`: the lecture's `eval_numerical_gradient`, forward differences with h = 1e-5.
///
/// Calls `f` once more than `x` has elements. Afterwards `x` is what it was, bit by bit, even if `f` panics.
///
/// ```
/// use lanegrad::{gradcheck::numerical_gradient, tensor::Tensor};
/// let mut x = Tensor::from_slice([2], &[5.0, 3.0])?;
/// let slope = numerical_gradient(|x| x.values().iter().map(|x| x * x).sum(), &mut x);
/// assert!((slope.values()[0] - 10.0).abs() < 2e-5 && (slope.values()[1] - 6.0).abs() < 2e-5);
/// # Ok::<(), lanegrad::Error>(())
/// ```
pub fn numerical_gradient(f: impl FnMut(&Tensor<f64>) -> f64, x: &mut Tensor<f64>) -> Tensor<f64> {
    numerical_gradient_with(f, x, Differences::Forward, STEP)
}

/// The slope of `f` along each element of `x` by differences and a step of one's choice; see [`numerical_gradient`].
///
/// Centred differences call `f` twice for each element.
pub fn numerical_gradient_with(
    mut f: impl FnMut(&Tensor<f64>) -> f64,
    x: &mut Tensor<f64>,
    differences: Differences,
    step: f64,
) -> Tensor<f64> {
    let mut gradient = x.clone();
    let here = match differences {
        Differences::Forward => f(x),
        Differences::Centred => 0.0,
    };
    for i in 0..x.values().len() {
        let mut moved = Moved::new(x, i);
        gradient.values_mut()[i] = match differences {
            Differences::Forward => (f(moved.by(step)) - here) / step,
            Differences::Centred => (f(moved.by(step)) - f(moved.by(-step))) / (2.0 * step),
        };
    }
    gradient
}

/// An array with one element moved; dropping it puts the element back.
struct Moved<'a> {
    array: &'a mut Tensor<f64>,
    index: usize,
    old: f64,
}

impl<'a> Moved<'a> {
    fn new(array: &'a mut Tensor<f64>, index: usize) -> Self {
        let old = array.values()[index];
        Self { array, index, old }
    }

    /// The array with the element `step` away from where it was.
    fn by(&mut self, step: f64) -> &Tensor<f64> {
        self.array.values_mut()[self.index] = self.old + step;
        self.array
    }
}

impl Drop for Moved<'_> {
    fn drop(&mut self) {
        self.array.values_mut()[self.index] = self.old;
    }
}

/// |a - n| / max(|a|, |n|), and 0 if both are; NaN if either is.
pub fn relative_error(analytic: f64, numerical: f64) -> f64 {
    // The greater of 0 and NaN is 0: NaN must not pass for two zeros.
    if analytic == 0.0 && numerical == 0.0 {
        return 0.0;
    }
    (analytic - numerical).abs() / analytic.abs().max(numerical.abs())
}

/// What a relative error means, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Below 1e-7.
    Good,
    /// The function has a kink at this point or within a step of it, and the analytic value is right beside it: a
    /// disagreement that means nothing.
    Kink,
    /// 1e-7 to 1e-4: right only if there are kinks nearby.
    Doubtful,
    /// 1e-4 to 1e-2: uncomfortable.
    Suspicious,
    /// Above 1e-2, or not a number.
    Wrong,
}

impl Verdict {
    /// The verdict on a relative error, without regard to kinks.
    pub fn of(error: f64) -> Self {
        match error {
            e if e < 1e-7 => Self::Good,
            e if e < 1e-4 => Self::Doubtful,
            e if e < 1e-2 => Self::Suspicious,
            _ => Self::Wrong,
        }
    }

    /// As a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Kink => "kink",
            Self::Doubtful => "doubtful",
            Self::Suspicious => "suspicious",
            Self::Wrong => "wrong",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// One checked element.
#[derive(Clone, Debug, PartialEq)]
pub struct Element {
    /// The parameter it belongs to.
    pub parameter: String,
    /// Its index in that parameter.
    pub index: Vec<usize>,
    /// Its derivative by backpropagation.
    pub analytic: f64,
    /// Its derivative by differences.
    pub numerical: f64,
    /// The relative error of the two, whatever it comes from.
    pub error: f64,
    /// Whether the two differ by no more than the rounding of the function's values, divided by the step: then the error says
    /// nothing, and the verdict is good.
    pub within_rounding: bool,
    /// What that means.
    pub verdict: Verdict,
    /// At a kink, the slopes behind the point and ahead of it, over one step each: the derivative by differences mixes them.
    pub sides: Option<[f64; 2]>,
}

impl Element {
    /// What there is to say beside the verdict, after a comma; nothing, mostly.
    pub fn note(&self) -> String {
        match self.sides {
            _ if self.within_rounding => ", within rounding".into(),
            Some([behind, ahead]) => format!(", slopes {behind:.2e} behind and {ahead:.2e} ahead"),
            None => String::new(),
        }
    }
}

/// What a gradient check found.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The checked elements, worst first.
    pub elements: Vec<Element>,
    /// For each parameter its name, how many of its elements were checked, and how many it has.
    pub coverage: Vec<(String, usize, usize)>,
    /// Calls of the function for the slopes: one more than the checked elements, or twice as many if differences are
    /// centred.
    pub calls: usize,
    /// Calls beyond those, that told errors from kinks.
    pub probes: usize,
}

impl Report {
    /// The worst verdict of all elements; wrong, if there are none.
    pub fn verdict(&self) -> Verdict {
        self.elements.iter().map(|element| element.verdict).max().unwrap_or(Verdict::Wrong)
    }

    /// The largest error of all elements but those at kinks or within rounding; NaN if one is.
    pub fn worst_error(&self) -> f64 {
        let telling = |element: &&Element| element.verdict != Verdict::Kink && !element.within_rounding;
        // Errors are not negative, so that only a NaN is greater than infinity in this order.
        self.elements
            .iter()
            .filter(telling)
            .map(|element| element.error.abs())
            .fold(0.0, |a, b| if b.total_cmp(&a).is_gt() { b } else { a })
    }

    /// Whether every element is good, or at a kink.
    pub fn passes(&self) -> bool {
        self.verdict() <= Verdict::Kink
    }
}

/// Elements that a printed report shows.
const SHOWN: usize = 10;

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{:<24} {:>16} {:>16} {:>10}  verdict", "element", "analytic", "numerical", "error")?;
        for element in self.elements.iter().take(SHOWN) {
            let Element { parameter, index, analytic, numerical, error, verdict, .. } = element;
            let (place, note) = (format!("{parameter}{index:?}"), element.note());
            writeln!(formatter, "{place:<24} {analytic:>16.9e} {numerical:>16.9e} {error:>10.2e}  {verdict}{note}")?;
        }
        if self.elements.len() > SHOWN {
            writeln!(formatter, "and {} more, none worse", self.elements.len() - SHOWN)?;
        }
        for (parameter, checked, elements) in &self.coverage {
            writeln!(formatter, "{parameter}: {checked} of {elements} elements checked")?;
        }
        let rounded = self.elements.iter().filter(|element| element.within_rounding).count();
        write!(
            formatter,
            "{} calls; {rounded} of {} within rounding; worst error {:.2e}: {}",
            self.calls + self.probes,
            self.elements.len(),
            self.worst_error(),
            self.verdict()
        )
    }
}

/// Checks the gradient of `f` by each of `inputs`, with the usual settings; they are called `x0`, `x1`, ...
///
/// `f` gets the inputs as variables. If its result is not one number, the sum of its elements with fixed random weights is
/// checked.
///
/// # Errors
/// Those of the operations that `f` records.
pub fn gradcheck(f: impl for<'t> Fn(&[Var<'t, f64>]) -> Var<'t, f64>, inputs: &[Tensor<f64>]) -> Result<Report, Error> {
    let mut tape = Tape::new();
    let parameters: Vec<_> =
        inputs.iter().enumerate().map(|(i, input)| tape.parameter(format!("x{i}"), input)).collect::<Result<_, _>>()?;
    GradientCheck::default().run(&mut tape, |tape| {
        let variables: Vec<_> = parameters.iter().map(|&parameter| tape.param(parameter)).collect();
        f(&variables)
    })
}

/// The settings of a gradient check.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GradientCheck {
    /// How slopes are taken.
    pub differences: Differences,
    /// The step h.
    pub step: f64,
    /// How many elements of each parameter are checked at most, spread over it; all of them if `None`.
    pub samples: Option<usize>,
    /// Decides which elements those are, and the weights of a result that is more than one number.
    pub seed: u64,
}

impl Default for GradientCheck {
    /// Centred differences with h = 1e-5, every element.
    fn default() -> Self {
        Self { differences: Differences::Centred, step: STEP, samples: None, seed: 0 }
    }
}

impl GradientCheck {
    /// Checks the gradient of what `f` records by every parameter of `tape`.
    ///
    /// `f` is called once for the analytic gradient, then as often as the differences need, and up to sixteen times more for each
    /// element that disagrees, to tell an error from a kink. It must compute the same each time it is called: random
    /// operations are keyed by [`Tape::step`], which the check holds still. Nothing is left on the tape but the gradients:
    /// its parameters, buffers and step are what they were, bit by bit, even if `f` panics.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no element to check; those of the operations that `f` records.
    pub fn run(
        &self,
        tape: &mut Tape<f64>,
        f: impl for<'t> FnMut(&'t Tape<f64>) -> Var<'t, f64>,
    ) -> Result<Report, Error> {
        let mut generator = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let mut parameters = Vec::new();
        tape.for_each_parameter(|ParameterInfo { name, shape, range, trained }| {
            if trained {
                parameters.push((name.to_string(), shape.clone(), range));
            }
        });
        if self.samples == Some(0) || parameters.iter().all(|(.., range)| range.is_empty()) {
            return Err(Error::Setting("a gradient check of no element at all".into()));
        }
        let before = tape.parameters_mut().to_vec();
        let mut slopes = Slopes { step: tape.step(), tape, f, before, weights: None, calls: 0, probes: 0 };
        let analysed = slopes.analyse(&mut generator)?;
        let gradient = slopes.tape.parameters_and_gradients().1.to_vec();
        let here = if self.differences == Differences::Forward { slopes.value()? } else { analysed };
        let mut report = Report { elements: Vec::new(), coverage: Vec::new(), calls: 0, probes: 0 };
        for (name, shape, range) in parameters {
            let chosen = choose(range.len(), self.samples, &mut generator);
            report.coverage.push((name.clone(), chosen.len(), range.len()));
            for i in chosen {
                let position = range.start + i;
                let (parameter, index) = (name.clone(), unravel(&shape, i));
                report.elements.push(Element {
                    parameter,
                    index,
                    ..self.judge(&mut slopes, position, gradient[position], here)?
                });
            }
        }
        (report.calls, report.probes) = (slopes.calls, slopes.probes);
        // Stable, so that equals stay in their order; NaN counts as the worst.
        report.elements.sort_by(|a, b| b.verdict.cmp(&a.verdict).then(b.error.total_cmp(&a.error)));
        Ok(report)
    }

    /// What is found at one element, without its place.
    fn judge<F: for<'t> FnMut(&'t Tape<f64>) -> Var<'t, f64>>(
        &self,
        slopes: &mut Slopes<'_, F>,
        position: usize,
        analytic: f64,
        here: f64,
    ) -> Result<Element, Error> {
        let ahead = slopes.value_at(position, self.step)?;
        let numerical = match self.differences {
            Differences::Forward => (ahead - here) / self.step,
            Differences::Centred => (ahead - slopes.value_at(position, -self.step)?) / (2.0 * self.step),
        };
        let error = relative_error(analytic, numerical);
        let within_rounding = (analytic - numerical).abs() <= rounding(here, self.step);
        let mut verdict = if within_rounding { Verdict::Good } else { Verdict::of(error) };
        let mut sides = None;
        if verdict != Verdict::Good && error.is_finite() {
            sides = slopes.kink(position, analytic, here, self.step)?;
            verdict = if sides.is_some() { Verdict::Kink } else { verdict };
        }
        let (parameter, index) = Default::default();
        Ok(Element { parameter, index, analytic, numerical, error, within_rounding, verdict, sides })
    }
}

/// How often the rounding of one value the difference of two may be off by.
const ROUNDINGS: f64 = 16.0;

/// What the rounding of values near `here` makes of a slope over `step`.
fn rounding(here: f64, step: f64) -> f64 {
    ROUNDINGS * f64::EPSILON * here.abs().max(f64::MIN_POSITIVE) / step
}

/// A function of a tape's parameters, and the slopes it has; dropping it leaves the tape as it was.
struct Slopes<'a, F> {
    tape: &'a mut Tape<f64>,
    f: F,
    /// The parameters and buffers, as they were.
    before: Vec<f64>,
    /// The step that the tape is held at.
    step: u64,
    /// What the elements of a result of more than one are weighed with.
    weights: Option<Tensor<f64>>,
    calls: usize,
    probes: usize,
}

impl<F> Slopes<'_, F> {
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
    fn analyse(&mut self, generator: &mut Xoshiro256PlusPlus) -> Result<f64, Error> {
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
    fn value(&mut self) -> Result<f64, Error> {
        self.evaluate(|_| ())
    }

    /// The value with one element of the parameters moved by `step`.
    fn value_at(&mut self, position: usize, step: f64) -> Result<f64, Error> {
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
    fn kink(&mut self, position: usize, analytic: f64, here: f64, step: f64) -> Result<Option<[f64; 2]>, Error> {
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

/// The elements to check: all, or one drawn from each of `samples` equal parts.
fn choose(elements: usize, samples: Option<usize>, generator: &mut Xoshiro256PlusPlus) -> Vec<usize> {
    match samples {
        Some(samples) if samples < elements => {
            let start = |part: usize| (part as u128 * elements as u128 / samples as u128) as usize;
            (0..samples).map(|part| generator.random_range(start(part)..start(part + 1))).collect()
        }
        _ => (0..elements).collect(),
    }
}

/// The index of element `position` in row-major order.
fn unravel(shape: &Shape, mut position: usize) -> Vec<usize> {
    let mut index = shape.extents().to_vec();
    for entry in index.iter_mut().rev() {
        let extent = *entry;
        *entry = position % extent;
        position /= extent;
    }
    index
}
