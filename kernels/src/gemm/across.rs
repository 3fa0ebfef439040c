//! Sums across vectors, of several vectors at once.

use crate::isa::{Isa, Lanes, Scalar};

/// Adds up the first `count` vectors, a power of two of them and at most as many as they have lanes: lane `i` is the sum of those
/// `count` lanes of vector `i % count` among which lane `i` is.
///
/// Neighbours at ever larger distances are added, of two vectors into one: the same tree for each sum.
#[inline(always)]
pub(super) fn add_across<S: Isa, T: Scalar, const N: usize>(
    isa: S,
    mut sums: [T::Lanes<S>; N],
    count: usize,
) -> T::Lanes<S> {
    if count > 1 {
        sums = merge::<S, T, N, 1>(isa, sums, count);
    }
    if count > 2 {
        sums = merge::<S, T, N, 2>(isa, sums, count / 2);
    }
    if count > 4 {
        sums = merge::<S, T, N, 4>(isa, sums, count / 4);
    }
    if count > 8 {
        sums = merge::<S, T, N, 8>(isa, sums, count / 8);
    }
    sums[0]
}

/// Adds neighbours at a distance of `D` lanes in the first `count` vectors, two vectors into one.
#[inline(always)]
fn merge<S: Isa, T: Scalar, const N: usize, const D: usize>(
    isa: S,
    sums: [T::Lanes<S>; N],
    count: usize,
) -> [T::Lanes<S>; N] {
    let mut merged = sums;
    for i in 0..count / 2 {
        merged[i] = sums[2 * i].add_neighbours::<D>(isa, sums[2 * i + 1]);
    }
    merged
}
