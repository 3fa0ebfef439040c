//! Lanegrad trains linear classifiers on the CPU at the speed of the processor.
#![forbid(unsafe_code)]

pub mod data;
pub mod error;
pub mod linear;
pub mod optim;
pub mod train;

pub use error::Error;
pub use lanegrad_kernels as kernels;
pub use lanegrad_kernels::classifier::Loss;
