//! Rows that become columns, on the way into a copy or out of one: squares of them in registers.

use crate::aligned::CACHE_LINE;
use crate::isa::{Isa, Kernel, Lanes, MAX_LANES, Scalar};
use crate::matrix::MatRef;

/// Writes column `p` of `source`, whose rows' elements are adjacent, to `target` from `p apart` on.
///
/// # Panics
/// If `target` is too short for that, or the source's rows are not adjacent.
pub(super) fn transpose_into<S: Isa, T: Scalar>(isa: S, source: MatRef<'_, T>, apart: usize, target: &mut [T]) {
    let (rows, cols) = source.shape();
    if rows == 0 || cols == 0 {
        return;
    }
    let end = apart.checked_mul(cols - 1).and_then(|last| last.checked_add(rows));
    assert!(end.is_some_and(|end| end <= target.len()), "{rows} x {cols}, {apart} apart");
    assert!(source.col_stride() == 1 || cols == 1, "rows whose elements are adjacent");
    // The last column ends within `target`, and so do those before it.
    isa.vectorize(Transpose { source, apart: apart as isize, target: target.as_mut_ptr(), ahead: true });
}

/// Writes column `p` of `source`, whose rows' elements are adjacent, to what lies `p apart` from `target`.
///
/// # Safety
/// As many elements as the source has rows are writable there, for each of its columns, and none of them is the source's.
pub(super) unsafe fn transpose<S: Isa, T: Scalar>(isa: S, source: MatRef<'_, T>, apart: isize, target: *mut T) {
    assert!(source.col_stride() == 1 || source.cols() <= 1, "rows whose elements are adjacent");
    isa.vectorize(Transpose { source, apart, target, ahead: false });
}

/// That: whoever makes one promises the same.
struct Transpose<'a, T> {
    source: MatRef<'a, T>,
    apart: isize,
    target: *mut T,
    /// Whether what lies where as many rows more would be is prefetched: the next panel's.
    ahead: bool,
}

impl<T: Scalar> Kernel for Transpose<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let (rows, cols) = self.source.shape();
        let lanes = T::Lanes::<S>::COUNT;
        for i in (0..rows).step_by(lanes) {
            let height = lanes.min(rows - i);
            let whole = if height == lanes { cols / lanes * lanes } else { 0 };
            for p in (0..whole).step_by(lanes) {
                if self.ahead && (p * size_of::<T>()).is_multiple_of(CACHE_LINE) {
                    self.fetch(isa, i + rows, p);
                }
                // SAFETY: the square lies within the source; whoever made this promises the target.
                unsafe { self.square::<S, true>(isa, (i, p), (lanes, lanes)) };
            }
            for p in (whole..cols).step_by(lanes) {
                // SAFETY: as above.
                unsafe { self.square::<S, false>(isa, (i, p), (height, lanes.min(cols - p))) };
            }
        }
    }
}

impl<T: Scalar> Transpose<'_, T> {
    /// Prefetches a square's lines, from (`i`, `p`) on.
    #[inline(always)]
    fn fetch<S: Isa>(&self, isa: S, i: usize, p: usize) {
        let mut line = self.source.element(i, p);
        for _ in 0..T::Lanes::<S>::COUNT {
            isa.prefetch_second(line);
            line = line.wrapping_offset(self.source.row_stride());
        }
    }

    /// Transposes `height` rows of `width` elements from (`i`, `p`) on: as many of each as a vector has lanes, if the square is to be `WHOLE`.
    ///
    /// # Safety
    /// They lie within the source, are one or more and no more than a vector has lanes, and whoever made this promised the target.
    #[inline(always)]
    unsafe fn square<S: Isa, const WHOLE: bool>(
        &self,
        isa: S,
        (i, p): (usize, usize),
        (height, width): (usize, usize),
    ) {
        let lanes = T::Lanes::<S>::COUNT;
        let mut rows = [T::Lanes::<S>::splat(isa, T::ZERO); MAX_LANES];
        let mut line = self.source.element(i, p);
        for (r, row) in rows[..lanes].iter_mut().enumerate() {
            // SAFETY: the caller's promise of the source.
            *row = unsafe {
                if WHOLE || width == lanes {
                    T::Lanes::<S>::load(isa, line)
                } else {
                    T::Lanes::<S>::load_partial(isa, line, width)
                }
            };
            // What stands in for rows that are not there is not written.
            if WHOLE || r + 1 < height {
                line = line.wrapping_offset(self.source.row_stride());
            }
        }
        T::Lanes::<S>::transpose(isa, &mut rows);
        let mut target = self.target.wrapping_offset(p as isize * self.apart).wrapping_add(i);
        for column in rows[..lanes].iter().take(width) {
            // SAFETY: the caller's promise of the target.
            unsafe {
                if WHOLE || height == lanes {
                    column.store(isa, target);
                } else {
                    column.store_partial(isa, target, height);
                }
            }
            target = target.wrapping_offset(self.apart);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::{dispatch_at, supported};
    use crate::isa::Level;

    /// Columns of `source` as rows of `target`, `apart` from each other.
    struct Turn<'a, 't, T>(MatRef<'a, T>, usize, &'t mut [T]);

    impl<T: Scalar> Kernel for Turn<'_, '_, T> {
        type Output = ();

        fn run<S: Isa>(self, isa: S) {
            transpose_into(isa, self.0, self.1, self.2);
        }
    }

    fn every_column_is_a_row<T: Scalar>() {
        let marked = T::from_f64(-7.0);
        for level in supported() {
            for (rows, cols) in (0..36).flat_map(|rows| (0..36).map(move |cols| (rows, cols))) {
                let data: Vec<T> = (0..rows * (cols + 1)).map(|x| T::from_f64(x as f64)).collect();
                let source = MatRef::with_strides(&data, 0, rows, cols, cols as isize + 1, 1).unwrap();
                for apart in [rows, rows + 3] {
                    let mut target = vec![marked; (apart * cols).max(rows)];
                    dispatch_at(level, Turn(source, apart, &mut target)).unwrap();
                    for (at, &found) in target.iter().enumerate() {
                        let (p, i) = (at / apart.max(1), at % apart.max(1));
                        let wanted = if p < cols && i < rows { source.at(i, p) } else { marked };
                        assert_eq!(found, wanted, "{level} {rows} x {cols}, {apart} apart: row {p}, column {i}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_column_is_a_row_in_f32() {
        every_column_is_a_row::<f32>();
    }

    #[test]
    fn every_column_is_a_row_in_f64() {
        every_column_is_a_row::<f64>();
    }

    #[test]
    fn a_target_that_is_too_short_is_refused() {
        let data = [0.0_f32; 12];
        let mut target = [0.0; 11];
        let source = MatRef::row_major(&data, 3, 4).unwrap();
        let result = std::panic::catch_unwind(move || dispatch_at(Level::Portable, Turn(source, 3, &mut target)));
        assert!(result.is_err());
    }

    #[test]
    fn columns_may_be_written_backwards() {
        struct Backwards<'a>(MatRef<'a, f64>, *mut f64);
        impl Kernel for Backwards<'_> {
            type Output = ();
            fn run<S: Isa>(self, isa: S) {
                // SAFETY: the test below gives the last of five rows of three.
                unsafe { transpose(isa, self.0, -3, self.1) };
            }
        }
        for level in supported() {
            let data: Vec<f64> = (0..15).map(f64::from).collect();
            let mut target = [0.0; 15];
            let last = target[12..].as_mut_ptr();
            let source = MatRef::row_major(&data, 3, 5).unwrap();
            dispatch_at(level, Backwards(source, last)).unwrap();
            for (p, row) in target.chunks(3).enumerate() {
                assert_eq!(row, [4 - p, 9 - p, 14 - p].map(|x| x as f64), "{level} {p}");
            }
        }
    }
}
