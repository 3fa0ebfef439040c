//! The gradient of the bias: sums over all pixels.

use super::weight_gradient::{SHARDS, TOTAL_GRAIN, Total};
use crate::isa::{Isa, Kernel, Lanes, Scalar};
use crate::parallel::{self, Divide, Grain};
use crate::workspace::with_scratch;

/// dbias\[f\] (+)= sum over all pixels of dy\[f\].
pub(super) fn run<S: Isa, T: Scalar>(isa: S, dy: &[T], add: bool, dbias: &mut [T]) {
    let filters = dbias.len();
    if filters == 0 {
        return;
    }
    let pixels = dy.len() / filters;
    let each = pixels.div_ceil(SHARDS).max(1);
    let shards = pixels.div_ceil(each);
    with_scratch(shards * filters, |sums: &mut [T]| {
        let grain = Grain::of(each.saturating_mul(filters).saturating_mul(COST), super::WORTH_A_THREAD);
        parallel::divide(Shards { isa, dy, filters, each, sums, first: 0 }, grain);
        parallel::divide(Total { isa, sums, length: filters, first: 0, total: dbias, add }, TOTAL_GRAIN);
    });
}

/// Multiply-adds that take as long as reading an element from memory.
const COST: usize = 8;

/// The sums of some shards of `each` pixels.
struct Shards<'a, S, T> {
    isa: S,
    dy: &'a [T],
    filters: usize,
    each: usize,
    sums: &'a mut [T],
    first: usize,
}

impl<S: Isa, T: Scalar> Divide for Shards<'_, S, T> {
    fn length(&self) -> usize {
        self.sums.len() / self.filters
    }

    fn split(self, at: usize) -> (Self, Self) {
        let (left, right) = self.sums.split_at_mut(at * self.filters);
        (Self { sums: left, ..self }, Self { sums: right, first: self.first + at, ..self })
    }

    fn run(self) {
        let Self { isa, dy, filters, each, sums, first } = self;
        let shards = dy.chunks(each * filters).skip(first);
        for (sums, dy) in sums.chunks_exact_mut(filters).zip(shards) {
            isa.vectorize(PixelSum { dy, sums });
        }
    }
}

/// sums <- sum over the pixels of `dy`, `sums.len()` elements each.
struct PixelSum<'a, T> {
    dy: &'a [T],
    sums: &'a mut [T],
}

/// Pixels that are read once for each vector of filters: few enough to stay in the first-level cache.
const PIXELS: usize = 32;

impl<T: Scalar> Kernel for PixelSum<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let filters = self.sums.len();
        let lanes = T::Lanes::<S>::COUNT;
        self.sums.fill(T::ZERO);
        for dy in self.dy.chunks(PIXELS * filters) {
            for (v, target) in self.sums.chunks_mut(lanes).enumerate() {
                let count = target.len();
                let mut sum = T::Lanes::<S>::read(isa, target);
                for pixel in dy.chunks_exact(filters) {
                    sum = sum.add(isa, T::Lanes::<S>::read(isa, &pixel[v * lanes..][..count]));
                }
                sum.write(isa, target);
            }
        }
    }
}
