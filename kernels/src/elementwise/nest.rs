//! The loops over an array's indices, with operands that are broadcast.

use super::plane::{Plane, Work};
use crate::error::Error;
use crate::isa::Scalar;
use crate::matrix::{MatMut, MatRef};

/// An operand that is read: its elements, and how many elements further each dimension's next index is (0 where it is
/// repeated).
#[derive(Clone, Copy, Debug)]
pub struct Broadcast<'a, T> {
    /// Its elements.
    pub values: &'a [T],
    /// A stride for each dimension; that of the last dimension of more than one index is 0 or 1.
    pub strides: &'a [usize],
}

/// An operand that is written; see [`Broadcast`].
#[derive(Debug)]
pub struct BroadcastMut<'a, T> {
    /// Its elements.
    pub values: &'a mut [T],
    /// A stride for each dimension; that of the last dimension of more than one index is 0 or 1.
    pub strides: &'a [usize],
}

/// Loops over all indices: outer dimensions, and for each of their indices a plane of rows and columns.
///
/// Neighbouring dimensions that every operand walks through evenly are one dimension here.
#[derive(Debug)]
pub struct Nest<'a, T, const N: usize> {
    /// Extents of the outer dimensions.
    outer: &'a [usize],
    rows: usize,
    cols: usize,
    x: [(&'a [T], Steps<'a>); N],
    y: (&'a mut [T], Steps<'a>),
}

/// How far apart in its elements an operand's indices are.
#[derive(Clone, Copy, Debug)]
struct Steps<'a> {
    /// In the outer dimensions; `None` in those of a row-major array.
    outer: Option<&'a [usize]>,
    row: usize,
    col: usize,
}

impl Steps<'_> {
    /// Those of an array that is one row.
    const FLAT: Self = Self { outer: None, row: 0, col: 1 };
}

impl<'a, T: Scalar, const N: usize> Nest<'a, T, N> {
    /// A loop over arrays of one length.
    pub fn flat(x: [&'a [T]; N], y: &'a mut [T]) -> Result<Self, Error> {
        let cols = y.len();
        if let Some(other) = x.iter().find(|values| values.len() != cols) {
            let (expected, found) = ((1, cols), (1, other.len()));
            return Err(Error::Shape { what: "operand of an elementwise function", expected, found });
        }
        Ok(Self { outer: &[], rows: 1, cols, x: x.map(|values| (values, Steps::FLAT)), y: (y, Steps::FLAT) })
    }

    /// Loops over a row-major y.
    pub fn row_major(extents: &'a [usize], x: [Broadcast<'a, T>; N], y: &'a mut [T]) -> Result<Self, Error> {
        let elements = extents.iter().try_fold(1_usize, |product, &extent| product.checked_mul(extent));
        if elements != Some(y.len()) {
            let (expected, found) = ((1, elements.unwrap_or(usize::MAX)), (1, y.len()));
            return Err(Error::Shape { what: "result of an elementwise function", expected, found });
        }
        Self::new(extents, x, y, None)
    }

    /// Loops over a y that is broadcast as well.
    pub fn broadcast(extents: &'a [usize], x: [Broadcast<'a, T>; N], y: BroadcastMut<'a, T>) -> Result<Self, Error> {
        Self::new(extents, x, y.values, Some(y.strides))
    }

    /// `y_strides` of `None` are those of a row-major y.
    fn new(
        extents: &'a [usize],
        x: [Broadcast<'a, T>; N],
        y: &'a mut [T],
        y_strides: Option<&'a [usize]>,
    ) -> Result<Self, Error> {
        if let Some(strides) = x.iter().map(|x| x.strides).chain(y_strides).find(|s| s.len() != extents.len()) {
            let (expected, found) = ((1, extents.len()), (1, strides.len()));
            return Err(Error::Shape { what: "strides of an elementwise operand", expected, found });
        }
        if extents.contains(&0) {
            let x = x.map(|x| (x.values, Steps::FLAT));
            return Ok(Self { outer: &[], rows: 0, cols: 0, x, y: (y, Steps::FLAT) });
        }
        let y_stride =
            |axis: usize| y_strides.map_or_else(|| extents[axis + 1..].iter().product(), |strides| strides[axis]);
        for x in &x {
            check_reach(x.values.len(), extents, |axis| x.strides[axis])?;
        }
        check_reach(y.len(), extents, y_stride)?;

        // The strides of all operands, y's last, in one dimension.
        let strides = |axis: usize| (x.each_ref().map(|x| x.strides[axis]), y_stride(axis));
        let (cols, (x_cols, y_col), left) = merge(extents, extents.len(), strides);
        let (rows, (x_rows, y_row), left) = merge(extents, left, strides);
        if let Some(&stride) = x_cols.iter().chain([&y_col]).find(|&&stride| stride > 1) {
            let (expected, found) = ((1, 1), (1, stride));
            return Err(Error::Shape { what: "innermost stride of an elementwise operand", expected, found });
        }
        let x = std::array::from_fn(|i| {
            let steps = Steps { outer: Some(&x[i].strides[..left]), row: x_rows[i], col: x_cols[i] };
            (x[i].values, steps)
        });
        let steps = Steps { outer: y_strides.map(|strides| &strides[..left]), row: y_row, col: y_col };
        let mut nest = Self { outer: &extents[..left], rows, cols, x, y: (y, steps) };
        nest.result(0)?;
        Ok(nest)
    }

    /// Does `work` with each plane, the outermost dimension slowest.
    pub fn run(mut self, work: &Work<'_, T, N>) {
        if self.rows > 0 && self.cols > 0 {
            self.walk(0, [0; N], 0, work);
        }
    }

    /// Works through the planes of outer dimension `axis` and those below, from the places given in x and y on.
    fn walk(&mut self, axis: usize, x_at: [usize; N], y_at: usize, work: &Work<'_, T, N>) {
        let Some(&extent) = self.outer.get(axis) else {
            let (rows, cols) = (self.rows, self.cols);
            let x = std::array::from_fn(|i| {
                let (values, Steps { row, col, .. }) = self.x[i];
                MatRef::with_strides(values, x_at[i], rows, cols, row as isize, col as isize)
                    .expect("checked when made")
            });
            let y = self.result(y_at).expect("checked when made");
            return Plane { rows, cols, x, y }.run(work);
        };
        let row_major = || self.outer[axis + 1..].iter().product::<usize>() * self.rows * self.cols;
        let step = |steps: Steps<'_>| steps.outer.map_or_else(row_major, |strides| strides[axis]);
        let (x_steps, y_step) = (self.x.map(|(_, steps)| step(steps)), step(self.y.1));
        for index in 0..extent {
            self.walk(axis + 1, std::array::from_fn(|i| x_at[i] + index * x_steps[i]), y_at + index * y_step, work);
        }
    }

    /// The plane of y at `offset`: one row or column where it is repeated.
    fn result(&mut self, offset: usize) -> Result<MatMut<'_, T>, Error> {
        let (values, Steps { row, col, .. }) = &mut self.y;
        let (rows, cols) = (if *row == 0 { 1 } else { self.rows }, if *col == 0 { 1 } else { self.cols });
        MatMut::with_strides(values, offset, rows, cols, *row as isize, *col as isize)
    }
}

/// Merges the dimensions before `end`, from the last one on, as long as every operand walks through them evenly.
///
/// Returns the extent of all merged, their strides, and how many dimensions are left.
fn merge<const N: usize>(
    extents: &[usize],
    end: usize,
    strides: impl Fn(usize) -> ([usize; N], usize),
) -> (usize, ([usize; N], usize), usize) {
    let (mut extent, mut steps, mut left) = (1, ([0; N], 0), end);
    while let Some(axis) = left.checked_sub(1) {
        let (x, y) = strides(axis);
        let even = |step: usize, stride: usize| stride == step * extent;
        if extents[axis] == 1 {
            // One index has no stride.
        } else if extent == 1 {
            (extent, steps) = (extents[axis], (x, y));
        } else if even(steps.1, y) && steps.0.into_iter().zip(x).all(|(step, stride)| even(step, stride)) {
            extent *= extents[axis];
        } else {
            break;
        }
        left = axis;
    }
    (extent, steps, left)
}

/// Checks that the last index reached lies in a slice of `length` elements.
fn check_reach(length: usize, extents: &[usize], stride: impl Fn(usize) -> usize) -> Result<(), Error> {
    let last = (0..extents.len()).try_fold(0_usize, |last, axis| {
        (extents[axis] - 1).checked_mul(stride(axis)).and_then(|further| last.checked_add(further))
    });
    match last {
        Some(last) if last < length => Ok(()),
        _ => {
            let (expected, found) = ((1, last.map_or(usize::MAX, |last| last.saturating_add(1))), (1, length));
            Err(Error::Shape { what: "elements of an elementwise operand", expected, found })
        }
    }
}
