//! x' y.

use crate::arguments::first_element;
use crate::real::Real;

/// The sum of the products of `n` elements of x and y: 0 if `n` is not positive. No argument is wrong.
///
/// # Safety
/// x and y are vectors of `n` elements that nobody writes meanwhile.
pub(crate) unsafe fn dot<T: Real>(n: i64, x: *const T, incx: i64, y: *const T, incy: i64) -> T {
    if n <= 0 {
        return T::ZERO;
    }
    let (x, y) = (first_element(x, n, incx), first_element(y, n, incy));
    let mut sum = T::ZERO;
    // SAFETY: the caller's promise; `sum` is this function's alone.
    unsafe {
        let (incx, incy) = (incx as isize, incy as isize);
        T::PRODUCT(1, n as usize, 1, T::ONE, x, 0, incx, y, incy, 0, T::ZERO, &raw mut sum, 0, 0);
    }
    sum
}
