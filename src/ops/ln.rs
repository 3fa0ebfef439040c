//! The natural logarithm.

use crate::ops::unary::{Pointwise, Unary};
use crate::tape::Var;
use lanegrad_kernels::isa::{Isa, Lanes, Scalar};
use lanegrad_kernels::math::ln_lanes;

/// y = ln(x), the natural logarithm; dx = dy / x.
#[derive(Clone, Copy, Debug)]
pub struct Ln;

impl<'t, T: Scalar> Var<'t, T> {
    /// The natural logarithm, of each element.
    pub fn ln(self) -> Self {
        self.tape().apply(Unary(Ln), &[self])
    }
}

impl<T: Scalar> Pointwise<T> for Ln {
    const NAME: &'static str = "ln";

    #[inline(always)]
    fn value<S: Isa>(self, isa: S, x: T::Lanes<S>) -> T::Lanes<S> {
        ln_lanes::<S, T>(isa, x)
    }

    #[inline(always)]
    fn slope<S: Isa>(self, isa: S, x: T::Lanes<S>, _: T::Lanes<S>, dy: T::Lanes<S>) -> T::Lanes<S> {
        dy.div(isa, x)
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{positive, smooth};

    #[test]
    fn gradient() {
        smooth(|x| x[0].ln(), &[positive(&[3, 37], 1)]);
        smooth(|x| x[0].ln() * x[0], &[positive(&[5], 2)]);
    }
}
