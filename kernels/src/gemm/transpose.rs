//! Rows that become columns, on the way into a copy or out of one: squares of them in registers.

use crate::aligned::CACHE_LINE;
use crate::isa::{Isa, Kernel, Lanes, MAX_LANES, Scalar};
use crate::matrix::{MatMut, MatRef};

/// What of the source is prefetched: it may lie far out.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Ahead {
    Nothing,
    /// As many rows as there are, beyond the last: the next panel, where the source is one of several.
    Panel,
}

/// Writes the columns of `source` to the rows of `target`, which may be uninitialised.
///
/// # Panics
/// If the target has not as many rows as the source has columns, and as many columns as that has rows, or the rows of either are not
/// adjacent elements.
pub(super) fn transpose<S: Isa, T: Scalar>(isa: S, source: MatRef<'_, T>, target: MatMut<'_, T>, ahead: Ahead) {
    assert_eq!((source.cols(), source.rows()), target.shape());
    assert!(source.col_stride() == 1 || source.cols() <= 1, "a source with adjacent columns");
    assert!(target.col_stride() == 1 || target.cols() <= 1, "a target with adjacent columns");
    isa.vectorize(Transpose { source, apart: target.row_stride(), target: target.element(0, 0), ahead });
}

/// The columns of `source`, whose elements lie `apart` from `target` on, one after the other.
///
/// Whoever makes one promises that as many elements as the source has rows are writable there for each of its columns, and nobody else's,
/// and that its rows' elements are adjacent.
struct Transpose<'a, T> {
    source: MatRef<'a, T>,
    apart: isize,
    target: *mut T,
    ahead: Ahead,
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
                self.fetch(isa, (i, p), lanes);
                // SAFETY: the square lies within the source; whoever made this promises the target.
                unsafe { self.square::<S, true>(isa, (i, p), (lanes, lanes)) };
            }
            for p in (whole..cols).step_by(lanes) {
                self.fetch(isa, (i, p), height);
                // SAFETY: as above.
                unsafe { self.square::<S, false>(isa, (i, p), (height, lanes.min(cols - p))) };
            }
        }
    }
}

impl<T: Scalar> Transpose<'_, T> {
    /// Prefetches what takes the place of so many rows from (`i`, `p`) on, where a cache line of them begins.
    #[inline(always)]
    fn fetch<S: Isa>(&self, isa: S, (i, p): (usize, usize), height: usize) {
        if self.ahead == Ahead::Panel && (p * size_of::<T>()).is_multiple_of(CACHE_LINE) {
            let mut line = self.source.element(i + self.source.rows(), p);
            for _ in 0..height {
                isa.prefetch_second(line);
                line = line.wrapping_offset(self.source.row_stride());
            }
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

    /// Columns of a source as rows of a target.
    struct Turn<'a, 't, T>(MatRef<'a, T>, MatMut<'t, T>, Ahead);

    impl<T: Scalar> Kernel for Turn<'_, '_, T> {
        type Output = ();

        fn run<S: Isa>(self, isa: S) {
            transpose(isa, self.0, self.1, self.2);
        }
    }

    fn every_column_is_a_row<T: Scalar>() {
        let marked = T::from_f64(-7.0);
        for level in supported() {
            for (rows, cols) in (0..36).flat_map(|rows| (0..36).map(move |cols| (rows, cols))) {
                let data: Vec<T> = (0..rows * (cols + 1)).map(|x| T::from_f64(x as f64)).collect();
                let source = MatRef::with_strides(&data, 0, rows, cols, cols as isize + 1, 1).unwrap();
                for (gap, is_backwards, ahead) in
                    [(0, false, Ahead::Nothing), (3, false, Ahead::Panel), (1, true, Ahead::Nothing)]
                {
                    let apart = rows + gap;
                    let mut data = vec![marked; apart * cols];
                    let (first, stride) = match is_backwards && cols > 0 {
                        true => (apart * (cols - 1), -(apart as isize)),
                        false => (0, apart as isize),
                    };
                    let target = MatMut::with_strides(&mut data, first, cols, rows, stride, 1).unwrap();
                    dispatch_at(level, Turn(source, target, ahead)).unwrap();
                    for (at, &found) in data.iter().enumerate() {
                        let (line, i) = (at / apart, at % apart);
                        let p = if is_backwards { cols - 1 - line } else { line };
                        let wanted = if i < rows { source.at(i, p) } else { marked };
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
    fn a_target_of_other_extents_or_with_scattered_columns_is_refused() {
        for (rows, cols, strides) in [(4, 2, (2, 1)), (3, 3, (3, 1)), (4, 3, (1, 4))] {
            let data = [0.0_f32; 12];
            let mut target = [0.0; 12];
            let result = std::panic::catch_unwind(move || {
                let source = MatRef::row_major(&data, 3, 4).unwrap();
                let target = MatMut::with_strides(&mut target, 0, rows, cols, strides.0, strides.1).unwrap();
                dispatch_at(Level::Portable, Turn(source, target, Ahead::Nothing)).unwrap();
            });
            assert!(result.is_err(), "{rows} x {cols}");
        }
    }
}
