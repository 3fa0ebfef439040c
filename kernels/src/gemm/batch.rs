//! Many products of one shape.

use super::epilogue::Epilogue;
use super::path::WORTH_A_THREAD;
use super::{Gemm, Operands, check};
use crate::dispatch;
use crate::error::Error;
use crate::isa::{Isa, Kernel, Scalar};
use crate::matrix::{MatMut, MatRef};
use crate::parallel::{self, Divide, Grain};

/// Matrices of one shape to read, some stride apart; with stride 0 the same one each time.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a, T> {
    data: &'a [T],
    places: Places,
}

/// Matrices of one shape to write, some stride apart; no two share an element.
#[derive(Debug)]
pub struct BatchMut<'a, T> {
    data: &'a mut [T],
    places: Places,
}

/// Where the matrices of a batch lie in a slice: number i from `i stride` on.
#[derive(Clone, Copy, Debug)]
struct Places {
    count: usize,
    shape: (usize, usize),
    /// From a row to the next, and from a column to the next.
    strides: (isize, isize),
    stride: usize,
}

impl Places {
    /// Elements from a matrix's first to behind its last: its rows and columns have no negative strides.
    fn span(&self) -> usize {
        let (rows, cols) = self.shape;
        if rows == 0 || cols == 0 {
            return 0;
        }
        let reach = |extent: usize, stride: isize| (extent - 1).saturating_mul(stride.unsigned_abs());
        reach(rows, self.strides.0).saturating_add(reach(cols, self.strides.1)).saturating_add(1)
    }

    fn check(&self, length: usize) -> Result<(), Error> {
        let error = Error::OutOfBounds { shape: self.shape, strides: self.strides, length, offset: self.last() };
        let fits = self.count == 0 || self.last().checked_add(self.span()).is_some_and(|end| end <= length);
        if fits && self.strides.0 >= 0 && self.strides.1 >= 0 { Ok(()) } else { Err(error) }
    }

    /// Where the last matrix starts.
    fn last(&self) -> usize {
        self.count.saturating_sub(1).saturating_mul(self.stride)
    }
}

impl<'a, T: Scalar> Batch<'a, T> {
    /// `count` row-major matrices of `rows` x `cols` elements, one after the other.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] if `data` is shorter.
    pub fn row_major(data: &'a [T], count: usize, rows: usize, cols: usize) -> Result<Self, Error> {
        Self::with_strides(data, count, (rows, cols), (cols as isize, 1), rows.saturating_mul(cols))
    }

    /// `count` matrices of `shape`, element (i, j) of number b at `b stride + i strides.0 + j strides.1`.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] if any element lies outside `data`, or a stride is negative.
    pub fn with_strides(
        data: &'a [T],
        count: usize,
        shape: (usize, usize),
        strides: (isize, isize),
        stride: usize,
    ) -> Result<Self, Error> {
        let places = Places { count, shape, strides, stride };
        places.check(data.len())?;
        if count > 0 {
            MatRef::with_strides(data, 0, shape.0, shape.1, strides.0, strides.1)?;
        }
        Ok(Self { data, places })
    }

    /// Number of matrices.
    pub fn count(&self) -> usize {
        self.places.count
    }

    fn matrix(&self, index: usize) -> MatRef<'a, T> {
        let Places { shape, strides, stride, .. } = self.places;
        MatRef::with_strides(self.data, index * stride, shape.0, shape.1, strides.0, strides.1)
            .expect("every matrix of a batch was checked")
    }
}

impl<'a, T: Scalar> BatchMut<'a, T> {
    /// `count` row-major matrices of `rows` x `cols` elements, one after the other.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] if `data` is shorter.
    pub fn row_major(data: &'a mut [T], count: usize, rows: usize, cols: usize) -> Result<Self, Error> {
        Self::with_strides(data, count, (rows, cols), (cols as isize, 1), rows.saturating_mul(cols))
    }

    /// `count` matrices of `shape`, element (i, j) of number b at `b stride + i strides.0 + j strides.1`.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] if any element lies outside `data`, or a stride is negative; [`Error::Overlap`] if two elements of a
    /// matrix lie at one place, or a matrix begins before the one before it ends.
    pub fn with_strides(
        data: &'a mut [T],
        count: usize,
        shape: (usize, usize),
        strides: (isize, isize),
        stride: usize,
    ) -> Result<Self, Error> {
        let places = Places { count, shape, strides, stride };
        places.check(data.len())?;
        if count > 0 {
            MatMut::with_strides(data, 0, shape.0, shape.1, strides.0, strides.1)?;
        }
        if count > 1 && stride < places.span() {
            return Err(Error::Overlap { shape, strides });
        }
        // Where there is no next one, it may be said to be anywhere.
        let places = Places { stride: stride.max(places.span()), ..places };
        Ok(Self { data, places })
    }

    /// The first `at` matrices, and the rest.
    fn split(self, at: usize) -> (Self, Self) {
        let (left, right) = self.data.split_at_mut((at * self.places.stride).min(self.data.len()));
        let places = |count| Places { count, ..self.places };
        let (left_places, right_places) = (places(at), places(self.places.count - at));
        (Self { data: left, places: left_places }, Self { data: right, places: right_places })
    }
}

/// C_b <- alpha A_b B_b + beta C_b for each number b of a batch; see [`gemm`](super::gemm()).
///
/// Threads share the products, or, where those are few and large, the work of each. Each has the bits that it has alone.
///
/// # Errors
/// [`Error::Shape`] if the extents or the counts do not agree, and those of [`dispatch::level`]. C is unchanged then.
#[inline(never)]
pub fn gemm_batch<T: Scalar>(
    alpha: T,
    a: Batch<'_, T>,
    b: Batch<'_, T>,
    beta: T,
    c: BatchMut<'_, T>,
) -> Result<(), Error> {
    check(a.places.shape, b.places.shape, c.places.shape)?;
    for (what, found) in [("matrices of A and of C", a.count()), ("matrices of B and of C", b.count())] {
        if found != c.places.count {
            return Err(Error::Shape { what, expected: (c.places.count, 1), found: (found, 1) });
        }
    }
    dispatch::dispatch(Products { alpha, a, b, beta, c })
}

struct Products<'a, T> {
    alpha: T,
    a: Batch<'a, T>,
    b: Batch<'a, T>,
    beta: T,
    c: BatchMut<'a, T>,
}

impl<T: Scalar> Kernel for Products<'_, T> {
    type Output = ();

    fn run<S: Isa>(self, isa: S) {
        let ((m, k), n) = (self.a.places.shape, self.b.places.shape.1);
        let each = m.saturating_mul(k).saturating_mul(n).max(1);
        parallel::divide(Part { isa, products: self, first: 0 }, Grain::of(each, WORTH_A_THREAD));
    }
}

/// The products from number `first` of A and B on: as many as there are matrices of C.
struct Part<'a, S, T> {
    isa: S,
    products: Products<'a, T>,
    first: usize,
}

impl<S: Isa, T: Scalar> Divide for Part<'_, S, T> {
    fn length(&self) -> usize {
        self.products.c.places.count
    }

    fn split(self, at: usize) -> (Self, Self) {
        let Products { alpha, a, b, beta, c } = self.products;
        let (left, right) = c.split(at);
        let part = |c, first| Self { isa: self.isa, products: Products { alpha, a, b, beta, c }, first };
        (part(left, self.first), part(right, self.first + at))
    }

    fn run(self) {
        let Products { alpha, a, b, beta, mut c } = self.products;
        // There may be any number of empty ones.
        if c.places.span() == 0 {
            return;
        }
        for index in self.first.. {
            if c.places.count == 0 {
                break;
            }
            let (one, rest) = c.split(1);
            let Places { shape, strides, .. } = one.places;
            let target = MatMut::with_strides(one.data, 0, shape.0, shape.1, strides.0, strides.1)
                .expect("every matrix of a batch was checked");
            let (a, b, epilogue) = (a.matrix(index), b.matrix(index), Epilogue::default());
            let operands = Operands { alpha, a, b, beta, c: target, epilogue };
            Gemm { operands, limits: None }.run(self.isa);
            c = rest;
        }
    }
}
