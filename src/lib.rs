//! Lanegrad trains linear classifiers on the CPU at the speed of the processor.
//!
//! ```
//! use lanegrad::data::{Normalisation, synthetic};
//! use lanegrad::linear::{Bias, LinearClassifier, LinearTrainer};
//! use lanegrad::optim::Optimizer;
//! use lanegrad::train::{Sampler, Sampling, steps};
//! use lanegrad::{Loss, kernels::parallel::Threads};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let data = synthetic::generate_sized(0, 2_000, 500); // or data::cifar10::read(directory)?
//! let classifier = LinearClassifier::<f32>::new(10, &Normalisation::standardize(&data.train), Bias::Separate)?;
//! let mut trainer = LinearTrainer::new(classifier, Loss::Softmax, 1e-3, Optimizer::Sgd { rate: 3e-3 });
//! let mut batches = Sampler::new(Sampling::Epoch, data.train.len(), 256, 0)?;
//! let steps_of_ten_epochs = 0..10 * batches.steps_per_epoch();
//! Threads::new(2)?.run(|| steps(&mut trainer, &data.train, &mut batches, steps_of_ten_epochs, |_, _| {}))?;
//! let test = trainer.classifier().evaluate(&data.test, Loss::Softmax)?;
//! println!("test loss {:.3}, accuracy {:.1} %", test.loss, 100.0 * test.accuracy);
//! # assert!(test.accuracy > 0.2);
//! # Ok(())
//! # }
//! ```
//!
//! * [`data`]: images that stay bytes: CIFAR-10, and a synthetic set of the same shape.
//! * [`tensor`], [`tape`], [`ops`]: arrays, and what is computed from them with its gradients; [`gradcheck`] checks those.
//! * [`nn`]: layers with named parameters and models, [`init`]: initial weights; `checkpoint` (feature `safetensors`): files.
//! * [`linear`]: the linear classifier and its training step.
//! * [`optim`]: update rules, their state for a whole network, clipping.
//! * [`schedule`]: step sizes that change over a training.
//! * [`train`]: mini-batches and steps; [`times`]: where a step's time goes.
//! * `views` (features `ndarray`, `nalgebra`, `faer`): matrices of other libraries, without a copy.
//! * [`kernels`]: what all of it runs on, for whoever wants only a matrix product or a fused classifier step.

#![forbid(unsafe_code)]

#[cfg(feature = "safetensors")]
pub mod checkpoint;
pub mod data;
pub mod error;
pub mod gradcheck;
pub mod init;
// Unit tests compile what they use, and no more.
#[cfg(not(test))]
#[doc(hidden)]
pub mod instances;
pub mod linear;
pub mod loss;
pub mod nn;
pub mod ops;
pub mod optim;
pub mod schedule;
pub mod shape;
pub mod tape;
pub mod tensor;
pub mod times;
pub mod train;
#[cfg(any(feature = "faer", feature = "nalgebra", feature = "ndarray"))]
pub mod views;

pub use error::Error;
pub use lanegrad_kernels as kernels;
pub use loss::Loss;
