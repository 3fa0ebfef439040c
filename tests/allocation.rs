//! A warm training step allocates nothing. In a binary of its own: the counter sees every thread of the process.

use lanegrad::Loss;
use lanegrad::data::Normalisation;
use lanegrad::data::synthetic;
use lanegrad::init::{Initializer, Scheme};
use lanegrad::kernels::parallel::Threads;
use lanegrad::linear::{Bias, LinearClassifier, LinearTrainer};
use lanegrad::nn::{self, Layer, Sequential};
use lanegrad::ops::conv2d::Conv2d;
use lanegrad::ops::pool2d::Window;
use lanegrad::optim::{Optimizer, Segment, Updater};
use lanegrad::shape::Shape;
use lanegrad::tape::{Observed, Observer, Tape};
use lanegrad::tensor::Tensor;
use lanegrad::train::{Network, NetworkTrainer, Sampler, Sampling, steps};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The system's allocator, with a count of what it was asked for.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are those that the system's allocator needs.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test, since another would allocate while this one counts.
#[test]
fn a_warm_step_allocates_nothing() {
    steps_of_a_linear_classifier();
    steps_of_an_updater();
    steps_of_a_convnet();
    steps_of_a_network_trainer();
}

fn steps_of_a_linear_classifier() {
    let data = synthetic::generate_sized(0, 2048, 1);
    for threads in [1, 2, 4, 7] {
        for (loss, optimizer) in [
            (Loss::Softmax, Optimizer::Sgd { rate: 1e-3 }),
            (Loss::Hinge, Optimizer::Momentum { rate: 1e-4, momentum: 0.9 }),
            (Loss::Softmax, Optimizer::adam(1e-3)),
        ] {
            let normalisation = Normalisation::standardize(&data.train);
            let classifier = LinearClassifier::<f32>::new(10, &normalisation, Bias::Separate).unwrap();
            let mut trainer = LinearTrainer::new(classifier, loss, 1e-3, optimizer);
            let mut sampler = Sampler::new(Sampling::Epoch, 2048, 256, 0).unwrap();
            let counted = Threads::new(threads).unwrap().run(|| {
                // Enough steps that every thread has had each kind of work, and with it its scratch.
                steps(&mut trainer, &data.train, &mut sampler, 0..200, |_, _| {}).unwrap();
                let before = ALLOCATIONS.load(Ordering::Relaxed);
                steps(&mut trainer, &data.train, &mut sampler, 200..300, |_, _| {}).unwrap();
                ALLOCATIONS.load(Ordering::Relaxed) - before
            });
            assert_eq!(counted, 0, "{loss:?} on {threads} threads");
        }
    }
}

fn steps_of_an_updater() {
    let segments = [
        Segment { range: 0..100_000, matrix: None, decay: true },
        Segment { range: 100_016..108_016, matrix: Some((100, 80)), decay: true },
        Segment { range: 108_016..108_116, matrix: None, decay: false },
    ];
    for threads in [1, 2, 4] {
        for optimizer in [Optimizer::sgd(1e-3), Optimizer::adam(1e-3), Optimizer::muon(1e-3)] {
            let mut updater = Updater::<f32>::new(optimizer, &segments).unwrap();
            let (mut parameters, mut gradients) = (vec![0.5; 108_116], vec![0.1; 108_116]);
            let mut train = |steps| {
                for _ in 0..steps {
                    updater.clip_norm(&mut gradients, 1.0).unwrap();
                    updater.clip_value(&mut gradients, 0.5).unwrap();
                    updater.step(&mut parameters, &gradients, 1e-3).unwrap();
                }
            };
            let counted = Threads::new(threads).unwrap().run(|| {
                train(100);
                let before = ALLOCATIONS.load(Ordering::Relaxed);
                train(100);
                ALLOCATIONS.load(Ordering::Relaxed) - before
            });
            assert_eq!(counted, 0, "{optimizer:?} on {threads} threads");
        }
    }
}

/// Adds up what all operations took.
#[derive(Debug)]
struct Total(Duration);

impl Observer<f32> for Total {
    fn observe(&mut self, run: Observed<'_, f32>) {
        self.0 += run.elapsed;
    }
}

/// Convolution, both pools, both normalisations, dropout and the fused classifier, on the tape.
fn steps_of_a_convnet() {
    for threads in [1, 2] {
        let mut tape = Tape::<f32>::new();
        let mut initializer = Initializer::new(Scheme::He, 0);
        let same = Conv2d { padding: [1, 1], ..Conv2d::default() };
        let model = Sequential::new()
            .with(nn::Conv2d::new(&mut tape, "conv1", 3, 16, [3, 3], same, &mut initializer).unwrap())
            .with(nn::BatchNorm::new(&mut tape, "bn", 16).unwrap())
            .with(nn::Relu)
            .with(nn::MaxPool2d { window: Window::new(3, 2).ceil() })
            .with(nn::LocalResponseNorm::ALEXNET)
            .with(nn::Conv2d::new(&mut tape, "conv2", 16, 20, [3, 3], same, &mut initializer).unwrap().rectified())
            .with(nn::AvgPool2d { window: Window::new(2, 2), count_padding: true })
            .with(nn::Flatten)
            .with(nn::Dropout::new(0.5, &mut initializer).unwrap());
        let weight = tape.parameter("weight", &initializer.draw([10, 320], 320, 10).unwrap()).unwrap();
        let bias = tape.parameter("bias", &Tensor::zeros([10]).unwrap()).unwrap();
        let images = Tensor::from_fn([32, 16, 16, 3], |i| (i * 7919 % 1000) as f32 / 1000.0).unwrap();
        let labels: Vec<u32> = (0..32).map(|i| i % 10).collect();
        tape.set_observer(Some(Box::new(Total(Duration::ZERO))));
        let mut train = move |steps| {
            for _ in 0..steps {
                tape.reset();
                let features = model.forward(tape.constant(&images));
                let labels = tape.indices(&labels);
                let loss = features.classify(tape.param(weight), tape.param(bias), labels, Loss::Softmax);
                (loss + features.softmax(1).max([1]).mean_all()).backward().unwrap();
                let (parameters, gradients) = tape.parameters_and_gradients();
                parameters.iter_mut().zip(gradients).for_each(|(w, dw)| *w -= 1e-3 * *dw);
            }
        };
        let counted = Threads::new(threads).unwrap().run(move || {
            train(50);
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            train(50);
            ALLOCATIONS.load(Ordering::Relaxed) - before
        });
        assert_eq!(counted, 0, "convnet on {threads} threads");
    }
}

/// An affine network with batch normalisation and dropout, momentum, the regulariser and clipping.
fn steps_of_a_network_trainer() {
    let data = synthetic::generate_sized(0, 256, 1);
    for threads in [1, 2] {
        let mut tape = Tape::<f32>::new();
        let mut initializer = Initializer::new(Scheme::He, 0);
        let model = Sequential::new()
            .with(nn::Linear::new(&mut tape, "fc1", 3072, 40, &mut initializer).unwrap())
            .with(nn::BatchNorm::new(&mut tape, "bn", 40).unwrap())
            .with(nn::Relu)
            .with(nn::Dropout::new(0.5, &mut initializer).unwrap())
            .with(nn::Linear::new(&mut tape, "fc2", 40, 10, &mut initializer).unwrap());
        let (image, normalisation) = (Shape::new(&[3072]), Normalisation::standardize(&data.train));
        let network = Network { tape, model: Box::new(model), image, normalisation };
        let momentum = Optimizer::Momentum { rate: 1e-3, momentum: 0.9 };
        let mut trainer = NetworkTrainer::new(network, Loss::Softmax, 1e-3, momentum).unwrap();
        trainer.set_clip_norm(Some(1.0));
        trainer.measure_times(threads == 2);
        let mut sampler = Sampler::new(Sampling::Epoch, 256, 64, 0).unwrap();
        let counted = Threads::new(threads).unwrap().run(|| {
            steps(&mut trainer, &data.train, &mut sampler, 0..60, |_, _| {}).unwrap();
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            steps(&mut trainer, &data.train, &mut sampler, 60..120, |_, _| {}).unwrap();
            ALLOCATIONS.load(Ordering::Relaxed) - before
        });
        assert_eq!(counted, 0, "network trainer on {threads} threads");
    }
}
