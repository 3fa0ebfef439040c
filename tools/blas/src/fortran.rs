//! The Fortran interface: every argument by address, matrices column-major.
//!
//! Fortran appends the lengths of the strings to the arguments. They say nothing here and are not declared, so that C
//! programs, which seldom pass them, may call these functions too.

use crate::arguments::{Position, is_transposed_letter};
use crate::dot;
use crate::gemm::{Gemm, Operand};
use crate::gemv::Gemv;
use crate::integer::Integer;
use crate::real::Real;
use crate::report;
use std::ffi::c_char;

/// # Safety
/// Every address is valid for reads, and what is read is as [`Gemm::run`] needs it.
unsafe fn gemm<T: Real, I: Integer>(
    transa: *const c_char,
    transb: *const c_char,
    m: *const I,
    n: *const I,
    k: *const I,
    alpha: *const T,
    a: *const T,
    lda: *const I,
    b: *const T,
    ldb: *const I,
    beta: *const T,
    c: *mut T,
    ldc: *const I,
) {
    let compute = || -> Result<(), Position> {
        // SAFETY: the caller's promise.
        unsafe {
            let transa = is_transposed_letter(*transa as u8).ok_or(1)?;
            let transb = is_transposed_letter(*transb as u8).ok_or(2)?;
            let a = Operand { first: a, leading: (*lda).into(), is_transposed: transa };
            let b = Operand { first: b, leading: (*ldb).into(), is_transposed: transb };
            let (m, n, k, ldc) = ((*m).into(), (*n).into(), (*k).into(), (*ldc).into());
            Gemm { m, n, k, alpha: *alpha, a, b, beta: *beta, c, ldc }.run()
        }
    };
    if let Err(position) = compute() {
        report::fortran::<I>(&T::GEMM, position);
    }
}

/// # Safety
/// Every address is valid for reads, and what is read is as [`Gemv::run`] needs it.
unsafe fn gemv<T: Real, I: Integer>(
    trans: *const c_char,
    m: *const I,
    n: *const I,
    alpha: *const T,
    a: *const T,
    lda: *const I,
    x: *const T,
    incx: *const I,
    beta: *const T,
    y: *mut T,
    incy: *const I,
) {
    let compute = || -> Result<(), Position> {
        // SAFETY: the caller's promise.
        unsafe {
            let is_transposed = is_transposed_letter(*trans as u8).ok_or(1)?;
            let (m, n, lda, incx, incy) = ((*m).into(), (*n).into(), (*lda).into(), (*incx).into(), (*incy).into());
            Gemv { is_transposed, m, n, alpha: *alpha, a, lda, x, incx, beta: *beta, y, incy }.run()
        }
    };
    if let Err(position) = compute() {
        report::fortran::<I>(&T::GEMV, position);
    }
}

/// The names of the interface for one kind of numbers and one width of integers.
macro_rules! names {
    ($real:ty, $integer:ty, $gemm:ident, $gemv:ident, $dot:ident) => {
        /// C <- alpha op(A) op(B) + beta C: xGEMM of the reference BLAS.
        ///
        /// # Safety
        /// The arguments that are not themselves wrong describe matrices that exist; C overlaps neither A nor B.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $gemm(
            transa: *const c_char,
            transb: *const c_char,
            m: *const $integer,
            n: *const $integer,
            k: *const $integer,
            alpha: *const $real,
            a: *const $real,
            lda: *const $integer,
            b: *const $real,
            ldb: *const $integer,
            beta: *const $real,
            c: *mut $real,
            ldc: *const $integer,
        ) {
            // SAFETY: the caller's promise.
            unsafe { gemm(transa, transb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc) }
        }

        /// y <- alpha op(A) x + beta y: xGEMV of the reference BLAS.
        ///
        /// # Safety
        /// The arguments that are not themselves wrong describe a matrix and vectors that exist; y overlaps neither A
        /// nor x.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $gemv(
            trans: *const c_char,
            m: *const $integer,
            n: *const $integer,
            alpha: *const $real,
            a: *const $real,
            lda: *const $integer,
            x: *const $real,
            incx: *const $integer,
            beta: *const $real,
            y: *mut $real,
            incy: *const $integer,
        ) {
            // SAFETY: the caller's promise.
            unsafe { gemv(trans, m, n, alpha, a, lda, x, incx, beta, y, incy) }
        }

        /// x' y: xDOT of the reference BLAS.
        ///
        /// # Safety
        /// x and y are vectors of n elements.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $dot(
            n: *const $integer,
            x: *const $real,
            incx: *const $integer,
            y: *const $real,
            incy: *const $integer,
        ) -> $real {
            // SAFETY: the caller's promise.
            unsafe { dot::dot((*n).into(), x, (*incx).into(), y, (*incy).into()) }
        }
    };
}

names!(f32, i32, sgemm_, sgemv_, sdot_);
names!(f64, i32, dgemm_, dgemv_, ddot_);
names!(f32, i64, scipy_sgemm_64_, scipy_sgemv_64_, scipy_sdot_64_);
names!(f64, i64, scipy_dgemm_64_, scipy_dgemv_64_, scipy_ddot_64_);
