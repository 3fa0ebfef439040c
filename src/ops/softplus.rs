//! ln(1 + exp(x)), a smooth [`Var::relu`].

use crate::ops::unary::{Pointwise, Unary};
use crate::tape::Var;
use lanegrad_kernels::isa::{Isa, Lanes, Scalar};
use lanegrad_kernels::math::{sigmoid_lanes, softplus_lanes};

/// y = ln(1 + exp(x)), without overflow; dx = dy / (1 + exp(-x)).
#[derive(Clone, Copy, Debug)]
pub struct Softplus;

impl<'t, T: Scalar> Var<'t, T> {
    /// ln(1 + exp(x)), a smooth [`Var::relu`], of each element.
    pub fn softplus(self) -> Self {
        self.tape().apply(Unary(Softplus), &[self])
    }
}

impl<T: Scalar> Pointwise<T> for Softplus {
    const NAME: &'static str = "softplus";

    #[inline(always)]
    fn value<S: Isa>(self, isa: S, x: T::Lanes<S>) -> T::Lanes<S> {
        softplus_lanes::<S, T>(isa, x)
    }

    #[inline(always)]
    fn slope<S: Isa>(self, isa: S, x: T::Lanes<S>, _: T::Lanes<S>, dy: T::Lanes<S>) -> T::Lanes<S> {
        dy.mul(isa, sigmoid_lanes::<S, T>(isa, x))
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{array, smooth};

    #[test]
    fn gradient() {
        smooth(|x| x[0].softplus(), &[array(&[3, 37], 1)]);
        smooth(|x| x[0].softplus() * x[0], &[array(&[5], 2)]);
    }
}
