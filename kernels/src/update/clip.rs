//! Clipping of gradients: the sum of squares of an arena's segments, and in-place changes of their elements.

use super::Segment;
use super::pass::{Part, WORTH_A_THREAD, divide};
use crate::dispatch;
use crate::error::Error;
use crate::isa::{Isa, Kernel, Lanes, Scalar};
use crate::parallel::{self, Divide};
use crate::workspace::with_scratch;

/// The sum of squares of the elements in `segments`, added up in `f64`.
///
/// The arena is cut into blocks of fixed size, whose sums are added in order: the bits are the same for any number of
/// threads, and at any level.
///
/// # Errors
/// [`Error::Segment`] if the segments are not ascending, disjoint and within `values`, and those of [`dispatch::level`].
#[inline(never)]
pub fn sum_of_squares<T: Scalar>(segments: &[Segment], values: &[T]) -> Result<f64, Error> {
    dispatch::dispatch(SumOfSquares::new(segments, values)?)
}

/// Multiplies the elements in `segments` by `factor`.
///
/// # Errors
/// As [`sum_of_squares`]. Nothing is changed then.
#[inline(never)]
pub fn scale<T: Scalar>(segments: &[Segment], factor: T, values: &mut [T]) -> Result<(), Error> {
    dispatch::dispatch(ForEach::new(Scale(factor), segments, values)?)
}

/// Limits the elements in `segments` to `-limit..=limit`; NaN stays.
///
/// # Errors
/// As [`sum_of_squares`]. Nothing is changed then.
#[inline(never)]
pub fn clamp<T: Scalar>(segments: &[Segment], limit: T, values: &mut [T]) -> Result<(), Error> {
    dispatch::dispatch(ForEach::new(Clamp(limit), segments, values)?)
}

/// A checked [`sum_of_squares`], to be run at a level of one's choice.
#[derive(Debug)]
pub struct SumOfSquares<'a, T> {
    segments: &'a [Segment],
    values: &'a [T],
}

impl<'a, T: Scalar> SumOfSquares<'a, T> {
    /// See [`sum_of_squares`].
    ///
    /// # Errors
    /// [`Error::Segment`] if the segments are not ascending, disjoint and within `values`.
    pub fn new(segments: &'a [Segment], values: &'a [T]) -> Result<Self, Error> {
        Segment::check(segments, values.len())?;
        Ok(Self { segments, values })
    }
}

impl<T: Scalar> Kernel for SumOfSquares<'_, T> {
    type Output = f64;
    fn run<S: Isa>(self, isa: S) -> f64 {
        let Self { segments, values } = self;
        with_scratch(values.len().div_ceil(BLOCK), |sums: &mut [f64]| {
            let blocks = Blocks { isa, segments, first: 0, values, sums };
            parallel::divide(blocks, WORTH_A_THREAD / (BLOCK * size_of::<T>()));
            sums.iter().sum()
        })
    }
}

/// Elements of the arena whose squares make one partial sum.
const BLOCK: usize = 4096;

struct Blocks<'a, S, T> {
    isa: S,
    segments: &'a [Segment],
    /// Where in the arena `values` begins.
    first: usize,
    values: &'a [T],
    /// One for each block, to be written.
    sums: &'a mut [f64],
}

impl<S: Isa, T: Scalar> Divide for Blocks<'_, S, T> {
    fn length(&self) -> usize {
        self.sums.len()
    }

    fn split(self, at: usize) -> (Self, Self) {
        let (values, rest) = self.values.split_at((at * BLOCK).min(self.values.len()));
        let (sums, rest_sums) = self.sums.split_at_mut(at);
        (Self { values, sums, ..self }, Self { first: self.first + at * BLOCK, values: rest, sums: rest_sums, ..self })
    }

    fn run(self) {
        for (i, (block, sum)) in self.values.chunks(BLOCK).zip(self.sums).enumerate() {
            let first = self.first + i * BLOCK;
            let segments = Segment::within(self.segments, first..first + block.len());
            *sum = self.isa.vectorize(BlockSum { segments, first, block });
        }
    }
}

struct BlockSum<'a, T> {
    segments: &'a [Segment],
    first: usize,
    block: &'a [T],
}

/// Sums that grow side by side, as many at every level.
const CHAINS: usize = 16;

impl<T: Scalar> Kernel for BlockSum<'_, T> {
    type Output = f64;
    // Plain arithmetic, which the compiler makes vectors of: the lanes of a level cannot be widened from `f32` to `f64`.
    #[inline(always)]
    fn run<S: Isa>(self, _: S) -> f64 {
        let mut sums = [0.0; CHAINS];
        for segment in self.segments {
            let values = &self.block[segment.local(self.first, self.block.len())];
            let whole = values.len() - values.len() % CHAINS;
            for chunk in values[..whole].chunks_exact(CHAINS) {
                for (sum, x) in sums.iter_mut().zip(chunk) {
                    *sum += x.to_f64() * x.to_f64();
                }
            }
            for (sum, x) in sums.iter_mut().zip(&values[whole..]) {
                *sum += x.to_f64() * x.to_f64();
            }
        }
        sums.iter().sum()
    }
}

/// What becomes of an element.
pub trait Map<T: Scalar>: Copy + Send + Sync {
    /// The new elements. Must be `#[inline(always)]`.
    fn lanes<S: Isa>(self, isa: S, x: T::Lanes<S>) -> T::Lanes<S>;
}

/// x <- factor x.
#[derive(Clone, Copy, Debug)]
pub struct Scale<T>(pub T);

impl<T: Scalar> Map<T> for Scale<T> {
    #[inline(always)]
    fn lanes<S: Isa>(self, isa: S, x: T::Lanes<S>) -> T::Lanes<S> {
        x.mul(isa, T::Lanes::<S>::splat(isa, self.0))
    }
}

/// x <- min(max(x, -limit), limit), and NaN stays.
#[derive(Clone, Copy, Debug)]
pub struct Clamp<T>(pub T);

impl<T: Scalar> Map<T> for Clamp<T> {
    #[inline(always)]
    fn lanes<S: Isa>(self, isa: S, x: T::Lanes<S>) -> T::Lanes<S> {
        let (least, most) = (T::Lanes::<S>::splat(isa, -self.0), T::Lanes::<S>::splat(isa, self.0));
        let x = least.select_greater(isa, x, least, x);
        x.select_greater(isa, most, most, x)
    }
}

/// A checked [`scale`] or [`clamp`], to be run at a level of one's choice.
#[derive(Debug)]
pub struct ForEach<'a, T, M> {
    map: M,
    segments: &'a [Segment],
    values: &'a mut [T],
}

impl<'a, T: Scalar, M: Map<T>> ForEach<'a, T, M> {
    /// Changes the elements in `segments` to what `map` makes of them.
    ///
    /// # Errors
    /// [`Error::Segment`] if the segments are not ascending, disjoint and within `values`.
    pub fn new(map: M, segments: &'a [Segment], values: &'a mut [T]) -> Result<Self, Error> {
        Segment::check(segments, values.len())?;
        Ok(Self { map, segments, values })
    }
}

impl<T: Scalar, M: Map<T>> Kernel for ForEach<'_, T, M> {
    type Output = ();
    fn run<S: Isa>(self, isa: S) {
        let Self { map, segments, values } = self;
        let part = Part { first: 0, values, gradient: &[], slots: Default::default() };
        let work = |segments: &[Segment], part: Part<'_, T>| isa.vectorize(ForEachLoop { map, segments, part });
        divide(segments, part, 2, &work);
    }
}

struct ForEachLoop<'a, T, M> {
    map: M,
    segments: &'a [Segment],
    part: Part<'a, T>,
}

impl<T: Scalar, M: Map<T>> Kernel for ForEachLoop<'_, T, M> {
    type Output = ();
    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let Self { map, segments, part } = self;
        for segment in segments {
            let place = segment.local(part.first, part.values.len());
            for chunk in part.values[place].chunks_mut(T::Lanes::<S>::COUNT) {
                map.lanes(isa, T::Lanes::<S>::read(isa, chunk)).write(isa, chunk);
            }
        }
    }
}
