//! What arguments mean, and whether they can be right.

/// The number of an argument in its list, from 1.
pub(crate) type Position = u8;

/// Whether op(A) is A', for Fortran's letter. Real numbers have no conjugate of their own.
pub(crate) fn is_transposed_letter(letter: u8) -> Option<bool> {
    match letter.to_ascii_uppercase() {
        b'N' => Some(false),
        b'T' | b'C' => Some(true),
        _ => None,
    }
}

/// Whether op(A) is A', for C's number.
pub(crate) fn is_transposed_code(code: i32) -> Option<bool> {
    match code {
        111 => Some(false),
        112 | 113 => Some(true),
        _ => None,
    }
}

/// Whether matrices lie row by row, for C's number.
pub(crate) fn is_row_major(code: i32) -> Option<bool> {
    match code {
        101 => Some(true),
        102 => Some(false),
        _ => None,
    }
}

/// The first position that is marked as wrong.
pub(crate) fn first_wrong<const N: usize>(marks: [(Position, bool); N]) -> Result<(), Position> {
    match marks.into_iter().find(|&(_, is_wrong)| is_wrong) {
        Some((position, _)) => Err(position),
        None => Ok(()),
    }
}

/// Whether `count` lines of `length` elements, `stride` elements apart, fit the address space. Where they do not, there can be no such
/// array.
pub(crate) fn is_addressable<T>(stride: i64, count: i64, length: i64) -> bool {
    if count <= 0 || length <= 0 {
        return true;
    }
    let reach = (i128::from(stride) * i128::from(count - 1)).unsigned_abs() + length.unsigned_abs() as u128;
    reach.saturating_mul(size_of::<T>() as u128) <= isize::MAX as u128
}

/// The address of a vector's first element: a vector with a negative increment starts at its far end.
pub(crate) fn first_element<T>(vector: *const T, count: i64, increment: i64) -> *const T {
    let steps = if increment < 0 { 1 - count as isize } else { 0 };
    vector.wrapping_offset(steps.wrapping_mul(increment as isize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_beyond_the_address_space_cannot_be() {
        assert!(is_addressable::<f32>(1 << 20, 1 << 20, 1 << 20));
        assert!(is_addressable::<f64>(-(1 << 20), 1 << 20, 1));
        assert!(is_addressable::<f64>(i64::MAX, 0, 1));
        assert!(is_addressable::<f64>(i64::MAX, i64::MAX, 0));
        assert!(!is_addressable::<f32>(1 << 31, 1 << 31, 1));
        assert!(!is_addressable::<f64>(i64::MIN, i64::MAX, 1));
    }

    #[test]
    fn a_step_that_is_never_taken_may_be_any() {
        assert!(is_addressable::<f64>(i64::MAX, 1, 2));
        assert!(is_addressable::<f64>(i64::MIN, 1, 1));
        assert!(!is_addressable::<f64>(1, 1, i64::MAX));
        assert!(!is_addressable::<f64>(1 << 60, 2, 1));
    }

    #[test]
    fn a_negative_increment_starts_at_the_far_end() {
        let data = [0.0_f32; 7];
        let start = data.as_ptr();
        assert_eq!(first_element(start, 3, 3), start);
        assert_eq!(first_element(start, 3, -3), start.wrapping_add(6));
        assert_eq!(first_element(start, 1, -3), start);
    }
}
