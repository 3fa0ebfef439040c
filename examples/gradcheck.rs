//! The gradient check: a numerical gradient by differences beside the one by backpropagation.
//!
//! `cargo run --release --example gradcheck`

use lanegrad::gradcheck::{GradientCheck, gradcheck, numerical_gradient};
use lanegrad::init::{Initializer, Scheme};
use lanegrad::nn::{Layer, Linear, Sequential, Tanh};
use lanegrad::{tape::Tape, tensor::Tensor};

fn main() -> Result<(), lanegrad::Error> {
    // The lecture's parabola z = x^2 + y^2 at (5, 3): approximate and slow, but easy to write.
    let mut point = Tensor::from_slice([2], &[5.0, 3.0])?;
    let slopes = numerical_gradient(|x| x.values().iter().map(|x| x * x).sum(), &mut point);
    println!("x^2 + y^2 at (5, 3) by forward differences: {:?}", slopes.values());

    // Exact and fast: the tape. The numbers, not an expression for them.
    let tape = Tape::<f64>::new();
    let (x, y) = (tape.scalar(5.0).named("x"), tape.scalar(3.0).named("y"));
    (x.square().named("x^2") + y.square().named("y^2")).named("z").backward()?;
    println!("and by backpropagation:\n{}", tape.graph());

    // The one checks the other: here for some elements of each parameter of a network.
    let mut tape = Tape::<f64>::new();
    let mut initializer = Initializer::new(Scheme::Xavier, 0);
    let model = Sequential::new()
        .with(Linear::new(&mut tape, "fc1", 20, 30, &mut initializer)?)
        .with(Tanh)
        .with(Linear::new(&mut tape, "fc2", 30, 5, &mut initializer)?);
    let inputs = initializer.scheme(Scheme::Normal(1.0)).draw::<f64>([4, 20], 20, 30)?;
    let check = GradientCheck { samples: Some(8), ..GradientCheck::default() };
    let report = check.run(&mut tape, |tape| {
        model.forward(tape.constant(&inputs)).softmax_cross_entropy(tape.indices(&[0, 1, 2, 3]))
    })?;
    println!("a network:\n{report}\n");

    // A kink is no error: the rectifier has two slopes at 0, and the check says so.
    let report = gradcheck(|x| (x[0].relu() * 3.0).sum_all(), &[Tensor::from_slice([3], &[-1.0, 0.0, 1.0])?])?;
    println!("a rectifier:\n{report}");
    Ok(())
}
