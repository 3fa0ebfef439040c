//! The mean of each window.

use super::{Pooling, pixel};
use crate::conv::same_length;
use crate::dispatch;
use crate::error::Error;
use crate::isa::{Isa, Kernel, Lanes, Scalar};
use crate::parallel::{self, Divide};
use std::ops::Range;

/// y <- the sum of each window of x, channel by channel, divided by the number of its pixels.
///
/// With `include_padding`, those beyond the image count too, up to the padding.
///
/// Runs at [`dispatch::level`] on the threads of the calling pool.
///
/// # Errors
/// [`Error::Shape`] if a slice does not have the pooling's length, and those of [`dispatch::level`]. Nothing is written then.
pub fn average_forward<T: Scalar>(pooling: &Pooling, include_padding: bool, x: &[T], y: &mut [T]) -> Result<(), Error> {
    dispatch::dispatch(AverageForward::new(pooling, include_padding, x, y)?)
}

/// A checked [`average_forward`], to be run at a level of one's choice.
#[derive(Debug)]
pub struct AverageForward<'a, T> {
    pooling: Pooling,
    include_padding: bool,
    x: &'a [T],
    y: &'a mut [T],
}

impl<'a, T: Scalar> AverageForward<'a, T> {
    /// See [`average_forward`].
    ///
    /// # Errors
    /// [`Error::Shape`] if a slice does not have the pooling's length.
    pub fn new(pooling: &Pooling, include_padding: bool, x: &'a [T], y: &'a mut [T]) -> Result<Self, Error> {
        same_length("input of the pooling", pooling.input_length(), x.len())?;
        same_length("output of the pooling", pooling.output_length(), y.len())?;
        Ok(Self { pooling: *pooling, include_padding, x, y })
    }
}

impl<T: Scalar> Kernel for AverageForward<'_, T> {
    type Output = ();
    fn run<S: Isa>(self, isa: S) {
        let Self { pooling, include_padding, x, y } = self;
        if y.is_empty() {
            return;
        }
        let row = pooling.output[1] * pooling.shape.channels;
        let grain = pooling.grain(pooling.output[0]);
        parallel::divide(Outputs { isa, pooling, include_padding, x, y, row, first: 0 }, grain);
    }
}

/// The number of pixels that count in a window's mean.
fn divisor(pooling: &Pooling, include_padding: bool, i: usize, j: usize) -> usize {
    let count = |axis: usize, o: usize| {
        if include_padding {
            let shape = pooling.shape;
            let end = [shape.height, shape.width][axis] + 2 * shape.padding[axis];
            shape.kernel[axis].min(end - o * shape.stride[axis])
        } else {
            pooling.covered(axis, o).len()
        }
    };
    count(0, i) * count(1, j)
}

/// Some rows of the output of all images, `row` elements each, from row `first` on.
struct Outputs<'a, S, T> {
    isa: S,
    pooling: Pooling,
    include_padding: bool,
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
        let Outputs { pooling, include_padding, x, y, row, first, .. } = self.0;
        let (channels, width) = (pooling.shape.channels, pooling.shape.width);
        let image = pooling.shape.height * width * channels;
        for (i, line) in y.chunks_exact_mut(row).enumerate() {
            let (n, o) = ((first + i) / pooling.output[0], (first + i) % pooling.output[0]);
            let x = &x[n * image..][..image];
            let rows = pooling.covered(0, o);
            for (j, y) in line.chunks_exact_mut(channels).enumerate() {
                let cols = pooling.covered(1, j);
                let divisor = T::from_f64(divisor(&pooling, include_padding, o, j) as f64);
                let divisor = T::Lanes::<S>::splat(isa, divisor);
                for (v, y) in y.chunks_mut(T::Lanes::<S>::COUNT).enumerate() {
                    let at = |row: usize, col: usize| pixel(row, col, width, channels).start + v * T::Lanes::<S>::COUNT;
                    let window = (rows.clone(), cols.clone());
                    if y.len() == T::Lanes::<S>::COUNT {
                        sum::<S, T, true>(isa, x, window, at, y.len()).div(isa, divisor).write(isa, y);
                    } else {
                        sum::<S, T, false>(isa, x, window, at, y.len()).div(isa, divisor).write(isa, y);
                    }
                }
            }
        }
    }
}

/// The sum of `count` lanes of a window, which are all if `WHOLE`; `at` is where a pixel's lanes start in `x`.
#[inline(always)]
fn sum<S: Isa, T: Scalar, const WHOLE: bool>(
    isa: S,
    x: &[T],
    (rows, cols): (Range<usize>, Range<usize>),
    at: impl Fn(usize, usize) -> usize,
    count: usize,
) -> T::Lanes<S> {
    let count = if WHOLE { T::Lanes::<S>::COUNT } else { count };
    let mut sum = T::Lanes::<S>::splat(isa, T::ZERO);
    for row in rows {
        for col in cols.clone() {
            sum = sum.add(isa, T::Lanes::<S>::read(isa, &x[at(row, col)..][..count]));
        }
    }
    sum
}

/// dx (+)= for each pixel the sum of dy over the windows that cover it, each divided as in [`average_forward`]; with `add` false,
/// what dx holds is not read.
///
/// # Errors
/// [`Error::Shape`] if a slice does not have the pooling's length, and those of [`dispatch::level`]. Nothing is written then.
pub fn average_backward<T: Scalar>(
    pooling: &Pooling,
    include_padding: bool,
    dy: &[T],
    add: bool,
    dx: &mut [T],
) -> Result<(), Error> {
    dispatch::dispatch(AverageBackward::new(pooling, include_padding, dy, add, dx)?)
}

/// A checked [`average_backward`], to be run at a level of one's choice.
#[derive(Debug)]
pub struct AverageBackward<'a, T> {
    pooling: Pooling,
    include_padding: bool,
    dy: &'a [T],
    add: bool,
    dx: &'a mut [T],
}

impl<'a, T: Scalar> AverageBackward<'a, T> {
    /// See [`average_backward`].
    ///
    /// # Errors
    /// [`Error::Shape`] if a slice does not have the pooling's length.
    pub fn new(
        pooling: &Pooling,
        include_padding: bool,
        dy: &'a [T],
        add: bool,
        dx: &'a mut [T],
    ) -> Result<Self, Error> {
        same_length("gradient of the pooling's output", pooling.output_length(), dy.len())?;
        same_length("gradient of the pooling's input", pooling.input_length(), dx.len())?;
        Ok(Self { pooling: *pooling, include_padding, dy, add, dx })
    }
}

impl<T: Scalar> Kernel for AverageBackward<'_, T> {
    type Output = ();
    fn run<S: Isa>(self, isa: S) {
        let Self { pooling, include_padding, dy, add, dx } = self;
        if dx.is_empty() {
            return;
        }
        let row = pooling.shape.width * pooling.shape.channels;
        let grain = pooling.grain(pooling.shape.height);
        parallel::divide(Inputs { isa, pooling, include_padding, dy, add, dx, row, first: 0 }, grain);
    }
}

/// Some rows of the input's gradient of all images, `row` elements each, from row `first` on.
struct Inputs<'a, S, T> {
    isa: S,
    pooling: Pooling,
    include_padding: bool,
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
        let Inputs { pooling, include_padding, dy, add, dx, row, first, .. } = self.0;
        let output = pooling.output[0] * pooling.output[1] * pooling.shape.channels;
        let range = first..first + dx.len() / row;
        let mut dx = dx;
        for (n, rows) in Pooling::images(range, pooling.shape.height) {
            let (part, rest) = std::mem::take(&mut dx).split_at_mut(rows.len() * row);
            dx = rest;
            if !add {
                part.fill(T::ZERO);
            }
            image::<S, T>(isa, &pooling, include_padding, &dy[n * output..][..output], rows, part);
        }
    }
}

/// Adds to `dx`, the rows `own` of one image's gradient, what the windows give that cover them.
#[inline(always)]
fn image<S: Isa, T: Scalar>(
    isa: S,
    pooling: &Pooling,
    include_padding: bool,
    dy: &[T],
    own: Range<usize>,
    dx: &mut [T],
) {
    let (channels, width) = (pooling.shape.channels, pooling.shape.width);
    let lanes = T::Lanes::<S>::COUNT;
    for o in pooling.covering(own.clone()) {
        let rows = pooling.covered(0, o);
        let rows = rows.start.max(own.start)..rows.end.min(own.end);
        for j in 0..pooling.output[1] {
            let count = T::from_f64(divisor(pooling, include_padding, o, j) as f64);
            let count = T::Lanes::<S>::splat(isa, count);
            for (v, dy) in dy[pixel(o, j, pooling.output[1], channels)].chunks(lanes).enumerate() {
                let at = |row: usize, col: usize| pixel(row - own.start, col, width, channels).start + v * lanes;
                let share = T::Lanes::<S>::read(isa, dy).div(isa, count);
                let window = (rows.clone(), pooling.covered(1, j));
                if dy.len() == lanes {
                    give::<S, T, true>(isa, share, dy.len(), window, at, dx);
                } else {
                    give::<S, T, false>(isa, share, dy.len(), window, at, dx);
                }
            }
        }
    }
}

/// Adds `count` lanes of `share`, all if `WHOLE`, to `dx` in a window; `at` is where a pixel's lanes start.
#[inline(always)]
fn give<S: Isa, T: Scalar, const WHOLE: bool>(
    isa: S,
    share: T::Lanes<S>,
    count: usize,
    (rows, cols): (Range<usize>, Range<usize>),
    at: impl Fn(usize, usize) -> usize,
    dx: &mut [T],
) {
    let count = if WHOLE { T::Lanes::<S>::COUNT } else { count };
    for row in rows {
        for col in cols.clone() {
            let target = &mut dx[at(row, col)..][..count];
            T::Lanes::<S>::read(isa, target).add(isa, share).write(isa, target);
        }
    }
}
