//! The linear classifier: scores -> loss -> gradient, fused.
//!
//! For N samples of D features and C classes, with weights W of C x D and a bias of C:
//!
//! * [`forward`]: scores = W x + b become gradients with respect to the scores in place, block by block while they are in
//!   the nearest cache. Samples are shared among threads. No probabilities, no one-hot matrix exist.
//! * [`backward`]: dW = dScores X. Features are shared among threads and each thread walks all samples in order, so there
//!   are no partial sums to add up, the bits do not depend on the number of threads, and a finished piece of dW is at once
//!   stored ([`StoreGradient`]) or used to update the weights ([`UpdateWeights`]).
//! * [`evaluate`]: loss and prediction of each sample, without gradients.
//! * [`gather`]: samples as normalised numbers, for other models.
//!
//! Samples are rows of bytes or of the scalar type, named by index: nothing is gathered, copied or converted in memory.
//! Normalised features x' = (x - mean) scale need no pass over the data either: they fold exactly into the weights,
//! W x' + b = (W scale) x + (b - (W scale) mean), and out of the gradient, dW = (G - s mean) scale, for G the gradient on
//! x as it lies in memory and s the sum of dScores.
//!
//! Loss and gradients of the lecture's example:
//!
//! ```
//! use lanegrad_kernels::classifier::{Linear, Loss, Samples, StoreGradient, backward, forward};
//! use lanegrad_kernels::{MatMut, MatRef};
//!
//! let weights = [0.01, -0.05, 0.1, 0.05, 0.7, 0.2, 0.05, 0.16, 0.0, -0.45, -0.2, 0.03];
//! let model = Linear::new(MatRef::row_major(&weights, 3, 4)?, &[0.0, 0.2, -0.3])?;
//! let samples = Samples::new(&[-15.0, 22.0, -44.0, 56.0], 4, 4, &[2], &[0])?;
//!
//! let (mut losses, mut dscores) = ([0.0], [0.0; 3]);
//! forward(model, samples, Loss::Hinge, MatMut::row_major(&mut dscores, 3, 1)?, &mut losses)?;
//! let (mut dweights, mut dbias) = ([0.0; 12], [0.0; 3]);
//! let store = StoreGradient { dweights: MatMut::row_major(&mut dweights, 3, 4)?, normalisation: None };
//! backward(samples, MatRef::row_major(&dscores, 3, 1)?, &mut dbias, store)?;
//!
//! assert!((losses[0] - 1.58_f64).abs() < 1e-12);
//! assert_eq!(dbias, [0.0, 1.0, -1.0]);
//! # Ok::<(), lanegrad_kernels::Error>(())
//! ```

mod backward;
mod epilogue;
mod fold;
mod forward;
mod gather;
mod hinge;
mod softmax;

pub use backward::{Backward, backward};
pub use epilogue::{StoreGradient, UpdateWeights, WeightEpilogue};
pub use fold::{FOLD_BLOCK, Fold, Folded, fold};
pub use forward::{Evaluate, Forward, evaluate, forward};
pub use gather::{Gather, gather};

use crate::error::Error;
use crate::isa::{Element, Scalar};
use crate::matrix::{MatMut, MatRef};

/// The loss of one sample's scores s with label y.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loss {
    /// Softmax cross-entropy: -ln(exp(s_y) / sum over j of exp(s_j)), natural logarithm.
    Softmax,
    /// Multiclass support vector machine (Weston and Watkins): sum over j != y of max(0, s_j - s_y + 1).
    Hinge,
}

impl Loss {
    /// The name in reports and on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Softmax => "softmax",
            Self::Hinge => "hinge",
        }
    }
}

/// Scores of N samples (C x N) with their labels, to become losses and gradients.
struct ScoreBlock<'a, T> {
    scores: MatMut<'a, T>,
    /// N labels, as numbers of the scalar type.
    labels: &'a [T],
    /// N losses, to be written.
    losses: &'a mut [T],
    /// What each sample's gradient is multiplied by: 1 / N for the gradient of the mean.
    weight: T,
}

/// Samples of a batch: rows of a data set, named by index, and their labels.
#[derive(Clone, Copy, Debug)]
pub struct Samples<'a, P> {
    // Every row that `index` names lies in `data`: row i starts at `i stride` and has `features` elements.
    data: &'a [P],
    stride: usize,
    features: usize,
    labels: &'a [u32],
    /// The samples, and after them those that whoever split them off left to others: what is likely read next.
    index: &'a [u32],
    /// How many of `index` are the samples.
    count: usize,
}

impl<'a, P> Samples<'a, P> {
    /// The rows `index` of `data`, row i starting at `i stride`, with the labels `labels[i]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if `features` exceeds `stride`, [`Error::Index`] if an index names a row that is not wholly in
    /// `data` or has no label.
    pub fn new(
        data: &'a [P],
        stride: usize,
        features: usize,
        labels: &'a [u32],
        index: &'a [u32],
    ) -> Result<Self, Error> {
        if features > stride {
            let (expected, found) = ((1, stride), (1, features));
            return Err(Error::Shape { what: "features of a row and its stride", expected, found });
        }
        let rows = match data.len().checked_sub(features) {
            Some(room) if stride > 0 => room / stride + 1,
            // Rows without features lie everywhere.
            Some(_) => labels.len(),
            None => 0,
        };
        let limit = rows.min(labels.len());
        if let Some(position) = index.iter().position(|&i| i as usize >= limit) {
            return Err(Error::Index { what: "sample", position, value: index[position] as usize, limit });
        }
        Ok(Self { data, stride, features, labels, index, count: index.len() })
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.count
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
    /// Number of features of each.
    pub fn features(&self) -> usize {
        self.features
    }

    /// The label of sample `n`.
    #[inline(always)]
    fn label(&self, n: usize) -> u32 {
        self.labels[self.index[n] as usize]
    }

    /// Where sample `n` starts: valid for `features` elements. Beyond the last sample, where a next one might start.
    #[inline(always)]
    fn row(&self, n: usize) -> *const P {
        let row = self.index[n.min(self.index.len() - 1)];
        self.data.as_ptr().wrapping_add(row as usize * self.stride)
    }

    /// The first `at` samples, and the rest.
    fn split(self, at: usize) -> (Self, Self) {
        let left = Self { count: at, ..self };
        (left, Self { index: &self.index[at..], count: self.count - at, ..self })
    }

    /// Checks that every label names one of `classes`.
    fn check_labels(&self, classes: usize) -> Result<(), Error> {
        match (0..self.len()).find(|&n| self.label(n) as usize >= classes) {
            None => Ok(()),
            Some(position) => {
                let value = self.label(position) as usize;
                Err(Error::Index { what: "label of the sample", position, value, limit: classes })
            }
        }
    }
}

/// Class numbers are compared as scalars, which are exact up to here.
const MOST_CLASSES: usize = 1 << 24;

/// Weights (C x D, each row's elements adjacent) and bias (C) of a linear classifier.
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a, T> {
    weights: MatRef<'a, T>,
    bias: &'a [T],
}

impl<'a, T: Scalar> Linear<'a, T> {
    /// The classifier scores = `weights` x + `bias`.
    ///
    /// # Errors
    /// [`Error::Shape`] if there is not one bias for each row, the elements of a row are not adjacent, or there are more than
    /// 2^24 rows.
    pub fn new(weights: MatRef<'a, T>, bias: &'a [T]) -> Result<Self, Error> {
        if bias.len() != weights.rows() {
            let (expected, found) = ((weights.rows(), 1), (bias.len(), 1));
            return Err(Error::Shape { what: "bias and classes", expected, found });
        }
        if weights.rows() > MOST_CLASSES {
            let (expected, found) = ((MOST_CLASSES, weights.cols()), weights.shape());
            return Err(Error::Shape { what: "classes that an f32 can tell apart", expected, found });
        }
        adjacent(weights, "column stride of the weights")?;
        Ok(Self { weights, bias })
    }

    /// Number of classes C.
    pub fn classes(&self) -> usize {
        self.weights.rows()
    }

    fn check_features<P: Element<T>>(&self, samples: &Samples<'_, P>) -> Result<(), Error> {
        if samples.features != self.weights.cols() {
            let (expected, found) = (self.weights.shape(), (self.weights.rows(), samples.features));
            return Err(Error::Shape { what: "weights and features of the samples", expected, found });
        }
        Ok(())
    }
}

/// Checks that the elements of each row are adjacent.
fn adjacent<T: Scalar>(matrix: MatRef<'_, T>, what: &'static str) -> Result<(), Error> {
    if matrix.col_stride() == 1 || matrix.cols() <= 1 {
        return Ok(());
    }
    Err(Error::Shape { what, expected: (1, 1), found: (1, matrix.col_stride().unsigned_abs()) })
}

/// How features are normalised: x' = (x - mean) scale, feature by feature (D of each).
#[derive(Clone, Copy, Debug)]
pub struct Normalisation<'a, T> {
    mean: &'a [T],
    scale: &'a [T],
}

impl<'a, T: Scalar> Normalisation<'a, T> {
    /// x' = (x - `mean`) `scale`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the lengths differ.
    pub fn new(mean: &'a [T], scale: &'a [T]) -> Result<Self, Error> {
        if mean.len() != scale.len() {
            let (expected, found) = ((1, mean.len()), (1, scale.len()));
            return Err(Error::Shape { what: "scale and mean of the features", expected, found });
        }
        Ok(Self { mean, scale })
    }

    fn split(self, at: usize) -> (Self, Self) {
        let ((mean, rest_mean), (scale, rest_scale)) = (self.mean.split_at(at), self.scale.split_at(at));
        (Self { mean, scale }, Self { mean: rest_mean, scale: rest_scale })
    }
}
