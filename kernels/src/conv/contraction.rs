//! The micro-kernel of all three passes: tiles of sums of products over three nested axes, in registers.

use crate::isa::{Isa, Lanes, MAX_LANES, Scalar, TileKernel};

/// The most elements in a row of a tile at any level: 2 vectors.
pub(super) const MAX_WIDTH: usize = 2 * MAX_LANES;

/// An axis that is summed over: how many steps, and how far apart they are in A and in B.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum {
    pub count: usize,
    pub a: usize,
    pub b: usize,
}

/// An axis along which tiles lie: how many, and how far apart they are in A and in C.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiles {
    pub count: usize,
    pub a: usize,
    pub c: usize,
}

/// C\[i\] <- max(floor, addend + sum over all steps of A\[i\] B) for every tile, rows i `a_row` and `c_row` elements apart.
///
/// An element of A is one number, one of B and C a row of `cols` of them. Whoever makes one promises that, for all tiles and
/// steps, A is readable for as many rows as a tile has and B for as many whole vectors; that C is readable and
/// writable for rows of `cols` elements, of which at least one lies in the last vector, and the addend readable for one; and
/// that nothing else accesses that part of C meanwhile.
///
/// Each element of C is one chain of multiply-adds, the first axis outermost, the same wherever in a tile it lies and whatever
/// the tile's extents are; its addend comes last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contraction<T> {
    pub a: *const T,
    pub a_row: usize,
    pub b: *const T,
    pub sums: [Sum; 3],
    pub tiles: [Tiles; 2],
    pub c: *mut T,
    pub c_row: usize,
    pub cols: usize,
    /// The same for all rows and tiles; none: what C holds.
    pub addend: Option<*const T>,
    /// Minus infinity: none. NaN passes.
    pub floor: T,
}

impl<T: Scalar> Contraction<T> {
    /// Runs it for `rows` rows in a line, cut into tiles of nearly the same number of rows: what `tiles[1]` holds is not used.
    pub fn run_rows<S: Isa>(self, isa: S, rows: usize) {
        let vectors = self.cols.div_ceil(T::Lanes::<S>::COUNT);
        let tiles = rows.div_ceil(S::GEMM_ROWS);
        if tiles == 0 || vectors == 0 {
            return;
        }
        let (height, higher) = (rows / tiles, rows % tiles);
        for (first, count, height) in [(0, higher, height + 1), (higher * (height + 1), tiles - higher, height)] {
            if count > 0 {
                let line = Tiles { count, a: height * self.a_row, c: height * self.c_row };
                let part = Self {
                    a: self.a.wrapping_add(first * self.a_row),
                    c: self.c.wrapping_add(first * self.c_row),
                    tiles: [self.tiles[0], line],
                    ..self
                };
                isa.gemm_tile(height, vectors, part);
            }
        }
    }
}

impl<T: Scalar> TileKernel for Contraction<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa, const ROWS: usize, const VECTORS: usize>(self, isa: S) {
        for i in 0..self.tiles[0].count {
            for j in 0..self.tiles[1].count {
                let a = self.a.wrapping_add(i * self.tiles[0].a + j * self.tiles[1].a);
                let c = self.c.wrapping_add(i * self.tiles[0].c + j * self.tiles[1].c);
                // SAFETY: whoever makes a `Contraction` promises that A, B and C are there for every tile and step.
                unsafe {
                    let sums = self.sums::<S, ROWS, VECTORS>(isa, a);
                    self.store(isa, &sums, c);
                }
            }
        }
    }
}

impl<T: Scalar> Contraction<T> {
    /// The sums over all steps: `sums[i][v]` is row i of A times vector v of B.
    ///
    /// # Safety
    /// A is readable from `a` on for `ROWS` rows, and B for `VECTORS` vectors, at every step.
    #[inline(always)]
    unsafe fn sums<S: Isa, const ROWS: usize, const VECTORS: usize>(
        &self,
        isa: S,
        a: *const T,
    ) -> [[T::Lanes<S>; VECTORS]; ROWS] {
        let zero = T::Lanes::<S>::splat(isa, T::ZERO);
        let mut sums = [[zero; VECTORS]; ROWS];
        let [outer, middle, inner] = self.sums;
        let (mut outer_a, mut outer_b) = (a, self.b);
        for _ in 0..outer.count {
            let (mut middle_a, mut middle_b) = (outer_a, outer_b);
            for _ in 0..middle.count {
                let (mut a, mut b) = (middle_a, middle_b);
                for _ in 0..inner.count {
                    let mut row = [zero; VECTORS];
                    for (v, vector) in row.iter_mut().enumerate() {
                        // SAFETY: vector `v` of B is readable at this step, by the contract.
                        *vector = unsafe { T::Lanes::<S>::load(isa, b.wrapping_add(v * T::Lanes::<S>::COUNT)) };
                    }
                    for (i, sums) in sums.iter_mut().enumerate() {
                        // SAFETY: row `i < ROWS` of A is readable at this step, by the contract.
                        let x = T::Lanes::<S>::splat(isa, unsafe { *a.wrapping_add(i * self.a_row) });
                        for (sum, &vector) in sums.iter_mut().zip(&row) {
                            *sum = x.mul_add(isa, vector, *sum);
                        }
                    }
                    (a, b) = (a.wrapping_add(inner.a), b.wrapping_add(inner.b));
                }
                (middle_a, middle_b) = (middle_a.wrapping_add(middle.a), middle_b.wrapping_add(middle.b));
            }
            (outer_a, outer_b) = (outer_a.wrapping_add(outer.a), outer_b.wrapping_add(outer.b));
        }
        sums
    }

    /// Writes a tile.
    ///
    /// # Safety
    /// `c` is readable and writable for `ROWS` rows of `cols` elements, one of them at least in the last of `VECTORS`
    /// vectors, and the addend is readable for one.
    #[inline(always)]
    unsafe fn store<S: Isa, const ROWS: usize, const VECTORS: usize>(
        &self,
        isa: S,
        sums: &[[T::Lanes<S>; VECTORS]; ROWS],
        c: *mut T,
    ) {
        let lanes = T::Lanes::<S>::COUNT;
        let floor = T::Lanes::<S>::splat(isa, self.floor);
        let (addend, addend_row) = self.addend.map_or((c.cast_const(), self.c_row), |addend| (addend, 0));
        let last = self.cols - (VECTORS - 1) * lanes;
        for (i, sums) in sums.iter().enumerate() {
            for (v, &sum) in sums.iter().enumerate() {
                let target = c.wrapping_add(i * self.c_row + v * lanes);
                let addend = addend.wrapping_add(i * addend_row + v * lanes);
                if v + 1 < VECTORS || last == lanes {
                    // SAFETY: a whole vector of this row lies within `cols`.
                    unsafe {
                        let value = sum.add(isa, T::Lanes::<S>::load(isa, addend));
                        floor.select_greater(isa, value, floor, value).store(isa, target);
                    }
                } else {
                    // SAFETY: `last < lanes` elements of this vector lie within `cols`.
                    unsafe {
                        let value = sum.add(isa, T::Lanes::<S>::load_partial(isa, addend, last));
                        floor.select_greater(isa, value, floor, value).store_partial(isa, target, last);
                    }
                }
            }
        }
    }
}
