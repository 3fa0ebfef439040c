//! The linear classifier through the public API, as another crate would use it.

use lanegrad::data::Normalisation;
use lanegrad::data::{Images, synthetic};
use lanegrad::kernels::parallel::Threads;
use lanegrad::kernels::reference::{self, UpdateRule};
use lanegrad::linear::{Bias, LinearClassifier, LinearTrainer};
use lanegrad::optim::Optimizer;
use lanegrad::train::{Sampler, Sampling, steps};
use lanegrad::{Error, Loss};

/// Images of 20 features and 4 classes, drawn by a small generator of its own.
fn small_images(count: usize) -> Images {
    let mut images = Images::new(20, 4, count);
    let mut state = 1_u32;
    let mut next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 24
    };
    for _ in 0..count {
        let label = next() % 4;
        let pixels: Vec<u8> = (0..20).map(|d| (next() / 2 + 30 * u32::from(d / 5 == label)) as u8).collect();
        images.push(&pixels, label).unwrap();
    }
    images
}

/// Training, step by step in f64, as the lecture writes it: the weights' last column is the bias.
struct Naive<'a> {
    weights: Vec<Vec<f64>>,
    state: Vec<Vec<[f64; 3]>>,
    steps: i32,
    normalisation: &'a Normalisation<f64>,
    loss: Loss,
    strength: f64,
    bias: Bias,
    optimizer: Optimizer,
}

impl Naive<'_> {
    /// One step; returns the mean loss and the regulariser before it.
    fn step(&mut self, images: &Images, batch: &[u32]) -> (f64, f64) {
        let Normalisation { mean, scale } = self.normalisation;
        let features = mean.len();
        let sample = |&i: &u32| -> Vec<f64> {
            let pixels = images.image(i as usize).iter().zip(mean.iter().zip(scale));
            pixels.map(|(&x, (m, s))| (f64::from(x) - m) * s).collect()
        };
        let samples: Vec<Vec<f64>> = batch.iter().map(sample).collect();
        let labels: Vec<usize> = batch.iter().map(|&i| images.labels()[i as usize] as usize).collect();
        let weights: Vec<Vec<f64>> = self.weights.iter().map(|row| row[..features].to_vec()).collect();
        let biases: Vec<f64> = self.weights.iter().map(|row| row[features]).collect();
        let result = reference::classifier(self.loss, &weights, &biases, &samples, &labels);
        let data = result.losses.iter().sum::<f64>() / batch.len() as f64;
        let mut squares = 0.0;
        self.steps += 1;
        for (c, (row, state)) in self.weights.iter_mut().zip(&mut self.state).enumerate() {
            for (d, (w, state)) in row.iter_mut().zip(state).enumerate() {
                let regularised = d < features || self.bias == Bias::Trick;
                let strength = if regularised { self.strength } else { 0.0 };
                squares += strength * *w * *w;
                let gradient = if d < features { result.dweights[c * features + d] } else { result.dbias[c] };
                let rule = plain(self.optimizer, regularised);
                *w = rule.step(self.steps, *w, gradient + 2.0 * strength * *w, state);
            }
        }
        (data, squares)
    }
}

/// The twin of a rule, without its weight decay where nothing is regularised.
fn plain(optimizer: Optimizer, regularised: bool) -> UpdateRule {
    let kept = |weight_decay| if regularised { weight_decay } else { 0.0 };
    match optimizer {
        Optimizer::Sgd { rate } => UpdateRule::Sgd { rate },
        Optimizer::Momentum { rate, momentum } => UpdateRule::Momentum { rate, momentum },
        Optimizer::Nesterov { rate, momentum } => UpdateRule::Nesterov { rate, momentum },
        Optimizer::Adagrad { rate, epsilon } => UpdateRule::Adagrad { rate, epsilon },
        Optimizer::Adadelta { rate, rho, epsilon } => UpdateRule::Adadelta { rate, rho, epsilon },
        Optimizer::RmsProp { rate, rho, epsilon } => UpdateRule::RmsProp { rate, rho, epsilon },
        Optimizer::GravesRmsProp { rate, rho, momentum, epsilon } => {
            UpdateRule::GravesRmsProp { rate, rho, momentum, epsilon }
        }
        Optimizer::Adam { rate, beta1, beta2, epsilon } => UpdateRule::Adam { rate, beta1, beta2, epsilon },
        Optimizer::AdamW { rate, beta1, beta2, epsilon, weight_decay } => {
            UpdateRule::AdamW { rate, beta1, beta2, epsilon, weight_decay: kept(weight_decay) }
        }
        Optimizer::Lion { rate, beta1, beta2, weight_decay } => {
            UpdateRule::Lion { rate, beta1, beta2, weight_decay: kept(weight_decay) }
        }
        Optimizer::Muon { .. } => panic!("not for a linear classifier"),
    }
}

/// Every rule that trains a linear classifier; what adapts its steps by itself gets a rate of its own.
fn optimizers(rate: f64) -> [Optimizer; 10] {
    let adaptive = 1e-3;
    [
        Optimizer::sgd(rate),
        Optimizer::Momentum { rate: 0.2 * rate, momentum: 0.8 },
        Optimizer::nesterov(0.1 * rate),
        Optimizer::adagrad(adaptive),
        Optimizer::Adadelta { rate: 1.0, rho: 0.9, epsilon: 1e-6 },
        Optimizer::rms_prop(adaptive),
        Optimizer::graves_rms_prop(0.1 * adaptive),
        Optimizer::adam(adaptive),
        Optimizer::AdamW { rate: adaptive, beta1: 0.8, beta2: 0.99, epsilon: 1e-8, weight_decay: 0.5 },
        Optimizer::Lion { rate: 0.1 * adaptive, beta1: 0.9, beta2: 0.99, weight_decay: 0.5 },
    ]
}

#[test]
fn muon_is_refused_and_so_are_settings_without_sense() {
    let images = small_images(8);
    for optimizer in [Optimizer::muon(0.02), Optimizer::sgd(f64::NAN), Optimizer::adam(-1.0)] {
        let classifier = LinearClassifier::<f32>::new(4, &Normalisation::raw(20), Bias::Separate).unwrap();
        let mut trainer = LinearTrainer::new(classifier, Loss::Softmax, 0.0, optimizer);
        let error = trainer.step(&images, &[0, 1]).unwrap_err();
        assert!(matches!(error, Error::Setting(_)), "{error}");
        assert!(trainer.classifier().weights(0).iter().all(|&w| w == 0.0));
    }
}

#[test]
fn fifty_steps_follow_the_plain_definition() {
    let images = small_images(300);
    let normalisations = [Normalisation::raw(20), Normalisation::mean(&images), Normalisation::standardize(&images)];
    for (normalisation, rate) in normalisations.iter().zip([1e-5, 1e-4, 0.05]) {
        for loss in [Loss::Softmax, Loss::Hinge] {
            for bias in [Bias::Separate, Bias::Trick] {
                for optimizer in optimizers(rate) {
                    let strength = 0.02;
                    let mut classifier = LinearClassifier::<f64>::new(4, normalisation, bias).unwrap();
                    classifier.randomize(0.01, 5).unwrap();
                    let row = |c| [classifier.weights(c), &classifier.bias()[c..=c]].concat();
                    let mut naive = Naive {
                        weights: (0..4).map(row).collect(),
                        state: vec![vec![[0.0; 3]; 21]; 4],
                        steps: 0,
                        normalisation,
                        loss,
                        strength,
                        bias,
                        optimizer,
                    };
                    let mut trainer = LinearTrainer::new(classifier, loss, strength, optimizer);
                    let mut sampler = Sampler::new(Sampling::Epoch, 300, 32, 9).unwrap();
                    for step in 0..50 {
                        let batch = sampler.batch(step).to_vec();
                        let found = trainer.step(&images, &batch).unwrap();
                        let (data, squares) = naive.step(&images, &batch);
                        assert!((found.data - data).abs() < 1e-9 * (1.0 + data), "step {step}: {found:?}, {data}");
                        assert!((found.regularisation - squares).abs() < 1e-9 * (1.0 + squares), "step {step}");
                    }
                    for (c, row) in naive.weights.iter().enumerate() {
                        let found = trainer.classifier().weights(c).iter().chain(&trainer.classifier().bias()[c..=c]);
                        for (f, w) in found.zip(row) {
                            assert!(
                                (f - w).abs() < 1e-9 * (1.0 + w.abs()),
                                "{loss:?} {bias:?} {optimizer:?}: {f} for {w}"
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn zero_weights_are_at_chance() {
    let data = synthetic::generate_sized(0, 100, 1000);
    let classifier =
        LinearClassifier::<f32>::new(10, &Normalisation::standardize(&data.train), Bias::Separate).unwrap();
    assert_eq!(classifier.parameters(), 30_730);
    let softmax = classifier.evaluate(&data.test, Loss::Softmax).unwrap();
    assert!((softmax.loss - std::f64::consts::LN_10).abs() < 1e-6);
    assert!((softmax.accuracy - 0.1).abs() < 1e-12);
    assert_eq!(classifier.evaluate(&data.test, Loss::Hinge).unwrap().loss, 9.0);
}

#[test]
fn twenty_images_are_learned_by_heart() {
    let data = synthetic::generate_sized(3, 20, 1);
    for (loss, rate) in [(Loss::Softmax, 0.01), (Loss::Hinge, 0.001)] {
        let normalisation = Normalisation::standardize(&data.train);
        let classifier = LinearClassifier::<f32>::new(10, &normalisation, Bias::Separate).unwrap();
        let mut trainer = LinearTrainer::new(classifier, loss, 0.0, Optimizer::Sgd { rate });
        let mut sampler = Sampler::new(Sampling::Epoch, 20, 20, 0).unwrap();
        steps(&mut trainer, &data.train, &mut sampler, 0..300, |_, _| {}).unwrap();
        let end = trainer.classifier().evaluate(&data.train, loss).unwrap();
        assert_eq!(end.accuracy, 1.0, "{loss:?}");
        assert!(end.loss < 0.05, "{loss:?}: {}", end.loss);
    }
}

#[test]
fn regularisation_raises_the_loss() {
    let images = small_images(100);
    let first_loss = |strength| {
        let mut classifier = LinearClassifier::<f32>::new(4, &Normalisation::raw(20), Bias::Separate).unwrap();
        classifier.randomize(0.01, 1).unwrap();
        let squares = classifier.sum_of_squares();
        let mut trainer = LinearTrainer::new(classifier, Loss::Softmax, strength, Optimizer::Sgd { rate: 1e-3 });
        let loss = trainer.step(&images, &(0..100).collect::<Vec<u32>>()).unwrap();
        assert!((loss.regularisation - strength * squares).abs() < 1e-9);
        loss.full()
    };
    assert!(first_loss(1.0) > first_loss(0.0));
}

#[test]
fn the_same_weights_for_any_number_of_threads() {
    let data = synthetic::generate_sized(1, 1000, 1);
    for loss in [Loss::Softmax, Loss::Hinge] {
        let train = |threads: usize| {
            let normalisation = Normalisation::standardize(&data.train);
            let classifier = LinearClassifier::<f32>::new(10, &normalisation, Bias::Trick).unwrap();
            let optimizer = Optimizer::Momentum { rate: 1e-3, momentum: 0.9 };
            let mut trainer = LinearTrainer::new(classifier, loss, 1e-3, optimizer);
            let mut sampler = Sampler::new(Sampling::Epoch, 1000, 256, 2).unwrap();
            let pool = Threads::new(threads).unwrap();
            let mut losses = Vec::new();
            pool.run(|| steps(&mut trainer, &data.train, &mut sampler, 0..12, |_, loss| losses.push(loss))).unwrap();
            let weights: Vec<u32> =
                (0..10).flat_map(|c| trainer.classifier().weights(c).to_vec()).map(f32::to_bits).collect();
            (weights, losses)
        };
        let one = train(1);
        for threads in [2, 3, 7] {
            assert!(train(threads) == one, "{loss:?} on {threads} threads");
        }
    }
}

#[test]
fn a_training_goes_on_from_what_is_kept_of_it() {
    let images = small_images(60);
    let mut sampler = Sampler::new(Sampling::Epoch, images.len(), 16, 0).unwrap();
    for (optimizer, bias) in optimizers(1e-2).into_iter().zip([Bias::Separate, Bias::Trick].into_iter().cycle()) {
        let fresh = || {
            let normalisation = Normalisation::standardize(&images);
            let classifier = LinearClassifier::<f32>::new(images.classes(), &normalisation, bias).unwrap();
            LinearTrainer::new(classifier, Loss::Softmax, 1e-2, optimizer)
        };
        let parameters = |trainer: &LinearTrainer| -> (Vec<f32>, Vec<f32>) {
            let classifier = trainer.classifier();
            let rows = (0..classifier.classes()).flat_map(|class| classifier.weights(class).to_vec());
            (rows.collect(), classifier.bias().to_vec())
        };
        let mut whole = fresh();
        steps(&mut whole, &images, &mut sampler, 0..7, |_, _| {}).unwrap();
        let ((weights, biases), state, count) = (parameters(&whole), whole.state(), whole.steps());
        assert_eq!(state.len(), optimizer.slots() * whole.classifier().parameters());
        let mut losses = Vec::new();
        steps(&mut whole, &images, &mut sampler, 7..20, |_, loss| losses.push(loss)).unwrap();

        let mut resumed = fresh();
        assert!(resumed.restore(&weights, &biases[1..], &state, count).is_err());
        assert!(resumed.restore(&weights, &biases, &[&state[..], &[0.0]].concat(), count).is_err());
        assert_eq!((parameters(&resumed), resumed.steps()), (parameters(&fresh()), 0));
        resumed.restore(&weights, &biases, &state, count).unwrap();
        let mut again = Vec::new();
        steps(&mut resumed, &images, &mut sampler, 7..20, |_, loss| again.push(loss)).unwrap();
        assert_eq!(again, losses, "{optimizer:?}");
        assert_eq!(parameters(&resumed), parameters(&whole), "{optimizer:?}");
        assert_eq!(resumed.state(), whole.state(), "{optimizer:?}");
    }
}

#[test]
fn a_loss_that_is_not_finite_ends_the_run_and_names_the_step() {
    let images = small_images(100);
    let classifier = LinearClassifier::<f32>::new(4, &Normalisation::raw(20), Bias::Separate).unwrap();
    let mut trainer = LinearTrainer::new(classifier, Loss::Softmax, 1.0, Optimizer::Sgd { rate: 1e20 });
    let mut sampler = Sampler::new(Sampling::Epoch, 100, 10, 0).unwrap();
    let mut seen = 0;
    let error = steps(&mut trainer, &images, &mut sampler, 0..100, |_, _| seen += 1).unwrap_err();
    assert!(matches!(error, lanegrad::Error::Diverged { step, .. } if step == seen && step > 0), "{error}");
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let images = small_images(10);
    let mut classifier = LinearClassifier::<f32>::new(4, &Normalisation::raw(20), Bias::Separate).unwrap();
    assert!(classifier.set_parameters(&[0.0; 79], &[0.0; 4]).is_err());
    assert!(classifier.randomize(-1.0, 0).is_err());
    assert!(classifier.randomize(f64::NAN, 0).is_err());
    classifier.set_parameters(&[1.0; 80], &[2.0; 4]).unwrap();
    let mut trainer = LinearTrainer::new(classifier, Loss::Softmax, 0.0, Optimizer::Sgd { rate: 0.1 });
    assert!(trainer.step(&images, &[3, 10]).is_err());
    assert_eq!(trainer.classifier().weights(3), [1.0; 20]);
    assert_eq!(trainer.classifier().bias(), [2.0; 4]);
    let other = Images::new(21, 4, 0);
    assert!(trainer.classifier().evaluate(&other, Loss::Softmax).is_err());
    let unequal = Normalisation { mean: vec![0.0_f32; 3], scale: vec![1.0; 4] };
    assert!(LinearClassifier::new(2, &unequal, Bias::Separate).is_err());
}

#[test]
fn a_gradient_is_what_a_step_takes_away() {
    let images = small_images(30);
    let normalisation = Normalisation::<f64>::standardize(&images);
    for (loss, optimizer) in [(Loss::Softmax, Optimizer::sgd(1.0)), (Loss::Hinge, Optimizer::adagrad(0.1))] {
        let mut classifier = LinearClassifier::new(4, &normalisation, Bias::Trick).unwrap();
        classifier.randomize(0.1, 3).unwrap();
        let start = parameters(&classifier);
        let index: Vec<u32> = (3..20).collect();
        let mut trainer = LinearTrainer::new(classifier.clone(), loss, 0.5, optimizer);
        let gradient = trainer.gradient(&images, &index).unwrap();
        assert_eq!(parameters(trainer.classifier()), start);
        // Without the regulariser, and whatever the rule.
        let mut plain = LinearTrainer::new(classifier, loss, 0.0, Optimizer::sgd(1.0));
        plain.step(&images, &index).unwrap();
        assert!(gradient.iter().any(|slope| *slope != 0.0));
        for ((before, after), slope) in start.iter().zip(parameters(plain.classifier())).zip(&gradient) {
            assert!((before - after - slope).abs() < 1e-12, "{before} - {after} is not {slope}");
        }
        // What comes after a gradient is what would have come without it.
        let mut other = LinearTrainer::new(trainer.classifier().clone(), loss, 0.5, optimizer);
        trainer.step(&images, &index).unwrap();
        other.step(&images, &index).unwrap();
        assert_eq!(parameters(trainer.classifier()), parameters(other.classifier()));
    }
}

/// Weights row by row, then the bias.
fn parameters(classifier: &LinearClassifier<f64>) -> Vec<f64> {
    let rows = (0..classifier.classes()).flat_map(|class| classifier.weights(class));
    rows.chain(classifier.bias()).copied().collect()
}
