//! Which way a product takes, and how much of it is worth a thread.

use super::blocked::Blocked;
use super::blocking::Blocking;
use super::locality::{packs_a, packs_b};
use super::{Limits, Operands, column, narrow, row};
use crate::aligned::CACHE_LINE;
use crate::isa::{Isa, Lanes, Scalar};
use crate::matrix::MatRef;
use crate::parallel::{self, Divide, Grain};

/// A way through a product that is not empty, and for the blocked one what is copied.
#[derive(Clone, Copy, Debug)]
pub(super) enum Path {
    Column,
    Row,
    Narrow,
    Blocked { pack_a: bool, pack_b: bool },
}

/// Multiply-adds below which a piece of work is not worth another thread: about 10 microseconds.
pub(super) const WORTH_A_THREAD: usize = 1 << 19;

/// Items of `each` multiply-adds that make a piece worth a thread.
pub(super) fn grain(each: usize) -> Grain {
    Grain::of(each, WORTH_A_THREAD)
}

/// A side of C this short is served by a few micro-tiles.
pub(super) const NARROW: usize = 16;

/// The way that a product takes, and whether its operands are transposed for it: B is read where it lies if C has a short side, else
/// C's columns are adjacent if possible.
pub(super) fn choose<S: Isa, T: Scalar>(operands: &Operands<'_, T>) -> (Path, bool) {
    let Operands { a, b, c, .. } = operands;
    let ((m, n), k) = (c.shape(), a.cols());
    let streams = |wide: MatRef<'_, T>| wide.col_stride() == 1;
    if n == 1 && a.col_stride() == 1 {
        (Path::Column, false)
    } else if m == 1 && b.row_stride() == 1 {
        (Path::Column, true)
    } else if m == 1 && row::pays(*b) {
        (Path::Row, false)
    } else if n == 1 && row::pays(a.transposed()) {
        (Path::Row, true)
    } else if m <= NARROW && streams(*b) {
        (blocked::<S, T>(*a, *b), false)
    } else if n <= NARROW && streams(a.transposed()) {
        (blocked::<S, T>(b.transposed(), a.transposed()), true)
    } else if a.col_stride() == 1 && narrow::pays::<S, T>(n, k) {
        (Path::Narrow, false)
    } else if b.row_stride() == 1 && narrow::pays::<S, T>(m, k) {
        (Path::Narrow, true)
    } else if c.row_stride().unsigned_abs() < c.col_stride().unsigned_abs() {
        (blocked::<S, T>(b.transposed(), a.transposed()), true)
    } else {
        (blocked::<S, T>(*a, *b), false)
    }
}

/// The blocked way, with copies of A and B where they pay.
fn blocked<S: Isa, T: Scalar>(a: MatRef<'_, T>, b: MatRef<'_, T>) -> Path {
    Path::Blocked { pack_a: packs_a::<S, T>(a, b.cols()), pack_b: b.col_stride() != 1 || packs_b::<S, T>(a, b) }
}

/// The product of operands that are not empty.
pub(super) fn product<S: Isa, T: Scalar>(isa: S, operands: &mut Operands<'_, T>) {
    match choose::<S, T>(operands) {
        (path, false) => follow(isa, operands, path),
        (path, true) => follow(isa, &mut operands.reborrow().transposed(), path),
    }
}

/// The product, by that path.
pub(super) fn follow<S: Isa, T: Scalar>(isa: S, operands: &mut Operands<'_, T>, path: Path) {
    let ((m, n), k) = (operands.c.shape(), operands.a.cols());
    let is_small = m.saturating_mul(n).saturating_mul(k) <= WORTH_A_THREAD;
    match path {
        Path::Column => column::run(isa, operands, (!is_small).then(|| grain(k).multiple_of(column::MAX_ROWS))),
        Path::Row => {
            // Pieces start where their sums' cache lines do.
            let step = CACHE_LINE / size_of::<T>();
            row::run(isa, operands.reborrow(), if is_small { n.into() } else { grain(k).multiple_of(step) })
        }
        Path::Narrow => narrow::run(isa, operands.reborrow(), if is_small { m.into() } else { grain(n * k) }),
        Path::Blocked { pack_a, pack_b } => {
            let along_rows = m >= n && !copies_apart::<S, T>(pack_a, pack_b, m, n);
            let blocking = Blocking::new::<S, T>(k, pack_a);
            let product = Blocked::new(isa, operands.reborrow(), blocking, [pack_a, pack_b], along_rows);
            if is_small {
                return product.run();
            }
            let grain = blocked_grain::<S, T>(along_rows, product.tile_rows, (m, k, n));
            product.divide(grain);
        }
    }
}

/// Whether threads rather share C's columns than its rows, though there may be more of these, since each then copies the columns of B
/// that it alone reads. Those who share rows would copy B for all of them, meet, and wait for what other cores have written. (On two
/// threads 384 cubed 1.07, 512 cubed 1.04, 1024 cubed 1.03 to 1.09.)
fn copies_apart<S: Isa, T: Scalar>(pack_a: bool, pack_b: bool, m: usize, n: usize) -> bool {
    const PANELS: usize = 4;
    let panel = S::GEMM_VECTORS * T::Lanes::<S>::COUNT;
    pack_b && !pack_a && m / 2 <= n && n / (PANELS * panel) >= parallel::current()
}

/// The product in blocks within `limits`, cut for threads wherever it can be.
pub(super) fn limited<S: Isa, T: Scalar>(isa: S, operands: Operands<'_, T>, limits: Limits) {
    let (path, is_transposed) = choose::<S, T>(&operands);
    let operands = if is_transposed { operands.transposed() } else { operands };
    let copies @ [pack_a, _] = match path {
        Path::Blocked { pack_a, pack_b } => [pack_a || limits.pack_a, pack_b || limits.pack_b],
        // It may be that neither can be read where it lies.
        _ => [true, true],
    };
    let ((m, n), k) = (operands.c.shape(), operands.a.cols());
    let blocking = Blocking::new::<S, T>(k, pack_a).limited::<S, T>(limits);
    let along_rows = m >= n;
    let step = if along_rows { S::GEMM_ROWS } else { S::GEMM_VECTORS * T::Lanes::<S>::COUNT };
    Blocked::new(isa, operands, blocking, copies, along_rows).divide(step.into());
}

/// Rows or columns of C, in whole micro-tiles of `rows` rows, that make a piece worth a thread.
pub(super) fn blocked_grain<S: Isa, T: Scalar>(
    along_rows: bool,
    rows: usize,
    (m, k, n): (usize, usize, usize),
) -> Grain {
    let (step, each) = if along_rows { (rows, n * k) } else { (S::GEMM_VECTORS * T::Lanes::<S>::COUNT, m * k) };
    grain(each).multiple_of(step)
}
