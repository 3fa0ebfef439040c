//! The linear classifier s = W x + b on the fused kernels: without a tape, on pixels that stay bytes.
//!
//! Weights apply to normalised pixels, (x - mean) scale. The kernels apply *folded* weights to the bytes instead, and each
//! step folds the weights anew while it updates them: see [`lanegrad_kernels::classifier`].

use crate::data::{Images, Normalisation};
use crate::error::Error;
use crate::loss::{Evaluation, Loss, StepLoss};
use crate::optim::{Optimizer, Rule, WithRule};
use crate::times::{Laps, StepTimes};
use lanegrad_kernels::aligned::{AlignedVec, padded_row};
use lanegrad_kernels::classifier::{self, FOLD_BLOCK, Folded, Linear, Samples, StoreGradient, UpdateWeights};
use lanegrad_kernels::isa::Scalar;
use lanegrad_kernels::update::{Momentum, Segment, Sgd, update, update_segments};
use lanegrad_kernels::{MatMut, MatRef, gemm};
use rand::SeedableRng;
use rand_distr::{Distribution, Normal};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Whether the bias is regularised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    /// A vector of its own, not regularised.
    Separate,
    /// The lecture's bias trick: a last column of W, for a feature that is always 1, regularised as all of W is.
    Trick,
}

/// The parameters of a linear classifier for images: W (C x D) and b (C).
#[derive(Clone, Debug)]
pub struct LinearClassifier<T = f32> {
    classes: usize,
    features: usize,
    /// Elements from one row of a weight matrix to the next.
    stride: usize,
    weights: AlignedVec<T>,
    bias: Vec<T>,
    bias_kind: Bias,
    mean: AlignedVec<T>,
    scale: AlignedVec<T>,
    folded_weights: AlignedVec<T>,
    folded_bias: Vec<T>,
    /// One row for each block of folded features; see [`Folded::sums`].
    folded_sums: Vec<T>,
    /// Sum of squares of the weights.
    squares: f64,
}

impl<T: Scalar> LinearClassifier<T> {
    /// A classifier whose weights and bias are zero.
    ///
    /// # Errors
    /// [`Error::Kernel`] if mean and scale differ in length, or `LANEGRAD_ISA` pins what is not there; [`Error::Setting`] if
    /// the weights do not fit the address space.
    pub fn new(classes: usize, normalisation: &Normalisation<T>, bias_kind: Bias) -> Result<Self, Error> {
        let features = normalisation.mean.len();
        let stride = padded_row(features, size_of::<T>());
        if classes.checked_mul(stride).is_none_or(|length| length > isize::MAX as usize / size_of::<T>()) {
            return Err(Error::Setting(format!("{classes} classes of {features} features are too many")));
        }
        let mut mean = AlignedVec::zeroed(features);
        mean.copy_from_slice(&normalisation.mean);
        let mut scale = AlignedVec::zeroed(normalisation.scale.len());
        scale.copy_from_slice(&normalisation.scale);
        let mut classifier = Self {
            classes,
            features,
            stride,
            weights: AlignedVec::zeroed(classes * stride),
            bias: vec![T::ZERO; classes],
            bias_kind,
            mean,
            scale,
            folded_weights: AlignedVec::zeroed(classes * stride),
            folded_bias: vec![T::ZERO; classes],
            folded_sums: vec![T::ZERO; features.div_ceil(FOLD_BLOCK) * 2 * classes],
            squares: 0.0,
        };
        classifier.fold()?;
        Ok(classifier)
    }

    /// Draws every weight from a normal distribution with mean 0 and the given standard deviation, row by row; under the
    /// bias trick the bias too, after its row.
    ///
    /// # Errors
    /// [`Error::Setting`] if the deviation is negative or not finite.
    pub fn randomize(&mut self, standard_deviation: f64, seed: u64) -> Result<(), Error> {
        let refuse = || Error::Setting(format!("a standard deviation of {standard_deviation} is not possible"));
        let normal = Normal::new(0.0, standard_deviation).map_err(|_| refuse())?;
        if standard_deviation < 0.0 {
            return Err(refuse());
        }
        let mut generator = Xoshiro256PlusPlus::seed_from_u64(seed);
        for c in 0..self.classes {
            for weight in &mut self.weights[c * self.stride..][..self.features] {
                *weight = T::from_f64(normal.sample(&mut generator));
            }
            if self.bias_kind == Bias::Trick {
                self.bias[c] = T::from_f64(normal.sample(&mut generator));
            }
        }
        self.fold()
    }

    /// Replaces W (C x D, row-major) and b (C).
    ///
    /// # Errors
    /// [`Error::Kernel`] if the lengths are not these. Nothing is changed then.
    pub fn set_parameters(&mut self, weights: &[T], bias: &[T]) -> Result<(), Error> {
        let (found, expected) = ((weights.len(), bias.len()), (self.classes * self.features, self.classes));
        if found != expected {
            return Err(lanegrad_kernels::Error::Shape { what: "weights and bias", expected, found }.into());
        }
        for (c, row) in weights.chunks(self.features.max(1)).enumerate() {
            self.weights[c * self.stride..][..self.features].copy_from_slice(row);
        }
        self.bias.copy_from_slice(bias);
        self.fold()
    }

    /// Number of classes C.
    pub fn classes(&self) -> usize {
        self.classes
    }
    /// Number of features D.
    pub fn features(&self) -> usize {
        self.features
    }
    /// Number of parameters, C (D + 1).
    pub fn parameters(&self) -> usize {
        self.classes * (self.features + 1)
    }
    /// The weights of class `class`: D of them, for normalised features.
    ///
    /// # Panics
    /// If there is no such class.
    pub fn weights(&self, class: usize) -> &[T] {
        &self.weights[class * self.stride..][..self.features]
    }
    /// The bias: C numbers.
    pub fn bias(&self) -> &[T] {
        &self.bias
    }
    /// How features are normalised: mean and scale, D of each.
    pub fn normalisation(&self) -> (&[T], &[T]) {
        (&self.mean, &self.scale)
    }

    /// The lecture's R(W): the sum of squares of what is regularised.
    pub fn sum_of_squares(&self) -> f64 {
        self.squares + self.bias_squares()
    }

    /// The bias's part of the sum of squares.
    fn bias_squares(&self) -> f64 {
        match self.bias_kind {
            Bias::Separate => 0.0,
            Bias::Trick => self.bias.iter().map(|b| b.to_f64() * b.to_f64()).sum(),
        }
    }

    /// Folds weights that were changed from outside a step.
    fn fold(&mut self) -> Result<(), Error> {
        let normalisation = classifier::Normalisation::new(&self.mean, &self.scale)?;
        let (c, d) = (self.classes, self.features);
        let stride = self.stride as isize;
        let folded = Folded {
            weights: MatMut::with_strides(&mut self.folded_weights, 0, c, d, stride, 1)?,
            sums: MatMut::row_major(&mut self.folded_sums, d.div_ceil(FOLD_BLOCK), 2 * c)?,
            normalisation,
        };
        classifier::fold(MatRef::with_strides(&self.weights, 0, c, d, stride, 1)?, folded)?;
        self.fold_bias();
        Ok(())
    }

    /// Folds the bias, after the weights.
    fn fold_bias(&mut self) {
        let blocks = self.features.div_ceil(FOLD_BLOCK);
        let sums = MatRef::row_major(&self.folded_sums, blocks, 2 * self.classes).expect("allocated with this shape");
        self.squares = Folded::totals(sums, &self.bias, &mut self.folded_bias).to_f64();
    }

    /// The classifier that applies to bytes.
    fn folded(&self) -> Result<Linear<'_, T>, Error> {
        let shape = (self.classes, self.features);
        let weights = MatRef::with_strides(&self.folded_weights, 0, shape.0, shape.1, self.stride as isize, 1)?;
        Ok(Linear::new(weights, &self.folded_bias)?)
    }

    /// Mean loss and accuracy over all of `images`, on the threads of the calling pool.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the images do not fit the classifier.
    #[inline(never)]
    pub fn evaluate(&self, images: &Images, loss: Loss) -> Result<Evaluation, Error> {
        let index: Vec<u32> = (0..images.len() as u32).collect();
        let mut losses = vec![T::ZERO; images.len()];
        let mut predictions = vec![0; images.len()];
        classifier::evaluate(self.folded()?, samples(images, &index)?, loss, &mut losses, &mut predictions)?;
        let right = predictions.iter().zip(images.labels()).filter(|(p, l)| p == l).count();
        let count = images.len().max(1) as f64;
        Ok(Evaluation { loss: total(&losses) / count, accuracy: right as f64 / count })
    }

    /// The scores of all of `images`, N x C, row by row, on the threads of the calling pool.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the images do not fit the classifier.
    #[inline(never)]
    pub fn scores(&self, images: &Images) -> Result<Vec<T>, Error> {
        let (c, d) = (self.classes, self.features);
        let normalisation = classifier::Normalisation::new(&self.mean, &self.scale)?;
        let weights = MatRef::with_strides(&self.weights, 0, d, c, 1, self.stride as isize)?;
        let index: Vec<u32> = (0..images.len() as u32).collect();
        let mut scores = self.bias.repeat(images.len());
        let mut pixels = vec![T::ZERO; SCORED.min(images.len()) * d];
        for (index, scores) in index.chunks(SCORED).zip(scores.chunks_mut(SCORED * c.max(1))) {
            let (n, pixels) = (index.len(), &mut pixels[..index.len() * d]);
            classifier::gather(samples(images, index)?, normalisation, pixels)?;
            let pixels = MatRef::row_major(pixels, n, d)?;
            gemm(T::ONE, pixels, weights, T::ONE, MatMut::row_major(scores, n, c)?)?;
        }
        Ok(scores)
    }
}

/// Images whose scores are computed at a time.
const SCORED: usize = 500;

/// The images that `index` names.
fn samples<'a>(images: &'a Images, index: &'a [u32]) -> Result<Samples<'a, u8>, Error> {
    Ok(Samples::new(images.pixels(), images.stride(), images.features(), images.labels(), index)?)
}

/// The sum, in order.
fn total<T: Scalar>(values: &[T]) -> f64 {
    values.iter().map(|x| x.to_f64()).sum()
}

/// A classifier in training: its loss, its update rule and that rule's state.
#[derive(Debug)]
pub struct LinearTrainer<T = f32> {
    classifier: LinearClassifier<T>,
    loss: Loss,
    /// lambda of the regulariser lambda R(W).
    strength: f64,
    optimizer: Optimizer,
    /// Steps taken.
    steps: u64,
    /// (slots C) x D, rows as far apart as the weights'.
    weight_state: AlignedVec<T>,
    /// slots x C.
    bias_state: Vec<T>,
    /// C x N.
    dscores: AlignedVec<T>,
    losses: Vec<T>,
    dbias: Vec<T>,
    /// C x D, rows as far apart as the weights'; empty for the rules that are fused into the backward kernel.
    dweights: AlignedVec<T>,
    /// The rows of the weights, where those are not fused.
    rows: Vec<Segment>,
    laps: Laps,
}

impl<T: Scalar> LinearTrainer<T> {
    /// Trains `classifier` to lower the mean `loss` plus `strength` times the sum of squares of its weights.
    pub fn new(classifier: LinearClassifier<T>, loss: Loss, strength: f64, optimizer: Optimizer) -> Self {
        let slots = optimizer.slots();
        let (c, d, stride) = (classifier.classes, classifier.features, classifier.stride);
        let row = |c| Segment { range: c * stride..c * stride + d, regularised: true };
        let is_fused = matches!(optimizer, Optimizer::Sgd { .. } | Optimizer::Momentum { .. });
        Self {
            dweights: AlignedVec::zeroed(if is_fused { 0 } else { c * stride }),
            rows: if is_fused { Vec::new() } else { (0..c).map(row).collect() },
            weight_state: AlignedVec::zeroed(slots * c * stride),
            bias_state: vec![T::ZERO; slots * c],
            dscores: AlignedVec::zeroed(0),
            losses: Vec::new(),
            dbias: vec![T::ZERO; c],
            classifier,
            loss,
            strength,
            optimizer,
            steps: 0,
            laps: Laps::default(),
        }
    }

    /// The update rule's state, for a checkpoint: for each of its slots C D numbers for the weights, row by row, and then for
    /// each slot C for the bias. [`Self::restore`] takes it back.
    pub fn state(&self) -> Vec<T> {
        let rows = self.weight_state.chunks(self.classifier.stride.max(1));
        rows.flat_map(|row| &row[..self.classifier.features]).chain(&self.bias_state).copied().collect()
    }

    /// Number of steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Goes on from a checkpoint: W (C x D, row-major), b (C), and the state after `steps` steps of a trainer for the same
    /// optimizer and shape.
    ///
    /// # Errors
    /// [`Error::Kernel`] if a length is another. Nothing is changed then.
    pub fn restore(&mut self, weights: &[T], bias: &[T], state: &[T], steps: u64) -> Result<(), Error> {
        let slots = self.optimizer.slots();
        let (expected, found) = ((slots, self.classifier.parameters()), (1, state.len()));
        if slots * self.classifier.parameters() != state.len() {
            return Err(lanegrad_kernels::Error::Shape { what: "state of the update rule", expected, found }.into());
        }
        self.classifier.set_parameters(weights, bias)?;
        let features = self.classifier.features;
        let (of_weights, of_bias) = state.split_at(state.len() - self.bias_state.len());
        let rows = self.weight_state.chunks_mut(self.classifier.stride.max(1));
        for (row, saved) in rows.zip(of_weights.chunks(features.max(1))) {
            row[..features].copy_from_slice(saved);
        }
        self.bias_state.copy_from_slice(of_bias);
        self.steps = steps;
        Ok(())
    }

    /// Starts, or stops, to measure where the time of a step goes.
    pub fn measure_times(&mut self, measure: bool) {
        self.laps = Laps::switched(measure);
    }

    /// Where the time of the steps went since [`Self::measure_times`].
    pub fn times(&self) -> Option<StepTimes> {
        self.laps.times()
    }

    /// The classifier as it is after the last step.
    pub fn classifier(&self) -> &LinearClassifier<T> {
        &self.classifier
    }

    /// The loss that it lowers.
    pub fn loss(&self) -> Loss {
        self.loss
    }

    /// Sets the optimizer's step size, as a schedule says.
    pub fn set_rate(&mut self, rate: f64) {
        self.optimizer = self.optimizer.with_rate(rate);
    }

    /// Ends the training.
    pub fn into_classifier(self) -> LinearClassifier<T> {
        self.classifier
    }

    /// One step of the optimizer on the images that `index` names; the loss is that before the step.
    ///
    /// Inside [`lanegrad_kernels::parallel::Threads::run`] it allocates nothing once it has seen the largest batch.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the images do not fit the classifier or an index names no image; [`Error::Setting`] if the
    /// optimizer's settings make no sense, or it is Muon, which has no use for one row a class. Nothing is changed then.
    #[inline(never)]
    pub fn step(&mut self, images: &Images, index: &[u32]) -> Result<StepLoss, Error> {
        self.optimizer.check()?;
        if let Optimizer::Muon { .. } = self.optimizer {
            return Err(Error::Setting("muon is for the matrices of a network, not for a linear classifier".into()));
        }
        self.laps.start();
        let samples = samples(images, index)?;
        let classes = self.classifier.classes;
        self.dscores.resize(classes * index.len());
        self.losses.resize(index.len(), T::ZERO);
        let dscores = MatMut::row_major(&mut self.dscores, classes, index.len())?;
        classifier::forward(self.classifier.folded()?, samples, self.loss, dscores, &mut self.losses)?;
        let data = total(&self.losses) / index.len().max(1) as f64;
        let regularisation = self.strength * self.classifier.sum_of_squares();
        self.laps.end(|times, elapsed| times.forward += elapsed);
        match self.optimizer {
            Optimizer::Sgd { rate } => self.fused(samples, Sgd { rate: T::from_f64(rate) })?,
            Optimizer::Momentum { rate, momentum } => {
                self.fused(samples, Momentum { rate: T::from_f64(rate), momentum: T::from_f64(momentum) })?;
            }
            optimizer => {
                self.store_gradient(samples)?;
                self.laps.end(|times, elapsed| times.backward += elapsed);
                optimizer.apply(self.steps.saturating_add(1), UpdateAll(self))?;
                self.laps.end(|times, elapsed| times.update += elapsed);
            }
        }
        self.steps = self.steps.saturating_add(1);
        Ok(StepLoss { data, regularisation })
    }

    /// The gradient of the mean loss of the images that `index` names, without the regulariser's, at the present weights:
    /// C D numbers for the weights, row by row, and then C for the bias.
    ///
    /// # Errors
    /// As [`Self::step`]. Weights and state are not changed.
    #[inline(never)]
    pub fn gradient(&mut self, images: &Images, index: &[u32]) -> Result<Vec<T>, Error> {
        let samples = samples(images, index)?;
        let (c, d, stride) = (self.classifier.classes, self.classifier.features, self.classifier.stride);
        self.dscores.resize(c * index.len());
        self.losses.resize(index.len(), T::ZERO);
        let dscores = MatMut::row_major(&mut self.dscores, c, index.len())?;
        classifier::forward(self.classifier.folded()?, samples, self.loss, dscores, &mut self.losses)?;
        // The rules that are fused have no room for it.
        self.dweights.resize(c * stride);
        self.store_gradient(samples)?;
        let rows = self.dweights.chunks(stride.max(1)).flat_map(|row| &row[..d]);
        Ok(rows.chain(&self.dbias).copied().collect())
    }

    /// The second half of a step, where the backward kernel updates and folds the weights while it has their gradient.
    ///
    /// Compiled for the two simplest rules only: a copy of that kernel for each rule would be the larger part of the
    /// library, to save a pass over the weights that costs little beside the samples.
    fn fused<R: Rule<T>>(&mut self, samples: Samples<'_, u8>, rule: R) -> Result<(), Error> {
        let decay = T::from_f64(2.0 * self.strength);
        let classifier = &mut self.classifier;
        let (c, d, stride) = (classifier.classes, classifier.features, classifier.stride as isize);
        let blocks = d.div_ceil(FOLD_BLOCK);
        let epilogue = UpdateWeights {
            rule,
            decay,
            weights: MatMut::with_strides(&mut classifier.weights, 0, c, d, stride, 1)?,
            state: MatMut::with_strides(&mut self.weight_state, 0, R::SLOTS * c, d, stride, 1)?,
            folded: Folded {
                weights: MatMut::with_strides(&mut classifier.folded_weights, 0, c, d, stride, 1)?,
                sums: MatMut::row_major(&mut classifier.folded_sums, blocks, 2 * c)?,
                normalisation: classifier::Normalisation::new(&classifier.mean, &classifier.scale)?,
            },
        };
        let dscores = MatRef::row_major(&self.dscores, c, samples.len())?;
        classifier::backward(samples, dscores, &mut self.dbias, epilogue)?;
        let bias_decay = if classifier.bias_kind == Bias::Trick { decay } else { T::ZERO };
        update(rule, bias_decay, &mut classifier.bias, &self.dbias, &mut self.bias_state)?;
        classifier.fold_bias();
        self.laps.end(|times, elapsed| (times.backward, times.fused) = (times.backward + elapsed, true));
        Ok(())
    }

    /// Computes the gradients of the weights and of the bias.
    fn store_gradient(&mut self, samples: Samples<'_, u8>) -> Result<(), Error> {
        let classifier = &self.classifier;
        let (c, d, stride) = (classifier.classes, classifier.features, classifier.stride as isize);
        let epilogue = StoreGradient {
            dweights: MatMut::with_strides(&mut self.dweights, 0, c, d, stride, 1)?,
            normalisation: Some(classifier::Normalisation::new(&classifier.mean, &classifier.scale)?),
        };
        let dscores = MatRef::row_major(&self.dscores, c, samples.len())?;
        Ok(classifier::backward(samples, dscores, &mut self.dbias, epilogue)?)
    }
}

/// The end of a step whose gradient is stored, for whatever rule the optimizer is.
struct UpdateAll<'a, T>(&'a mut LinearTrainer<T>);

impl<T: Scalar> WithRule<T> for UpdateAll<'_, T> {
    type Output = Result<(), Error>;

    fn with<R: Rule<T>>(self, rule: R) -> Result<(), Error> {
        let Self(LinearTrainer { classifier, strength, weight_state, bias_state, dbias, dweights, rows, .. }) = self;
        let decay = T::from_f64(2.0 * *strength);
        update_segments(rule, decay, rows, &mut classifier.weights, dweights, weight_state)?;
        let bias = [Segment { range: 0..classifier.classes, regularised: classifier.bias_kind == Bias::Trick }];
        update_segments(rule, decay, &bias, &mut classifier.bias, dbias, bias_state)?;
        classifier.fold()
    }
}
