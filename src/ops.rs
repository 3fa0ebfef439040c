//! Operations on the tape, one a file: what it computes, its vjp, and its gradient check.

pub(crate) mod along;
pub mod binary;
pub mod unary;

pub mod abs;
pub mod adaptive_avg_pool2d;
pub mod add;
pub mod batch_norm;
pub mod binary_cross_entropy;
pub mod classify;
pub mod concat;
pub mod constants;
pub mod conv2d;
pub mod cross_entropy;
pub mod div;
pub mod dropout;
pub mod exp;
pub mod extreme;
pub mod extremum;
pub mod gather;
pub mod hinge;
pub mod linear;
pub mod ln;
pub mod local_response_norm;
pub mod log_softmax;
pub mod log_sum_exp;
pub mod matmul;
pub mod mul;
pub mod neg;
pub mod permute;
pub mod pool2d;
pub mod pow;
pub mod reduce;
pub mod relu;
pub mod reshape;
pub mod roll;
pub mod sigmoid;
pub mod slice;
pub mod softmax;
pub mod softplus;
pub mod sqrt;
pub mod squared_error;
pub mod sub;
pub mod tanh;

use crate::tape::InputGradient;
use lanegrad_kernels::isa::Scalar;

/// dx += dy.
pub(crate) fn add_to<T: Scalar>(dx: InputGradient<'_, T>, dy: &[T]) {
    let (dx, add) = dx.parts();
    if add {
        dx.iter_mut().zip(dy).for_each(|(dx, &dy)| *dx += dy);
    } else {
        dx.copy_from_slice(dy);
    }
}

#[cfg(test)]
pub(crate) mod check {
    //! What the gradient checks of the operations share.

    use crate::gradcheck::gradcheck;
    use crate::tape::Var;
    use crate::tensor::Tensor;
    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    /// Seeded numbers between -1 and 1, none closer to 0 than 0.05.
    pub fn array(shape: &[usize], seed: u64) -> Tensor<f64> {
        let mut generator = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut number = || generator.random_range(0.05..1.0) * if generator.random() { 1.0 } else { -1.0 };
        Tensor::from_fn(shape, |_| number()).unwrap()
    }

    /// Seeded numbers between 0.2 and 2.
    pub fn positive(shape: &[usize], seed: u64) -> Tensor<f64> {
        let mut generator = Xoshiro256PlusPlus::seed_from_u64(seed);
        Tensor::from_fn(shape, |_| generator.random_range(0.2..2.0)).unwrap()
    }

    /// [`smooth`] for a function of two arrays, at shapes that are equal and broadcast in every way.
    pub fn every_broadcast(
        f: impl for<'t> Fn(&[Var<'t, f64>]) -> Var<'t, f64>,
        inputs: impl Fn(&[usize], u64) -> Tensor<f64>,
    ) {
        for (a, b) in [
            (&[3, 17][..], &[3, 17][..]),
            (&[], &[]),
            (&[2, 3], &[]),
            (&[1], &[2, 3]),
            (&[2, 3], &[3]),
            (&[2, 1], &[2, 3]),
            (&[2, 1, 4], &[3, 1]),
        ] {
            smooth(&f, &[inputs(a, 1), inputs(b, 2)]);
        }
        smooth(|x| f(&[x[0], x[0]]), &[inputs(&[5], 3)]);
    }

    /// Checks that every derivative of `f` is right to 1e-7, and that there are some.
    pub fn smooth(f: impl for<'t> Fn(&[Var<'t, f64>]) -> Var<'t, f64>, inputs: &[Tensor<f64>]) {
        smooth_dyn(&f, inputs);
    }

    /// The part of [`smooth`] that need not be compiled for each function.
    fn smooth_dyn(f: &dyn for<'t> Fn(&[Var<'t, f64>]) -> Var<'t, f64>, inputs: &[Tensor<f64>]) {
        let report = gradcheck(f, inputs).unwrap();
        assert!(report.worst_error() < 1e-7 && report.passes(), "{report}");
    }
}
