//! The negative.

use crate::ops::unary::{Pointwise, Unary};
use crate::tape::Var;
use lanegrad_kernels::isa::{Isa, Lanes, Scalar};

/// y = -x; dx = -dy.
#[derive(Clone, Copy, Debug)]
pub struct Neg;

impl<'t, T: Scalar> std::ops::Neg for Var<'t, T> {
    type Output = Self;
    fn neg(self) -> Self {
        self.tape().apply(Unary(Neg), &[self])
    }
}

impl<T: Scalar> Pointwise<T> for Neg {
    const NAME: &'static str = "neg";

    #[inline(always)]
    fn value<S: Isa>(self, isa: S, x: T::Lanes<S>) -> T::Lanes<S> {
        T::Lanes::<S>::splat(isa, T::ZERO).sub(isa, x)
    }

    #[inline(always)]
    fn slope<S: Isa>(self, isa: S, _: T::Lanes<S>, _: T::Lanes<S>, dy: T::Lanes<S>) -> T::Lanes<S> {
        T::Lanes::<S>::splat(isa, T::ZERO).sub(isa, dy)
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{array, smooth};

    #[test]
    fn gradient() {
        smooth(|x| -x[0], &[array(&[3, 37], 1)]);
        smooth(|x| -x[0] * x[0], &[array(&[5], 2)]);
    }
}
