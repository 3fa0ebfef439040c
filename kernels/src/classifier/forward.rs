//! Scores of a batch, and what a loss makes of them while they are in the nearest cache.

use super::hinge::Hinge;
use super::softmax::Softmax;
use super::{Linear, Loss, Samples, ScoreBlock};
use crate::dispatch;
use crate::dot_tile::{DotTile, MAX_EXTENT};
use crate::error::Error;
use crate::groups::groups;
use crate::isa::{Element, Isa, Kernel, Lanes, Scalar};
use crate::matrix::MatMut;
use crate::parallel::{self, Divide};
use crate::workspace::with_scratch;

impl Loss {
    fn apply<S: Isa, T: Scalar>(self, isa: S, block: ScoreBlock<'_, T>) {
        match self {
            Self::Softmax => isa.vectorize(Softmax(block)),
            Self::Hinge => isa.vectorize(Hinge(block)),
        }
    }
}

/// Losses of N samples (`losses`), and the gradients of their mean with respect to the scores (`dscores`, C x N).
///
/// # Errors
/// See [`Forward::new`], and those of [`dispatch::level`].
#[inline(never)]
pub fn forward<T: Scalar, P: Element<T>>(
    model: Linear<'_, T>,
    samples: Samples<'_, P>,
    loss: Loss,
    dscores: MatMut<'_, T>,
    losses: &mut [T],
) -> Result<(), Error> {
    dispatch::dispatch(Forward::new(model, samples, loss, dscores, losses)?)
}

/// A checked [`forward()`], to be run at a level of one's choice.
#[derive(Debug)]
pub struct Forward<'a, T, P> {
    model: Linear<'a, T>,
    samples: Samples<'a, P>,
    loss: Loss,
    dscores: MatMut<'a, T>,
    losses: &'a mut [T],
}

impl<'a, T: Scalar, P: Element<T>> Forward<'a, T, P> {
    /// See [`forward()`].
    ///
    /// # Errors
    /// [`Error::Shape`] if the extents do not agree or a row of `dscores` is not adjacent in memory, [`Error::Index`] if a
    /// label names no class.
    pub fn new(
        model: Linear<'a, T>,
        samples: Samples<'a, P>,
        loss: Loss,
        dscores: MatMut<'a, T>,
        losses: &'a mut [T],
    ) -> Result<Self, Error> {
        model.check_features(&samples)?;
        samples.check_labels(model.classes())?;
        let expected = (model.classes(), samples.len());
        if dscores.shape() != expected {
            return Err(Error::Shape { what: "dScores", expected, found: dscores.shape() });
        }
        super::adjacent(dscores.as_ref(), "column stride of dScores")?;
        if losses.len() != samples.len() {
            let (expected, found) = ((1, samples.len()), (1, losses.len()));
            return Err(Error::Shape { what: "losses and samples", expected, found });
        }
        Ok(Self { model, samples, loss, dscores, losses })
    }
}

/// Samples below which a piece of a batch is not cut further.
const GRAIN: usize = 10;

impl<T: Scalar, P: Element<T>> Kernel for Forward<'_, T, P> {
    type Output = ();
    fn run<S: Isa>(self, isa: S) {
        let Self { model, samples, loss, dscores, losses } = self;
        let weight = T::ONE / T::from_f64(samples.len().max(1) as f64);
        parallel::divide(ForwardPart { isa, model, samples, loss, dscores, losses, weight }, GRAIN);
    }
}

struct ForwardPart<'a, S, T, P> {
    isa: S,
    model: Linear<'a, T>,
    samples: Samples<'a, P>,
    loss: Loss,
    dscores: MatMut<'a, T>,
    losses: &'a mut [T],
    weight: T,
}

impl<S: Isa, T: Scalar, P: Element<T>> Divide for ForwardPart<'_, S, T, P> {
    fn length(&self) -> usize {
        self.samples.len()
    }

    fn split(self, at: usize) -> (Self, Self) {
        let (samples, rest_samples) = self.samples.split(at);
        let (dscores, rest_dscores) = self.dscores.split_cols(at);
        let (losses, rest_losses) = self.losses.split_at_mut(at);
        (
            Self { samples, dscores, losses, ..self },
            Self { samples: rest_samples, dscores: rest_dscores, losses: rest_losses, ..self },
        )
    }

    fn run(mut self) {
        scores(self.isa, self.model, self.samples, self.dscores.reborrow());
        with_scratch(self.samples.len(), |labels: &mut [T]| {
            write_labels(self.samples, labels);
            let (weight, losses) = (self.weight, self.losses);
            self.loss.apply(self.isa, ScoreBlock { scores: self.dscores, labels, losses, weight });
        });
    }
}

/// The labels of `samples` as numbers of the scalar type.
fn write_labels<T: Scalar, P>(samples: Samples<'_, P>, labels: &mut [T]) {
    for (n, label) in labels.iter_mut().enumerate() {
        *label = T::from_f64(f64::from(samples.label(n)));
    }
}

/// `scores[c][n]` = row c of the weights times sample n, plus bias c.
fn scores<S: Isa, T: Scalar, P: Element<T>>(
    isa: S,
    model: Linear<'_, T>,
    samples: Samples<'_, P>,
    mut scores: MatMut<'_, T>,
) {
    let mut sums = [[T::ZERO; MAX_EXTENT]; MAX_EXTENT];
    let mut first = 0;
    while first < samples.len() {
        let rows = if samples.len() - first >= S::SCORE_ROWS { S::SCORE_ROWS } else { 1 };
        let row = |i: usize| samples.row(first + i);
        let parts = model.classes().div_ceil(S::SCORE_CLASSES);
        for (part, (c, classes)) in groups(model.classes(), S::SCORE_CLASSES).enumerate() {
            let tile = DotTile {
                rows: std::array::from_fn(row),
                ahead: std::array::from_fn(|i| row(i + rows)),
                part: (part, parts),
                weights: model.weights.element(c, 0),
                weight_stride: model.weights.row_stride(),
                length: samples.features(),
                sums: &mut sums,
            };
            tile.compute(isa, rows, classes);
            for j in 0..classes {
                let bias = model.bias[c + j];
                let target = &mut scores.row_mut(c + j)[first..first + rows];
                for (score, sums) in target.iter_mut().zip(&sums) {
                    *score = sums[j] + bias;
                }
            }
        }
        first += rows;
    }
}

/// Losses of N samples (`losses`), and for each the class with the highest score, the first of equals (`predictions`).
///
/// # Errors
/// See [`Evaluate::new`], and those of [`dispatch::level`].
#[inline(never)]
pub fn evaluate<T: Scalar, P: Element<T>>(
    model: Linear<'_, T>,
    samples: Samples<'_, P>,
    loss: Loss,
    losses: &mut [T],
    predictions: &mut [u32],
) -> Result<(), Error> {
    dispatch::dispatch(Evaluate::new(model, samples, loss, losses, predictions)?)
}

/// A checked [`evaluate()`], to be run at a level of one's choice.
#[derive(Debug)]
pub struct Evaluate<'a, T, P> {
    model: Linear<'a, T>,
    samples: Samples<'a, P>,
    loss: Loss,
    losses: &'a mut [T],
    predictions: &'a mut [u32],
}

impl<'a, T: Scalar, P: Element<T>> Evaluate<'a, T, P> {
    /// See [`evaluate()`].
    ///
    /// # Errors
    /// [`Error::Shape`] if the extents do not agree, [`Error::Index`] if a label names no class.
    pub fn new(
        model: Linear<'a, T>,
        samples: Samples<'a, P>,
        loss: Loss,
        losses: &'a mut [T],
        predictions: &'a mut [u32],
    ) -> Result<Self, Error> {
        model.check_features(&samples)?;
        samples.check_labels(model.classes())?;
        for (what, found) in [("losses and samples", losses.len()), ("predictions and samples", predictions.len())] {
            if found != samples.len() {
                return Err(Error::Shape { what, expected: (1, samples.len()), found: (1, found) });
            }
        }
        Ok(Self { model, samples, loss, losses, predictions })
    }
}

impl<T: Scalar, P: Element<T>> Kernel for Evaluate<'_, T, P> {
    type Output = ();
    fn run<S: Isa>(self, isa: S) {
        parallel::divide(EvaluatePart { isa, work: self }, EVALUATE_BLOCK);
    }
}

/// Samples whose scores are computed before a loss looks at them.
const EVALUATE_BLOCK: usize = 160;

struct EvaluatePart<'a, S, T, P> {
    isa: S,
    work: Evaluate<'a, T, P>,
}

impl<S: Isa, T: Scalar, P: Element<T>> Divide for EvaluatePart<'_, S, T, P> {
    fn length(&self) -> usize {
        self.work.samples.len()
    }

    fn split(self, at: usize) -> (Self, Self) {
        let Evaluate { model, samples, loss, losses, predictions } = self.work;
        let (samples, rest_samples) = samples.split(at);
        let (losses, rest_losses) = losses.split_at_mut(at);
        let (predictions, rest_predictions) = predictions.split_at_mut(at);
        let isa = self.isa;
        (
            Self { isa, work: Evaluate { model, samples, loss, losses, predictions } },
            Self {
                isa,
                work: Evaluate {
                    model,
                    samples: rest_samples,
                    loss,
                    losses: rest_losses,
                    predictions: rest_predictions,
                },
            },
        )
    }

    fn run(self) {
        let Evaluate { model, mut samples, loss, losses, predictions } = self.work;
        let isa = self.isa;
        let classes = model.classes();
        let block = EVALUATE_BLOCK.min(samples.len());
        with_scratch((classes + 1) * block, |scratch: &mut [T]| {
            let (score_space, label_space) = scratch.split_at_mut(classes * block);
            for (losses, predictions) in losses.chunks_mut(EVALUATE_BLOCK).zip(predictions.chunks_mut(EVALUATE_BLOCK)) {
                let count = losses.len();
                let (part, rest) = samples.split(count);
                samples = rest;
                let mut view = MatMut::row_major(&mut score_space[..classes * count], classes, count)
                    .expect("the scratch has room for a block of scores");
                scores(isa, model, part, view.reborrow());
                isa.vectorize(Best { scores: view.reborrow(), predictions });
                let labels = &mut label_space[..count];
                write_labels(part, labels);
                loss.apply(isa, ScoreBlock { scores: view, labels, losses, weight: T::ONE });
            }
        });
    }
}

/// `predictions[n]` = the class with the highest of `scores[..][n]`, the first of equals.
struct Best<'a, T> {
    scores: MatMut<'a, T>,
    predictions: &'a mut [u32],
}

impl<T: Scalar> Kernel for Best<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(mut self, isa: S) {
        let lanes = T::Lanes::<S>::COUNT;
        let splat = |x: T| T::Lanes::<S>::splat(isa, x);
        for (chunk, predictions) in self.predictions.chunks_mut(lanes).enumerate() {
            let range = chunk * lanes..chunk * lanes + predictions.len();
            let mut highest = splat(T::from_f64(f64::NEG_INFINITY));
            let mut best = splat(T::ZERO);
            for c in 0..self.scores.rows() {
                let score = T::Lanes::<S>::read(isa, &self.scores.row_mut(c)[range.clone()]);
                best = score.select_greater(isa, highest, splat(T::from_f64(c as f64)), best);
                highest = score.select_greater(isa, highest, score, highest);
            }
            let mut classes = [T::ZERO; crate::isa::MAX_LANES];
            best.write(isa, &mut classes);
            for (prediction, class) in predictions.iter_mut().zip(classes) {
                *prediction = class.to_f64() as u32;
            }
        }
    }
}
