//! Local response normalisation across channels.

use crate::error::Error;
use crate::tape::{Backward, Forward, Inputs, Op, Output, Var};
use lanegrad_kernels::elementwise::{self, Function};
use lanegrad_kernels::isa::{Isa, Lanes, Scalar};
use lanegrad_kernels::math::pow_lanes;

/// y = x s^-beta with s = k + (alpha / size) (sum of x^2 over `size` neighbouring channels, x's own in the middle); channels
/// are the last dimension, and there are none beyond the first and the last (Krizhevsky et al., "ImageNet Classification
/// with Deep Convolutional Neural Networks", 2012).
///
/// alpha is divided by `size` as in Caffe and PyTorch; the paper's is not. Of an even `size`, one more is before x than after.
/// dx = dy s^-beta - 2 (alpha / size) beta x (sum of dy y / s over all channels whose sum has x).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalResponseNorm {
    /// Channels in a sum.
    pub size: usize,
    /// Factor of the mean of squares.
    pub alpha: f64,
    /// Exponent.
    pub beta: f64,
    /// What is added to the mean of squares, more than 0.
    pub k: f64,
}

impl LocalResponseNorm {
    /// AlexNet's settings as its paper has them: 5 channels, alpha 1e-4, beta 0.75, k 2.
    ///
    /// The paper's alpha is not divided by the size: for exactly its function, take five times as much.
    pub const ALEXNET: Self = Self { size: 5, alpha: 1e-4, beta: 0.75, k: 2.0 };

    /// How far the channels of a sum reach before and after x's own.
    fn reach(&self) -> (usize, usize) {
        (self.size / 2, (self.size - 1) / 2)
    }
}

/// scale x^2.
#[derive(Clone, Copy)]
struct ScaledSquare<T>(T);

impl<T: Scalar> Function<T, 1> for ScaledSquare<T> {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [x]: [T::Lanes<S>; 1]) -> T::Lanes<S> {
        x.mul(isa, x).mul(isa, T::Lanes::<S>::splat(isa, self.0))
    }
}

/// x s^exponent.
#[derive(Clone, Copy)]
struct TimesPower<T>(T);

impl<T: Scalar> Function<T, 2> for TimesPower<T> {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [x, s]: [T::Lanes<S>; 2]) -> T::Lanes<S> {
        x.mul(isa, pow_lanes::<S, T>(isa, s, T::Lanes::<S>::splat(isa, self.0)))
    }
}

/// dy y / s.
#[derive(Clone, Copy)]
struct Ratio;

impl<T: Scalar> Function<T, 3> for Ratio {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [dy, y, s]: [T::Lanes<S>; 3]) -> T::Lanes<S> {
        dy.mul(isa, y).div(isa, s)
    }
}

/// dy s^exponent - factor x sum.
#[derive(Clone, Copy)]
struct Slope<T> {
    exponent: T,
    factor: T,
}

impl<T: Scalar> Function<T, 4> for Slope<T> {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [dy, s, x, sum]: [T::Lanes<S>; 4]) -> T::Lanes<S> {
        let own = dy.mul(isa, pow_lanes::<S, T>(isa, s, T::Lanes::<S>::splat(isa, self.exponent)));
        x.mul(isa, T::Lanes::<S>::splat(isa, -self.factor)).mul_add(isa, sum, own)
    }
}

impl<'t, T: Scalar> Var<'t, T> {
    /// Local response normalisation across channels, which are the last dimension. A failure poisons the result.
    pub fn local_response_norm(self, settings: LocalResponseNorm) -> Self {
        self.tape().apply(settings, &[self])
    }

    /// [`Var::local_response_norm`].
    ///
    /// # Errors
    /// [`Error::Setting`] if no such sum has a power: `size` is 0, `k` not more than 0, `alpha` less than 0, or one of them
    /// or `beta` not finite; [`Error::Shape`] if there is no last dimension.
    pub fn try_local_response_norm(self, settings: LocalResponseNorm) -> Result<Self, Error> {
        self.tape().try_apply(settings, &[self])
    }
}

/// sums(c) += terms(c - before) + ... + terms(c + after), for each channel c of each row.
fn add_neighbours<T: Scalar>(terms: &[T], channels: usize, (before, after): (usize, usize), sums: &mut [T]) {
    let add = |sums: &mut [T], terms: &[T]| sums.iter_mut().zip(terms).for_each(|(sum, &term)| *sum += term);
    let rows = sums.chunks_exact_mut(channels.max(1)).zip(terms.chunks_exact(channels.max(1)));
    for (sums, terms) in rows {
        (1..=before.min(channels - 1)).rev().for_each(|distance| add(&mut sums[distance..], terms));
        (0..=after.min(channels - 1)).for_each(|distance| add(sums, &terms[distance..]));
    }
}

impl<T: Scalar> Op<T> for LocalResponseNorm {
    fn name(&self) -> &'static str {
        "local response norm"
    }

    fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error> {
        let &Self { size, alpha, beta, k } = self;
        let finite = alpha.is_finite() && beta.is_finite() && k.is_finite();
        if size == 0 || !finite || alpha < 0.0 || k <= 0.0 {
            return Err(Error::Setting(format!("{self:?} has no value")));
        }
        let shape = inputs.shape(0);
        if shape.rank() == 0 {
            let wanted = "a number has no channels";
            return Err(Error::Shape { op: "local response norm", shape: shape.clone(), wanted });
        }
        let kept = shape.elements()?.checked_mul(3).ok_or_else(|| Error::TooLarge { shape: shape.clone() })?;
        Ok(Output::of(shape).keeping(kept))
    }

    fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error> {
        let (x, (_, channels)) = (pass.inputs.values(0), pass.shape.as_matrix());
        let (s, rest) = pass.residual.split_at_mut(x.len());
        let squares = &mut rest[..x.len()];
        elementwise::map(ScaledSquare(T::from_f64(self.alpha / self.size as f64)), [x], squares)?;
        s.fill(T::from_f64(self.k));
        add_neighbours(squares, channels, self.reach(), s);
        Ok(elementwise::map(TimesPower(T::from_f64(-self.beta)), [x, s], pass.output)?)
    }

    fn vjp(&self, mut pass: Backward<'_, T>) -> Result<(), Error> {
        let (x, (_, channels)) = (pass.inputs.values(0), pass.shape.as_matrix());
        let (y, dy, residual) = (pass.output, pass.gradient, std::mem::take(&mut pass.residual));
        let Some(dx) = pass.input_gradient(0) else { return Ok(()) };
        let (s, rest) = residual.split_at_mut(x.len());
        let (ratios, sums) = rest.split_at_mut(x.len());
        elementwise::map(Ratio, [dy, y, s], ratios)?;
        sums.fill(T::ZERO);
        let (before, after) = self.reach();
        add_neighbours(ratios, channels, (after, before), sums);
        let factor = T::from_f64(2.0 * self.alpha * self.beta / self.size as f64);
        let slope = Slope { exponent: T::from_f64(-self.beta), factor };
        let (dx, add) = dx.parts();
        let operands = [dy, s, x, sums];
        Ok(if add { elementwise::accumulate(slope, operands, dx) } else { elementwise::map(slope, operands, dx) }?)
    }
}

#[cfg(test)]
mod tests {
    use super::LocalResponseNorm;
    use crate::ops::check::{array, smooth};
    use crate::tape::Tape;
    use crate::tensor::Tensor;

    #[test]
    fn gradient() {
        for (size, channels) in [(5, 7), (3, 1), (1, 4), (4, 6), (9, 3), (5, 20)] {
            let settings = LocalResponseNorm { size, alpha: 0.7, beta: 0.6, k: 0.8 };
            smooth(|x| x[0].local_response_norm(settings) * x[0], &[array(&[2, 3, channels], 1)]);
        }
        smooth(|x| x[0].local_response_norm(LocalResponseNorm::ALEXNET), &[array(&[2, 8], 2)]);
    }

    #[test]
    fn values_at_the_border_have_fewer_neighbours() {
        let tape = Tape::<f64>::new();
        let x = tape.variable(&Tensor::from_slice([4], &[1.0, 2.0, 3.0, 4.0]).unwrap());
        let norm = |size| {
            let settings = LocalResponseNorm { size, alpha: 1.0, beta: 1.0, k: 1.0 };
            x.local_response_norm(settings).value().unwrap()
        };
        let n = |squares: f64, size: f64| 1.0 + squares / size;
        for (size, squares) in [(3, [5.0, 14.0, 29.0, 25.0]), (2, [1.0, 5.0, 13.0, 25.0])] {
            for (i, y) in norm(size).values().iter().enumerate() {
                assert!((y - (i + 1) as f64 / n(squares[i], size as f64)).abs() < 1e-12, "size {size}, channel {i}");
            }
        }
    }

    #[test]
    fn settings_without_a_value_are_refused() {
        let tape = Tape::<f32>::new();
        let x = tape.variable(&Tensor::ones([2, 3]).unwrap());
        let good = LocalResponseNorm::ALEXNET;
        for bad in [
            LocalResponseNorm { size: 0, ..good },
            LocalResponseNorm { k: 0.0, ..good },
            LocalResponseNorm { alpha: -1.0, ..good },
            LocalResponseNorm { beta: f64::NAN, ..good },
        ] {
            assert!(x.try_local_response_norm(bad).is_err(), "{bad:?}");
        }
        assert!(tape.scalar(1.0).try_local_response_norm(good).is_err());
        assert_eq!(x.slice(0, 0..0).local_response_norm(good).shape().unwrap().extents(), [0, 3]);
    }
}
