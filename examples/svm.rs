//! The lecture's support vector machine: scores W x + b, the multiclass hinge loss, gradient descent on mini-batches.
//!
//! `cargo run --release --example svm`, on CIFAR-10 itself if `CIFAR10_DIR` names its folder.

mod support;

use lanegrad::Loss;
use lanegrad::data::Normalisation;
use lanegrad::kernels::parallel::Threads;
use lanegrad::linear::{Bias, LinearClassifier, LinearTrainer};
use lanegrad::optim::Optimizer;
use lanegrad::train::{Sampler, Sampling, steps};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let data = support::data()?;
    let classifier = LinearClassifier::<f32>::new(10, &Normalisation::standardize(&data.train), Bias::Separate)?;
    let start = classifier.evaluate(&data.test, Loss::Hinge)?;
    println!("weights of zero: loss {} (nine margins of 1), accuracy {:.1} %", start.loss, 100.0 * start.accuracy);

    let optimizer = Optimizer::Momentum { rate: 1e-4, momentum: 0.9 };
    let mut trainer = LinearTrainer::new(classifier, Loss::Hinge, 1e-2, optimizer);
    let mut batches = Sampler::new(Sampling::Epoch, data.train.len(), 256, 0)?;
    let threads = Threads::new(std::thread::available_parallelism()?.get())?;
    println!("epoch  data loss  penalty  test accuracy");
    for epoch in 0..10 {
        let per_epoch = batches.steps_per_epoch();
        let (mut loss, mut penalty) = (0.0, 0.0);
        let accuracy = threads.run(|| {
            steps(&mut trainer, &data.train, &mut batches, epoch * per_epoch..(epoch + 1) * per_epoch, |_, found| {
                loss += found.data / per_epoch as f64;
                penalty = found.regularisation;
            })?;
            trainer.classifier().evaluate(&data.test, Loss::Hinge).map(|found| found.accuracy)
        })?;
        println!("{epoch:>5}  {loss:>9.4}  {penalty:>7.4}  {:>11.1} %", 100.0 * accuracy);
    }

    let test = trainer.classifier().evaluate(&data.test, Loss::Hinge)?;
    println!("test accuracy {:.1} %, where chance is 10 %", 100.0 * test.accuracy);
    Ok(())
}
