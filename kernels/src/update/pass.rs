//! The pass over memory that every rule shares: cut for threads, walked by segments, vector by vector.

use super::{MAX_SLOTS, Rule};
use crate::aligned::CACHE_LINE;
use crate::error::Error;
use crate::isa::{Isa, Kernel, Lanes, Scalar};
use crate::parallel::{self, Divide};
use std::ops::Range;

/// A range of parameters in an arena, whose other elements mean nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where the parameters lie.
    pub range: Range<usize>,
    /// Whether the regulariser and a rule's weight decay apply to them.
    pub regularised: bool,
}

impl Segment {
    /// Checks that `segments` ascend, do not overlap, and lie in `length` elements.
    ///
    /// # Errors
    /// [`Error::Segment`] if not.
    pub fn check(segments: &[Self], length: usize) -> Result<(), Error> {
        let mut earliest = 0;
        for (position, Self { range, .. }) in segments.iter().enumerate() {
            if range.start < earliest || range.end < range.start || range.end > length {
                return Err(Error::Segment { position, range: (range.start, range.end), earliest, length });
            }
            earliest = range.end;
        }
        Ok(())
    }

    /// The segments that have elements in `window`.
    pub(super) fn within(segments: &[Self], window: Range<usize>) -> &[Self] {
        let first = segments.partition_point(|segment| segment.range.end <= window.start);
        let end = segments.partition_point(|segment| segment.range.start < window.end);
        &segments[first.min(end)..end]
    }

    /// The part of this segment in the `length` elements from `first` on, counted from there; empty if there is none.
    #[inline(always)]
    pub(super) fn local(&self, first: usize, length: usize) -> Range<usize> {
        let end = self.range.end.saturating_sub(first).min(length);
        self.range.start.saturating_sub(first).min(end)..end
    }
}

/// A stretch of an arena with all that lies beside it; gradient and slots are empty where the work has none.
pub(super) struct Part<'a, T> {
    /// Where in the arena the stretch begins.
    pub first: usize,
    pub values: &'a mut [T],
    pub gradient: &'a [T],
    pub slots: [&'a mut [T]; MAX_SLOTS],
}

impl<T> Part<'_, T> {
    fn split(self, at: usize) -> (Self, Self) {
        let (values, rest_values) = self.values.split_at_mut(at);
        let (gradient, rest_gradient) = self.gradient.split_at(at.min(self.gradient.len()));
        let (mut slots, mut rest_slots) = (self.slots, <[&mut [T]; MAX_SLOTS]>::default());
        for (slot, rest) in slots.iter_mut().zip(&mut rest_slots) {
            let whole = std::mem::take(slot);
            (*slot, *rest) = whole.split_at_mut(at.min(whole.len()));
        }
        (
            Self { first: self.first, values, gradient, slots },
            Self { first: self.first + at, values: rest_values, gradient: rest_gradient, slots: rest_slots },
        )
    }
}

/// What is done with a stretch and the segments that have elements in it.
///
/// Not a type parameter: what starts threads is then compiled once for a type, not once for each rule and level.
pub(super) type Work<'a, T> = &'a (dyn for<'p> Fn(&'p [Segment], Part<'p, T>) + Sync);

struct Pieces<'a, T> {
    part: Part<'a, T>,
    segments: &'a [Segment],
    work: Work<'a, T>,
}

impl<T: Scalar> Divide for Pieces<'_, T> {
    fn length(&self) -> usize {
        self.part.values.len()
    }

    fn split(self, at: usize) -> (Self, Self) {
        let (part, rest) = self.part.split(at);
        (Self { part, ..self }, Self { part: rest, ..self })
    }

    fn run(self) {
        let Self { part, segments, work } = self;
        let segments = Segment::within(segments, part.first..part.first + part.values.len());
        if !segments.is_empty() {
            work(segments, part);
        }
    }
}

/// Bytes read and written that make a piece worth another thread: about ten microseconds.
pub(super) const WORTH_A_THREAD: usize = 1 << 18;

/// Does `work` on the threads of the calling pool; each element costs `streams` reads and writes.
pub(super) fn divide<T: Scalar>(segments: &[Segment], part: Part<'_, T>, streams: usize, work: Work<'_, T>) {
    // Whole cache lines, so that no two threads write to one.
    let grain = (WORTH_A_THREAD / (streams * size_of::<T>())).next_multiple_of(CACHE_LINE / size_of::<T>());
    parallel::divide(Pieces { part, segments, work }, grain);
}

/// A checked [`super::update()`] or [`super::update_segments`], to be run at a level of one's choice.
#[derive(Debug)]
pub struct Update<'a, T, R> {
    rule: R,
    decay: T,
    /// None: all elements, regularised.
    segments: Option<&'a [Segment]>,
    parameters: &'a mut [T],
    gradient: &'a [T],
    state: &'a mut [T],
    /// Elements from one slot of the state to the next.
    stride: usize,
}

impl<'a, T: Scalar, R: Rule<T>> Update<'a, T, R> {
    /// See [`super::update()`].
    ///
    /// # Errors
    /// [`Error::Shape`] if the lengths do not agree.
    pub fn new(
        rule: R,
        decay: T,
        parameters: &'a mut [T],
        gradient: &'a [T],
        state: &'a mut [T],
    ) -> Result<Self, Error> {
        let stride = parameters.len();
        Self { rule, decay, segments: None, parameters, gradient, state, stride }.checked()
    }

    /// See [`super::update_segments`].
    ///
    /// # Errors
    /// [`Error::Shape`] if the lengths do not agree; [`Error::Segment`] if the segments are not ascending, disjoint and within
    /// the parameters.
    pub fn of_segments(
        rule: R,
        decay: T,
        segments: &'a [Segment],
        parameters: &'a mut [T],
        gradient: &'a [T],
        state: &'a mut [T],
    ) -> Result<Self, Error> {
        Segment::check(segments, parameters.len())?;
        let stride = (state.len() / R::SLOTS.max(1)).max(parameters.len());
        Self { rule, decay, segments: Some(segments), parameters, gradient, state, stride }.checked()
    }

    fn checked(self) -> Result<Self, Error> {
        const { assert!(R::SLOTS <= MAX_SLOTS) };
        let length = self.parameters.len();
        if self.gradient.len() != length {
            let (expected, found) = ((1, length), (1, self.gradient.len()));
            return Err(Error::Shape { what: "gradient and parameters", expected, found });
        }
        if Some(self.state.len()) != R::SLOTS.checked_mul(self.stride) {
            let (expected, found) = ((R::SLOTS, length), (1, self.state.len()));
            return Err(Error::Shape { what: "state of the update rule", expected, found });
        }
        Ok(self)
    }
}

impl<T: Scalar, R: Rule<T>> Kernel for Update<'_, T, R> {
    type Output = ();
    fn run<S: Isa>(self, isa: S) {
        let Self { rule, decay, segments, parameters, gradient, state, stride } = self;
        let whole = [Segment { range: 0..parameters.len(), regularised: true }];
        let mut slots = <[&mut [T]; MAX_SLOTS]>::default();
        for (slot, vector) in slots.iter_mut().zip(state.chunks_mut(stride.max(1))) {
            *slot = vector;
        }
        let part = Part { first: 0, values: parameters, gradient, slots };
        let work = |segments: &[Segment], part: Part<'_, T>| isa.vectorize(UpdateLoop { rule, decay, segments, part });
        divide(segments.unwrap_or(&whole), part, 3 + 2 * R::SLOTS, &work);
    }
}

struct UpdateLoop<'a, T, R> {
    rule: R,
    decay: T,
    segments: &'a [Segment],
    part: Part<'a, T>,
}

impl<T: Scalar, R: Rule<T>> Kernel for UpdateLoop<'_, T, R> {
    type Output = ();
    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let Self { rule, decay, segments, part: Part { first, values, gradient, mut slots } } = self;
        let lanes = T::Lanes::<S>::COUNT;
        for segment in segments {
            let (rule, decay) = if segment.regularised { (rule, decay) } else { (rule.without_decay(), T::ZERO) };
            let Range { start, end } = segment.local(first, values.len());
            let whole = end - (end - start) % lanes;
            for at in (start..whole).step_by(lanes) {
                update_vector(isa, rule, decay, at..at + lanes, values, gradient, &mut slots);
            }
            if whole < end {
                update_vector(isa, rule, decay, whole..end, values, gradient, &mut slots);
            }
        }
    }
}

/// Updates the elements of `place`, no more than a vector holds.
#[inline(always)]
fn update_vector<S: Isa, T: Scalar, R: Rule<T>>(
    isa: S,
    rule: R,
    decay: T,
    place: Range<usize>,
    parameters: &mut [T],
    gradient: &[T],
    slots: &mut [&mut [T]; MAX_SLOTS],
) {
    let mut state = [T::Lanes::<S>::splat(isa, T::ZERO); MAX_SLOTS];
    for (vector, slot) in state.iter_mut().zip(slots.iter()).take(R::SLOTS) {
        *vector = T::Lanes::<S>::read(isa, &slot[place.clone()]);
    }
    let old = T::Lanes::<S>::read(isa, &parameters[place.clone()]);
    let gradient = T::Lanes::<S>::read(isa, &gradient[place.clone()]);
    let gradient = old.mul_add(isa, T::Lanes::<S>::splat(isa, decay), gradient);
    rule.lanes(isa, old, gradient, &mut state).write(isa, &mut parameters[place.clone()]);
    for (vector, slot) in state.iter().zip(slots.iter_mut()).take(R::SLOTS) {
        vector.write(isa, &mut slot[place.clone()]);
    }
}
