//! How a product is cut so that each piece stays in the cache that feeds the next loop.
//!
//! The micro-kernel reads a micropanel of A (MR x KC) again for every micropanel of B, so A's must stay in the first-level
//! cache; the block of B (KC x NC) is streamed once for every micropanel of A, so it must stay in the second-level cache;
//! the block of A (MC x KC) is read once for every block of B and may live further out.

use super::Limits;
use crate::caches::caches;
use crate::isa::{Isa, Lanes, Scalar};

/// Bytes of KC elements, at most. Twelve rows of A, AVX-512's micropanel, are what of a 32 KiB first-level cache is left when B's rows stream
/// through it. Where micropanels are low, as at AVX2, a deeper one of B, which passes through with A's, would drive that out (1,024 elements
/// of `f32` there: 0.94 at a depth of 3,072; 512 of `f64` 0.93 to 0.97 from 900 cubed on). The same on every machine and at every level,
/// since KC decides in which order products are added.
const DEPTH_BYTES: usize = 2048;

/// Bytes of B's block: three quarters of the second-level cache.
fn b_block_bytes() -> usize {
    caches().second / 4 * 3
}

/// Bytes of A's block: an eighth of the third-level cache, which others may share, but no less than all of the second-level one, and no
/// more than three times that: with as many rows of C it would take more pages than a processor keeps the addresses of.
fn a_block_bytes() -> usize {
    (caches().third / 8).clamp(caches().second, 3 * caches().second)
}

/// Extents of the blocks: KC, MC, NC.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocking {
    pub depth: usize,
    pub rows: usize,
    pub cols: usize,
}

impl Blocking {
    /// KC for a product of depth `k`.
    #[inline(always)]
    pub fn depth<T: Scalar>(k: usize) -> usize {
        let deepest = DEPTH_BYTES / size_of::<T>();
        if k <= deepest { k.max(1) } else { k.div_ceil(k.div_ceil(deepest)) }
    }

    /// The blocks of a product of depth `k`, of which A may be copied: an A that is read where it lies has all rows in one block. B's
    /// blocks are as large whether it is copied or not: the second row of tiles is to find near what the first has fetched.
    ///
    /// KC decides in which order an element's products are added, so it follows from type and `k` alone.
    pub fn new<S: Isa, T: Scalar>(k: usize, pack_a: bool) -> Self {
        let size = size_of::<T>();
        let depth = Self::depth::<T>(k);
        let tile_cols = S::GEMM_VECTORS * T::Lanes::<S>::COUNT;
        let rows = if pack_a { multiple_below(a_block_bytes() / (depth * size), S::GEMM_ROWS) } else { usize::MAX };
        let cols = multiple_below(b_block_bytes() / (depth * size), tile_cols).min(4096);
        Self { depth, rows, cols }
    }

    /// NC for a B of `n` columns, such that its blocks are nearly equal: a small last one would be copied for little.
    #[inline(always)]
    pub fn equal_cols<S: Isa, T: Scalar>(self, n: usize) -> usize {
        if n <= self.cols {
            return n;
        }
        let tile_cols = S::GEMM_VECTORS * T::Lanes::<S>::COUNT;
        n.div_ceil(n.div_ceil(self.cols)).next_multiple_of(tile_cols).min(self.cols)
    }

    /// Blocks that are no larger than `limits`, rounded up to whole micro-tiles.
    pub fn limited<S: Isa, T: Scalar>(self, limits: Limits) -> Self {
        let whole = |limit: usize, step| limit.max(1).checked_next_multiple_of(step).unwrap_or(usize::MAX);
        Self {
            depth: self.depth.min(limits.depth.max(1)),
            rows: self.rows.min(whole(limits.rows, S::GEMM_ROWS)),
            cols: self.cols.min(whole(limits.cols, S::GEMM_VECTORS * T::Lanes::<S>::COUNT)),
        }
    }
}

/// The largest multiple of `step` that is at most `limit`, but at least `step`.
fn multiple_below(limit: usize, step: usize) -> usize {
    (limit / step).max(1) * step
}
