//! The greater and the lesser of two arrays, broadcast.

use crate::error::Error;
use crate::ops::binary::{Binary, PairwiseFunction};
use crate::tape::Var;
use lanegrad_kernels::isa::{Isa, Lanes, Scalar};

/// y = max(a, b), NaN if either is; the gradient goes to the greater one, to a if they are equal.
#[derive(Clone, Copy, Debug)]
pub struct Maximum;

/// y = min(a, b), NaN if either is; the gradient goes to the lesser one, to a if they are equal.
#[derive(Clone, Copy, Debug)]
pub struct Minimum;

impl<'t, T: Scalar> Var<'t, T> {
    /// The greater of each pair of elements, broadcast. A failure poisons the result.
    pub fn maximum(self, other: Self) -> Self {
        self.tape().apply(Binary(Maximum), &[self, other])
    }

    /// [`Var::maximum`].
    ///
    /// # Errors
    /// [`Error::Shapes`] if the shapes do not fit.
    pub fn try_maximum(self, other: Self) -> Result<Self, Error> {
        self.tape().try_apply(Binary(Maximum), &[self, other])
    }

    /// The lesser of each pair of elements, broadcast. A failure poisons the result.
    pub fn minimum(self, other: Self) -> Self {
        self.tape().apply(Binary(Minimum), &[self, other])
    }

    /// [`Var::minimum`].
    ///
    /// # Errors
    /// [`Error::Shapes`] if the shapes do not fit.
    pub fn try_minimum(self, other: Self) -> Result<Self, Error> {
        self.tape().try_apply(Binary(Minimum), &[self, other])
    }
}

impl<T: Scalar> PairwiseFunction<T> for Maximum {
    const NAME: &'static str = "maximum";

    #[inline(always)]
    fn value<S: Isa>(self, isa: S, a: T::Lanes<S>, b: T::Lanes<S>) -> T::Lanes<S> {
        a.max(isa, b)
    }

    #[inline(always)]
    fn left<S: Isa>(self, isa: S, a: T::Lanes<S>, b: T::Lanes<S>, dy: T::Lanes<S>) -> T::Lanes<S> {
        b.select_greater(isa, a, T::Lanes::<S>::splat(isa, T::ZERO), dy)
    }

    #[inline(always)]
    fn right<S: Isa>(self, isa: S, a: T::Lanes<S>, b: T::Lanes<S>, dy: T::Lanes<S>) -> T::Lanes<S> {
        b.select_greater(isa, a, dy, T::Lanes::<S>::splat(isa, T::ZERO))
    }
}

impl<T: Scalar> PairwiseFunction<T> for Minimum {
    const NAME: &'static str = "minimum";

    #[inline(always)]
    fn value<S: Isa>(self, isa: S, a: T::Lanes<S>, b: T::Lanes<S>) -> T::Lanes<S> {
        a.min(isa, b)
    }

    #[inline(always)]
    fn left<S: Isa>(self, isa: S, a: T::Lanes<S>, b: T::Lanes<S>, dy: T::Lanes<S>) -> T::Lanes<S> {
        a.select_greater(isa, b, T::Lanes::<S>::splat(isa, T::ZERO), dy)
    }

    #[inline(always)]
    fn right<S: Isa>(self, isa: S, a: T::Lanes<S>, b: T::Lanes<S>, dy: T::Lanes<S>) -> T::Lanes<S> {
        a.select_greater(isa, b, dy, T::Lanes::<S>::splat(isa, T::ZERO))
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{array, every_broadcast};

    #[test]
    fn gradient() {
        every_broadcast(|x| x[0].maximum(x[1]), array);
        every_broadcast(|x| x[0].minimum(x[1]), array);
    }
}
