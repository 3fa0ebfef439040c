//! Mini-batches of image numbers.

use crate::error::Error;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// How mini-batches are drawn from the training set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// Every image once an epoch, in an order shuffled anew each epoch.
    Epoch,
    /// Each image independently of all others.
    Replacement,
}

/// Draws mini-batches of image numbers. What is drawn depends on the seed and the step alone.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
    seed: u64,
    batch_size: usize,
    /// The order of the epoch, or the images of the batch.
    order: Vec<u32>,
    images: usize,
    /// The epoch that `order` is for.
    epoch: Option<u64>,
}

impl Sampler {
    /// Mini-batches of `batch_size` out of `images` images; an epoch's last batch is what is left.
    ///
    /// # Errors
    /// [`Error::Setting`] if either is zero or more than 2^32 - 1.
    pub fn new(sampling: Sampling, images: usize, batch_size: usize, seed: u64) -> Result<Self, Error> {
        if batch_size == 0 {
            return Err(Error::Setting("a batch needs at least one image".into()));
        }
        if images == 0 || u32::try_from(images).is_err() {
            return Err(Error::Setting(format!("batches cannot be drawn from {images} images")));
        }
        if u32::try_from(batch_size).is_err() {
            return Err(Error::Setting(format!("batches of {batch_size} images are too large")));
        }
        let batch_size = if sampling == Sampling::Epoch { batch_size.min(images) } else { batch_size };
        let length = if sampling == Sampling::Epoch { images } else { batch_size };
        Ok(Self { sampling, seed, batch_size, order: (0..length as u32).collect(), images, epoch: None })
    }

    /// Number of steps in which as many images are seen as there are.
    pub fn steps_per_epoch(&self) -> u64 {
        self.images.div_ceil(self.batch_size) as u64
    }

    /// Number of images in the batch of step `step`.
    pub fn batch_length(&self, step: u64) -> usize {
        match self.sampling {
            Sampling::Epoch => {
                let before = (step % self.steps_per_epoch()) as usize * self.batch_size;
                self.batch_size.min(self.images - before)
            }
            Sampling::Replacement => self.batch_size,
        }
    }

    /// The images of step `step`, counted from 0 over the whole training.
    pub fn batch(&mut self, step: u64) -> &[u32] {
        match self.sampling {
            Sampling::Epoch => {
                self.shuffle(step / self.steps_per_epoch());
                let first = (step % self.steps_per_epoch()) as usize * self.batch_size;
                &self.order[first..(first + self.batch_size).min(self.images)]
            }
            Sampling::Replacement => {
                let mut generator = keyed(self.seed, step);
                let images = self.images as u32;
                self.order.fill_with(|| generator.random_range(0..images));
                &self.order
            }
        }
    }

    /// Makes `order` that of `epoch`.
    fn shuffle(&mut self, epoch: u64) {
        if self.epoch == Some(epoch) {
            return;
        }
        for (i, image) in self.order.iter_mut().enumerate() {
            *image = i as u32;
        }
        self.order.shuffle(&mut keyed(self.seed, epoch));
        self.epoch = Some(epoch);
    }
}

/// A generator for one use: streams of different keys are independent.
fn keyed(seed: u64, key: u64) -> Xoshiro256PlusPlus {
    // An odd constant with no pattern (2^64 divided by the golden ratio) keeps neighbouring keys apart before the
    // generator's own seeding scrambles them.
    Xoshiro256PlusPlus::seed_from_u64(seed ^ (key + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_meets_every_image_once() {
        let mut sampler = Sampler::new(Sampling::Epoch, 10, 4, 7).unwrap();
        assert_eq!(sampler.steps_per_epoch(), 3);
        let epoch = |sampler: &mut Sampler, epoch: u64| -> Vec<u32> {
            (3 * epoch..3 * epoch + 3).flat_map(|step| sampler.batch(step).to_vec()).collect()
        };
        let (first, second) = (epoch(&mut sampler, 0), epoch(&mut sampler, 1));
        assert_ne!(first, second);
        for mut order in [first.clone(), second] {
            order.sort_unstable();
            assert!(order.iter().copied().eq(0..10));
        }
        assert_eq!(epoch(&mut sampler, 0), first);
        for step in 0..6 {
            assert_eq!(sampler.batch_length(step), sampler.batch(step).len());
        }
    }

    #[test]
    fn replacement_draws_whole_batches_of_any_size() {
        let mut sampler = Sampler::new(Sampling::Replacement, 10, 1000, 7).unwrap();
        let batch = sampler.batch(0).to_vec();
        assert_eq!(batch.len(), 1000);
        for image in 0..10 {
            let times = batch.iter().filter(|&&i| i == image).count();
            assert!((50..200).contains(&times), "image {image} was drawn {times} times");
        }
        assert_ne!(sampler.batch(1), batch);
        assert_eq!(sampler.batch(0), batch);
    }

    #[test]
    fn impossible_batches_are_refused() {
        assert!(Sampler::new(Sampling::Epoch, 10, 0, 0).is_err());
        assert!(Sampler::new(Sampling::Epoch, 0, 10, 0).is_err());
        assert!(Sampler::new(Sampling::Replacement, 10, (1 << 32) + 3, 0).is_err());
    }
}
