//! Elementary functions on lanes, without a call into a mathematical library.

mod ln;
mod logistic;
mod pow;

pub use ln::{LnConstants, ln_1p_lanes, ln_lanes};
pub use logistic::{exp_m1_lanes, sigmoid_lanes, softplus_lanes, tanh_lanes};
pub use pow::pow_lanes;

use crate::dispatch;
use crate::error::Error;
use crate::isa::{Isa, Kernel, Lanes, Scalar};

/// y <- exp(x), element by element, for `x` and `y` of the same length.
///
/// The error is at most 1 unit in the last place for `f32` and 2 for `f64` at the levels with fused multiply-add (2 for
/// both without), subnormal results included; exp(-inf) = 0, exp(inf) = inf, and NaN stays NaN.
///
/// # Errors
/// [`Error::Shape`] if the lengths differ, and those of [`dispatch::level`].
#[inline(never)]
pub fn exp<T: Scalar>(x: &[T], y: &mut [T]) -> Result<(), Error> {
    dispatch::dispatch(Exp::new(x, y)?)
}

/// A checked [`exp()`], to be run at a level of one's choice.
#[derive(Debug)]
pub struct Exp<'a, T> {
    x: &'a [T],
    y: &'a mut [T],
}

impl<'a, T: Scalar> Exp<'a, T> {
    /// y <- exp(x); see [`exp()`].
    ///
    /// # Errors
    /// [`Error::Shape`] if the lengths differ.
    pub fn new(x: &'a [T], y: &'a mut [T]) -> Result<Self, Error> {
        if x.len() != y.len() {
            return Err(Error::Shape { what: "result of exp", expected: (1, x.len()), found: (1, y.len()) });
        }
        Ok(Self { x, y })
    }
}

impl<T: Scalar> Kernel for Exp<'_, T> {
    type Output = ();
    fn run<S: Isa>(self, isa: S) {
        isa.vectorize(ExpLoop(self));
    }
}

struct ExpLoop<'a, T>(Exp<'a, T>);

impl<T: Scalar> Kernel for ExpLoop<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let lanes = T::Lanes::<S>::COUNT;
        for (x, y) in self.0.x.chunks(lanes).zip(self.0.y.chunks_mut(lanes)) {
            exp_lanes::<S, T>(isa, T::Lanes::<S>::read(isa, x)).write(isa, y);
        }
    }
}

/// What exp needs to know of a type.
#[derive(Clone, Copy, Debug)]
pub struct ExpConstants<T: 'static> {
    /// Below this, exp rounds to zero.
    lowest: T,
    /// Above this, exp rounds to infinity.
    highest: T,
    /// 1.5 * 2^p for `p` bits of significand: adding it leaves a number rounded to an integer in the low bits.
    integer: T,
    /// Exponent bias.
    bias: T,
    log2_e: T,
    /// ln 2 as a sum of two numbers, the first so short that its product with an exponent is exact.
    ln_2: [T; 2],
    /// 1 / k!, from the highest power down: exp's Taylor series, whose remainder on |r| <= ln 2 / 2 is below half a unit.
    series: &'static [T],
}

impl ExpConstants<f32> {
    pub(crate) const F32: Self = Self {
        lowest: -104.0,
        highest: 89.0,
        integer: 12_582_912.0,
        bias: 127.0,
        log2_e: std::f32::consts::LOG2_E,
        ln_2: [0.693_359_4, -2.121_944_4e-4],
        series: &[1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0],
    };
}

impl ExpConstants<f64> {
    pub(crate) const F64: Self = Self {
        lowest: -746.0,
        highest: 710.0,
        integer: 6_755_399_441_055_744.0,
        bias: 1023.0,
        log2_e: std::f64::consts::LOG2_E,
        ln_2: [6.931_457_519_531_25e-1, 1.428_606_820_309_417_2e-6],
        series: &[
            1.0 / 6_227_020_800.0,
            1.0 / 479_001_600.0,
            1.0 / 39_916_800.0,
            1.0 / 3_628_800.0,
            1.0 / 362_880.0,
            1.0 / 40_320.0,
            1.0 / 5040.0,
            1.0 / 720.0,
            1.0 / 120.0,
            1.0 / 24.0,
            1.0 / 6.0,
            0.5,
            1.0,
            1.0,
        ],
    };
}

/// exp of each lane, with the error of [`exp()`]: x = n ln 2 + r with |r| <= ln 2 / 2 (after Cody and Waite),
/// exp(x) = 2^n exp(r).
#[inline(always)]
pub fn exp_lanes<S: Isa, T: Scalar>(isa: S, x: T::Lanes<S>) -> T::Lanes<S> {
    let Reduced { n, r } = reduce::<S, T>(isa, x);
    let series = polynomial::<S, T>(isa, r, T::EXP.series);
    // 2^n in two factors, since 2^n itself may be subnormal or beyond the largest number.
    let half = round::<S, T>(isa, n.mul(isa, T::Lanes::<S>::splat(isa, T::from_f64(0.5))));
    series.mul(isa, power_of_two::<S, T>(isa, half)).mul(isa, power_of_two::<S, T>(isa, n.sub(isa, half)))
}

/// x = n ln 2 + r, with an integer n and |r| <= ln 2 / 2.
struct Reduced<V> {
    n: V,
    r: V,
}

/// Splits x, moved to where exp is neither 0 nor infinite; NaN stays.
#[inline(always)]
fn reduce<S: Isa, T: Scalar>(isa: S, x: T::Lanes<S>) -> Reduced<T::Lanes<S>> {
    let constants = T::EXP;
    let splat = |value: T| T::Lanes::<S>::splat(isa, value);
    let (lowest, highest) = (splat(constants.lowest), splat(constants.highest));
    // A NaN is greater than nothing, so it passes both.
    let x = x.select_greater(isa, highest, highest, x);
    let x = lowest.select_greater(isa, x, lowest, x);
    let n = x.mul_add(isa, splat(constants.log2_e), splat(constants.integer)).sub(isa, splat(constants.integer));
    let r = n.mul_add(isa, splat(-constants.ln_2[0]), x);
    let r = n.mul_add(isa, splat(-constants.ln_2[1]), r);
    Reduced { n, r }
}

/// The polynomial of r with these coefficients, that of the highest power first (Horner's rule).
#[inline(always)]
fn polynomial<S: Isa, T: Scalar>(isa: S, r: T::Lanes<S>, coefficients: &[T]) -> T::Lanes<S> {
    let mut sum = T::Lanes::<S>::splat(isa, coefficients[0]);
    for &coefficient in &coefficients[1..] {
        sum = sum.mul_add(isa, r, T::Lanes::<S>::splat(isa, coefficient));
    }
    sum
}

/// The integer nearest to x, ties to even, for |x| up to half of what the significand counts to.
#[inline(always)]
fn round<S: Isa, T: Scalar>(isa: S, x: T::Lanes<S>) -> T::Lanes<S> {
    let integer = T::Lanes::<S>::splat(isa, T::EXP.integer);
    x.add(isa, integer).sub(isa, integer)
}

/// 2^n for integers n within the range of exponents of numbers that are not subnormal.
#[inline(always)]
fn power_of_two<S: Isa, T: Scalar>(isa: S, n: T::Lanes<S>) -> T::Lanes<S> {
    let biased = T::Lanes::<S>::splat(isa, T::EXP.integer + T::EXP.bias);
    n.add(isa, biased).low_bits_to_exponent(isa)
}
