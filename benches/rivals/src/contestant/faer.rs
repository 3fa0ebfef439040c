//! The crate faer.

use super::{Contestant, locked_version};
use crate::number::{Number, alpha};
use crate::product::{Operand, Product, Shape};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

/// Views of slices.
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
        let Shape { m, n, .. } = product.shape();
        let (a, b, c) = product.operands();
        let c = MatMut::from_row_major_slice_mut(c, m, n);
        let par = if self.threads == 1 { Par::Seq } else { Par::rayon(0) };
        matmul(c, Accum::Replace, view(a), view(b), alpha(), par);
    }
}

fn view<T: Number>(operand: Operand<'_, T>) -> MatRef<'_, T> {
    let Operand { data, rows, cols, is_transposed } = operand;
    let from = if is_transposed { MatRef::from_column_major_slice } else { MatRef::from_row_major_slice };
    from(data, rows, cols)
}
