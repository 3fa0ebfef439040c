//! The difference of two arrays, broadcast.

use crate::error::Error;
use crate::ops::binary::{Binary, PairwiseFunction};
use crate::tape::Var;
use lanegrad_kernels::isa::{Isa, Lanes, Scalar};

/// y = a - b; da = dy, db = -dy.
#[derive(Clone, Copy, Debug)]
pub struct Sub;

impl<'t, T: Scalar> std::ops::Sub for Var<'t, T> {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.tape().apply(Binary(Sub), &[self, other])
    }
}

impl<'t, T: Scalar> Var<'t, T> {
    /// The difference of the two, broadcast.
    ///
    /// # Errors
    /// [`Error::Shapes`] if the shapes do not fit.
    pub fn try_sub(self, other: Self) -> Result<Self, Error> {
        self.tape().try_apply(Binary(Sub), &[self, other])
    }
}

impl<T: Scalar> PairwiseFunction<T> for Sub {
    const NAME: &'static str = "sub";

    #[inline(always)]
    fn value<S: Isa>(self, isa: S, a: T::Lanes<S>, b: T::Lanes<S>) -> T::Lanes<S> {
        a.sub(isa, b)
    }

    #[inline(always)]
    fn left<S: Isa>(self, _: S, _: T::Lanes<S>, _: T::Lanes<S>, dy: T::Lanes<S>) -> T::Lanes<S> {
        dy
    }

    #[inline(always)]
    fn right<S: Isa>(self, isa: S, _: T::Lanes<S>, _: T::Lanes<S>, dy: T::Lanes<S>) -> T::Lanes<S> {
        T::Lanes::<S>::splat(isa, T::ZERO).sub(isa, dy)
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{array, every_broadcast};
    use crate::tape::Tape;

    #[test]
    fn gradient() {
        every_broadcast(|x| x[0] - x[1], array);
    }

    #[test]
    fn shapes_that_do_not_fit_are_named() {
        let tape = Tape::<f64>::new();
        let (a, b) = (tape.variable(&array(&[2, 3], 1)), tape.variable(&array(&[4], 2)));
        let message = "sub: shapes [2, 3] and [4] do not fit";
        assert_eq!(a.try_sub(b).unwrap_err().to_string(), message);
        assert!(tape.finish().is_ok());
        assert_eq!((a - b).value().unwrap_err().to_string(), message);
        assert_eq!(tape.finish().unwrap_err().to_string(), message);
    }
}
