//! What is done to the elements of C once their sums are complete, while they are near.

use crate::error::Error;
use crate::isa::{Isa, Kernel, Lanes, Scalar};
use crate::matrix::MatMut;

/// What follows a product: C <- relu(alpha A B + beta C + bias), each part of it if it is asked for.
///
/// The bits are those of the product followed by an addition and a maximum.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a, T> {
    /// What is added to each element.
    pub bias: Bias<'a, T>,
    /// Whether negative elements become zero; NaN stays.
    pub relu: bool,
}

/// What is added to the elements of C.
#[derive(Clone, Copy, Debug, Default)]
pub enum Bias<'a, T> {
    /// Nothing.
    #[default]
    None,
    /// To each element of column j, number j of as many as C has columns: the bias of a layer whose samples are rows.
    Columns(&'a [T]),
    /// To each element of row i, number i of as many as C has rows.
    Rows(&'a [T]),
}

impl<'a, T: Scalar> Epilogue<'a, T> {
    /// Checks that the bias has as many numbers as C has columns, or rows.
    pub(super) fn check(&self, (rows, cols): (usize, usize)) -> Result<(), Error> {
        let (expected, found) = match self.bias {
            Bias::None => return Ok(()),
            Bias::Columns(bias) => ((1, cols), (1, bias.len())),
            Bias::Rows(bias) => ((rows, 1), (bias.len(), 1)),
        };
        if expected == found { Ok(()) } else { Err(Error::Shape { what: "bias and C", expected, found }) }
    }

    /// Whether there is nothing to do.
    pub(super) fn is_none(&self) -> bool {
        !self.relu && matches!(self.bias, Bias::None)
    }

    /// For C with rows as columns.
    pub(super) fn transposed(self) -> Self {
        let bias = match self.bias {
            Bias::None => Bias::None,
            Bias::Columns(bias) => Bias::Rows(bias),
            Bias::Rows(bias) => Bias::Columns(bias),
        };
        Self { bias, ..self }
    }

    /// For the first `at` rows of C, and the rest.
    pub(super) fn split_rows(self, at: usize) -> (Self, Self) {
        let Bias::Rows(bias) = self.bias else {
            return (self, self);
        };
        let (top, bottom) = bias.split_at(at);
        (Self { bias: Bias::Rows(top), ..self }, Self { bias: Bias::Rows(bottom), ..self })
    }

    /// For some rows of C: the first, and how many.
    pub(super) fn rows(self, first: usize, count: usize) -> Self {
        self.split_rows(first).1.split_rows(count).0
    }

    /// For some rows and columns of C: the first, and how many.
    pub(super) fn part(self, rows: (usize, usize), cols: (usize, usize)) -> Self {
        self.rows(rows.0, rows.1).transposed().rows(cols.0, cols.1).transposed()
    }

    /// Does it to all of `c`, whose elements are complete.
    #[inline]
    pub(super) fn apply<S: Isa>(self, isa: S, mut c: MatMut<'_, T>) {
        if self.is_none() {
            return;
        }
        if c.col_stride() == 1 {
            for i in 0..c.rows() {
                let row = c.row_mut(i);
                isa.vectorize(Finish { row, epilogue: self.split_rows(i).1 });
            }
            return;
        }
        for i in 0..c.rows() {
            for j in 0..c.cols() {
                let x = c.at_mut(i, j);
                let sum = match self.bias {
                    Bias::None => *x,
                    Bias::Columns(bias) => *x + bias[j],
                    Bias::Rows(bias) => *x + bias[i],
                };
                *x = if self.relu && sum < T::ZERO { T::ZERO } else { sum };
            }
        }
    }
}

/// One row of C, the first of those that the epilogue is for.
struct Finish<'a, T> {
    row: &'a mut [T],
    epilogue: Epilogue<'a, T>,
}

impl<T: Scalar> Kernel for Finish<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let zero = T::Lanes::<S>::splat(isa, T::ZERO);
        for (v, chunk) in self.row.chunks_mut(T::Lanes::<S>::COUNT).enumerate() {
            let first = v * T::Lanes::<S>::COUNT;
            let x = T::Lanes::<S>::read(isa, chunk);
            let sum = match self.epilogue.bias {
                Bias::None => x,
                Bias::Columns(bias) => x.add(isa, T::Lanes::<S>::read(isa, &bias[first..])),
                Bias::Rows(bias) => x.add(isa, T::Lanes::<S>::splat(isa, bias[0])),
            };
            let result = if self.epilogue.relu { zero.select_greater(isa, sum, zero, sum) } else { sum };
            result.write(isa, chunk);
        }
    }
}
