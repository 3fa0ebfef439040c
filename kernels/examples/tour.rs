//! Every kernel once, on a few numbers: how each is called, and what the disassembly test disassembles.

use lanegrad_kernels::classifier::{
    FOLD_BLOCK, Folded, Linear, Loss, Normalisation, Samples, StoreGradient, UpdateWeights, backward, evaluate, fold,
    forward,
};
use lanegrad_kernels::update::{Momentum, Sgd, update};
use lanegrad_kernels::{Error, MatMut, MatRef, dispatch, gemm, math};

/// Six images of four features, as bytes; their labels.
const PIXELS: [u8; 24] = [9, 1, 0, 2, 8, 2, 1, 0, 0, 9, 1, 1, 1, 8, 0, 2, 1, 0, 9, 8, 2, 1, 8, 9];
const LABELS: [u32; 6] = [0, 0, 1, 1, 2, 2];

fn main() -> Result<(), Error> {
    println!("kernels run at {}", dispatch::level()?);
    product()?;
    exponential()?;
    classifier_gradient()?;
    classifier_training(Loss::Softmax)?;
    classifier_training(Loss::Hinge)
}

fn product() -> Result<(), Error> {
    let (a, b, mut c) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], [0.0; 4]);
    let c_view = MatMut::row_major(&mut c, 2, 2)?;
    gemm(1.0, MatRef::row_major(&a, 2, 2)?, MatRef::row_major(&b, 2, 2)?, 0.0, c_view)?;
    println!("A B = {c:?}");
    Ok(())
}

fn exponential() -> Result<(), Error> {
    let mut y = [0.0_f32; 3];
    math::exp(&[0.0, 1.0, -1.0], &mut y)?;
    println!("exp = {y:?}");
    Ok(())
}

/// Loss and gradients on floats, stored.
fn classifier_gradient() -> Result<(), Error> {
    let pixels = PIXELS.map(f32::from);
    let index = [0, 2, 4];
    let samples = Samples::new(&pixels, 4, 4, &LABELS, &index)?;
    let model = Linear::new(MatRef::row_major(&[0.1; 12], 3, 4)?, &[0.0; 3])?;
    let (mut dscores, mut losses) = ([0.0; 9], [0.0; 3]);
    forward(model, samples, Loss::Softmax, MatMut::row_major(&mut dscores, 3, 3)?, &mut losses)?;
    let (mut dbias, mut dweights) = ([0.0; 3], [0.0; 12]);
    let store = StoreGradient { dweights: MatMut::row_major(&mut dweights, 3, 4)?, normalisation: None };
    backward(samples, MatRef::row_major(&dscores, 3, 3)?, &mut dbias, store)?;
    println!("losses {losses:?}\ndW {dweights:?}\ndb {dbias:?}");
    Ok(())
}

/// Steps on bytes with normalised features: weights are updated in place and folded for the next step.
fn classifier_training(loss: Loss) -> Result<(), Error> {
    let (mean, scale) = ([4.0_f32; 4], [0.25; 4]);
    let normalisation = Normalisation::new(&mean, &scale)?;
    let (mut weights, mut velocity, mut bias) = ([0.0; 12], [0.0; 12], [0.0; 3]);
    let (mut folded_weights, mut folded_bias) = ([0.0; 12], [0.0; 3]);
    let blocks = 4_usize.div_ceil(FOLD_BLOCK);
    let mut sums = vec![0.0; blocks * 6];
    let view = MatMut::row_major(&mut sums, blocks, 6)?;
    let folded = Folded { weights: MatMut::row_major(&mut folded_weights, 3, 4)?, sums: view, normalisation };
    fold(MatRef::row_major(&weights, 3, 4)?, folded)?;

    let index = [0, 1, 2, 3, 4, 5];
    let samples = Samples::new(&PIXELS, 4, 4, &LABELS, &index)?;
    for step in 0..100 {
        Folded::totals(MatRef::row_major(&sums, blocks, 6)?, &bias, &mut folded_bias);
        let model = Linear::new(MatRef::row_major(&folded_weights, 3, 4)?, &folded_bias)?;
        let (mut dscores, mut losses, mut dbias) = ([0.0; 18], [0.0; 6], [0.0; 3]);
        forward(model, samples, loss, MatMut::row_major(&mut dscores, 3, 6)?, &mut losses)?;
        let dscores = MatRef::row_major(&dscores, 3, 6)?;
        let folded = Folded {
            weights: MatMut::row_major(&mut folded_weights, 3, 4)?,
            sums: MatMut::row_major(&mut sums, blocks, 6)?,
            normalisation,
        };
        let weights = MatMut::row_major(&mut weights, 3, 4)?;
        // The first half of the steps with momentum, the second without.
        if step < 50 {
            let rule = Momentum { rate: 0.05, momentum: 0.9 };
            let state = MatMut::row_major(&mut velocity, 3, 4)?;
            backward(samples, dscores, &mut dbias, UpdateWeights { rule, decay: 0.0, weights, state, folded })?;
        } else {
            let state = MatMut::row_major(&mut [], 0, 4)?;
            let rule = Sgd { rate: 0.05 };
            backward(samples, dscores, &mut dbias, UpdateWeights { rule, decay: 0.0, weights, state, folded })?;
        }
        update(Sgd { rate: 0.05 }, 0.0, &mut bias, &dbias, &mut [])?;
    }
    Folded::totals(MatRef::row_major(&sums, blocks, 6)?, &bias, &mut folded_bias);
    let model = Linear::new(MatRef::row_major(&folded_weights, 3, 4)?, &folded_bias)?;
    let (mut losses, mut predictions) = ([0.0; 6], [0; 6]);
    evaluate(model, samples, loss, &mut losses, &mut predictions)?;
    println!("{loss:?} after training: losses {losses:?}, predictions {predictions:?} for labels {LABELS:?}");
    Ok(())
}
