//! The crate gemm, of which faer's products were made before it had its own for x86.

use super::{Contestant, locked_version};
use crate::number::{Number, alpha, beta};
use crate::product::{Product, Shape};
use gemm::Parallelism;

/// Operands with their strides, as it takes them.
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
        let ([a_row, a_col], [b_row, b_col]) = (a.strides(), b.strides());
        let (a, b, c) = (a.data.as_ptr(), b.data.as_ptr(), c.as_mut_ptr());
        let parallelism = if self.threads == 1 { Parallelism::None } else { Parallelism::Rayon(0) };
        // Its factor of C comes first, and it does not read C if told so. Column strides come before row strides.
        let (factor_of_c, factor_of_ab, read_c) = (beta(), alpha(), false);
        // SAFETY: a product's operands are matrices of its shape with these strides, C row-major and borrowed exclusively.
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                c,
                1,
                n as isize,
                read_c,
                a,
                a_col,
                a_row,
                b,
                b_col,
                b_row,
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
