//! Update rules through the public API: the lecture's oracles, clipping, and what a step promises.

use lanegrad::Error;
use lanegrad::kernels::parallel::Threads;
use lanegrad::optim::{Optimizer, Segment, Updater};

/// From `first` to `last` in 20 equal steps: the fixture of the CS231n assignment.
fn line(first: f64, last: f64) -> Vec<f64> {
    (0..20).map(|i| first + (last - first) * f64::from(i) / 19.0).collect()
}

fn whole(length: usize) -> [Segment; 1] {
    [Segment { range: 0..length, matrix: None, decay: true }]
}

/// An updater for one segment whose slots hold `slots` after `steps` steps.
fn started(optimizer: Optimizer, slots: &[Vec<f64>], steps: u64) -> Updater<f64> {
    let mut updater = Updater::new(optimizer, &whole(20)).unwrap();
    let mut state = updater.state().to_vec();
    assert_eq!(slots.len(), optimizer.slots(), "{optimizer:?}");
    for (values, slot) in slots.iter().zip(state.chunks_mut(updater.state().len().max(1) / slots.len().max(1))) {
        slot[..20].copy_from_slice(values);
    }
    updater.restore(&state, steps).unwrap();
    updater
}

/// The assignment's parameters after one step.
fn one_step(optimizer: Optimizer, slots: &[Vec<f64>], steps: u64) -> Vec<f64> {
    let (mut w, dw) = (line(-0.4, 0.6), line(-0.6, 0.4));
    let mut updater = started(optimizer, slots, steps);
    updater.step(&mut w, &dw, 0.0).unwrap();
    assert_eq!(updater.steps(), steps + 1);
    w
}

/// What one step makes of the fixture: rows 0 and 3 of 4 x 5.
struct Oracle {
    optimizer: Optimizer,
    slots: Vec<Vec<f64>>,
    steps: u64,
    rows: [f64; 10],
}

/// Momentum, RMSProp and Adam are printed in the CS231n assignment, to eight decimals; the others follow from the formulas
/// of the papers, computed in Python.
fn oracles() -> Vec<Oracle> {
    let (velocity, square) = (line(0.6, 0.9), line(0.7, 0.5));
    let oracle = |optimizer, slots: &[&Vec<f64>], steps, rows| Oracle {
        optimizer,
        slots: slots.iter().map(|&slot| slot.clone()).collect(),
        steps,
        rows,
    };
    let adam = Optimizer::adam(1e-2);
    let adam_w = Optimizer::AdamW { rate: 1e-2, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.1 };
    let lion = Optimizer::Lion { rate: 1e-2, beta1: 0.9, beta2: 0.99, weight_decay: 0.1 };
    vec![
        oracle(Optimizer::sgd(1e-2), &[], 0, SGD),
        oracle(Optimizer::momentum(1e-3), &[&velocity], 0, MOMENTUM),
        oracle(Optimizer::nesterov(1e-3), &[&velocity], 0, NESTEROV),
        oracle(Optimizer::adagrad(1e-2), &[&velocity], 0, ADAGRAD),
        oracle(Optimizer::adadelta(1.0), &[&velocity, &line(0.1, 0.2)], 0, ADADELTA),
        oracle(Optimizer::rms_prop(1e-2), &[&velocity], 0, RMS_PROP),
        oracle(Optimizer::graves_rms_prop(1e-2), &[&velocity, &line(-0.3, 0.5), &line(-0.1, 0.2)], 0, GRAVES),
        oracle(adam, &[&velocity, &square], 5, ADAM),
        oracle(adam_w, &[&velocity, &square], 5, ADAM_W),
        oracle(lion, &[&line(-0.1, 0.2)], 0, LION),
    ]
}

const SGD: [f64; 10] = [
    -0.394,
    -0.341_894_736_842,
    -0.289_789_473_684,
    -0.237_684_210_526,
    -0.185_578_947_368,
    0.387_578_947_368,
    0.439_684_210_526,
    0.491_789_473_684,
    0.543_894_736_842,
    0.596,
];
const MOMENTUM: [f64; 10] = [
    0.1406,
    0.207_389_473_684,
    0.274_178_947_368,
    0.340_968_421_053,
    0.407_757_894_737,
    1.142_442_105_263,
    1.209_231_578_947,
    1.276_021_052_632,
    1.342_810_526_316,
    1.4096,
];
const NESTEROV: [f64; 10] = [
    0.08714,
    0.152_461_052_632,
    0.217_782_105_263,
    0.283_103_157_895,
    0.348_424_210_526,
    1.066_955_789_474,
    1.132_276_842_105,
    1.197_597_894_737,
    1.262_918_947_368,
    1.32824,
];
const ADAGRAD: [f64; 10] = [
    -0.393_876_275_706,
    -0.341_647_395_527,
    -0.289_451_938_559,
    -0.237_289_591_692,
    -0.185_159_090_496,
    0.387_445_507_171,
    0.439_569_046_909,
    0.491_721_291_572,
    0.543_903_173_746,
    0.596_114_856_588,
];
const ADADELTA: [f64; 10] = [
    -0.152_563_143_577,
    -0.118_096_415_87,
    -0.084_529_206_109,
    -0.051_778_142_536,
    -0.019_767_441_425,
    0.299_681_363_756,
    0.326_856_681_611,
    0.353_859_048_851,
    0.380_712_195_726,
    0.407_438_072_082,
];
const RMS_PROP: [f64; 10] = [
    -0.392_238_494_843,
    -0.340_375_132_991,
    -0.288_492_388_467,
    -0.236_591_208_211,
    -0.184_672_471_953,
    0.387_392_476_338,
    0.439_471_024_09,
    0.491_559_731_366,
    0.543_658_234_281,
    0.595_766_188_234,
];
const GRAVES: [f64; 10] = [
    -0.481_418_714_803,
    -0.415_609_931_385,
    -0.349_701_986_878,
    -0.283_717_302_761,
    -0.217_672_491_493,
    0.510_353_243_383,
    0.576_533_972_816,
    0.642_692_107_58,
    0.708_820_855_608,
    0.774_912_090_21,
];
const ADAM: [f64; 10] = [
    -0.400_947_471_668,
    -0.348_361_868_967,
    -0.295_777_032_133,
    -0.243_192_988_37,
    -0.190_609_766_319,
    0.387_741_452_117,
    0.440_311_883_844,
    0.492_880_928_401,
    0.545_448_520_489,
    0.598_014_590_243,
];
const ADAM_W: [f64; 10] = [
    -0.400_547_471_668,
    -0.348_014_500_546,
    -0.295_482_295_291,
    -0.242_950_883_107,
    -0.190_420_292_635,
    0.387_351_978_433,
    0.439_869_778_58,
    0.492_386_191_559,
    0.544_901_152_068,
    0.597_414_590_243,
];
const LION: [f64; 10] = [
    -0.3896,
    -0.337_021_052_632,
    -0.284_442_105_263,
    -0.231_863_157_895,
    -0.179_284_210_526,
    0.379_084_210_526,
    0.431_663_157_895,
    0.484_242_105_263,
    0.536_821_052_632,
    0.5894,
];

fn relative_error(found: f64, wanted: f64) -> f64 {
    (found - wanted).abs() / wanted.abs()
}

#[test]
fn one_step_of_every_rule_gives_its_oracle() {
    for Oracle { optimizer, slots, steps, rows } in oracles() {
        let w = one_step(optimizer, &slots, steps);
        for (found, wanted) in w[..5].iter().chain(&w[15..]).zip(rows) {
            assert!(relative_error(*found, wanted) < 1e-7, "{optimizer:?}: {found}, not {wanted}");
        }
    }
}

#[test]
fn adam_at_another_step_is_another_rule() {
    let w = one_step(Optimizer::adam(1e-2), &[line(0.6, 0.9), line(0.7, 0.5)], 4);
    assert!(relative_error(w[0], -0.400_989_88) < 1e-7);
    assert!(relative_error(w[0], ADAM[0]) > 1e-5);
}

/// Beale's function, which Radford's contour picture shows: (1.5 - x + x y)^2 + (2.25 - x + x y^2)^2 + (2.625 - x + x y^3)^2.
fn beale([x, y]: [f64; 2]) -> (f64, [f64; 2]) {
    let (a, b, c) = (1.5 - x + x * y, 2.25 - x + x * y * y, 2.625 - x + x * y.powi(3));
    let dx = 2.0 * a * (y - 1.0) + 2.0 * b * (y * y - 1.0) + 2.0 * c * (y.powi(3) - 1.0);
    (a * a + b * b + c * c, [dx, 2.0 * a * x + 4.0 * b * x * y + 6.0 * c * x * y * y])
}

/// The function's value where `steps` steps from (1, 1.5) end.
fn descend(optimizer: Optimizer, steps: usize) -> f64 {
    let mut updater = Updater::<f64>::new(optimizer, &whole(2)).unwrap();
    let mut place = [1.0, 1.5];
    for _ in 0..steps {
        let gradient = beale(place).1;
        updater.step(&mut place, &gradient, 0.0).unwrap();
    }
    beale(place).0
}

#[test]
fn a_hundred_steps_down_beales_function() {
    assert_eq!(beale([1.0, 1.5]), (41.25, [34.5, 92.5]));
    let fast_rms_prop = Optimizer::RmsProp { rate: 1e-2, rho: 0.9, epsilon: 1e-8 };
    let adam_w = Optimizer::AdamW { rate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 };
    // After 100 steps; and a bound after 1000 and 10,000, where rounding decides the digits of some.
    for (optimizer, wanted, bounds) in [
        (Optimizer::sgd(1e-3), 2.826_109_547_692_534_6, [0.087, 5.4e-5]),
        (Optimizer::momentum(1e-3), 0.123_574_621_538_62, [4.4e-5, 1e-20]),
        (Optimizer::nesterov(1e-3), 0.115_432_043_398_427_62, [4.5e-5, 1e-20]),
        (Optimizer::adagrad(0.1), 4.723_348_481_465_63, [0.07, 3.2e-5]),
        (fast_rms_prop, 6.749_977_419_726_335, [9e-4, 9e-4]),
        (Optimizer::adam(1e-2), 12.432_693_962_803_878, [0.04, 1e-4]),
        (Optimizer::adam(0.1), 0.072_557_417_350_959_98, [1e-8, 1e-4]),
        (Optimizer::adadelta(1.0), 19.234_212_992_806_558, [0.2, 0.2]),
        (Optimizer::graves_rms_prop(1e-2), 0.012_666_830_362_718_538, [1e-3, 1e-3]),
        (adam_w, 0.097_833_380_222_79, [0.003, 1e-4]),
        (Optimizer::lion(1e-2), 13.455_725, [1e-3, 1e-3]),
    ] {
        let found = descend(optimizer, 100);
        assert!(relative_error(found, wanted) < 1e-6, "{optimizer:?}: {found}, not {wanted}");
        for (steps, bound) in [1000, 10_000].into_iter().zip(bounds) {
            let found = descend(optimizer, steps);
            assert!(found < bound, "{optimizer:?} after {steps} steps: {found}");
        }
    }
}

/// The saddle 4 x^2 - y^2 from (0.25, y): the step at which its value is below -1.
fn leave_the_saddle(optimizer: Optimizer, y: f64) -> Option<usize> {
    let mut updater = Updater::<f64>::new(optimizer, &whole(2)).unwrap();
    let mut place = [0.25, y];
    (1..=1000).find(|_| {
        let gradient = [8.0 * place[0], -2.0 * place[1]];
        updater.step(&mut place, &gradient, 0.0).unwrap();
        4.0 * place[0] * place[0] - place[1] * place[1] < -1.0
    })
}

#[test]
fn a_saddle_is_left_in_the_order_of_the_picture_and_never_from_its_ridge() {
    for (optimizer, steps) in [
        (Optimizer::Adadelta { rate: 1.0, rho: 0.95, epsilon: 1e-4 }, 13),
        (Optimizer::adagrad(0.1), 17),
        (Optimizer::nesterov(1e-2), 67),
        (Optimizer::momentum(1e-2), 72),
        (Optimizer::RmsProp { rate: 1e-2, rho: 0.9, epsilon: 1e-8 }, 72),
        (Optimizer::adam(1e-2), 77),
        (Optimizer::sgd(1e-2), 349),
    ] {
        assert_eq!(leave_the_saddle(optimizer, 1e-3), Some(steps), "{optimizer:?}");
        assert_eq!(leave_the_saddle(optimizer, 0.0), None, "{optimizer:?}");
    }
}

/// Every rule with the settings of its constructor.
fn all() -> [Optimizer; 11] {
    [
        Optimizer::sgd(0.01),
        Optimizer::momentum(0.01),
        Optimizer::nesterov(0.01),
        Optimizer::adagrad(0.01),
        Optimizer::adadelta(1.0),
        Optimizer::rms_prop(0.01),
        Optimizer::graves_rms_prop(0.01),
        Optimizer::adam(0.01),
        Optimizer::adam_w(0.01),
        Optimizer::lion(0.01),
        Optimizer::muon(0.01),
    ]
}

/// Numbers in -1..1 that look random.
fn noise(seed: u32, length: usize) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1 << 23) - 1.0
    };
    (0..length).map(|_| next()).collect()
}

/// The segments of a small network: matrices large enough to share, vectors, and gaps.
fn network() -> Vec<Segment> {
    vec![
        Segment { range: 0..60_000, matrix: Some((200, 300)), decay: true },
        Segment { range: 60_000..60_200, matrix: None, decay: false },
        Segment { range: 60_208..120_208, matrix: Some((300, 200)), decay: true },
        Segment { range: 120_224..120_227, matrix: None, decay: false },
    ]
}

#[test]
fn a_step_has_the_same_bits_on_any_number_of_threads_and_leaves_gaps_alone() {
    const LENGTH: usize = 120_240;
    let segments = network();
    let inside = |i: usize| segments.iter().any(|segment| segment.range.contains(&i));
    let arena = |seed| -> Vec<f32> {
        noise(seed, LENGTH).iter().enumerate().map(|(i, &x)| if inside(i) { x as f32 } else { f32::NAN }).collect()
    };
    for optimizer in all() {
        let mut results = Vec::new();
        for threads in [1, 2, 3] {
            let mut updater = Updater::<f32>::new(optimizer, &segments).unwrap();
            let mut parameters = arena(1);
            let mut norms = Vec::new();
            Threads::new(threads).unwrap().run(|| {
                for step in 0..3 {
                    let mut gradients = arena(2 + step);
                    norms.push(updater.clip_norm(&mut gradients, 5.0).unwrap().to_bits());
                    updater.clip_value(&mut gradients, 0.02).unwrap();
                    updater.step(&mut parameters, &gradients, 1e-3).unwrap();
                }
            });
            assert!((0..LENGTH).all(|i| inside(i) == parameters[i].is_finite()), "{optimizer:?}");
            let bits: Vec<u32> = parameters.iter().chain(updater.state()).map(|x| x.to_bits()).collect();
            results.push((norms, bits));
        }
        assert!(results.iter().all(|result| *result == results[0]), "{optimizer:?}");
    }
}

#[test]
fn a_checkpoint_goes_on_where_it_was_taken() {
    for optimizer in all() {
        let segments = [Segment { range: 0..12, matrix: Some((3, 4)), decay: true }, whole_from(13)];
        let gradient = |step: u32| noise(step, 20);
        let mut parameters = noise(99, 20);
        let mut updater = Updater::<f64>::new(optimizer, &segments).unwrap();
        for step in 0..4 {
            updater.step(&mut parameters, &gradient(step), 0.1).unwrap();
        }
        let (kept, state, steps) = (parameters.clone(), updater.state().to_vec(), updater.steps());
        updater.step(&mut parameters, &gradient(4), 0.1).unwrap();
        let mut resumed = Updater::<f64>::new(optimizer, &segments).unwrap();
        resumed.restore(&state, steps).unwrap();
        let mut again = kept;
        resumed.step(&mut again, &gradient(4), 0.1).unwrap();
        assert_eq!(again, parameters, "{optimizer:?}");
        assert!(resumed.restore(&vec![0.0; state.len() + 1], 0).is_err());
    }
}

fn whole_from(first: usize) -> Segment {
    Segment { range: first..20, matrix: None, decay: false }
}

/// The regulariser is lambda times the sum of squares, so its gradient has a 2; a bias has none, and no weight decay.
#[test]
fn only_weights_are_regularised() {
    let segments =
        [Segment { range: 0..1, matrix: None, decay: true }, Segment { range: 1..2, matrix: None, decay: false }];
    let step = |optimizer, strength| {
        let mut parameters = [2.0, 2.0];
        let mut updater = Updater::<f64>::new(optimizer, &segments).unwrap();
        updater.step(&mut parameters, &[0.0, 0.0], strength).unwrap();
        parameters
    };
    assert_eq!(step(Optimizer::sgd(0.125), 0.5), [1.75, 2.0]);
    let adam_w = Optimizer::AdamW { rate: 0.125, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.5 };
    assert_eq!(step(adam_w, 0.0), [1.875, 2.0]);
    let lion = Optimizer::Lion { rate: 0.125, beta1: 0.9, beta2: 0.99, weight_decay: 0.5 };
    assert_eq!(step(lion, 0.0), [1.875, 2.0]);
    let muon = Optimizer::Muon { rate: 0.25, momentum: 0.95, weight_decay: 0.5, adam_part: 0.5 };
    assert_eq!(step(muon, 0.0), [1.875, 2.0]);
}

#[test]
fn a_schedule_changes_the_rate() {
    let mut updater = Updater::<f64>::new(Optimizer::sgd(1.0), &whole(1)).unwrap();
    let mut x = [1.0];
    updater.set_rate(0.25);
    assert_eq!(updater.optimizer(), Optimizer::sgd(0.25));
    updater.step(&mut x, &[1.0], 0.0).unwrap();
    assert_eq!(x, [0.75]);
    for optimizer in all() {
        assert_eq!(optimizer.with_rate(0.5).rate(), 0.5);
        assert_eq!(optimizer.with_rate(0.5).name(), optimizer.name());
        assert_eq!(optimizer.with_rate(optimizer.rate()), optimizer);
    }
}

type Matrix = Vec<Vec<f64>>;

fn product(a: &Matrix, b: &Matrix) -> Matrix {
    let dot = |row: &Vec<f64>, j: usize| row.iter().zip(b).map(|(x, other)| x * other[j]).sum();
    a.iter().map(|row| (0..b[0].len()).map(|j| dot(row, j)).collect()).collect()
}

fn transposed(a: &Matrix) -> Matrix {
    (0..a[0].len()).map(|j| a.iter().map(|row| row[j]).collect()).collect()
}

/// The sum of `matrices`, each times its factor.
fn combined(matrices: &[(f64, &Matrix)]) -> Matrix {
    let (rows, cols) = (matrices[0].1.len(), matrices[0].1[0].len());
    let element = |i: usize, j: usize| matrices.iter().map(|(factor, matrix)| factor * matrix[i][j]).sum();
    (0..rows).map(|i| (0..cols).map(|j| element(i, j)).collect()).collect()
}

/// Muon's step as its authors write it, with (X X') X for tall matrices too: the same polynomial of singular values.
fn plain_muon(x: &mut Matrix, mean: &mut Matrix, gradient: &Matrix, rate: f64, decay: f64, weight_decay: f64) {
    let gradient = combined(&[(1.0, gradient), (decay, x)]);
    *mean = combined(&[(0.95, mean), (0.05, &gradient)]);
    let direction = combined(&[(0.95, mean), (0.05, &gradient)]);
    let norm = direction.iter().flatten().map(|d| d * d).sum::<f64>().sqrt();
    let mut iterate = combined(&[(1.0 / norm.max(1e-7), &direction)]);
    for _ in 0..5 {
        let square = product(&iterate, &transposed(&iterate));
        let cubic = product(&square, &iterate);
        let quintic = product(&square, &cubic);
        iterate = combined(&[(3.4445, &iterate), (-4.7750, &cubic), (2.0315, &quintic)]);
    }
    let scale = (x.len() as f64 / x[0].len() as f64).max(1.0).sqrt();
    *x = combined(&[(1.0 - rate * weight_decay, x), (-rate * scale, &iterate)]);
}

#[test]
fn muon_follows_its_definition() {
    let optimizer = Optimizer::Muon { rate: 0.02, momentum: 0.95, weight_decay: 0.1, adam_part: 0.015 };
    for (rows, cols) in [(1, 1), (1, 7), (7, 1), (3, 5), (5, 3), (16, 16), (17, 33), (40, 9)] {
        let length = rows * cols;
        // Two of them, so that the scratch that one leaves is seen by the other.
        let (first, second) = (Some((rows, cols)), Some((cols, rows)));
        let segments = [
            Segment { range: 0..length, matrix: first, decay: true },
            Segment { range: length..2 * length, matrix: second, decay: false },
        ];
        let mut updater = Updater::<f64>::new(optimizer, &segments).unwrap();
        let mut parameters = noise(1, 2 * length);
        let as_matrix = |values: &[f64], cols: usize| -> Matrix { values.chunks(cols).map(<[f64]>::to_vec).collect() };
        let mut plain = [as_matrix(&parameters[..length], cols), as_matrix(&parameters[length..], rows)];
        let mut means = plain.each_ref().map(|matrix| combined(&[(0.0, matrix)]));
        for step in 0..3 {
            let gradients = noise(10 + step, 2 * length);
            updater.step(&mut parameters, &gradients, 0.01).unwrap();
            plain_muon(&mut plain[0], &mut means[0], &as_matrix(&gradients[..length], cols), 0.02, 0.02, 0.1);
            plain_muon(&mut plain[1], &mut means[1], &as_matrix(&gradients[length..], rows), 0.02, 0.0, 0.0);
        }
        for (i, (found, wanted)) in parameters.iter().zip(plain.iter().flatten().flatten()).enumerate() {
            assert!((found - wanted).abs() < 1e-11, "{rows} x {cols}, {i}: {found}, not {wanted}");
        }
    }
}

#[test]
fn a_gradient_that_is_zero_moves_no_rule() {
    for optimizer in all().map(|optimizer| match optimizer {
        Optimizer::AdamW { rate, .. } => Optimizer::adam(rate),
        other => other,
    }) {
        let segments = [Segment { range: 0..12, matrix: Some((3, 4)), decay: true }, whole_from(12)];
        let mut updater = Updater::<f32>::new(optimizer, &segments).unwrap();
        let mut parameters = [0.5_f32; 20];
        updater.step(&mut parameters, &[0.0; 20], 0.0).unwrap();
        assert_eq!(parameters, [0.5; 20], "{optimizer:?}");
    }
}

#[test]
fn gradients_are_limited_by_value_and_by_norm() {
    let segments =
        [Segment { range: 0..2, matrix: None, decay: true }, Segment { range: 3..4, matrix: None, decay: true }];
    let updater = Updater::<f64>::new(Optimizer::sgd(1.0), &segments).unwrap();
    // The norm of (2, -3, 6) is 7; what lies in the gap is not in it.
    let start = [2.0, -3.0, 1e9, 6.0, 1e9];
    let mut gradients = start;
    updater.clip_value(&mut gradients, 2.5).unwrap();
    assert_eq!(gradients, [2.0, -2.5, 1e9, 2.5, 1e9]);
    gradients = start;
    assert_eq!(updater.clip_norm(&mut gradients, 3.5).unwrap(), 7.0);
    assert_eq!(gradients, [1.0, -1.5, 1e9, 3.0, 1e9]);
    gradients = start;
    assert_eq!(updater.clip_norm(&mut gradients, 7.0).unwrap(), 7.0);
    assert_eq!(gradients, start);
    gradients[0] = f64::INFINITY;
    assert_eq!(updater.clip_norm(&mut gradients, 1.0).unwrap(), f64::INFINITY);
    assert_eq!(gradients[1..], start[1..]);
    for limit in [-1.0, f64::NAN] {
        assert!(matches!(updater.clip_norm(&mut gradients, limit), Err(Error::Setting(_))));
        assert!(matches!(updater.clip_value(&mut gradients, limit), Err(Error::Setting(_))));
    }
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let segment = |range, matrix| Segment { range, matrix, decay: true };
    let refuse = |optimizer, segments: &[Segment]| Updater::<f32>::new(optimizer, segments).unwrap_err();
    let overlap = [segment(0..4, None), segment(3..6, None)];
    assert!(matches!(refuse(Optimizer::sgd(0.1), &overlap), Error::Kernel(_)));
    assert!(matches!(refuse(Optimizer::sgd(0.1), &[segment(0..4, Some((2, 3)))]), Error::Setting(_)));
    assert!(matches!(refuse(Optimizer::sgd(0.1), &[segment(0..4, Some((usize::MAX, 3)))]), Error::Setting(_)));
    assert!(matches!(refuse(Optimizer::adam(0.1), &[segment(0..usize::MAX, None)]), Error::Setting(_)));
    for (optimizer, word) in [
        (Optimizer::sgd(f64::NAN), "rate"),
        (Optimizer::adam(f64::INFINITY), "rate"),
        (Optimizer::Momentum { rate: 0.1, momentum: 1.0 }, "momentum"),
        (Optimizer::Adagrad { rate: 0.1, epsilon: -1.0 }, "epsilon"),
        (Optimizer::RmsProp { rate: 0.1, rho: -0.1, epsilon: 0.1 }, "rho"),
        (Optimizer::Lion { rate: 0.1, beta1: 0.9, beta2: 1.5, weight_decay: 0.0 }, "beta2"),
        (Optimizer::Muon { rate: 0.1, momentum: 0.9, weight_decay: -1.0, adam_part: 0.1 }, "weight decay"),
    ] {
        let message = refuse(optimizer, &[segment(0..4, None)]).to_string();
        assert!(message.contains(word), "{message}");
    }
    let mut updater = Updater::<f32>::new(Optimizer::adam(0.1), &[segment(0..4, None)]).unwrap();
    let mut parameters = [1.0; 4];
    assert!(updater.step(&mut parameters, &[1.0; 5], 0.0).is_err());
    assert!(updater.step(&mut parameters[..3], &[1.0; 3], 0.0).is_err());
    assert!(updater.clip_norm(&mut [1.0; 3], 1.0).is_err());
    assert_eq!((parameters, updater.steps()), ([1.0; 4], 0));
    assert!(updater.state().iter().all(|&x| x == 0.0));
}

#[test]
fn a_network_without_parameters_can_be_updated() {
    for optimizer in all() {
        let mut updater = Updater::<f32>::new(optimizer, &[]).unwrap();
        updater.step(&mut [], &[], 1.0).unwrap();
        assert_eq!(updater.clip_norm(&mut [], 1.0).unwrap(), 0.0);
        assert_eq!(updater.steps(), 1);
    }
}
