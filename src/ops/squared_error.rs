//! The squared error.

use crate::error::Error;
use crate::ops::binary::{Binary, PairwiseFunction};
use crate::tape::Var;
use lanegrad_kernels::isa::{Isa, Lanes, Scalar};

/// y = (a - b)^2; da = 2 dy (a - b), db = -da.
#[derive(Clone, Copy, Debug)]
pub struct SquaredDifference;

impl<'t, T: Scalar> Var<'t, T> {
    /// The square of each difference, broadcast. A failure poisons the result.
    pub fn squared_difference(self, other: Self) -> Self {
        self.tape().apply(Binary(SquaredDifference), &[self, other])
    }

    /// [`Var::squared_difference`].
    ///
    /// # Errors
    /// [`Error::Shapes`] if the shapes do not fit.
    pub fn try_squared_difference(self, other: Self) -> Result<Self, Error> {
        self.tape().try_apply(Binary(SquaredDifference), &[self, other])
    }

    /// The mean of the squared differences to `target`: one number. A failure poisons the result.
    pub fn mean_squared_error(self, target: Self) -> Self {
        self.squared_difference(target).mean_all()
    }

    /// [`Var::mean_squared_error`].
    ///
    /// # Errors
    /// [`Error::Shapes`] if the shapes do not fit.
    pub fn try_mean_squared_error(self, target: Self) -> Result<Self, Error> {
        Ok(self.try_squared_difference(target)?.mean_all())
    }
}

impl<T: Scalar> PairwiseFunction<T> for SquaredDifference {
    const NAME: &'static str = "squared difference";

    #[inline(always)]
    fn value<S: Isa>(self, isa: S, a: T::Lanes<S>, b: T::Lanes<S>) -> T::Lanes<S> {
        let difference = a.sub(isa, b);
        difference.mul(isa, difference)
    }

    #[inline(always)]
    fn left<S: Isa>(self, isa: S, a: T::Lanes<S>, b: T::Lanes<S>, dy: T::Lanes<S>) -> T::Lanes<S> {
        dy.mul(isa, a.sub(isa, b)).mul(isa, T::Lanes::<S>::splat(isa, T::ONE + T::ONE))
    }

    #[inline(always)]
    fn right<S: Isa>(self, isa: S, a: T::Lanes<S>, b: T::Lanes<S>, dy: T::Lanes<S>) -> T::Lanes<S> {
        PairwiseFunction::<T>::left(self, isa, b, a, dy)
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{array, every_broadcast, smooth};

    #[test]
    fn gradient() {
        every_broadcast(|x| x[0].squared_difference(x[1]), array);
        smooth(|x| x[0].mean_squared_error(x[1]), &[array(&[4, 3], 1), array(&[4, 3], 2)]);
    }
}
