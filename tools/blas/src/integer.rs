//! The two widths of BLAS's integers.

use std::ffi::CStr;

/// An integer of an interface, and that interface's error handlers.
pub(crate) trait Integer: Copy + Into<i64> + From<u8> {
    /// The handler for Fortran's routines: `void xerbla_(const char *name, const I *position, size_t length)`.
    const XERBLA: &'static CStr;
    /// The handler for C's routines: `void cblas_xerbla(I position, const char *name, const char *format, ...)`.
    const CBLAS_XERBLA: &'static CStr;
}

impl Integer for i32 {
    const XERBLA: &'static CStr = c"xerbla_";
    const CBLAS_XERBLA: &'static CStr = c"cblas_xerbla";
}

impl Integer for i64 {
    const XERBLA: &'static CStr = c"scipy_xerbla_64_";
    const CBLAS_XERBLA: &'static CStr = c"scipy_cblas_xerbla64_";
}
