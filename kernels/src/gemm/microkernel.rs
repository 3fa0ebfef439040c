//! The micro-kernel: one MR x NR tile of C, its sums in registers.

use crate::isa::{Isa, Lanes, MAX_LANES, Scalar, TileKernel};

/// The most elements a micro-tile has at any level: 12 rows of 2 vectors.
const MAX_TILE: usize = 12 * 2 * MAX_LANES;

/// Steps of the depth that take long enough for a tile of C to arrive from memory.
const PREFETCH_DEPTH: usize = 64;

/// Where a micro-kernel finds its rows of A, at one step of the depth after the other.
pub(super) trait PanelOfA<T>: Copy {
    /// The address of row `i` of a panel of `ROWS` rows at the current step.
    fn address<const ROWS: usize>(&self, i: usize) -> *const T;
    /// Goes to the next step.
    fn advance<const ROWS: usize>(&mut self);
}

/// A packed micropanel: step after step, the rows of a step adjacent.
#[derive(Clone, Copy)]
pub(super) struct Packed<T>(pub *const T);

impl<T: Scalar> PanelOfA<T> for Packed<T> {
    #[inline(always)]
    fn address<const ROWS: usize>(&self, i: usize) -> *const T {
        self.0.wrapping_add(i)
    }
    #[inline(always)]
    fn advance<const ROWS: usize>(&mut self) {
        self.0 = self.0.wrapping_add(ROWS);
    }
}

/// Rows of A where they lie: the steps of a row adjacent, the rows some stride apart.
#[derive(Clone, Copy)]
pub(super) struct Streamed<T> {
    pub first: *const T,
    pub row_stride: isize,
}

impl<T: Scalar> PanelOfA<T> for Streamed<T> {
    #[inline(always)]
    fn address<const ROWS: usize>(&self, i: usize) -> *const T {
        self.first.wrapping_offset(i as isize * self.row_stride)
    }
    #[inline(always)]
    fn advance<const ROWS: usize>(&mut self) {
        self.first = self.first.wrapping_add(1);
    }
}

/// C <- alpha A B + beta C for one tile.
///
/// Whoever makes one promises that `a` has as many readable rows of `depth` steps as the tile has rows, that B's row `p`,
/// which starts at `b + p b_stride`, is readable in as many whole vectors as the tile has, and that the tile of C, which is
/// `cols` wide, is readable and writable. With `beta` zero, C is not read. Each element is one chain of multiply-adds in the
/// order of the depth, the same wherever in a tile it lies and whatever the tile's extents are.
pub(super) struct MicroKernel<T, A> {
    pub depth: usize,
    pub a: A,
    pub b: *const T,
    pub b_stride: isize,
    pub alpha: T,
    pub beta: T,
    pub c: *mut T,
    pub c_row_stride: isize,
    pub c_col_stride: isize,
    /// Columns of C to write: at most as many as the tile has.
    pub cols: usize,
}

impl<T: Scalar, A: PanelOfA<T>> TileKernel for MicroKernel<T, A> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa, const ROWS: usize, const VECTORS: usize>(self, isa: S) {
        // C may lie far out, and its tile is wanted when the sums are done.
        if self.depth >= PREFETCH_DEPTH {
            for i in 0..ROWS {
                for v in 0..VECTORS {
                    let column = (v * T::Lanes::<S>::COUNT) as isize * self.c_col_stride;
                    isa.prefetch(self.c.wrapping_offset(i as isize * self.c_row_stride + column));
                }
            }
        }
        // SAFETY: whoever makes a `MicroKernel` promises `depth` steps of `ROWS` rows of A and of `VECTORS` vectors of B.
        let sums = unsafe { accumulate::<S, T, A, ROWS, VECTORS>(isa, self.depth, self.a, self.b, self.b_stride) };
        if self.c_col_stride == 1 {
            // SAFETY: whoever makes a `MicroKernel` promises `ROWS` rows of `cols` writable columns at `c`.
            unsafe { update(isa, &sums, self.alpha, self.beta, self.c, self.c_row_stride, self.cols) }
        } else {
            self.update_scattered(isa, &sums);
        }
    }
}

/// The sums over the depth: `sums[i][v]` is row i of A times vector v of B.
///
/// # Safety
/// `a` has `ROWS` readable elements at each of `depth` steps, and `b` is valid for `VECTORS` vectors at each of `depth` multiples of `b_stride`.
#[inline(always)]
unsafe fn accumulate<S: Isa, T: Scalar, A: PanelOfA<T>, const ROWS: usize, const VECTORS: usize>(
    isa: S,
    depth: usize,
    mut a: A,
    mut b: *const T,
    b_stride: isize,
) -> [[T::Lanes<S>; VECTORS]; ROWS] {
    let zero = T::Lanes::<S>::splat(isa, T::ZERO);
    let mut sums = [[zero; VECTORS]; ROWS];
    for _ in 0..depth {
        let mut row = [zero; VECTORS];
        for (v, vector) in row.iter_mut().enumerate() {
            // SAFETY: vector `v` of this row of B is readable, by the contract.
            *vector = unsafe { T::Lanes::<S>::load(isa, b.add(v * T::Lanes::<S>::COUNT)) };
        }
        for (i, sum) in sums.iter_mut().enumerate() {
            // SAFETY: row `i < ROWS` of this depth step of A is readable, by the contract.
            let x = T::Lanes::<S>::splat(isa, unsafe { *a.address::<ROWS>(i) });
            for (sum, &vector) in sum.iter_mut().zip(&row) {
                *sum = x.mul_add(isa, vector, *sum);
            }
        }
        a.advance::<ROWS>();
        b = b.wrapping_offset(b_stride);
    }
    sums
}

/// Writes `alpha sums + beta C` to the first `cols` columns of C, whose columns are adjacent.
///
/// # Safety
/// `c` is valid for reads and writes of `cols` elements at each of `ROWS` multiples of `row_stride`, and
/// `cols` is at most `VECTORS` times the lane count.
#[inline(always)]
unsafe fn update<S: Isa, T: Scalar, const ROWS: usize, const VECTORS: usize>(
    isa: S,
    sums: &[[T::Lanes<S>; VECTORS]; ROWS],
    alpha: T,
    beta: T,
    c: *mut T,
    row_stride: isize,
    cols: usize,
) {
    let lanes = T::Lanes::<S>::COUNT;
    let alpha = T::Lanes::<S>::splat(isa, alpha);
    let read = beta != T::ZERO;
    let beta = T::Lanes::<S>::splat(isa, beta);
    for (i, sums) in sums.iter().enumerate() {
        let line = c.wrapping_offset(i as isize * row_stride);
        for (v, &sum) in sums.iter().enumerate() {
            let target = line.wrapping_add(v * lanes);
            let width = cols.saturating_sub(v * lanes);
            let scaled = sum.mul(isa, alpha);
            if width >= lanes {
                // SAFETY: a whole vector of this row lies within `cols`.
                unsafe {
                    let old = || T::Lanes::<S>::load(isa, target);
                    let new = if read { beta.mul_add(isa, old(), scaled) } else { scaled };
                    new.store(isa, target);
                }
            } else {
                // SAFETY: `width` elements of this vector lie within `cols`.
                unsafe {
                    let old = || T::Lanes::<S>::load_partial(isa, target, width);
                    let new = if read { beta.mul_add(isa, old(), scaled) } else { scaled };
                    new.store_partial(isa, target, width);
                }
            }
        }
    }
}

impl<T: Scalar, A: PanelOfA<T>> MicroKernel<T, A> {
    /// The update for a C whose columns are not adjacent: through a tile on the stack, by the same vector operations.
    #[inline(always)]
    fn update_scattered<S: Isa, const ROWS: usize, const VECTORS: usize>(
        &self,
        isa: S,
        sums: &[[T::Lanes<S>; VECTORS]; ROWS],
    ) {
        let width = VECTORS * T::Lanes::<S>::COUNT;
        let mut tile = [T::ZERO; MAX_TILE];
        let address = |i: usize, j: usize| {
            self.c.wrapping_offset(i as isize * self.c_row_stride + j as isize * self.c_col_stride)
        };
        if self.beta != T::ZERO {
            for i in 0..ROWS {
                for j in 0..self.cols {
                    // SAFETY: element (i, j) of the tile of C is readable, by the maker's promise.
                    tile[i * width + j] = unsafe { *address(i, j) };
                }
            }
        }
        assert!(ROWS * width <= MAX_TILE && self.cols <= width);
        // SAFETY: the tile on the stack has `ROWS` rows of `width` elements, asserted above.
        unsafe { update(isa, sums, self.alpha, self.beta, tile.as_mut_ptr(), width as isize, width) };
        for i in 0..ROWS {
            for j in 0..self.cols {
                // SAFETY: element (i, j) of the tile of C is writable, by the maker's promise.
                unsafe { *address(i, j) = tile[i * width + j] };
            }
        }
    }
}
