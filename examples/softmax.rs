//! A softmax classifier with four step sizes: low, good, high and very high, as in the lecture's picture of loss curves.
//!
//! `cargo run --release --example softmax`, on CIFAR-10 itself if `CIFAR10_DIR` names its folder.

mod support;

use lanegrad::Loss;
use lanegrad::data::Normalisation;
use lanegrad::kernels::parallel::Threads;
use lanegrad::linear::{Bias, LinearClassifier, LinearTrainer};
use lanegrad::optim::Optimizer;
use lanegrad::train::{Sampler, Sampling, steps};

const EPOCHS: u64 = 8;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let data = support::data()?;
    let normalisation = Normalisation::standardize(&data.train);
    let threads = Threads::new(std::thread::available_parallelism()?.get())?;
    println!("weights of zero have a loss of ln 10 = {:.4}; the mean loss of each epoch from there on:", 10_f64.ln());

    let mut best = 0.0_f64;
    for (name, rate) in [("low", 1e-5), ("good", 1e-2), ("high", 3e-2), ("very high", 1.0)] {
        let classifier = LinearClassifier::<f32>::new(10, &normalisation, Bias::Separate)?;
        let mut trainer = LinearTrainer::new(classifier, Loss::Softmax, 1e-3, Optimizer::Sgd { rate });
        let mut batches = Sampler::new(Sampling::Epoch, data.train.len(), 256, 0)?;
        let per_epoch = batches.steps_per_epoch();
        let mut losses = vec![0.0; EPOCHS as usize];
        let test = threads.run(|| {
            steps(&mut trainer, &data.train, &mut batches, 0..EPOCHS * per_epoch, |step, found| {
                losses[(step / per_epoch) as usize] += found.data / per_epoch as f64;
            })?;
            trainer.classifier().evaluate(&data.test, Loss::Softmax)
        })?;
        let curve: Vec<String> = losses.iter().map(|loss| format!("{loss:>7.3}")).collect();
        println!("{name:>9} {rate:>6.0e}  {}  test accuracy {:.1} %", curve.join(" "), 100.0 * test.accuracy);
        best = best.max(test.accuracy);
    }
    println!("best test accuracy {:.1} %, where chance is 10 %", 100.0 * best);
    Ok(())
}
