//! The logistic sigmoid, 1 / (1 + exp(-x)).

use crate::ops::unary::{Pointwise, Unary};
use crate::tape::Var;
use lanegrad_kernels::isa::{Isa, Lanes, Scalar};
use lanegrad_kernels::math::sigmoid_lanes;

/// y = 1 / (1 + exp(-x)); dx = dy y (1 - y).
#[derive(Clone, Copy, Debug)]
pub struct Sigmoid;

impl<'t, T: Scalar> Var<'t, T> {
    /// The logistic sigmoid, 1 / (1 + exp(-x)), of each element.
    pub fn sigmoid(self) -> Self {
        self.tape().apply(Unary(Sigmoid), &[self])
    }
}

impl<T: Scalar> Pointwise<T> for Sigmoid {
    const NAME: &'static str = "sigmoid";

    #[inline(always)]
    fn value<S: Isa>(self, isa: S, x: T::Lanes<S>) -> T::Lanes<S> {
        sigmoid_lanes::<S, T>(isa, x)
    }

    #[inline(always)]
    fn slope<S: Isa>(self, isa: S, _: T::Lanes<S>, y: T::Lanes<S>, dy: T::Lanes<S>) -> T::Lanes<S> {
        let one = T::Lanes::<S>::splat(isa, T::ONE);
        dy.mul(isa, y.mul(isa, one.sub(isa, y)))
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{array, smooth};

    #[test]
    fn gradient() {
        smooth(|x| x[0].sigmoid(), &[array(&[3, 37], 1)]);
        smooth(|x| x[0].sigmoid() * x[0], &[array(&[5], 2)]);
    }
}
