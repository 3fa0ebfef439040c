//! Matrices of any layout, and the plain loop that judges products of them.
#![allow(dead_code)] // Each test binary uses a part.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A complex number of the plain loop; real elements have no imaginary part.
pub type Complex = [f64; 2];

/// What products are made of: `f32`, `f64` and pairs of them.
pub trait Element: Copy {
    /// Spacing of the numbers above 1.
    const EPSILON: f64;
    fn from_complex(value: Complex) -> Self;
    fn to_complex(self) -> Complex;
    /// C <- alpha A B + beta C by the package.
    ///
    /// # Safety
    /// As `matrixmultiply::sgemm`.
    unsafe fn multiply(alpha: Self, a: &Matrix<Self>, b: &Matrix<Self>, beta: Self, c: &mut Matrix<Self>);
}

/// How a matrix lies in memory.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub column_major: bool,
    /// Elements from one to the next in a line (a row, or a column if column-major).
    pub step: usize,
    /// Elements between the end of a line and the start of the next.
    pub gap: usize,
    /// Whether the rows, and the columns, run backwards.
    pub reversed: [bool; 2],
}

impl Layout {
    pub const ROWS: Self = Self { column_major: false, step: 1, gap: 0, reversed: [false; 2] };

    /// The `index`-th of the sixteen: dense or padded lines and elements, forwards or backwards rows and columns.
    pub fn numbered(column_major: bool, index: usize) -> Self {
        let bit = |place: usize| index >> place & 1 == 1;
        Self { column_major, step: 1 + index % 2, gap: 3 * usize::from(bit(1)), reversed: [bit(2), bit(3)] }
    }
}

/// A matrix in memory of its own, with room around its elements.
#[derive(Clone, Debug)]
pub struct Matrix<T> {
    pub memory: Vec<T>,
    pub offset: usize,
    pub rows: usize,
    pub cols: usize,
    pub row_stride: isize,
    pub col_stride: isize,
}

impl<T: Element> Matrix<T> {
    /// Numbers in [-1, 1), and NaN in the room between the elements.
    pub fn random(seed: u64, rows: usize, cols: usize, layout: Layout) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut matrix = Self::filled([f64::NAN; 2], rows, cols, layout);
        for row in 0..rows {
            for col in 0..cols {
                let at = matrix.index(row, col);
                matrix.memory[at] = T::from_complex([random.random_range(-1.0..1.0), random.random_range(-1.0..1.0)]);
            }
        }
        matrix
    }

    /// `value` in every element, and in the room between them.
    pub fn filled(value: Complex, rows: usize, cols: usize, layout: Layout) -> Self {
        let Layout { column_major, step, gap, reversed } = layout;
        let (lines, length) = if column_major { (cols, rows) } else { (rows, cols) };
        let between = (length * step + gap) as isize;
        let (mut row_stride, mut col_stride) =
            if column_major { (step as isize, between) } else { (between, step as isize) };
        let mut offset = 1;
        if reversed[0] {
            offset += row_stride as usize * rows.saturating_sub(1);
            row_stride = -row_stride;
        }
        if reversed[1] {
            offset += col_stride as usize * cols.saturating_sub(1);
            col_stride = -col_stride;
        }
        let memory = vec![T::from_complex(value); lines.max(1) * between as usize + 2];
        Self { memory, offset, rows, cols, row_stride, col_stride }
    }

    pub fn index(&self, row: usize, col: usize) -> usize {
        let distance = row as isize * self.row_stride + col as isize * self.col_stride;
        usize::try_from(self.offset as isize + distance).unwrap()
    }

    pub fn at(&self, row: usize, col: usize) -> Complex {
        self.memory[self.index(row, col)].to_complex()
    }

    pub fn first(&self) -> *const T {
        self.memory[self.offset..].as_ptr()
    }

    pub fn first_mut(&mut self) -> *mut T {
        self.memory[self.offset..].as_mut_ptr()
    }

    /// How many numbers of the memory are not NaN.
    fn numbers(&self) -> usize {
        self.memory.iter().filter(|element| !element.to_complex()[0].is_nan()).count()
    }
}

/// Computes C <- alpha A B + beta C and compares each element with the plain loop.
///
/// C starts as NaN if `beta` is zero, and the room between its elements must stay NaN. The bound is that of a sum of k + 4
/// rounded terms, which holds for complex elements too if each term's magnitude counts twice.
pub fn check<T: Element>(shape: [usize; 3], layouts: [Layout; 3], alpha: Complex, beta: Complex) {
    let [m, k, n] = shape;
    let (a, b) = (Matrix::<T>::random(1, m, k, layouts[0]), Matrix::<T>::random(2, k, n, layouts[1]));
    let before = match beta {
        [0.0, 0.0] => Matrix::<T>::filled([f64::NAN; 2], m, n, layouts[2]),
        _ => Matrix::<T>::random(3, m, n, layouts[2]),
    };
    let mut after = before.clone();
    // SAFETY: the matrices have these extents and lie in memory of their own.
    unsafe { T::multiply(T::from_complex(alpha), &a, &b, T::from_complex(beta), &mut after) };
    for row in 0..m {
        for col in 0..n {
            let mut sum = [0.0; 2];
            let mut magnitude = 0.0;
            for p in 0..k {
                let (x, y) = (a.at(row, p), b.at(p, col));
                sum = plus(sum, times(x, y));
                magnitude += norm(x) * norm(y);
            }
            let mut wanted = times(alpha, sum);
            magnitude *= norm(alpha);
            if beta != [0.0; 2] {
                wanted = plus(wanted, times(beta, before.at(row, col)));
                magnitude += norm(beta) * norm(before.at(row, col));
            }
            let found = after.at(row, col);
            let bound = (k + 4) as f64 * T::EPSILON * 2.0 * magnitude;
            assert!(
                norm(plus(found, times([-1.0, 0.0], wanted))) <= bound,
                "{shape:?} {layouts:?} alpha {alpha:?} beta {beta:?} at ({row}, {col}): {found:?} for {wanted:?}"
            );
        }
    }
    assert_eq!(after.numbers(), m * n, "{shape:?} {layouts:?}: wrote outside C");
}

/// Every m, k, n up to 20 in every order of A, B and C, with all sixteen paddings and directions of each in turn.
pub fn check_small<T: Element>(scales: &[[Complex; 2]]) {
    let mut turn = 0;
    for m in 0..=20 {
        for k in 0..=20 {
            for n in 0..=20 {
                for orders in 0..8 {
                    let column_major = |operand: usize| orders >> operand & 1 == 1;
                    // Periods that share no factor, so that all combinations come up.
                    let layouts = [turn % 16, turn / 3 % 16, turn / 5 % 16];
                    let layouts = [0, 1, 2].map(|i| Layout::numbered(column_major(i), layouts[i]));
                    let [alpha, beta] = scales[turn / 7 % scales.len()];
                    check::<T>([m, k, n], layouts, alpha, beta);
                    turn += 1;
                }
            }
        }
    }
}

/// Sizes beyond a block of the kernels, and narrow ones, in every order.
pub fn check_larger<T: Element>(alpha: Complex, beta: Complex) {
    let shapes =
        [[65, 129, 33], [130, 257, 140], [256, 300, 10], [10, 300, 256], [1, 700, 3], [70, 1, 90], [33, 1500, 17]];
    for (turn, shape) in shapes.into_iter().enumerate() {
        for orders in 0..8 {
            for padding in [0, 1 + (turn + orders) % 15] {
                let layouts = [0, 1, 2].map(|i| Layout::numbered(orders >> i & 1 == 1, padding * (i + 1) % 16));
                check::<T>(shape, layouts, alpha, beta);
            }
        }
    }
}

pub fn plus(x: Complex, y: Complex) -> Complex {
    [x[0] + y[0], x[1] + y[1]]
}

pub fn times(x: Complex, y: Complex) -> Complex {
    [x[0] * y[0] - x[1] * y[1], x[1] * y[0] + x[0] * y[1]]
}

/// The sum of the parts' magnitudes.
pub fn norm(x: Complex) -> f64 {
    x[0].abs() + x[1].abs()
}

/// Calls one of the package's functions on matrices.
macro_rules! product {
    ($gemm:expr $(, $option:expr)*; $alpha:expr, $a:expr, $b:expr, $beta:expr, $c:expr) => {
        $gemm(
            $($option,)*
            $a.rows, $a.cols, $b.cols,
            $alpha,
            $a.first(), $a.row_stride, $a.col_stride,
            $b.first(), $b.row_stride, $b.col_stride,
            $beta,
            $c.first_mut(), $c.row_stride, $c.col_stride,
        )
    };
}

impl Element for f32 {
    const EPSILON: f64 = f32::EPSILON as f64;
    fn from_complex(value: Complex) -> Self {
        value[0] as Self
    }
    fn to_complex(self) -> Complex {
        [self.into(), 0.0]
    }
    unsafe fn multiply(alpha: Self, a: &Matrix<Self>, b: &Matrix<Self>, beta: Self, c: &mut Matrix<Self>) {
        // SAFETY: the caller's promise.
        unsafe { product!(matrixmultiply::sgemm; alpha, a, b, beta, c) }
    }
}

impl Element for f64 {
    const EPSILON: f64 = f64::EPSILON;
    fn from_complex(value: Complex) -> Self {
        value[0]
    }
    fn to_complex(self) -> Complex {
        [self, 0.0]
    }
    unsafe fn multiply(alpha: Self, a: &Matrix<Self>, b: &Matrix<Self>, beta: Self, c: &mut Matrix<Self>) {
        // SAFETY: the caller's promise.
        unsafe { product!(matrixmultiply::dgemm; alpha, a, b, beta, c) }
    }
}

impl Element for [f32; 2] {
    const EPSILON: f64 = f32::EPSILON as f64;
    fn from_complex(value: Complex) -> Self {
        value.map(|part| part as f32)
    }
    fn to_complex(self) -> Complex {
        self.map(f64::from)
    }
    unsafe fn multiply(alpha: Self, a: &Matrix<Self>, b: &Matrix<Self>, beta: Self, c: &mut Matrix<Self>) {
        use matrixmultiply::{CGemmOption::Standard, cgemm};
        // SAFETY: the caller's promise.
        unsafe { product!(cgemm, Standard, Standard; alpha, a, b, beta, c) }
    }
}

impl Element for [f64; 2] {
    const EPSILON: f64 = f64::EPSILON;
    fn from_complex(value: Complex) -> Self {
        value
    }
    fn to_complex(self) -> Complex {
        self
    }
    unsafe fn multiply(alpha: Self, a: &Matrix<Self>, b: &Matrix<Self>, beta: Self, c: &mut Matrix<Self>) {
        use matrixmultiply::{CGemmOption::Standard, zgemm};
        // SAFETY: the caller's promise.
        unsafe { product!(zgemm, Standard, Standard; alpha, a, b, beta, c) }
    }
}
