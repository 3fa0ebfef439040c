//! Shapes, and operands of a shape.

use clap::ValueEnum;
use lanegrad_kernels::aligned::AlignedVec;
use lanegrad_kernels::isa::Scalar;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The largest extent of a shape: up to this depth the sums of [`Product::integers`] are exact.
pub const LARGEST: usize = 1 << 20;

/// C (m x n) <- A (m x k) B (k x n).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows of A and C.
    pub m: usize,
    /// Columns of A, rows of B: the depth.
    pub k: usize,
    /// Columns of B and C.
    pub n: usize,
}

impl Shape {
    /// Three equal extents.
    pub const fn cube(n: usize) -> Self {
        Self { m: n, k: n, n }
    }

    /// Floating-point operations of the product: two a multiply-add.
    pub fn operations(self) -> f64 {
        2.0 * self.m as f64 * self.k as f64 * self.n as f64
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&format!("{}x{}x{}", self.m, self.k, self.n))
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let extents: Option<Vec<usize>> = text.split('x').map(|extent| extent.parse().ok()).collect();
        match extents.as_deref() {
            Some(&[m, k, n]) if [m, k, n].iter().all(|extent| (1..=LARGEST).contains(extent)) => Ok(Self { m, k, n }),
            _ => Err(format!("a shape is MxKxN, each from 1 to {LARGEST}, as in 256x3072x10")),
        }
    }
}

/// How A and B are stored, in BLAS's letters: row-major (n), or as a row-major transpose (t).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Both row-major.
    #[default]
    Nn,
    /// B transposed, as the weights of a linear layer often are.
    Nt,
    /// A transposed, as in the gradient of such weights.
    Tn,
    /// Both transposed.
    Tt,
}

impl Layout {
    /// Whether A, and whether B is stored as its transpose.
    pub fn is_transposed(self) -> [bool; 2] {
        [matches!(self, Self::Tn | Self::Tt), matches!(self, Self::Nt | Self::Tt)]
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = |is_transposed| if is_transposed { 't' } else { 'n' };
        let [a, b] = self.is_transposed().map(letter);
        write!(formatter, "{a}{b}")
    }
}

/// A or B: all of `data`, row by row or, if it is transposed, column by column.
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a, T> {
    /// The elements.
    pub data: &'a [T],
    /// Its rows.
    pub rows: usize,
    /// Its columns.
    pub cols: usize,
    /// Whether its columns are what lies together.
    pub is_transposed: bool,
}

impl<T> Operand<'_, T> {
    /// Elements from one row, or column of a transposed one, to the next.
    pub fn leading(&self) -> usize {
        if self.is_transposed { self.rows } else { self.cols }
    }

    /// Elements from one row to the next, and from one column to the next.
    pub fn strides(&self) -> [isize; 2] {
        let leading = self.leading() as isize;
        if self.is_transposed { [1, leading] } else { [leading, 1] }
    }

    /// The element at a place.
    pub fn at(&self, row: usize, col: usize) -> &T {
        let [row_stride, col_stride] = self.strides().map(isize::unsigned_abs);
        &self.data[row * row_stride + col * col_stride]
    }
}

/// Operands of one product, each on a cache line, C row-major. Their lengths are those of the shape.
#[derive(Debug)]
pub struct Product<T> {
    shape: Shape,
    layout: Layout,
    a: AlignedVec<T>,
    b: AlignedVec<T>,
    c: AlignedVec<T>,
}

impl<T: Scalar> Product<T> {
    /// Operands uniform in -1..1: what is timed.
    pub fn uniform(shape: Shape, layout: Layout) -> Self {
        let mut generator = Xoshiro256PlusPlus::seed_from_u64(1);
        Self::new(shape, layout, || T::from_f64(generator.random_range(-1.0..1.0)))
    }

    /// Operands that are whole numbers from -4 to 4: what is compared.
    ///
    /// Every product is at most 16 and every partial sum, in whatever order, a whole number of at most 16 k. Up to k =
    /// 2^20 = [`LARGEST`] that is at most 2^24, which `f32` holds exactly: there is no rounding, and right results are
    /// equal.
    pub fn integers(shape: Shape, layout: Layout) -> Self {
        let mut generator = Xoshiro256PlusPlus::seed_from_u64(2);
        Self::new(shape, layout, || T::from_f64(f64::from(generator.random_range(-4..=4))))
    }

    fn new(shape: Shape, layout: Layout, mut draw: impl FnMut() -> T) -> Self {
        let mut filled = |length| {
            let mut data = AlignedVec::zeroed(length);
            data.fill_with(&mut draw);
            data
        };
        let Shape { m, k, n } = shape;
        Self { shape, layout, a: filled(m * k), b: filled(k * n), c: AlignedVec::zeroed(m * n) }
    }

    /// The extents.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// A (m x k), B (k x n) and C (m x n), which is row-major.
    pub fn operands(&mut self) -> (Operand<'_, T>, Operand<'_, T>, &mut [T]) {
        let Shape { m, k, n } = self.shape;
        let [a_is_transposed, b_is_transposed] = self.layout.is_transposed();
        let a = Operand { data: &self.a, rows: m, cols: k, is_transposed: a_is_transposed };
        let b = Operand { data: &self.b, rows: k, cols: n, is_transposed: b_is_transposed };
        (a, b, &mut self.c)
    }

    /// C, made not-a-number everywhere, so that what is not written shows.
    pub fn spoil(&mut self) {
        self.c.fill(T::from_f64(f64::NAN));
    }

    /// The first element of C that differs from `expected`: row, column, value there, value expected.
    pub fn difference(&self, expected: &[T]) -> Option<(usize, usize, T, T)> {
        let at = self.c.iter().zip(expected).position(|(found, expected)| found != expected)?;
        Some((at / self.shape.n, at % self.shape.n, self.c[at], expected[at]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read_as_they_are_printed_and_anything_else_is_refused() {
        let shape = Shape { m: 256, k: 3072, n: 10 };
        assert_eq!(shape.to_string().parse(), Ok(shape));
        for text in ["", "256", "256x10", "0x1x1", "1x1x1x1", "1x-1x1", "1xax1", "1x1048577x1"] {
            assert!(text.parse::<Shape>().is_err(), "{text}");
        }
    }

    #[test]
    fn layouts_are_written_in_blas_letters() {
        let layouts = Layout::value_variants();
        let names = layouts.iter().map(|layout| layout.to_possible_value().map(|value| value.get_name().to_string()));
        assert!(names.eq(layouts.iter().map(|layout| Some(layout.to_string()))));
        assert_eq!(layouts[1].to_string(), "nt");
    }

    #[test]
    fn a_transposed_operand_lies_column_by_column() {
        let data = [1, 2, 3, 4, 5, 6];
        let as_it_is = Operand { data: &data, rows: 2, cols: 3, is_transposed: false };
        let transposed = Operand { is_transposed: true, ..as_it_is };
        assert_eq!((as_it_is.at(1, 0), transposed.at(1, 0)), (&4, &2));
        assert_eq!((as_it_is.leading(), transposed.leading()), (3, 2));
    }

    #[test]
    fn an_element_that_is_not_written_is_a_difference() {
        let mut product = Product::<f32>::integers(Shape { m: 2, k: 3, n: 4 }, Layout::Nn);
        assert_eq!(product.difference(&[0.0; 8]), None);
        product.c[6] = 1.0;
        assert_eq!(product.difference(&[0.0; 8]), Some((1, 2, 1.0, 0.0)));
        product.spoil();
        assert!(product.difference(&[0.0; 8]).is_some());
    }
}
