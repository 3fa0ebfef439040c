//! The update rules and the clipping of gradients at every level against their slow twins.

mod support;

use lanegrad_kernels::dispatch::{dispatch_at, supported};
use lanegrad_kernels::isa::{Level, Scalar};
use lanegrad_kernels::parallel::Threads;
use lanegrad_kernels::reference::UpdateRule as Plain;
use lanegrad_kernels::update::clip::{Clamp, ForEach, Scale, SumOfSquares};
use lanegrad_kernels::update::{
    Adadelta, Adagrad, Adam, AdamSettings, AdamW, GravesRmsProp, Lion, Momentum, Nesterov, RmsProp, Rule, Segment, Sgd,
    Update,
};
use lanegrad_kernels::{Error, update};
use support::uniform;

/// Around every lane count, and beyond several vectors.
const LENGTHS: [usize; 16] = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 100];

const ADAM: AdamSettings = AdamSettings { rate: 0.03, beta1: 0.8, beta2: 0.99, epsilon: 1e-6 };

/// Every rule as its twin, at settings whose every part matters.
const RULES: [Plain; 10] = [
    Plain::Sgd { rate: 0.1 },
    Plain::Momentum { rate: 0.1, momentum: 0.8 },
    Plain::Nesterov { rate: 0.1, momentum: 0.8 },
    Plain::Adagrad { rate: 0.1, epsilon: 0.01 },
    Plain::Adadelta { rate: 0.7, rho: 0.9, epsilon: 0.01 },
    Plain::RmsProp { rate: 0.1, rho: 0.9, epsilon: 0.01 },
    Plain::GravesRmsProp { rate: 0.1, rho: 0.95, momentum: 0.8, epsilon: 0.01 },
    Plain::Adam { rate: ADAM.rate, beta1: ADAM.beta1, beta2: ADAM.beta2, epsilon: ADAM.epsilon },
    Plain::AdamW { rate: ADAM.rate, beta1: ADAM.beta1, beta2: ADAM.beta2, epsilon: ADAM.epsilon, weight_decay: 0.2 },
    Plain::Lion { rate: 0.03, beta1: 0.7, beta2: 0.95, weight_decay: 0.2 },
];

/// One pass at one level; the state has three slots, of which the rule's own are handed over.
struct Pass<'a, T> {
    level: Level,
    decay: T,
    segments: Option<&'a [Segment]>,
    parameters: &'a mut [T],
    gradient: &'a [T],
    state: &'a mut [T],
}

impl<T: Scalar> Pass<'_, T> {
    fn with<R: Rule<T>>(self, rule: R) -> Result<(), Error> {
        let Self { level, decay, segments, parameters, gradient, state } = self;
        // A pass over segments gets slots that are longer than the parameters.
        let slot = state.len() / 3;
        let state = &mut state[..R::SLOTS * slot];
        let update = match segments {
            Some(segments) => Update::of_segments(rule, decay, segments, parameters, gradient, state)?,
            None => Update::new(rule, decay, parameters, gradient, state)?,
        };
        dispatch_at(level, update)
    }

    fn run(self, rule: Plain, step: u64) -> Result<(), Error> {
        let as_t = T::from_f64;
        match rule {
            Plain::Sgd { rate } => self.with(Sgd { rate: as_t(rate) }),
            Plain::Momentum { rate, momentum } => self.with(Momentum { rate: as_t(rate), momentum: as_t(momentum) }),
            Plain::Nesterov { rate, momentum } => self.with(Nesterov { rate: as_t(rate), momentum: as_t(momentum) }),
            Plain::Adagrad { rate, epsilon } => self.with(Adagrad { rate: as_t(rate), epsilon: as_t(epsilon) }),
            Plain::Adadelta { rate, rho, epsilon } => self.with(Adadelta::new(rate, rho, epsilon)),
            Plain::RmsProp { rate, rho, epsilon } => self.with(RmsProp::new(rate, rho, epsilon)),
            Plain::GravesRmsProp { rate, rho, momentum, epsilon } => {
                self.with(GravesRmsProp::new(rate, rho, momentum, epsilon))
            }
            Plain::Adam { .. } => self.with(Adam::new(ADAM, step)),
            Plain::AdamW { weight_decay, .. } => self.with(AdamW::new(ADAM, weight_decay, step)),
            Plain::Lion { rate, beta1, beta2, weight_decay } => {
                self.with(Lion::new(rate, (beta1, beta2), weight_decay))
            }
        }
    }
}

/// Three steps of every rule, each compared with its twin.
fn follow_the_definition<T: Scalar>(tolerance: f64) {
    let decay = 0.02;
    for length in LENGTHS {
        for (level, rule) in supported().flat_map(|level| RULES.map(|rule| (level, rule))) {
            let (mut x, mut state) = (uniform::<T>(1, length), vec![T::ZERO; 3 * length]);
            let mut plain: Vec<(f64, [f64; 3])> = x.iter().map(|x| (x.to_f64(), [0.0; 3])).collect();
            for step in 1..=3 {
                let dx = uniform::<T>(10 + step, length);
                let pass = Pass {
                    level,
                    decay: T::from_f64(decay),
                    segments: None,
                    parameters: &mut x,
                    gradient: &dx,
                    state: &mut state,
                };
                pass.run(rule, step).unwrap();
                for (i, (wanted, slots)) in plain.iter_mut().enumerate() {
                    let gradient = dx[i].to_f64() + decay * *wanted;
                    *wanted = rule.step(step as i32, *wanted, gradient, slots);
                    let error = (x[i].to_f64() - *wanted).abs();
                    assert!(error < tolerance, "{rule:?} {level}, step {step}, {i} of {length}: off by {error}");
                }
            }
        }
    }
}

#[test]
fn rules_agree_with_their_definitions_in_f32() {
    follow_the_definition::<f32>(4e-6);
}

#[test]
fn rules_agree_with_their_definitions_in_f64() {
    follow_the_definition::<f64>(1e-14);
}

fn segments() -> Vec<Segment> {
    let segment = |range, regularised| Segment { range, regularised };
    vec![
        segment(3..40, true),
        segment(40..41, false),
        segment(41..41, true),
        segment(64..70_000, false),
        segment(80_001..99_990, true),
    ]
}

/// An arena of 100,000: gaps keep their NaN, segments get what a pass of their own gives, at 1 to 3 threads alike.
#[test]
fn a_pass_over_segments_is_a_pass_over_each() {
    const LENGTH: usize = 100_000;
    const SLOT: usize = LENGTH + 16;
    let segments = segments();
    let gap = |i: usize| !segments.iter().any(|segment| segment.range.contains(&i));
    let arena = |seed| {
        let mut values = uniform::<f32>(seed, LENGTH);
        (0..LENGTH).filter(|&i| gap(i)).for_each(|i| values[i] = f32::NAN);
        values
    };
    let (start, dx) = (arena(1), arena(2));
    let decay = 0.02;
    for rule in RULES {
        let level = supported().last().unwrap();
        let state = uniform::<f32>(3, 3 * SLOT).iter().map(|x| x * x).collect::<Vec<f32>>();
        let mut wanted = start.clone();
        let mut wanted_state = state.clone();
        for Segment { range, regularised } in &segments {
            let mut part: Vec<f32> = (0..3).flat_map(|k| state[k * SLOT..][range.clone()].to_vec()).collect();
            let rule = match (rule, *regularised) {
                (Plain::AdamW { rate, beta1, beta2, epsilon, .. }, false) => {
                    Plain::Adam { rate, beta1, beta2, epsilon }
                }
                (Plain::Lion { rate, beta1, beta2, .. }, false) => {
                    Plain::Lion { rate, beta1, beta2, weight_decay: 0.0 }
                }
                _ => rule,
            };
            let decay = if *regularised { decay } else { 0.0 };
            let parameters = &mut wanted[range.clone()];
            let gradient = &dx[range.clone()];
            Pass { level, decay, segments: None, parameters, gradient, state: &mut part }.run(rule, 5).unwrap();
            for k in 0..3 {
                wanted_state[k * SLOT..][range.clone()].copy_from_slice(&part[k * range.len()..][..range.len()]);
            }
        }
        for threads in [1, 2, 3] {
            let (mut x, mut found) = (start.clone(), state.clone());
            let pass =
                Pass { level, decay, segments: Some(&segments), parameters: &mut x, gradient: &dx, state: &mut found };
            Threads::new(threads).unwrap().run(|| pass.run(rule, 5)).unwrap();
            let same = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same(&x, &wanted), "{rule:?} on {threads} threads");
            assert!(same(&found, &wanted_state), "state of {rule:?} on {threads} threads");
        }
    }
}

/// A constant gradient has no variance; what rounding leaves of it must not become the root of a negative number.
#[test]
fn graves_rule_survives_a_constant_gradient() {
    for level in supported() {
        let (mut x, mut state) = (vec![0.0_f32; 40], vec![0.0; 120]);
        let dx: Vec<f32> = (0..40).map(|i| 1e3 + 0.37 * i as f32).collect();
        for _ in 0..2000 {
            let rule = GravesRmsProp::new(1e-4, 0.95, 0.9, 1e-8);
            dispatch_at(level, Update::new(rule, 0.0, &mut x, &dx, &mut state).unwrap()).unwrap();
        }
        assert!(x.iter().all(|x| x.is_finite() && *x < 0.0), "{level}: {x:?}");
    }
}

/// Zero has no sign, and a gradient that is no number shows.
#[test]
fn lion_takes_the_sign_of_zero_and_of_nan() {
    for level in supported() {
        let (mut x, mut state) = ([1.0_f32; 5], [0.0; 5]);
        let dx = [0.0, -0.0, f32::NAN, 3.0, -3.0];
        let rule = Lion::new(0.5, (0.9, 0.99), 0.0);
        dispatch_at(level, Update::new(rule, 0.0, &mut x, &dx, &mut state).unwrap()).unwrap();
        assert_eq!((x[0], x[1], x[3], x[4]), (1.0, 1.0, 0.5, 1.5));
        assert!(x[2].is_nan());
    }
}

fn same_sum<T: Scalar>() {
    let segments = segments();
    let values: Vec<T> = uniform(7, 100_000);
    let wanted: f64 = segments.iter().flat_map(|s| &values[s.range.clone()]).map(|x| x.to_f64() * x.to_f64()).sum();
    let mut all = Vec::new();
    for level in supported() {
        for threads in [1, 2, 3] {
            let sum = SumOfSquares::new(&segments, &values).unwrap();
            all.push(Threads::new(threads).unwrap().run(|| dispatch_at(level, sum)).unwrap());
        }
    }
    assert!((all[0] - wanted).abs() < 1e-12 * wanted, "{} is not {wanted}", all[0]);
    assert!(all.iter().all(|sum| sum.to_bits() == all[0].to_bits()), "{all:?}");
}

#[test]
fn the_sum_of_squares_has_the_same_bits_everywhere() {
    same_sum::<f32>();
    same_sum::<f64>();
    assert_eq!(update::clip::sum_of_squares::<f32>(&[], &[]).unwrap(), 0.0);
}

#[test]
fn segments_are_scaled_and_limited_and_gaps_are_not() {
    let segments = [Segment { range: 1..20, regularised: true }, Segment { range: 22..39, regularised: false }];
    let start = uniform::<f64>(8, 40);
    for level in supported() {
        let (mut scaled, mut limited) = (start.clone(), start.clone());
        limited[5] = f64::NAN;
        dispatch_at(level, ForEach::new(Scale(0.5), &segments, &mut scaled).unwrap()).unwrap();
        dispatch_at(level, ForEach::new(Clamp(0.25), &segments, &mut limited).unwrap()).unwrap();
        for (i, &x) in start.iter().enumerate() {
            let inside = segments.iter().any(|segment| segment.range.contains(&i));
            assert_eq!(scaled[i], if inside { 0.5 * x } else { x });
            if i == 5 {
                assert!(limited[i].is_nan());
            } else {
                assert_eq!(limited[i], if inside { x.clamp(-0.25, 0.25) } else { x });
            }
        }
    }
}

#[test]
fn operands_that_do_not_agree_are_refused() {
    let rule = Momentum { rate: 0.1_f32, momentum: 0.9 };
    assert!(Update::new(rule, 0.0, &mut [0.0; 3], &[0.0; 2], &mut [0.0; 3]).is_err());
    assert!(Update::new(rule, 0.0, &mut [0.0; 3], &[0.0; 3], &mut []).is_err());
    assert!(Update::new(Sgd { rate: 0.1_f32 }, 0.0, &mut [0.0; 3], &[0.0; 3], &mut [0.0; 3]).is_err());
    let refused = |ranges: &[std::ops::Range<usize>]| {
        let segments: Vec<Segment> =
            ranges.iter().map(|range| Segment { range: range.clone(), regularised: true }).collect();
        let error = SumOfSquares::new(&segments, &[0.0_f32; 10]).unwrap_err();
        let mut x = [1.0_f32; 10];
        assert_eq!(
            update::update_segments(Sgd { rate: 1.0 }, 0.0, &segments, &mut x, &[1.0; 10], &mut []),
            Err(error.clone())
        );
        assert_eq!(x, [1.0; 10]);
        error
    };
    assert_eq!(refused(&[0..5, 4..6]), Error::Segment { position: 1, range: (4, 6), earliest: 5, length: 10 });
    assert_eq!(refused(&[0..5, 5..11]), Error::Segment { position: 1, range: (5, 11), earliest: 5, length: 10 });
    #[allow(clippy::reversed_empty_ranges)]
    let backwards = 5..4;
    assert_eq!(refused(&[backwards]), Error::Segment { position: 0, range: (5, 4), earliest: 0, length: 10 });
}
