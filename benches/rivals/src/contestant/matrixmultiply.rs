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
        let ([a_row, a_col], [b_row, b_col]) = (a.strides(), b.strides());
        let (a, b, c) = (a.data.as_ptr(), b.data.as_ptr(), c.as_mut_ptr());
        // SAFETY: a product's operands are matrices of its shape with these strides, C row-major and borrowed exclusively.
        unsafe { T::MATRIXMULTIPLY(m, k, n, alpha(), a, a_row, a_col, b, b_row, b_col, beta(), c, n as isize, 1) }
    }
}
