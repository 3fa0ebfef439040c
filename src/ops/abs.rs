//! The absolute value.

use crate::ops::unary::{Pointwise, Unary};
use crate::tape::Var;
use lanegrad_kernels::isa::{Isa, Lanes, Scalar};

/// y = |x|; dx = dy times the sign of x, 0 at 0.
#[derive(Clone, Copy, Debug)]
pub struct Abs;

impl<'t, T: Scalar> Var<'t, T> {
    /// The absolute value, of each element.
    pub fn abs(self) -> Self {
        self.tape().apply(Unary(Abs), &[self])
    }
}

impl<T: Scalar> Pointwise<T> for Abs {
    const NAME: &'static str = "abs";

    #[inline(always)]
    fn value<S: Isa>(self, isa: S, x: T::Lanes<S>) -> T::Lanes<S> {
        x.abs(isa)
    }

    #[inline(always)]
    fn slope<S: Isa>(self, isa: S, x: T::Lanes<S>, _: T::Lanes<S>, dy: T::Lanes<S>) -> T::Lanes<S> {
        let zero = T::Lanes::<S>::splat(isa, T::ZERO);
        let negative = zero.select_greater(isa, x, zero.sub(isa, dy), zero);
        x.select_greater(isa, zero, dy, negative)
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{array, smooth};

    #[test]
    fn gradient() {
        smooth(|x| x[0].abs(), &[array(&[3, 37], 1)]);
        smooth(|x| x[0].abs() * x[0], &[array(&[5], 2)]);
    }
}
