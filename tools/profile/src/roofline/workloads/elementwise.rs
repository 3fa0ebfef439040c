//! Functions of single numbers, and softmax.

use super::classifier::CLASSES;
use super::{Group, Maker, Workload, floats, random};
use crate::roofline::roofs::large;
use lanegrad::kernels::Error;
use lanegrad::kernels::elementwise::{Function, accumulate, map};
use lanegrad::kernels::isa::{Isa, Lanes, Scalar};
use lanegrad::kernels::math::{self, ln_lanes};
use lanegrad::kernels::softmax::log_softmax;

/// All of them, in the order of the table.
pub fn makers() -> Vec<Maker> {
    vec![
        maker("add", || elementwise(1.0, Add)),
        maker("multiply", || elementwise(1.0, Multiply)),
        maker("add a multiple", scaled_sum),
        maker("relu", || one_operand(1.0, |x, y| map(Relu, [x], y))),
        maker("exp", || one_operand(EXP_OPERATIONS, math::exp)),
        maker("ln", || one_operand(LN_OPERATIONS, |x, y| map(Ln, [x], y))),
        maker("log-softmax, rows of 10", softmax),
    ]
}

fn maker(name: &str, make: fn() -> Workload) -> Maker {
    Maker::new(name, Group::Elementwise, move || Ok::<_, Error>(make()))
}

#[derive(Clone, Copy)]
struct Add;

impl Function<f32, 2> for Add {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [a, b]: [<f32 as Scalar>::Lanes<S>; 2]) -> <f32 as Scalar>::Lanes<S> {
        a.add(isa, b)
    }
}

#[derive(Clone, Copy)]
struct Multiply;

impl Function<f32, 2> for Multiply {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [a, b]: [<f32 as Scalar>::Lanes<S>; 2]) -> <f32 as Scalar>::Lanes<S> {
        a.mul(isa, b)
    }
}

/// s x.
#[derive(Clone, Copy)]
pub struct Scale(pub f32);

impl Function<f32, 1> for Scale {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [x]: [<f32 as Scalar>::Lanes<S>; 1]) -> <f32 as Scalar>::Lanes<S> {
        x.mul(isa, <f32 as Scalar>::Lanes::<S>::splat(isa, self.0))
    }
}

#[derive(Clone, Copy)]
struct Relu;

impl Function<f32, 1> for Relu {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [x]: [<f32 as Scalar>::Lanes<S>; 1]) -> <f32 as Scalar>::Lanes<S> {
        x.max(isa, <f32 as Scalar>::Lanes::<S>::splat(isa, 0.0))
    }
}

#[derive(Clone, Copy)]
struct Ln;

impl Function<f32, 1> for Ln {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [x]: [<f32 as Scalar>::Lanes<S>; 1]) -> <f32 as Scalar>::Lanes<S> {
        ln_lanes::<S, f32>(isa, x)
    }
}

/// What the kernels compute for one exponential and one logarithm: without selections, and without shifts of bits.
const EXP_OPERATIONS: f64 = 29.0;
const LN_OPERATIONS: f64 = 25.0;

fn elementwise(operations: f64, function: impl Function<f32, 2> + 'static) -> Workload {
    let length = large();
    let (a, b, mut y) = (random(1, length), random(2, length), vec![0.0; length]);
    Workload {
        operations: operations * length as f64,
        bytes: floats(3 * length),
        run: Box::new(move || map(function, [&a, &b], &mut y)),
    }
}

/// y <- y + s x.
fn scaled_sum() -> Workload {
    let length = large();
    let (x, mut y) = (random(1, length), vec![0.0; length]);
    Workload {
        operations: 2.0 * length as f64,
        bytes: floats(3 * length),
        run: Box::new(move || accumulate(Scale(0.5), [&x], &mut y)),
    }
}

fn one_operand(
    operations: f64,
    function: impl Fn(&[f32], &mut [f32]) -> Result<(), Error> + Send + 'static,
) -> Workload {
    let length = large();
    let (mut x, mut y) = (random(1, length), vec![0.0; length]);
    // Logarithms are of positive numbers.
    x.iter_mut().for_each(|x| *x = x.abs() + 0.1);
    Workload {
        operations: operations * length as f64,
        bytes: floats(2 * length),
        run: Box::new(move || function(&x, &mut y)),
    }
}

/// The logarithm of the softmax function of rows of ten.
fn softmax() -> Workload {
    let rows = large() / CLASSES;
    let length = rows * CLASSES;
    let (x, mut y) = (random(1, length), vec![0.0; length]);
    Workload {
        // The largest, two subtractions, a sum, an exponential, and for each row a logarithm.
        operations: (5.0 + EXP_OPERATIONS) * length as f64 + LN_OPERATIONS * rows as f64,
        bytes: floats(2 * length),
        run: Box::new(move || log_softmax(&x, [rows, CLASSES, 1], &mut y)),
    }
}
