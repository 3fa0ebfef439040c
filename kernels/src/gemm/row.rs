//! One row times a matrix whose rows are adjacent: multiples of those rows, added up in the order of the depth.
//!
//! B is read once and in the order in which it lies, which a processor foresees best.

use super::Operands;
use super::locality::{PAGE, are_pages_apart, is_far};
use crate::aligned::CACHE_LINE;
use crate::isa::{Isa, Kernel, Lanes, Scalar};
use crate::matrix::MatRef;
use crate::parallel::{self, Divide, Grain};
use crate::workspace::with_scratch;

/// Bytes of the sums that are added to at a time: a quarter of the smallest first-level cache. Where rows lie whole pages apart, half of
/// that, since else they would need two lines of a set each, and so the sums (1 x 1024 x 1024 of `f64` 1.09 to 1.13), unless they come from memory,
/// which longer runs suit better.
const BLOCK_BYTES: usize = 2 * PAGE;

/// Rows of B that are added in one go, so that the sums are read and written once for all of them. Even where they share
/// a set of the first-level cache, their lines and the sums' fit it.
const ROWS: usize = 4;
/// Likewise, of a B that comes from memory, which takes longer than to read the sums again (1 x 4096 x 4096 1.05 to 1.12).
const FAR_ROWS: usize = 6;

/// Bytes from which on B lies further out than in most second-level caches. A nearer one is better multiplied in tiles,
/// whose sums stay in registers. It is no cache that was found, since an element's bits depend on the way.
const FAR_BYTES: usize = 512 * 1024;

/// Columns of B from which on its rows are long enough.
const WIDE: usize = 256;

/// Whether a row times `b` goes this way.
pub(super) fn pays<T: Scalar>(b: MatRef<'_, T>) -> bool {
    let (depth, cols) = b.shape();
    b.col_stride() == 1 && cols >= WIDE && depth.saturating_mul(cols).saturating_mul(size_of::<T>()) >= FAR_BYTES
}

/// C <- epilogue(alpha A B + beta C), where A and C have one row and B's columns are adjacent.
pub(super) fn run<S: Isa, T: Scalar>(isa: S, operands: Operands<'_, T>, grain: Grain) {
    let is_far = is_far(operands.b, 4);
    parallel::divide(RowProduct { isa, operands, is_far }, grain);
}

/// Some columns of the product.
struct RowProduct<'a, S, T> {
    isa: S,
    operands: Operands<'a, T>,
    /// Whether B's rows are prefetched.
    is_far: bool,
}

impl<S: Isa, T: Scalar> Divide for RowProduct<'_, S, T> {
    fn length(&self) -> usize {
        self.operands.b.cols()
    }

    fn split(self, at: usize) -> (Self, Self) {
        let (left, right) = self.operands.split_cols(at);
        (Self { operands: left, ..self }, Self { operands: right, ..self })
    }

    fn run(self) {
        let Self { isa, operands, is_far } = self;
        let Operands { alpha, a, b, beta, c, epilogue } = operands;
        let bytes = if are_pages_apart(b) && !is_far { PAGE } else { BLOCK_BYTES };
        let block = bytes / size_of::<T>();
        with_scratch(block + PAGE / size_of::<T>(), |scratch: &mut [T]| {
            let scratch = apart_from(b.element(0, 0), scratch);
            for first in (0..b.cols()).step_by(block) {
                let width = block.min(b.cols() - first);
                let sums = &mut scratch[..width];
                let rows = b.split_cols(first).1.split_cols(width).0;
                if S::PREFETCHES && is_far {
                    isa.vectorize(Multiples::<T, FAR_ROWS, true> { factors: a, rows, sums });
                } else {
                    isa.vectorize(Multiples::<T, ROWS, false> { factors: a, rows, sums });
                }
                for (j, &sum) in scratch[..width].iter().enumerate() {
                    // SAFETY: the element exists. It may be uninitialised if `beta` is zero, so there must be no reference to it.
                    unsafe { super::write_scaled(c.element(0, first + j), alpha * sum, beta) };
                }
            }
        });
        epilogue.apply(isa, c);
    }
}

/// The rest of `scratch` from where addresses are half a page off from `rows`, as far as a page's go. A processor tells a load from an earlier
/// store by these alone at first: a first row that lay just below the sums waited for them, and all rows whole pages from it (1 x 512 x 512
/// 0.67 to 0.8).
fn apart_from<T>(rows: *const T, scratch: &mut [T]) -> &mut [T] {
    let distance = rows.addr().wrapping_add(PAGE / 2).wrapping_sub(scratch.as_ptr().addr()) % PAGE;
    &mut scratch[distance / CACHE_LINE * CACHE_LINE / size_of::<T>()..]
}

/// sums <- factors x rows, of one row and with adjacent columns, `R` of the rows in one go. To `PREFETCH` is to fetch, with each row, the
/// one that takes its place.
struct Multiples<'a, T, const R: usize, const PREFETCH: bool> {
    factors: MatRef<'a, T>,
    rows: MatRef<'a, T>,
    sums: &'a mut [T],
}

impl<T: Scalar, const R: usize, const PREFETCH: bool> Kernel for Multiples<'_, T, R, PREFETCH> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let Self { factors, rows, sums } = self;
        sums.fill(T::ZERO);
        let depth = rows.rows();
        let whole = depth / R * R;
        let next = rows.row_stride().wrapping_mul(R as isize);
        for p in (0..whole).step_by(R) {
            let factors = std::array::from_fn(|r| factors.at(0, p + r));
            add::<S, T, PREFETCH, R>(isa, factors, std::array::from_fn(|r| rows.row(p + r)), sums, next);
        }
        for p in whole..depth {
            add::<S, T, false, 1>(isa, [factors.at(0, p)], [rows.row(p)], sums, 0);
        }
    }
}

/// sums += sum over r of factors[r] rows[r], in the order of the rows, which are as long as the sums. To `PREFETCH` is to fetch what lies
/// `next` elements from them.
#[inline(always)]
fn add<S: Isa, T: Scalar, const PREFETCH: bool, const R: usize>(
    isa: S,
    factors: [T; R],
    rows: [&[T]; R],
    sums: &mut [T],
    next: isize,
) {
    let lanes = T::Lanes::<S>::COUNT;
    let length = sums.len();
    assert!(rows.iter().all(|row| row.len() == length));
    let mut multipliers = [T::Lanes::<S>::splat(isa, T::ZERO); R];
    for (multiplier, factor) in multipliers.iter_mut().zip(factors) {
        *multiplier = T::Lanes::<S>::splat(isa, factor);
    }
    let whole = length / lanes * lanes;
    let target = sums.as_mut_ptr();
    let mut j = 0;
    while j < whole {
        // SAFETY: a whole vector from `j` on lies within the sums and each row, which are as long.
        unsafe {
            let mut total = T::Lanes::<S>::load(isa, target.add(j));
            for (multiplier, row) in multipliers.iter().zip(&rows) {
                let row = row.as_ptr().add(j);
                total = multiplier.mul_add(isa, T::Lanes::<S>::load(isa, row), total);
                if PREFETCH {
                    isa.prefetch_second(row.wrapping_offset(next));
                }
            }
            total.store(isa, target.add(j));
        }
        j += lanes;
    }
    if whole < length {
        let mut total = T::Lanes::<S>::read(isa, &sums[whole..]);
        for (multiplier, row) in multipliers.iter().zip(&rows) {
            total = multiplier.mul_add(isa, T::Lanes::<S>::read(isa, &row[whole..]), total);
        }
        total.write(isa, &mut sums[whole..]);
    }
}
