//! The crate faer.

use super::{Contestant, locked_version};
use crate::number::{Number, alpha};
use crate::product::{Product, Shape};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

/// Views of row-major slices.
#[derive(Debug)]
pub struct Faer {
    /// One, or those of the calling pool.
    pub threads: usize,
}

impl<T: Number> Contestant<T> for Faer {
    fn name(&self) -> &str {
        "faer"
    }

    fn version(&self) -> &str {
        locked_version("faer")
    }

    fn threads(&self) -> usize {
        self.threads
    }

    fn multiply(&self, product: &mut Product<T>) {
        let Shape { m, k, n } = product.shape();
        let (a, b, c) = product.operands();
        let a = MatRef::from_row_major_slice(a, m, k);
        let b = MatRef::from_row_major_slice(b, k, n);
        let c = MatMut::from_row_major_slice_mut(c, m, n);
        let par = if self.threads == 1 { Par::Seq } else { Par::rayon(0) };
        matmul(c, Accum::Replace, a, b, alpha(), par);
    }
}
