//! The last columns of a C a little wider than whole vectors: the narrow way, beside the others.
//!
//! Tiles would multiply them in a vector that is in part empty, or in half of one; the narrow way reads A once more instead.

use super::locality::{HIGH, tile_rows};
use super::path::{Path, WORTH_A_THREAD, choose, follow, grain};
use super::{Operands, deep, direct, is_trivial, narrow};
use crate::isa::{Isa, Lanes, Scalar};
use crate::parallel::{self, Divide, Grain};

/// Rows of C that make it worth to copy the last columns of B.
const ROWS: usize = 64;

/// Bytes of A that the second-level cache keeps until its rows are read again, whatever the processor: an element's bits depend on the way.
const NEAR_BYTES: usize = 256 * 1024;

/// The part of a product's multiply-adds that is to be saved, as a divisor.
const SAVED: usize = 64;

/// The last columns of C that better go this way; none if it does not pay.
#[inline(always)]
pub(super) fn columns<S: Isa, T: Scalar>(operands: &Operands<'_, T>) -> usize {
    let lanes = T::Lanes::<S>::COUNT;
    let (m, n) = operands.c.shape();
    let rest = n % lanes;
    if rest == 0 || n < lanes || m < ROWS { 0 } else { columns_of_many::<S, T>(operands, rest) }
}

/// That, of so many rows and a `rest` of columns beyond whole vectors. It is a function of its own, so that small products do not pay for it.
#[inline(never)]
fn columns_of_many<S: Isa, T: Scalar>(operands: &Operands<'_, T>, rest: usize) -> usize {
    let Operands { a, c, .. } = operands;
    let ((m, n), k) = (c.shape(), a.cols());
    let lanes = T::Lanes::<S>::COUNT;
    let is_near = m.saturating_mul(k).saturating_mul(size_of::<T>()) <= NEAR_BYTES;
    // A low tile of one vector waits for its own sums: it would take nearly as long as one with the rest beside it.
    let leaves_a_vector = S::GEMM_ROWS < HIGH && !(n / lanes).is_multiple_of(S::GEMM_VECTORS);
    if leaves_a_vector || !is_near || a.col_stride() != 1 || c.col_stride() != 1 || is_trivial(operands) {
        return 0;
    }
    // Multiply-adds of vectors, for a row of C; a copied element of B takes about half of one.
    let in_tiles = if S::HALVES && rest <= lanes / 2 { k / 2 } else { k };
    let saved = in_tiles.saturating_sub(narrow::cost::<S, T>(rest, k) + k * rest / (2 * m));
    let pays = saved * SAVED >= k.saturating_mul(n / lanes);
    let is_blocked = || matches!(choose::<S, T>(operands), (Path::Blocked { .. }, false));
    if pays && deep::parts::<S, T>(m, k, n) == 1 && is_blocked() { rest } else { 0 }
}

/// C <- epilogue(alpha A B + beta C), whose last `rest` columns are narrow.
pub(super) fn run<S: Isa, T: Scalar>(isa: S, operands: &mut Operands<'_, T>, rest: usize) {
    let ((m, n), k) = (operands.c.shape(), operands.a.cols());
    let (path, _) = choose::<S, T>(operands);
    let is_small = m.saturating_mul(n).saturating_mul(k) <= WORTH_A_THREAD;
    if is_small || matches!(path, Path::Blocked { pack_b: true, .. }) {
        // Threads share a copy of B as they do in other products.
        let (mut others, last) = operands.reborrow().split_cols(n - rest);
        if direct::pays::<S, T>(&others) {
            direct::run(isa, &mut others);
        } else {
            follow(isa, &mut others, path);
        }
        // The other threads, if there was work for them, are awake.
        let grain = if is_small { m.into() } else { Grain::of(rest * k, WORTH_A_THREAD / 4) };
        return narrow::run(isa, last, grain);
    }
    let step = tile_rows::<S, T>(operands.a, operands.b, false);
    let grain = grain(n * k).multiple_of(step);
    parallel::divide(EdgeProduct { isa, operands: operands.reborrow(), rest, path }, grain);
}

/// Some rows of the product, of a B that is read where it lies.
struct EdgeProduct<'a, S, T> {
    isa: S,
    operands: Operands<'a, T>,
    rest: usize,
    /// That of the other columns: a thread's rows may be few, which by themselves might go another way.
    path: Path,
}

impl<S: Isa, T: Scalar> Divide for EdgeProduct<'_, S, T> {
    fn length(&self) -> usize {
        self.operands.c.rows()
    }

    fn split(self, at: usize) -> (Self, Self) {
        let (top, bottom) = self.operands.split_rows(at);
        (Self { operands: top, ..self }, Self { operands: bottom, ..self })
    }

    fn run(self) {
        let Self { isa, operands, rest, path } = self;
        let (m, n) = operands.c.shape();
        let (mut others, last) = operands.split_cols(n - rest);
        parallel::alone(|| follow(isa, &mut others, path));
        narrow::run(isa, last, m.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::{dispatch_at, supported};
    use crate::isa::{Kernel, Level};
    use crate::matrix::{MatMut, MatRef};

    /// The columns that go this way, of an `m` x `k` by `k` x `n` product of `f32`, whose A may be column-major.
    struct Found((usize, usize, usize), f32, bool);

    impl Kernel for Found {
        type Output = usize;

        fn run<S: Isa>(self, _: S) -> usize {
            let Self((m, k, n), alpha, is_upright) = self;
            let (a, b, mut c) = (vec![0.0; m * k], vec![0.0; k * n], vec![0.0; m * n]);
            let (rows, cols) = if is_upright { (1, m) } else { (k, 1) };
            let a = MatRef::with_strides(&a, 0, m, k, rows as isize, cols as isize).unwrap();
            let (b, c) = (MatRef::row_major(&b, k, n).unwrap(), MatMut::row_major(&mut c, m, n).unwrap());
            columns::<S, f32>(&Operands { alpha, a, b, beta: 0.0, c, epilogue: Default::default() })
        }
    }

    #[test]
    fn a_few_columns_beyond_whole_vectors_go_this_way_where_that_saves_something() {
        for level in supported() {
            let found = |shape| dispatch_at(level, Found(shape, 1.0, false)).unwrap();
            let wanted = |wide, narrow, portable| match level {
                Level::Avx512 => wide,
                Level::Avx2 => narrow,
                Level::Portable => portable,
            };
            assert_eq!(found((100, 100, 100)), wanted(4, 4, 0), "{level}: half a vector, or four columns of one");
            assert_eq!(found((100, 300, 33)), wanted(1, 1, 1), "{level}: one column");
            assert_eq!(found((100, 100, 107)), 0, "{level}: too many columns, or beside a vector in a low tile");
            assert_eq!(found((100, 100, 111)), 0, "{level}: too many columns");
            assert_eq!(found((100, 100, 1601)), 0, "{level}: too small a part of a wide C");
            assert_eq!(found((63, 100, 100)), 0, "{level}: a low C");
            assert_eq!(found((1000, 300, 33)), 0, "{level}: an A that is far");
            assert_eq!(found((100, 20, 100)), 0, "{level}: a short depth");
            assert_eq!(found((100, 0, 100)), 0, "{level}: no depth");
            assert_eq!(dispatch_at(level, Found((100, 300, 33), 0.0, false)).unwrap(), 0, "{level}: alpha 0");
            assert_eq!(dispatch_at(level, Found((100, 300, 33), 1.0, true)).unwrap(), 0, "{level}: A by columns");
        }
    }
}
