//! The rectifier, max(x, 0).

use crate::ops::unary::{Pointwise, Unary};
use crate::tape::Var;
use lanegrad_kernels::isa::{Isa, Lanes, Scalar};

/// y = max(x, 0); dx = dy where x > 0, and 0 elsewhere, at 0 too.
#[derive(Clone, Copy, Debug)]
pub struct Relu;

impl<'t, T: Scalar> Var<'t, T> {
    /// The rectifier, max(x, 0), of each element.
    pub fn relu(self) -> Self {
        self.tape().apply(Unary(Relu), &[self])
    }
}

impl<T: Scalar> Pointwise<T> for Relu {
    const NAME: &'static str = "relu";

    #[inline(always)]
    fn value<S: Isa>(self, isa: S, x: T::Lanes<S>) -> T::Lanes<S> {
        x.max(isa, T::Lanes::<S>::splat(isa, T::ZERO))
    }

    #[inline(always)]
    fn slope<S: Isa>(self, isa: S, x: T::Lanes<S>, _: T::Lanes<S>, dy: T::Lanes<S>) -> T::Lanes<S> {
        let zero = T::Lanes::<S>::splat(isa, T::ZERO);
        x.select_greater(isa, zero, dy, zero)
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{array, smooth};

    #[test]
    fn gradient() {
        smooth(|x| x[0].relu(), &[array(&[3, 37], 1)]);
        smooth(|x| x[0].relu() * x[0], &[array(&[5], 2)]);
    }
}
