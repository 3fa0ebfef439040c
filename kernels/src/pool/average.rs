//! The mean of each window.

use super::Pooling;
use super::windows::{self, Pass, Window};
use crate::conv::same_length;
use crate::dispatch;
use crate::error::Error;
use crate::isa::{Isa, Kernel, Lanes, Scalar};

/// y <- the sum of each window of x, channel by channel, divided by the number of its pixels.
///
/// With `include_padding`, those beyond the image count too, up to the padding.
///
/// Runs at [`dispatch::level`] on the threads of the calling pool.
///
/// # Errors
/// [`Error::Shape`] if a slice does not have the pooling's length, and those of [`dispatch::level`]. Nothing is written then.
#[inline(never)]
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
        windows::run(isa, pooling, Means { include_padding, x }, false, y);
    }
}

/// The number of pixels that count in a window's mean.
#[inline(always)]
fn divisor<S: Isa, T: Scalar>(isa: S, window: &Window, include_padding: bool) -> T::Lanes<S> {
    let Window { pooling, place, rows, cols, .. } = window;
    let count = |axis: usize, extent: usize, covered: usize| {
        let end = extent + 2 * pooling.shape.padding[axis];
        let padded = pooling.shape.kernel[axis].min(end - place[axis] * pooling.shape.stride[axis]);
        if include_padding { padded } else { covered }
    };
    let count = count(0, pooling.shape.height, rows.len()) * count(1, pooling.shape.width, cols.len());
    T::Lanes::<S>::splat(isa, T::from_f64(count as f64))
}

/// The means of windows of the input.
#[derive(Clone, Copy)]
struct Means<'a, T> {
    include_padding: bool,
    x: &'a [T],
}

impl<T: Scalar> Pass<T> for Means<'_, T> {
    const BACKWARD: bool = false;
    #[inline(always)]
    fn lanes<S: Isa, const WHOLE: bool>(self, isa: S, window: Window, y: &mut [T]) {
        let mut sum = T::Lanes::<S>::splat(isa, T::ZERO);
        for row in window.rows.clone() {
            for col in window.cols.clone() {
                sum = sum.add(isa, T::Lanes::<S>::read(isa, &self.x[window.input(row, col)]));
            }
        }
        let mean = sum.div(isa, divisor::<S, T>(isa, &window, self.include_padding));
        mean.write(isa, &mut y[window.local(window.output())]);
    }
}

/// dx (+)= for each pixel the sum of dy over the windows that cover it, each divided as in [`average_forward`]; with `add` false,
/// what dx holds is not read.
///
/// # Errors
/// [`Error::Shape`] if a slice does not have the pooling's length, and those of [`dispatch::level`]. Nothing is written then.
#[inline(never)]
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
        windows::run(isa, pooling, Shares { include_padding, dy }, !add, dx);
    }
}

/// What each pixel of a window gets of its gradient.
#[derive(Clone, Copy)]
struct Shares<'a, T> {
    include_padding: bool,
    dy: &'a [T],
}

impl<T: Scalar> Pass<T> for Shares<'_, T> {
    const BACKWARD: bool = true;
    #[inline(always)]
    fn lanes<S: Isa, const WHOLE: bool>(self, isa: S, window: Window, dx: &mut [T]) {
        let dy = T::Lanes::<S>::read(isa, &self.dy[window.output()]);
        let share = dy.div(isa, divisor::<S, T>(isa, &window, self.include_padding));
        for row in window.rows.start.max(window.own.start)..window.rows.end.min(window.own.end) {
            for col in window.cols.clone() {
                let target = &mut dx[window.local(window.input(row, col))];
                T::Lanes::<S>::read(isa, target).add(isa, share).write(isa, target);
            }
        }
    }
}
