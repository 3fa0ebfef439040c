//! Functions applied element by element, with broadcasting, and their sums.
//!
//! ```
//! use lanegrad_kernels::elementwise::{Function, map};
//! use lanegrad_kernels::isa::{Isa, Lanes, Scalar};
//!
//! /// a b + 1.
//! #[derive(Clone, Copy)]
//! struct ProductPlusOne;
//!
//! impl<T: Scalar> Function<T, 2> for ProductPlusOne {
//!     #[inline(always)]
//!     fn lanes<S: Isa>(&self, isa: S, [a, b]: [T::Lanes<S>; 2]) -> T::Lanes<S> {
//!         a.mul_add(isa, b, T::Lanes::<S>::splat(isa, T::ONE))
//!     }
//! }
//!
//! let mut y = [0.0; 3];
//! map(ProductPlusOne, [&[1.0, 2.0, 3.0], &[2.0, 2.0, 2.0]], &mut y)?;
//! assert_eq!(y, [3.0, 5.0, 7.0]);
//! # Ok::<(), lanegrad_kernels::Error>(())
//! ```
//!
//! A function is written once, for vectors, and compiled once for each level. Large arrays are shared among the threads of
//! the calling pool; each element's sum is added up by one thread in one order.

mod nest;
mod plane;

pub use nest::{Broadcast, BroadcastMut};

use crate::dispatch;
use crate::error::Error;
use crate::isa::{Isa, Kernel, Scalar};
use nest::Nest;
use plane::Loop;

/// A function of `N` numbers, on lanes.
pub trait Function<T: Scalar, const N: usize>: Copy + Send + Sync {
    /// The function, lane by lane. Must be `#[inline(always)]`.
    fn lanes<S: Isa>(&self, isa: S, x: [T::Lanes<S>; N]) -> T::Lanes<S>;
}

/// The function that returns its argument: for copies and sums.
#[derive(Clone, Copy, Debug)]
pub struct Identity;

impl<T: Scalar> Function<T, 1> for Identity {
    #[inline(always)]
    fn lanes<S: Isa>(&self, _: S, [x]: [T::Lanes<S>; 1]) -> T::Lanes<S> {
        x
    }
}

/// y <- f(x), for arrays of one length.
///
/// # Errors
/// [`Error::Shape`] if the lengths differ, and those of [`dispatch::level`]. Nothing is changed then.
pub fn map<T: Scalar, F: Function<T, N>, const N: usize>(f: F, x: [&[T]; N], y: &mut [T]) -> Result<(), Error> {
    dispatch::dispatch(Elementwise::flat(f, x, y, false)?)
}

/// y <- y + f(x), for arrays of one length.
///
/// # Errors
/// [`Error::Shape`] if the lengths differ, and those of [`dispatch::level`]. Nothing is changed then.
pub fn accumulate<T: Scalar, F: Function<T, N>, const N: usize>(f: F, x: [&[T]; N], y: &mut [T]) -> Result<(), Error> {
    dispatch::dispatch(Elementwise::flat(f, x, y, true)?)
}

/// y <- f(x) at each index of an array with these extents; y is row-major and x broadcast.
///
/// # Errors
/// [`Error::Shape`] or [`Error::OutOfBounds`] if an operand does not have what its strides reach, and those of
/// [`dispatch::level`]. Nothing is changed then.
pub fn map_broadcast<T: Scalar, F: Function<T, N>, const N: usize>(
    f: F,
    extents: &[usize],
    x: [Broadcast<'_, T>; N],
    y: &mut [T],
) -> Result<(), Error> {
    dispatch::dispatch(Elementwise::mapped(f, extents, x, y)?)
}

/// y <- y + f(x) at each index of an array with these extents: where y is broadcast, a sum over all indices that share an
/// element.
///
/// Sums along the last dimensions are taken lane by lane and then in `f64`, the others one term after the other.
///
/// # Errors
/// [`Error::Shape`] or [`Error::OutOfBounds`] if an operand does not have what its strides reach, and those of
/// [`dispatch::level`]. Nothing is changed then.
pub fn accumulate_broadcast<T: Scalar, F: Function<T, N>, const N: usize>(
    f: F,
    extents: &[usize],
    x: [Broadcast<'_, T>; N],
    y: BroadcastMut<'_, T>,
) -> Result<(), Error> {
    dispatch::dispatch(Elementwise::accumulated(f, extents, x, y)?)
}

/// A checked [`map`], [`accumulate`], [`map_broadcast`] or [`accumulate_broadcast`], to be run at a level of one's choice.
#[derive(Debug)]
pub struct Elementwise<'a, T, F, const N: usize> {
    f: F,
    nest: Nest<'a, T, N>,
    add: bool,
}

impl<'a, T: Scalar, F: Function<T, N>, const N: usize> Elementwise<'a, T, F, N> {
    /// See [`map`] and, with `add`, [`accumulate`].
    ///
    /// # Errors
    /// [`Error::Shape`] if the lengths differ.
    pub fn flat(f: F, x: [&'a [T]; N], y: &'a mut [T], add: bool) -> Result<Self, Error> {
        Ok(Self { f, nest: Nest::flat(x, y)?, add })
    }

    /// See [`map_broadcast`].
    ///
    /// # Errors
    /// Those of [`map_broadcast`].
    pub fn mapped(f: F, extents: &'a [usize], x: [Broadcast<'a, T>; N], y: &'a mut [T]) -> Result<Self, Error> {
        Ok(Self { f, nest: Nest::row_major(extents, x, y)?, add: false })
    }

    /// See [`accumulate_broadcast`].
    ///
    /// # Errors
    /// Those of [`accumulate_broadcast`].
    pub fn accumulated(
        f: F,
        extents: &'a [usize],
        x: [Broadcast<'a, T>; N],
        y: BroadcastMut<'a, T>,
    ) -> Result<Self, Error> {
        Ok(Self { f, nest: Nest::broadcast(extents, x, y)?, add: true })
    }
}

impl<T: Scalar, F: Function<T, N>, const N: usize> Kernel for Elementwise<'_, T, F, N> {
    type Output = ();
    fn run<S: Isa>(self, isa: S) {
        let Self { f, nest, add } = self;
        nest.run(&|plane| isa.vectorize(Loop { f, add, plane }));
    }
}
