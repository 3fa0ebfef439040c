//! A convolutional network: three convolutions with maxima between them, and what it sees that a linear classifier does not.
//!
//! `cargo run --release --example convnet`, on CIFAR-10 itself if `CIFAR10_DIR` names its folder.

mod support;

use lanegrad::Loss;
use lanegrad::data::Normalisation;
use lanegrad::init::{Initializer, Scheme};
use lanegrad::kernels::parallel::Threads;
use lanegrad::nn::{Conv2d, Flatten, Linear, MaxPool2d, Sequential};
use lanegrad::ops::conv2d::{self, Activation};
use lanegrad::ops::pool2d::Window;
use lanegrad::optim::Optimizer;
use lanegrad::tape::Tape;
use lanegrad::train::{Network, NetworkTrainer, Sampler, Sampling, Trainer, steps};

/// 3 x 3 windows, padded so that extents stay, and a rectifier.
const SAME: conv2d::Conv2d =
    conv2d::Conv2d { stride: [1, 1], padding: [1, 1], groups: 1, activation: Activation::Relu };

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let data = support::data()?;
    let (train, test) = (data.train.channels_last(3)?, data.test.channels_last(3)?);
    let (mut tape, mut initializer) = (Tape::<f32>::new(), Initializer::new(Scheme::He, 0));
    let mut model = Sequential::new();
    for (name, channels, filters) in [("conv1", 3, 16), ("conv2", 16, 32), ("conv3", 32, 64)] {
        let convolution = Conv2d::new(&mut tape, name, channels, filters, [3, 3], SAME, &mut initializer)?;
        model = model.with(convolution).with(MaxPool2d { window: Window::new(2, 2) });
    }
    let scores = Linear::new(&mut tape, "scores", 4 * 4 * 64, 10, &mut initializer)?;
    let model = Box::new(model.with(Flatten).with(scores));
    println!("{} parameters, 3 x 32 x 32 -> 16 x 16 x 16 -> 32 x 8 x 8 -> 64 x 4 x 4 -> 10", tape.parameter_count());

    let normalisation = Normalisation::standardize(&train);
    let network = Network { tape, model, image: [32, 32, 3].into(), normalisation };
    let mut trainer = NetworkTrainer::new(network, Loss::Softmax, 1e-4, Optimizer::adam(2e-3))?;
    let mut batches = Sampler::new(Sampling::Epoch, train.len(), 50, 0)?;
    let per_epoch = batches.steps_per_epoch();
    let threads = Threads::new(std::thread::available_parallelism()?.get())?;
    threads.run(|| {
        for epoch in 0..3 {
            let mut loss = 0.0;
            steps(&mut trainer, &train, &mut batches, epoch * per_epoch..(epoch + 1) * per_epoch, |_, found| {
                loss += found.data / per_epoch as f64;
            })?;
            let test = trainer.evaluate(&test)?;
            println!("epoch {epoch}: mean loss {loss:.4}, test accuracy {:.1} %", 100.0 * test.accuracy);
        }
        Ok::<(), lanegrad::Error>(())
    })?;
    println!("where chance is 10 %");
    Ok(())
}
