//! Steps and epochs: what examples and the command line share.

mod network;
mod sampler;

pub use network::{Network, NetworkTrainer};
pub use sampler::{Sampler, Sampling};

use crate::data::Images;
use crate::error::Error;
use crate::linear::LinearTrainer;
use crate::loss::{Evaluation, StepLoss};
use crate::schedule::Schedule;
use lanegrad_kernels::isa::Scalar;

/// A model in training.
pub trait Trainer {
    /// One step of the optimizer on the images that `index` names; the loss is that before the step.
    ///
    /// # Errors
    /// If the images do not fit the model or an index names no image. Nothing is changed then.
    fn step(&mut self, images: &Images, index: &[u32]) -> Result<StepLoss, Error>;

    /// Sets the optimizer's step size.
    fn set_rate(&mut self, rate: f64);

    /// Mean loss, without the regulariser, and accuracy over all of `images`.
    ///
    /// # Errors
    /// If the images do not fit the model.
    fn evaluate(&mut self, images: &Images) -> Result<Evaluation, Error>;
}

impl<T: Scalar> Trainer for LinearTrainer<T> {
    fn step(&mut self, images: &Images, index: &[u32]) -> Result<StepLoss, Error> {
        LinearTrainer::step(self, images, index)
    }

    fn set_rate(&mut self, rate: f64) {
        LinearTrainer::set_rate(self, rate);
    }

    fn evaluate(&mut self, images: &Images) -> Result<Evaluation, Error> {
        self.classifier().evaluate(images, self.loss())
    }
}

/// A model in training whose step size follows a schedule.
#[derive(Debug)]
pub struct Scheduled<'a, M: ?Sized> {
    /// The model.
    pub trainer: &'a mut M,
    /// How the step size changes.
    pub schedule: Schedule,
    /// What it changes: the schedule's base rate.
    pub rate: f64,
    /// The next step, counted from 0 over the whole training.
    pub step: u64,
    /// Steps of the whole training.
    pub total_steps: u64,
}

impl<M: Trainer + ?Sized> Trainer for Scheduled<'_, M> {
    fn step(&mut self, images: &Images, index: &[u32]) -> Result<StepLoss, Error> {
        self.trainer.set_rate(self.schedule.rate(self.rate, self.step, self.total_steps));
        let loss = self.trainer.step(images, index)?;
        self.step += 1;
        Ok(loss)
    }

    fn set_rate(&mut self, rate: f64) {
        self.rate = rate;
    }

    fn evaluate(&mut self, images: &Images) -> Result<Evaluation, Error> {
        self.trainer.evaluate(images)
    }
}

/// Trains for the steps `range`, counted from 0 over the whole training; tells `on_step` the loss before each step.
///
/// Call it inside [`lanegrad_kernels::parallel::Threads::run`], so that the pool's threads stay awake from step to step.
///
/// # Errors
/// [`Error::Diverged`] at the first step whose loss is not finite, and those of [`Trainer::step`].
pub fn steps(
    trainer: &mut (impl Trainer + ?Sized),
    images: &Images,
    sampler: &mut Sampler,
    range: std::ops::Range<u64>,
    mut on_step: impl FnMut(u64, StepLoss),
) -> Result<(), Error> {
    for step in range {
        let loss = trainer.step(images, sampler.batch(step))?;
        if !loss.full().is_finite() {
            return Err(Error::Diverged { step, loss: loss.full() });
        }
        on_step(step, loss);
    }
    Ok(())
}
