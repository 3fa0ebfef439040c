//! The state of an update rule for all parameters of a network, in one arena.

use super::muon::{self, Matrix, Scratch};
use super::{Optimizer, Rule, WithRule};
use crate::error::Error;
use lanegrad_kernels::aligned::{AlignedVec, CACHE_LINE};
use lanegrad_kernels::isa::Scalar;
use lanegrad_kernels::update::clip;
use lanegrad_kernels::update::{self, update_segments};
use std::ops::Range;

/// Where one parameter of a network lies in the arena of all, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its elements; what lies between the segments of an arena means nothing and is never read.
    pub range: Range<usize>,
    /// Rows (outputs) and columns (inputs) if it is a row-major weight matrix: what Muon makes orthogonal.
    pub matrix: Option<(usize, usize)>,
    /// Whether the regulariser and an update rule's own weight decay apply to it: to weights, not to biases.
    pub decay: bool,
}

/// An update rule with its state for the parameters that lie in an arena's segments.
///
/// ```
/// use lanegrad::optim::{Optimizer, Segment, Updater};
/// let weights = Segment { range: 0..6, matrix: Some((2, 3)), decay: true };
/// let bias = Segment { range: 16..18, matrix: None, decay: false };
/// let mut updater = Updater::new(Optimizer::adam(1e-3), &[weights, bias])?;
/// let (mut parameters, mut gradients) = ([1.0_f32; 18], [0.5; 18]);
/// let norm = updater.clip_norm(&mut gradients, 1.0)?;
/// assert_eq!(norm, 2.0_f64.sqrt());
/// updater.step(&mut parameters, &gradients, 1e-4)?;
/// assert!((parameters[0] - 0.999).abs() < 1e-6 && parameters[10] == 1.0);
/// # Ok::<(), lanegrad::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Updater<T = f32> {
    optimizer: Optimizer,
    /// All segments, for clipping.
    segments: Vec<update::Segment>,
    /// Those that the rule updates element by element.
    elementwise: Vec<update::Segment>,
    /// Those that are matrices to Muon.
    matrices: Vec<Matrix>,
    scratch: Scratch<T>,
    /// Where the last segment ends.
    length: usize,
    /// Slot after slot, each as long as the arena up to `length`, in whole cache lines.
    state: AlignedVec<T>,
    steps: u64,
}

impl<T: Scalar> Updater<T> {
    /// The state of `optimizer` before the first step, for parameters that lie in `segments`.
    ///
    /// # Errors
    /// [`Error::Setting`] if the optimizer's settings make no sense ([`Optimizer::check`]), a matrix has not as many elements
    /// as its segment, or the state does not fit the address space; [`Error::Kernel`] if the segments do not ascend or
    /// overlap.
    pub fn new(optimizer: Optimizer, segments: &[Segment]) -> Result<Self, Error> {
        optimizer.check()?;
        let length = segments.last().map_or(0, |segment| segment.range.end);
        let slots = optimizer.slots();
        let too_large = || Error::Setting(format!("the state of {length} parameters is too large"));
        let slot = length.checked_next_multiple_of(CACHE_LINE / size_of::<T>()).ok_or_else(too_large)?;
        let elements = slot.checked_mul(slots).filter(|&n| n <= isize::MAX as usize / size_of::<T>());
        let plain = |segment: &Segment| update::Segment { range: segment.range.clone(), regularised: segment.decay };
        let all: Vec<update::Segment> = segments.iter().map(plain).collect();
        update::Segment::check(&all, length)?;
        let is_muon = matches!(optimizer, Optimizer::Muon { .. });
        let (mut elementwise, mut matrices) = (Vec::new(), Vec::new());
        for segment in segments {
            match matrix(segment)? {
                Some(matrix) if is_muon => matrices.push(matrix),
                _ => elementwise.push(plain(segment)),
            }
        }
        Ok(Self {
            optimizer,
            segments: all,
            elementwise,
            scratch: Scratch::new(&matrices),
            matrices,
            length,
            state: AlignedVec::zeroed(elements.ok_or_else(too_large)?),
            steps: 0,
        })
    }

    /// The update rule, with its present step size.
    pub fn optimizer(&self) -> Optimizer {
        self.optimizer
    }

    /// Sets the step size, as a schedule says.
    pub fn set_rate(&mut self, rate: f64) {
        self.optimizer = self.optimizer.with_rate(rate);
    }

    /// Number of steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The rule's state, for a checkpoint; [`Self::restore`] takes it back.
    pub fn state(&self) -> &[T] {
        &self.state
    }

    /// Goes on from a checkpoint: the state after `steps` steps of an updater for the same optimizer and segments.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the state has another length. Nothing is changed then.
    pub fn restore(&mut self, state: &[T], steps: u64) -> Result<(), Error> {
        if state.len() != self.state.len() {
            let (expected, found) = ((1, self.state.len()), (1, state.len()));
            return Err(lanegrad_kernels::Error::Shape { what: "state of the update rule", expected, found }.into());
        }
        self.state.copy_from_slice(state);
        self.steps = steps;
        Ok(())
    }

    /// One step, in place: the loss that falls is that of `gradients` plus `strength` times the sum of squares of the
    /// parameters that decay.
    ///
    /// Both arenas hold at least all segments. One pass over memory on the threads of the calling pool, the same bits for
    /// any number of them; allocates nothing.
    ///
    /// # Errors
    /// [`Error::Kernel`] if an arena is too short or they differ in length. Nothing is changed then.
    pub fn step(&mut self, parameters: &mut [T], gradients: &[T], strength: f64) -> Result<(), Error> {
        if gradients.len() != parameters.len() {
            let (expected, found) = ((1, parameters.len()), (1, gradients.len()));
            let what = "arenas of gradients and parameters";
            return Err(lanegrad_kernels::Error::Shape { what, expected, found }.into());
        }
        self.check_arena(gradients)?;
        let (parameters, gradients) = (&mut parameters[..self.length], &gradients[..self.length]);
        let decay = 2.0 * strength;
        let (segments, state) = (&self.elementwise, &mut self.state);
        let pass = Pass { decay: T::from_f64(decay), segments, parameters, gradients, state };
        self.optimizer.apply(self.steps.saturating_add(1), pass)?;
        if let Optimizer::Muon { rate, momentum, weight_decay, .. } = self.optimizer {
            let settings = muon::Settings { rate, momentum, weight_decay, decay };
            for matrix in &self.matrices {
                let [x, mean] = [&mut parameters[matrix.range.clone()], &mut self.state[matrix.range.clone()]];
                muon::step(settings, matrix, x, &gradients[matrix.range.clone()], mean, &mut self.scratch)?;
            }
        }
        self.steps = self.steps.saturating_add(1);
        Ok(())
    }

    /// Limits every gradient to `-limit..=limit`; NaN stays.
    ///
    /// # Errors
    /// [`Error::Setting`] if the limit is negative or NaN; [`Error::Kernel`] if the arena is too short. Nothing is changed
    /// then.
    pub fn clip_value(&self, gradients: &mut [T], limit: f64) -> Result<(), Error> {
        check_limit(limit)?;
        self.check_arena(gradients)?;
        Ok(clip::clamp(&self.segments, T::from_f64(limit), gradients)?)
    }

    /// Scales all gradients by `limit / norm` if their norm (the root of the sum of squares of all of them) is above `limit`;
    /// returns the norm before.
    ///
    /// The sum is taken in `f64` and in an order that does not depend on the number of threads. Where the norm is not
    /// finite, the gradients are left as they are.
    ///
    /// # Errors
    /// [`Error::Setting`] if the limit is negative or NaN; [`Error::Kernel`] if the arena is too short. Nothing is changed
    /// then.
    pub fn clip_norm(&self, gradients: &mut [T], limit: f64) -> Result<f64, Error> {
        check_limit(limit)?;
        self.check_arena(gradients)?;
        let norm = clip::sum_of_squares(&self.segments, gradients)?.sqrt();
        if norm > limit && norm.is_finite() {
            clip::scale(&self.segments, T::from_f64(limit / norm), gradients)?;
        }
        Ok(norm)
    }

    /// Checks that an arena holds all segments.
    fn check_arena(&self, arena: &[T]) -> Result<(), Error> {
        if arena.len() < self.length {
            let (expected, found) = ((1, self.length), (1, arena.len()));
            return Err(lanegrad_kernels::Error::Shape { what: "arena of the segments", expected, found }.into());
        }
        Ok(())
    }
}

fn check_limit(limit: f64) -> Result<(), Error> {
    if limit >= 0.0 {
        return Ok(());
    }
    Err(Error::Setting(format!("gradients cannot be limited to {limit}")))
}

/// The matrix that a segment holds, if it is one.
fn matrix(segment: &Segment) -> Result<Option<Matrix>, Error> {
    let Some((rows, cols)) = segment.matrix else {
        return Ok(None);
    };
    let (range, length) = (segment.range.clone(), segment.range.len());
    if rows.checked_mul(cols) != Some(length) {
        return Err(Error::Setting(format!("a {rows} x {cols} matrix in a segment of {length} elements")));
    }
    Ok(Some(Matrix { range, rows, cols, regularised: segment.decay }))
}

/// The pass over what is updated element by element, for whatever rule the optimizer is.
struct Pass<'a, T> {
    decay: T,
    segments: &'a [update::Segment],
    parameters: &'a mut [T],
    gradients: &'a [T],
    state: &'a mut [T],
}

impl<T: Scalar> WithRule<T> for Pass<'_, T> {
    type Output = Result<(), lanegrad_kernels::Error>;

    fn with<R: Rule<T>>(self, rule: R) -> Self::Output {
        let Self { decay, segments, parameters, gradients, state } = self;
        update_segments(rule, decay, segments, parameters, gradients, state)
    }
}
