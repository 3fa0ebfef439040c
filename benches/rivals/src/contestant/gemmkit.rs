//! The crate gemmkit.

use super::{Contestant, locked_version};
use crate::number::{Number, alpha, beta};
use crate::product::{Product, Shape};
use gemmkit::{MatMut, MatRef, Parallelism};

/// Views of row-major slices.
#[derive(Debug)]
pub struct GemmKit {
    /// One, or those of the calling pool.
    pub threads: usize,
}

impl<T: Number> Contestant<T> for GemmKit {
    fn name(&self) -> &str {
        "gemmkit"
    }

    fn version(&self) -> &str {
        locked_version("gemmkit")
    }

    fn threads(&self) -> usize {
        self.threads
    }

    fn multiply(&self, product: &mut Product<T>) {
        let Shape { m, k, n } = product.shape();
        let (a, b, c) = product.operands();
        let a = MatRef::from_row_major(a, m, k);
        let b = MatRef::from_row_major(b, k, n);
        let c = MatMut::from_row_major(c, m, n);
        let parallelism = if self.threads == 1 { Parallelism::Serial } else { Parallelism::Rayon(0) };
        gemmkit::gemm(alpha(), a, b, beta(), c, parallelism);
    }
}
