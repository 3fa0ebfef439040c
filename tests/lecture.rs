//! The numbers on the lecture's slides and in the notes of its course (CS231n), on the tape.
//!
//! The ids are those of the slides as this project counts them: S score and loss, R regularisation, G gradient, GD gradient
//! descent, B backpropagation. `tests/tape.rs` has the graph dump (B2), forks (B3), call counts, restoration and orders of
//! error (G4, G5), planted errors and kinks (G8); `src/ops/matmul.rs` the rule for matrix products (B7).

use lanegrad::gradcheck::{
    Differences, GradientCheck, STEP, Verdict, numerical_gradient, numerical_gradient_with, relative_error,
};
use lanegrad::init::{Initializer, Scheme};
use lanegrad::kernels::isa::Scalar;
use lanegrad::kernels::softmax::log_softmax;
use lanegrad::nn::{Layer, Linear, Relu, Sequential};
use lanegrad::tape::{Tape, Var};
use lanegrad::tensor::Tensor;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

fn array(values: &[f64]) -> Tensor<f64> {
    Tensor::from_slice([values.len()], values).unwrap()
}

fn matrix<const C: usize>(rows: &[[f64; C]]) -> Tensor<f64> {
    Tensor::from_slice([rows.len(), C], rows.as_flattened()).unwrap()
}

/// Seeded numbers between -1 and 1.
fn random(shape: &[usize], seed: u64) -> Tensor<f64> {
    let mut generator = Xoshiro256PlusPlus::seed_from_u64(seed);
    Tensor::from_fn(shape, |_| generator.random_range(-1.0..1.0)).unwrap()
}

fn value<T: Scalar>(variable: Var<'_, T>) -> Vec<f64> {
    variable.value().unwrap().cast::<f64>().values().to_vec()
}

fn gradient<T: Scalar>(variable: Var<'_, T>) -> Vec<f64> {
    variable.gradient().unwrap().cast::<f64>().values().to_vec()
}

fn item(variable: Var<'_, f64>) -> f64 {
    variable.item().unwrap()
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= tolerance, "element {i}: {found} for {expected}");
    }
}

/// The slide's weights, of three classes and four pixels.
fn weights() -> Tensor<f64> {
    matrix(&[[0.01, -0.05, 0.1, 0.05], [0.7, 0.2, 0.05, 0.16], [0.0, -0.45, -0.2, 0.03]])
}

/// The slide's image, and the class that it is of.
const IMAGE: [f64; 4] = [-15.0, 22.0, -44.0, 56.0];
const LABEL: u32 = 2;
const BIAS: [f64; 3] = [0.0, 0.2, -0.3];
const SCORES: [f64; 3] = [-2.85, 0.86, 0.28];
/// exp(s) / sum of exp(s). The slide's first, 0.016, comes of numbers that were rounded before they were divided.
const PROBABILITIES: [f64; 3] = [0.015_449_315_7, 0.631_163_353_6, 0.353_387_330_7];

/// The slide's example on a tape: W, b and x are variables.
fn example(tape: &Tape<f64>) -> [Var<'_, f64>; 4] {
    let (w, b, x) = (tape.variable(&weights()), tape.variable(&array(&BIAS)), tape.variable(&array(&IMAGE)));
    [w, b, x, w.matmul(x) + b]
}

/// S1.
#[test]
fn scores_of_a_column_and_of_a_batch() {
    fn both<T: Scalar>(tolerance: f64) {
        let tape = Tape::<T>::new();
        let (w, b) = (tape.variable(&weights().cast()), tape.variable(&array(&BIAS).cast()));
        let x = tape.variable(&array(&IMAGE).cast());
        assert_close(&value(w.matmul(x) + b), &SCORES, tolerance);
        assert_close(&value(x.reshape([1, 4]).linear(w.transpose(), b)), &SCORES, tolerance);
    }
    both::<f64>(1e-12);
    both::<f32>(1e-5);
}

/// S2: W' = [W | b], x' = [x; 1].
#[test]
fn the_bias_trick_gives_the_same_scores() {
    let mut tape = Tape::<f64>::new();
    let [w, b, x, s] = example(&tape);
    let trick = tape.concat(&[w, b.reshape([3, 1])], 1).matmul(tape.concat(&[x, tape.constant(&array(&[1.0]))], 0));
    assert_close(&value(trick), &value(s), 1e-12);
    tape.reset();
    tape.parameter("W", &Tensor::zeros([10, 3073]).unwrap()).unwrap();
    assert_eq!(tape.parameter_count(), 30_730);
}

/// S3, S4: the hinge loss skips the right class, and its gradient counts violated margins.
#[test]
fn the_hinge_loss_and_its_gradient() {
    let tape = Tape::<f64>::new();
    let [w, b, x, s] = example(&tape);
    let margins = (s.slice(0, 0..2) - s.at(0, 2) + 1.0).relu();
    assert_close(&value(margins), &[0.0, 1.58], 1e-12);
    let loss = s.reshape([1, 3]).hinge(tape.indices(&[LABEL]));
    assert_close(&[item(loss)], &[1.58], 1e-12);
    loss.backward().unwrap();
    assert_eq!(gradient(s), [0.0, 1.0, -1.0]);
    assert_eq!(gradient(b), [0.0, 1.0, -1.0]);
    assert_eq!(gradient(w), [[0.0; 4], IMAGE, IMAGE.map(|x| -x)].concat());
    assert_close(&gradient(x), &[0.70, 0.65, 0.25, 0.13], 1e-12);
}

/// S5, S6: exponentiate, normalise.
#[test]
fn the_softmax_function() {
    let tape = Tape::<f64>::new();
    let [.., s] = example(&tape);
    let exponentials = s.exp();
    assert_close(&value(exponentials), &[0.057_844_320_9, 2.363_160_693_7, 1.323_129_812_3], 1e-10);
    assert_close(&[item(exponentials.sum_all())], &[3.744_134_826_9], 1e-10);
    let probabilities = exponentials / exponentials.sum_all();
    assert_close(&value(probabilities), &PROBABILITIES, 1e-10);
    assert_close(&[value(probabilities).iter().sum()], &[1.0], 1e-15);
    assert_close(&stable_softmax(&value(s)), &value(probabilities), 1e-15);
}

/// exp of the logarithm of the softmax function.
fn stable_softmax(scores: &[f64]) -> Vec<f64> {
    let mut logarithms = vec![0.0; scores.len()];
    log_softmax(scores, [1, scores.len(), 1], &mut logarithms).unwrap();
    logarithms.into_iter().map(f64::exp).collect()
}

/// S7, S8: the natural logarithm gives 1.04; the slide's 0.452 is to base 10. ds = p - onehot, dW = ds x'.
#[test]
fn the_cross_entropy_and_its_gradient() {
    let tape = Tape::<f64>::new();
    let [w, b, x, s] = example(&tape);
    let loss = s.reshape([1, 3]).softmax_cross_entropy(tape.indices(&[LABEL]));
    assert_close(&[item(loss)], &[1.040_190_569_4], 1e-10);
    assert_close(&[item(loss) / std::f64::consts::LN_10], &[0.451_749_024_4], 1e-10);
    loss.backward().unwrap();
    let ds = [PROBABILITIES[0], PROBABILITIES[1], -0.646_612_669_3];
    assert_close(&gradient(s), &ds, 1e-10);
    assert_close(&gradient(b), &ds, 1e-10);
    let dw = [
        [-0.231_739_7, 0.339_884_9, -0.679_769_9, 0.865_161_7],
        [-9.467_450_3, 13.885_593_8, -27.771_187_6, 35.345_147_8],
        [9.699_190_0, -14.225_478_7, 28.450_957_4, -36.210_309_5],
    ];
    assert_close(&gradient(w), dw.as_flattened(), 1e-7);
    assert_close(&gradient(x), &[0.441_968_8, 0.416_435_9, 0.162_425_6, 0.082_360_2], 1e-7);
}

/// S9: the hinge loss is content with all three, cross-entropy with none, least of all where the margin is small.
#[test]
fn softmax_against_the_support_vector_machine() {
    let losses = [[10.0, -2.0, 3.0], [10.0, 9.0, 9.0], [10.0, -100.0, -100.0]].map(|scores| {
        let tape = Tape::<f64>::new();
        let (s, label) = (tape.variable(&matrix(&[scores])), tape.indices(&[0]));
        (item(s.hinge(label)), item(s.softmax_cross_entropy(label)))
    });
    assert_eq!(losses.map(|(hinge, _)| hinge), [0.0; 3]);
    let [plain, close, far] = losses.map(|(_, softmax)| softmax);
    assert!(close > plain && plain > far && far >= 0.0, "{losses:?}");
    assert_close(&[close], &[(1.0 + 2.0 * (-1.0_f64).exp()).ln()], 1e-12);
}

/// S10.
#[test]
fn large_scores_do_not_overflow() {
    let scores = [123.0, 456.0, 789.0];
    let row = array(&scores);
    assert_eq!((&row - &row.max(0).unwrap()).unwrap().values(), [-666.0, -333.0, 0.0]);
    assert_close(&stable_softmax(&scores), &[0.0, 0.0, 1.0], 1e-100);
    let tape = Tape::<f64>::new();
    let s = tape.variable(&matrix(&[scores]));
    assert_eq!([0, 1, 2].map(|label| item(s.softmax_cross_entropy(tape.indices(&[label])))), [666.0, 333.0, 0.0]);
    s.softmax_cross_entropy(tape.indices(&[0])).backward().unwrap();
    assert_close(&gradient(s), &[-1.0, 0.0, 1.0], 1e-100);
}

/// S11.
#[test]
fn more_examples_of_the_notes() {
    let tape = Tape::<f64>::new();
    let s = tape.variable(&array(&[13.0, -7.0, 11.0]));
    assert_eq!(item((s.slice(0, 1..3) - s.at(0, 0) + 10.0).relu().sum_all()), 8.0);
    assert_close(&stable_softmax(&[1.0, -2.0, 0.0]), &[0.7054, 0.0351, 0.2595], 5e-5);
    assert_close(&stable_softmax(&[0.5, -1.0, 0.0]), &[0.5465, 0.1220, 0.3315], 5e-5);
    let scores = tape.variable(&matrix(&[[0.2, 0.3, 0.5]])).ln();
    scores.softmax_cross_entropy(tape.indices(&[1])).backward().unwrap();
    assert_close(&gradient(scores), &[0.2, -0.7, 0.5], 1e-15);
}

/// S12: a cat, a car and a frog.
#[test]
fn the_three_images_of_the_recap() {
    let scores = [[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]];
    let tape = Tape::<f64>::new();
    let each: Vec<f64> =
        (0..3).map(|i| item(tape.variable(&matrix(&scores[i..=i])).hinge(tape.indices(&[i as u32])))).collect();
    assert_close(&each, &[2.9, 0.0, 12.9], 1e-12);
    let batch = tape.variable(&matrix(&scores));
    assert_close(&[item(batch.hinge(tape.indices(&[0, 1, 2])))], &[15.8 / 3.0], 1e-12);
    let cat = item(tape.variable(&matrix(&scores[..1])).softmax_cross_entropy(tape.indices(&[0])));
    assert_close(&[(-cat).exp(), cat], &[0.13, 2.0404], 5e-4);
}

/// R1: L = data loss + sum of squares of W, without a factor of one half: dR/dW = 2 W.
#[test]
fn the_full_loss() {
    let tape = Tape::<f64>::new();
    let [w, _, _, s] = example(&tape);
    let (scores, label, penalty) = (s.reshape([1, 3]), tape.indices(&[LABEL]), w.square().sum_all());
    let losses = [penalty, scores.hinge(label) + penalty, scores.softmax_cross_entropy(label) + penalty];
    assert_close(&losses.map(item), &[0.8166, 2.3966, 1.856_790_569_4], 1e-10);
    penalty.backward().unwrap();
    assert_eq!(gradient(w), weights().values().iter().map(|w| 2.0 * w).collect::<Vec<_>>());
}

/// R2.
#[test]
fn the_regulariser_prefers_weights_that_are_spread() {
    let tape = Tape::<f64>::new();
    let x = tape.constant(&Tensor::ones([4]).unwrap());
    let [one, spread] = [[1.0, 0.0, 0.0, 0.0], [0.25; 4]].map(|w| {
        let w = tape.variable(&array(&w));
        (item(w.matmul(x)), item(w.square().sum_all()))
    });
    assert_eq!((one, spread), ((1.0, 1.0), (1.0, 0.25)));
}

/// R3.
#[test]
fn weights_of_zero_are_at_chance() {
    let tape = Tape::<f64>::new();
    let x = tape.constant(&random(&[8, 3072], 1));
    let zeros = |shape: &[usize]| tape.variable(&Tensor::zeros(shape).unwrap());
    let scores = x.linear(zeros(&[3072, 10]), zeros(&[10]));
    let labels = tape.indices(&[3, 1, 4, 1, 5, 9, 2, 6]);
    assert_close(&[item(scores.softmax_cross_entropy(labels))], &[std::f64::consts::LN_10], 1e-15);
    assert_eq!(item(scores.hinge(labels)), 9.0);
}

/// R4: a net that is right can learn 20 images by heart; a penalty on its weights raises the loss.
#[test]
fn twenty_images_are_learned_by_heart() {
    let images = lanegrad::data::synthetic::generate_sized(0, 20, 0).train;
    let pixels =
        Tensor::<f32>::from_fn([20, 3072], |i| f32::from(images.image(i / 3072)[i % 3072]) / 64.0 - 2.0).unwrap();
    let mut tape = Tape::<f32>::new();
    let mut initializer = Initializer::new(Scheme::He, 0);
    let first = Linear::new(&mut tape, "fc1", 3072, 32, &mut initializer).unwrap();
    let second = Linear::new(&mut tape, "fc2", 32, 10, &mut initializer).unwrap();
    let model = Sequential::new().with(first).with(Relu).with(second);
    let mut velocity = Vec::new();
    for step in 0..100 {
        tape.reset();
        let scores = model.forward(tape.constant(&pixels));
        let loss = scores.softmax_cross_entropy(tape.indices(images.labels()));
        let penalised = loss + tape.param(first.weight).square().sum_all() * 1e-3;
        assert!(penalised.item().unwrap() > loss.item().unwrap());
        if step == 99 {
            assert!(loss.item().unwrap() < 0.01, "{loss:?}");
            let predictions = scores.value().unwrap().argmax(1).unwrap();
            assert!(predictions.iter().zip(images.labels()).all(|(&found, &label)| found == label as usize));
        }
        loss.backward().unwrap();
        let (parameters, gradients) = tape.parameters_and_gradients();
        velocity.resize(parameters.len(), 0.0);
        for ((x, v), dx) in parameters.iter_mut().zip(&mut velocity).zip(gradients) {
            *v = 0.9 * *v - 3e-3 * *dx;
            *x += *v;
        }
    }
}

/// G2: "don't care about the expression, do care about the value".
#[test]
fn the_gradient_of_a_parabola() {
    fn exactly<T: Scalar>() {
        let tape = Tape::<T>::new();
        let (x, y) = (tape.scalar(T::from_f64(5.0)), tape.scalar(T::from_f64(3.0)));
        (x.square() + y.square()).backward().unwrap();
        assert_eq!([gradient(x), gradient(y)].concat(), [10.0, 6.0]);
    }
    exactly::<f64>();
    exactly::<f32>();
    let f = |x: &Tensor<f64>| x.values().iter().map(|x| x * x).sum();
    let mut x = array(&[5.0, 3.0]);
    // The error of a forward difference of a parabola is the step.
    assert_close(numerical_gradient(f, &mut x).values(), &[10.000_01, 6.000_01], 2e-9);
    assert_close(numerical_gradient_with(f, &mut x, Differences::Centred, STEP).values(), &[10.0, 6.0], 2e-9);
}

/// G3: the slide's table of losses with one weight moved by 1e-4.
#[test]
fn the_table_of_losses_gives_the_slopes() {
    let weights = [0.34, -1.11, 0.78, 0.12, 0.55, 2.81, -3.1, -1.5, 0.33];
    let moved = [1.25322, 1.25353, 1.25347, 1.25349, 1.25354, 1.25342, 1.25358, 1.25360, 1.25326];
    let table = |x: &Tensor<f64>| {
        let changed: Vec<usize> = (0..9).filter(|&i| x.values()[i] != weights[i]).collect();
        match changed[..] {
            [] => 1.25347,
            [i] => {
                assert_eq!(x.values()[i], weights[i] + 1e-4);
                moved[i]
            }
            _ => panic!("one weight moves at a time, not {changed:?}"),
        }
    };
    let mut x = array(&weights);
    let slopes = numerical_gradient_with(table, &mut x, Differences::Forward, 1e-4);
    assert_close(slopes.values(), &[-2.5, 0.6, 0.0, 0.2, 0.7, -0.5, 1.1, 1.3, -2.1], 1e-9);
    assert_eq!(slopes.values()[2], 0.0);
    assert_eq!(x.values(), weights);
}

/// G4: the loss of CIFAR-10's 30,730 weights is evaluated 30,731 times.
#[test]
fn a_numerical_gradient_costs_one_evaluation_for_each_weight_and_one_more() {
    let mut calls = 0;
    let mut w = Tensor::zeros([10, 3073]).unwrap();
    let slopes = numerical_gradient(
        |w| {
            calls += 1;
            3.0 * w.values()[30_729]
        },
        &mut w,
    );
    assert_eq!(calls, 30_731);
    assert_close(&slopes.values()[30_728..], &[0.0, 3.0], 1e-12);
}

/// G6: what a relative error means.
#[test]
fn the_thresholds_of_the_notes() {
    let verdicts = [0.0, 9e-8, 2e-7, 9e-5, 2e-4, 9e-3, 2e-2, f64::NAN].map(Verdict::of);
    use Verdict::{Doubtful, Good, Suspicious, Wrong};
    assert_eq!(verdicts, [Good, Good, Doubtful, Doubtful, Suspicious, Suspicious, Wrong, Wrong]);
    assert_eq!(relative_error(0.0, 0.0), 0.0);
    assert!(relative_error(0.0, f64::NAN).is_nan() && relative_error(f64::NAN, 0.0).is_nan());
    assert_eq!(relative_error(-2.0, 2.0), 2.0);
    assert_eq!(relative_error(1.0, 0.0), 1.0);
    assert_close(&[relative_error(3.0, 3.03)], &[0.01 / 1.01], 1e-12);
}

/// G6, G7: dW of the right class is minus its count of violated margins times x, of another x if its margin is violated.
#[test]
fn the_hinge_gradient_by_its_rule() {
    let (mut tape, x, labels) = (Tape::<f64>::new(), random(&[6, 8], 1), [0, 4, 2, 2, 1, 3]);
    let w = tape.parameter("W", &random(&[8, 5], 2)).unwrap();
    let record = |tape: &'_ Tape<f64>, softmax: bool| -> f64 {
        let scores = tape.constant(&x).matmul(tape.param(w)) * 2.0;
        let labels = tape.indices(&labels);
        let loss = if softmax { scores.softmax_cross_entropy(labels) } else { scores.hinge(labels) };
        loss.backward().unwrap();
        item(loss)
    };
    record(&tape, false);
    let scores = x.matmul(&tape.value(w).unwrap()).unwrap();
    let mut expected = vec![0.0; 40];
    for (i, &label) in labels.iter().enumerate() {
        let score = |class| 2.0 * scores.get(&[i, class]).unwrap();
        let right = score(label as usize);
        for class in (0..5).filter(|&class| class != label as usize && score(class) - right + 1.0 > 0.0) {
            for pixel in 0..8 {
                let term = 2.0 * x.get(&[i, pixel]).unwrap() / 6.0;
                expected[pixel * 5 + class] += term;
                expected[pixel * 5 + label as usize] -= term;
            }
        }
    }
    assert_close(tape.gradient(w).unwrap().values(), &expected, 1e-14);
    for softmax in [false, true] {
        let check = GradientCheck::default();
        let report = check
            .run(&mut tape, |tape| {
                let (scores, labels) = (tape.constant(&x).matmul(tape.param(w)) * 2.0, tape.indices(&labels));
                if softmax { scores.softmax_cross_entropy(labels) } else { scores.hinge(labels) }
            })
            .unwrap();
        assert!(report.worst_error() < 1e-7 && report.passes(), "{report}");
    }
}

/// GD1: each step of 0.1 keeps 0.8 of what is left; steps of 1 and more do not converge.
#[test]
fn gradient_descent_on_a_parabola() {
    let descend = |rate: f64, steps: usize| {
        let mut tape = Tape::<f64>::new();
        let x = tape.parameter("x", &array(&[5.0, 3.0])).unwrap();
        for _ in 0..steps {
            tape.reset();
            tape.param(x).square().sum_all().backward().unwrap();
            let (weights, gradients) = tape.parameters_and_gradients();
            weights.iter_mut().zip(gradients).for_each(|(w, dw)| *w += -rate * *dw);
        }
        tape.value(x).unwrap().values().to_vec()
    };
    assert_close(&descend(0.1, 10), &[0.536_870_912, 0.322_122_547_2], 1e-12);
    assert!(descend(0.99, 1000).iter().all(|x| x.abs() < 1e-7));
    assert_close(&descend(1.0, 1000), &[5.0, 3.0], 1e-12);
    assert!(descend(1.01, 1000).iter().all(|x| x.abs() > 1e7));
}

/// A softmax classifier of points with 8 features in 4 classes: its mean loss and gradient over the points in `batch`.
fn batch_gradient(batch: &[usize], points: &Tensor<f64>) -> (f64, Vec<f64>) {
    let tape = Tape::<f64>::new();
    let rows: Vec<u32> = batch.iter().map(|&i| i as u32).collect();
    let labels: Vec<u32> = batch.iter().map(|i| (i % 4) as u32).collect();
    let w = tape.variable(&random(&[8, 4], 5));
    let loss = tape.constant(points).gather(tape.indices(&rows)).matmul(w).softmax_cross_entropy(tape.indices(&labels));
    loss.backward().unwrap();
    (item(loss), gradient(w))
}

/// GD2: the gradient of a mini-batch estimates that of the set, twice as well with four times the images.
#[test]
fn the_error_of_a_mini_batchs_gradient_falls_with_the_root_of_its_size() {
    let points = random(&[1000, 8], 3);
    let all: Vec<usize> = (0..1000).collect();
    let (loss, full) = batch_gradient(&all, &points);
    let (twice_loss, twice) = batch_gradient(&[&all[..], &all].concat(), &points);
    assert_close(&[twice_loss], &[loss], 1e-12);
    assert_close(&twice, &full, 1e-12);
    let mut generator = Xoshiro256PlusPlus::seed_from_u64(7);
    let mut error = |size: usize| -> f64 {
        let squares = (0..200).map(|_| {
            let batch: Vec<usize> = (0..size).map(|_| generator.random_range(0..1000)).collect();
            let (_, estimate) = batch_gradient(&batch, &points);
            estimate.iter().zip(&full).map(|(a, b)| (a - b) * (a - b)).sum::<f64>()
        });
        (squares.sum::<f64>() / 200.0).sqrt()
    };
    let ratio = error(16) / error(64);
    assert!((1.6..2.4).contains(&ratio), "{ratio}");
}

/// The mean hinge loss of 40 points at the weights W + a V.
fn hinge_at(a: f64, w: &Tensor<f64>, v: &Tensor<f64>, points: &Tensor<f64>) -> f64 {
    let tape = Tape::<f64>::new();
    let labels: Vec<u32> = (0..40).map(|i| i % 4).collect();
    let weights = tape.constant(w) + tape.constant(v) * a;
    item(tape.constant(points).matmul(weights).hinge(tape.indices(&labels)))
}

/// GD6: along one gradient the loss falls to a single minimum, and beyond it grows as the step does.
#[test]
fn the_ladder_of_step_sizes_is_a_valley() {
    let (points, w) = (random(&[40, 8], 1), random(&[8, 4], 2));
    let tape = Tape::<f64>::new();
    let weights = tape.variable(&w);
    let labels: Vec<u32> = (0..40).map(|i| i % 4).collect();
    tape.constant(&points).matmul(weights).hinge(tape.indices(&labels)).backward().unwrap();
    let downhill = weights.gradient().unwrap();
    let losses: Vec<f64> = (-6..8).map(|power| hinge_at(-(10.0_f64.powi(power)), &w, &downhill, &points)).collect();
    let lowest = (0..losses.len()).min_by(|&a, &b| losses[a].total_cmp(&losses[b])).unwrap();
    assert!(0 < lowest && lowest < losses.len() - 3, "{losses:?}");
    assert!(losses[..=lowest].is_sorted_by(|a, b| a > b) && losses[lowest..].is_sorted_by(|a, b| a < b), "{losses:?}");
    let last = losses.len() - 1;
    assert!((losses[last] / losses[last - 1] - 10.0).abs() < 1e-3, "{losses:?}");
}

/// GD7: along any line the hinge loss is piecewise linear and convex.
#[test]
fn slices_of_the_hinge_loss_are_convex() {
    let (points, w, v) = (random(&[40, 8], 1), random(&[8, 4], 2), random(&[8, 4], 3));
    let losses: Vec<f64> = (-1000..=1000).map(|i| hinge_at(f64::from(i) * 1e-2, &w, &v, &points)).collect();
    let bends: Vec<f64> = losses.windows(3).map(|l| l[0] - 2.0 * l[1] + l[2]).collect();
    assert!(bends.iter().all(|&bend| bend >= -1e-9));
    // It bends where a margin changes sign, 120 times at most for 40 points, in two windows each.
    let corners = bends.iter().filter(|&&bend| bend > 1e-9).count();
    assert!((1..=240).contains(&corners), "{corners}");
}

/// B1: every number exactly, in both types.
#[test]
fn the_circuit_of_the_slides() {
    fn exactly<T: Scalar>() {
        let tape = Tape::<T>::new();
        let [x, y, z] = [-2.0, 5.0, -4.0].map(|number| tape.scalar(T::from_f64(number)));
        let q = x + y;
        let f = q * z;
        f.backward().unwrap();
        assert_eq!([value(q), value(f)].concat(), [3.0, -12.0]);
        assert_eq!([x, y, z, q, f].map(|v| gradient(v)[0]), [-4.0, -4.0, 3.0, -4.0, 1.0]);
    }
    exactly::<f64>();
    exactly::<f32>();
}

/// B4.
#[test]
fn the_sigmoid_neuron() {
    let tape = Tape::<f64>::new();
    let (w, b) = (tape.variable(&array(&[2.0, -3.0])), tape.scalar(-3.0));
    let x = tape.variable(&array(&[-1.0, -2.0]));
    let dot = w.matmul(x) + b;
    let f = dot.sigmoid();
    f.backward().unwrap();
    assert_eq!(item(dot), 1.0);
    assert_close(&[item(f)], &[0.731_058_578_6], 1e-10);
    assert_close(&gradient(dot), &[0.196_611_933_2], 1e-10);
    assert_close(&gradient(x), &[0.393_223_866_5, -0.589_835_799_7], 1e-10);
    assert_close(&gradient(w), &[-0.196_611_933_2, -0.393_223_866_5], 1e-10);
    assert_close(&gradient(b), &[0.196_611_933_2], 1e-10);
}

/// B5: f = (x + sigmoid(y)) / (sigmoid(x) + (x + y)^2).
#[test]
fn the_staged_computation_of_the_notes() {
    let tape = Tape::<f64>::new();
    let (x, y) = (tape.scalar(3.0), tape.scalar(-4.0));
    let f = (x + y.sigmoid()) / (x.sigmoid() + (x + y).square());
    f.backward().unwrap();
    assert_close(&[item(f)], &[1.545_644_884_1], 1e-10);
    assert_close(&[gradient(x), gradient(y)].concat(), &[2.059_569_795_6, 1.592_232_751_5], 1e-10);
}

/// B6: a sum hands on its gradient, a maximum routes it, a product swaps its factors.
#[test]
fn gates_distribute_route_and_swap() {
    let tape = Tape::<f64>::new();
    let [x, y, z, w] = [3.0, -4.0, 2.0, -1.0].map(|number| tape.scalar(number));
    let f = 2.0 * (x * y + z.maximum(w));
    f.backward().unwrap();
    assert_eq!(item(f), -20.0);
    assert_eq!([x, y, z, w].map(|v| gradient(v)[0]), [-8.0, 6.0, 2.0, 0.0]);
}

/// B8: the expression of micrograd's README (<https://github.com/karpathy/micrograd>).
#[test]
fn the_expression_of_micrograd() {
    let tape = Tape::<f64>::new();
    let (a, b) = (tape.scalar(-4.0), tape.scalar(2.0));
    let (mut c, mut d) = (a + b, a * b + b.powf(3.0));
    c = c + c + 1.0;
    c = c + 1.0 + c - a;
    d = d + d * 2.0 + (b + a).relu();
    d = d + 3.0 * d + (b - a).relu();
    let f = (c - d).powf(2.0);
    let g = f / 2.0 + 10.0 / f;
    g.backward().unwrap();
    assert_close(&[item(g)], &[24.7041], 5e-5);
    assert_close(&[gradient(a), gradient(b)].concat(), &[138.8338, 645.5773], 5e-5);
}

/// The two-layer net of the course's first assignment: 5 features, 50 hidden units, 7 classes.
#[test]
fn the_toy_net_of_the_first_assignment() {
    let line = |first, last, shape: &[usize]| {
        Tensor::<f64>::linspace(first, last, shape.iter().product()).unwrap().reshape(shape).unwrap()
    };
    let mut tape = Tape::<f64>::new();
    let w1 = tape.parameter("W1", &line(-0.7, 0.3, &[5, 50])).unwrap();
    let b1 = tape.parameter("b1", &line(-0.1, 0.9, &[50])).unwrap();
    let w2 = tape.parameter("W2", &line(-0.3, 0.4, &[50, 7])).unwrap();
    let b2 = tape.parameter("b2", &line(-0.9, 0.1, &[7])).unwrap();
    let x = line(-5.5, 4.5, &[5, 3]).transpose().unwrap();
    for (strength, expected) in [(0.0, 3.470_224_355_6), (1.0, 26.594_842_695_2)] {
        fn record<'t>(
            tape: &'t Tape<f64>,
            x: &Tensor<f64>,
            [w1, b1, w2, b2]: [lanegrad::tape::Param; 4],
            strength: f64,
        ) -> Var<'t, f64> {
            let [w1, b1, w2, b2] = [w1, b1, w2, b2].map(|parameter| tape.param(parameter));
            let scores = tape.constant(x).linear(w1, b1).relu().linear(w2, b2);
            let penalty = w1.square().sum_all() + w2.square().sum_all();
            scores.softmax_cross_entropy(tape.indices(&[0, 5, 1])) + penalty * (0.5 * strength)
        }
        tape.reset();
        assert_close(&[item(record(&tape, &x, [w1, b1, w2, b2], strength))], &[expected], 1e-10);
        let check = GradientCheck { samples: Some(40), ..GradientCheck::default() };
        let report = check.run(&mut tape, |tape| record(tape, &x, [w1, b1, w2, b2], strength)).unwrap();
        assert!(report.passes(), "{report}");
    }
}

/// The fully-connected layer of the course's second assignment, on 2 inputs of 4 x 5 x 6 numbers.
#[test]
fn the_affine_layer_of_the_second_assignment() {
    let tape = Tape::<f64>::new();
    let line = |first, last, count| tape.variable(&Tensor::linspace(first, last, count).unwrap());
    let x = line(-0.1, 0.5, 2 * 120).reshape([2, 4, 5, 6]).flatten();
    let y = x.linear(line(-0.2, 0.3, 120 * 3).reshape([120, 3]), line(-0.3, 0.1, 3));
    let expected = [[1.498_349_67, 1.706_601_32, 1.914_852_97], [3.255_531_99, 3.514_132_70, 3.772_733_42]];
    assert_close(&value(y), expected.as_flattened(), 5e-9);
}
