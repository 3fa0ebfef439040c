//! Memory that starts on a cache line.

use bytemuck::{Pod, Zeroable};
use std::ops::{Deref, DerefMut};

/// Bytes in a cache line, and the alignment of an [`AlignedVec`].
pub const CACHE_LINE: usize = 64;

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; CACHE_LINE]);

/// A vector of zero-initialised numbers whose first element starts on a cache line, so that no aligned vector load
/// crosses one.
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
    /// `length` zeros.
    pub fn zeroed(length: usize) -> Self {
        let mut vector = Self::default();
        vector.resize(length);
        vector
    }

    /// Sets the length; what is added is zero or what an earlier, longer length left there. Never shrinks the allocation.
    pub fn resize(&mut self, length: usize) {
        let bytes = length.checked_mul(size_of::<T>()).expect("the length in bytes fits a usize");
        let lines = bytes.div_ceil(CACHE_LINE);
        if lines > self.lines.len() {
            self.lines.resize(lines, Line::zeroed());
        }
        self.length = length;
    }
}

impl<T: Pod> Deref for AlignedVec<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &bytemuck::cast_slice(&self.lines)[..self.length]
    }
}

impl<T: Pod> DerefMut for AlignedVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.length]
    }
}

/// `features` rounded up so that rows of `size`-byte elements are an odd number of cache lines apart.
///
/// Rows whose distance has a large power of two as a factor (3072 floats are exactly three pages) fall into the same few
/// cache sets and evict one another.
pub fn padded_row(features: usize, size: usize) -> usize {
    let per_line = (CACHE_LINE / size).max(1);
    (features.div_ceil(per_line) | 1) * per_line
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
    fn rows_are_an_odd_number_of_lines_apart() {
        assert_eq!(padded_row(3072, 4), 3088);
        assert_eq!(padded_row(3072, 1), 3136);
        assert_eq!(padded_row(4, 4), 16);
        assert_eq!(padded_row(17, 4), 48);
        assert_eq!(padded_row(3072, 8), 3080);
    }
}
