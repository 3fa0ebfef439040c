//! The elementary functions at every level against the standard library's, in `f64`.

mod support;

use lanegrad_kernels::dispatch::{dispatch_at, supported};
use lanegrad_kernels::elementwise::{Elementwise, Function};
use lanegrad_kernels::isa::{Isa, Level, Scalar};
use lanegrad_kernels::math;
use support::uniform;

/// A function of the kernels, of so many numbers, and its slow twin.
macro_rules! function {
    ($name:ident, $count:literal, $lanes:ident($($x:ident),+), $twin:expr) => {
        #[derive(Clone, Copy)]
        struct $name;

        impl<T: Scalar> Function<T, $count> for $name {
            #[inline(always)]
            fn lanes<S: Isa>(&self, isa: S, [$($x),+]: [T::Lanes<S>; $count]) -> T::Lanes<S> {
                math::$lanes::<S, T>(isa, $($x),+)
            }
        }

        impl Twin<$count> for $name {
            fn exact([$($x),+]: [f64; $count]) -> f64 {
                $twin
            }
        }
    };
}

trait Twin<const N: usize> {
    fn exact(x: [f64; N]) -> f64;
}

function!(Ln, 1, ln_lanes(x), x.ln());
function!(Ln1p, 1, ln_1p_lanes(x), x.ln_1p());
function!(ExpM1, 1, exp_m1_lanes(x), x.exp_m1());
function!(Tanh, 1, tanh_lanes(x), x.tanh());
function!(Sigmoid, 1, sigmoid_lanes(x), if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) });
function!(Softplus, 1, softplus_lanes(x), x.max(0.0) + (-x.abs()).exp().ln_1p());
function!(Pow, 2, pow_lanes(x, y), x.powf(y));

fn values_at<T: Scalar, F: Function<T, N>, const N: usize>(level: Level, f: F, x: [&[T]; N]) -> Vec<T> {
    let mut y = vec![T::ZERO; x[0].len()];
    dispatch_at(level, Elementwise::flat(f, x, &mut y, false).unwrap()).unwrap();
    y
}

/// Spacing of the numbers of `T` near x; that of the smallest normal number for those below.
fn spacing<T: Scalar>(x: f64) -> f64 {
    let smallest = T::MIN_POSITIVE.to_f64();
    let exponent = x.abs().max(smallest).log2().floor();
    (exponent - f64::from(T::MANTISSA_BITS)).exp2()
}

/// Checks that f is off by at most `limit(x)` units in the last place wherever the result is a normal number.
fn check<T: Scalar, F, const N: usize>(f: F, x: [&[T]; N], limit: impl Fn(Level, [f64; N]) -> f64)
where
    F: Function<T, N> + Twin<N>,
{
    for level in supported() {
        let mut worst = (0.0, [0.0; N]);
        for (i, y) in values_at(level, f, x).into_iter().enumerate() {
            let x = x.map(|x| x[i].to_f64());
            let exact = F::exact(x);
            let (y, rounded) = (y.to_f64(), T::from_f64(exact).to_f64());
            if exact.is_nan() {
                assert!(y.is_nan(), "{level} {x:?}: {y}, not NaN");
            } else if rounded.is_infinite() || rounded == 0.0 {
                let near = rounded.is_infinite() && (y - T::from_f64(f64::MAX).to_f64()).abs() < 1e32;
                let tiny = rounded == 0.0 && y.abs() <= T::MIN_POSITIVE.to_f64() * T::EPSILON.to_f64();
                assert!(y == rounded || near || tiny, "{level} {x:?}: {y}, not {exact}");
            } else {
                let error = (y - exact).abs() / spacing::<T>(exact);
                assert!(error <= limit(level, x), "{level} {x:?}: {y}, not {exact}: {error} units");
                worst = if error > worst.0 { (error, x) } else { worst };
            }
        }
        println!("{level} {} bits: at most {:.2} units, at {:?}", T::MANTISSA_BITS + 1, worst.0, worst.1);
    }
}

/// Every 4001st `f32`, so that all exponents, both signs, subnormal numbers, infinities and NaN are met.
fn all_f32() -> Vec<f32> {
    let mut all: Vec<f32> = (0..=u32::MAX).step_by(4001).map(f32::from_bits).collect();
    all.extend([0.0, -0.0, 1.0, -1.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MIN_POSITIVE, f32::MAX]);
    all
}

/// Numbers of all sizes between `lowest` and `highest`, either sign, and special ones.
fn some_f64(scale: f64) -> Vec<f64> {
    let mut all: Vec<f64> = uniform::<f64>(1, 200_000).iter().map(|x| x * scale).collect();
    all.extend(uniform::<f64>(2, 100_000).iter().map(|x| x.signum() * (x.abs() * 60.0 - 50.0).exp()));
    all.extend([0.0, -0.0, 1.0, -1.0, 1e-310, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, f64::MIN_POSITIVE, f64::MAX]);
    all
}

#[test]
fn functions_of_one_number_are_within_their_stated_errors() {
    let all = all_f32();
    let wide = some_f64(800.0);
    // The standard library's functions may be off by a unit themselves.
    check::<f32, _, 1>(Ln, [&all], |_, _| 2.0);
    check::<f64, _, 1>(Ln, [&wide], |_, _| 3.0);
    check::<f32, _, 1>(ExpM1, [&all], |_, _| 4.0);
    check::<f64, _, 1>(ExpM1, [&wide], |_, _| 5.0);
    check::<f32, _, 1>(Tanh, [&all], |_, _| 5.0);
    check::<f64, _, 1>(Tanh, [&some_f64(20.0)], |_, _| 6.0);
    check::<f32, _, 1>(Sigmoid, [&all], |_, _| 4.0);
    check::<f64, _, 1>(Sigmoid, [&wide], |_, _| 5.0);
    check::<f32, _, 1>(Softplus, [&all], |_, _| 5.0);
    check::<f64, _, 1>(Softplus, [&wide], |_, _| 6.0);
    let above: Vec<f32> = all.iter().copied().filter(|&x| x > -1.0).collect();
    check::<f32, _, 1>(Ln1p, [&above], |_, _| 4.0);
    let above: Vec<f64> = wide.iter().copied().filter(|&x| x > -1.0).collect();
    check::<f64, _, 1>(Ln1p, [&above], |_, _| 5.0);
}

#[test]
fn powers_are_within_their_stated_error() {
    let limit = |own: f64| {
        move |level: Level, [x, y]: [f64; 2]| match level {
            Level::Portable => own + (2.0 * (y * x.abs().ln()).abs()).max(0.0),
            _ => own,
        }
    };
    let specials = [0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 7.5, 1e30, -1e30, 16_777_217.0];
    let infinite = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
    let mut pairs: Vec<[f64; 2]> = Vec::new();
    for x in specials.into_iter().chain(infinite) {
        pairs.extend(specials.into_iter().chain(infinite).map(|y| [x, y]));
    }
    let (bases, exponents) = (uniform::<f64>(1, 200_000), uniform::<f64>(2, 200_000));
    pairs.extend(bases.iter().zip(&exponents).map(|(x, y)| [(x * 20.0).exp(), y * 5.0]));
    pairs.extend(bases.iter().zip(&exponents).map(|(x, y)| [1.0 + x * 1e-3, y * 8e4]));
    pairs.extend(bases.iter().zip(&exponents).map(|(x, y)| [x * 3.0, (y * 20.0).round()]));
    let column = |i: usize| pairs.iter().map(|pair| pair[i]).collect::<Vec<f64>>();
    let [x, y] = [0, 1].map(column);
    check::<f64, _, 2>(Pow, [&x, &y], limit(4.0));
    let [x, y] = [x, y].map(|column| column.iter().map(|&x| x as f32).collect::<Vec<f32>>());
    check::<f32, _, 2>(Pow, [&x, &y], limit(3.0));
}
