//! Networks in training: layers on a tape, an update rule, mini-batches of images.

use super::Trainer;
use crate::data::{Images, Normalisation};
use crate::error::Error;
use crate::loss::{Evaluation, Loss, StepLoss};
use crate::nn::Layer;
use crate::optim::{Optimizer, Segment, Updater};
use crate::shape::Shape;
use crate::tape::{Tape, Var};
use crate::times::{Laps, StepTimes};
use lanegrad_kernels::classifier::{self, Samples};
use lanegrad_kernels::isa::Scalar;
use lanegrad_kernels::update::{self, clip};
use std::ops::Range;

/// Images that are evaluated, or whose gradients are added up, at a time.
const EVALUATED: usize = 500;

/// A classifier of images: layers from an image's numbers to scores, and the tape that has their parameters.
#[derive(Debug)]
pub struct Network<T: Scalar = f32> {
    /// The parameters' tape.
    pub tape: Tape<T>,
    /// From images of shape (N, `image`) to scores of shape (N, classes).
    pub model: Box<dyn Layer<T>>,
    /// The shape of one image: (D), or (H, W, C) for convolutions, which want [`Images::channels_last`].
    pub image: Shape,
    /// How pixels are normalised, D of each.
    pub normalisation: Normalisation<T>,
}

impl<T: Scalar> Network<T> {
    /// The scores of the images that `index` names, and their labels, on the tape.
    fn record(&self, images: &Images, index: &[u32]) -> Result<[Var<'_, T>; 2], Error> {
        let samples = Samples::new(images.pixels(), images.stride(), images.features(), images.labels(), index)?;
        let normalisation = classifier::Normalisation::new(&self.normalisation.mean, &self.normalisation.scale)?;
        let pixels = self.tape.constant_with(self.image.with_leading(index.len()), |values| {
            Ok(classifier::gather(samples, normalisation, values)?)
        });
        let labels = self.tape.constant_with(index.len(), |labels| {
            for (label, &i) in labels.iter_mut().zip(index) {
                *label = T::from_f64(images.labels()[i as usize].into());
            }
            Ok(())
        });
        Ok([self.model.forward(pixels), labels])
    }

    /// Mean loss and accuracy over all of `images`, on the threads of the calling pool.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the images do not have as many features as the normalisation, and the errors of the layers.
    pub fn evaluate(&mut self, images: &Images, loss: Loss) -> Result<Evaluation, Error> {
        self.outside_training(|network| network.evaluate_all(images, loss))
    }

    /// The scores of all of `images`, (N, classes), row by row, on the threads of the calling pool.
    ///
    /// # Errors
    /// As [`Network::evaluate`].
    pub fn scores(&mut self, images: &Images) -> Result<Vec<T>, Error> {
        self.outside_training(|network| {
            let mut all = Vec::new();
            let index: Vec<u32> = (0..images.len() as u32).collect();
            for index in index.chunks(EVALUATED) {
                network.tape.reset();
                let [scores, _] = network.record(images, index)?;
                scores.look(|scores| all.extend_from_slice(scores))?;
            }
            Ok(all)
        })
    }

    /// What `run` returns, after which the tape is as it was before.
    fn outside_training<R>(&mut self, run: impl FnOnce(&mut Self) -> R) -> R {
        let (was_training, step) = (self.tape.is_training(), self.tape.step());
        self.tape.set_training(false);
        let result = run(self);
        self.tape.reset();
        self.tape.set_training(was_training);
        // What is random in training is keyed by the steps of training alone.
        self.tape.set_step(step);
        result
    }

    fn evaluate_all(&mut self, images: &Images, loss: Loss) -> Result<Evaluation, Error> {
        let (mut total, mut right) = (0.0, 0);
        let index: Vec<u32> = (0..images.len() as u32).collect();
        for index in index.chunks(EVALUATED) {
            self.tape.reset();
            let [scores, labels] = self.record(images, index)?;
            total += mean_loss(loss, scores, labels).item()?.to_f64() * index.len() as f64;
            right += scores.look(|scores| {
                let rows = scores.chunks_exact(scores.len() / index.len());
                rows.zip(index).filter(|(row, i)| argmax(row) == images.labels()[**i as usize] as usize).count()
            })?;
        }
        let count = images.len().max(1) as f64;
        Ok(Evaluation { loss: total / count, accuracy: right as f64 / count })
    }
}

/// The mean loss of scores and their labels.
fn mean_loss<'t, T: Scalar>(loss: Loss, scores: Var<'t, T>, labels: Var<'t, T>) -> Var<'t, T> {
    match loss {
        Loss::Softmax => scores.softmax_cross_entropy(labels),
        Loss::Hinge => scores.hinge(labels),
    }
}

/// The place of the largest number, the first of equals.
fn argmax<T: PartialOrd>(row: &[T]) -> usize {
    (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best })
}

/// A network in training: its loss, its update rule and that rule's state.
#[derive(Debug)]
pub struct NetworkTrainer<T: Scalar = f32> {
    network: Network<T>,
    loss: Loss,
    /// lambda of the regulariser lambda R(W).
    strength: f64,
    clip_norm: Option<f64>,
    updater: Updater<T>,
    /// Where in the flat parameters the regularised ones lie.
    regularised: Vec<update::Segment>,
    /// Where the buffers lie, and what they were before a step.
    buffers: Vec<Range<usize>>,
    kept: Vec<T>,
    laps: Laps,
}

impl<T: Scalar> NetworkTrainer<T> {
    /// Trains `network` to lower the mean `loss` plus `strength` times the sum of squares of its weights: of all parameters
    /// of two or more dimensions.
    ///
    /// # Errors
    /// [`Error::Setting`] if `strength` is negative or not finite; those of [`Updater::new`].
    pub fn new(network: Network<T>, loss: Loss, strength: f64, optimizer: Optimizer) -> Result<Self, Error> {
        if !(strength >= 0.0 && strength.is_finite()) {
            return Err(Error::Setting(format!("weights cannot be regularised with strength {strength}")));
        }
        let (mut segments, mut buffers) = (Vec::new(), Vec::new());
        network.tape.for_each_parameter(|info| {
            if info.trained {
                let is_weight = info.shape.rank() > 1;
                let matrix = is_weight.then(|| info.shape.as_matrix());
                segments.push(Segment { range: info.range, matrix, decay: is_weight });
            } else {
                buffers.push(info.range);
            }
        });
        let updater = Updater::new(optimizer, &segments)?;
        let regularised = segments.into_iter().filter(|segment| segment.decay);
        let regularised = regularised.map(|s| update::Segment { range: s.range, regularised: true }).collect();
        let (kept, laps) = (Vec::new(), Laps::default());
        Ok(Self { network, loss, strength, clip_norm: None, updater, regularised, buffers, kept, laps })
    }

    /// Scales the gradient of all parameters together to at most this norm, from now on.
    pub fn set_clip_norm(&mut self, limit: Option<f64>) {
        self.clip_norm = limit;
    }

    /// The network as it is after the last step.
    pub fn network(&self) -> &Network<T> {
        &self.network
    }

    /// The network, to go on from a checkpoint.
    pub fn network_mut(&mut self) -> &mut Network<T> {
        &mut self.network
    }

    /// Starts, or stops, to measure where the time of a step goes.
    pub fn measure_times(&mut self, measure: bool) {
        self.laps = Laps::switched(measure);
    }

    /// Where the time of the steps went since [`Self::measure_times`].
    pub fn times(&self) -> Option<StepTimes> {
        self.laps.times()
    }

    /// Ends the training.
    pub fn into_network(self) -> Network<T> {
        self.network
    }

    /// The update rule and its state.
    pub fn updater(&self) -> &Updater<T> {
        &self.updater
    }

    /// The update rule, to go on from a checkpoint: [`Updater::restore`].
    pub fn updater_mut(&mut self) -> &mut Updater<T> {
        &mut self.updater
    }

    /// The gradient of the mean loss of the images that `index` names, without the regulariser's, at the present parameters:
    /// that of each trained parameter, in their order.
    ///
    /// Layers do as in training. Of many images the gradient is added up piece by piece, in `f64`, so that any number of them
    /// fits memory.
    ///
    /// # Errors
    /// As [`Trainer::step`]. Parameters and state are not changed.
    pub fn gradient(&mut self, images: &Images, index: &[u32]) -> Result<Vec<T>, Error> {
        let step = self.network.tape.step();
        self.keep_buffers();
        let result = self.add_gradients(images, index);
        self.restore_buffers(step);
        result
    }

    /// Keeps what layers change while they compute.
    fn keep_buffers(&mut self) {
        let parameters = self.network.tape.parameters_mut();
        self.kept.clear();
        self.buffers.iter().for_each(|range| self.kept.extend_from_slice(&parameters[range.clone()]));
    }

    /// Makes the tape what it was at [`Self::keep_buffers`], at that step.
    fn restore_buffers(&mut self, step: u64) {
        self.network.tape.reset();
        self.network.tape.set_step(step);
        let (parameters, mut kept) = (self.network.tape.parameters_mut(), self.kept.as_slice());
        for range in &self.buffers {
            let (values, rest) = kept.split_at(range.len());
            parameters[range.clone()].copy_from_slice(values);
            kept = rest;
        }
    }

    fn add_gradients(&mut self, images: &Images, index: &[u32]) -> Result<Vec<T>, Error> {
        let mut trained = Vec::new();
        self.network.tape.for_each_parameter(|info| trained.extend(info.trained.then_some(info.range)));
        let mut sums = vec![0.0; trained.iter().map(Range::len).sum()];
        for piece in index.chunks(EVALUATED) {
            self.network.tape.reset();
            let [scores, labels] = self.network.record(images, piece)?;
            mean_loss(self.loss, scores, labels).backward()?;
            let share = piece.len() as f64 / index.len() as f64;
            let (_, gradients) = self.network.tape.parameters_and_gradients();
            let gradients = trained.iter().flat_map(|range| &gradients[range.clone()]);
            sums.iter_mut().zip(gradients).for_each(|(sum, gradient)| *sum += share * gradient.to_f64());
        }
        Ok(sums.into_iter().map(T::from_f64).collect())
    }

    /// lambda times the sum of squares of the weights.
    fn regularisation(&mut self) -> Result<f64, Error> {
        if self.strength == 0.0 {
            return Ok(0.0);
        }
        let parameters = self.network.tape.parameters_mut();
        Ok(self.strength * clip::sum_of_squares(&self.regularised, parameters)?)
    }
}

impl<T: Scalar> NetworkTrainer<T> {
    fn try_step(&mut self, images: &Images, index: &[u32]) -> Result<StepLoss, Error> {
        self.laps.start();
        self.network.tape.reset();
        let regularisation = self.regularisation()?;
        let [scores, labels] = self.network.record(images, index)?;
        let loss = mean_loss(self.loss, scores, labels);
        self.laps.end(|times, elapsed| times.forward += elapsed);
        loss.backward()?;
        self.laps.end(|times, elapsed| times.backward += elapsed);
        let data = loss.item()?.to_f64();
        let (parameters, gradients) = self.network.tape.parameters_and_gradients();
        if let Some(limit) = self.clip_norm {
            self.updater.clip_norm(gradients, limit)?;
        }
        self.updater.step(parameters, gradients, self.strength)?;
        self.laps.end(|times, elapsed| times.update += elapsed);
        Ok(StepLoss { data, regularisation })
    }
}

impl<T: Scalar> Trainer for NetworkTrainer<T> {
    fn step(&mut self, images: &Images, index: &[u32]) -> Result<StepLoss, Error> {
        let step = self.network.tape.step();
        self.keep_buffers();
        let result = self.try_step(images, index);
        if result.is_err() {
            // A layer has changed its buffers before the loss refuses a label.
            self.restore_buffers(step);
        }
        result
    }

    fn set_rate(&mut self, rate: f64) {
        self.updater.set_rate(rate);
    }

    fn evaluate(&mut self, images: &Images) -> Result<Evaluation, Error> {
        self.network.evaluate(images, self.loss)
    }
}
