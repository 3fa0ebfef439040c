//! How near a product's operands lie, and what follows from that: what is copied, how high tiles are, what is prefetched.
//!
//! None of it changes a bit of the result.

use super::blocking::Blocking;
use super::path::WORTH_A_THREAD;
use crate::aligned::CACHE_LINE;
use crate::caches::caches;
use crate::datapath::is_half_as_wide;
use crate::isa::{Isa, Lanes, Scalar};
use crate::matrix::MatRef;
use crate::parallel;

/// Rows of micro-tiles beyond which a copy of B pays, by where the tiles find B's block.
mod reuses {
    /// Its rows share so few sets of the second-level cache that it cannot stay there.
    pub const SCATTERED: usize = 1;
    /// Likewise, but high tiles prefetch it, in vectors that do not cross cache lines.
    pub const SCATTERED_FETCHED: usize = 4;
    /// Its rows share a set of the first-level cache; tiles are high ones, AVX-512's.
    pub const THRASHING: usize = 12;
    /// Likewise; lower tiles need twice as much from the second-level cache.
    pub const THRASHING_LOW_TILES: usize = 3;
    /// The second-level cache does not hold it.
    pub const FAR: usize = 6;
    /// It fills more than a quarter of the second-level cache; tiles are high ones.
    pub const LARGE: usize = 32;
    /// Likewise, tiles are lower.
    pub const LARGE_LOW_TILES: usize = 24;

    /// The others are for the level that unrolls its tiles, AVX2, where whole tiles of a copy take fewer instructions. Each of several
    /// threads that share rows is to have as many. Here vectors cross cache lines, and the first-level cache holds it.
    pub const CROSSING_NEAR: usize = 24;
    /// Vectors cross cache lines, and the second-level cache holds it.
    pub const CROSSING: usize = 12;
    /// It fills more than a quarter of the second-level cache.
    pub const LARGE_UNROLLED: usize = 20;
    /// It is smaller.
    pub const SMALL_UNROLLED: usize = 64;
}

/// Bytes of a page, and of what all sets of a first-level cache hold one line of.
pub(super) const PAGE: usize = 4096;

/// Rows of the micro-tile at a level whose tiles are high.
pub(super) const HIGH: usize = 12;
/// The most rows that are few: a wide tile of theirs fetches its own next rows of B, unless B is far, since it has little time to fetch the
/// next tile's. Above it `Isa::high_tile` begins.
pub(super) const FEW: usize = 4;
/// Rows of a micro-tile, two vectors wide, whose writes do not hold up the next tile.
const QUEUED: usize = 10;
/// The depth up to which a tile takes so little time that it matters how many vectors it writes.
pub(super) const SHORT: usize = 128;
/// Columns of C, and elements of a row of A, from which on an A whose rows are adjacent along the depth pays for a copy, too, at the
/// level that unrolls its tiles, AVX2: 1.02 to 1.05 times as fast at 1024 cubed, 1.07 at 2048. If A's rows lie whole pages apart, as many as
/// fill half a page are enough: 512 of `f32`, 256 of `f64` (256 x 3072 x 512 1.03 to 1.1). No more rows than two tiles have do not pay for
/// it: 4 x 776 x 800 is 1.07 to 1.17 times as fast without.
const LONG_A: usize = 768;

/// Whether a copy of B pays, whose rows are adjacent.
pub(super) fn packs_b<S: Isa, T: Scalar>(a: MatRef<'_, T>, b: MatRef<'_, T>) -> bool {
    let (m, (k, n)) = (a.rows(), b.shape());
    let tiles = m.div_ceil(tile_rows::<S, T>(a, b, true));
    let depth = Blocking::depth::<T>(k);
    let block_bytes = depth.saturating_mul(n).saturating_mul(size_of::<T>());
    let (is_unrolled, is_high) = (S::UNROLL > 1, S::GEMM_ROWS >= HIGH);
    let crosses = crosses_lines::<S, T>(b);
    if fetches_in_time::<S, T>(a, b) {
        return false;
    }
    // Where rows of C are shared among threads, so is the copy, for which they meet once more.
    let shares_rows = m >= n && m.saturating_mul(n).saturating_mul(k) > WORTH_A_THREAD;
    let each_reuses = |times: usize| tiles > times && (!shares_rows || tiles / parallel::current() > times);
    if leaves_the_second_cache(b, depth) {
        let is_fetched = is_high && !crosses && fetches::<S, T>(a, b);
        tiles > if is_fetched { reuses::SCATTERED_FETCHED } else { reuses::SCATTERED }
    } else if is_thrashing(b) {
        tiles > if is_high { reuses::THRASHING } else { reuses::THRASHING_LOW_TILES }
    } else if block_bytes > caches().second {
        tiles > reuses::FAR
    } else if is_unrolled && crosses {
        each_reuses(if block_bytes > caches().first { reuses::CROSSING } else { reuses::CROSSING_NEAR })
    } else if block_bytes > caches().second / 4 {
        tiles > if is_high { reuses::LARGE } else { reuses::LARGE_LOW_TILES }
            && (!is_unrolled || each_reuses(reuses::LARGE_UNROLLED))
    } else {
        is_unrolled && each_reuses(reuses::SMALL_UNROLLED)
    }
}

/// Whether `a`'s rows read a B from the third-level cache where it lies as fast as a copy, since each tile prefetches what the next one reads.
/// High tiles have the time for that until a copy is used often; low ones where there are no more than two rows of them, and B's rows
/// start with cache lines. A C that is one tile wide reads no tile after another.
fn fetches_in_time<S: Isa, T: Scalar>(a: MatRef<'_, T>, b: MatRef<'_, T>) -> bool {
    const ROWS: usize = 288;
    let is_whole = (b.element(0, 0).addr() | row_bytes(b)).is_multiple_of(CACHE_LINE);
    let is_soon = if S::GEMM_ROWS >= HIGH { a.rows() <= ROWS } else { a.rows() <= 2 * S::GEMM_ROWS && is_whole };
    let is_one_tile_wide = b.cols() <= S::GEMM_VECTORS * T::Lanes::<S>::COUNT;
    is_soon && !is_one_tile_wide && bytes(b) <= caches().third / 4 && fetches::<S, T>(a, b)
}

/// Whether each tile prefetches what the next one reads of a B that is not copied. Tiles do not whose A is across. Up to four rows fetch
/// their own next rows faster, unless these come from far (4 x 2000 x 2000: 2 times as fast): from beyond an eighth of the third-level cache
/// where vectors are short, else from beyond a quarter.
pub(super) fn fetches<S: Isa, T: Scalar>(a: MatRef<'_, T>, b: MatRef<'_, T>) -> bool {
    let is_far = match a.rows() <= FEW {
        true => is_far(b, if S::GEMM_ROWS >= HIGH { 4 } else { 8 }),
        false => bytes(b) > caches().second,
    };
    let reads_rows = a.col_stride() == 1 || turns_a::<S, T>(a) && packs_a::<S, T>(a, b.cols());
    S::PREFETCHES && reads_rows && is_far
}

/// Whether a copy of A pays where C has `n` columns.
pub(super) fn packs_a<S: Isa, T: Scalar>(a: MatRef<'_, T>, n: usize) -> bool {
    match (a.row_stride(), a.col_stride()) {
        (_, 1) => {
            let long = if are_pages_apart(a) { PAGE / 2 / size_of::<T>() } else { LONG_A };
            S::UNROLL > 1 && n.min(a.cols()) >= long && a.rows() > 2 * S::GEMM_ROWS
        }
        (1, _) => n > columns_for_a_copy::<S, T>(a, n),
        _ => true,
    }
}

/// Columns of C beyond which a column-major A pays for a copy: tiles come back to it for each tile of a row of C, and of a deep one they do
/// not find near what they have read. High tiles of a copy prefetch a B that is far; low ones miss more where columns lie whole pages apart.
fn columns_for_a_copy<S: Isa, T: Scalar>(a: MatRef<'_, T>, n: usize) -> usize {
    const FEW: usize = 64;
    let (k, tile) = (a.cols(), S::GEMM_VECTORS * T::Lanes::<S>::COUNT);
    let is_deep = Blocking::depth::<T>(k) * CACHE_LINE > caches().first / 2;
    let is_far = k.saturating_mul(n).saturating_mul(size_of::<T>()) > caches().second;
    match (S::GEMM_ROWS >= HIGH, is_deep) {
        (true, _) if is_far => FEW,
        (true, true) => 12 * tile,
        (true, false) => 16 * tile,
        (false, false) if !are_pages_apart(a.transposed()) => 8 * tile,
        _ => FEW,
    }
}

/// Whether a copy of A has rows whose elements are adjacent along the depth, and not micropanels: that of a column-major one, where tiles
/// are high. They read it as they would read a row-major A, and prefetch what they would.
pub(super) fn turns_a<S: Isa, T: Scalar>(a: MatRef<'_, T>) -> bool {
    S::GEMM_ROWS >= HIGH && a.row_stride() == 1 && a.col_stride() != 1
}

/// Whether many rows, which lie whole pages apart, share each set of the first-level cache.
pub(super) fn is_thrashing<T: Scalar>(matrix: MatRef<'_, T>) -> bool {
    matrix.rows() > 2 * caches().first_ways && are_pages_apart(matrix)
}

/// Whether the rows of a matrix lie whole pages apart.
pub(super) fn are_pages_apart<T: Scalar>(matrix: MatRef<'_, T>) -> bool {
    let apart = row_bytes(matrix);
    apart > 0 && apart.is_multiple_of(PAGE)
}

/// Whether some of the vectors that whole rows of the matrix are cut into lie in two cache lines.
fn crosses_lines<S: Isa, T: Scalar>(matrix: MatRef<'_, T>) -> bool {
    let vector = T::Lanes::<S>::COUNT * size_of::<T>();
    !(matrix.element(0, 0).addr() | row_bytes(matrix)).is_multiple_of(vector)
}

/// Whether `depth` rows do not fit the second-level cache together, however short they are: rows a multiple of a large power of two apart
/// share a few of its sets.
fn leaves_the_second_cache<T: Scalar>(matrix: MatRef<'_, T>, depth: usize) -> bool {
    let apart = 1_usize.checked_shl(row_bytes(matrix).trailing_zeros()).unwrap_or(0);
    depth.saturating_mul(apart) > caches().second
}

/// Bytes from a row of a matrix to the next.
fn row_bytes<T: Scalar>(matrix: MatRef<'_, T>) -> usize {
    matrix.row_stride().unsigned_abs().wrapping_mul(size_of::<T>())
}

/// Bytes of a matrix.
pub(super) fn bytes<T: Scalar>(matrix: MatRef<'_, T>) -> usize {
    matrix.rows().saturating_mul(matrix.cols()).saturating_mul(size_of::<T>())
}

/// Whether a matrix that is read once, row after row, lies so far out that its rows are prefetched while those before them are used:
/// it fills more than a `share`th of the third-level cache, which others use, too. A processor foresees what comes from nearer, and
/// a kernel that does little with a number has no time to prefetch it.
pub(super) fn is_far<T: Scalar>(matrix: MatRef<'_, T>, share: usize) -> bool {
    bytes(matrix) > (caches().third / share).max(caches().second)
}

/// Rows of a micro-tile whose A is read where it lies, and whose B, too, unless it `copies_b`: at most MR, but for slim tiles.
///
/// Where the depth is short, a tile is to write no more vectors than the store queue takes beside what comes between tiles: of a
/// core that stores them in halves, 24 fill 48 of 64 entries, and the next tile waits (24 cubed 1.06, 48 cubed 1.03, 2000 x 16 x 2000 1.05).
/// Twelve rows are one tile all the same, which reads B once.
///
/// Rows whole pages apart share one set of the first-level cache. There, a panel has no more rows than the set has lines, which is
/// faster than a copy. It is cut only if it is higher by more than two, and B, which is then read twice, has no rows that lie whole pages
/// apart. If B is read where it lies, and near, tiles are wide instead, of half as many rows: B is read more often, and fewer of A's rows
/// share a set (12 x 1024 x 1024 1.1 to 1.4, 10 x 3072 x 256 and 18 x 3072 x 256 1.0 to 1.1). Beyond 64 rows, that is no faster.
pub(super) fn tile_rows<S: Isa, T: Scalar>(a: MatRef<'_, T>, b: MatRef<'_, T>, copies_b: bool) -> usize {
    const MANY: usize = 64;
    let ways = caches().first_ways;
    let is_short = S::GEMM_ROWS > QUEUED && a.cols() <= SHORT;
    let fills_queue = a.rows() > S::GEMM_ROWS && b.cols() > T::Lanes::<S>::COUNT;
    let most = if is_short && fills_queue && is_half_as_wide() { QUEUED } else { S::GEMM_ROWS };
    if a.col_stride() != 1 || !are_pages_apart(a) || a.rows() <= ways || S::GEMM_ROWS <= ways {
        return most;
    }
    // The lowest of those wide tiles, which are the widest, have four rows.
    let is_wide = a.cols() > SHORT && b.cols() >= S::WIDE_VECTORS[4] * T::Lanes::<S>::COUNT;
    let is_near = bytes(b) <= caches().third / 5;
    let is_higher = a.rows() > 2 * ways || a.rows() > ways + 2 && !is_thrashing(b);
    if !copies_b && is_wide && is_near && a.rows() <= MANY {
        S::WIDE_VECTORS.len() - 1
    } else if is_higher {
        ways.min(most)
    } else {
        most
    }
}
