//! The SIMD kernels of Lanegrad: slices in, slices out.
#![warn(missing_docs)]

pub mod aligned;
pub mod classifier;
pub mod dispatch;
pub mod gemm;
pub mod isa;
pub mod math;
pub mod matrix;
pub mod parallel;
pub mod peak;
pub mod reference;
pub mod update;

mod dot_tile;
mod error;
#[doc(hidden)]
pub mod instances;
mod workspace;

pub use error::Error;
pub use gemm::{dgemm, gemm, sgemm};
pub use matrix::{MatMut, MatRef};
