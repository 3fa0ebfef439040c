//! Powers on lanes.

use super::ln::{Logarithm, limits, take_apart};
use super::{exp_lanes, round};
use crate::isa::{Isa, Lanes, Scalar};

/// x^y of each lane.
///
/// The error is at most 3 units in the last place at the levels with fused multiply-add, and (3 + 2 |y ln x|) without. As in
/// C: x^0 = 1 and 1^y = 1 whatever the other is; a negative x has a power if y is an integer, and NaN otherwise. The sign of
/// a zero is not looked at.
///
/// exp(y ln x), with ln x as a sum of two numbers, since its error is multiplied by y.
#[inline(always)]
pub fn pow_lanes<S: Isa, T: Scalar>(isa: S, x: T::Lanes<S>, y: T::Lanes<S>) -> T::Lanes<S> {
    let splat = |value: T| T::Lanes::<S>::splat(isa, value);
    let (zero, one) = (splat(T::ZERO), splat(T::ONE));
    let size = x.abs(isa);
    let [high, low] = ln_in_two::<S, T>(isa, size);
    let product = y.mul(isa, high);
    // What rounding the product lost, and the second part.
    let lost = y.mul_add(isa, high, zero.sub(isa, product)).add(isa, y.mul(isa, low));
    let plain = exp_lanes::<S, T>(isa, product);
    // Where the power is zero or infinite there is nothing to correct, and the correction may not be a number.
    let corrected = splat(T::INFINITY).select_greater(isa, plain, plain.mul_add(isa, lost, plain), plain);
    let power = plain.select_equal(isa, zero, zero, corrected);
    let power = size.select_equal(isa, one, one, power);

    let whole = is_integer::<S, T>(isa, y);
    let even = is_integer::<S, T>(isa, y.mul(isa, splat(T::from_f64(0.5))));
    let odd = even.select_equal(isa, one, power, zero.sub(isa, power));
    let negative = whole.select_equal(isa, one, odd, splat(T::NAN));
    let negative = size.select_equal(isa, splat(T::INFINITY), whole.select_equal(isa, one, odd, power), negative);
    let power = zero.select_greater(isa, x, negative, power);
    let power = x.select_equal(isa, one, one, power);
    y.select_equal(isa, zero, one, power)
}

/// 1 where y is an integer, else 0.
#[inline(always)]
fn is_integer<S: Isa, T: Scalar>(isa: S, y: T::Lanes<S>) -> T::Lanes<S> {
    let (zero, one) = (T::Lanes::<S>::splat(isa, T::ZERO), T::Lanes::<S>::splat(isa, T::ONE));
    // From here on every number is one.
    let limit = T::Lanes::<S>::splat(isa, T::from_f64(2.0_f64.powi(T::MANTISSA_BITS as i32)));
    let size = y.abs(isa);
    let whole = round::<S, T>(isa, size).select_equal(isa, size, one, zero);
    limit.select_greater(isa, size, whole, size.select_equal(isa, size, one, zero))
}

/// ln of positive x as a sum of two numbers; the second is zero where the first is not finite.
#[inline(always)]
fn ln_in_two<S: Isa, T: Scalar>(isa: S, x: T::Lanes<S>) -> [T::Lanes<S>; 2] {
    let splat = |value: T| T::Lanes::<S>::splat(isa, value);
    let zero = splat(T::ZERO);
    let Logarithm { exponent, f, s, rest } = take_apart::<S, T>(isa, x);
    // The quotient s = f / (2 + f) and what it misses: f = s (2 + f) + remainder.
    let two = splat(T::from_f64(2.0));
    let divisor = two.add(isa, f);
    let divisor_low = f.sub(isa, divisor.sub(isa, two));
    let remainder = zero.sub(isa, s).mul_add(isa, divisor, f).sub(isa, s.mul(isa, divisor_low));
    let s_low = remainder.div(isa, divisor);
    let twice = s.add(isa, s);
    let [high_2, low_2] = T::LN.ln_2.map(splat);
    let scaled = exponent.mul(isa, high_2);
    // The exact sum of the two large terms, then all that is small.
    let (sum, lost) = two_sum::<S, T>(isa, scaled, twice);
    let small = exponent.mul_add(isa, low_2, s.mul_add(isa, rest, s_low.add(isa, s_low))).add(isa, lost);
    let (high, low) = two_sum::<S, T>(isa, sum, small);
    let high = limits::<S, T>(isa, x, high);
    let low = x.select_equal(isa, zero, zero, low);
    [high, x.select_equal(isa, splat(T::INFINITY), zero, low)]
}

/// a + b as the rounded sum and what rounding lost (Knuth).
#[inline(always)]
fn two_sum<S: Isa, T: Scalar>(isa: S, a: T::Lanes<S>, b: T::Lanes<S>) -> (T::Lanes<S>, T::Lanes<S>) {
    let sum = a.add(isa, b);
    let part = sum.sub(isa, a);
    let lost = a.sub(isa, sum.sub(isa, part)).add(isa, b.sub(isa, part));
    (sum, lost)
}
