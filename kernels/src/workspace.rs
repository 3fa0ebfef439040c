//! Scratch memory of a thread, kept from call to call.

use crate::aligned::AlignedVec;
use std::cell::RefCell;

thread_local! {
    static SCRATCH: RefCell<Vec<AlignedVec<u64>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `work` with scratch of at least `length` elements, whose contents are whatever was left there.
///
/// The memory is the calling thread's and grows to the most it was ever asked for: where threads take turns in no fixed order, each has
/// to have had its largest task before none allocates. A call made while `work` runs (by `work`, or
/// by a task that this thread steals meanwhile) gets other memory, which is kept for the next such call. Where the thread is
/// about to end and keeps nothing any more, as in what `atexit` runs, the memory is that of the call alone.
pub(crate) fn with_scratch<T: bytemuck::Pod, R>(length: usize, work: impl FnOnce(&mut [T]) -> R) -> R {
    let bytes = length.checked_mul(size_of::<T>()).expect("scratch fits the address space");
    // The last one put back is the one that the outermost call uses.
    let kept = SCRATCH.try_with(|unused| unused.borrow_mut().pop());
    let mut scratch = kept.ok().flatten().unwrap_or_default();
    if scratch.len() * size_of::<u64>() < bytes {
        scratch.resize(bytes.div_ceil(size_of::<u64>()));
    }
    let result = work(&mut bytemuck::cast_slice_mut(&mut scratch)[..length]);
    // An error drops it.
    let _ = SCRATCH.try_with(|unused| unused.borrow_mut().push(scratch));
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
    fn a_thread_that_ends_still_gets_memory() {
        use std::sync::atomic::{AtomicU64, Ordering};
        static SUM: AtomicU64 = AtomicU64::new(0);
        /// Asks for scratch when its thread ends.
        struct Last;
        impl Drop for Last {
            fn drop(&mut self) {
                let sum = with_scratch(10, |scratch: &mut [u64]| {
                    scratch.fill(3);
                    scratch.iter().sum()
                });
                SUM.store(sum, Ordering::Relaxed);
            }
        }
        thread_local!(static LAST: Last = const { Last });
        std::thread::spawn(|| {
            // What is first used last goes first: the scratch before `LAST`.
            LAST.with(|_| ());
            with_scratch(10, |_: &mut [u64]| ());
        })
        .join()
        .unwrap();
        assert_eq!(SUM.load(Ordering::Relaxed), 30);
    }

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
