//! The logarithm of the softmax function, along any dimension.

use crate::dispatch;
use crate::error::Error;
use crate::isa::{Isa, Kernel, Lanes, Scalar};
use crate::math::{exp_lanes, ln_lanes};
use crate::parallel::{self, Divide, Grain};

/// y <- x - ln(sum of exp(x)), the sum along the middle dimension of `extents`; x and y are row-major.
///
/// The largest number of each sum is subtracted from all before they are exponentiated, so that none overflows. The error is
/// a few units in the last place of the largest |x - max(x)|. A sum with a NaN, or of which nothing or infinity is the
/// largest, gives NaN.
///
/// # Errors
/// [`Error::Shape`] if x or y is not as long as the extents say, and those of [`dispatch::level`]. Nothing is changed then.
#[inline(never)]
pub fn log_softmax<T: Scalar>(x: &[T], extents: [usize; 3], y: &mut [T]) -> Result<(), Error> {
    dispatch::dispatch(LogSoftmax::new(x, extents, y)?)
}

/// A checked [`log_softmax`], to be run at a level of one's choice.
#[derive(Debug)]
pub struct LogSoftmax<'a, T> {
    x: &'a [T],
    y: &'a mut [T],
    /// Numbers of a sum, and distance between them.
    extent: usize,
    inner: usize,
}

impl<'a, T: Scalar> LogSoftmax<'a, T> {
    /// See [`log_softmax`].
    ///
    /// # Errors
    /// [`Error::Shape`] if x or y is not as long as the extents say.
    pub fn new(x: &'a [T], extents: [usize; 3], y: &'a mut [T]) -> Result<Self, Error> {
        let [outer, extent, inner] = extents;
        let elements = outer.checked_mul(extent).and_then(|product| product.checked_mul(inner));
        for length in [x.len(), y.len()] {
            if elements != Some(length) {
                let expected = (1, elements.unwrap_or(usize::MAX));
                return Err(Error::Shape { what: "operand of log-softmax", expected, found: (1, length) });
            }
        }
        Ok(Self { x, y, extent, inner })
    }
}

/// Elements that are worth another thread: about 10 microseconds.
const WORTH_A_THREAD: usize = 1 << 13;

impl<T: Scalar> Kernel for LogSoftmax<'_, T> {
    type Output = ();
    fn run<S: Isa>(self, isa: S) {
        if !self.x.is_empty() {
            let grain = Grain::of(self.extent * self.inner, WORTH_A_THREAD);
            parallel::divide(Part { isa, sums: self }, grain);
        }
    }
}

/// Some of the outer dimension's indices.
struct Part<'a, S, T> {
    isa: S,
    sums: LogSoftmax<'a, T>,
}

impl<S: Isa, T: Scalar> Divide for Part<'_, S, T> {
    fn length(&self) -> usize {
        self.sums.x.len() / (self.sums.extent * self.sums.inner)
    }

    fn split(self, at: usize) -> (Self, Self) {
        let Self { isa, sums: LogSoftmax { x, y, extent, inner } } = self;
        let (x_left, x_right) = x.split_at(at * extent * inner);
        let (y_left, y_right) = y.split_at_mut(at * extent * inner);
        let part = |x, y| Self { isa, sums: LogSoftmax { x, y, extent, inner } };
        (part(x_left, y_left), part(x_right, y_right))
    }

    fn run(self) {
        self.isa.vectorize(Loop(self.sums));
    }
}

struct Loop<'a, T>(LogSoftmax<'a, T>);

impl<T: Scalar> Kernel for Loop<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let LogSoftmax { x, y, extent, inner } = self.0;
        for (x, y) in x.chunks_exact(extent * inner).zip(y.chunks_exact_mut(extent * inner)) {
            if inner == 1 {
                along_row(isa, x, y);
            } else {
                down_columns(isa, inner, x, y);
            }
        }
    }
}

/// One sum of adjacent numbers: lanes hold parts of it.
#[inline(always)]
fn along_row<S: Isa, T: Scalar>(isa: S, x: &[T], y: &mut [T]) {
    let lanes = T::Lanes::<S>::COUNT;
    let lowest = T::Lanes::<S>::splat(isa, -T::INFINITY);
    let mut largest = lowest;
    for chunk in x.chunks(lanes) {
        let chosen = only_first::<S, T>(isa, T::Lanes::<S>::read(isa, chunk), chunk.len(), lowest);
        largest = largest.max(isa, chosen);
    }
    let largest = T::Lanes::<S>::splat(isa, reduce_max::<S, T>(isa, largest));
    let zero = T::Lanes::<S>::splat(isa, T::ZERO);
    let mut sum = zero;
    for chunk in x.chunks(lanes) {
        let term = exp_lanes::<S, T>(isa, T::Lanes::<S>::read(isa, chunk).sub(isa, largest));
        sum = sum.add(isa, only_first::<S, T>(isa, term, chunk.len(), zero));
    }
    let logarithm = T::Lanes::<S>::splat(isa, sum.reduce_sum(isa).ln());
    for (x, y) in x.chunks(lanes).zip(y.chunks_mut(lanes)) {
        T::Lanes::<S>::read(isa, x).sub(isa, largest).sub(isa, logarithm).write(isa, y);
    }
}

/// As many sums as there are columns: each lane holds one.
#[inline(always)]
fn down_columns<S: Isa, T: Scalar>(isa: S, cols: usize, x: &[T], y: &mut [T]) {
    let lanes = T::Lanes::<S>::COUNT;
    for first in (0..cols).step_by(lanes) {
        let range = first..cols.min(first + lanes);
        let mut largest = T::Lanes::<S>::read(isa, &x[range.clone()]);
        for row in x.chunks_exact(cols).skip(1) {
            largest = largest.max(isa, T::Lanes::<S>::read(isa, &row[range.clone()]));
        }
        let mut sum = T::Lanes::<S>::splat(isa, T::ZERO);
        for row in x.chunks_exact(cols) {
            let exponent = T::Lanes::<S>::read(isa, &row[range.clone()]).sub(isa, largest);
            sum = sum.add(isa, exp_lanes::<S, T>(isa, exponent));
        }
        let logarithm = ln_lanes::<S, T>(isa, sum);
        for (row, y) in x.chunks_exact(cols).zip(y.chunks_exact_mut(cols)) {
            let difference = T::Lanes::<S>::read(isa, &row[range.clone()]).sub(isa, largest);
            difference.sub(isa, logarithm).write(isa, &mut y[range.clone()]);
        }
    }
}

/// The first `count` lanes of `value`, and `rest` beyond.
#[inline(always)]
fn only_first<S: Isa, T: Scalar>(isa: S, value: T::Lanes<S>, count: usize, rest: T::Lanes<S>) -> T::Lanes<S> {
    if count >= T::Lanes::<S>::COUNT {
        return value;
    }
    let ones = [T::ONE; crate::isa::MAX_LANES];
    let first = T::Lanes::<S>::read(isa, &ones[..count]);
    first.select_equal(isa, T::Lanes::<S>::splat(isa, T::ONE), value, rest)
}

/// The greatest of all lanes; NaN if one is.
#[inline(always)]
fn reduce_max<S: Isa, T: Scalar>(isa: S, lanes: T::Lanes<S>) -> T {
    let mut buffer = [-T::INFINITY; crate::isa::MAX_LANES];
    lanes.write(isa, &mut buffer[..T::Lanes::<S>::COUNT]);
    buffer.into_iter().fold(-T::INFINITY, |a, b| if b > a || b.partial_cmp(&b).is_none() { b } else { a })
}
