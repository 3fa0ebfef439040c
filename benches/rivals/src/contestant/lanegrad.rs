//! Ours.

use super::{Contestant, locked_version};
use crate::number::{Number, alpha, beta};
use crate::product::{Operand, Product, Shape};
use lanegrad_kernels::{MatMut, MatRef, gemm, parallel};

/// The checked product on views, as any user calls it, on the threads of the calling pool.
#[derive(Debug)]
pub struct Lanegrad {
    /// On the calling thread alone, whatever pool that belongs to.
    pub alone: bool,
}

/// Ours by name.
pub const NAME: &str = "lanegrad";

impl<T: Number> Contestant<T> for Lanegrad {
    fn name(&self) -> &str {
        NAME
    }

    fn version(&self) -> &str {
        locked_version("lanegrad-kernels")
    }

    fn threads(&self) -> usize {
        if self.alone { 1 } else { parallel::current() }
    }

    fn multiply(&self, product: &mut Product<T>) {
        let Shape { m, n, .. } = product.shape();
        let (a, b, c) = product.operands();
        let c = MatMut::row_major(c, m, n).expect("C has this shape");
        let multiply = || gemm(alpha(), view(a), view(b), beta(), c).expect("the shapes agree");
        if self.alone { parallel::alone(multiply) } else { multiply() }
    }
}

fn view<T: Number>(operand: Operand<'_, T>) -> MatRef<'_, T> {
    let Operand { data, rows, cols, is_transposed } = operand;
    let view = match is_transposed {
        true => MatRef::row_major(data, cols, rows).map(MatRef::transposed),
        false => MatRef::row_major(data, rows, cols),
    };
    view.expect("an operand has its shape")
}
