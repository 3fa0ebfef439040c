//! The largest element of each window.

use super::Pooling;
use super::windows::{self, Pass, Window};
use crate::conv::same_length;
use crate::dispatch;
use crate::error::Error;
use crate::isa::{Isa, Kernel, Lanes, Scalar};

/// y <- the largest element of each window of x, channel by channel; NaN if there is one.
///
/// Runs at [`dispatch::level`] on the threads of the calling pool.
///
/// # Errors
/// [`Error::Shape`] if a slice does not have the pooling's length, and those of [`dispatch::level`]. Nothing is written then.
#[inline(never)]
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
        windows::run(isa, self.pooling, Largest(self.x), false, self.y);
    }
}

/// The largest elements of windows of the input.
#[derive(Clone, Copy)]
struct Largest<'a, T>(&'a [T]);

impl<T: Scalar> Pass<T> for Largest<'_, T> {
    const BACKWARD: bool = false;
    #[inline(always)]
    fn lanes<S: Isa, const WHOLE: bool>(self, isa: S, window: Window, y: &mut [T]) {
        let first = window.input(window.rows.start, window.cols.start);
        let mut largest = T::Lanes::<S>::read(isa, &self.0[first]);
        // A comparison with NaN is false, so that the larger of two may lose one: it is kept apart.
        let mut nan = T::Lanes::<S>::splat(isa, T::ZERO);
        for row in window.rows.clone() {
            for col in window.cols.clone() {
                let x = T::Lanes::<S>::read(isa, &self.0[window.input(row, col)]);
                largest = largest.select_greater(isa, x, largest, x);
                nan = x.select_equal(isa, x, nan, x);
            }
        }
        nan.select_equal(isa, nan, largest, nan).write(isa, &mut y[window.local(window.output())]);
    }
}

/// dx (+)= dy, each element at the place of its window's maximum; with `add` false, what dx holds is not read.
///
/// The place is the first in row-major order that holds the maximum, or the first NaN; `y` is what [`max_forward`] made of `x`.
///
/// # Errors
/// [`Error::Shape`] if a slice does not have the pooling's length, and those of [`dispatch::level`]. Nothing is written then.
#[inline(never)]
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
        windows::run(isa, pooling, Places { x, y, dy }, !add, dx);
    }
}

/// What is given to the places of the maxima.
#[derive(Clone, Copy)]
struct Places<'a, T> {
    x: &'a [T],
    y: &'a [T],
    dy: &'a [T],
}

impl<T: Scalar> Pass<T> for Places<'_, T> {
    const BACKWARD: bool = true;
    #[inline(always)]
    fn lanes<S: Isa, const WHOLE: bool>(self, isa: S, window: Window, dx: &mut [T]) {
        let y = T::Lanes::<S>::read(isa, &self.y[window.output()]);
        let (zero, one) = (T::Lanes::<S>::splat(isa, T::ZERO), T::Lanes::<S>::splat(isa, T::ONE));
        if WHOLE && y.select_equal(isa, y, zero, one).reduce_sum(isa) == T::ZERO {
            self.give::<S, true>(isa, window, y, dx);
        } else {
            self.give::<S, false>(isa, window, y, dx);
        }
    }
}

impl<T: Scalar> Places<'_, T> {
    /// Adds dy to `dx` at the place of each maximum; `NUMBERS` says that no maximum is NaN.
    #[inline(always)]
    fn give<S: Isa, const NUMBERS: bool>(self, isa: S, window: Window, y: T::Lanes<S>, dx: &mut [T]) {
        let zero = T::Lanes::<S>::splat(isa, T::ZERO);
        // What is left to give: dy until the maximum was met, then zero.
        let mut left = T::Lanes::<S>::read(isa, &self.dy[window.output()]);
        for row in window.rows.clone() {
            for col in window.cols.clone() {
                let x = T::Lanes::<S>::read(isa, &self.x[window.input(row, col)]);
                // Where both are NaN, which equals nothing, the maximum is met too.
                let (mut otherwise, mut kept) = (zero, left);
                if !NUMBERS {
                    otherwise = x.select_equal(isa, x, zero, y.select_equal(isa, y, zero, left));
                    kept = x.select_equal(isa, x, left, y.select_equal(isa, y, left, zero));
                }
                let given = x.select_equal(isa, y, left, otherwise);
                left = x.select_equal(isa, y, zero, kept);
                if window.own.contains(&row) {
                    let target = &mut dx[window.local(window.input(row, col))];
                    T::Lanes::<S>::read(isa, target).add(isa, given).write(isa, target);
                }
            }
        }
    }
}
