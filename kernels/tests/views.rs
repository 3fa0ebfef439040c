//! Views of matrices: what their checked makers refuse, on small geometries by listing all elements and on extreme ones.

mod support;

use lanegrad_kernels::{Error, MatMut, MatRef, gemm};
use rand::{Rng, RngExt};
use std::collections::HashSet;
use support::{cases, generator};

/// What `with_strides` takes but the slice: its length, the offset, the extents, the strides.
#[derive(Clone, Copy, Debug)]
struct Geometry {
    length: usize,
    offset: usize,
    rows: usize,
    cols: usize,
    row_stride: isize,
    col_stride: isize,
}

/// What a maker says of a view.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Made,
    OutOfBounds,
    Overlap,
}

fn verdict<V>(made: Result<V, Error>) -> Verdict {
    match made {
        Ok(_) => Verdict::Made,
        Err(Error::OutOfBounds { .. }) => Verdict::OutOfBounds,
        Err(Error::Overlap { .. }) => Verdict::Overlap,
        Err(other) => panic!("{other}"),
    }
}

impl Geometry {
    fn read(self, data: &[f32]) -> Verdict {
        let Self { length, offset, rows, cols, row_stride, col_stride } = self;
        verdict(MatRef::with_strides(&data[..length], offset, rows, cols, row_stride, col_stride))
    }

    fn write(self, data: &mut [f32]) -> Verdict {
        let Self { length, offset, rows, cols, row_stride, col_stride } = self;
        verdict(MatMut::with_strides(&mut data[..length], offset, rows, cols, row_stride, col_stride))
    }

    /// The verdict for reading and for writing, from the list of all places.
    fn expected(self) -> (Verdict, Verdict) {
        let place = |i: usize, j: usize| {
            self.offset as i128 + i as i128 * self.row_stride as i128 + j as i128 * self.col_stride as i128
        };
        let mut places = HashSet::new();
        let (mut is_inside, mut are_apart) = (self.offset <= self.length, true);
        for i in 0..self.rows {
            for j in 0..self.cols {
                is_inside &= (0..self.length as i128).contains(&place(i, j));
                are_apart &= places.insert(place(i, j));
            }
        }
        match (is_inside, are_apart) {
            (false, _) => (Verdict::OutOfBounds, Verdict::OutOfBounds),
            (true, false) => (Verdict::Made, Verdict::Overlap),
            (true, true) => (Verdict::Made, Verdict::Made),
        }
    }
}

#[test]
fn every_small_geometry_is_judged_as_by_listing_its_elements() {
    let mut data = [0.0; 40];
    let mut seen = HashSet::new();
    for (rows, cols) in (0..5).flat_map(|rows| (0..5).map(move |cols| (rows, cols))) {
        for (row_stride, col_stride) in (-7..8).flat_map(|row| (-7..8).map(move |col| (row, col))) {
            for length in [0, 1, 12, 40] {
                for offset in [0, 1, 11, 12, 13, 20, 39, 40, 41] {
                    let geometry = Geometry { length, offset, rows, cols, row_stride, col_stride };
                    let found = (geometry.read(&data), geometry.write(&mut data));
                    assert_eq!(found, geometry.expected(), "{geometry:?}");
                    seen.insert(format!("{found:?}"));
                }
            }
        }
    }
    assert_eq!(seen.len(), 3, "the geometries show every verdict: {seen:?}");
}

/// A stride of at most `largest` either way.
fn stride(numbers: &mut impl Rng, largest: i32) -> isize {
    numbers.random_range(-largest..=largest) as isize
}

#[test]
fn random_geometries_are_judged_as_by_listing_their_elements() {
    let mut data = vec![0.0; 500];
    let mut numbers = generator(1);
    for _ in 0..cases(30_000) {
        let geometry = Geometry {
            length: numbers.random_range(0..=500),
            offset: numbers.random_range(0..=501),
            rows: numbers.random_range(0..14),
            cols: numbers.random_range(0..14),
            row_stride: stride(&mut numbers, 40),
            col_stride: stride(&mut numbers, 40),
        };
        assert_eq!((geometry.read(&data), geometry.write(&mut data)), geometry.expected(), "{geometry:?}");
    }
}

/// Numbers around the limits of both index types.
const EXTREME: [usize; 15] = [
    0,
    1,
    2,
    3,
    12,
    1 << 31,
    1 << 32,
    (1 << 32) + 1,
    usize::MAX / 3,
    isize::MAX as usize - 1,
    isize::MAX as usize,
    isize::MAX as usize + 1,
    isize::MAX as usize + 2,
    usize::MAX - 1,
    usize::MAX,
];

/// Whether all elements lie in the slice: whether the corners do.
fn is_inside(geometry: Geometry) -> bool {
    let Geometry { length, offset, rows, cols, row_stride, col_stride } = geometry;
    if offset > length || rows.checked_mul(cols).is_none() {
        return false;
    }
    if rows == 0 || cols == 0 {
        return true;
    }
    // The distance along one side fits 128 bits; of what overflows then, the corner lies outside.
    let (down, across) = ((rows as i128 - 1) * row_stride as i128, (cols as i128 - 1) * col_stride as i128);
    let corner = |down: i128, across: i128| {
        let at = down.checked_add(across).and_then(|at| at.checked_add(offset as i128));
        at.is_some_and(|at| (0..length as i128).contains(&at))
    };
    corner(0, 0) && corner(down, 0) && corner(0, across) && corner(down, across)
}

#[test]
fn extreme_geometries_are_refused() {
    let mut data = [0.0; 12];
    let strides = EXTREME.map(|stride| stride as isize);
    let mut count = 0;
    for rows in EXTREME {
        for cols in EXTREME {
            for row_stride in strides.iter().flat_map(|&stride| [stride, stride.wrapping_neg()]) {
                for col_stride in strides.iter().flat_map(|&stride| [stride, stride.wrapping_neg()]) {
                    for offset in [0, 5, 12, 13, isize::MAX as usize, usize::MAX] {
                        let geometry = Geometry { length: 12, offset, rows, cols, row_stride, col_stride };
                        let read = geometry.read(&data);
                        assert_eq!(read == Verdict::Made, is_inside(geometry), "{geometry:?}");
                        // A slice of 12 has room for 12 elements that are apart.
                        let write = geometry.write(&mut data);
                        let fits = rows.saturating_mul(cols) <= 12;
                        assert!(write != Verdict::Made || read == Verdict::Made && fits, "{geometry:?}");
                        count += usize::from(read == Verdict::Made);
                    }
                }
            }
        }
    }
    assert!(count > 1000, "some of them can be read: {count}");
}

#[test]
fn row_major_views_must_fit_whatever_their_extents() {
    let mut data = [0.0_f64; 12];
    for rows in EXTREME {
        for cols in EXTREME {
            let fits = rows.checked_mul(cols).is_some_and(|count| count <= 12);
            assert_eq!(MatRef::row_major(&data, rows, cols).is_ok(), fits, "{rows} x {cols}");
            assert_eq!(MatMut::row_major(&mut data, rows, cols).is_ok(), fits, "{rows} x {cols}");
        }
    }
}

/// A part of a random view is the view of that part, whichever way it is reached.
#[test]
fn parts_lie_where_their_elements_lie() {
    let data: Vec<f32> = (0..2000).map(|x| x as f32).collect();
    let mut numbers = generator(2);
    for _ in 0..cases(5000) {
        let (rows, cols) = (numbers.random_range(1..12), numbers.random_range(1..12));
        let (row_stride, col_stride) = (stride(&mut numbers, 80), stride(&mut numbers, 80));
        let Ok(view) = MatRef::with_strides(&data, 1000, rows, cols, row_stride, col_stride) else {
            continue;
        };
        let (top, left) = (numbers.random_range(0..=rows), numbers.random_range(0..=cols));
        let value = |i: usize, j: usize| 1000.0 + (i as isize * row_stride + j as isize * col_stride) as f32;
        let (upper, lower) = view.split_rows(top);
        let quarters = [(upper, 0), (lower, top)].map(|(half, first)| (half.split_cols(left), first));
        for ((west, east), first_row) in quarters {
            for (quarter, first_col) in [(west, 0), (east, left)] {
                for i in 0..quarter.rows() {
                    for j in 0..quarter.cols() {
                        assert_eq!(quarter.at(i, j), value(first_row + i, first_col + j));
                        assert_eq!(quarter.transposed().at(j, i), quarter.at(i, j));
                    }
                }
            }
        }
        assert_eq!(upper.rows() + lower.rows(), rows);
    }
}

#[test]
fn products_of_extreme_operands_are_refused_or_right() {
    let ones = [1.0_f32];
    let mut c = [5.0_f32; 4];
    let repeated = |rows, cols| MatRef::with_strides(&ones, 0, rows, cols, 0, 0).unwrap();
    let empty = |rows, cols| MatRef::row_major(&[], rows, cols).unwrap();
    // The extents do not agree, and their products would overflow.
    for a in [repeated(1 << 40, 1 << 20), repeated(1, usize::MAX), empty(0, usize::MAX), empty(usize::MAX, 0)] {
        for b in [repeated(1 << 40, 1 << 20), repeated(3, 5), empty(0, 7)] {
            let target = MatMut::row_major(&mut c, 2, 2).unwrap();
            assert!(matches!(gemm(1.0, a, b, 0.0, target), Err(Error::Shape { .. })), "{a:?} times {b:?}");
        }
    }
    assert_eq!(c, [5.0; 4]);
    // One element read a million times: every partial sum is an integer that 32 bits hold.
    let target = MatMut::row_major(&mut c, 2, 2).unwrap();
    gemm(1.0, repeated(2, 1 << 20), repeated(1 << 20, 2), 0.0, target).unwrap();
    assert_eq!(c, [(1 << 20) as f32; 4]);
    // Nothing to do, of any extent.
    let none = MatMut::row_major(&mut [], usize::MAX, 0).unwrap();
    gemm(1.0, repeated(usize::MAX, 1), empty(1, 0), 0.0, none).unwrap();
    let target = MatMut::row_major(&mut c, 2, 2).unwrap();
    gemm(1.0, empty(2, 0), empty(0, 2), 0.5, target).unwrap();
    assert_eq!(c, [(1 << 19) as f32; 4]);
}
