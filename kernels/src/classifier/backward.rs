//! The weight gradient of a batch, and what becomes of it while it is in the nearest cache.

use super::{Normalisation, Samples};
use crate::aligned::CACHE_LINE;
use crate::dispatch;
use crate::error::Error;
use crate::gemm::skinny::groups;
use crate::isa::{Element, Isa, Kernel, Lanes, Scalar, TileKernel};
use crate::matrix::{MatMut, MatRef};
use crate::parallel::{self, Divide};
use crate::update::{MAX_SLOTS, Rule};
use crate::workspace::with_scratch;
use std::ops::Range;

/// Features in a block: what is finished at a time, and summed at a time when weights are folded.
pub const FOLD_BLOCK: usize = 256;

/// Samples whose rows are walked for all features of a block before the next ones are.
const SAMPLE_BLOCK: usize = 512;

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

/// The gradients for `dscores` (C x N): that of the bias to `dbias` (C), that of the weights (C x D) to `epilogue`.
///
/// # Errors
/// See [`Backward::new`], and those of [`dispatch::level`].
pub fn backward<T: Scalar, P: Element<T>, E: WeightEpilogue<T>>(
    samples: Samples<'_, P>,
    dscores: MatRef<'_, T>,
    dbias: &mut [T],
    epilogue: E,
) -> Result<(), Error> {
    dispatch::dispatch(Backward::new(samples, dscores, dbias, epilogue)?)
}

/// A checked [`backward()`], to be run at a level of one's choice.
#[derive(Debug)]
pub struct Backward<'a, T, P, E> {
    samples: Samples<'a, P>,
    dscores: MatRef<'a, T>,
    dbias: &'a mut [T],
    epilogue: E,
}

impl<'a, T: Scalar, P: Element<T>, E: WeightEpilogue<T>> Backward<'a, T, P, E> {
    /// See [`backward()`].
    ///
    /// # Errors
    /// [`Error::Shape`] if the extents do not agree, or a row of `dscores` is not adjacent in memory.
    pub fn new(
        samples: Samples<'a, P>,
        dscores: MatRef<'a, T>,
        dbias: &'a mut [T],
        epilogue: E,
    ) -> Result<Self, Error> {
        let expected = (dbias.len(), samples.len());
        if dscores.shape() != expected {
            return Err(Error::Shape { what: "dScores", expected, found: dscores.shape() });
        }
        super::adjacent(dscores, "column stride of dScores")?;
        epilogue.check(dbias.len(), samples.features())?;
        Ok(Self { samples, dscores, dbias, epilogue })
    }
}

impl<T: Scalar, P: Element<T>, E: WeightEpilogue<T>> Kernel for Backward<'_, T, P, E> {
    type Output = ();
    fn run<S: Isa>(self, isa: S) {
        let Self { samples, dscores, dbias, epilogue } = self;
        isa.vectorize(RowSums { matrix: dscores, sums: dbias });
        let features = samples.features();
        let part = BackwardPart { isa, samples, dscores, dbias, first: 0, features, epilogue };
        parallel::divide(part, FOLD_BLOCK);
    }
}

/// `sums[i]` = the sum of row i, whose elements are adjacent.
struct RowSums<'a, T> {
    matrix: MatRef<'a, T>,
    sums: &'a mut [T],
}

impl<T: Scalar> Kernel for RowSums<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        for (i, sum) in self.sums.iter_mut().enumerate() {
            let mut total = T::Lanes::<S>::splat(isa, T::ZERO);
            for chunk in self.matrix.row(i).chunks(T::Lanes::<S>::COUNT) {
                total = total.add(isa, T::Lanes::<S>::read(isa, chunk));
            }
            *sum = total.reduce_sum(isa);
        }
    }
}

/// The features `first..first + features` of the gradient.
struct BackwardPart<'a, S, T, P, E> {
    isa: S,
    samples: Samples<'a, P>,
    dscores: MatRef<'a, T>,
    dbias: &'a [T],
    first: usize,
    features: usize,
    epilogue: E,
}

impl<S: Isa, T: Scalar, P: Element<T>, E: WeightEpilogue<T>> Divide for BackwardPart<'_, S, T, P, E> {
    fn length(&self) -> usize {
        self.features
    }

    fn split(self, at: usize) -> (Self, Self) {
        let (epilogue, rest) = self.epilogue.split(at);
        (
            Self { features: at, epilogue, ..self },
            Self { first: self.first + at, features: self.features - at, epilogue: rest, ..self },
        )
    }

    fn run(mut self) {
        let classes = self.dbias.len();
        with_scratch(classes * FOLD_BLOCK, |gradient: &mut [T]| {
            for offset in (0..self.features).step_by(FOLD_BLOCK) {
                let width = FOLD_BLOCK.min(self.features - offset);
                gradient.fill(T::ZERO);
                for n in (0..self.samples.len()).step_by(SAMPLE_BLOCK) {
                    let count = SAMPLE_BLOCK.min(self.samples.len() - n);
                    self.accumulate(n, count, offset, width, gradient);
                }
                let (epilogue, dbias) = (&mut self.epilogue, self.dbias);
                self.isa.vectorize(Finish { epilogue, first: offset, width, gradient, dbias });
            }
        });
    }
}

impl<S: Isa, T: Scalar, P: Element<T>, E: WeightEpilogue<T>> BackwardPart<'_, S, T, P, E> {
    /// Adds the products of `count` samples from `n` on to the gradient of `width` features from `offset` of this part on.
    fn accumulate(&mut self, n: usize, count: usize, offset: usize, width: usize, gradient: &mut [T]) {
        let lanes = T::Lanes::<S>::COUNT;
        let samples = self.samples.split(n).1.split(count).0;
        let mut d = 0;
        while d < width {
            let whole = width - d >= S::GRADIENT_VECTORS * lanes;
            let vectors = if whole { S::GRADIENT_VECTORS } else { 1 };
            let columns = (vectors * lanes).min(width - d);
            for (c, classes) in groups(self.dbias.len(), S::GRADIENT_CLASSES) {
                self.epilogue.prepare(self.isa, c..c + classes, offset + d..offset + d + columns);
                self.isa.gradient_tile(
                    classes,
                    vectors,
                    GradientTile {
                        samples,
                        feature: self.first + offset + d,
                        columns,
                        dscores: self.dscores.element(c, n),
                        dscores_stride: self.dscores.row_stride(),
                        gradient: &mut gradient[c * FOLD_BLOCK + d..],
                    },
                );
            }
            d += columns;
        }
    }
}

/// `gradient[c][d] += sum over n of dscores[c][n] x[n][feature + d]`, for a few classes and a few vectors of features.
///
/// An element is one chain of multiply-adds in the order of the samples.
struct GradientTile<'a, T, P> {
    samples: Samples<'a, P>,
    feature: usize,
    /// Features in this tile: all its vectors' lanes, or fewer if it has one vector.
    columns: usize,
    /// The first class's dScores; each of the tile's classes is valid for all samples.
    dscores: *const T,
    dscores_stride: isize,
    /// Rows of [`FOLD_BLOCK`] elements, one for each class.
    gradient: &'a mut [T],
}

impl<T: Scalar, P: Element<T>> TileKernel for GradientTile<'_, T, P> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa, const CLASSES: usize, const VECTORS: usize>(self, isa: S) {
        let lanes = T::Lanes::<S>::COUNT;
        assert!(self.feature + self.columns <= self.samples.features());
        let mut sums = [[T::Lanes::<S>::splat(isa, T::ZERO); VECTORS]; CLASSES];
        for (c, sums) in sums.iter_mut().enumerate() {
            for (v, sum) in sums.iter_mut().enumerate() {
                *sum = T::Lanes::<S>::read(isa, &self.gradient[c * FOLD_BLOCK + v * lanes..]);
            }
        }
        // Only a tile of one vector may be narrower than its vectors.
        if VECTORS > 1 || self.columns == lanes {
            assert!(self.columns == VECTORS * lanes);
            // SAFETY: the rows of the samples reach beyond this tile's features, asserted above, and whoever makes a
            // `GradientTile` promises `CLASSES` rows of dScores.
            unsafe { self.accumulate::<S, CLASSES, VECTORS>(isa, lanes, &mut sums) };
        } else {
            assert!(self.columns < lanes);
            // SAFETY: as above; `columns` elements are read of each row.
            unsafe { self.accumulate::<S, CLASSES, VECTORS>(isa, self.columns, &mut sums) };
        }
        for (c, sums) in sums.iter().enumerate() {
            for (v, sum) in sums.iter().enumerate() {
                let target = &mut self.gradient[c * FOLD_BLOCK + v * lanes..];
                sum.write(isa, target);
            }
        }
    }
}

impl<T: Scalar, P: Element<T>> GradientTile<'_, T, P> {
    /// Adds all samples' products to `sums`, reading `count` elements into each vector.
    ///
    /// # Safety
    /// Each sample is valid for `VECTORS - 1` whole vectors and `count` elements from `feature` on, and `dscores` for as many
    /// elements as there are samples at each of `CLASSES` multiples of its stride.
    #[inline(always)]
    unsafe fn accumulate<S: Isa, const CLASSES: usize, const VECTORS: usize>(
        &self,
        isa: S,
        count: usize,
        sums: &mut [[T::Lanes<S>; VECTORS]; CLASSES],
    ) {
        let lanes = T::Lanes::<S>::COUNT;
        for n in 0..self.samples.len() {
            let row = self.samples.row(n).wrapping_add(self.feature);
            isa.prefetch(row.wrapping_add(VECTORS * lanes));
            let mut x = [T::Lanes::<S>::splat(isa, T::ZERO); VECTORS];
            for (v, x) in x.iter_mut().enumerate() {
                let source = row.wrapping_add(v * lanes);
                // SAFETY: these elements of the row are readable, by the contract.
                *x = unsafe { if count == lanes { P::load(isa, source) } else { P::load_partial(isa, source, count) } };
            }
            for (c, sums) in sums.iter_mut().enumerate() {
                // SAFETY: class `c` has an element for sample `n`, by the contract.
                let dscore = unsafe { *self.dscores.wrapping_offset(c as isize * self.dscores_stride).wrapping_add(n) };
                let dscore = T::Lanes::<S>::splat(isa, dscore);
                for (sum, &x) in sums.iter_mut().zip(&x) {
                    *sum = x.mul_add(isa, dscore, *sum);
                }
            }
        }
    }
}

/// Hands a finished block of the gradient to the epilogue, inside the trampoline.
struct Finish<'a, T, E> {
    epilogue: &'a mut E,
    first: usize,
    width: usize,
    gradient: &'a [T],
    dbias: &'a [T],
}

impl<T: Scalar, E: WeightEpilogue<T>> Kernel for Finish<'_, T, E> {
    type Output = ();
    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        self.epilogue.finish(isa, self.first, self.width, self.gradient, self.dbias);
    }
}

/// Checks that a matrix of an epilogue is `expected` and that its rows' elements are adjacent.
fn check_matrix<T: Scalar>(matrix: MatRef<'_, T>, what: &'static str, expected: (usize, usize)) -> Result<(), Error> {
    if matrix.shape() != expected {
        return Err(Error::Shape { what, expected, found: matrix.shape() });
    }
    super::adjacent(matrix, what)
}

fn check_normalisation<T>(normalisation: &Normalisation<'_, T>, features: usize) -> Result<(), Error> {
    if normalisation.mean.len() != features {
        let found = (1, normalisation.mean.len());
        return Err(Error::Shape { what: "mean of the features", expected: (1, features), found });
    }
    Ok(())
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

impl<T: Scalar> Normalisation<'_, T> {
    /// `count` features' mean and scale, from feature `first` on.
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, first: usize, count: usize) -> (T::Lanes<S>, T::Lanes<S>) {
        let range = first..first + count;
        (T::Lanes::<S>::read(isa, &self.mean[range.clone()]), T::Lanes::<S>::read(isa, &self.scale[range]))
    }
}

/// The gradient on normalised features from `g`, that on the features as they lie in memory: (g - dbias mean) scale.
#[inline(always)]
fn unfold<S: Isa, T: Scalar>(isa: S, mean: T::Lanes<S>, scale: T::Lanes<S>, g: T::Lanes<S>, dbias: T) -> T::Lanes<S> {
    mean.mul_add(isa, T::Lanes::<S>::splat(isa, -dbias), g).mul(isa, scale)
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
    fn check(&self, classes: usize, features: usize) -> Result<(), Error> {
        check_matrix(self.weights.as_ref(), "folded weights", (classes, features))?;
        check_matrix(self.sums.as_ref(), "sums of the folded blocks", (features.div_ceil(FOLD_BLOCK), 2 * classes))?;
        check_normalisation(&self.normalisation, features)
    }

    fn split(self, at: usize) -> (Self, Self) {
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
    fn fold_block<S: Isa>(
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
