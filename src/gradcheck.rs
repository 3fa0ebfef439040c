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

mod slopes;

use crate::error::Error;
use crate::shape::Shape;
use crate::tape::{ParameterInfo, Tape, Var};
use crate::tensor::Tensor;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use slopes::{Slopes, rounding};
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
        let mut slopes = Slopes::new(tape, f);
        let analysed = slopes.analyse(&mut generator)?;
        let gradient = slopes.gradient();
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
