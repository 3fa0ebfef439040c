//! The two searches: over matrices that have nothing to do with each other, and step by step from the best so far.

use super::candidates::{BLOCK, Draws, scores};
use super::losses::{Scores, add_losses};
use crate::interrupt::Interrupt;
use anyhow::Result;
use lanegrad::Loss;
use lanegrad::data::{Images, Normalisation};
use lanegrad::tensor::Tensor;

/// Candidates whose scores are computed together: at 10 classes, 100 MB of scores for all of CIFAR-10's training images.
const TOGETHER: usize = 50;

/// What is searched, and how.
pub struct Search<'a> {
    /// The images that the loss is the mean over.
    pub images: &'a Images,
    /// How their pixels are normalised.
    pub normalisation: &'a Normalisation<f32>,
    /// The loss.
    pub loss: Loss,
    /// Attempts.
    pub tries: usize,
    /// Standard deviation of the weights that are drawn.
    pub deviation: f64,
    /// Standard deviation of a step from the best weights so far; none: no steps, but new weights at each attempt.
    pub step: Option<f64>,
    /// Decides all weights and steps.
    pub seed: u64,
    /// Asks to stop.
    pub interrupt: &'a Interrupt,
}

/// What an attempt found.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// Its number, from 0.
    pub number: usize,
    /// Its mean loss.
    pub loss: f64,
    /// The least so far, this one included; infinite as long as no loss is a number.
    pub best: f64,
    /// Whether this one is it.
    pub is_best: bool,
}

/// What a search found.
pub struct Found {
    /// The best weights, C x (D + 1); none if no loss was a number.
    pub best: Option<Tensor<f32>>,
    /// The attempts, in order; fewer than asked for if the search was interrupted.
    pub attempts: Vec<Attempt>,
    /// The loss of the weights that a local search starts from.
    pub start: Option<f64>,
}

impl Search<'_> {
    /// Searches, on the threads of the calling pool, and tells `each` of every attempt.
    pub fn run(&self, each: impl FnMut(Attempt)) -> Result<Found> {
        match self.step {
            None => self.random(each),
            Some(step) => self.local(step, each),
        }
    }

    /// Strategy #1 of the lecture, "a first very bad idea solution": draws W, keeps the best.
    fn random(&self, mut each: impl FnMut(Attempt)) -> Result<Found> {
        let mut draws = Draws::new(self.images, self.seed);
        let mut best = Best { weights: None, attempts: Vec::new(), loss: f64::INFINITY };
        while let Some(count) = self.next_count(best.attempts.len()) {
            let candidates: Vec<_> = (0..count).map(|_| draws.next(self.deviation)).collect::<Result<_>>()?;
            let mut sums = vec![0.0; count];
            scores(&candidates, self.images, self.normalisation, |block, values| {
                let labels = &self.images.labels()[block];
                let values = values.chunks_exact(self.images.classes() * labels.len());
                let groups: Vec<_> = values.map(|values| Scores { values, step: None, labels }).collect();
                add_losses(self.loss, &groups, &mut sums);
            })?;
            for (candidate, sum) in candidates.into_iter().zip(sums) {
                let attempt = best.attempt(sum / self.images.len() as f64);
                if attempt.is_best {
                    best.weights = Some(candidate);
                }
                each(attempt);
            }
        }
        Ok(Found { best: best.weights, attempts: best.attempts, start: None })
    }

    /// Random local search of the CS231n notes: takes a step of random direction, and keeps it if it lowers the loss.
    ///
    /// Scores are linear in W: those of W + dW are those of W plus those of dW. Directions do not depend on where one
    /// stands, so the scores of many of them are one product, as in the search above.
    fn local(&self, step: f64, mut each: impl FnMut(Attempt)) -> Result<Found> {
        let mut draws = Draws::new(self.images, self.seed);
        let mut weights = draws.next(self.deviation)?;
        let mut here = self.scores_of(std::slice::from_ref(&weights))?;
        let start = self.mean_loss(&here, None);
        let loss = if start.is_nan() { f64::INFINITY } else { start };
        let mut best = Best { weights: None, attempts: Vec::new(), loss };
        while let Some(count) = self.next_count(best.attempts.len()) {
            let directions: Vec<_> = (0..count).map(|_| draws.next(step)).collect::<Result<_>>()?;
            let ahead = self.scores_of(&directions)?;
            for (at, direction) in directions.iter().enumerate() {
                let steps: Vec<&[f32]> =
                    ahead.iter().zip(&here).map(|(ahead, here)| &ahead[at * here.len()..][..here.len()]).collect();
                let attempt = best.attempt(self.mean_loss(&here, Some(&steps)));
                if attempt.is_best {
                    here.iter_mut().zip(&steps).for_each(|(here, step)| add(here, step));
                    add(weights.values_mut(), direction.values());
                }
                each(attempt);
            }
        }
        let is_number = best.loss.is_finite();
        Ok(Found { best: is_number.then_some(weights), attempts: best.attempts, start: Some(start) })
    }

    /// How many attempts come next, if any.
    fn next_count(&self, made: usize) -> Option<usize> {
        let count = (self.tries - made).min(TOGETHER);
        (count > 0 && !self.interrupt.is_asked()).then_some(count)
    }

    /// The scores of the candidates: one list for each block of images, candidate after candidate.
    fn scores_of(&self, candidates: &[Tensor<f32>]) -> Result<Vec<Vec<f32>>> {
        let mut blocks = Vec::new();
        scores(candidates, self.images, self.normalisation, |_, values| blocks.push(values.to_vec()))?;
        Ok(blocks)
    }

    /// The mean loss of one candidate's scores, with `steps` added to them.
    fn mean_loss(&self, scores: &[Vec<f32>], steps: Option<&[&[f32]]>) -> f64 {
        let blocks = scores.iter().zip(self.images.labels().chunks(BLOCK)).enumerate();
        let groups: Vec<_> = blocks
            .map(|(block, (values, labels))| Scores { values, step: steps.map(|steps| steps[block]), labels })
            .collect();
        let mut sums = vec![0.0; groups.len()];
        add_losses(self.loss, &groups, &mut sums);
        sums.iter().sum::<f64>() / self.images.len() as f64
    }
}

/// a <- a + b.
fn add(a: &mut [f32], b: &[f32]) {
    a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
}

/// The best so far, and the way there.
struct Best {
    weights: Option<Tensor<f32>>,
    attempts: Vec<Attempt>,
    loss: f64,
}

impl Best {
    /// Notes an attempt; a loss that is not a number is never the best.
    fn attempt(&mut self, loss: f64) -> Attempt {
        let is_best = loss < self.loss;
        if is_best {
            self.loss = loss;
        }
        let attempt = Attempt { number: self.attempts.len(), loss, best: self.loss, is_best };
        self.attempts.push(attempt);
        attempt
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::classifier;
    use lanegrad::data::synthetic;

    /// What a search on some images finds; the loss of its weights by the kernels that train is the one that it reports.
    fn found(loss: Loss, step: Option<f64>, tries: usize) -> Vec<f64> {
        // More images than one block, and not a whole number of blocks.
        let images = synthetic::generate_sized(0, BLOCK + 234, 10).train;
        let (normalisation, interrupt) = (Normalisation::mean(&images), Interrupt::default());
        let search = Search {
            images: &images,
            normalisation: &normalisation,
            loss,
            tries,
            deviation: 1e-3,
            step,
            seed: 7,
            interrupt: &interrupt,
        };
        let mut told = Vec::new();
        let found = search.run(|attempt| told.push(attempt.loss)).unwrap();
        let losses: Vec<f64> = found.attempts.iter().map(|attempt| attempt.loss).collect();
        assert_eq!(told, losses);
        let best = classifier(&found.best.unwrap(), &normalisation).unwrap();
        let wanted = best.evaluate(&images, loss).unwrap().loss;
        let loss = found.attempts[tries - 1].best;
        assert!((loss / wanted - 1.0).abs() < 1e-5, "{loss} instead of {wanted}");
        assert_eq!(loss, losses.iter().copied().chain(found.start).fold(f64::INFINITY, f64::min));
        losses
    }

    #[test]
    fn the_best_loss_is_that_of_the_best_weights() {
        for loss in [Loss::Hinge, Loss::Softmax] {
            let many = found(loss, None, TOGETHER + 3);
            assert_eq!(many[..2], found(loss, None, 2));
            assert_ne!(many[0], many[1]);
        }
    }

    #[test]
    fn steps_that_lower_the_loss_are_kept() {
        for loss in [Loss::Hinge, Loss::Softmax] {
            let many = found(loss, Some(3e-4), 2 * TOGETHER + 1);
            assert_eq!(many[..60], found(loss, Some(3e-4), 60));
            assert!(many[2 * TOGETHER] < 0.9 * many[0], "{many:?}");
        }
    }
}
