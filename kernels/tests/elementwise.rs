//! exp and the update rules at every level against their slow twins.

mod support;

use lanegrad_kernels::dispatch::{dispatch_at, supported};
use lanegrad_kernels::isa::{Level, Scalar};
use lanegrad_kernels::math::Exp;
use lanegrad_kernels::reference;
use lanegrad_kernels::update::{Momentum, Sgd, Update};
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
fn update_rules_agree_with_their_definitions() {
    for length in [0, 1, 3, 4, 7, 8, 15, 16, 17, 33, 100] {
        let (w, dw, v) = (uniform::<f32>(1, length), uniform::<f32>(2, length), uniform::<f32>(3, length));
        let (rate, momentum, decay) = (0.1_f32, 0.9_f32, 0.02_f32);
        for level in supported() {
            let mut updated = w.clone();
            dispatch_at(level, Update::new(Sgd { rate }, decay, &mut updated, &dw, &mut []).unwrap()).unwrap();
            for i in 0..length {
                let wanted = reference::sgd(rate.into(), decay.into(), w[i].into(), dw[i].into());
                assert!((f64::from(updated[i]) - wanted).abs() < 2e-7, "{level} {length} {i}");
            }
            let (mut updated, mut velocity) = (w.clone(), v.clone());
            let rule = Momentum { rate, momentum };
            dispatch_at(level, Update::new(rule, decay, &mut updated, &dw, &mut velocity).unwrap()).unwrap();
            for i in 0..length {
                let (wanted, wanted_velocity) = reference::momentum(
                    rate.into(),
                    momentum.into(),
                    decay.into(),
                    w[i].into(),
                    dw[i].into(),
                    v[i].into(),
                );
                assert!((f64::from(updated[i]) - wanted).abs() < 3e-7, "{level} {length} {i}");
                assert!((f64::from(velocity[i]) - wanted_velocity).abs() < 3e-7, "{level} {length} {i}");
            }
        }
    }
}

/// The one-step value that the CS231n assignment prints for its momentum update, first and last element.
#[test]
fn momentum_gives_the_value_of_the_assignment() {
    let line = |from: f64, to: f64| (0..20).map(|i| from + (to - from) * f64::from(i) / 19.0).collect::<Vec<f64>>();
    for level in supported() {
        let (mut w, dw, mut v) = (line(-0.4, 0.6), line(-0.6, 0.4), line(0.6, 0.9));
        let rule = Momentum { rate: 1e-3, momentum: 0.9 };
        dispatch_at(level, Update::new(rule, 0.0, &mut w, &dw, &mut v).unwrap()).unwrap();
        assert!((w[0] - 0.1406).abs() < 1e-8 && (w[1] - 0.207_389_47).abs() < 1e-8 && (w[19] - 1.4096).abs() < 1e-8);
    }
}

#[test]
fn lengths_that_do_not_agree_are_refused() {
    assert!(Exp::new(&[0.0_f32; 3], &mut [0.0; 2]).is_err());
    let rule = Momentum { rate: 0.1_f32, momentum: 0.9 };
    assert!(Update::new(rule, 0.0, &mut [0.0; 3], &[0.0; 2], &mut [0.0; 3]).is_err());
    assert!(Update::new(rule, 0.0, &mut [0.0; 3], &[0.0; 3], &mut []).is_err());
    assert!(Update::new(Sgd { rate: 0.1_f32 }, 0.0, &mut [0.0; 3], &[0.0; 3], &mut [0.0; 3]).is_err());
}
