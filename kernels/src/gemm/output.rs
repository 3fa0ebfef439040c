//! What is written to C, which may be uninitialised where `beta` is zero and is not read then.

use super::transpose::{Ahead, transpose};
use crate::isa::{Isa, Lanes, Scalar};
use crate::matrix::{MatMut, MatRef};

/// C <- beta C, without reading C if beta is zero.
///
/// Not `0 + beta C`, which would make a 0 of a -0.
pub(super) fn scale<T: Scalar>(beta: T, c: MatMut<'_, T>) {
    if beta == T::ONE {
        return;
    }
    let is_upright = c.row_stride().unsigned_abs() < c.col_stride().unsigned_abs();
    let c = if is_upright { c.transposed() } else { c };
    for i in 0..c.rows() {
        for j in 0..c.cols() {
            let target = c.element(i, j);
            // SAFETY: the element exists. It may be uninitialised if `beta` is zero, so there must be no reference to it, and
            // it is not read then.
            unsafe { target.write(if beta == T::ZERO { T::ZERO } else { beta * target.read() }) };
        }
    }
}

/// target <- sum + beta target, without reading it if beta is zero.
///
/// # Safety
/// `target` is valid for writes, and for reads unless `beta` is zero.
pub(super) unsafe fn write_scaled<T: Scalar>(target: *mut T, sum: T, beta: T) {
    // SAFETY: the caller's promise.
    unsafe {
        let new = if beta == T::ZERO { sum } else { sum + beta * target.read() };
        target.write(new);
    }
}

/// targets <- alpha sums + beta targets, which are adjacent and as many as the sums, without reading them if beta is zero: the bits of
/// [`write_scaled`].
///
/// # Safety
/// `targets` is valid for writes of as many elements as there are sums, and for reads unless `beta` is zero.
#[inline(always)]
pub(super) unsafe fn write_all_scaled<S: Isa, T: Scalar>(isa: S, targets: *mut T, alpha: T, sums: &[T], beta: T) {
    let lanes = T::Lanes::<S>::COUNT;
    let (factor, share) = (T::Lanes::<S>::splat(isa, alpha), T::Lanes::<S>::splat(isa, beta));
    let whole = sums.len() / lanes * lanes;
    for first in (0..whole).step_by(lanes) {
        // SAFETY: the caller's promise; a whole vector from `first` on lies within the sums.
        unsafe {
            let target = targets.add(first);
            let mut new = factor.mul(isa, T::Lanes::<S>::load(isa, sums.as_ptr().add(first)));
            if beta != T::ZERO {
                new = new.add(isa, share.mul(isa, T::Lanes::<S>::load(isa, target)));
            }
            new.store(isa, target);
        }
    }
    let rest = sums.len() - whole;
    if rest > 0 {
        // SAFETY: the caller's promise; `rest` sums from `whole` on are left, fewer than a vector has lanes.
        unsafe {
            let target = targets.add(whole);
            let mut new = factor.mul(isa, T::Lanes::<S>::load_partial(isa, sums.as_ptr().add(whole), rest));
            if beta != T::ZERO {
                new = new.add(isa, share.mul(isa, T::Lanes::<S>::load_partial(isa, target, rest)));
            }
            new.store_partial(isa, target, rest);
        }
    }
}

/// Runs `work` on a copy of `c` and its row stride, and writes the copy back: for a C whose columns are not adjacent.
///
/// # Panics
/// If there is less room for the `copy` than C has elements.
pub(super) fn through_copy<S: Isa, T: Scalar>(
    isa: S,
    mut c: MatMut<'_, T>,
    beta: T,
    copy: &mut [T],
    work: impl FnOnce(*mut T, isize),
) {
    let (rows, cols) = c.shape();
    let copy = &mut copy[..rows * cols];
    if c.row_stride() == 1 {
        if beta != T::ZERO {
            let copy = MatMut::row_major(copy, rows, cols).expect("the copy has C's extents");
            transpose(isa, c.as_ref().transposed(), copy, Ahead::Nothing);
        }
        work(copy.as_mut_ptr(), cols as isize);
        let copy = MatRef::row_major(copy, rows, cols).expect("the copy has C's extents");
        return transpose(isa, copy, c.transposed(), Ahead::Nothing);
    }
    let elements = (0..rows).flat_map(|i| (0..cols).map(move |j| (i, j)));
    if beta != T::ZERO {
        for (x, (i, j)) in copy.iter_mut().zip(elements.clone()) {
            *x = *c.at_mut(i, j);
        }
    }
    work(copy.as_mut_ptr(), cols as isize);
    for (&x, (i, j)) in copy.iter().zip(elements) {
        // SAFETY: the element exists. It may be uninitialised if `beta` is zero, so there must be no reference to it.
        unsafe { c.element(i, j).write(x) };
    }
}
