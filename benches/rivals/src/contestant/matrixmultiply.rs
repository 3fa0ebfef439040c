//! The crate matrixmultiply, AVX2.

use super::{Contestant, locked_version};
use crate::number::{Number, alpha, beta};
use crate::product::{Product, Shape};

/// Its threads come from `MATMUL_NUM_THREADS`, which it reads once, at its first product: 1, 2 or 4.
#[derive(Debug)]
pub struct MatrixMultiply {
    /// What `MATMUL_NUM_THREADS` says.
    pub threads: usize,
}

impl<T: Number> Contestant<T> for MatrixMultiply {
    fn name(&self) -> &str {
        "matrixmultiply"
    }

    fn version(&self) -> &str {
        locked_version("matrixmultiply")
    }

    fn threads(&self) -> usize {
        self.threads.min(4)
    }

    fn multiply(&self, product: &mut Product<T>) {
        let Shape { m, k, n } = product.shape();
        let (a, b, c) = product.operands();
        let (k_stride, n_stride) = (k as isize, n as isize);
        let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
        // SAFETY: a product's operands are row-major matrices of its shape; C is borrowed exclusively.
        unsafe { T::MATRIXMULTIPLY(m, k, n, alpha(), a, k_stride, 1, b, n_stride, 1, beta(), c, n_stride, 1) }
    }
}
