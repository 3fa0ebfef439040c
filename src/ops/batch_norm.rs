//! Batch normalisation.

use crate::error::Error;
use crate::ops::add_to;
use crate::tape::{Backward, Forward, Inputs, Op, Output, Param, Var};
use lanegrad_kernels::elementwise::{self, Broadcast, BroadcastMut, Function, Identity};
use lanegrad_kernels::isa::{Isa, Lanes, Scalar};

/// y = gamma (x - mean) / sqrt(variance + epsilon) + beta, for each channel, which is the last dimension (Ioffe and Szegedy,
/// "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift", 2015).
///
/// Mean and variance are those of the m elements of a channel in x, the variance divided by m, or are given. With z = x - mean
/// and r = 1 / sqrt(variance + epsilon): dbeta = sum of dy, dgamma = r (sum of dy z), and
/// dx = gamma r (dy - dbeta / m - z r dgamma / m) for a batch's own statistics, gamma r dy for given ones; for those,
/// dmean = -gamma r dbeta and dvariance = -gamma r^2 dgamma / 2.
#[derive(Clone, Copy, Debug)]
pub struct BatchNorm {
    epsilon: f64,
}

/// (x - mean) scale + beta.
#[derive(Clone, Copy)]
struct Normalized;

impl<T: Scalar> Function<T, 4> for Normalized {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [x, mean, scale, beta]: [T::Lanes<S>; 4]) -> T::Lanes<S> {
        x.sub(isa, mean).mul_add(isa, scale, beta)
    }
}

/// (x - mean)^2.
#[derive(Clone, Copy)]
struct Spread;

impl<T: Scalar> Function<T, 2> for Spread {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [x, mean]: [T::Lanes<S>; 2]) -> T::Lanes<S> {
        let z = x.sub(isa, mean);
        z.mul(isa, z)
    }
}

/// dy (x - mean).
#[derive(Clone, Copy)]
struct Moment;

impl<T: Scalar> Function<T, 3> for Moment {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [dy, x, mean]: [T::Lanes<S>; 3]) -> T::Lanes<S> {
        dy.mul(isa, x.sub(isa, mean))
    }
}

/// scale (dy - shift - (x - mean) slope).
#[derive(Clone, Copy)]
struct Slope;

impl<T: Scalar> Function<T, 6> for Slope {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [dy, x, mean, scale, shift, slope]: [T::Lanes<S>; 6]) -> T::Lanes<S> {
        let explained = x.sub(isa, mean).mul_add(isa, slope, shift);
        scale.mul(isa, dy.sub(isa, explained))
    }
}

impl<'t, T: Scalar> Var<'t, T> {
    /// Each channel, which is the last dimension, with mean 0 and variance 1, times `gamma` plus `beta` (one number for each
    /// channel). `epsilon` is added to the variance. A failure poisons the result.
    pub fn batch_norm(self, gamma: Self, beta: Self, epsilon: f64) -> Self {
        self.tape().apply(BatchNorm { epsilon }, &[self, gamma, beta])
    }

    /// [`Var::batch_norm`].
    ///
    /// # Errors
    /// [`Error::Shapes`] if there is not one of `gamma` and `beta` for each channel, [`Error::Shape`] if a channel has fewer
    /// than two elements, [`Error::Setting`] if `epsilon` is negative or not finite.
    pub fn try_batch_norm(self, gamma: Self, beta: Self, epsilon: f64) -> Result<Self, Error> {
        self.tape().try_apply(BatchNorm { epsilon }, &[self, gamma, beta])
    }

    /// [`Var::batch_norm`] with given statistics, such as running ones in evaluation: for each channel a `mean` and a
    /// `variance`.
    pub fn batch_norm_with(self, mean: Self, variance: Self, gamma: Self, beta: Self, epsilon: f64) -> Self {
        self.tape().apply(BatchNorm { epsilon }, &[self, gamma, beta, mean, variance])
    }
}

/// running <- (1 - momentum) running + momentum batch, for the statistics behind `y`, a result of [`Var::batch_norm`], and
/// two buffers; the variance is the unbiased one.
pub(crate) fn update_running_statistics<T: Scalar>(
    y: Var<'_, T>,
    mean: Param,
    variance: Param,
    momentum: f64,
) -> Result<(), Error> {
    let (rows, channels) = y.shape()?.as_matrix();
    let follow = |running: &mut [T], batch: &[T], factor: f64| {
        for (running, batch) in running.iter_mut().zip(batch) {
            *running = T::from_f64((1.0 - momentum) * running.to_f64() + momentum * factor * batch.to_f64());
        }
    };
    let tape = y.tape();
    tape.update_buffer(mean, y, |kept, running| follow(running, &kept[..channels], 1.0))?;
    let unbiased = rows as f64 / (rows - 1) as f64;
    tape.update_buffer(variance, y, |kept, running| follow(running, &kept[channels..][..channels], unbiased))
}

/// Rows whose sum is taken on its own, so that long sums in `f32` lose few digits.
const BLOCK: usize = 256;

/// What is kept for each channel, and room for the sums of blocks.
struct Kept<'a, T> {
    mean: &'a mut [T],
    variance: &'a mut [T],
    /// 1 / sqrt(variance + epsilon).
    inverse: &'a mut [T],
    /// gamma times that.
    scale: &'a mut [T],
    /// Two results of sums.
    sums: [&'a mut [T]; 2],
    partial: &'a mut [T],
}

impl<'a, T: Scalar> Kept<'a, T> {
    /// Numbers of an array of `rows` rows of `channels`.
    fn length(rows: usize, channels: usize) -> Option<usize> {
        channels.checked_mul(rows.div_ceil(BLOCK).checked_add(6)?)
    }

    fn new(residual: &'a mut [T], channels: usize) -> Self {
        let (mean, rest) = residual.split_at_mut(channels);
        let (variance, rest) = rest.split_at_mut(channels);
        let (inverse, rest) = rest.split_at_mut(channels);
        let (scale, rest) = rest.split_at_mut(channels);
        let (first, rest) = rest.split_at_mut(channels);
        let (second, partial) = rest.split_at_mut(channels);
        Self { mean, variance, inverse, scale, sums: [first, second], partial }
    }
}

/// An operand of a sum over rows.
#[derive(Clone, Copy)]
enum Operand<'a, T> {
    /// All elements.
    Rows(&'a [T]),
    /// A number for each channel.
    Channels(&'a [T]),
}

impl<'a, T: Scalar> Operand<'a, T> {
    /// From row `first` on, with these strides for all elements, and for one row.
    fn from(self, first: usize, rows: &'a [usize], channels: &'a [usize]) -> Broadcast<'a, T> {
        match self {
            Self::Rows(values) => Broadcast { values: &values[first..], strides: rows },
            Self::Channels(values) => Broadcast { values, strides: channels },
        }
    }
}

/// sums <- factor times the sums over all `rows` of f(operands): block by block, and those in `f64`.
fn sum_rows<T: Scalar, const N: usize>(
    f: impl Function<T, N>,
    operands: [Operand<'_, T>; N],
    rows: usize,
    factor: f64,
    partial: &mut [T],
    sums: &mut [T],
) -> Result<(), Error> {
    let channels = sums.len();
    let (blocks, rest) = (rows / BLOCK, rows % BLOCK);
    partial.fill(T::ZERO);
    let (whole, last) = partial.split_at_mut(blocks * channels);
    let strides = [BLOCK * channels, channels, 1];
    let x = operands.map(|operand| operand.from(0, &strides, &[0, 0, 1]));
    let y = BroadcastMut { values: whole, strides: &[channels, 0, 1] };
    elementwise::accumulate_broadcast(f, &[blocks, BLOCK, channels], x, y)?;
    if rest > 0 {
        let strides = [channels, 1];
        let x = operands.map(|operand| operand.from((rows - rest) * channels, &strides, &[0, 1]));
        elementwise::accumulate_broadcast(f, &[rest, channels], x, BroadcastMut { values: last, strides: &[0, 1] })?;
    }
    for (channel, sum) in sums.iter_mut().enumerate() {
        let blocks = partial[channel..].iter().step_by(channels);
        *sum = T::from_f64(factor * blocks.map(|sum| sum.to_f64()).sum::<f64>());
    }
    Ok(())
}

impl BatchNorm {
    /// Writes mean and variance of each channel, or copies the given ones.
    fn statistics<T: Scalar>(inputs: Inputs<'_, T>, kept: &mut Kept<'_, T>) -> Result<(), Error> {
        if inputs.len() == 5 {
            kept.mean.copy_from_slice(inputs.values(3));
            kept.variance.copy_from_slice(inputs.values(4));
            return Ok(());
        }
        let ((rows, _), x) = (inputs.shape(0).as_matrix(), Operand::Rows(inputs.values(0)));
        let factor = 1.0 / rows as f64;
        sum_rows(Identity, [x], rows, factor, kept.partial, kept.mean)?;
        sum_rows(Spread, [x, Operand::Channels(kept.mean)], rows, factor, kept.partial, kept.variance)
    }
}

impl<T: Scalar> Op<T> for BatchNorm {
    fn name(&self) -> &'static str {
        "batch norm"
    }

    fn takes(&self, inputs: usize) -> bool {
        matches!(inputs, 3 | 5)
    }

    fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error> {
        let shape = inputs.shape(0);
        let (rows, channels) = shape.as_matrix();
        for i in 1..inputs.len() {
            if shape.rank() == 0 || inputs.shape(i).extents() != [channels] {
                let (left, right) = (shape.clone(), inputs.shape(i).clone());
                return Err(Error::Shapes { op: "batch norm", left, right });
            }
        }
        if !(self.epsilon >= 0.0 && self.epsilon.is_finite()) {
            return Err(Error::Setting(format!("batch norm cannot add {} to a variance", self.epsilon)));
        }
        if inputs.len() == 3 && rows < 2 {
            let wanted = "the statistics of a batch need two elements of each channel";
            return Err(Error::Shape { op: "batch norm", shape: shape.clone(), wanted });
        }
        let kept = Kept::<T>::length(rows, channels).ok_or_else(|| Error::TooLarge { shape: shape.clone() })?;
        Ok(Output::of(shape).keeping(kept))
    }

    fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error> {
        let (rows, channels) = pass.shape.as_matrix();
        let mut kept = Kept::new(pass.residual, channels);
        Self::statistics(pass.inputs, &mut kept)?;
        for (channel, &gamma) in pass.inputs.values(1).iter().enumerate() {
            kept.inverse[channel] = T::from_f64((kept.variance[channel].to_f64() + self.epsilon).sqrt().recip());
            kept.scale[channel] = gamma * kept.inverse[channel];
        }
        let x = Broadcast { values: pass.inputs.values(0), strides: &[channels, 1] };
        let [mean, scale, beta] =
            [&*kept.mean, kept.scale, pass.inputs.values(2)].map(|values| Broadcast { values, strides: &[0, 1] });
        Ok(elementwise::map_broadcast(Normalized, &[rows, channels], [x, mean, scale, beta], pass.output)?)
    }

    fn vjp(&self, mut pass: Backward<'_, T>) -> Result<(), Error> {
        let (rows, channels) = pass.shape.as_matrix();
        let (x, dy, given) = (pass.inputs.values(0), pass.gradient, pass.inputs.len() == 5);
        let Kept { mean, inverse, scale, sums: [shift, slope], partial, .. } =
            Kept::new(std::mem::take(&mut pass.residual), channels);
        sum_rows(Identity, [Operand::Rows(dy)], rows, 1.0, partial, shift)?;
        let operands = [Operand::Rows(dy), Operand::Rows(x), Operand::Channels(mean)];
        sum_rows(Moment, operands, rows, 1.0, partial, slope)?;
        slope.iter_mut().zip(&*inverse).for_each(|(sum, &r)| *sum = *sum * r);
        // Now they are dbeta and dgamma.
        if let Some(dgamma) = pass.input_gradient(1) {
            add_to(dgamma, slope);
        }
        if let Some(dbeta) = pass.input_gradient(2) {
            add_to(dbeta, shift);
        }
        if given {
            add_gradients_of_statistics(&mut pass, scale, inverse, shift, slope);
        }
        let Some(dx) = pass.input_gradient(0) else { return Ok(()) };
        let share = if given { T::ZERO } else { T::from_f64(1.0 / rows as f64) };
        shift.iter_mut().for_each(|shift| *shift = *shift * share);
        slope.iter_mut().zip(&*inverse).for_each(|(slope, &r)| *slope = *slope * r * share);
        let strides = [channels, 1];
        let [dy, x] = [dy, x].map(|values| Broadcast { values, strides: &strides });
        let [mean, scale, shift, slope] =
            [mean, scale, shift, slope].map(|values| Broadcast { values: &*values, strides: &[0, 1] });
        let operands = [dy, x, mean, scale, shift, slope];
        let (dx, add) = dx.parts();
        if add {
            let dx = BroadcastMut { values: dx, strides: &strides };
            return Ok(elementwise::accumulate_broadcast(Slope, &[rows, channels], operands, dx)?);
        }
        Ok(elementwise::map_broadcast(Slope, &[rows, channels], operands, dx)?)
    }
}

/// Adds the gradients of a given mean and variance, from gamma r, r, dbeta and dgamma.
fn add_gradients_of_statistics<T: Scalar>(
    pass: &mut Backward<'_, T>,
    scale: &[T],
    inverse: &[T],
    dbeta: &[T],
    dgamma: &[T],
) {
    if let Some(dmean) = pass.input_gradient(3) {
        let dmean = dmean.accumulator().iter_mut().enumerate();
        dmean.for_each(|(channel, dmean)| *dmean += -(scale[channel] * dbeta[channel]));
    }
    if let Some(dvariance) = pass.input_gradient(4) {
        let half = T::from_f64(0.5);
        let dvariance = dvariance.accumulator().iter_mut().enumerate();
        dvariance.for_each(|(channel, dvariance)| {
            *dvariance += -(half * scale[channel] * inverse[channel] * dgamma[channel]);
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{array, positive, smooth};
    use crate::tape::Tape;
    use crate::tensor::Tensor;

    #[test]
    fn gradient() {
        for shape in [&[7, 3][..], &[2, 3, 2, 5], &[520, 2]] {
            let channels = [shape[shape.len() - 1]];
            let inputs = [array(shape, 1), array(&channels, 2), array(&channels, 3)];
            smooth(|x| x[0].batch_norm(x[1], x[2], 1e-3).square() + x[0], &inputs);
        }
        let [x, gamma, beta, mean] = [&[2, 3, 5][..], &[5], &[5], &[5]].map(|shape| array(shape, 4));
        let inputs = [x, gamma, beta, mean, positive(&[5], 5)];
        smooth(|x| x[0].batch_norm_with(x[3], x[4], x[1], x[2], 1e-5).square() * x[0], &inputs);
        smooth(|x| x[0].batch_norm_with(x[3], x[4], x[1], x[2], 1e-5), &inputs);
    }

    #[test]
    fn each_channel_has_mean_0_and_variance_1() {
        let tape = Tape::<f32>::new();
        // More rows than a block, far from 0: what plain sums in f32 would get wrong.
        let x = tape.variable(&Tensor::from_fn([5000, 2], |i| 1000.0 + (i * 7919 % 1000) as f32 / 500.0).unwrap());
        let one = tape.constant(&Tensor::ones([2]).unwrap());
        let y = x.batch_norm(one, one - one, 0.0);
        let mean = y.mean([0]).value().unwrap();
        let variance = y.square().mean([0]).value().unwrap();
        assert!(mean.values().iter().all(|mean| mean.abs() < 1e-3), "{mean:?}");
        assert!(variance.values().iter().all(|variance| (variance - 1.0).abs() < 1e-3), "{variance:?}");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let tape = Tape::<f64>::new();
        let [x, gamma, row] = [&[4, 3][..], &[2], &[1, 2]].map(|shape| tape.variable(&array(shape, 1)));
        let message =
            |x: crate::tape::Var<'_, f64>, epsilon| x.try_batch_norm(gamma, gamma, epsilon).unwrap_err().to_string();
        assert_eq!(message(x, 1e-5), "batch norm: shapes [4, 3] and [2] do not fit");
        assert_eq!(
            message(row, 1e-5),
            "batch norm: shape [1, 2], but the statistics of a batch need two elements of each channel"
        );
        assert_eq!(message(gamma.reshape([1, 2]), -1.0), "batch norm cannot add -1 to a variance");
        assert!(tape.scalar(1.0).try_batch_norm(gamma, gamma, 0.0).is_err());
    }
}
