//! Weights folded with the normalisation of the features, so that they apply to the features as they lie in memory.

use super::Normalisation;
use crate::dispatch;
use crate::error::Error;
use crate::isa::{Isa, Kernel, Lanes, Scalar};
use crate::matrix::{MatMut, MatRef};

/// Features in a block: what is finished at a time, and summed at a time when weights are folded.
pub const FOLD_BLOCK: usize = 256;

/// Checks that a matrix of an epilogue is `expected` and that its rows' elements are adjacent.
pub(super) fn check_matrix<T: Scalar>(
    matrix: MatRef<'_, T>,
    what: &'static str,
    expected: (usize, usize),
) -> Result<(), Error> {
    if matrix.shape() != expected {
        return Err(Error::Shape { what, expected, found: matrix.shape() });
    }
    super::adjacent(matrix, what)
}

pub(super) fn check_normalisation<T>(normalisation: &Normalisation<'_, T>, features: usize) -> Result<(), Error> {
    if normalisation.mean.len() != features {
        let found = (1, normalisation.mean.len());
        return Err(Error::Shape { what: "mean of the features", expected: (1, features), found });
    }
    Ok(())
}

impl<T: Scalar> Normalisation<'_, T> {
    /// `count` features' mean and scale, from feature `first` on.
    #[inline(always)]
    pub(super) fn lanes<S: Isa>(&self, isa: S, first: usize, count: usize) -> (T::Lanes<S>, T::Lanes<S>) {
        let range = first..first + count;
        (T::Lanes::<S>::read(isa, &self.mean[range.clone()]), T::Lanes::<S>::read(isa, &self.scale[range]))
    }
}

/// Weights folded with a normalisation, so that they apply to the features as they lie in memory.
#[derive(Debug)]
pub struct Folded<'a, T> {
    /// W scale, C x D, to be written.
    pub weights: MatMut<'a, T>,
    /// For each block of [`FOLD_BLOCK`] features a row of 2 C sums, to be written: (W scale) mean for each class, then the
    /// sum of squares of W for each class.
    pub sums: MatMut<'a, T>,
    /// How the features are normalised.
    pub normalisation: Normalisation<'a, T>,
}

impl<T: Scalar> Folded<'_, T> {
    pub(super) fn check(&self, classes: usize, features: usize) -> Result<(), Error> {
        check_matrix(self.weights.as_ref(), "folded weights", (classes, features))?;
        check_matrix(self.sums.as_ref(), "sums of the folded blocks", (features.div_ceil(FOLD_BLOCK), 2 * classes))?;
        check_normalisation(&self.normalisation, features)
    }

    pub(super) fn split(self, at: usize) -> (Self, Self) {
        let (weights, rest_weights) = self.weights.split_cols(at);
        let (sums, rest_sums) = self.sums.split_rows(at / FOLD_BLOCK);
        let (normalisation, rest_normalisation) = self.normalisation.split(at);
        (
            Self { weights, sums, normalisation },
            Self { weights: rest_weights, sums: rest_sums, normalisation: rest_normalisation },
        )
    }

    /// Folds a block of weights of class `c` that starts at feature `first`; `weight(chunk, mean, scale)` gives them vector by
    /// vector, told its features' mean and scale.
    #[inline(always)]
    pub(super) fn fold_block<S: Isa>(
        &mut self,
        isa: S,
        c: usize,
        first: usize,
        width: usize,
        mut weight: impl FnMut(usize, T::Lanes<S>, T::Lanes<S>) -> T::Lanes<S>,
    ) {
        let lanes = T::Lanes::<S>::COUNT;
        let mut dot = T::Lanes::<S>::splat(isa, T::ZERO);
        let mut squares = dot;
        let target = &mut self.weights.row_mut(c)[first..first + width];
        for (chunk, target) in target.chunks_mut(lanes).enumerate() {
            let (mean, scale) = self.normalisation.lanes(isa, first + chunk * lanes, target.len());
            let w = weight(chunk, mean, scale);
            let folded = w.mul(isa, scale);
            folded.write(isa, target);
            dot = folded.mul_add(isa, mean, dot);
            squares = w.mul_add(isa, w, squares);
        }
        let classes = self.sums.cols() / 2;
        let sums = self.sums.row_mut(first / FOLD_BLOCK);
        sums[c] = dot.reduce_sum(isa);
        sums[classes + c] = squares.reduce_sum(isa);
    }

    /// The bias that goes with folded weights, `bias` - (W scale) mean, from the finished `sums`, and the sum of squares of
    /// W. Blocks are added in order.
    ///
    /// # Panics
    /// If `sums` has fewer columns than two for each of `bias`, or `folded_bias` another length.
    pub fn totals(sums: MatRef<'_, T>, bias: &[T], folded_bias: &mut [T]) -> T {
        folded_bias.copy_from_slice(bias);
        let mut squares = T::ZERO;
        for block in 0..sums.rows() {
            let (dots, squared) = sums.row(block).split_at(bias.len());
            for (target, &dot) in folded_bias.iter_mut().zip(dots) {
                *target = *target - dot;
            }
            for &square in squared {
                squares += square;
            }
        }
        squares
    }
}

/// Folds `weights` (C x D) into `folded`; the bias follows by [`Folded::totals`].
///
/// # Errors
/// [`Error::Shape`] if the extents do not agree, and those of [`dispatch::level`].
#[inline(never)]
pub fn fold<T: Scalar>(weights: MatRef<'_, T>, folded: Folded<'_, T>) -> Result<(), Error> {
    dispatch::dispatch(Fold::new(weights, folded)?)
}

/// A checked [`fold()`], to be run at a level of one's choice.
#[derive(Debug)]
pub struct Fold<'a, T> {
    weights: MatRef<'a, T>,
    folded: Folded<'a, T>,
}

impl<'a, T: Scalar> Fold<'a, T> {
    /// See [`fold()`].
    ///
    /// # Errors
    /// [`Error::Shape`] if the extents do not agree.
    pub fn new(weights: MatRef<'a, T>, folded: Folded<'a, T>) -> Result<Self, Error> {
        super::adjacent(weights, "column stride of the weights")?;
        folded.check(weights.rows(), weights.cols())?;
        Ok(Self { weights, folded })
    }
}

impl<T: Scalar> Kernel for Fold<'_, T> {
    type Output = ();
    fn run<S: Isa>(self, isa: S) {
        isa.vectorize(FoldLoop(self));
    }
}

struct FoldLoop<'a, T>(Fold<'a, T>);

impl<T: Scalar> Kernel for FoldLoop<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let Fold { weights, mut folded } = self.0;
        let lanes = T::Lanes::<S>::COUNT;
        for c in 0..weights.rows() {
            for first in (0..weights.cols()).step_by(FOLD_BLOCK) {
                let width = FOLD_BLOCK.min(weights.cols() - first);
                let block = &weights.row(c)[first..first + width];
                folded.fold_block(isa, c, first, width, |chunk, _, _| {
                    T::Lanes::<S>::read(isa, &block[chunk * lanes..(chunk * lanes + lanes).min(width)])
                });
            }
        }
    }
}
