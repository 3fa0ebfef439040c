//! Dropout.

use crate::error::Error;
use crate::tape::{Backward, Forward, Inputs, Op, Output, Var};
use lanegrad_kernels::elementwise::{self, Function};
use lanegrad_kernels::isa::{Isa, Lanes, Scalar};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// y = x m, where each m is 0 with probability p and 1 / (1 - p) otherwise, so that the mean stays; dx = dy m (Srivastava et
/// al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", 2014, in its inverted form).
///
/// The m follow from the seed, the tape's step and the position of the element.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    probability: f64,
    seed: u64,
}

/// Elements that are drawn from a generator of their own.
const BLOCK: usize = 4096;

#[derive(Clone, Copy)]
struct Product;

impl<T: Scalar> Function<T, 2> for Product {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [a, b]: [T::Lanes<S>; 2]) -> T::Lanes<S> {
        a.mul(isa, b)
    }
}

impl<'t, T: Scalar> Var<'t, T> {
    /// Each element times 0 with `probability`, else times 1 / (1 - `probability`); which ones, follows from `seed` and the
    /// tape's step. A failure poisons the result.
    pub fn dropout(self, probability: f64, seed: u64) -> Self {
        self.tape().apply(Dropout { probability, seed }, &[self])
    }

    /// [`Var::dropout`].
    ///
    /// # Errors
    /// [`Error::Setting`] if the probability is not at least 0 and less than 1.
    pub fn try_dropout(self, probability: f64, seed: u64) -> Result<Self, Error> {
        self.tape().try_apply(Dropout { probability, seed }, &[self])
    }
}

impl<T: Scalar> Op<T> for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error> {
        if !(0.0..1.0).contains(&self.probability) {
            return Err(Error::Setting(format!("elements cannot be dropped with probability {}", self.probability)));
        }
        Ok(Output::of(inputs.shape(0)).keeping(inputs.values(0).len()))
    }

    fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error> {
        let kept = T::from_f64(1.0 / (1.0 - self.probability));
        // A 32-bit number is below this with the probability, to within 2^-32.
        let limit = (self.probability * 2.0_f64.powi(32)) as u64;
        for (block, factors) in pass.residual.chunks_mut(BLOCK).enumerate() {
            // Odd constants without a pattern keep neighbouring keys apart before the generator's own seeding mixes them.
            let key =
                pass.step.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (block as u64).wrapping_mul(0xD1B5_4A32_D192_ED03);
            let mut generator = Xoshiro256PlusPlus::seed_from_u64(self.seed ^ key);
            factors.fill_with(|| if u64::from(generator.next_u32()) < limit { T::ZERO } else { kept });
        }
        Ok(elementwise::map(Product, [pass.inputs.values(0), pass.residual], pass.output)?)
    }

    fn vjp(&self, mut pass: Backward<'_, T>) -> Result<(), Error> {
        let dy = pass.gradient;
        let factors = std::mem::take(&mut pass.residual);
        let Some(dx) = pass.input_gradient(0) else { return Ok(()) };
        let (dx, add) = dx.parts();
        let operands = [dy, factors];
        Ok(if add { elementwise::accumulate(Product, operands, dx) } else { elementwise::map(Product, operands, dx) }?)
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{array, smooth};
    use crate::tape::Tape;
    use crate::tensor::Tensor;

    #[test]
    fn gradient() {
        smooth(|x| x[0].dropout(0.4, 3) * x[0], &[array(&[40], 1)]);
    }

    #[test]
    fn drops_the_part_it_should_and_keeps_the_mean() {
        let mut tape = Tape::<f32>::new();
        let ones = Tensor::ones([100_000]).unwrap();
        let draw = |tape: &Tape<f32>, seed| tape.constant(&ones).dropout(0.25, seed).value().unwrap();
        let first = draw(&tape, 1);
        let dropped = first.values().iter().filter(|&&y| y == 0.0).count();
        assert!((24_500..25_500).contains(&dropped), "{dropped}");
        assert!(first.values().iter().all(|&y| y == 0.0 || (y - 4.0 / 3.0).abs() < 1e-6));
        assert_eq!(draw(&tape, 1), first);
        assert_ne!(draw(&tape, 2), first);
        tape.reset();
        assert_ne!(draw(&tape, 1), first);
        tape.set_step(0);
        assert_eq!(draw(&tape, 1), first);
        assert!(tape.constant(&ones).dropout(1.0, 0).check().is_err());
    }
}
