//! The hyperbolic tangent.

use crate::ops::unary::{Pointwise, Unary};
use crate::tape::Var;
use lanegrad_kernels::isa::{Isa, Lanes, Scalar};
use lanegrad_kernels::math::tanh_lanes;

/// y = tanh(x); dx = dy (1 - y^2).
#[derive(Clone, Copy, Debug)]
pub struct Tanh;

impl<'t, T: Scalar> Var<'t, T> {
    /// The hyperbolic tangent, of each element.
    pub fn tanh(self) -> Self {
        self.tape().apply(Unary(Tanh), &[self])
    }
}

impl<T: Scalar> Pointwise<T> for Tanh {
    const NAME: &'static str = "tanh";

    #[inline(always)]
    fn value<S: Isa>(self, isa: S, x: T::Lanes<S>) -> T::Lanes<S> {
        tanh_lanes::<S, T>(isa, x)
    }

    #[inline(always)]
    fn slope<S: Isa>(self, isa: S, _: T::Lanes<S>, y: T::Lanes<S>, dy: T::Lanes<S>) -> T::Lanes<S> {
        let one = T::Lanes::<S>::splat(isa, T::ONE);
        dy.mul(isa, one.sub(isa, y.mul(isa, y)))
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{array, smooth};

    #[test]
    fn gradient() {
        smooth(|x| x[0].tanh(), &[array(&[3, 37], 1)]);
        smooth(|x| x[0].tanh() * x[0], &[array(&[5], 2)]);
    }
}
