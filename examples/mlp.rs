//! A perceptron with one hidden layer on the tape, and momentum written out by hand.
//!
//! `cargo run --release --example mlp`, on CIFAR-10 itself if `CIFAR10_DIR` names its folder.

mod support;

use lanegrad::data::Images;
use lanegrad::init::{Initializer, Scheme};
use lanegrad::nn::{Layer, Linear, Relu, Sequential};
use lanegrad::tape::{Tape, Var};
use lanegrad::train::{Sampler, Sampling};

/// Images on the tape, as rows of pixels from -1 to 1, and their labels.
fn batch<'t>(tape: &'t Tape, images: &Images, index: &[u32]) -> (Var<'t>, Var<'t>) {
    let features = images.features();
    let x = tape.constant_with([index.len(), features], |values| {
        for (row, &i) in values.chunks_exact_mut(features).zip(index) {
            row.iter_mut().zip(images.image(i as usize)).for_each(|(x, &pixel)| *x = f32::from(pixel) / 127.5 - 1.0);
        }
        Ok(())
    });
    let labels: Vec<u32> = index.iter().map(|&i| images.labels()[i as usize]).collect();
    (x, tape.indices(&labels))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let data = support::data()?;
    let (mut tape, mut initializer) = (Tape::new(), Initializer::new(Scheme::He, 0));
    let model = Sequential::new()
        .with(Linear::new(&mut tape, "fc1", data.train.features(), 100, &mut initializer)?)
        .with(Relu)
        .with(Linear::new(&mut tape, "fc2", 100, 10, &mut initializer)?);
    println!("{} parameters", tape.parameter_count());
    let mut batches = Sampler::new(Sampling::Epoch, data.train.len(), 50, 0)?;
    let per_epoch = batches.steps_per_epoch();
    let mut velocity = vec![0.0; tape.parameters_mut().len()];
    for epoch in 0..8 {
        let mut sum = 0.0;
        for step in epoch * per_epoch..(epoch + 1) * per_epoch {
            tape.reset();
            let (x, labels) = batch(&tape, &data.train, batches.batch(step));
            let loss = model.forward(x).softmax_cross_entropy(labels);
            loss.backward()?;
            sum += loss.item()?;
            let (parameters, gradients) = tape.parameters_and_gradients();
            for ((x, v), dx) in parameters.iter_mut().zip(&mut velocity).zip(gradients) {
                *v = 0.9 * *v - 2e-3 * *dx;
                *x += *v;
            }
        }
        println!("epoch {epoch}: mean loss {:.4}", sum / per_epoch as f32);
    }
    tape.reset();
    let all: Vec<u32> = (0..data.test.len() as u32).collect();
    let predictions = model.forward(batch(&tape, &data.test, &all).0).value()?.argmax(1)?;
    let right = predictions.iter().zip(data.test.labels()).filter(|&(&found, &label)| found == label as usize).count();
    println!("test accuracy {:.1} %, where chance is 10 %", 100.0 * right as f64 / all.len() as f64);
    Ok(())
}
