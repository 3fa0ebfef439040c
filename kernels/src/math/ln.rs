//! Natural logarithms on lanes.

use super::polynomial;
use crate::isa::{Isa, Lanes, Scalar};

/// What ln needs to know of a type.
#[derive(Clone, Copy, Debug)]
pub struct LnConstants<T: 'static> {
    /// 2^p for `p` bits of significand and one more: it makes every subnormal number a normal one.
    scale: T,
    /// ln 2 as a sum of two numbers, the first so short that its product with an exponent is exact.
    pub(super) ln_2: [T; 2],
    /// 2 / (2k + 1), from the highest k down to 1: the series of 2 artanh(s) - 2s, divided by s and without its s^2.
    series: &'static [T],
}

impl LnConstants<f32> {
    pub(crate) const F32: Self = Self {
        scale: 16_777_216.0,
        ln_2: [0.693_359_4, -2.121_944_4e-4],
        series: &[2.0 / 11.0, 2.0 / 9.0, 2.0 / 7.0, 2.0 / 5.0, 2.0 / 3.0],
    };
}

impl LnConstants<f64> {
    pub(crate) const F64: Self = Self {
        scale: 9_007_199_254_740_992.0,
        ln_2: [6.931_457_519_531_25e-1, 1.428_606_820_309_417_2e-6],
        series: &[
            2.0 / 23.0,
            2.0 / 21.0,
            2.0 / 19.0,
            2.0 / 17.0,
            2.0 / 15.0,
            2.0 / 13.0,
            2.0 / 11.0,
            2.0 / 9.0,
            2.0 / 7.0,
            2.0 / 5.0,
            2.0 / 3.0,
        ],
    };
}

/// x = 2^exponent (1 + f) with 1 + f between about 0.71 and 1.41, and what ln(1 + f) is made of.
pub(super) struct Logarithm<V> {
    pub exponent: V,
    pub f: V,
    /// s = f / (2 + f), so that ln(1 + f) = 2 artanh(s).
    pub s: V,
    /// (2 artanh(s) - 2s) / s.
    pub rest: V,
}

/// Takes positive finite x apart.
#[inline(always)]
pub(super) fn take_apart<S: Isa, T: Scalar>(isa: S, x: T::Lanes<S>) -> Logarithm<T::Lanes<S>> {
    let splat = |value: T| T::Lanes::<S>::splat(isa, value);
    let (zero, one, half) = (splat(T::ZERO), splat(T::ONE), splat(T::from_f64(0.5)));
    let constants = T::LN;
    let smallest = splat(T::MIN_POSITIVE);
    let shift = splat(T::from_f64(f64::from(T::MANTISSA_BITS + 1)));
    let shifted = smallest.select_greater(isa, x, shift, zero);
    let x = smallest.select_greater(isa, x, x.mul(isa, splat(constants.scale)), x);
    let (exponent, significand) = (x.exponent(isa).sub(isa, shifted), x.significand(isa));
    let root = splat(T::from_f64(std::f64::consts::SQRT_2));
    let exponent = significand.select_greater(isa, root, exponent.add(isa, one), exponent);
    let significand = significand.select_greater(isa, root, significand.mul(isa, half), significand);
    let f = significand.sub(isa, one);
    let s = f.div(isa, f.add(isa, splat(T::from_f64(2.0))));
    let square = s.mul(isa, s);
    let rest = square.mul(isa, polynomial::<S, T>(isa, square, constants.series));
    Logarithm { exponent, f, s, rest }
}

/// ln of each lane.
///
/// The error is at most 2 units in the last place, for subnormal numbers too; ln(0) = -inf, ln(inf) = inf, and of what is
/// negative, or NaN, it is NaN.
///
/// x = 2^e (1 + f) and ln(1 + f) = 2 artanh(s) with s = f / (2 + f), whose series starts with 2s = f - s f.
#[inline(always)]
pub fn ln_lanes<S: Isa, T: Scalar>(isa: S, x: T::Lanes<S>) -> T::Lanes<S> {
    let splat = |value: T| T::Lanes::<S>::splat(isa, value);
    let Logarithm { exponent, f, s, rest } = take_apart::<S, T>(isa, x);
    let [high, low] = T::LN.ln_2.map(splat);
    let correction = exponent.mul_add(isa, low, s.mul(isa, rest.sub(isa, f)));
    let finite = exponent.mul_add(isa, high, correction.add(isa, f));
    limits::<S, T>(isa, x, finite)
}

/// `finite` for positive finite x, and for all others what the logarithm is there.
#[inline(always)]
pub(super) fn limits<S: Isa, T: Scalar>(isa: S, x: T::Lanes<S>, finite: T::Lanes<S>) -> T::Lanes<S> {
    let splat = |value: T| T::Lanes::<S>::splat(isa, value);
    let (zero, infinity) = (splat(T::ZERO), splat(T::INFINITY));
    let result = x.select_equal(isa, zero, splat(-T::INFINITY), finite);
    let result = x.select_equal(isa, infinity, infinity, result);
    let result = zero.select_greater(isa, x, splat(T::NAN), result);
    x.select_equal(isa, x, result, x)
}

/// ln(1 + x) of each lane, accurate where x is small too: the error is at most 4 units in the last place.
///
/// For x > -1. What rounding 1 + x loses is put back at first order.
#[inline(always)]
pub fn ln_1p_lanes<S: Isa, T: Scalar>(isa: S, x: T::Lanes<S>) -> T::Lanes<S> {
    let one = T::Lanes::<S>::splat(isa, T::ONE);
    let sum = x.add(isa, one);
    let lost = x.sub(isa, sum.sub(isa, one));
    let infinity = T::Lanes::<S>::splat(isa, T::INFINITY);
    let correction = sum.select_equal(isa, infinity, T::Lanes::<S>::splat(isa, T::ZERO), lost.div(isa, sum));
    ln_lanes::<S, T>(isa, sum).add(isa, correction)
}
