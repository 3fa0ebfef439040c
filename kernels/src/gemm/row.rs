//! One row times a matrix whose rows are adjacent: multiples of those rows, added up in the order of the depth.
//!
//! B is read once and in the order in which it lies, which a processor foresees best.

use super::Operands;
use super::locality::{PAGE, is_far};
use super::output::{write_all_scaled, write_scaled};
use crate::aligned::CACHE_LINE;
use crate::isa::{Isa, Kernel, Lanes, Scalar};
use crate::matrix::{MatMut, MatRef};
use crate::parallel::{self, Divide, Grain};
use crate::workspace::with_scratch;

/// Bytes of the sums that are added to at a time: a quarter of the smallest first-level cache.
const BLOCK_BYTES: usize = 2 * PAGE;

/// Rows of B that are added in one go, so that the sums are read and written once for all of them. Even where they lie whole pages
/// apart, and so share a set of the first-level cache, their lines and the sums' fit it.
const ROWS: usize = 6;

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
    let is_far = is_far(operands.b, 3);
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
        let Operands { alpha, a, b, beta, mut c, epilogue } = operands;
        let most = BLOCK_BYTES / size_of::<T>();
        with_scratch(most + PAGE / size_of::<T>(), |scratch: &mut [T]| {
            let scratch = apart_from(b.element(0, 0), scratch);
            let (mut b, mut c) = (b, c.reborrow());
            while b.cols() > 0 {
                let width = most.min(b.cols());
                let (rows, rows_beyond) = b.split_cols(width);
                let (results, results_beyond) = c.split_cols(width);
                let sums = &mut scratch[..width];
                if S::PREFETCHES && is_far {
                    isa.vectorize(Block::<T, true> { alpha, factors: a, rows, sums, beta, results });
                } else {
                    isa.vectorize(Block::<T, false> { alpha, factors: a, rows, sums, beta, results });
                }
                (b, c) = (rows_beyond, results_beyond);
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

/// results <- alpha factors rows + beta results, where rows have adjacent columns, as many as there are sums. To `PREFETCH` is to fetch,
/// with each row, the one that takes its place.
struct Block<'a, T, const PREFETCH: bool> {
    alpha: T,
    factors: MatRef<'a, T>,
    rows: MatRef<'a, T>,
    /// What the factors' multiples of rows are added up in.
    sums: &'a mut [T],
    beta: T,
    results: MatMut<'a, T>,
}

impl<T: Scalar, const PREFETCH: bool> Kernel for Block<'_, T, PREFETCH> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let Self { alpha, factors, rows, sums, beta, results } = self;
        let (depth, width) = rows.shape();
        assert!(factors.shape() == (1, depth) && results.shape() == (1, width));
        assert!(rows.col_stride() == 1 && sums.len() == width);
        sums.fill(T::ZERO);
        let whole = depth / ROWS * ROWS;
        let next = rows.row_stride().wrapping_mul(ROWS as isize);
        for p in (0..whole).step_by(ROWS) {
            // SAFETY: there are `depth` factors and rows, whose elements are adjacent and as many as the sums, checked above.
            unsafe {
                let factors = std::array::from_fn(|r| *factors.element(0, p + r));
                add::<S, T, PREFETCH, ROWS>(isa, factors, std::array::from_fn(|r| rows.element(p + r, 0)), sums, next);
            }
        }
        for p in whole..depth {
            // SAFETY: as above.
            unsafe { add::<S, T, false, 1>(isa, [*factors.element(0, p)], [rows.element(p, 0)], sums, 0) };
        }
        if results.col_stride() == 1 {
            // SAFETY: as many results as sums exist, checked above, adjacent. They may be uninitialised if `beta` is zero, and are not read then.
            unsafe { write_all_scaled(isa, results.element(0, 0), alpha, sums, beta) };
            return;
        }
        for (j, &sum) in sums.iter().enumerate() {
            // SAFETY: the element exists. It may be uninitialised if `beta` is zero, so there must be no reference to it.
            unsafe { write_scaled(results.element(0, j), alpha * sum, beta) };
        }
    }
}

/// sums += sum over r of factors[r] rows[r], in the order of the rows. To `PREFETCH` is to fetch what lies `next` elements from them.
///
/// # Safety
/// From each of `rows` on, as many elements can be read as there are sums.
#[inline(always)]
unsafe fn add<S: Isa, T: Scalar, const PREFETCH: bool, const R: usize>(
    isa: S,
    factors: [T; R],
    rows: [*const T; R],
    sums: &mut [T],
    next: isize,
) {
    let lanes = T::Lanes::<S>::COUNT;
    let mut multipliers = [T::Lanes::<S>::splat(isa, T::ZERO); R];
    for (multiplier, factor) in multipliers.iter_mut().zip(factors) {
        *multiplier = T::Lanes::<S>::splat(isa, factor);
    }
    let whole = sums.len() / lanes * lanes;
    let rest = sums.len() - whole;
    let target = sums.as_mut_ptr();
    let mut j = 0;
    while j < whole {
        // SAFETY: a whole vector from `j` on lies within the sums and each row, which are as long.
        unsafe {
            let mut total = T::Lanes::<S>::load(isa, target.add(j));
            for (multiplier, row) in multipliers.iter().zip(rows) {
                total = multiplier.mul_add(isa, T::Lanes::<S>::load(isa, row.add(j)), total);
                if PREFETCH {
                    isa.prefetch_second(row.add(j).wrapping_offset(next));
                }
            }
            total.store(isa, target.add(j));
        }
        j += lanes;
    }
    if rest > 0 {
        // SAFETY: the `rest` elements, fewer than a vector has lanes, lie within the sums and each row.
        unsafe {
            let mut total = T::Lanes::<S>::load_partial(isa, target.add(whole), rest);
            for (multiplier, row) in multipliers.iter().zip(rows) {
                total = multiplier.mul_add(isa, T::Lanes::<S>::load_partial(isa, row.add(whole), rest), total);
            }
            total.store_partial(isa, target.add(whole), rest);
        }
    }
}
