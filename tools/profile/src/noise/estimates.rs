//! Gradients of mini-batches of every size, beside the full one.
//!
//! Of N images with gradients of covariance Sigma, a mini-batch of B drawn without replacement has the expected squared error
//!
//! ```text
//! E |g_B - g|^2 = tr(Sigma) / B * (N - B) / (N - 1)
//! ```
//!
//! The *noise scale* tr(Sigma) / |g|^2 is the B at which that is |g|^2, but for the last factor (McCandlish, Kaplan, Amodei
//! and others, "An empirical model of large-batch training", 2018, call it the simple one).

use crate::model::Model;
use crate::plots::NoiseMark;
use lanegrad::Error;
use lanegrad::data::Images;
use lanegrad::train::{Sampler, Sampling};
use serde::Serialize;
use std::time::Instant;

/// Images that draws of one size may have together, if that leaves [`LEAST_DRAWS`].
const IMAGES_PER_SIZE: usize = 8192;

/// Draws of a size, however large.
const LEAST_DRAWS: usize = 3;

/// What is to be measured.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// The images that the full gradient is of.
    pub images: &'a Images,
    /// Draws of small batches.
    pub draws: usize,
    /// What they are drawn by.
    pub seed: u64,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Norm of the full gradient.
    pub gradient_norm: f64,
    /// Images of a batch whose noise is as large as the gradient.
    pub noise_scale: f64,
    /// Of each batch size, smallest first; the last is the full gradient.
    pub rows: Vec<Row>,
}

/// Mean and standard deviation over the draws.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Spread {
    pub mean: f64,
    pub deviation: f64,
}

impl Spread {
    fn of(values: &[f64]) -> Self {
        let count = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        Self { mean, deviation: (squares / (count - 1.0).max(1.0)).sqrt() }
    }
}

/// What was measured of a batch size.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Images in a batch.
    pub batch_size: usize,
    /// Batches that were drawn.
    pub draws: usize,
    /// Cosine of the angle between a batch's gradient and the full one.
    pub cosine: Spread,
    /// |g_B - g| / |g|.
    pub relative_error: Spread,
    /// What the noise scale says that the cosine is.
    pub expected_cosine: f64,
    /// Time of a gradient, the median.
    pub seconds: f64,
    /// Images over that time.
    pub samples_per_second: f64,
}

impl Row {
    /// As a mark of the picture.
    pub fn mark(&self) -> NoiseMark {
        NoiseMark {
            batch_size: self.batch_size,
            cosine: self.cosine.mean,
            deviation: self.cosine.deviation,
            expected: self.expected_cosine,
            seconds: self.seconds,
        }
    }
}

/// What was measured of a batch.
#[derive(Clone, Copy, Debug)]
struct Draw {
    cosine: f64,
    squared_error: f64,
    seconds: f64,
}

impl Plan<'_> {
    /// The batch sizes: powers of two, and all images.
    fn sizes(self) -> impl Iterator<Item = usize> {
        let count = self.images.len();
        (0..usize::BITS).map(|power| 1 << power).take_while(move |&size| size < count).chain([count])
    }

    /// Draws of a batch size.
    fn draws_of(self, size: usize) -> usize {
        match size {
            size if size == self.images.len() => 1,
            size => (IMAGES_PER_SIZE / size).max(LEAST_DRAWS).min(self.draws),
        }
    }

    /// Images whose gradients are computed altogether.
    pub fn total_images(self) -> usize {
        self.sizes().map(|size| size * self.draws_of(size)).sum()
    }

    /// Takes the gradients, the full one first; `on_draw` is told of the images of each, and says whether to stop: then
    /// nothing is returned.
    ///
    /// # Errors
    /// If the full gradient is zero or not finite, so that nothing has a direction.
    pub fn measure(self, model: &mut Model, mut on_draw: impl FnMut(usize) -> bool) -> Result<Option<Found>, Error> {
        let count = self.images.len();
        let all: Vec<u32> = (0..count as u32).collect();
        // The first gradient also allocates.
        model.gradient(self.images, &all[..1])?;
        let (full, seconds) = timed(model, self.images, &all)?;
        let full: Vec<f64> = full.into_iter().map(f64::from).collect();
        let squared_norm = dot(&full, &full);
        if !(squared_norm > 0.0 && squared_norm.is_finite()) {
            let message = format!("the full gradient has the norm {}: it has no direction", squared_norm.sqrt());
            return Err(Error::Setting(message));
        }
        if on_draw(count) {
            return Ok(None);
        }
        let mut draws: Vec<(usize, Vec<Draw>)> = Vec::new();
        for size in self.sizes().filter(|&size| size < count) {
            let mut batches = Batches::new(count, size, self.seed)?;
            let mut of_size = Vec::new();
            for number in 0..self.draws_of(size) {
                let (gradient, seconds) = timed(model, self.images, batches.batch(number))?;
                of_size.push(compare(&gradient, &full, squared_norm, seconds));
                if on_draw(size) {
                    return Ok(None);
                }
            }
            draws.push((size, of_size));
        }
        let noise_scale = noise_scale(&draws, count, squared_norm);
        draws.push((count, vec![Draw { cosine: 1.0, squared_error: 0.0, seconds }]));
        let rows = draws.iter().map(|(size, draws)| {
            let noise = noise_scale * share_of_noise(*size, count);
            row(*size, draws, squared_norm, (1.0 + noise).sqrt().recip())
        });
        Ok(Some(Found { gradient_norm: squared_norm.sqrt(), noise_scale, rows: rows.collect() }))
    }
}

/// A gradient, and how long it took.
fn timed(model: &mut Model, images: &Images, index: &[u32]) -> Result<(Vec<f32>, f64), Error> {
    let start = Instant::now();
    let gradient = model.gradient(images, index)?;
    Ok((gradient, start.elapsed().as_secs_f64()))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// A batch's gradient beside the full one.
fn compare(gradient: &[f32], full: &[f64], squared_norm: f64, seconds: f64) -> Draw {
    let (mut along, mut own, mut error) = (0.0, 0.0, 0.0);
    for (&slope, full) in gradient.iter().zip(full) {
        let slope = f64::from(slope);
        along += slope * full;
        own += slope * slope;
        error += (slope - full).powi(2);
    }
    // A batch whose gradient is zero points nowhere.
    let cosine = if own > 0.0 { along / (own * squared_norm).sqrt() } else { 0.0 };
    Draw { cosine, squared_error: error, seconds }
}

/// (N - B) / (B (N - 1)): the part of tr(Sigma) that the mean of B of N images leaves.
fn share_of_noise(size: usize, count: usize) -> f64 {
    (count - size) as f64 / (size as f64 * (count - 1) as f64)
}

/// tr(Sigma) / |g|^2, the mean of what each draw says of it.
fn noise_scale(draws: &[(usize, Vec<Draw>)], count: usize, squared_norm: f64) -> f64 {
    let says = |&(size, ref draws): &(usize, Vec<Draw>)| {
        let share = share_of_noise(size, count) * squared_norm;
        draws.iter().map(move |draw| draw.squared_error / share).collect::<Vec<_>>()
    };
    Spread::of(&draws.iter().flat_map(says).collect::<Vec<_>>()).mean
}

fn row(batch_size: usize, draws: &[Draw], squared_norm: f64, expected_cosine: f64) -> Row {
    let all = |value: fn(&Draw) -> f64| draws.iter().map(value).collect::<Vec<f64>>();
    let errors: Vec<f64> = draws.iter().map(|draw| (draw.squared_error / squared_norm).sqrt()).collect();
    let mut times = all(|draw| draw.seconds);
    times.sort_by(f64::total_cmp);
    let seconds = times[times.len() / 2];
    Row {
        batch_size,
        draws: draws.len(),
        cosine: Spread::of(&all(|draw| draw.cosine)),
        relative_error: Spread::of(&errors),
        expected_cosine,
        seconds,
        samples_per_second: batch_size as f64 / seconds,
    }
}

/// Mini-batches of one size, each without repetition.
struct Batches {
    sampler: Sampler,
    /// Whole batches of a pass over the images.
    per_pass: usize,
}

impl Batches {
    fn new(count: usize, size: usize, seed: u64) -> Result<Self, Error> {
        // Other sizes see the images in another order, so that their errors are independent.
        let seed = seed.wrapping_add((size as u64) << 32);
        Ok(Self { sampler: Sampler::new(Sampling::Epoch, count, size, seed)?, per_pass: count / size })
    }

    /// Batch `number`; those of a pass have no image in common.
    fn batch(&mut self, number: usize) -> &[u32] {
        let (pass, place) = ((number / self.per_pass) as u64, (number % self.per_pass) as u64);
        self.sampler.batch(pass * self.sampler.steps_per_epoch() + place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_whole_and_of_one_pass_disjoint() {
        let mut batches = Batches::new(10, 4, 3).unwrap();
        let drawn: Vec<Vec<u32>> = (0..4).map(|number| batches.batch(number).to_vec()).collect();
        assert!(drawn.iter().all(|batch| batch.len() == 4));
        assert!(drawn[0].iter().all(|image| !drawn[1].contains(image)));
        assert_ne!(drawn[0], drawn[2]);
    }

    #[test]
    fn the_noise_scale_of_known_gradients_is_found() {
        // Image i of 8 has the gradient (3, +-2), half of them each: g = (3, 0), tr(Sigma) = 4, so 4 / 9 images.
        let full = [3.0, 0.0];
        let gradient = |signs: &[f32]| [3.0, 2.0 * signs.iter().sum::<f32>() / signs.len() as f32];
        let draw = |signs: &[f32]| compare(&gradient(signs), &full, 9.0, 1.0);
        let ones: Vec<Draw> = [1.0, -1.0].iter().map(|&sign| draw(&[sign])).collect();
        assert!((ones[0].cosine - 3.0 / 13f64.sqrt()).abs() < 1e-12);
        // Of the 28 pairs 12 have equal signs and 16 do not.
        let pairs: Vec<Draw> = (0..28).map(|i| draw(if i < 12 { &[1.0, 1.0] } else { &[1.0, -1.0] })).collect();
        let found = noise_scale(&[(1, ones), (2, pairs)], 8, 9.0);
        assert!((found - 4.0 / 9.0).abs() < 1e-12, "{found}");
    }

    #[test]
    fn a_gradient_of_zero_points_nowhere() {
        assert_eq!(compare(&[0.0, 0.0], &[3.0, 0.0], 9.0, 1.0).cosine, 0.0);
    }
}
