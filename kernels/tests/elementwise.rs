//! exp at every level against its slow twin.

mod support;

use lanegrad_kernels::dispatch::{dispatch_at, supported};
use lanegrad_kernels::isa::{Level, Scalar};
use lanegrad_kernels::math::Exp;
use support::uniform;

fn exp_at<T: Scalar>(level: Level, x: &[T]) -> Vec<T> {
    let mut y = vec![T::ZERO; x.len()];
    dispatch_at(level, Exp::new(x, &mut y).unwrap()).unwrap();
    y
}

/// Every 509th `f32`, so that all exponents and both signs are met: 8.4 million of them.
#[test]
fn exp_of_f32_is_within_its_stated_error() {
    let all: Vec<f32> = (0..=u32::MAX).step_by(509).map(f32::from_bits).collect();
    for level in supported() {
        let limit = if level == Level::Portable { 2.0 } else { 1.0 };
        let mut worst = (0.0, 0.0);
        for (&x, &y) in all.iter().zip(&exp_at(level, &all)) {
            let exact = f64::from(x).exp();
            if x.is_nan() {
                assert!(y.is_nan());
            } else if (exact as f32).is_infinite() {
                assert!(y.is_infinite() || f32::MAX - y <= f32::MAX * f32::EPSILON, "{level} exp({x}) = {y}");
            } else {
                // The spacing of `f32` at the exact result, subnormal ones included.
                let spacing = f64::from(f32::from_bits((exact as f32).to_bits() + 1)) - f64::from(exact as f32);
                let error = (f64::from(y) - exact).abs() / spacing;
                worst = if error > worst.0 { (error, x) } else { worst };
            }
        }
        println!("{level}: exp is off by at most {:.3} units, at {}", worst.0, worst.1);
        assert!(worst.0 <= limit, "{level}: {} units at {}", worst.0, worst.1);
    }
}

#[test]
fn exp_of_f64_is_within_its_stated_error() {
    let mut x: Vec<f64> = uniform::<f64>(1, 300_000).iter().map(|x| x * 700.0).collect();
    x.extend(uniform::<f64>(2, 100_000));
    x.extend([-745.0, -744.0, -709.0, -708.0, 709.7, 0.0, -0.0, 1e-300]);
    for level in supported() {
        for (&x, &y) in x.iter().zip(&exp_at(level, &x)) {
            let exact = x.exp();
            let spacing = f64::from_bits(exact.to_bits() + 1) - exact;
            // The standard library's own exp may be off by half a unit.
            assert!((y - exact).abs() <= 2.5 * spacing, "{level} exp({x}) = {y}, not {exact}");
        }
        let special = exp_at(level, &[f64::NEG_INFINITY, f64::INFINITY, f64::NAN, 1e308, -1e308, 710.0]);
        assert_eq!(special[0], 0.0);
        assert_eq!(special[1], f64::INFINITY);
        assert!(special[2].is_nan());
        assert_eq!(special[3..], [f64::INFINITY, 0.0, f64::INFINITY]);
    }
}

#[test]
fn lengths_that_do_not_agree_are_refused() {
    assert!(Exp::new(&[0.0_f32; 3], &mut [0.0; 2]).is_err());
}
