//! What becomes of finished pieces of the weight gradient: stored, or used to update the weights at once.

use super::Normalisation;
use super::fold::{FOLD_BLOCK, Folded, check_matrix, check_normalisation};
use crate::aligned::CACHE_LINE;
use crate::error::Error;
use crate::isa::{Isa, Lanes, Scalar};
use crate::matrix::MatMut;
use crate::update::{MAX_SLOTS, Rule};
use std::ops::Range;

/// What becomes of finished pieces of the weight gradient (C x D).
pub trait WeightEpilogue<T: Scalar>: Send + Sized {
    /// Checks that this takes a gradient of `classes` x `features`.
    ///
    /// # Errors
    /// [`Error::Shape`] if not.
    fn check(&self, classes: usize, features: usize) -> Result<(), Error>;

    /// The parts for the first `at` features (a multiple of [`FOLD_BLOCK`]), and for the rest.
    fn split(self, at: usize) -> (Self, Self);

    /// Told before a part of the gradient of these classes and features is added up, of which there may be several or none:
    /// the time to ask for memory that [`Self::finish`] will touch.
    fn prepare<S: Isa>(&mut self, _isa: S, _classes: Range<usize>, _features: Range<usize>) {}

    /// Takes the gradient of `width` features from `first` on (a multiple of [`FOLD_BLOCK`]): row c of `gradient` starts
    /// at `c FOLD_BLOCK`. `dbias` is the gradient of the bias.
    ///
    /// Must be `#[inline(always)]`.
    fn finish<S: Isa>(&mut self, isa: S, first: usize, width: usize, gradient: &[T], dbias: &[T]);
}

/// Stores the weight gradient.
#[derive(Debug)]
pub struct StoreGradient<'a, T> {
    /// dW, C x D, to be written.
    pub dweights: MatMut<'a, T>,
    /// How the features are normalised, if they are: dW is then the gradient for weights on normalised features.
    pub normalisation: Option<Normalisation<'a, T>>,
}

impl<T: Scalar> WeightEpilogue<T> for StoreGradient<'_, T> {
    fn check(&self, classes: usize, features: usize) -> Result<(), Error> {
        check_matrix(self.dweights.as_ref(), "weight gradient", (classes, features))?;
        self.normalisation.as_ref().map_or(Ok(()), |normalisation| check_normalisation(normalisation, features))
    }

    fn split(self, at: usize) -> (Self, Self) {
        let (dweights, rest) = self.dweights.split_cols(at);
        let (normalisation, rest_normalisation) = self.normalisation.map(|n| n.split(at)).unzip();
        (Self { dweights, normalisation }, Self { dweights: rest, normalisation: rest_normalisation })
    }

    #[inline(always)]
    fn finish<S: Isa>(&mut self, isa: S, first: usize, width: usize, gradient: &[T], dbias: &[T]) {
        let lanes = T::Lanes::<S>::COUNT;
        for (c, &dbias) in dbias.iter().enumerate() {
            let gradient = &gradient[c * FOLD_BLOCK..][..width];
            let target = &mut self.dweights.row_mut(c)[first..first + width];
            for (chunk, (g, target)) in gradient.chunks(lanes).zip(target.chunks_mut(lanes)).enumerate() {
                let mut g = T::Lanes::<S>::read(isa, g);
                if let Some(normalisation) = &self.normalisation {
                    let (mean, scale) = normalisation.lanes(isa, first + chunk * lanes, target.len());
                    g = unfold::<S, T>(isa, mean, scale, g, dbias);
                }
                g.write(isa, target);
            }
        }
    }
}

/// The gradient on normalised features from `g`, that on the features as they lie in memory: (g - dbias mean) scale.
#[inline(always)]
fn unfold<S: Isa, T: Scalar>(isa: S, mean: T::Lanes<S>, scale: T::Lanes<S>, g: T::Lanes<S>, dbias: T) -> T::Lanes<S> {
    mean.mul_add(isa, T::Lanes::<S>::splat(isa, -dbias), g).mul(isa, scale)
}

/// Updates the weights at once, and folds the new ones for the next step: no gradient is stored.
#[derive(Debug)]
pub struct UpdateWeights<'a, T, R> {
    /// The update rule.
    pub rule: R,
    /// Factor of the weights that is added to their gradient: 2 lambda.
    pub decay: T,
    /// W, C x D, to be updated.
    pub weights: MatMut<'a, T>,
    /// The rule's state, (slots C) x D: slot after slot.
    pub state: MatMut<'a, T>,
    /// The new weights folded, to be written.
    pub folded: Folded<'a, T>,
}

impl<T: Scalar, R: Rule<T>> WeightEpilogue<T> for UpdateWeights<'_, T, R> {
    fn check(&self, classes: usize, features: usize) -> Result<(), Error> {
        const { assert!(R::SLOTS <= MAX_SLOTS) };
        check_matrix(self.weights.as_ref(), "weights", (classes, features))?;
        check_matrix(self.state.as_ref(), "state of the update rule", (R::SLOTS * classes, features))?;
        self.folded.check(classes, features)
    }

    fn split(self, at: usize) -> (Self, Self) {
        let Self { rule, decay, .. } = self;
        let (weights, rest_weights) = self.weights.split_cols(at);
        let (state, rest_state) = self.state.split_cols(at);
        let (folded, rest_folded) = self.folded.split(at);
        (
            Self { rule, decay, weights, state, folded },
            Self { rule, decay, weights: rest_weights, state: rest_state, folded: rest_folded },
        )
    }

    /// The other threads have read the folded weights, so that writing them means taking each line back. A first store
    /// into each while the gradient is computed starts that early.
    fn prepare<S: Isa>(&mut self, isa: S, classes: Range<usize>, features: Range<usize>) {
        for c in classes {
            let weights = &self.weights.row_mut(c)[features.clone()];
            weights.iter().step_by(CACHE_LINE / size_of::<T>()).for_each(|weight| isa.prefetch(weight));
            let folded = &mut self.folded.weights.row_mut(c)[features.clone()];
            folded.iter_mut().step_by(CACHE_LINE / size_of::<T>()).for_each(|weight| *weight = T::ZERO);
        }
    }

    #[inline(always)]
    fn finish<S: Isa>(&mut self, isa: S, first: usize, width: usize, gradient: &[T], dbias: &[T]) {
        let lanes = T::Lanes::<S>::COUNT;
        let decay = T::Lanes::<S>::splat(isa, self.decay);
        let classes = dbias.len();
        for (c, &dbias) in dbias.iter().enumerate() {
            let gradient = &gradient[c * FOLD_BLOCK..][..width];
            let weights = &mut self.weights.row_mut(c)[first..first + width];
            let (rule, state) = (self.rule, &mut self.state);
            self.folded.fold_block(isa, c, first, width, |chunk, mean, scale| {
                let range = chunk * lanes..(chunk * lanes + lanes).min(width);
                let old = T::Lanes::<S>::read(isa, &weights[range.clone()]);
                let g = T::Lanes::<S>::read(isa, &gradient[range.clone()]);
                let g = unfold::<S, T>(isa, mean, scale, g, dbias);
                let place = first + range.start..first + range.end;
                let mut slots = [T::Lanes::<S>::splat(isa, T::ZERO); MAX_SLOTS];
                for (k, slot) in slots.iter_mut().enumerate().take(R::SLOTS) {
                    *slot = T::Lanes::<S>::read(isa, &state.row_mut(k * classes + c)[place.clone()]);
                }
                let new = rule.lanes(isa, old, old.mul_add(isa, decay, g), &mut slots);
                for (k, slot) in slots.iter().enumerate().take(R::SLOTS) {
                    slot.write(isa, &mut state.row_mut(k * classes + c)[place.clone()]);
                }
                new.write(isa, &mut weights[range]);
                new
            });
        }
    }
}
