//! Powers, with base and exponent both differentiable.

use crate::error::Error;
use crate::ops::binary::{Binary, PairwiseFunction};
use crate::ops::unary::{Pointwise, Unary};
use crate::tape::Var;
use lanegrad_kernels::isa::{Isa, Lanes, Scalar};
use lanegrad_kernels::math::{ln_lanes, pow_lanes};

/// y = a^b; da = dy b a^(b - 1), db = dy y ln a.
///
/// The derivative by a is 0 where b is: a^0 = 1 for every a. That by b is taken as 0 where a is 0, the limit for b > 0.
#[derive(Clone, Copy, Debug)]
pub struct Pow;

/// y = x^c for a constant c; dx = dy c x^(c - 1).
#[derive(Clone, Copy, Debug)]
pub struct PowConstant<T>(pub T);

impl<'t, T: Scalar> Var<'t, T> {
    /// Each element to the power of the exponent's, broadcast. A failure poisons the result.
    pub fn pow(self, exponent: Self) -> Self {
        self.tape().apply(Binary(Pow), &[self, exponent])
    }

    /// [`Var::pow`].
    ///
    /// # Errors
    /// [`Error::Shapes`] if the shapes do not fit.
    pub fn try_pow(self, exponent: Self) -> Result<Self, Error> {
        self.tape().try_apply(Binary(Pow), &[self, exponent])
    }

    /// Each element to the power of `exponent`.
    pub fn powf(self, exponent: T) -> Self {
        self.tape().apply(Unary(PowConstant(exponent)), &[self])
    }

    /// Each element times itself.
    pub fn square(self) -> Self {
        self * self
    }
}

impl<T: Scalar> PairwiseFunction<T> for Pow {
    const NAME: &'static str = "pow";

    #[inline(always)]
    fn value<S: Isa>(self, isa: S, a: T::Lanes<S>, b: T::Lanes<S>) -> T::Lanes<S> {
        pow_lanes::<S, T>(isa, a, b)
    }

    #[inline(always)]
    fn left<S: Isa>(self, isa: S, a: T::Lanes<S>, b: T::Lanes<S>, dy: T::Lanes<S>) -> T::Lanes<S> {
        let (zero, one) = (T::Lanes::<S>::splat(isa, T::ZERO), T::Lanes::<S>::splat(isa, T::ONE));
        let slope = dy.mul(isa, b).mul(isa, pow_lanes::<S, T>(isa, a, b.sub(isa, one)));
        b.select_equal(isa, zero, zero, slope)
    }

    #[inline(always)]
    fn right<S: Isa>(self, isa: S, a: T::Lanes<S>, b: T::Lanes<S>, dy: T::Lanes<S>) -> T::Lanes<S> {
        let zero = T::Lanes::<S>::splat(isa, T::ZERO);
        let slope = dy.mul(isa, pow_lanes::<S, T>(isa, a, b)).mul(isa, ln_lanes::<S, T>(isa, a));
        a.select_equal(isa, zero, zero, slope)
    }
}

impl<T: Scalar> Pointwise<T> for PowConstant<T> {
    const NAME: &'static str = "pow";

    #[inline(always)]
    fn value<S: Isa>(self, isa: S, x: T::Lanes<S>) -> T::Lanes<S> {
        pow_lanes::<S, T>(isa, x, T::Lanes::<S>::splat(isa, self.0))
    }

    #[inline(always)]
    fn slope<S: Isa>(self, isa: S, x: T::Lanes<S>, _: T::Lanes<S>, dy: T::Lanes<S>) -> T::Lanes<S> {
        PairwiseFunction::<T>::left(Pow, isa, x, T::Lanes::<S>::splat(isa, self.0), dy)
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{array, every_broadcast, positive, smooth};
    use crate::tape::Tape;

    #[test]
    fn gradient() {
        every_broadcast(|x| x[0].pow(x[1]), positive);
        smooth(|x| x[0].powf(3.0), &[array(&[7], 1)]);
        smooth(|x| x[0].powf(-1.5), &[positive(&[7], 1)]);
        smooth(|x| x[0].square(), &[array(&[7], 1)]);
    }

    #[test]
    fn a_base_of_zero_has_a_finite_gradient() {
        let tape = Tape::<f64>::new();
        let (a, b) = (tape.scalar(0.0), tape.scalar(2.0));
        a.pow(b).backward().unwrap();
        assert_eq!((a.gradient().unwrap().item().unwrap(), b.gradient().unwrap().item().unwrap()), (0.0, 0.0));
    }
}
