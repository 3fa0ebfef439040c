//! A matrix whose rows are adjacent times one column: dot products, as many at a time as a vector can end with.

use super::Operands;
use super::across::add_across;
use super::locality::{PAGE, are_pages_apart, bytes, is_far};
use super::output::{write_all_scaled, write_scaled};
use crate::caches::caches;
use crate::isa::{Isa, Kernel, Lanes, MAX_LANES, Scalar};
use crate::matrix::MatRef;
use crate::parallel::{self, Divide, Grain};
use crate::workspace::with_scratch;

/// The most rows of a tile.
pub(super) const MAX_ROWS: usize = MAX_LANES / 2;

/// Vectors of sums of each long row of A. With one or two of them, a row that is read by itself waits for its own sums while more of it
/// arrives from the third-level cache; and the sums of four rows fit sixteen registers.
const SUMS: usize = 3;

/// Columns of A from which on a row is long.
const LONG: usize = 256;

/// C <- epilogue(alpha A B + beta C), where A's rows are adjacent along the depth and B has one column. Without a `grain`, on this thread.
pub(super) fn run<S: Isa, T: Scalar>(isa: S, operands: &mut Operands<'_, T>, grain: Option<Grain>) {
    let column = operands.b.transposed();
    if column.col_stride() == 1 {
        return multiply(isa, operands, column.row(0), grain);
    }
    with_scratch(column.cols(), |copy: &mut [T]| {
        copy.iter_mut().enumerate().for_each(|(p, x)| *x = column.at(0, p));
        multiply(isa, operands, copy, grain);
    });
}

/// That, where B's elements are `column`.
fn multiply<S: Isa, T: Scalar>(isa: S, operands: &mut Operands<'_, T>, column: &[T], grain: Option<Grain>) {
    let threads = if grain.is_some() { parallel::current() } else { 1 };
    let place = Place::of(operands.a, threads);
    match grain {
        Some(grain) => parallel::divide(ColumnProduct { isa, operands: operands.reborrow(), column, place }, grain),
        None => compute(isa, operands, column, place),
    }
}

/// Where A comes from, and so in what order its rows arrive fastest. No bit of the result depends on it.
#[derive(Clone, Copy)]
enum Place {
    /// From a cache of the core: as many rows together as there are registers for, so that the column is read less often.
    Near,
    /// From the third-level cache: rows of a page or more, one after the other, are one stream to the processor's own prefetching, if
    /// the column stays in the first-level cache (1024 x 1024 1.03 to 1.15, 1024 x 2048 1.15).
    ThirdCache,
    /// From memory: many rows together, the next ones prefetched.
    Memory,
}

impl Place {
    /// Of an A whose rows so many threads share.
    fn of<T: Scalar>(a: MatRef<'_, T>, threads: usize) -> Self {
        let line = a.cols() * size_of::<T>();
        if is_far(a, 3) {
            Self::Memory
        } else if bytes(a) / threads > 2 * caches().second && (PAGE..=caches().first / 2).contains(&line) {
            // Of an A not much larger than the second-level cache, much is there.
            Self::ThirdCache
        } else {
            Self::Near
        }
    }
}

/// Some rows of the product.
struct ColumnProduct<'a, S, T> {
    isa: S,
    operands: Operands<'a, T>,
    /// B, its elements adjacent.
    column: &'a [T],
    place: Place,
}

impl<S: Isa, T: Scalar> Divide for ColumnProduct<'_, S, T> {
    fn length(&self) -> usize {
        self.operands.a.rows()
    }

    fn split(self, at: usize) -> (Self, Self) {
        let (top, bottom) = self.operands.split_rows(at);
        (Self { operands: top, ..self }, Self { operands: bottom, ..self })
    }

    fn run(mut self) {
        compute(self.isa, &mut self.operands, self.column, self.place);
    }
}

/// C <- epilogue(alpha A B + beta C), where `column` is B.
fn compute<S: Isa, T: Scalar>(isa: S, operands: &mut Operands<'_, T>, column: &[T], place: Place) {
    let Operands { alpha, a, beta, ref c, .. } = *operands;
    assert!(a.cols() == column.len() && a.col_stride() == 1 && c.shape() == (a.rows(), 1));
    let dots = Dots { alpha, a, column, beta, c: c.element(0, 0), c_stride: c.row_stride() };
    // As many rows as a vector, or half of one, has lanes, so that the sums of all are one vector. Only those are compiled. A level
    // with sixteen registers has none for the sums of eight rows.
    if const { T::Lanes::<S>::COUNT >= MAX_ROWS && S::GEMM_ROWS * S::GEMM_VECTORS > 16 } {
        dots.run::<S, MAX_ROWS, MAX_ROWS, 4>(isa, place);
    } else if const { T::Lanes::<S>::COUNT >= MAX_ROWS } {
        dots.run::<S, MAX_ROWS, 4, 4>(isa, place);
    } else if const { T::Lanes::<S>::COUNT == 4 } {
        dots.run::<S, 4, 4, 4>(isa, place);
    } else {
        dots.run::<S, 2, 2, 2>(isa, place);
    }
    operands.epilogue.apply(isa, operands.c.reborrow());
}

/// C <- alpha A B + beta C, where `column` is B.
///
/// Whoever makes one promises that elements of A's rows are adjacent and these as long as the column, and that C has as many elements as A
/// has rows, `c_stride` apart, which are writable, unless `beta` is zero readable, and nobody else's meanwhile. It refers to no operands
/// elsewhere, since what is written to C might change those, and the next row would wait for it: 1024 x 1024 1.07.
struct Dots<'a, T> {
    alpha: T,
    a: MatRef<'a, T>,
    column: &'a [T],
    beta: T,
    c: *mut T,
    c_stride: isize,
}

/// That, of `R` rows the sums at a time, `ABREAST` of them read together. To `PREFETCH` is to fetch, with each row of A, the one that
/// takes its place.
struct Rows<'a, T, const R: usize, const ABREAST: usize, const PREFETCH: bool>(Dots<'a, T>);

impl<T: Scalar, const R: usize, const ABREAST: usize, const PREFETCH: bool> Kernel
    for Rows<'_, T, R, ABREAST, PREFETCH>
{
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let rows = self.0.a.rows();
        let whole = rows / R * R;
        for first in (0..whole).step_by(R) {
            self.0.rows::<S, R, ABREAST, PREFETCH>(isa, first);
        }
        // Rows by themselves wait for their own sums; those of a few rows, for each other's.
        let mut first = whole;
        if rows - first >= 4 {
            self.0.rows::<S, 4, 4, PREFETCH>(isa, first);
            first += 4;
        }
        if rows - first >= 2 {
            self.0.rows::<S, 2, 2, PREFETCH>(isa, first);
            first += 2;
        }
        if rows > first {
            self.0.rows::<S, 1, 1, PREFETCH>(isa, first);
        }
    }
}

impl<T: Scalar> Dots<'_, T> {
    /// All elements of C, `R` at a time, of at most `MOST` rows that are read together. Rows whole pages apart share a set of the
    /// first-level cache, which the lines of `FEW` of them and of the column do not fill.
    fn run<S: Isa, const R: usize, const MOST: usize, const FEW: usize>(self, isa: S, place: Place) {
        match place {
            Place::ThirdCache => return isa.vectorize(Rows::<T, 1, 1, false>(self)),
            Place::Memory if S::PREFETCHES => return isa.vectorize(Rows::<T, R, MOST, true>(self)),
            _ => (),
        }
        if FEW < MOST && are_pages_apart(self.a) {
            isa.vectorize(Rows::<T, R, FEW, false>(self));
        } else {
            isa.vectorize(Rows::<T, R, MOST, false>(self));
        }
    }

    /// `R` elements of C from `first` on. An element's bits do not depend on what the others are.
    #[inline(always)]
    fn rows<S: Isa, const R: usize, const ABREAST: usize, const PREFETCH: bool>(&self, isa: S, first: usize) {
        let Self { alpha, beta, c, c_stride, .. } = *self;
        const { assert!(R.is_multiple_of(ABREAST)) };
        assert!(first + R <= self.a.rows());
        let zero = T::Lanes::<S>::splat(isa, T::ZERO);
        let mut totals = [zero; R];
        for (part, totals) in totals.as_chunks_mut().0.iter_mut().enumerate() {
            *totals = self.dots::<S, R, ABREAST, PREFETCH>(isa, first + part * ABREAST);
        }
        // Half a vector's rows are there twice.
        let lanes = T::Lanes::<S>::COUNT;
        let mut vectors = [zero; MAX_LANES];
        for (r, vector) in vectors.iter_mut().enumerate().take(lanes) {
            *vector = totals[r % R];
        }
        let mut sums = [T::ZERO; MAX_LANES];
        add_across::<S, T, MAX_LANES>(isa, vectors, lanes).write(isa, &mut sums[..lanes]);
        if R > 1 && c_stride == 1 {
            // SAFETY: those `R` elements exist, adjacent. They may be uninitialised if `beta` is zero, and are not read then.
            unsafe { write_all_scaled(isa, c.wrapping_add(first), alpha, &sums[..R], beta) };
            return;
        }
        for (r, &sum) in sums[..R].iter().enumerate() {
            // SAFETY: the element exists. It may be uninitialised if `beta` is zero, so there must be no reference to it.
            unsafe { write_scaled(c.wrapping_offset((first + r) as isize * c_stride), alpha * sum, beta) };
        }
    }

    /// Each of `ABREAST` rows from `first` on times the column, in as many sums as a vector has lanes.
    #[inline(always)]
    fn dots<S: Isa, const R: usize, const ABREAST: usize, const PREFETCH: bool>(
        &self,
        isa: S,
        first: usize,
    ) -> [T::Lanes<S>; ABREAST] {
        let lanes = T::Lanes::<S>::COUNT;
        let (a, length) = (self.a, self.column.len());
        let next = a.row_stride().wrapping_mul(R as isize);
        let mut rows = [a.element(first, 0); ABREAST];
        for (r, row) in rows.iter_mut().enumerate() {
            *row = a.element(first + r, 0);
        }
        let whole = length / lanes * lanes;
        let mut totals = [T::Lanes::<S>::splat(isa, T::ZERO); ABREAST];
        let mut d = 0;
        if length >= LONG {
            let mut sums = [totals; SUMS];
            while d + SUMS * lanes <= whole {
                for totals in &mut sums {
                    // SAFETY: a whole vector from `d` on lies within the column and each row, which are as long.
                    unsafe { self.add_vector::<S, ABREAST, PREFETCH>(isa, d, &rows, next, totals) };
                    d += lanes;
                }
            }
            for sums in sums {
                for (total, sum) in totals.iter_mut().zip(sums) {
                    *total = total.add(isa, sum);
                }
            }
        }
        while d < whole {
            // SAFETY: as above.
            unsafe { self.add_vector::<S, ABREAST, PREFETCH>(isa, d, &rows, next, &mut totals) };
            d += lanes;
        }
        if whole < length {
            // SAFETY: what is left of the column and of each row, which are as long, is less than a vector.
            unsafe {
                let w = T::Lanes::<S>::load_partial(isa, self.column.as_ptr().add(whole), length - whole);
                for (total, row) in totals.iter_mut().zip(&rows) {
                    let row = T::Lanes::<S>::load_partial(isa, row.add(whole), length - whole);
                    *total = row.mul_add(isa, w, *total);
                }
            }
        }
        totals
    }

    /// Adds to `totals` a vector of each row, from `d` on, times that of the column. To `PREFETCH` is to fetch what lies `next` elements
    /// from each.
    ///
    /// # Safety
    /// A whole vector from `d` on lies within the column and within what `rows` point to.
    #[inline(always)]
    unsafe fn add_vector<S: Isa, const ABREAST: usize, const PREFETCH: bool>(
        &self,
        isa: S,
        d: usize,
        rows: &[*const T; ABREAST],
        next: isize,
        totals: &mut [T::Lanes<S>; ABREAST],
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let w = T::Lanes::<S>::load(isa, self.column.as_ptr().add(d));
            for (total, row) in totals.iter_mut().zip(rows) {
                let row = row.add(d);
                *total = T::Lanes::<S>::load(isa, row).mul_add(isa, w, *total);
                if PREFETCH {
                    isa.prefetch_second(row.wrapping_offset(next));
                }
            }
        }
    }
}
