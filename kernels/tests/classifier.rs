//! The fused classifier at every level against its slow twin.

mod support;

use lanegrad_kernels::classifier::{
    Backward, Evaluate, FOLD_BLOCK, Fold, Folded, Forward, Gather, Linear, Loss, Normalisation, Samples, StoreGradient,
    UpdateWeights, backward, forward,
};
use lanegrad_kernels::dispatch::{dispatch_at, supported};
use lanegrad_kernels::isa::{Element, Level, Scalar};
use lanegrad_kernels::parallel::Threads;
use lanegrad_kernels::reference::UpdateRule;
use lanegrad_kernels::update::{Momentum, Sgd};
use lanegrad_kernels::{Error, MatMut, MatRef, reference};
use rand::RngExt;
use support::{generator, uniform};

const LOSSES: [Loss; 2] = [Loss::Softmax, Loss::Hinge];

/// A batch and a model, with room around every row.
struct Problem<T, P> {
    features: usize,
    classes: usize,
    data: Vec<P>,
    stride: usize,
    labels: Vec<u32>,
    index: Vec<u32>,
    weights: Vec<T>,
    bias: Vec<T>,
}

impl<T: Scalar, P: Element<T>> Problem<T, P> {
    fn new(samples: usize, features: usize, classes: usize, pixel: impl Fn(f64) -> P) -> Self {
        let rows = samples + 3;
        let stride = features + 5;
        let mut random = generator(11);
        let data = (0..rows * stride).map(|_| pixel(random.random_range(0.0..1.0))).collect();
        let labels = (0..rows).map(|_| random.random_range(0..classes.max(1)) as u32).collect();
        let index = (0..samples).map(|_| random.random_range(0..rows) as u32).collect();
        Self {
            features,
            classes,
            data,
            stride,
            labels,
            index,
            weights: uniform(12, classes * (features + 1)),
            bias: uniform(13, classes),
        }
    }

    fn samples(&self) -> Samples<'_, P> {
        Samples::new(&self.data, self.stride, self.features, &self.labels, &self.index).unwrap()
    }

    fn weights(&self) -> MatRef<'_, T> {
        MatRef::with_strides(&self.weights, 0, self.classes, self.features, self.features as isize + 1, 1).unwrap()
    }

    fn model(&self) -> Linear<'_, T> {
        Linear::new(self.weights(), &self.bias).unwrap()
    }

    /// What the slow twin makes of it, on features passed through `transform(feature, value)`.
    fn expected(&self, loss: Loss, transform: impl Fn(usize, f64) -> f64) -> reference::Classified {
        let weights: Vec<Vec<f64>> =
            (0..self.classes).map(|c| (0..self.features).map(|d| self.weights().at(c, d).to_f64()).collect()).collect();
        let bias: Vec<f64> = self.bias.iter().map(|b| b.to_f64()).collect();
        let samples: Vec<Vec<f64>> = self
            .index
            .iter()
            .map(|&i| {
                let row = &self.data[i as usize * self.stride..][..self.features];
                row.iter().enumerate().map(|(d, x)| transform(d, x.to_scalar().to_f64())).collect()
            })
            .collect();
        let labels: Vec<usize> = self.index.iter().map(|&i| self.labels[i as usize] as usize).collect();
        reference::classifier(loss, &weights, &bias, &samples, &labels)
    }

    /// Losses, dScores (N x C), dW, db of the fused step at `level`.
    fn step(&self, level: Level, loss: Loss, normalisation: Option<Normalisation<'_, T>>) -> [Vec<f64>; 4] {
        let (n, c) = (self.index.len(), self.classes);
        let mut losses = vec![T::ZERO; n];
        let mut dscores = vec![T::from_f64(f64::NAN); c * n];
        let mut dbias = vec![T::from_f64(f64::NAN); c];
        let mut dweights = vec![T::from_f64(f64::NAN); c * self.features];
        let view = MatMut::row_major(&mut dscores, c, n).unwrap();
        dispatch_at(level, Forward::new(self.model(), self.samples(), loss, view, &mut losses).unwrap()).unwrap();
        let view = MatRef::row_major(&dscores, c, n).unwrap();
        let store =
            StoreGradient { dweights: MatMut::row_major(&mut dweights, c, self.features).unwrap(), normalisation };
        dispatch_at(level, Backward::new(self.samples(), view, &mut dbias, store).unwrap()).unwrap();
        let wide = |values: &[T]| values.iter().map(|x| x.to_f64()).collect::<Vec<f64>>();
        let by_sample = (0..n * c).map(|i| dscores[i % c * n + i / c].to_f64()).collect();
        [wide(&losses), by_sample, wide(&dweights), wide(&dbias)]
    }
}

#[track_caller]
fn assert_close(found: &[f64], wanted: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    for (i, (f, w)) in found.iter().zip(wanted).enumerate() {
        assert!((f - w).abs() <= tolerance * (1.0 + w.abs()), "{what} at {i}: {f} for {w}");
    }
}

fn check<T: Scalar, P: Element<T>>((samples, features, classes): (usize, usize, usize), pixel: impl Fn(f64) -> P) {
    let problem = Problem::<T, P>::new(samples, features, classes, pixel);
    // Scores are sums of `features` products; the losses and gradients of scores are no worse conditioned than they are.
    let largest = problem.expected(Loss::Hinge, |_, x| x).scores.iter().fold(1.0, |a: f64, s| a.max(s.abs()));
    let tolerance = 4.0 * T::EPSILON.to_f64() * (features + samples + 10) as f64 * largest;
    for loss in LOSSES {
        let expected = problem.expected(loss, |_, x| x);
        for level in supported() {
            let what = |of: &str| format!("{level} {loss:?} {samples} x {features} x {classes}: {of}");
            let [losses, dscores, dweights, dbias] = problem.step(level, loss, None);
            assert_close(&losses, &expected.losses, tolerance, &what("losses"));
            assert_close(&dscores, &expected.dscores, tolerance, &what("dScores"));
            assert_close(&dweights, &expected.dweights, tolerance * largest, &what("dW"));
            assert_close(&dbias, &expected.dbias, tolerance, &what("db"));

            let mut losses = vec![T::ZERO; samples];
            let mut predictions = vec![0; samples];
            let evaluate =
                Evaluate::new(problem.model(), problem.samples(), loss, &mut losses, &mut predictions).unwrap();
            dispatch_at(level, evaluate).unwrap();
            let losses: Vec<f64> = losses.iter().map(|x| x.to_f64()).collect();
            assert_close(&losses, &expected.losses, tolerance, &what("evaluated losses"));
            for (n, (&found, &wanted)) in predictions.iter().zip(&expected.predictions).enumerate() {
                let scores = &expected.scores[n * classes..][..classes];
                let gap = (scores[found as usize] - scores[wanted]).abs();
                assert!(gap <= tolerance, "{}", what("prediction"));
            }
        }
    }
}

#[test]
fn awkward_sizes_of_bytes_and_floats() {
    for samples in [1, 2, 4, 5, 6, 16, 17, 33] {
        for features in [1, 3, 4, 15, 16, 17, 63, 64, 65, 130] {
            for classes in [1, 2, 3, 5, 6, 10, 11] {
                check::<f32, u8>((samples, features, classes), |x| (x * 8.0) as u8);
                check::<f32, f32>((samples, features, classes), |x| x as f32);
            }
        }
    }
}

#[test]
fn double_precision() {
    for (samples, features, classes) in [(1, 1, 1), (7, 33, 3), (20, 257, 10), (600, 300, 4)] {
        check::<f64, f64>((samples, features, classes), |x| x);
        check::<f64, u8>((samples, features, classes), |x| (x * 8.0) as u8);
    }
}

#[test]
fn batches_beyond_a_block_and_the_real_shape() {
    check::<f32, u8>((1100, 40, 10), |x| (x * 4.0) as u8);
    check::<f32, u8>((64, 3072, 10), |x| (x * 2.0) as u8);
    check::<f32, f32>((37, 700, 23), |x| x as f32);
}

#[test]
fn no_samples_give_no_gradient() {
    let problem = Problem::<f32, u8>::new(0, 40, 10, |x| x as u8);
    for level in supported() {
        let [losses, dscores, dweights, dbias] = problem.step(level, Loss::Softmax, None);
        assert!(losses.is_empty() && dscores.is_empty());
        assert!(dweights.iter().chain(&dbias).all(|&x| x == 0.0));
    }
}

#[test]
fn normalisation_folds_into_the_weights_and_out_of_the_gradient() {
    let (n, d, c) = (50, 600, 10);
    let problem = Problem::<f64, u8>::new(n, d, c, |x| (x * 255.0) as u8);
    let mean: Vec<f64> = uniform(20, d).iter().map(|x: &f64| 120.0 + 10.0 * x).collect();
    let scale: Vec<f64> = uniform(21, d).iter().map(|x: &f64| 0.02 + 0.01 * x).collect();
    let normalisation = Normalisation::new(&mean, &scale).unwrap();
    for loss in LOSSES {
        let expected = problem.expected(loss, |d, x| (x - mean[d]) * scale[d]);
        for level in supported() {
            let mut weights = vec![0.0; c * d];
            let mut sums = vec![0.0; d.div_ceil(FOLD_BLOCK) * 2 * c];
            let folded = Folded {
                weights: MatMut::row_major(&mut weights, c, d).unwrap(),
                sums: MatMut::row_major(&mut sums, d.div_ceil(FOLD_BLOCK), 2 * c).unwrap(),
                normalisation,
            };
            dispatch_at(level, Fold::new(problem.weights(), folded).unwrap()).unwrap();
            let mut bias = vec![0.0; c];
            let sums = MatRef::row_major(&sums, d.div_ceil(FOLD_BLOCK), 2 * c).unwrap();
            let squares = Folded::totals(sums, &problem.bias, &mut bias);
            let wanted: f64 = (0..c).flat_map(|i| problem.weights().row(i)).map(|w| w * w).sum();
            assert!((squares - wanted).abs() < 1e-10 * wanted);

            let folded = Problem { weights: vec![], bias, ..Problem::<f64, u8>::new(n, d, c, |x| (x * 255.0) as u8) };
            let model = Linear::new(MatRef::row_major(&weights, c, d).unwrap(), &folded.bias).unwrap();
            let (mut losses, mut dscores) = (vec![0.0; n], vec![0.0; c * n]);
            let view = MatMut::row_major(&mut dscores, c, n).unwrap();
            dispatch_at(level, Forward::new(model, folded.samples(), loss, view, &mut losses).unwrap()).unwrap();
            assert_close(&losses, &expected.losses, 1e-9, "losses");

            let (mut dbias, mut dweights) = (vec![0.0; c], vec![0.0; c * d]);
            let store = StoreGradient {
                dweights: MatMut::row_major(&mut dweights, c, d).unwrap(),
                normalisation: Some(normalisation),
            };
            let view = MatRef::row_major(&dscores, c, n).unwrap();
            dispatch_at(level, Backward::new(folded.samples(), view, &mut dbias, store).unwrap()).unwrap();
            assert_close(&dweights, &expected.dweights, 1e-9, "dW");
            assert_close(&dbias, &expected.dbias, 1e-12, "db");
        }
    }
}

#[test]
fn the_fused_update_is_the_gradient_then_the_rule() {
    let (n, d, c) = (30_usize, 700_usize, 7_usize);
    let blocks = d.div_ceil(FOLD_BLOCK);
    let problem = Problem::<f32, u8>::new(n, d, c, |x| (x * 255.0) as u8);
    let mean: Vec<f32> = vec![100.0; d];
    let scale: Vec<f32> = vec![0.01; d];
    let normalisation = Normalisation::new(&mean, &scale).unwrap();
    let (rate, momentum, decay) = (0.1, 0.9, 0.01);
    for level in supported() {
        let [_, by_sample, dweights, _] = problem.step(level, Loss::Softmax, Some(normalisation));
        let dscores: Vec<f32> = (0..c * n).map(|i| by_sample[i % n * c + i / n] as f32).collect();
        let old: Vec<f32> = (0..c).flat_map(|i| problem.weights().row(i).to_vec()).collect();
        let old_state: Vec<f32> = uniform(31, c * d);

        let run = |slots: usize, weights: &mut [f32], state: &mut [f32]| -> (Vec<f32>, Vec<f32>) {
            let (mut folded, mut sums, mut dbias) = (vec![0.0; c * d], vec![0.0; blocks * 2 * c], vec![0.0; c]);
            let fold = Folded {
                weights: MatMut::row_major(&mut folded, c, d).unwrap(),
                sums: MatMut::row_major(&mut sums, blocks, 2 * c).unwrap(),
                normalisation,
            };
            let weights = MatMut::row_major(weights, c, d).unwrap();
            let view = MatRef::row_major(&dscores, c, n).unwrap();
            let state = MatMut::row_major(state, slots * c, d).unwrap();
            if slots == 0 {
                let update = UpdateWeights { rule: Sgd { rate }, decay, weights, state, folded: fold };
                dispatch_at(level, Backward::new(problem.samples(), view, &mut dbias, update).unwrap()).unwrap();
            } else {
                let rule = Momentum { rate, momentum };
                let update = UpdateWeights { rule, decay, weights, state, folded: fold };
                dispatch_at(level, Backward::new(problem.samples(), view, &mut dbias, update).unwrap()).unwrap();
            }
            (folded, sums)
        };

        let step = |rule: UpdateRule, i: usize, state: &mut [f64; 3]| {
            let old = f64::from(old[i]);
            rule.step(1, old, dweights[i] + f64::from(decay) * old, state)
        };
        let mut weights = old.clone();
        let (folded, sums) = run(0, &mut weights, &mut []);
        for i in 0..c * d {
            let wanted = step(UpdateRule::Sgd { rate: rate.into() }, i, &mut [0.0; 3]);
            assert!((f64::from(weights[i]) - wanted).abs() < 1e-6, "{level} weight {i}");
            assert_eq!(folded[i], weights[i] * scale[i % d], "{level} folded weight {i}");
        }
        let squares: f32 = (0..blocks).flat_map(|b| &sums[b * 2 * c + c..][..c]).sum();
        let wanted: f32 = weights.iter().map(|w| w * w).sum();
        assert!((squares - wanted).abs() < 1e-3 * wanted);

        let (mut weights, mut state) = (old.clone(), old_state.clone());
        run(1, &mut weights, &mut state);
        for i in 0..c * d {
            let mut wanted_state = [old_state[i].into(), 0.0, 0.0];
            let rule = UpdateRule::Momentum { rate: rate.into(), momentum: momentum.into() };
            let wanted = step(rule, i, &mut wanted_state);
            assert!((f64::from(weights[i]) - wanted).abs() < 1e-6, "{level} weight {i}");
            assert!((f64::from(state[i]) - wanted_state[0]).abs() < 1e-6, "{level} velocity {i}");
        }
    }
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let problem = Problem::<f32, u8>::new(256, 3072, 10, |x| (x * 255.0) as u8);
    let run = |threads: usize| {
        Threads::new(threads).unwrap().run(|| {
            let (mut losses, mut dscores) = (vec![0.0; 256], vec![0.0; 2560]);
            let (mut dbias, mut dweights) = (vec![0.0; 10], vec![0.0; 30720]);
            let view = MatMut::row_major(&mut dscores, 10, 256).unwrap();
            forward(problem.model(), problem.samples(), Loss::Softmax, view, &mut losses).unwrap();
            let store =
                StoreGradient { dweights: MatMut::row_major(&mut dweights, 10, 3072).unwrap(), normalisation: None };
            let view = MatRef::row_major(&dscores, 10, 256).unwrap();
            backward(problem.samples(), view, &mut dbias, store).unwrap();
            let all = [losses, dscores, dbias, dweights].concat();
            all.iter().map(|x: &f32| x.to_bits()).collect::<Vec<u32>>()
        })
    };
    let one = run(1);
    for threads in [2, 3, 4, 16] {
        assert!(run(threads) == one, "{threads} threads");
    }
}

/// The losses of given scores: one feature of value 1, weights zero, scores in the bias.
fn losses_of(loss: Loss, scores: &[f64], label: u32) -> (f64, Vec<f64>) {
    let mut results = supported().map(|level| {
        let data = [1.0_f64];
        let weights = vec![0.0; scores.len()];
        let samples = Samples::new(&data, 1, 1, std::slice::from_ref(&label), &[0]).unwrap();
        let model = Linear::new(MatRef::row_major(&weights, scores.len(), 1).unwrap(), scores).unwrap();
        let (mut losses, mut dscores) = ([0.0], vec![0.0; scores.len()]);
        let view = MatMut::row_major(&mut dscores, scores.len(), 1).unwrap();
        dispatch_at(level, Forward::new(model, samples, loss, view, &mut losses).unwrap()).unwrap();
        (losses[0], dscores)
    });
    let first = results.next().unwrap();
    for other in results {
        let same = (first.0 - other.0).abs() < 1e-12 || first.0.to_bits() == other.0.to_bits();
        assert!(same || first.0.is_nan() && other.0.is_nan(), "{first:?} {other:?}");
    }
    first
}

#[test]
fn scores_of_the_lecture_notes() {
    // cs231n, linear-classify: both losses on the same scores.
    for (scores, softmax) in
        [([10.0, -2.0, 3.0], 9.176_049_6e-4), ([10.0, 9.0, 9.0], 0.551_444_713_9), ([10.0, -100.0, -100.0], 0.0)]
    {
        assert_eq!(losses_of(Loss::Hinge, &scores, 0).0, 0.0);
        assert!((losses_of(Loss::Softmax, &scores, 0).0 - softmax).abs() < 1e-8, "{scores:?}");
    }
    let (loss, gradient) = losses_of(Loss::Softmax, &[123.0, 456.0, 789.0], 0);
    assert!((loss - 666.0).abs() < 1e-9);
    assert!(gradient[0] == -1.0 && gradient[1] < 1e-140 && gradient[2] == 1.0);
    let means = [([3.2, 5.1, -1.7], 0), ([1.3, 4.9, 2.0], 1), ([2.2, 2.5, -3.1], 2)]
        .map(|(scores, label)| losses_of(Loss::Hinge, &scores, label).0);
    assert!((means[0] - 2.9).abs() < 1e-12 && means[1] == 0.0 && (means[2] - 12.9).abs() < 1e-12);
}

#[test]
fn nan_and_infinity_reach_the_loss() {
    for loss in LOSSES {
        for place in 0..3 {
            let mut scores = [1.0, 2.0, 3.0];
            scores[place] = f64::NAN;
            assert!(losses_of(loss, &scores, 1).0.is_nan(), "{loss:?} {place}");
            scores[place] = f64::INFINITY;
            assert!(!losses_of(loss, &scores, 1).0.is_finite() || place == 1, "{loss:?} {place}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let data = [0_u8; 40];
    let labels = [0, 1, 2, 9];
    assert!(Samples::new(&data, 10, 10, &labels, &[3]).is_ok());
    let error = Samples::new(&data, 10, 10, &labels, &[0, 4]).unwrap_err();
    assert_eq!(error, Error::Index { what: "sample", position: 1, value: 4, limit: 4 });
    assert!(Samples::new(&data, 10, 11, &labels, &[]).is_err());
    assert!(Samples::new(&data[..39], 10, 10, &labels, &[3]).is_err());

    let samples = Samples::new(&data, 10, 10, &labels, &[0, 3]).unwrap();
    let weights = [0.0_f32; 30];
    let (mut dscores, mut losses) = ([0.0; 6], [0.0; 2]);
    let bias = [0.0; 3];
    let model = Linear::new(MatRef::row_major(&weights, 3, 10).unwrap(), &bias).unwrap();
    let view = MatMut::row_major(&mut dscores, 3, 2).unwrap();
    let error = Forward::new(model, samples, Loss::Softmax, view, &mut losses).unwrap_err();
    assert_eq!(error, Error::Index { what: "label of the sample", position: 1, value: 9, limit: 3 });
    assert!(Linear::new(MatRef::row_major(&weights, 3, 10).unwrap(), &bias[..2]).is_err());
    let across = MatRef::with_strides(&weights, 0, 3, 10, 1, 3).unwrap();
    assert!(Linear::new(across, &bias).is_err());
}

#[test]
fn gathered_samples_are_the_normalised_rows() {
    for features in [0, 1, 3, 15, 16, 17, 64, 100] {
        let (rows, stride) = (7, features + 5);
        let data: Vec<u8> = (0..rows * stride).map(|i| (i * 37 % 256) as u8).collect();
        let (labels, index) = (vec![0; rows], [3_u32, 0, 6, 3]);
        let (mean, scale) = (uniform::<f32>(1, features), uniform::<f32>(2, features));
        let wide = |values: &[f32]| values.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
        let of_row = |i: usize| data[i * stride..][..features].iter().map(|&x| f64::from(x)).collect();
        let plain: Vec<Vec<f64>> = (0..rows).map(of_row).collect();
        let wanted = reference::gather(&plain, &index, &wide(&mean), &wide(&scale));
        for level in supported() {
            for threads in [1, 3] {
                let mut y = vec![f32::NAN; index.len() * features];
                let samples = Samples::new(&data, stride, features, &labels, &index).unwrap();
                let work = Gather::new(samples, Normalisation::new(&mean, &scale).unwrap(), &mut y).unwrap();
                Threads::new(threads).unwrap().run(|| dispatch_at(level, work)).unwrap();
                assert!(
                    y.iter().zip(&wanted).all(|(y, wanted)| (f64::from(*y) - wanted).abs() < 1e-4),
                    "{level} {features}"
                );
            }
        }
    }
    let samples = Samples::<u8>::new(&[1, 2, 3], 3, 3, &[0], &[0]).unwrap();
    let normalisation = Normalisation::new(&[0.0_f32; 3], &[1.0; 3]).unwrap();
    assert!(Gather::new(samples, normalisation, &mut [0.0; 2]).is_err());
    let short = Normalisation::new(&[0.0_f32; 2], &[1.0; 2]).unwrap();
    assert!(Gather::new(samples, short, &mut [0.0; 3]).is_err());
}
