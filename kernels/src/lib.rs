//! The SIMD kernels of Lanegrad: slices in, slices out.
//!
//! | module | what it computes |
//! |---|---|
//! | [`gemm()`], [`sgemm`], [`dgemm`] | C <- alpha A B + beta C at any strides |
//! | [`classifier`] | a linear classifier's loss and gradients, fused, on bytes or floats |
//! | [`elementwise`] | any function of numbers, broadcast, and its sums |
//! | [`softmax`] | the logarithm of the softmax function |
//! | [`conv`] | convolutions of images and their gradients |
//! | [`pool`] | maximum and average pooling of images and their gradients |
//! | [`update`] | in-place update rules |
//! | [`math`] | elementary functions |
//! | [`caches`] | how large this processor's caches are |
//! | [`peak`] | the multiply-add rate of this machine |
//! | [`mod@reference`] | the slow twin of every kernel above |
//!
//! Which instructions run is decided when the program runs ([`dispatch`]): a build without any flag uses AVX-512 where the
//! processor has it. `LANEGRAD_ISA=portable|avx2|avx512` pins a level.
//!
//! Kernels use the threads of the rayon pool that they are called in ([`parallel`]) and give the same bits for any number
//! of threads. Operands are views of slices ([`MatRef`], [`MatMut`]), checked when they are made; what does not fit is an
//! [`Error`], and then nothing was written.
//!
//! Rows that are a multiple of 4096 bytes apart fight over the same few cache sets: give weights and samples rows
//! [`aligned::padded_row`] elements apart, in an [`aligned::AlignedVec`].

pub mod aligned;
pub mod caches;
pub mod classifier;
pub mod conv;
pub mod dispatch;
pub mod elementwise;
pub mod gemm;
pub mod isa;
pub mod math;
pub mod matrix;
pub mod parallel;
pub mod peak;
pub mod pool;
pub mod reference;
pub mod softmax;
pub mod update;

#[cfg(target_arch = "x86_64")]
mod cpuid;
mod datapath;
mod dot_tile;
mod error;
mod groups;
// Unit tests compile what they use, and no more.
#[cfg(not(test))]
#[doc(hidden)]
pub mod instances;
mod workspace;

pub use error::{Error, Wanted};
pub use gemm::{dgemm, gemm, gemm_batch, gemm_packed, sgemm};
pub use matrix::{MatMut, MatRef};
