//! Initial weights.

use crate::error::Error;
use crate::shape::Shape;
use crate::tensor::Tensor;
use lanegrad_kernels::isa::Scalar;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

/// How weights are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scheme {
    /// Zero.
    Zero,
    /// Normally distributed with mean 0 and this standard deviation.
    Normal(f64),
    /// Normally distributed with mean 0 and variance 2 / fan-in: keeps the variance of activations through layers of
    /// rectifiers (He et al., "Delving Deep into Rectifiers", 2015).
    He,
    /// Uniform between -a and a with a = sqrt(6 / (fan-in + fan-out)): keeps the variance of activations and gradients
    /// through linear layers (Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    /// 2010).
    Xavier,
}

/// Draws initial weights, one layer after the other, from a seed.
#[derive(Clone, Debug)]
pub struct Initializer {
    scheme: Scheme,
    generator: Xoshiro256PlusPlus,
}

impl Initializer {
    /// Draws by `scheme`.
    pub fn new(scheme: Scheme, seed: u64) -> Self {
        Self { scheme, generator: Xoshiro256PlusPlus::seed_from_u64(seed) }
    }

    /// Draws by another scheme from now on.
    pub fn scheme(&mut self, scheme: Scheme) -> &mut Self {
        self.scheme = scheme;
        self
    }

    /// An array of weights, each of which takes part in the sums of `fan_out` outputs of `fan_in` terms.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if it does not fit memory, [`Error::Setting`] if a standard deviation is negative or not finite.
    pub fn draw<T: Scalar>(
        &mut self,
        shape: impl Into<Shape>,
        fan_in: usize,
        fan_out: usize,
    ) -> Result<Tensor<T>, Error> {
        let generator = &mut self.generator;
        let mut normal = |deviation: f64| deviation * Distribution::<f64>::sample(&StandardNormal, generator);
        match self.scheme {
            Scheme::Zero => Tensor::zeros(shape),
            Scheme::Normal(deviation) if deviation >= 0.0 && deviation.is_finite() => {
                Tensor::from_fn(shape, |_| T::from_f64(normal(deviation)))
            }
            Scheme::Normal(deviation) => {
                Err(Error::Setting(format!("a standard deviation of {deviation} is not possible")))
            }
            Scheme::He => {
                let deviation = (2.0 / fan_in.max(1) as f64).sqrt();
                Tensor::from_fn(shape, |_| T::from_f64(normal(deviation)))
            }
            Scheme::Xavier => {
                let limit = (6.0 / (fan_in + fan_out).max(1) as f64).sqrt();
                Tensor::from_fn(shape, |_| T::from_f64(generator.random_range(-limit..=limit)))
            }
        }
    }

    /// A seed for a layer that is random itself.
    pub fn seed(&mut self) -> u64 {
        self.generator.random()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variances_are_those_of_the_papers() {
        let variance = |scheme| {
            let weights = Initializer::new(scheme, 1).draw::<f64>([200, 300], 200, 300).unwrap();
            weights.values().iter().map(|w| w * w).sum::<f64>() / 60_000.0
        };
        assert!((variance(Scheme::He) * 100.0 - 1.0).abs() < 0.03);
        assert!((variance(Scheme::Xavier) * 250.0 - 1.0).abs() < 0.03);
        assert!((variance(Scheme::Normal(0.1)) * 100.0 - 1.0).abs() < 0.03);
        assert_eq!(variance(Scheme::Zero), 0.0);
        assert!(Initializer::new(Scheme::Normal(f64::NAN), 1).draw::<f32>([1], 1, 1).is_err());
    }

    #[test]
    fn the_same_seed_gives_the_same_weights() {
        let draw = |seed| Initializer::new(Scheme::He, seed).draw::<f32>([10], 10, 10).unwrap();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
