//! Short trainings that are compared: the same images in the same order, from the same first weights.

use crate::args::{LossName, ModelName, ModelOptions, Preprocess, RunOptions};
use crate::dataset::{Loaded, load, source_name};
use crate::interrupt::{Interrupt, Interrupted};
use crate::machine::Machine;
use crate::model::Model;
use crate::results::Results;
use crate::screen::{counted, grouped, progress_bar};
use anyhow::{Result, bail};
use indicatif::ProgressBar;
use lanegrad::data::{Dataset, Images};
use lanegrad::loss::StepLoss;
use lanegrad::optim::Optimizer;
use lanegrad::train::{Sampler, Sampling, steps};

/// Accuracies on fewer images differ by chance alone.
const FEWEST_HELD_OUT: usize = 10;

/// What all trials of a command share.
pub struct Trials {
    /// The data set, as the model wants its images.
    pub dataset: Dataset,
    /// The processor and the threads.
    pub machine: Machine,
    options: ModelOptions,
    batch_size: usize,
    seed: u64,
    interrupt: Interrupt,
}

impl Trials {
    /// Loads the data set and says what will be trained.
    pub fn open(run: &RunOptions, model: &ModelOptions, batch_size: u32, results: &mut Results) -> Result<Self> {
        let interrupt = Interrupt::listen();
        let Loaded { mut dataset, .. } = load(run, &mut results.screen)?;
        if model.model.wants_channels_last() {
            dataset.train = dataset.train.channels_last(3)?;
            dataset.test = dataset.test.channels_last(3)?;
        }
        let machine = Machine::new(run.threads)?;
        let (options, batch_size) = (model.clone(), dataset.train.len().min(batch_size as usize));
        let trials = Self { dataset, machine, options, batch_size, seed: run.seed, interrupt };
        results.line(&format!(
            "model      {}, batches of {}, seed {}",
            trials.model_text(),
            grouped(batch_size as u64),
            run.seed
        ))?;
        let threads = counted(trials.machine.threads.count(), "thread");
        results.line(&format!("machine    {}, {}, {threads}", trials.machine.cpu, trials.machine.level))?;
        results.line("")?;
        Ok(trials)
    }

    /// A model with its first weights.
    pub fn model(&self, optimizer: Optimizer) -> Result<Model> {
        Model::new(&self.options, optimizer, self.seed, &self.dataset.train)
    }

    /// The same with another strength of the regulariser.
    pub fn model_with_strength(&self, optimizer: Optimizer, strength: f64) -> Result<Model> {
        let options = ModelOptions { reg: Some(strength), ..self.options.clone() };
        Model::new(&options, optimizer, self.seed, &self.dataset.train)
    }

    /// Sets the last tenth of the training images apart, as the test images: what is chosen by them has not seen the real
    /// ones.
    pub fn hold_out(&mut self) -> Result<()> {
        let images = &self.dataset.train;
        let count = images.len() / 10;
        if count < FEWEST_HELD_OUT {
            let (all, fewest) = (grouped(images.len() as u64), 10 * FEWEST_HELD_OUT);
            bail!("a tenth of {all} training images is too few to choose by: at least {fewest} are needed");
        }
        let part = |range: std::ops::Range<usize>| -> Result<Images> {
            let mut part = Images::new(images.features(), images.classes(), range.len());
            range.into_iter().try_for_each(|image| part.push(images.image(image), images.labels()[image]))?;
            Ok(part)
        };
        let (train, test) = (part(0..images.len() - count)?, part(images.len() - count..images.len())?);
        (self.dataset.train, self.dataset.test) = (train, test);
        Ok(())
    }

    /// The images of the first mini-batch.
    pub fn first_batch(&self) -> Result<Vec<u32>> {
        Ok(self.sampler()?.batch(0).to_vec())
    }

    /// Fails if the run was asked to stop.
    pub fn check_interrupt(&self) -> Result<()> {
        if self.interrupt.is_asked() { Err(interrupted()) } else { Ok(()) }
    }

    /// The order of the mini-batches.
    pub fn sampler(&self) -> Result<Sampler> {
        Ok(Sampler::new(Sampling::Epoch, self.dataset.train.len(), self.batch_size, self.seed)?)
    }

    /// Trains for so many steps, or up to the first loss that is not finite: what is returned is shorter then. `before` each
    /// step the step size may be set.
    pub fn train(
        &self,
        model: &mut Model,
        count: u64,
        bar: &ProgressBar,
        before: impl Fn(u64) -> Option<f64> + Sync,
    ) -> Result<Vec<StepLoss>> {
        let mut sampler = self.sampler()?;
        let (trainer, mut losses) = (model.trainer(), Vec::with_capacity(count as usize));
        let result = self.machine.threads.run(|| {
            for step in 0..count {
                if self.interrupt.is_asked() {
                    return Err(None);
                }
                if let Some(rate) = before(step) {
                    trainer.set_rate(rate);
                }
                steps(trainer, &self.dataset.train, &mut sampler, step..step + 1, |_, loss| losses.push(loss))
                    .map_err(Some)?;
                bar.inc(1);
            }
            Ok(())
        });
        match result {
            Ok(()) | Err(Some(lanegrad::Error::Diverged { .. })) => Ok(losses),
            Err(Some(error)) => Err(error.into()),
            Err(None) => {
                bar.finish_and_clear();
                Err(interrupted())
            }
        }
    }

    /// Accuracy on the test images, from 0 to 1.
    pub fn accuracy(&self, model: &mut Model) -> Result<f64> {
        let trainer = model.trainer();
        Ok(self.machine.threads.run(|| trainer.evaluate(&self.dataset.test))?.accuracy)
    }

    /// A bar for so many steps.
    pub fn bar(&self, count: u64) -> ProgressBar {
        progress_bar(count, "step")
    }

    /// What is trained, in words.
    pub fn model_text(&self) -> String {
        let name = match self.options.model {
            ModelName::Linear => "linear".into(),
            ModelName::Mlp => format!("mlp, hidden layers of {:?}", self.options.hidden()),
            model => model.name().to_owned(),
        };
        let pixels = match self.options.preprocess {
            Preprocess::Raw => "raw pixels",
            Preprocess::Mean => "pixels minus the mean image",
            Preprocess::Standardize => "standardised pixels",
        };
        let loss = match self.options.loss {
            LossName::Softmax => "softmax",
            LossName::Hinge => "hinge",
        };
        format!("{name}, {loss} loss, {pixels}")
    }

    /// The same and the data, for a picture.
    pub fn subtitle(&self) -> String {
        format!(
            "{}  ·  {}  ·  batches of {}",
            source_name(&self.dataset),
            self.model_text(),
            grouped(self.batch_size as u64)
        )
    }

    /// What the loss without the regulariser is, with its unit.
    pub fn data_loss_caption(&self) -> &'static str {
        match self.options.loss {
            LossName::Softmax => "cross-entropy (nats)",
            LossName::Hinge => "hinge loss",
        }
    }

    /// What the loss is, with its unit.
    pub fn loss_caption(&self) -> &'static str {
        match self.options.loss {
            LossName::Softmax => "loss: cross-entropy + regularisation (nats)",
            LossName::Hinge => "loss: hinge + regularisation",
        }
    }
}

fn interrupted() -> anyhow::Error {
    Interrupted("interrupted; nothing was written".into()).into()
}

/// The loss over about `window` steps, so that a curve can be followed: the mean of those before, the nearer the more.
pub fn smoothed(losses: &[f64], window: u64) -> Vec<f64> {
    let keep = 1.0 - 1.0 / window.max(1) as f64;
    let (mut sum, mut weight) = (0.0, 0.0);
    let smooth = |loss: &f64| {
        sum = keep * sum + loss;
        weight = keep * weight + 1.0;
        sum / weight
    };
    losses.iter().map(smooth).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_is_without_bias() {
        assert!(smoothed(&[3.0; 50], 10).iter().all(|loss| (loss - 3.0).abs() < 1e-12));
        assert_eq!(smoothed(&[1.0, 5.0], 1), [1.0, 5.0]);
        let late = smoothed(&[[0.0; 100], [1.0; 100]].concat(), 10);
        assert!(late[99] == 0.0 && late[110] > 0.5 && late[199] > 0.99);
    }
}
