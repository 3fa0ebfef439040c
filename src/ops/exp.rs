//! The exponential function.

use crate::ops::unary::{Pointwise, Unary};
use crate::tape::Var;
use lanegrad_kernels::isa::{Isa, Lanes, Scalar};
use lanegrad_kernels::math::exp_lanes;

/// y = exp(x); dx = dy y.
#[derive(Clone, Copy, Debug)]
pub struct Exp;

impl<'t, T: Scalar> Var<'t, T> {
    /// The exponential function, of each element.
    pub fn exp(self) -> Self {
        self.tape().apply(Unary(Exp), &[self])
    }
}

impl<T: Scalar> Pointwise<T> for Exp {
    const NAME: &'static str = "exp";

    #[inline(always)]
    fn value<S: Isa>(self, isa: S, x: T::Lanes<S>) -> T::Lanes<S> {
        exp_lanes::<S, T>(isa, x)
    }

    #[inline(always)]
    fn slope<S: Isa>(self, isa: S, _: T::Lanes<S>, y: T::Lanes<S>, dy: T::Lanes<S>) -> T::Lanes<S> {
        dy.mul(isa, y)
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{array, smooth};

    #[test]
    fn gradient() {
        smooth(|x| x[0].exp(), &[array(&[3, 37], 1)]);
        smooth(|x| x[0].exp() * x[0], &[array(&[5], 2)]);
    }
}
