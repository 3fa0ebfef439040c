//! Where a wrong argument is reported: to the program's error handler, or to standard error if there is none.
//!
//! Handlers are looked up when they are needed, among all that the program has loaded, so that a program's own wins
//! over that of the full BLAS behind this library.

use crate::arguments::Position;
use crate::integer::Integer;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::io::Write;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI32, Ordering};

/// A routine's names, as error handlers expect them.
pub(crate) struct Routine {
    /// Six letters.
    pub fortran: &'static str,
    pub c: &'static CStr,
}

type Xerbla<I> = unsafe extern "C" fn(*const c_char, *const I, usize);
type CblasXerbla<I> = unsafe extern "C" fn(I, *const c_char, *const c_char, ...);

/// Reports an argument of a Fortran routine.
pub(crate) fn fortran<I: Integer>(routine: &Routine, position: Position) {
    let name = routine.fortran;
    let Some(handler) = find(I::XERBLA) else {
        return print(name.trim_end(), position);
    };
    // SAFETY: BLAS says which signature the function of this name has; the name and the position outlive the call.
    unsafe {
        let handler = std::mem::transmute::<NonNull<c_void>, Xerbla<I>>(handler);
        handler(name.as_ptr().cast(), &I::from(position), name.len());
    }
}

/// What is wrong with a call of a C routine.
pub(crate) struct Wrong {
    /// The argument, counted in the list of a column-major call.
    pub position: Position,
    pub is_row_major: bool,
}

/// Reports an argument of a C routine; `mirrored` are the pairs that a row-major call swaps.
///
/// In the reference implementation a handler is given the position that the argument has in the column-major call, and
/// undoes the swap if the variable `RowMajorStrg` says so. Where there is no such variable, no handler can know of it,
/// and is given the position in the caller's list.
pub(crate) fn cblas<I: Integer>(routine: &Routine, wrong: Wrong, mirrored: &[(Position, Position)]) {
    let Wrong { position, is_row_major } = wrong;
    let callers = if is_row_major { mirror(position, mirrored) } else { position };
    let Some(handler) = find(I::CBLAS_XERBLA) else {
        return print(&routine.c.to_string_lossy(), callers);
    };
    // SAFETY: CBLAS says which signature the function of this name has, and README that no other will do; the name outlives the call.
    let call = |position: Position| unsafe {
        let handler = std::mem::transmute::<NonNull<c_void>, CblasXerbla<I>>(handler);
        handler(I::from(position), routine.c.as_ptr(), c"".as_ptr());
    };
    let Some(flag) = find(c"RowMajorStrg") else {
        return call(callers);
    };
    // SAFETY: the variable of this name is an `int` of a loaded library, which stays loaded while it is called.
    let flag = unsafe { AtomicI32::from_ptr(flag.as_ptr().cast::<c_int>()) };
    let before = flag.swap(is_row_major.into(), Ordering::Relaxed);
    call(position);
    flag.store(before, Ordering::Relaxed);
}

fn mirror(position: Position, pairs: &[(Position, Position)]) -> Position {
    let other = pairs.iter().find_map(|&(a, b)| match position {
        _ if position == a => Some(b),
        _ if position == b => Some(a),
        _ => None,
    });
    other.unwrap_or(position)
}

fn print(routine: &str, position: Position) {
    // There is nowhere to report that standard error is closed.
    let _ = writeln!(std::io::stderr(), "lanegrad-blas: argument {position} of {routine} has an illegal value");
}

/// The first function or variable of that name among all that the program has loaded.
#[cfg(unix)]
fn find(name: &CStr) -> Option<NonNull<c_void>> {
    // SAFETY: the name is a C string; looking it up runs no code of the program's.
    NonNull::new(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) })
}

/// Without a global scope of symbols, a program cannot offer a handler.
#[cfg(not(unix))]
fn find(_name: &CStr) -> Option<NonNull<c_void>> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_major_call_swaps_pairs_both_ways() {
        let pairs = [(4, 5), (9, 11)];
        let mirrored = [1, 4, 5, 9, 10, 11, 14].map(|position| mirror(position, &pairs));
        assert_eq!(mirrored, [1, 5, 4, 11, 10, 9, 14]);
    }
}
