//! The loss of scores that are already there.

use lanegrad::Loss;
use lanegrad::kernels::math;
use lanegrad::kernels::parallel::{self, Divide};
use std::borrow::Cow;

/// The scores of some images: C rows, one number for each image.
#[derive(Clone, Copy, Debug)]
pub struct Scores<'a> {
    /// Row by row.
    pub values: &'a [f32],
    /// What is added to them, if anything.
    pub step: Option<&'a [f32]>,
    /// The classes of the images.
    pub labels: &'a [u32],
}

/// Adds to each of `sums` the sum of the losses of its scores, on the threads of the calling pool.
pub fn add_losses(loss: Loss, scores: &[Scores], sums: &mut [f64]) {
    parallel::divide(Work { loss, scores, sums }, 1);
}

struct Work<'a> {
    loss: Loss,
    scores: &'a [Scores<'a>],
    sums: &'a mut [f64],
}

impl Divide for Work<'_> {
    fn length(&self) -> usize {
        self.scores.len()
    }

    fn split(self, at: usize) -> (Self, Self) {
        let (scores, rest_scores) = self.scores.split_at(at);
        let (sums, rest_sums) = self.sums.split_at_mut(at);
        (Self { scores, sums, ..self }, Self { scores: rest_scores, sums: rest_sums, ..self })
    }

    fn run(self) {
        for (scores, sum) in self.scores.iter().zip(self.sums) {
            *sum += sum_of_losses(self.loss, scores);
        }
    }
}

/// The sum of the losses, image after image.
fn sum_of_losses(loss: Loss, scores: &Scores) -> f64 {
    let values = match scores.step {
        Some(step) => Cow::Owned(scores.values.iter().zip(step).map(|(score, step)| score + step).collect()),
        None => Cow::Borrowed(scores.values),
    };
    let losses = match loss {
        Loss::Hinge => hinge(&values, scores.labels),
        Loss::Softmax => cross_entropy(&values, scores.labels),
    };
    losses.into_iter().map(f64::from).sum()
}

/// The score of each image's own class.
fn own_scores(values: &[f32], labels: &[u32]) -> Vec<f32> {
    labels.iter().enumerate().map(|(image, &label)| values[label as usize * labels.len() + image]).collect()
}

/// The lecture's hinge loss of each image: the sum over the other classes j of max(0, s_j - s_y + 1).
fn hinge(values: &[f32], labels: &[u32]) -> Vec<f32> {
    let own = own_scores(values, labels);
    let mut losses = vec![0.0; labels.len()];
    for (class, row) in (0..).zip(values.chunks_exact(labels.len())) {
        for (((loss, score), own), &label) in losses.iter_mut().zip(row).zip(&own).zip(labels) {
            let margin = score - own + 1.0;
            // Not `max`, which would take zero for a margin that is not a number.
            *loss += if label == class || margin < 0.0 { 0.0 } else { margin };
        }
    }
    losses
}

/// The softmax cross-entropy of each image: log(sum over j of e^s_j) - s_y, in nats.
fn cross_entropy(values: &[f32], labels: &[u32]) -> Vec<f32> {
    let own = own_scores(values, labels);
    let mut largest = vec![f32::NEG_INFINITY; labels.len()];
    for row in values.chunks_exact(labels.len()) {
        largest.iter_mut().zip(row).for_each(|(largest, score)| *largest = largest.max(*score));
    }
    let (mut shifted, mut exponentials) = (vec![0.0; labels.len()], vec![0.0; labels.len()]);
    let mut sums = vec![0.0f32; labels.len()];
    for row in values.chunks_exact(labels.len()) {
        let differences = row.iter().zip(&largest).map(|(score, largest)| score - largest);
        shifted.iter_mut().zip(differences).for_each(|(shifted, difference)| *shifted = difference);
        math::exp(&shifted, &mut exponentials).expect("equal lengths, and a level that was there before");
        sums.iter_mut().zip(&exponentials).for_each(|(sum, e)| *sum += e);
    }
    sums.iter().zip(&largest).zip(&own).map(|((sum, largest), own)| sum.ln() + (largest - own)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The scores of the lecture's recap, three images by three classes, column by column.
    const VALUES: [f32; 9] = [3.2, 1.3, 2.2, 5.1, 4.9, 2.5, -1.7, 2.0, -3.1];

    fn losses(loss: Loss, values: &[f32], step: Option<&[f32]>) -> f64 {
        let mut sums = [1.0];
        add_losses(loss, &[Scores { values, step, labels: &[0, 1, 2] }], &mut sums);
        sums[0] - 1.0
    }

    #[test]
    fn losses_of_the_recap() {
        assert!((losses(Loss::Hinge, &VALUES, None) - 15.8).abs() < 1e-5);
        let by_hand = |scores: [f64; 3], own: usize| scores.iter().map(|s| s.exp()).sum::<f64>().ln() - scores[own];
        let wanted = by_hand([3.2, 5.1, -1.7], 0) + by_hand([1.3, 4.9, 2.0], 1) + by_hand([2.2, 2.5, -3.1], 2);
        assert!((losses(Loss::Softmax, &VALUES, None) - wanted).abs() < 1e-5);
    }

    #[test]
    fn a_step_is_added_first() {
        let step: Vec<f32> = VALUES.iter().map(|score| -score).collect();
        assert!((losses(Loss::Hinge, &VALUES, Some(&step)) - 6.0).abs() < 1e-6);
        assert!((losses(Loss::Softmax, &VALUES, Some(&step)) - 3.0 * 3f64.ln()).abs() < 1e-6);
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        let values = [[f32::NAN; 3], [0.0; 3], [0.0; 3]].concat();
        for loss in [Loss::Hinge, Loss::Softmax] {
            assert!(losses(loss, &values, None).is_nan());
        }
    }
}
