//! Products of numbers that the kernels do not compute, as products of the real numbers that they consist of.
//!
//! dst is cut into tiles. For each, the parts of lhs and rhs are written into scratch memory, a block of the depth at a
//! time, and multiplied there; what they sum to is scaled and stored. The cuts follow from the shape alone, so the
//! result has the same bits for any number of threads.

use crate::call::{Call, Matrix};
use crate::element::{Element, Real};
use lanegrad_kernels::isa::Scalar;
use lanegrad_kernels::parallel::{self, Divide};

/// Rows and columns of a tile.
const SIDE: usize = 256;
/// Depth of a block: with two parts of each operand, it stays in a second-level cache.
const DEPTH: usize = 256;

/// dst <- alpha dst + beta lhs rhs, on the threads of the calling pool.
///
/// # Safety
/// As [`crate::gemm`].
pub(crate) unsafe fn run<T: Element>(call: &Call<T>) {
    let (m, n, _) = call.shape;
    let count = m.div_ceil(SIDE) * n.div_ceil(SIDE);
    parallel::divide(Tiles { call, first: 0, count }, 1);
}

/// Some of the tiles of dst, counted down its columns of tiles.
struct Tiles<'a, T> {
    /// The caller of [`run`] has made the promises of [`crate::gemm`] for it.
    call: &'a Call<T>,
    first: usize,
    count: usize,
}

// SAFETY: tiles share no element of dst, and lhs and rhs are only read; the numbers may be sent.
unsafe impl<T: Element> Send for Tiles<'_, T> {}

impl<T: Element> Divide for Tiles<'_, T> {
    fn length(&self) -> usize {
        self.count
    }

    fn split(self, at: usize) -> (Self, Self) {
        let (call, first) = (self.call, self.first);
        (Self { call, first, count: at }, Self { call, first: first + at, count: self.count - at })
    }

    fn run(self) {
        let (m, n, k) = self.call.shape;
        let (rows, cols, depth) = (SIDE.min(m), SIDE.min(n), DEPTH.min(k));
        let zeros = |length: usize| vec![T::Part::ZERO; T::PARTS * length];
        let mut scratch = Scratch { lhs: zeros(rows * depth), rhs: zeros(depth * cols), sums: zeros(rows * cols) };
        let down = m.div_ceil(SIDE);
        for index in self.first..self.first + self.count {
            let (row, col) = (index % down * SIDE, index / down * SIDE);
            let tile = Tile { call: self.call, row, col, rows: SIDE.min(m - row), cols: SIDE.min(n - col) };
            // SAFETY: the tile lies in dst and is this piece's alone; the promises for the call hold.
            unsafe {
                tile.multiply(&mut scratch);
                tile.store(&scratch.sums);
            }
        }
    }
}

/// The parts of the operands of a tile, one after the other, and of what they sum to.
struct Scratch<P> {
    lhs: Vec<P>,
    rhs: Vec<P>,
    sums: Vec<P>,
}

/// A tile of dst.
struct Tile<'a, T> {
    call: &'a Call<T>,
    row: usize,
    col: usize,
    rows: usize,
    cols: usize,
}

impl<T: Element> Tile<'_, T> {
    /// sums <- lhs rhs, in the order of dst.
    ///
    /// # Safety
    /// As [`crate::gemm`] for the call.
    unsafe fn multiply(&self, scratch: &mut Scratch<T::Part>) {
        let &Self { call, row, col, rows, cols } = self;
        let k = call.shape.2;
        let c = adjacent(scratch.sums.as_mut_ptr(), call.dst.is_column_major(), (rows, cols));
        for p in (0..k).step_by(DEPTH) {
            let depth = DEPTH.min(k - p);
            // SAFETY: both blocks lie in their operands.
            let (a, b) = unsafe {
                (
                    split(call.lhs.from(row, p), (rows, depth), call.conj_lhs, &mut scratch.lhs),
                    split(call.rhs.from(p, col), (depth, cols), call.conj_rhs, &mut scratch.rhs),
                )
            };
            for term in T::TERMS {
                let sign = if term.negative { -T::Part::ONE } else { T::Part::ONE };
                let kept = if p == 0 && term.is_first { T::Part::ZERO } else { T::Part::ONE };
                let a = Matrix { first: a.first.wrapping_add(term.a * rows * depth), ..a };
                let b = Matrix { first: b.first.wrapping_add(term.b * depth * cols), ..b };
                let c = Matrix { first: c.first.wrapping_add(term.c * rows * cols), ..c };
                // SAFETY: each part has as many elements as its matrix, and the three buffers are apart.
                unsafe { T::Part::product((rows, cols, depth), sign, a, b, kept, c) };
            }
        }
    }

    /// dst <- alpha dst + beta sums.
    ///
    /// # Safety
    /// As [`crate::gemm`] for the call.
    unsafe fn store(&self, sums: &[T::Part]) {
        let call = self.call;
        let (alpha, beta) = (call.alpha.widen(), call.beta.widen());
        let is_read = call.read_dst && alpha != T::Wide::default();
        let has_depth = call.shape.2 > 0;
        let (real, imaginary) = sums.split_at(self.rows * self.cols);
        for_each(call.dst.is_column_major(), (self.rows, self.cols), |index, i, j| {
            let target = call.dst.from(self.row + i, self.col + j).first;
            let old = is_read.then(|| {
                // SAFETY: the element exists, and is initialised since dst is to be read.
                let old = unsafe { target.read() }.widen();
                let old = if call.conj_dst { T::conjugate(old) } else { old };
                if alpha == T::UNIT { old } else { alpha * old }
            });
            let new = has_depth.then(|| {
                let second = if T::PARTS == 2 { imaginary[index] } else { T::Part::ZERO };
                beta * T::join([real[index], second])
            });
            let sum = old.into_iter().chain(new).reduce(|old, new| old + new).unwrap_or(T::Wide::default());
            // SAFETY: the element exists, and is this tile's.
            unsafe { target.write(T::narrow(sum)) };
        });
    }
}

/// A matrix of this shape without gaps.
fn adjacent<P>(first: P, is_column_major: bool, (rows, cols): (usize, usize)) -> Matrix<P> {
    let (row_stride, col_stride) = if is_column_major { (1, rows as isize) } else { (cols as isize, 1) };
    Matrix { first, row_stride, col_stride }
}

/// Calls `visit` with place, row and column of every element of a matrix without gaps, in its order.
#[inline(always)]
fn for_each(is_column_major: bool, (rows, cols): (usize, usize), mut visit: impl FnMut(usize, usize, usize)) {
    let (lines, length) = if is_column_major { (cols, rows) } else { (rows, cols) };
    for line in 0..lines {
        for place in 0..length {
            let (i, j) = if is_column_major { (place, line) } else { (line, place) };
            visit(line * length + place, i, j);
        }
    }
}

/// Writes the parts of a matrix into `parts`, one part after the other, each in the order of the matrix.
///
/// # Safety
/// Every element of `source` is readable and initialised.
unsafe fn split<T: Element>(
    source: Matrix<*const T>,
    shape: (usize, usize),
    conjugate: bool,
    parts: &mut [T::Part],
) -> Matrix<*const T::Part> {
    let is_column_major = source.is_column_major();
    let (rows, cols) = shape;
    let (real, imaginary) = parts.split_at_mut(rows * cols);
    let (lines, length) = if is_column_major { (cols, rows) } else { (rows, cols) };
    let (line_stride, stride) =
        if is_column_major { (source.col_stride, source.row_stride) } else { (source.row_stride, source.col_stride) };
    for line in 0..lines {
        let first = source.first.wrapping_offset(line as isize * line_stride);
        let real = &mut real[line * length..][..length];
        // SAFETY: the elements of the line are adjacent, readable and initialised.
        if stride == 1 && T::convert_line(unsafe { std::slice::from_raw_parts(first, length) }, real) {
            continue;
        }
        for place in 0..length {
            // SAFETY: the element exists.
            let number = unsafe { first.wrapping_offset(place as isize * stride).read() }.widen();
            let [re, im] = T::parts(if conjugate { T::conjugate(number) } else { number });
            real[place] = re;
            if T::PARTS == 2 {
                imaginary[line * length + place] = im;
            }
        }
    }
    adjacent(parts.as_ptr(), is_column_major, shape)
}
