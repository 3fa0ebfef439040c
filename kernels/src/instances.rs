//! The generic kernels compiled for the usual types, here and once.
//!
//! Neither a trampoline nor the function that runs a kernel is ever inlined, so a crate that uses one for types that
//! this crate already compiled it for links this code instead of compiling its own. That makes linking crates compile
//! faster, they run it with the optimisation of this crate whatever theirs is, and what the disassembly test looks at is what
//! they run.

use crate::classifier::{self, StoreGradient, UpdateWeights};
use crate::dispatch;
use crate::gemm::Gemm;
use crate::isa::Scalar;
use crate::update::{self, clip};
use crate::update::{Adadelta, Adagrad, Adam, AdamW, GravesRmsProp, Lion, Momentum, Nesterov, RmsProp, Sgd};
use crate::{conv, gemm, pool, softmax};

/// Addresses of the compiled functions; nobody needs them, but what has an address is compiled.
#[doc(hidden)]
#[inline(never)]
pub fn addresses() -> Vec<*const ()> {
    type Sgd32 = Sgd<f32>;
    type Momentum32 = Momentum<f32>;
    let kernels = [
        classifier::forward::<f32, u8> as *const (),
        classifier::forward::<f32, f32> as *const (),
        classifier::evaluate::<f32, u8> as *const (),
        classifier::evaluate::<f32, f32> as *const (),
        classifier::backward::<f32, u8, StoreGradient<'static, f32>> as *const (),
        classifier::backward::<f32, f32, StoreGradient<'static, f32>> as *const (),
        classifier::backward::<f32, u8, UpdateWeights<'static, f32, Sgd32>> as *const (),
        classifier::backward::<f32, u8, UpdateWeights<'static, f32, Momentum32>> as *const (),
        classifier::fold::<f32> as *const (),
        conv::forward::<f32> as *const (),
        conv::input_gradient::<f32> as *const (),
        conv::weight_gradient::<f32> as *const (),
        conv::bias_gradient::<f32> as *const (),
        pool::max_forward::<f32> as *const (),
        pool::max_backward::<f32> as *const (),
        pool::average_forward::<f32> as *const (),
        pool::average_backward::<f32> as *const (),
        crate::math::exp::<f32> as *const (),
        crate::peak::multiply_add_peak::<f32> as *const (),
    ];
    let of_both = [of_type::<f32>(), of_type::<f64>()];
    kernels.into_iter().chain(of_both.into_iter().flatten()).collect()
}

/// Products, update rules and the like of one type.
fn of_type<T: Scalar>() -> [*const (); 18] {
    [
        gemm::run::<T> as *const (),
        dispatch::dispatch_at::<Gemm<'static, T>> as *const (),
        gemm::gemm_batch::<T> as *const (),
        gemm::gemm_packed::<T> as *const (),
        softmax::log_softmax::<T> as *const (),
        update::update_segments::<T, Sgd<T>> as *const (),
        update::update_segments::<T, Momentum<T>> as *const (),
        update::update_segments::<T, Nesterov<T>> as *const (),
        update::update_segments::<T, Adagrad<T>> as *const (),
        update::update_segments::<T, Adadelta<T>> as *const (),
        update::update_segments::<T, RmsProp<T>> as *const (),
        update::update_segments::<T, GravesRmsProp<T>> as *const (),
        update::update_segments::<T, Adam<T>> as *const (),
        update::update_segments::<T, AdamW<T>> as *const (),
        update::update_segments::<T, Lion<T>> as *const (),
        clip::sum_of_squares::<T> as *const (),
        clip::scale::<T> as *const (),
        clip::clamp::<T> as *const (),
    ]
}
