//! The C interface: arguments by value, matrices in either order.
//!
//! A row-major call is the column-major call of the transposed product, as in the reference implementation, which also
//! decides which of two wrong arguments is reported.

use crate::arguments::{Position, is_row_major, is_transposed_code};
use crate::dot;
use crate::gemm::{Gemm, Operand};
use crate::gemv::Gemv;
use crate::integer::Integer;
use crate::real::Real;
use crate::report::{self, Wrong};
use std::ffi::c_int;

/// Positions of M and N, and of A's and B's leading dimensions: what [`Gemm::mirrored`] swaps.
const MIRRORED_BY_GEMM: [(Position, Position); 2] = [(4, 5), (9, 11)];
/// Positions of M and N: what [`Gemv::mirrored`] swaps.
const MIRRORED_BY_GEMV: [(Position, Position); 1] = [(3, 4)];

/// # Safety
/// If the arguments are right, they are as [`Gemm::run`] needs them.
unsafe fn gemm<T: Real, I: Integer>(
    order: c_int,
    transa: c_int,
    transb: c_int,
    m: I,
    n: I,
    k: I,
    alpha: T,
    a: *const T,
    lda: I,
    b: *const T,
    ldb: I,
    beta: T,
    c: *mut T,
    ldc: I,
) {
    let row_major = is_row_major(order);
    let compute = || -> Result<(), Position> {
        let row_major = row_major.ok_or(1)?;
        let transa = is_transposed_code(transa).ok_or(2)?;
        let transb = is_transposed_code(transb).ok_or(3)?;
        let a = Operand { first: a, leading: lda.into(), is_transposed: transa };
        let b = Operand { first: b, leading: ldb.into(), is_transposed: transb };
        let product = Gemm { m: m.into(), n: n.into(), k: k.into(), alpha, a, b, beta, c, ldc: ldc.into() };
        let product = if row_major { product.mirrored() } else { product };
        // C's list begins with one argument more than Fortran's.
        // SAFETY: the caller's promise.
        unsafe { product.run() }.map_err(|position| position + 1)
    };
    if let Err(position) = compute() {
        let wrong = Wrong { position, is_row_major: row_major == Some(true) };
        report::cblas::<I>(&T::GEMM, wrong, &MIRRORED_BY_GEMM);
    }
}

/// # Safety
/// If the arguments are right, they are as [`Gemv::run`] needs them.
unsafe fn gemv<T: Real, I: Integer>(
    order: c_int,
    trans: c_int,
    m: I,
    n: I,
    alpha: T,
    a: *const T,
    lda: I,
    x: *const T,
    incx: I,
    beta: T,
    y: *mut T,
    incy: I,
) {
    let row_major = is_row_major(order);
    let compute = || -> Result<(), Position> {
        let row_major = row_major.ok_or(1)?;
        let is_transposed = is_transposed_code(trans).ok_or(2)?;
        let (m, n, lda, incx, incy) = (m.into(), n.into(), lda.into(), incx.into(), incy.into());
        let product = Gemv { is_transposed, m, n, alpha, a, lda, x, incx, beta, y, incy };
        let product = if row_major { product.mirrored() } else { product };
        // C's list begins with one argument more than Fortran's.
        // SAFETY: the caller's promise.
        unsafe { product.run() }.map_err(|position| position + 1)
    };
    if let Err(position) = compute() {
        let wrong = Wrong { position, is_row_major: row_major == Some(true) };
        report::cblas::<I>(&T::GEMV, wrong, &MIRRORED_BY_GEMV);
    }
}

/// The names of the interface for one kind of numbers and one width of integers.
macro_rules! names {
    ($real:ty, $integer:ty, $gemm:ident, $gemv:ident, $dot:ident) => {
        /// C <- alpha op(A) op(B) + beta C: `cblas_xgemm` of the reference CBLAS.
        ///
        /// # Safety
        /// The arguments that are not themselves wrong describe matrices that exist; C overlaps neither A nor B.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $gemm(
            order: c_int,
            transa: c_int,
            transb: c_int,
            m: $integer,
            n: $integer,
            k: $integer,
            alpha: $real,
            a: *const $real,
            lda: $integer,
            b: *const $real,
            ldb: $integer,
            beta: $real,
            c: *mut $real,
            ldc: $integer,
        ) {
            // SAFETY: the caller's promise.
            unsafe { gemm(order, transa, transb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc) }
        }

        /// y <- alpha op(A) x + beta y: `cblas_xgemv` of the reference CBLAS.
        ///
        /// # Safety
        /// The arguments that are not themselves wrong describe a matrix and vectors that exist; y overlaps neither A
        /// nor x.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $gemv(
            order: c_int,
            trans: c_int,
            m: $integer,
            n: $integer,
            alpha: $real,
            a: *const $real,
            lda: $integer,
            x: *const $real,
            incx: $integer,
            beta: $real,
            y: *mut $real,
            incy: $integer,
        ) {
            // SAFETY: the caller's promise.
            unsafe { gemv(order, trans, m, n, alpha, a, lda, x, incx, beta, y, incy) }
        }

        /// x' y: `cblas_xdot` of the reference CBLAS.
        ///
        /// # Safety
        /// x and y are vectors of n elements.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $dot(
            n: $integer,
            x: *const $real,
            incx: $integer,
            y: *const $real,
            incy: $integer,
        ) -> $real {
            // SAFETY: the caller's promise.
            unsafe { dot::dot(n.into(), x, incx.into(), y, incy.into()) }
        }
    };
}

names!(f32, i32, cblas_sgemm, cblas_sgemv, cblas_sdot);
names!(f64, i32, cblas_dgemm, cblas_dgemv, cblas_ddot);
names!(f32, i64, scipy_cblas_sgemm64_, scipy_cblas_sgemv64_, scipy_cblas_sdot64_);
names!(f64, i64, scipy_cblas_dgemm64_, scipy_cblas_dgemv64_, scipy_cblas_ddot64_);
