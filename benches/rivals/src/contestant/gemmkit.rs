//! The crate gemmkit.

use super::{Contestant, locked_version};
use crate::number::{Number, alpha, beta};
use crate::product::{Operand, Product, Shape};
use gemmkit::{MatMut, MatRef, Parallelism};

/// Views of slices.
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
        let Shape { m, n, .. } = product.shape();
        let (a, b, c) = product.operands();
        let c = MatMut::from_row_major(c, m, n);
        let parallelism = if self.threads == 1 { Parallelism::Serial } else { Parallelism::Rayon(0) };
        gemmkit::gemm(alpha(), view(a), view(b), beta(), c, parallelism);
    }
}

fn view<T: Number>(operand: Operand<'_, T>) -> MatRef<'_, T> {
    let Operand { data, rows, cols, is_transposed } = operand;
    let from = if is_transposed { MatRef::from_col_major } else { MatRef::from_row_major };
    from(data, rows, cols)
}
