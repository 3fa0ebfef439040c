//! Weston-Watkins hinge loss on a block of scores, vectors along the samples.

use super::ScoreBlock;
use crate::isa::{Isa, Kernel, Lanes, Scalar};

/// Turns scores into losses and gradients in place: loss = sum over j != y of max(0, s_j - s_y + 1), ds_j = weight where
/// that term is positive, ds_y = -weight times how many are.
pub(super) struct Hinge<'a, T>(pub ScoreBlock<'a, T>);

impl<T: Scalar> Kernel for Hinge<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let ScoreBlock { mut scores, labels, losses, weight } = self.0;
        let lanes = T::Lanes::<S>::COUNT;
        let classes = scores.rows();
        let splat = |x: T| T::Lanes::<S>::splat(isa, x);
        let (zero, one) = (splat(T::ZERO), splat(T::ONE));
        for (chunk, losses) in losses.chunks_mut(lanes).enumerate() {
            let range = chunk * lanes..chunk * lanes + losses.len();
            let label = T::Lanes::<S>::read(isa, &labels[range.clone()]);
            let class = |c: usize| splat(T::from_f64(c as f64));

            let mut own = zero;
            for c in 0..classes {
                let score = T::Lanes::<S>::read(isa, &scores.row_mut(c)[range.clone()]);
                own = label.select_equal(isa, class(c), score, own);
            }
            let (mut total, mut violated) = (zero, zero);
            for c in 0..classes {
                let score = &mut scores.row_mut(c)[range.clone()];
                let margin = T::Lanes::<S>::read(isa, score).sub(isa, own).add(isa, one);
                // A NaN is not below zero, so it stays and reaches the loss.
                let term = zero.select_greater(isa, margin, zero, margin);
                let term = label.select_equal(isa, class(c), zero, term);
                let active = term.select_greater(isa, zero, one, zero);
                total = total.add(isa, term);
                violated = violated.add(isa, active);
                active.mul(isa, splat(weight)).write(isa, score);
            }
            let own_gradient = violated.mul(isa, splat(-weight));
            for c in 0..classes {
                let score = &mut scores.row_mut(c)[range.clone()];
                let gradient = T::Lanes::<S>::read(isa, score);
                label.select_equal(isa, class(c), own_gradient, gradient).write(isa, score);
            }
            total.write(isa, losses);
        }
    }
}
