//! Binary cross-entropy on scores.

use crate::error::Error;
use crate::ops::binary::{Binary, PairwiseFunction};
use crate::tape::Var;
use lanegrad_kernels::isa::{Isa, Lanes, Scalar};
use lanegrad_kernels::math::{sigmoid_lanes, softplus_lanes};

/// y = ln(1 + exp(s)) - t s, the cross-entropy of a probability 1 / (1 + exp(-s)) and a target t from 0 to 1;
/// ds = dy (1 / (1 + exp(-s)) - t), dt = -dy s.
#[derive(Clone, Copy, Debug)]
pub struct BinaryCrossEntropy;

impl<'t, T: Scalar> Var<'t, T> {
    /// The binary cross-entropy of each score and target, broadcast, in nats. A failure poisons the result.
    pub fn binary_cross_entropy_each(self, target: Self) -> Self {
        self.tape().apply(Binary(BinaryCrossEntropy), &[self, target])
    }

    /// [`Var::binary_cross_entropy_each`].
    ///
    /// # Errors
    /// [`Error::Shapes`] if the shapes do not fit.
    pub fn try_binary_cross_entropy_each(self, target: Self) -> Result<Self, Error> {
        self.tape().try_apply(Binary(BinaryCrossEntropy), &[self, target])
    }

    /// The mean binary cross-entropy of scores and targets: one number. A failure poisons the result.
    ///
    /// The scores are those before a sigmoid ("logits"): together, the two neither overflow nor lose digits.
    pub fn binary_cross_entropy(self, target: Self) -> Self {
        self.binary_cross_entropy_each(target).mean_all()
    }

    /// [`Var::binary_cross_entropy`].
    ///
    /// # Errors
    /// [`Error::Shapes`] if the shapes do not fit.
    pub fn try_binary_cross_entropy(self, target: Self) -> Result<Self, Error> {
        Ok(self.try_binary_cross_entropy_each(target)?.mean_all())
    }
}

impl<T: Scalar> PairwiseFunction<T> for BinaryCrossEntropy {
    const NAME: &'static str = "binary cross-entropy";

    #[inline(always)]
    fn value<S: Isa>(self, isa: S, a: T::Lanes<S>, b: T::Lanes<S>) -> T::Lanes<S> {
        // softplus(s) - t s = softplus(-|s|) + max(s, 0) - t s, whose last two terms cancel exactly where t is 0 or 1.
        let zero = T::Lanes::<S>::splat(isa, T::ZERO);
        let rest = a.max(isa, zero).sub(isa, b.mul(isa, a));
        softplus_lanes::<S, T>(isa, zero.sub(isa, a.abs(isa))).add(isa, rest)
    }

    #[inline(always)]
    fn left<S: Isa>(self, isa: S, a: T::Lanes<S>, b: T::Lanes<S>, dy: T::Lanes<S>) -> T::Lanes<S> {
        dy.mul(isa, sigmoid_lanes::<S, T>(isa, a).sub(isa, b))
    }

    #[inline(always)]
    fn right<S: Isa>(self, isa: S, a: T::Lanes<S>, _: T::Lanes<S>, dy: T::Lanes<S>) -> T::Lanes<S> {
        T::Lanes::<S>::splat(isa, T::ZERO).sub(isa, dy.mul(isa, a))
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{array, every_broadcast, smooth};
    use crate::tape::Tape;

    #[test]
    fn gradient() {
        every_broadcast(|x| x[0].binary_cross_entropy_each(x[1]), array);
        smooth(|x| x[0].binary_cross_entropy(x[1]), &[array(&[4, 3], 1), array(&[4, 3], 2)]);
    }

    #[test]
    fn large_scores_neither_overflow_nor_vanish() {
        let tape = Tape::<f32>::new();
        let loss = |score, target| tape.scalar(score).binary_cross_entropy(tape.scalar(target)).item().unwrap();
        assert_eq!(loss(1e4, 0.0), 1e4);
        assert_eq!(loss(1e4, 1.0), 0.0);
        assert_eq!(loss(-1e4, 1.0), 1e4);
        assert!((loss(-20.0, 0.0) / 2.061_153_6e-9 - 1.0).abs() < 1e-5);
    }
}
