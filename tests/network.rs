//! Networks in training, through the public API.

use lanegrad::data::{Images, Normalisation, synthetic};
use lanegrad::init::{Initializer, Scheme};
use lanegrad::kernels::parallel::Threads;
use lanegrad::linear::{Bias, LinearClassifier, LinearTrainer};
use lanegrad::nn::{BatchNorm, Dropout, Linear, Relu, Sequential, models};
use lanegrad::optim::Optimizer;
use lanegrad::shape::Shape;
use lanegrad::tape::Tape;
use lanegrad::train::{Network, NetworkTrainer, Sampler, Sampling, Trainer, steps};
use lanegrad::{Error, Loss};

fn mlp(images: &Images, optimizer: Optimizer) -> NetworkTrainer {
    let mut tape = Tape::new();
    let mut initializer = Initializer::new(Scheme::He, 0);
    let model = models::mlp(&mut tape, images.features(), &[48], images.classes(), &mut initializer).unwrap();
    trainer(tape, model, images, optimizer)
}

/// With batch normalisation and dropout, for `classes` classes.
fn normalised(images: &Images, classes: usize) -> NetworkTrainer {
    let mut tape = Tape::new();
    let mut initializer = Initializer::new(Scheme::He, 0);
    let model = Sequential::new()
        .with(Linear::new(&mut tape, "fc1", images.features(), 12, &mut initializer).unwrap())
        .with(BatchNorm::new(&mut tape, "bn", 12).unwrap())
        .with(Relu)
        .with(Dropout::new(0.5, &mut initializer).unwrap())
        .with(Linear::new(&mut tape, "fc2", 12, classes, &mut initializer).unwrap());
    trainer(tape, model, images, Optimizer::sgd(1e-2))
}

fn trainer(tape: Tape, model: Sequential<f32>, images: &Images, optimizer: Optimizer) -> NetworkTrainer {
    let (image, normalisation) = (Shape::new(&[images.features()]), Normalisation::standardize(images));
    let network = Network { tape, model: Box::new(model), image, normalisation };
    NetworkTrainer::new(network, Loss::Softmax, 1e-4, optimizer).unwrap()
}

/// The bits of all parameters and buffers.
fn bits(trainer: &NetworkTrainer) -> Vec<u32> {
    trainer.network().tape.look_at_parameters(|flat| flat.iter().map(|x| x.to_bits()).collect()).unwrap()
}

#[test]
fn five_hundred_images_are_learnt_by_heart() {
    let data = synthetic::generate_sized(0, 500, 1);
    let mut trainer = mlp(&data.train, Optimizer::adam(1e-3));
    let before = trainer.evaluate(&data.train).unwrap();
    let mut sampler = Sampler::new(Sampling::Epoch, 500, 100, 0).unwrap();
    steps(&mut trainer, &data.train, &mut sampler, 0..150, |_, _| {}).unwrap();
    let after = trainer.evaluate(&data.train).unwrap();
    assert!(before.accuracy < 0.3 && before.loss > 2.0, "{before:?}");
    assert!(after.accuracy > 0.99 && after.loss < 0.1, "{after:?}");
}

#[test]
fn any_number_of_threads_gives_the_same_weights() {
    let data = synthetic::generate_sized(0, 256, 1);
    let trained = [1, 2, 3].map(|threads| {
        let mut trainer = mlp(&data.train, Optimizer::Momentum { rate: 1e-2, momentum: 0.9 });
        trainer.set_clip_norm(Some(0.5));
        let mut sampler = Sampler::new(Sampling::Epoch, 256, 64, 0).unwrap();
        let start = bits(&trainer);
        Threads::new(threads)
            .unwrap()
            .run(|| steps(&mut trainer, &data.train, &mut sampler, 0..10, |_, _| {}))
            .unwrap();
        assert_ne!(bits(&trainer), start);
        bits(&trainer)
    });
    assert!(trained[0] == trained[1] && trained[0] == trained[2]);
}

#[test]
fn evaluation_does_not_change_what_dropout_drops() {
    let data = synthetic::generate_sized(0, 64, 700);
    let index: Vec<u32> = (0..64).collect();
    let [with, without] = [true, false].map(|evaluates| {
        let mut trainer = normalised(&data.train, 10);
        for _ in 0..4 {
            trainer.step(&data.train, &index).unwrap();
            if evaluates {
                let (before, step) = (bits(&trainer), trainer.network().tape.step());
                trainer.evaluate(&data.test).unwrap();
                let tape = &trainer.network().tape;
                assert!(bits(&trainer) == before && tape.step() == step && tape.is_training());
            }
        }
        bits(&trainer)
    });
    assert!(with == without);
}

/// With dropout and running statistics: parameters, buffers, the rule's state and the tape's step are all that there is.
#[test]
fn a_training_goes_on_from_what_is_kept_of_it() {
    let data = synthetic::generate_sized(0, 128, 50);
    let mut sampler = Sampler::new(Sampling::Epoch, 128, 32, 0).unwrap();
    let mut train = |trainer: &mut NetworkTrainer, range| {
        steps(trainer, &data.train, &mut sampler, range, |_, _| {}).unwrap();
    };
    let mut whole = normalised(&data.train, 10);
    train(&mut whole, 0..3);
    whole.evaluate(&data.test).unwrap();
    let (kept, step) = (bits(&whole), whole.network().tape.step());
    let (state, count) = (whole.updater().state().to_vec(), whole.updater().steps());
    train(&mut whole, 3..9);

    let resumed = |step: u64| {
        let mut trainer = normalised(&data.train, 10);
        trainer.updater_mut().restore(&state, count).unwrap();
        let tape = &mut trainer.network_mut().tape;
        tape.parameters_mut().iter_mut().zip(&kept).for_each(|(x, &bits)| *x = f32::from_bits(bits));
        tape.set_step(step);
        trainer
    };
    let mut same = resumed(step);
    train(&mut same, 3..9);
    assert_eq!(bits(&same), bits(&whole));
    // Dropout is keyed by the tape's step.
    let mut other = resumed(step + 1);
    train(&mut other, 3..9);
    assert_ne!(bits(&other), bits(&whole));
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let data = synthetic::generate_sized(0, 64, 1);
    let index: Vec<u32> = (0..64).collect();
    // As many classes as some labels are below, and others are not.
    let mut trainer = normalised(&data.train, 5);
    let few: Vec<u32> = index.iter().copied().filter(|&i| data.train.labels()[i as usize] < 5).collect();
    trainer.step(&data.train, &few).unwrap();
    let (before, step) = (bits(&trainer), trainer.network().tape.step());
    let mut other = Images::new(7, 10, 2);
    (0..2).for_each(|label| other.push(&[0; 7], label).unwrap());
    let refused = [
        trainer.step(&data.train, &index).map(drop),
        trainer.step(&data.train, &[64]).map(drop),
        trainer.step(&data.train, &[]).map(drop),
        trainer.step(&other, &[0, 1]).map(drop),
        trainer.evaluate(&data.train).map(drop),
        trainer.evaluate(&other).map(drop),
    ];
    for (i, result) in refused.iter().enumerate() {
        assert!(matches!(result, Err(Error::Failed(_) | Error::Kernel(_))), "{i}: {result:?}");
    }
    assert!(bits(&trainer) == before && trainer.network().tape.step() == step);
    assert!(trainer.network().tape.is_training());
    // And it goes on as one that was never asked.
    let mut untouched = normalised(&data.train, 5);
    untouched.step(&data.train, &few).unwrap();
    for trainer in [&mut trainer, &mut untouched] {
        trainer.step(&data.train, &few).unwrap();
    }
    assert!(bits(&trainer) == bits(&untouched));
}

#[test]
fn nothing_to_evaluate_is_no_error() {
    let data = synthetic::generate_sized(0, 8, 1);
    let mut trainer = mlp(&data.train, Optimizer::sgd(1e-2));
    let nothing = trainer.evaluate(&Images::new(data.train.features(), 10, 0)).unwrap();
    assert_eq!((nothing.loss, nothing.accuracy), (0.0, 0.0));
    assert!(trainer.network().tape.is_training());
}

#[test]
fn a_strength_that_is_no_strength_is_refused() {
    let data = synthetic::generate_sized(0, 10, 1);
    for strength in [-1.0, f64::NAN, f64::INFINITY] {
        let network = mlp(&data.train, Optimizer::sgd(0.1)).into_network();
        let refused = NetworkTrainer::new(network, Loss::Softmax, strength, Optimizer::sgd(0.1));
        assert!(matches!(refused, Err(Error::Setting(_))), "{strength}");
    }
}

/// Of both models: what is scored best is what evaluation counts, and the two agree.
#[test]
fn scores_are_those_that_are_evaluated() {
    let images = small_images(1203);
    let normalisation = Normalisation::standardize(&images);
    let mut network = NetworkTrainer::new(affine(&images), Loss::Softmax, 0.01, SGD).unwrap();
    let classifier = LinearClassifier::new(4, &normalisation, Bias::Separate).unwrap();
    let mut linear = LinearTrainer::<f64>::new(classifier, Loss::Softmax, 0.01, SGD);
    for step in 0..20_u32 {
        let index: Vec<u32> = (0..30 + step).map(|i| (i * 41 + step) % 1203).collect();
        network.step(&images, &index).unwrap();
        linear.step(&images, &index).unwrap();
    }
    let classifier = linear.classifier();
    let [of_network, of_linear] = [network.network_mut().scores(&images).unwrap(), classifier.scores(&images).unwrap()];
    assert_eq!((of_network.len(), of_linear.len()), (1203 * 4, 1203 * 4));
    let mut right = 0;
    for (n, (row, other)) in of_network.chunks(4).zip(of_linear.chunks(4)).enumerate() {
        for (c, (a, b)) in row.iter().zip(other).enumerate() {
            let pixels = images.image(n).iter().zip(normalisation.mean.iter().zip(&normalisation.scale));
            let products = pixels.zip(classifier.weights(c)).map(|((&x, (m, s)), w)| (f64::from(x) - m) * s * w);
            let wanted = classifier.bias()[c] + products.sum::<f64>();
            assert!((a - wanted).abs() < 1e-10 && (b - wanted).abs() < 1e-10, "{n}, {c}: {a}, {b} for {wanted}");
        }
        let best = (0..4).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
        right += usize::from(best == images.labels()[n] as usize);
    }
    let evaluated = linear.evaluate(&images).unwrap();
    assert!((evaluated.accuracy - right as f64 / 1203.0).abs() < 1e-12, "{right}: {evaluated:?}");
    assert!(network.network_mut().scores(&Images::new(20, 4, 0)).unwrap().is_empty());
    assert!(linear.classifier().scores(&Images::new(20, 4, 0)).unwrap().is_empty());
    let mut other = Images::new(21, 4, 1);
    other.push(&[0; 21], 0).unwrap();
    assert!(network.network_mut().scores(&other).is_err() && linear.classifier().scores(&other).is_err());
}

/// Images of 20 features and 4 classes.
fn small_images(count: usize) -> Images {
    let mut images = Images::new(20, 4, count);
    for i in 0..count {
        let label = i * i % 4;
        let pixels: Vec<u8> =
            (0..20).map(|d| ((i * 37 + d * d * 11) % 97 + 50 * usize::from(d % 4 == label)) as u8).collect();
        images.push(&pixels, label as u32).unwrap();
    }
    images
}

/// One affine layer.
fn affine(images: &Images) -> Network<f64> {
    let mut tape = Tape::new();
    let layer = Linear::new(&mut tape, "fc", 20, 4, &mut Initializer::new(Scheme::Zero, 0)).unwrap();
    let layers = Sequential::new().with(layer);
    Network { tape, model: Box::new(layers), image: 20.into(), normalisation: Normalisation::standardize(images) }
}

const SGD: Optimizer = Optimizer::Sgd { rate: 0.1 };

#[test]
fn one_affine_layer_is_the_linear_classifier() {
    // More images than are evaluated at a time, and not a multiple of that.
    let images = small_images(1203);
    for loss in [Loss::Softmax, Loss::Hinge] {
        let mut network = NetworkTrainer::new(affine(&images), loss, 0.01, SGD).unwrap();
        let classifier = LinearClassifier::new(4, &Normalisation::standardize(&images), Bias::Separate).unwrap();
        let mut linear = LinearTrainer::<f64>::new(classifier, loss, 0.01, SGD);
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-10 * (1.0 + b.abs());
        for step in 0..20_u32 {
            let index: Vec<u32> = (0..30 + step).map(|i| (i * 41 + step) % 1203).collect();
            let (found, wanted) = (network.step(&images, &index).unwrap(), linear.step(&images, &index).unwrap());
            assert!(close(found.data, wanted.data), "{loss:?}, step {step}: {found:?} for {wanted:?}");
            assert!(close(found.regularisation, wanted.regularisation), "{loss:?}: {found:?} for {wanted:?}");
        }
        let (found, wanted) = (network.evaluate(&images).unwrap(), Trainer::evaluate(&mut linear, &images).unwrap());
        assert!(close(found.loss, wanted.loss) && found.accuracy == wanted.accuracy, "{found:?} for {wanted:?}");
        assert!(found.accuracy > 0.3);
    }
}

#[test]
fn a_gradient_is_what_a_step_takes_away_and_that_of_many_images_is_a_mean() {
    let data = synthetic::generate_sized(0, 1200, 1);
    let mut trainer = mlp(&data.train, Optimizer::sgd(1.0));
    let start = bits(&trainer);
    let index: Vec<u32> = (0..1200).collect();
    let whole = trainer.gradient(&data.train, &index).unwrap();
    let parts: Vec<_> = index.chunks(400).map(|part| trainer.gradient(&data.train, part).unwrap()).collect();
    assert_eq!(bits(&trainer), start);
    for (i, slope) in whole.iter().enumerate() {
        let mean = parts.iter().map(|part| part[i]).sum::<f32>() / 3.0;
        assert!((slope - mean).abs() < 1e-5 * (1.0 + mean.abs()), "{slope} and {mean}");
    }
    trainer.step(&data.train, &index).unwrap();
    let moved = start.iter().zip(bits(&trainer)).map(|(&a, b)| f32::from_bits(a) - f32::from_bits(b));
    // But for the regulariser, 2e-4 of the weights.
    let distance = moved.zip(&whole).map(|(moved, slope)| (moved - slope).abs()).fold(0.0, f32::max);
    assert!(distance < 2e-4, "{distance}");
}

#[test]
fn a_gradient_changes_neither_buffers_nor_what_dropout_drops() {
    let data = synthetic::generate_sized(0, 64, 1);
    let index: Vec<u32> = (0..64).collect();
    let [with, without] = [true, false].map(|measures| {
        let mut trainer = normalised(&data.train, 10);
        for _ in 0..3 {
            if measures {
                trainer.gradient(&data.train, &index).unwrap();
            }
            trainer.step(&data.train, &index).unwrap();
        }
        bits(&trainer)
    });
    assert_eq!(with, without);
}
