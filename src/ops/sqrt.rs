//! The square root.

use crate::ops::unary::{Pointwise, Unary};
use crate::tape::Var;
use lanegrad_kernels::isa::{Isa, Lanes, Scalar};

/// y = sqrt(x); dx = dy / (2 y).
#[derive(Clone, Copy, Debug)]
pub struct Sqrt;

impl<'t, T: Scalar> Var<'t, T> {
    /// The square root, of each element.
    pub fn sqrt(self) -> Self {
        self.tape().apply(Unary(Sqrt), &[self])
    }
}

impl<T: Scalar> Pointwise<T> for Sqrt {
    const NAME: &'static str = "sqrt";

    #[inline(always)]
    fn value<S: Isa>(self, isa: S, x: T::Lanes<S>) -> T::Lanes<S> {
        x.sqrt(isa)
    }

    #[inline(always)]
    fn slope<S: Isa>(self, isa: S, _: T::Lanes<S>, y: T::Lanes<S>, dy: T::Lanes<S>) -> T::Lanes<S> {
        dy.div(isa, y.add(isa, y))
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{positive, smooth};

    #[test]
    fn gradient() {
        smooth(|x| x[0].sqrt(), &[positive(&[3, 37], 1)]);
        smooth(|x| x[0].sqrt() * x[0], &[positive(&[5], 2)]);
    }
}
