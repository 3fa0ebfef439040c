//! Complex products, made of real ones.
//!
//! The real and the imaginary parts of an interleaved matrix are two real matrices of twice its strides. Four real products
//! make Re(A B) = Re A Re B - Im A Im B and Im(A B) = Re A Im B + Im A Re B in scratch of C's size; one pass over C
//! does the rest.

use lanegrad_kernels::isa::Scalar;

#[allow(non_camel_case_types)]
type c32 = [f32; 2];
#[allow(non_camel_case_types)]
type c64 = [f64; 2];

/// How an operand of a complex product is read.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub enum CGemmOption {
    /// As it is.
    Standard,
}

/// C <- alpha A B + beta C on complex `f32`: [real part, imaginary part].
///
/// Strides count complex elements; all else as [`sgemm`](crate::sgemm).
///
/// # Safety
/// As [`sgemm`](crate::sgemm).
#[allow(clippy::too_many_arguments)]
pub unsafe fn cgemm(
    flaga: CGemmOption,
    flagb: CGemmOption,
    m: usize,
    k: usize,
    n: usize,
    alpha: c32,
    a: *const c32,
    rsa: isize,
    csa: isize,
    b: *const c32,
    rsb: isize,
    csb: isize,
    beta: c32,
    c: *mut c32,
    rsc: isize,
    csc: isize,
) {
    let (CGemmOption::Standard, CGemmOption::Standard) = (flaga, flagb);
    let a = Matrix { first: a, rows: m, cols: k, row_stride: rsa, col_stride: csa };
    let b = Matrix { first: b, rows: k, cols: n, row_stride: rsb, col_stride: csb };
    let c = Matrix { first: c, rows: m, cols: n, row_stride: rsc, col_stride: csc };
    // SAFETY: the caller's promises are those that `multiply` needs.
    unsafe { multiply(crate::sgemm, alpha, a, b, beta, c) }
}

/// C <- alpha A B + beta C on complex `f64`; all else as [`cgemm`].
///
/// # Safety
/// As [`sgemm`](crate::sgemm).
#[allow(clippy::too_many_arguments)]
pub unsafe fn zgemm(
    flaga: CGemmOption,
    flagb: CGemmOption,
    m: usize,
    k: usize,
    n: usize,
    alpha: c64,
    a: *const c64,
    rsa: isize,
    csa: isize,
    b: *const c64,
    rsb: isize,
    csb: isize,
    beta: c64,
    c: *mut c64,
    rsc: isize,
    csc: isize,
) {
    let (CGemmOption::Standard, CGemmOption::Standard) = (flaga, flagb);
    let a = Matrix { first: a, rows: m, cols: k, row_stride: rsa, col_stride: csa };
    let b = Matrix { first: b, rows: k, cols: n, row_stride: rsb, col_stride: csb };
    let c = Matrix { first: c, rows: m, cols: n, row_stride: rsc, col_stride: csc };
    // SAFETY: the caller's promises are those that `multiply` needs.
    unsafe { multiply(crate::dgemm, alpha, a, b, beta, c) }
}

/// A matrix behind a pointer to complex elements.
#[derive(Clone, Copy)]
struct Matrix<P> {
    first: P,
    rows: usize,
    cols: usize,
    row_stride: isize,
    col_stride: isize,
}

impl<P> Matrix<P> {
    /// The same elements, rows as columns.
    fn transposed(self) -> Self {
        Self {
            first: self.first,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }

    /// Elements from the first one to element (`row`, `col`).
    fn distance(&self, row: usize, col: usize) -> isize {
        (row as isize).wrapping_mul(self.row_stride).wrapping_add((col as isize).wrapping_mul(self.col_stride))
    }
}

impl<T: Scalar> Matrix<*const [T; 2]> {
    /// The real parts, a matrix of real elements.
    fn real(self) -> Matrix<*const T> {
        Matrix {
            first: self.first.cast(),
            rows: self.rows,
            cols: self.cols,
            // They wrap only where there are no two rows or columns that far apart.
            row_stride: self.row_stride.wrapping_mul(2),
            col_stride: self.col_stride.wrapping_mul(2),
        }
    }

    /// The imaginary parts, a matrix of real elements.
    fn imaginary(self) -> Matrix<*const T> {
        let real = self.real();
        Matrix { first: real.first.wrapping_add(1), ..real }
    }
}

/// [`sgemm`](crate::sgemm) or [`dgemm`](crate::dgemm).
type RealProduct<T> =
    unsafe fn(usize, usize, usize, T, *const T, isize, isize, *const T, isize, isize, T, *mut T, isize, isize);

/// C <- alpha A B + beta C for complex elements.
///
/// # Safety
/// The pointers and strides of A, B and C are as [`sgemm`](crate::sgemm) asks, and their extents agree.
unsafe fn multiply<T: Scalar>(
    gemm: RealProduct<T>,
    alpha: [T; 2],
    a: Matrix<*const [T; 2]>,
    b: Matrix<*const [T; 2]>,
    beta: [T; 2],
    c: Matrix<*mut [T; 2]>,
) {
    if c.rows == 0 || c.cols == 0 {
        return;
    }
    if c.row_stride.unsigned_abs() < c.col_stride.unsigned_abs() {
        // C' = B' A', whose rows are the closer ones.
        // SAFETY: the same elements.
        return unsafe { multiply(gemm, alpha, b.transposed(), a.transposed(), beta, c.transposed()) };
    }
    if a.cols == 0 || alpha == [T::ZERO; 2] {
        // SAFETY: the caller's promise.
        return unsafe { update(beta, c, |_, _| [T::ZERO; 2]) };
    }
    let mut scratch = vec![T::ZERO; 2 * c.rows * c.cols];
    let (real, imaginary) = scratch.split_at_mut(c.rows * c.cols);
    // SAFETY: the caller's promise for A and B; each half of the scratch has C's extents, row by row.
    unsafe {
        accumulate(gemm, T::ONE, a.real(), b.real(), T::ZERO, real);
        accumulate(gemm, -T::ONE, a.imaginary(), b.imaginary(), T::ONE, real);
        accumulate(gemm, T::ONE, a.real(), b.imaginary(), T::ZERO, imaginary);
        accumulate(gemm, T::ONE, a.imaginary(), b.real(), T::ONE, imaginary);
    }
    // SAFETY: the caller's promise.
    unsafe {
        update(beta, c, |row, col| {
            let at = row * c.cols + col;
            times(alpha, [real[at], imaginary[at]])
        });
    }
}

/// sum <- sign A B + keep sum, for a row-major `sum`.
///
/// # Safety
/// Every element of A and B is readable; their extents agree with each other and with the length of `sum`.
unsafe fn accumulate<T: Scalar>(
    gemm: RealProduct<T>,
    sign: T,
    a: Matrix<*const T>,
    b: Matrix<*const T>,
    keep: T,
    sum: &mut [T],
) {
    let (m, k, n) = (a.rows, a.cols, b.cols);
    let (a, rsa, csa) = (a.first, a.row_stride, a.col_stride);
    let (b, rsb, csb) = (b.first, b.row_stride, b.col_stride);
    // SAFETY: the caller's promise; `sum` has m rows of n elements and is borrowed exclusively.
    unsafe { gemm(m, k, n, sign, a, rsa, csa, b, rsb, csb, keep, sum.as_mut_ptr(), n as isize, 1) }
}

/// C <- product + beta C, element by element; C is not read if `beta` is zero.
///
/// # Safety
/// Every element of C is writable, and readable and initialised unless `beta` is zero.
unsafe fn update<T: Scalar>(beta: [T; 2], c: Matrix<*mut [T; 2]>, product: impl Fn(usize, usize) -> [T; 2]) {
    for row in 0..c.rows {
        for col in 0..c.cols {
            let (new, target) = (product(row, col), c.first.wrapping_offset(c.distance(row, col)));
            // SAFETY: the caller's promise. There is no reference to the element, which may be uninitialised.
            unsafe {
                target.write(if beta == [T::ZERO; 2] { new } else { plus(new, times(beta, target.read())) });
            }
        }
    }
}

fn plus<T: Scalar>(x: [T; 2], y: [T; 2]) -> [T; 2] {
    [x[0] + y[0], x[1] + y[1]]
}

fn times<T: Scalar>(x: [T; 2], y: [T; 2]) -> [T; 2] {
    [x[0] * y[0] - x[1] * y[1], x[1] * y[0] + x[0] * y[1]]
}
