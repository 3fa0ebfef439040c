//! Lanegrad's matrix product under the names of BLAS, for programs that were written for another one.
//!
//! The library is preloaded, or linked before a full BLAS: it has the products and nothing else (README.md lists the
//! names). Results and errors are as the reference implementation of BLAS (Netlib, <https://www.netlib.org/blas/>)
//! defines them: beta = 0 never reads C, a negative increment starts at a vector's far end, the first wrong argument
//! is reported to `xerbla_` or `cblas_xerbla`, whoever defines it, and nothing is written then.
//!
//! Products run on rayon's global pool, whose size `RAYON_NUM_THREADS` sets, and on the calling thread alone in a child
//! that was forked after the pool was used. `LANEGRAD_ISA` pins the instruction set; a level that is not there aborts
//! the process with a message.
//!
//! `fortran` and `cblas` are the two interfaces; each turns its arguments into a `Gemm`, a `Gemv` or a `dot` of
//! column-major matrices, which checks them and calls the kernels.

// BLAS's argument lists are what they are.
#![allow(clippy::too_many_arguments)]

mod arguments;
pub mod cblas;
mod dot;
pub mod fortran;
mod gemm;
mod gemv;
mod integer;
mod real;
mod report;
