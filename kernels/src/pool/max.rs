//! The largest element of each window.

use super::{Pooling, pixel};
use crate::conv::same_length;
use crate::dispatch;
use crate::error::Error;
use crate::isa::{Isa, Kernel, Lanes, Scalar};
use crate::parallel::{self, Divide};
use std::ops::Range;

/// y <- the largest element of each window of x, channel by channel; NaN if there is one.
///
/// Runs at [`dispatch::level`] on the threads of the calling pool.
///
/// # Errors
/// [`Error::Shape`] if a slice does not have the pooling's length, and those of [`dispatch::level`]. Nothing is written then.
pub fn max_forward<T: Scalar>(pooling: &Pooling, x: &[T], y: &mut [T]) -> Result<(), Error> {
    dispatch::dispatch(MaxForward::new(pooling, x, y)?)
}

/// A checked [`max_forward`], to be run at a level of one's choice.
#[derive(Debug)]
pub struct MaxForward<'a, T> {
    pooling: Pooling,
    x: &'a [T],
    y: &'a mut [T],
}

impl<'a, T: Scalar> MaxForward<'a, T> {
    /// See [`max_forward`].
    ///
    /// # Errors
    /// [`Error::Shape`] if a slice does not have the pooling's length.
    pub fn new(pooling: &Pooling, x: &'a [T], y: &'a mut [T]) -> Result<Self, Error> {
        same_length("input of the pooling", pooling.input_length(), x.len())?;
        same_length("output of the pooling", pooling.output_length(), y.len())?;
        Ok(Self { pooling: *pooling, x, y })
    }
}

impl<T: Scalar> Kernel for MaxForward<'_, T> {
    type Output = ();
    fn run<S: Isa>(self, isa: S) {
        let Self { pooling, x, y } = self;
        if y.is_empty() {
            return;
        }
        let row = pooling.output[1] * pooling.shape.channels;
        parallel::divide(Outputs { isa, pooling, x, y, row, first: 0 }, pooling.grain(pooling.output[0]));
    }
}

/// Some rows of the output of all images, `row` elements each, from row `first` on.
struct Outputs<'a, S, T> {
    isa: S,
    pooling: Pooling,
    x: &'a [T],
    y: &'a mut [T],
    row: usize,
    first: usize,
}

impl<S: Isa, T: Scalar> Divide for Outputs<'_, S, T> {
    fn length(&self) -> usize {
        self.y.len() / self.row
    }
    fn split(self, at: usize) -> (Self, Self) {
        let (top, bottom) = self.y.split_at_mut(at * self.row);
        (Self { y: top, ..self }, Self { y: bottom, first: self.first + at, ..self })
    }
    fn run(self) {
        self.isa.vectorize(OutputLoop(self));
    }
}

struct OutputLoop<'a, S, T>(Outputs<'a, S, T>);

impl<I: Isa, T: Scalar> Kernel for OutputLoop<'_, I, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let Outputs { pooling, x, y, row, first, .. } = self.0;
        let (channels, width) = (pooling.shape.channels, pooling.shape.width);
        let image = pooling.shape.height * width * channels;
        for (i, line) in y.chunks_exact_mut(row).enumerate() {
            let (n, o) = ((first + i) / pooling.output[0], (first + i) % pooling.output[0]);
            let x = &x[n * image..][..image];
            let rows = pooling.covered(0, o);
            for (j, y) in line.chunks_exact_mut(channels).enumerate() {
                let cols = pooling.covered(1, j);
                for (v, y) in y.chunks_mut(T::Lanes::<S>::COUNT).enumerate() {
                    let at = |row: usize, col: usize| pixel(row, col, width, channels).start + v * T::Lanes::<S>::COUNT;
                    let window = (rows.clone(), cols.clone());
                    if y.len() == T::Lanes::<S>::COUNT {
                        largest::<S, T, true>(isa, x, window, at, y.len()).write(isa, y);
                    } else {
                        largest::<S, T, false>(isa, x, window, at, y.len()).write(isa, y);
                    }
                }
            }
        }
    }
}

/// The largest of `count` lanes of a window, which are all if `WHOLE`; `at` is where a pixel's lanes start in `x`.
#[inline(always)]
fn largest<S: Isa, T: Scalar, const WHOLE: bool>(
    isa: S,
    x: &[T],
    (rows, cols): (Range<usize>, Range<usize>),
    at: impl Fn(usize, usize) -> usize,
    count: usize,
) -> T::Lanes<S> {
    let count = if WHOLE { T::Lanes::<S>::COUNT } else { count };
    let load = |row: usize, col: usize| T::Lanes::<S>::read(isa, &x[at(row, col)..][..count]);
    let mut largest = load(rows.start, cols.start);
    // A comparison with NaN is false, so that the larger of two may lose one: it is kept apart.
    let mut nan = T::Lanes::<S>::splat(isa, T::ZERO);
    for row in rows {
        for col in cols.clone() {
            let x = load(row, col);
            largest = largest.select_greater(isa, x, largest, x);
            nan = x.select_equal(isa, x, nan, x);
        }
    }
    nan.select_equal(isa, nan, largest, nan)
}

/// dx (+)= dy, each element at the place of its window's maximum; with `add` false, what dx holds is not read.
///
/// The place is the first in row-major order that holds the maximum, or the first NaN; `y` is what [`max_forward`] made of `x`.
///
/// # Errors
/// [`Error::Shape`] if a slice does not have the pooling's length, and those of [`dispatch::level`]. Nothing is written then.
pub fn max_backward<T: Scalar>(
    pooling: &Pooling,
    x: &[T],
    y: &[T],
    dy: &[T],
    add: bool,
    dx: &mut [T],
) -> Result<(), Error> {
    dispatch::dispatch(MaxBackward::new(pooling, x, y, dy, add, dx)?)
}

/// A checked [`max_backward`], to be run at a level of one's choice.
#[derive(Debug)]
pub struct MaxBackward<'a, T> {
    pooling: Pooling,
    x: &'a [T],
    y: &'a [T],
    dy: &'a [T],
    add: bool,
    dx: &'a mut [T],
}

impl<'a, T: Scalar> MaxBackward<'a, T> {
    /// See [`max_backward`].
    ///
    /// # Errors
    /// [`Error::Shape`] if a slice does not have the pooling's length.
    pub fn new(
        pooling: &Pooling,
        x: &'a [T],
        y: &'a [T],
        dy: &'a [T],
        add: bool,
        dx: &'a mut [T],
    ) -> Result<Self, Error> {
        same_length("input of the pooling", pooling.input_length(), x.len())?;
        same_length("output of the pooling", pooling.output_length(), y.len())?;
        same_length("gradient of the pooling's output", pooling.output_length(), dy.len())?;
        same_length("gradient of the pooling's input", pooling.input_length(), dx.len())?;
        Ok(Self { pooling: *pooling, x, y, dy, add, dx })
    }
}

impl<T: Scalar> Kernel for MaxBackward<'_, T> {
    type Output = ();
    fn run<S: Isa>(self, isa: S) {
        let Self { pooling, x, y, dy, add, dx } = self;
        if dx.is_empty() {
            return;
        }
        let row = pooling.shape.width * pooling.shape.channels;
        let grain = pooling.grain(pooling.shape.height);
        parallel::divide(Inputs { isa, pooling, x, y, dy, add, dx, row, first: 0 }, grain);
    }
}

/// Some rows of the input's gradient of all images, `row` elements each, from row `first` on.
struct Inputs<'a, S, T> {
    isa: S,
    pooling: Pooling,
    x: &'a [T],
    y: &'a [T],
    dy: &'a [T],
    add: bool,
    dx: &'a mut [T],
    row: usize,
    first: usize,
}

impl<S: Isa, T: Scalar> Divide for Inputs<'_, S, T> {
    fn length(&self) -> usize {
        self.dx.len() / self.row
    }
    fn split(self, at: usize) -> (Self, Self) {
        let (top, bottom) = self.dx.split_at_mut(at * self.row);
        (Self { dx: top, ..self }, Self { dx: bottom, first: self.first + at, ..self })
    }
    fn run(self) {
        self.isa.vectorize(InputLoop(self));
    }
}

struct InputLoop<'a, S, T>(Inputs<'a, S, T>);

impl<I: Isa, T: Scalar> Kernel for InputLoop<'_, I, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let Inputs { pooling, x, y, dy, add, dx, row, first, .. } = self.0;
        let height = pooling.shape.height;
        let (input, output) = (height * row, pooling.output[0] * pooling.output[1] * pooling.shape.channels);
        let range = first..first + dx.len() / row;
        let mut dx = dx;
        for (n, rows) in Pooling::images(range, height) {
            let (part, rest) = std::mem::take(&mut dx).split_at_mut(rows.len() * row);
            dx = rest;
            if !add {
                part.fill(T::ZERO);
            }
            let [y, dy] = [y, dy].map(|data| &data[n * output..][..output]);
            image::<S, T>(isa, &pooling, &x[n * input..][..input], y, dy, rows, part);
        }
    }
}

/// Adds to `dx`, the rows `own` of one image's gradient, what the windows give that cover them.
#[inline(always)]
fn image<S: Isa, T: Scalar>(isa: S, pooling: &Pooling, x: &[T], y: &[T], dy: &[T], own: Range<usize>, dx: &mut [T]) {
    let (channels, width) = (pooling.shape.channels, pooling.shape.width);
    let lanes = T::Lanes::<S>::COUNT;
    for o in pooling.covering(own.clone()) {
        let rows = pooling.covered(0, o);
        for j in 0..pooling.output[1] {
            let cols = pooling.covered(1, j);
            let window = pixel(o, j, pooling.output[1], channels);
            for (v, (y, dy)) in y[window.clone()].chunks(lanes).zip(dy[window].chunks(lanes)).enumerate() {
                let at = |row: usize, col: usize| pixel(row, col, width, channels).start + v * lanes;
                let window = Window { x, y, dy, rows: rows.clone(), cols: cols.clone(), own: own.clone() };
                if y.len() == lanes && window.holds_numbers::<S>(isa) {
                    window.give::<S, true>(isa, at, dx);
                } else {
                    window.give::<S, false>(isa, at, dx);
                }
            }
        }
    }
}

/// Some channels of a window: its largest elements and their gradients.
struct Window<'a, T> {
    x: &'a [T],
    y: &'a [T],
    dy: &'a [T],
    rows: Range<usize>,
    cols: Range<usize>,
    /// The rows that `dx` holds.
    own: Range<usize>,
}

impl<T: Scalar> Window<'_, T> {
    /// Whether no maximum is NaN.
    #[inline(always)]
    fn holds_numbers<S: Isa>(&self, isa: S) -> bool {
        let y = T::Lanes::<S>::read(isa, self.y);
        let (zero, one) = (T::Lanes::<S>::splat(isa, T::ZERO), T::Lanes::<S>::splat(isa, T::ONE));
        y.select_equal(isa, y, zero, one).reduce_sum(isa) == T::ZERO
    }

    /// Adds dy to `dx` at the place of each maximum; `at` is where a pixel's lanes start.
    ///
    /// `WHOLE` says that all lanes are there and hold numbers.
    #[inline(always)]
    fn give<S: Isa, const WHOLE: bool>(self, isa: S, at: impl Fn(usize, usize) -> usize, dx: &mut [T]) {
        let Self { x, y, dy, rows, cols, own } = self;
        let count = if WHOLE { T::Lanes::<S>::COUNT } else { y.len() };
        let zero = T::Lanes::<S>::splat(isa, T::ZERO);
        let y = T::Lanes::<S>::read(isa, &y[..count]);
        // What is left to give: dy until the maximum was met, then zero.
        let mut left = T::Lanes::<S>::read(isa, &dy[..count]);
        for row in rows {
            for col in cols.clone() {
                let x = T::Lanes::<S>::read(isa, &x[at(row, col)..][..count]);
                // Where both are NaN, which equals nothing, the maximum is met too.
                let (mut otherwise, mut kept) = (zero, left);
                if !WHOLE {
                    otherwise = x.select_equal(isa, x, zero, y.select_equal(isa, y, zero, left));
                    kept = x.select_equal(isa, x, left, y.select_equal(isa, y, left, zero));
                }
                let given = x.select_equal(isa, y, left, otherwise);
                left = x.select_equal(isa, y, zero, kept);
                if own.contains(&row) {
                    let target = &mut dx[at(row - own.start, col)..][..count];
                    T::Lanes::<S>::read(isa, target).add(isa, given).write(isa, target);
                }
            }
        }
    }
}
