//! The crate gemm, of which faer's products were made before it had its own for x86.

use super::{Contestant, locked_version};
use crate::number::{Number, alpha, beta};
use crate::product::{Product, Shape};
use gemm::Parallelism;

/// Row-major operands, as it takes them.
#[derive(Debug)]
pub struct Gemm {
    /// One, or those of the calling pool.
    pub threads: usize,
}

impl<T: Number> Contestant<T> for Gemm {
    fn name(&self) -> &str {
        "gemm"
    }

    fn version(&self) -> &str {
        locked_version("gemm")
    }

    fn threads(&self) -> usize {
        self.threads
    }

    fn multiply(&self, product: &mut Product<T>) {
        let Shape { m, k, n } = product.shape();
        let (a, b, c) = product.operands();
        let (k_stride, n_stride) = (k as isize, n as isize);
        let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
        let parallelism = if self.threads == 1 { Parallelism::None } else { Parallelism::Rayon(0) };
        // Its factor of C comes first, and it does not read C if told so. Column strides come before row strides.
        let (factor_of_c, factor_of_ab, read_c) = (beta(), alpha(), false);
        // SAFETY: a product's operands are row-major matrices of its shape; C is borrowed exclusively.
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                c,
                1,
                n_stride,
                read_c,
                a,
                1,
                k_stride,
                b,
                1,
                n_stride,
                factor_of_c,
                factor_of_ab,
                false,
                false,
                false,
                parallelism,
            );
        }
    }
}
