//! Products with a small C and a very long depth: the depth is cut for threads that C has no work for.

use super::output::write_scaled;
use super::path::{grain, product};
use super::{Operands, narrow, part};
use crate::groups::groups;
use crate::isa::{Isa, Scalar};
use crate::matrix::{MatMut, MatRef};
use crate::parallel::{self, Divide};
use crate::workspace::with_scratch;

/// Elements of C beyond which its rows and columns are enough work to share.
const MOST_ELEMENTS: usize = 16 * 1024;
/// Depth of a part.
const DEPTH: usize = 4096;
/// Parts at most: each has a sum of its own of every element of C.
const MOST_PARTS: usize = 16;

/// Parts of the depth of an `m` x `k` by `k` x `n` product; it follows from level, type and shape alone, as an element's bits depend
/// on it.
pub(super) fn parts<S: Isa, T: Scalar>(m: usize, k: usize, n: usize) -> usize {
    if k < 2 * DEPTH || m.saturating_mul(n) > MOST_ELEMENTS {
        return 1;
    }
    let is_narrow = narrow::pays::<S, T>(n, k) || narrow::pays::<S, T>(m, k);
    if is_narrow { 1 } else { (k / DEPTH).min(MOST_PARTS) }
}

/// C <- alpha (A_0 B_0 + A_1 B_1 + ...) + beta C over `count` parts of the depth, whose sums are added in their order.
pub(super) fn run<S: Isa, T: Scalar>(isa: S, operands: Operands<'_, T>, count: usize) {
    let Operands { alpha, a, b, beta, c, epilogue } = operands;
    let (m, n) = c.shape();
    with_scratch(count * m * n, |sums: &mut [T]| {
        let depth = a.cols().div_ceil(count);
        debug_assert_eq!(groups(a.cols(), depth).count(), count);
        let parts = Parts { isa, a, b, shape: (m, n), depth, first: 0, sums: &mut *sums };
        parallel::divide(parts, grain(m * n * depth));
        for i in 0..m {
            for j in 0..n {
                let sum = sums.chunks_exact(m * n).fold(T::ZERO, |sum, part| sum + part[i * n + j]);
                // SAFETY: the element exists. It may be uninitialised if `beta` is zero, so there must be no reference to it.
                unsafe { write_scaled(c.element(i, j), alpha * sum, beta) };
            }
        }
    });
    epilogue.apply(isa, c);
}

/// Some parts, each with the place of its sums.
struct Parts<'a, S, T> {
    isa: S,
    a: MatRef<'a, T>,
    b: MatRef<'a, T>,
    shape: (usize, usize),
    depth: usize,
    first: usize,
    sums: &'a mut [T],
}

impl<S: Isa, T: Scalar> Divide for Parts<'_, S, T> {
    fn length(&self) -> usize {
        self.sums.len() / (self.shape.0 * self.shape.1)
    }

    fn split(self, at: usize) -> (Self, Self) {
        let (m, n) = self.shape;
        let (left, right) = self.sums.split_at_mut(at * m * n);
        (Self { sums: left, ..self }, Self { sums: right, first: self.first + at, ..self })
    }

    fn run(self) {
        let (m, n) = self.shape;
        let parts = groups(self.a.cols(), self.depth).skip(self.first);
        for ((from, depth), sums) in parts.zip(self.sums.chunks_exact_mut(m * n)) {
            let a = part(self.a, 0, m, from, depth);
            let b = part(self.b, from, depth, 0, n);
            let c = MatMut::row_major(sums, m, n).expect("a part has room for C");
            let mut operands = Operands { alpha: T::ONE, a, b, beta: T::ZERO, c, epilogue: Default::default() };
            parallel::alone(|| product(self.isa, &mut operands));
        }
    }
}
