//! Softmax cross-entropy on a block of scores, vectors along the samples.

use super::ScoreBlock;
use crate::isa::{Isa, Kernel, Lanes, MAX_LANES, Scalar};
use crate::math::exp_lanes;

/// Turns scores into losses and gradients in place: loss = ln(sum of exp(s - m)) + m - s_y for m the largest score,
/// ds = (p - \[y\]) weight.
pub(super) struct Softmax<'a, T>(pub ScoreBlock<'a, T>);

impl<T: Scalar> Kernel for Softmax<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let ScoreBlock { mut scores, labels, losses, weight } = self.0;
        let lanes = T::Lanes::<S>::COUNT;
        let classes = scores.rows();
        let splat = |x: T| T::Lanes::<S>::splat(isa, x);
        let weight_lanes = splat(weight);
        for (chunk, losses) in losses.chunks_mut(lanes).enumerate() {
            let range = chunk * lanes..chunk * lanes + losses.len();
            let label = T::Lanes::<S>::read(isa, &labels[range.clone()]);
            let class = |c: usize| splat(T::from_f64(c as f64));

            let mut largest = splat(T::from_f64(f64::NEG_INFINITY));
            let mut own = splat(T::ZERO);
            for c in 0..classes {
                let score = T::Lanes::<S>::read(isa, &scores.row_mut(c)[range.clone()]);
                largest = score.select_greater(isa, largest, score, largest);
                own = label.select_equal(isa, class(c), score, own);
            }
            let mut sum = splat(T::ZERO);
            for c in 0..classes {
                let score = &mut scores.row_mut(c)[range.clone()];
                let exponential = exp_lanes::<S, T>(isa, T::Lanes::<S>::read(isa, score).sub(isa, largest));
                sum = sum.add(isa, exponential);
                exponential.write(isa, score);
            }
            let inverse = weight_lanes.div(isa, sum);
            for c in 0..classes {
                let score = &mut scores.row_mut(c)[range.clone()];
                let probability = T::Lanes::<S>::read(isa, score).mul(isa, inverse);
                let others = label.select_equal(isa, class(c), probability.sub(isa, weight_lanes), probability);
                others.write(isa, score);
            }
            let mut sums = [T::ONE; MAX_LANES];
            sum.write(isa, &mut sums);
            largest.sub(isa, own).write(isa, losses);
            for (loss, sum) in losses.iter_mut().zip(sums) {
                *loss += sum.ln();
            }
        }
    }
}
