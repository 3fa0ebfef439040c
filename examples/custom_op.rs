//! An operation that Lanegrad does not have, in one impl: its value and its derivative, on vectors of any width.
//!
//! `cargo run --release --example custom_op`

use lanegrad::gradcheck::gradcheck;
use lanegrad::kernels::isa::{Isa, Lanes, Scalar};
use lanegrad::kernels::math::tanh_lanes;
use lanegrad::ops::unary::{Pointwise, Unary};
use lanegrad::{tape::Tape, tensor::Tensor};

/// The Gaussian error linear unit in its usual approximation, y = x (1 + t) / 2 with t = tanh(u) and
/// u = a (x + b x^3) (Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016);
/// dx = dy ((1 + t) + x (1 - t^2) a (1 + 3 b x^2)) / 2.
#[derive(Clone, Copy, Debug)]
struct Gelu;

const A: f64 = 0.797_884_560_802_865_4; // sqrt(2 / pi)
const B: f64 = 0.044_715;

impl<T: Scalar> Pointwise<T> for Gelu {
    const NAME: &'static str = "gelu";

    #[inline(always)]
    fn value<S: Isa>(self, isa: S, x: T::Lanes<S>) -> T::Lanes<S> {
        let number = |x| T::Lanes::<S>::splat(isa, T::from_f64(x));
        let u = x.mul(isa, x.mul(isa, x).mul_add(isa, number(A * B), number(A)));
        x.mul(isa, number(0.5)).mul(isa, tanh_lanes::<S, T>(isa, u).add(isa, number(1.0)))
    }

    #[inline(always)]
    fn slope<S: Isa>(self, isa: S, x: T::Lanes<S>, _: T::Lanes<S>, dy: T::Lanes<S>) -> T::Lanes<S> {
        let number = |x| T::Lanes::<S>::splat(isa, T::from_f64(x));
        let square = x.mul(isa, x);
        let t = tanh_lanes::<S, T>(isa, x.mul(isa, square.mul_add(isa, number(A * B), number(A))));
        let du = square.mul_add(isa, number(3.0 * A * B), number(A));
        let rest = x.mul(isa, number(1.0).sub(isa, t.mul(isa, t))).mul(isa, du);
        dy.mul(isa, number(0.5)).mul(isa, t.add(isa, number(1.0)).add(isa, rest))
    }
}

fn main() -> Result<(), lanegrad::Error> {
    let tape = Tape::<f64>::new();
    let x = tape.variable(&Tensor::linspace(-3.0, 3.0, 7)?);
    let y = tape.apply(Unary(Gelu), &[x]);
    y.sum_all().backward()?;
    println!("{:>5} {:>9} {:>9}", "x", "gelu", "slope");
    for ((x, y), dx) in x.value()?.values().iter().zip(y.value()?.values()).zip(x.gradient()?.values()) {
        println!("{x:>5} {y:>9.5} {dx:>9.5}");
    }
    println!("{}", gradcheck(|x| x[0].tape().apply(Unary(Gelu), &[x[0]]), &[Tensor::linspace(-3.0, 3.0, 50)?])?);
    Ok(())
}
