//! The operations and the linear classifier compiled for the two types of numbers, here and once.
//!
//! [`Tape::try_apply`] and the steps of [`LinearTrainer`] are never inlined, so a crate that uses them for f32 or f64 links this
//! code instead of compiling its own: it compiles faster, and what it runs has this crate's level of optimisation, whatever its
//! own is. An operation that is missing here works all the same.

use crate::linear::{LinearClassifier, LinearTrainer};
use crate::ops::{
    abs::Abs, adaptive_avg_pool2d::AdaptiveAvgPool2d, add::Add, batch_norm::BatchNorm, binary::Binary,
    binary_cross_entropy::BinaryCrossEntropy, classify::Classify, concat::Concat, constants::Affine, conv2d::Conv2d,
    cross_entropy::SoftmaxCrossEntropy, div::Div, dropout::Dropout, exp::Exp, extreme::Extreme, extremum::Maximum,
    extremum::Minimum, gather::Gather, hinge::Hinge, linear::Linear, ln::Ln, local_response_norm::LocalResponseNorm,
    log_softmax::LogSoftmax, log_sum_exp::LogSumExp, matmul::Matmul, mul::Mul, neg::Neg, permute::Permute,
    pool2d::AvgPool2d, pool2d::MaxPool2d, pow::Pow, pow::PowConstant, reduce::Sum, relu::Relu, reshape::Reshape,
    roll::CircularConvolution, roll::Roll, sigmoid::Sigmoid, slice::Slice, softmax::Softmax, softplus::Softplus,
    sqrt::Sqrt, squared_error::SquaredDifference, sub::Sub, tanh::Tanh, unary::Unary,
};
use crate::tape::Tape;
use lanegrad_kernels::isa::Scalar;

/// Addresses of the compiled functions; nobody needs them, but what has an address is compiled.
#[doc(hidden)]
#[inline(never)]
pub fn addresses() -> Vec<*const ()> {
    let types = [of_type::<f32>(), of_type::<f64>()];
    types.into_iter().flatten().collect()
}

fn of_type<T: Scalar>() -> Vec<*const ()> {
    vec![
        Tape::<T>::try_apply::<AdaptiveAvgPool2d> as *const (),
        Tape::<T>::try_apply::<AvgPool2d> as *const (),
        Tape::<T>::try_apply::<BatchNorm> as *const (),
        Tape::<T>::try_apply::<Binary<Add>> as *const (),
        Tape::<T>::try_apply::<Binary<BinaryCrossEntropy>> as *const (),
        Tape::<T>::try_apply::<Binary<Div>> as *const (),
        Tape::<T>::try_apply::<Binary<Maximum>> as *const (),
        Tape::<T>::try_apply::<Binary<Minimum>> as *const (),
        Tape::<T>::try_apply::<Binary<Mul>> as *const (),
        Tape::<T>::try_apply::<Binary<Pow>> as *const (),
        Tape::<T>::try_apply::<Binary<SquaredDifference>> as *const (),
        Tape::<T>::try_apply::<Binary<Sub>> as *const (),
        Tape::<T>::try_apply::<CircularConvolution> as *const (),
        Tape::<T>::try_apply::<Classify> as *const (),
        Tape::<T>::try_apply::<Concat> as *const (),
        Tape::<T>::try_apply::<Conv2d> as *const (),
        Tape::<T>::try_apply::<Dropout> as *const (),
        Tape::<T>::try_apply::<Extreme> as *const (),
        Tape::<T>::try_apply::<Gather> as *const (),
        Tape::<T>::try_apply::<Hinge> as *const (),
        Tape::<T>::try_apply::<Linear> as *const (),
        Tape::<T>::try_apply::<LocalResponseNorm> as *const (),
        Tape::<T>::try_apply::<LogSoftmax> as *const (),
        Tape::<T>::try_apply::<LogSumExp> as *const (),
        Tape::<T>::try_apply::<Matmul> as *const (),
        Tape::<T>::try_apply::<MaxPool2d> as *const (),
        Tape::<T>::try_apply::<Permute> as *const (),
        Tape::<T>::try_apply::<Reshape> as *const (),
        Tape::<T>::try_apply::<Roll> as *const (),
        Tape::<T>::try_apply::<Slice> as *const (),
        Tape::<T>::try_apply::<Softmax> as *const (),
        Tape::<T>::try_apply::<SoftmaxCrossEntropy> as *const (),
        Tape::<T>::try_apply::<Sum> as *const (),
        Tape::<T>::try_apply::<Unary<Abs>> as *const (),
        Tape::<T>::try_apply::<Unary<Affine<T>>> as *const (),
        Tape::<T>::try_apply::<Unary<Exp>> as *const (),
        Tape::<T>::try_apply::<Unary<Ln>> as *const (),
        Tape::<T>::try_apply::<Unary<Neg>> as *const (),
        Tape::<T>::try_apply::<Unary<PowConstant<T>>> as *const (),
        Tape::<T>::try_apply::<Unary<Relu>> as *const (),
        Tape::<T>::try_apply::<Unary<Sigmoid>> as *const (),
        Tape::<T>::try_apply::<Unary<Softplus>> as *const (),
        Tape::<T>::try_apply::<Unary<Sqrt>> as *const (),
        Tape::<T>::try_apply::<Unary<Tanh>> as *const (),
        LinearClassifier::<T>::evaluate as *const (),
        LinearClassifier::<T>::scores as *const (),
        LinearTrainer::<T>::gradient as *const (),
        LinearTrainer::<T>::step as *const (),
    ]
}
