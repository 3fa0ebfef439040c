//! How pixels are normalised before a model sees them.

use super::Images;
use lanegrad_kernels::isa::Scalar;

/// How pixels are normalised before the weights apply: x' = (x - mean) scale, D of each.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalisation<T> {
    /// What is subtracted from each feature.
    pub mean: Vec<T>,
    /// What each feature is then multiplied by.
    pub scale: Vec<T>,
}

impl<T: Scalar> Normalisation<T> {
    /// Pixels as they are, 0 to 255.
    pub fn raw(features: usize) -> Self {
        Self { mean: vec![T::ZERO; features], scale: vec![T::ONE; features] }
    }

    /// Pixels minus the mean image of `images`.
    pub fn mean(images: &Images) -> Self {
        let mean = images.statistics().mean;
        Self { mean: mean.into_iter().map(|x| T::from_f64(x.into())).collect(), ..Self::raw(images.features()) }
    }

    /// Pixels minus the mean image of `images`, each divided by its standard deviation over them.
    ///
    /// A pixel that never changes is only centred.
    pub fn standardize(images: &Images) -> Self {
        let statistics = images.statistics();
        let scale = |deviation: f32| if deviation > 0.0 { 1.0 / f64::from(deviation) } else { 1.0 };
        Self {
            mean: statistics.mean.into_iter().map(|x| T::from_f64(x.into())).collect(),
            scale: statistics.standard_deviation.into_iter().map(|x| T::from_f64(scale(x))).collect(),
        }
    }
}
