//! The logistic sigmoid and its relatives on lanes.

use super::{Reduced, exp_lanes, ln_1p_lanes, polynomial, power_of_two, reduce};
use crate::isa::{Isa, Lanes, Scalar};

/// exp(x) - 1 of each lane, accurate where x is small too: the error is at most 4 units in the last place.
///
/// x = n ln 2 + r, exp(x) - 1 = 2^n (exp(r) - 1) + (2^n - 1).
#[inline(always)]
pub fn exp_m1_lanes<S: Isa, T: Scalar>(isa: S, x: T::Lanes<S>) -> T::Lanes<S> {
    let splat = |value: T| T::Lanes::<S>::splat(isa, value);
    // Below this exp(x) is less than a unit of 1, so that 2^n is never subnormal.
    let lowest = splat(T::from_f64(-f64::from(T::MANTISSA_BITS + 3)));
    let Reduced { n, r } = reduce::<S, T>(isa, lowest.select_greater(isa, x, lowest, x));
    let (constant, powers) = T::EXP.series.split_last().expect("the series has a constant term");
    debug_assert!(*constant == T::ONE);
    let rest = polynomial::<S, T>(isa, r, powers).mul(isa, r);
    // 2^n may be beyond the largest number, half of it is not.
    let half = power_of_two::<S, T>(isa, n.sub(isa, splat(T::ONE)));
    let sum = half.mul_add(isa, rest, half.sub(isa, splat(T::from_f64(0.5))));
    sum.add(isa, sum)
}

/// tanh of each lane; the error is at most 5 units in the last place.
///
/// tanh(|x|) = -t / (t + 2) with t = exp(-2|x|) - 1.
#[inline(always)]
pub fn tanh_lanes<S: Isa, T: Scalar>(isa: S, x: T::Lanes<S>) -> T::Lanes<S> {
    let (zero, two) = (T::Lanes::<S>::splat(isa, T::ZERO), T::Lanes::<S>::splat(isa, T::from_f64(2.0)));
    let size = x.abs(isa);
    let t = exp_m1_lanes::<S, T>(isa, zero.sub(isa, size.add(isa, size)));
    let y = zero.sub(isa, t).div(isa, t.add(isa, two));
    let y = zero.select_greater(isa, x, zero.sub(isa, y), y);
    // Keeps the sign of zero, and NaN.
    x.select_equal(isa, zero, x, y)
}

/// 1 / (1 + exp(-x)) of each lane; the error is at most 4 units in the last place, where the result is not subnormal.
#[inline(always)]
pub fn sigmoid_lanes<S: Isa, T: Scalar>(isa: S, x: T::Lanes<S>) -> T::Lanes<S> {
    let (zero, one) = (T::Lanes::<S>::splat(isa, T::ZERO), T::Lanes::<S>::splat(isa, T::ONE));
    // exp(-|x|) never overflows; for negative x it is the numerator.
    let small = exp_lanes::<S, T>(isa, zero.sub(isa, x.abs(isa)));
    zero.select_greater(isa, x, small, one).div(isa, small.add(isa, one))
}

/// ln(1 + exp(x)) of each lane; the error is at most 5 units in the last place, where the result is not subnormal.
///
/// max(x, 0) + ln(1 + exp(-|x|)).
#[inline(always)]
pub fn softplus_lanes<S: Isa, T: Scalar>(isa: S, x: T::Lanes<S>) -> T::Lanes<S> {
    let zero = T::Lanes::<S>::splat(isa, T::ZERO);
    let small = exp_lanes::<S, T>(isa, zero.sub(isa, x.abs(isa)));
    x.max(isa, zero).add(isa, ln_1p_lanes::<S, T>(isa, small))
}
