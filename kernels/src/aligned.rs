//! Memory that starts on a cache line, and asks for huge pages where it is large.

use bytemuck::{Pod, Zeroable};
use std::collections::TryReserveError;
use std::ops::{Deref, DerefMut};

/// Bytes in a cache line, and the alignment of an [`AlignedVec`].
pub const CACHE_LINE: usize = 64;

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; CACHE_LINE]);

/// A vector of zero-initialised numbers whose first element starts on a cache line, so that no aligned vector load
/// crosses one.
///
/// A large one asks the system for huge pages: a mini-batch of shuffled rows touches a different small page with every row,
/// and looking each of them up costs as much as a tenth of a training step.
#[derive(Clone, Debug)]
pub struct AlignedVec<T> {
    lines: Vec<Line>,
    length: usize,
    element: std::marker::PhantomData<T>,
}

impl<T> Default for AlignedVec<T> {
    fn default() -> Self {
        Self { lines: Vec::new(), length: 0, element: std::marker::PhantomData }
    }
}

impl<T: Pod> AlignedVec<T> {
    /// Whole elements fill a line, and none asks for more alignment than a line has.
    const FITS: () =
        assert!(size_of::<T>() > 0 && CACHE_LINE.is_multiple_of(size_of::<T>()) && align_of::<T>() <= CACHE_LINE);

    /// `length` zeros.
    pub fn zeroed(length: usize) -> Self {
        let mut vector = Self::default();
        vector.resize(length);
        vector
    }

    /// Makes room for `length` elements in all, without changing the vector's length.
    ///
    /// # Errors
    /// If there is not that much memory.
    pub fn try_reserve(&mut self, length: usize) -> Result<(), TryReserveError> {
        const { Self::FITS };
        // Lengths whose bytes overflow are refused by the allocation too: no vector is that long.
        let lines = length.saturating_mul(size_of::<T>()).div_ceil(CACHE_LINE);
        if lines > self.lines.capacity() {
            self.lines.try_reserve_exact(lines - self.lines.len())?;
            huge_pages::ask_for(self.lines.spare_capacity_mut());
        }
        Ok(())
    }

    /// Sets the length; what is added is zero or what an earlier, longer length left there. Never shrinks the allocation.
    ///
    /// # Panics
    /// If there is not that much memory.
    pub fn resize(&mut self, length: usize) {
        self.try_resize(length).expect("memory for a vector");
    }

    /// [`AlignedVec::resize`] for lengths that come from outside.
    ///
    /// # Errors
    /// If there is not that much memory. Nothing is changed then.
    pub fn try_resize(&mut self, length: usize) -> Result<(), TryReserveError> {
        const { Self::FITS };
        let lines = length.saturating_mul(size_of::<T>()).div_ceil(CACHE_LINE);
        if lines > self.lines.len() {
            if lines > self.lines.capacity() {
                // At least twice as much as before, so that many small steps copy little.
                let bytes = length.saturating_mul(size_of::<T>()).max(2 * self.lines.len() * CACHE_LINE);
                self.try_reserve(bytes.div_ceil(size_of::<T>()))?;
            }
            self.lines.resize(lines, Line::zeroed());
        }
        self.length = length;
        Ok(())
    }
}

mod huge_pages {
    use std::mem::MaybeUninit;

    /// Bytes of a huge page on the systems that this is for.
    #[cfg(target_os = "linux")]
    const HUGE_PAGE: usize = 2 << 20;

    /// Asks the system to back what of `memory` fills huge pages with them, when it is first touched. Only a hint.
    #[cfg(target_os = "linux")]
    pub fn ask_for<T>(memory: &mut [MaybeUninit<T>]) {
        unsafe extern "C" {
            fn madvise(address: *mut std::ffi::c_void, length: usize, advice: std::ffi::c_int) -> std::ffi::c_int;
        }
        /// `MADV_HUGEPAGE` in Linux's `mman.h`.
        const HUGE: std::ffi::c_int = 14;
        let skipped = memory.as_ptr().cast::<u8>().align_offset(HUGE_PAGE);
        let Some(length) = size_of_val(memory).checked_sub(skipped).map(|rest| rest / HUGE_PAGE * HUGE_PAGE) else {
            return;
        };
        if length > 0 {
            let start = memory.as_mut_ptr().cast::<u8>().wrapping_add(skipped);
            // SAFETY: the range lies in memory that is borrowed here exclusively, and this advice changes neither its
            // contents nor whether it may be accessed.
            unsafe { madvise(start.cast(), length, HUGE) };
        }
    }

    /// Other systems choose their page sizes themselves.
    #[cfg(not(target_os = "linux"))]
    pub fn ask_for<T>(_: &mut [MaybeUninit<T>]) {}
}

impl<T: Pod> Deref for AlignedVec<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &bytemuck::cast_slice(&self.lines)[..self.length]
    }
}

impl<T: Pod + PartialEq> PartialEq for AlignedVec<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Pod + Eq> Eq for AlignedVec<T> {}

impl<T: Pod> DerefMut for AlignedVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.length]
    }
}

/// `features` rounded up so that rows of `size`-byte elements are an odd number of cache lines apart.
///
/// Rows whose distance has a large power of two as a factor (3072 floats are exactly three pages) fall into the same few
/// cache sets and evict one another. Saturates: no slice holds so long a row.
pub fn padded_row(features: usize, size: usize) -> usize {
    let per_line = (CACHE_LINE / size.max(1)).max(1);
    (features.div_ceil(per_line) | 1).saturating_mul(per_line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_on_a_line_and_keeps_its_length() {
        for length in [0, 1, 15, 16, 17, 3072] {
            let mut vector = AlignedVec::<f32>::zeroed(length);
            assert_eq!(vector.len(), length);
            assert!(vector.iter().all(|&x| x == 0.0));
            vector.resize(length + 1);
            vector[length] = 1.0;
            assert_eq!(vector.as_ptr() as usize % CACHE_LINE, 0);
        }
    }

    #[test]
    fn a_vector_that_grows_keeps_what_it_holds() {
        let mut vector = AlignedVec::<u8>::default();
        vector.try_reserve(5 << 20).unwrap();
        let start = vector.as_ptr();
        for i in 0..500 {
            vector.resize((i + 1) * 10_000);
            vector[i * 10_000] = i as u8;
        }
        assert_eq!(vector.as_ptr(), start);
        vector.resize(20 << 20);
        assert!((0..500).all(|i| vector[i * 10_000] == i as u8 && vector[i * 10_000 + 1] == 0));
        assert!(AlignedVec::<u64>::default().try_reserve(usize::MAX).is_err());
    }

    #[test]
    fn rows_are_an_odd_number_of_lines_apart() {
        assert_eq!(padded_row(3072, 4), 3088);
        assert_eq!(padded_row(3072, 1), 3136);
        assert_eq!(padded_row(4, 4), 16);
        assert_eq!(padded_row(17, 4), 48);
        assert_eq!(padded_row(3072, 8), 3080);
    }
}
