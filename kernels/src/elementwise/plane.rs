//! A plane of rows and columns: what threads share and vectors run along.

use super::Function;
use crate::isa::{Isa, Kernel, Lanes, MAX_LANES, Scalar};
use crate::matrix::{MatMut, MatRef};
use crate::parallel::{self, Divide};

/// Elements that are worth another thread: about 10 microseconds.
const WORTH_A_THREAD: usize = 1 << 15;

/// Elements of a row that are added up lane by lane, before their sum is added to that of the row.
const SUMMED: usize = 4096;

/// The operands at `rows` x `cols` indices. The strides along a row of x are 0 or 1, and so is y's; y has one row, or
/// one column, where it is repeated.
#[derive(Debug)]
pub struct Plane<'a, T, const N: usize> {
    pub rows: usize,
    pub cols: usize,
    pub x: [MatRef<'a, T>; N],
    pub y: MatMut<'a, T>,
}

/// What is done with a piece of a plane: [`Loop`] for one function at one level. Behind a pointer, so that the driving of loops
/// and threads is compiled once for each type and not for each function.
pub type Work<'a, T, const N: usize> = dyn Fn(Plane<'_, T, N>) + Sync + 'a;

impl<T: Scalar, const N: usize> Plane<'_, T, N> {
    /// Does `work` piece by piece on the threads of the calling pool.
    pub fn run(self, work: &Work<'_, T, N>) {
        let (y_rows, y_cols) = self.y.shape();
        let along_rows = y_rows == self.rows && (self.rows >= self.cols || y_cols != self.cols);
        let can_be_cut = along_rows || y_cols == self.cols;
        let grain = match (can_be_cut, along_rows) {
            (false, _) => usize::MAX,
            (true, true) => WORTH_A_THREAD.div_ceil(self.cols),
            // Whole cache lines, so that no two threads write to one.
            (true, false) => WORTH_A_THREAD.div_ceil(self.rows).next_multiple_of(MAX_LANES),
        };
        parallel::divide(Part { work, plane: self, along_rows }, grain);
    }
}

/// A part of a plane's rows or columns.
struct Part<'a, T, const N: usize> {
    work: &'a Work<'a, T, N>,
    plane: Plane<'a, T, N>,
    along_rows: bool,
}

impl<T: Scalar, const N: usize> Divide for Part<'_, T, N> {
    fn length(&self) -> usize {
        if self.along_rows { self.plane.rows } else { self.plane.cols }
    }

    fn split(self, at: usize) -> (Self, Self) {
        let Self { work, plane: Plane { rows, cols, x, y }, along_rows } = self;
        let part = |rows, cols, x, y| Self { work, plane: Plane { rows, cols, x, y }, along_rows };
        if along_rows {
            let (top, bottom) = y.split_rows(at);
            (
                part(at, cols, x.map(|x| x.split_rows(at).0), top),
                part(rows - at, cols, x.map(|x| x.split_rows(at).1), bottom),
            )
        } else {
            let (left, right) = y.split_cols(at);
            (
                part(rows, at, x.map(|x| x.split_cols(at).0), left),
                part(rows, cols - at, x.map(|x| x.split_cols(at).1), right),
            )
        }
    }

    fn run(self) {
        (self.work)(self.plane);
    }
}

/// y <- f(x), or y <- y + f(x), for one piece of a plane on one thread.
pub struct Loop<'a, T, F, const N: usize> {
    pub f: F,
    pub add: bool,
    pub plane: Plane<'a, T, N>,
}

impl<T: Scalar, F: Function<T, N>, const N: usize> Kernel for Loop<'_, T, F, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let Plane { rows, cols, x, y } = self.plane;
        let (y_rows, y_cols) = y.shape();
        let summed = y_cols != cols;
        for i in 0..rows {
            let mut repeated = [[T::ZERO; MAX_LANES]; N];
            let sources = sources(&x, i, &mut repeated);
            let target = y.element(if y_rows == rows { i } else { 0 }, 0);
            // SAFETY: each source has `cols` readable elements a step apart, or a vector for a step of 0, in `repeated`,
            // which lives as long as this pass and is not written again; the target has `cols` elements, or one if `summed`.
            unsafe {
                row(isa, self.f, sources, target, cols, if summed { Into::Sum } else { Into::Row { add: self.add } })
            };
        }
    }
}

/// Where a row's operand lies, and how far apart its elements are: 0 or 1.
#[derive(Clone, Copy)]
struct Source<T> {
    first: *const T,
    step: usize,
}

/// The sources of row `i`. A number that is repeated along the row is read from a vector of it, in `repeated`.
fn sources<T: Scalar, const N: usize>(
    x: &[MatRef<'_, T>; N],
    i: usize,
    repeated: &mut [[T; MAX_LANES]; N],
) -> [Source<T>; N] {
    let mut sources = [Source { first: std::ptr::null(), step: 1 }; N];
    for ((source, repeated), x) in sources.iter_mut().zip(repeated).zip(x) {
        source.first = x.element(i, 0);
        if x.col_stride() == 0 {
            // SAFETY: the row has a first column.
            *repeated = [unsafe { *source.first }; MAX_LANES];
            *source = Source { first: repeated.as_ptr(), step: 0 };
        }
    }
    sources
}

/// What becomes of the values of a row.
#[derive(Clone, Copy)]
enum Into {
    /// They are stored, or added to what is there.
    Row { add: bool },
    /// Their sum is added to one element.
    Sum,
}

/// f along one row.
///
/// # Safety
/// Each source is readable at `cols` elements `step` apart, or at a vector if `step` is 0; `target` is readable and writable
/// at `cols` elements, or at one for [`Into::Sum`]; no source is written.
#[inline(always)]
unsafe fn row<S: Isa, T: Scalar, F: Function<T, N>, const N: usize>(
    isa: S,
    f: F,
    sources: [Source<T>; N],
    target: *mut T,
    cols: usize,
    into: Into,
) {
    let lanes = T::Lanes::<S>::COUNT;
    let zero = T::Lanes::<S>::splat(isa, T::ZERO);
    let (mut sums, mut total) = (zero, 0.0);
    for j in (0..cols).step_by(lanes) {
        let count = lanes.min(cols - j);
        let mut x = [zero; N];
        for (x, source) in x.iter_mut().zip(&sources) {
            // SAFETY: a source has `count` more elements at `j` steps from its first, or a whole vector at its first.
            *x = unsafe { load::<S, T>(isa, source.first.add(j * source.step), count) };
        }
        let value = f.lanes(isa, x);
        match into {
            Into::Row { add } => {
                // SAFETY: the target has `count` more elements at `j`.
                unsafe {
                    let target = target.add(j);
                    let value = if add { load::<S, T>(isa, target, count).add(isa, value) } else { value };
                    store::<S, T>(isa, value, target, count);
                }
            }
            Into::Sum => {
                sums = sums.add(isa, first::<S, T>(isa, value, count));
                if (j + lanes) % SUMMED == 0 {
                    total += sums.reduce_sum(isa).to_f64();
                    sums = zero;
                }
            }
        }
    }
    if matches!(into, Into::Sum) {
        total += sums.reduce_sum(isa).to_f64();
        // SAFETY: the target is one element.
        unsafe { *target = T::from_f64((*target).to_f64() + total) };
    }
}

/// The first `count` lanes of `value`, and zeros.
#[inline(always)]
fn first<S: Isa, T: Scalar>(isa: S, value: T::Lanes<S>, count: usize) -> T::Lanes<S> {
    if count == T::Lanes::<S>::COUNT {
        return value;
    }
    let mut buffer = [T::ZERO; MAX_LANES];
    value.write(isa, &mut buffer[..count]);
    T::Lanes::<S>::read(isa, &buffer)
}

/// # Safety
/// `source` is valid for reads of `count` elements, at most a vector.
#[inline(always)]
unsafe fn load<S: Isa, T: Scalar>(isa: S, source: *const T, count: usize) -> T::Lanes<S> {
    // SAFETY: the caller's promise.
    unsafe {
        if count == T::Lanes::<S>::COUNT {
            T::Lanes::<S>::load(isa, source)
        } else {
            T::Lanes::<S>::load_partial(isa, source, count)
        }
    }
}

/// # Safety
/// `target` is valid for writes of `count` elements, at most a vector.
#[inline(always)]
unsafe fn store<S: Isa, T: Scalar>(isa: S, value: T::Lanes<S>, target: *mut T, count: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if count == T::Lanes::<S>::COUNT {
            value.store(isa, target);
        } else {
            value.store_partial(isa, target, count);
        }
    }
}
