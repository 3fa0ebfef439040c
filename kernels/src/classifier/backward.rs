//! The weight gradient of a batch, handed on block by block while it is in the nearest cache.

use super::Samples;
use super::epilogue::WeightEpilogue;
use super::fold::FOLD_BLOCK;
use crate::dispatch;
use crate::error::Error;
use crate::groups::groups;
use crate::isa::{Element, Isa, Kernel, Lanes, Scalar, TileKernel};
use crate::matrix::MatRef;
use crate::parallel::{self, Divide};
use crate::workspace::with_scratch;

/// Samples whose rows are walked for all features of a block before the next ones are.
const SAMPLE_BLOCK: usize = 512;

/// The gradients for `dscores` (C x N): that of the bias to `dbias` (C), that of the weights (C x D) to `epilogue`.
///
/// # Errors
/// See [`Backward::new`], and those of [`dispatch::level`].
#[inline(never)]
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
