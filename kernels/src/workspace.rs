//! Scratch memory of a thread, kept from call to call.

use crate::aligned::AlignedVec;
use std::cell::RefCell;

thread_local! {
    static SCRATCH: RefCell<Vec<AlignedVec<u64>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `work` with scratch of at least `length` elements, whose contents are whatever was left there.
///
/// The memory is the calling thread's and grows to the most it was ever asked for. A call made while `work` runs (by `work`, or
/// by a task that this thread steals meanwhile) gets other memory, which is kept for the next such call.
pub(crate) fn with_scratch<T: bytemuck::Pod, R>(length: usize, work: impl FnOnce(&mut [T]) -> R) -> R {
    let bytes = length.checked_mul(size_of::<T>()).expect("scratch fits the address space");
    // The last one put back is the one that the outermost call uses.
    let mut scratch = SCRATCH.with_borrow_mut(Vec::pop).unwrap_or_default();
    if scratch.len() * size_of::<u64>() < bytes {
        scratch.resize(bytes.div_ceil(size_of::<u64>()));
    }
    let result = work(&mut bytemuck::cast_slice_mut(&mut scratch)[..length]);
    SCRATCH.with_borrow_mut(|unused| unused.push(scratch));
    result
}

/// Gives the calling thread the scratch that a classifier's step needs, so that it finds it there at its first.
pub(crate) fn prepare() {
    with_scratch(PREPARED, |_: &mut [u64]| ());
}

/// Numbers of 8 bytes: room for a block of the gradient of a hundred classes.
const PREPARED: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_calls_get_memory_of_their_own_and_find_it_again() {
        let addresses = || {
            with_scratch(100, |outer: &mut [u64]| {
                outer.fill(1);
                let inner = with_scratch(5000, |inner: &mut [u64]| {
                    inner.fill(2);
                    inner.as_ptr()
                });
                assert!(outer.iter().all(|&x| x == 1));
                (outer.as_ptr(), inner)
            })
        };
        let first = addresses();
        assert_ne!(first.0, first.1);
        assert_eq!(addresses(), first);
    }
}
