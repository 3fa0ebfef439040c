//! Products in which an operand lies the wrong way, and costs little to turn first: what is left is a product of row-major operands.
//!
//! Tiles read rows of B in vectors, and write C's so; the numbers of A that they multiply those by may lie along its rows or beside each
//! other. In a large product, blocks of a B whose columns are adjacent are turned on their way into copies. In a small one, all of B is; and
//! where A and C are small beside B, as in a layer's few samples times its many weights, these are turned instead: C' = B' A'.

use super::path::{NARROW, WORTH_A_THREAD};
use super::transpose::{Ahead, transpose};
use super::{Operands, is_trivial, narrow, run_anew};
use crate::aligned::CACHE_LINE;
use crate::isa::{Isa, Lanes, Scalar};
use crate::matrix::{MatMut, MatRef};
use crate::parallel::{self, Divide, Grain};
use crate::workspace::with_scratch;

/// What is turned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Turn {
    B,
    /// The product: C' = B' A', for which C is turned, and A and B unless their columns are adjacent.
    Product,
}

/// The most elements of each operand of a product that is turned. An element's bits depend on what is turned, so that is the same on every
/// machine, and for any beta.
const MOST: usize = 1 << 19;

/// What is turned of a product, if that pays.
pub(super) fn choose<S: Isa, T: Scalar>(operands: &Operands<'_, T>) -> Option<Turn> {
    let Operands { a, b, ref c, .. } = *operands;
    let (m, k, n) = (a.rows(), a.cols(), b.cols());
    let (is_across, is_turned) = (a.col_stride() != 1, b.col_stride() != 1);
    let fits = c.col_stride() == 1 && (!is_across || a.row_stride() == 1) && (!is_turned || b.row_stride() == 1);
    if !fits || !(is_across || is_turned) || m == 1 || n == 1 || is_trivial(operands) {
        return None;
    }
    let is_small = m.saturating_mul(n).saturating_mul(k) <= WORTH_A_THREAD;
    // The ways that copy a few columns read them as they lie.
    let reads_b = is_turned && !is_across && narrow::pays::<S, T>(n, k);
    let reads_a = is_turned && !is_across && narrow::pays::<S, T>(m, k);
    if !reads_b && pays_for_the_product::<S, T>((m, k, n), [is_across, is_turned], reads_a, is_small) {
        Some(Turn::Product)
    } else if is_turned && is_small && !reads_a && !reads_b {
        Some(Turn::B)
    } else {
        None
    }
}

/// Whether it pays to turn what C' = B' A' needs of a product whose A, or B, has adjacent columns. Else, if few columns of A' are what is
/// read (`reads_a`), or C has few columns, it is computed that way all the same, but C is turned by tiles.
fn pays_for_the_product<S: Isa, T: Scalar>(
    (m, k, n): (usize, usize, usize),
    [is_across, is_turned]: [bool; 2],
    reads_a: bool,
    is_small: bool,
) -> bool {
    let [of_a, of_b, of_c] = [cost::<S, T>(m, k), cost::<S, T>(k, n), cost::<S, T>(m, n)];
    let the_other_way = multiply_adds::<S, T>(n, k, m);
    let as_it_is = if reads_a {
        the_other_way.saturating_add(of_c.saturating_add(of_c / 4))
    } else if is_turned {
        // A copy in blocks stays nearer than one of the whole.
        in_tiles::<S, T>(m, k, n).saturating_add(if is_small { of_b } else { of_b / 2 })
    } else if n <= NARROW {
        // Its tiles prefetch nothing.
        the_other_way.saturating_add(the_other_way / 32).saturating_add(of_c)
    } else {
        in_tiles::<S, T>(m, k, n)
    };
    let turns_a = if is_across { 0 } else { of_a };
    let turns_b = if is_turned { 0 } else { of_b };
    let turned = the_other_way.saturating_add(turns_a).saturating_add(turns_b).saturating_add(of_c);
    let fits = |is_copied: bool, rows: usize, cols: usize| !is_copied || rows.saturating_mul(cols) <= MOST;
    let all_fit = fits(true, m, n) && fits(!is_across, m, k) && fits(!is_turned, k, n);
    all_fit && turned < as_it_is
}

/// Multiply-adds of vectors that it takes as long as to turn a matrix, about: a square that is not whole takes as long as one that is.
fn cost<S: Isa, T: Scalar>(rows: usize, cols: usize) -> usize {
    let lanes = T::Lanes::<S>::COUNT;
    let whole = |extent: usize| extent.div_ceil(lanes).saturating_mul(lanes);
    whole(rows).saturating_mul(whole(cols)) / 8 * 3
}

/// Multiply-adds of vectors of a product of row-major operands, about.
fn multiply_adds<S: Isa, T: Scalar>(m: usize, k: usize, n: usize) -> usize {
    if narrow::pays::<S, T>(n, k) { m.saturating_mul(narrow::cost::<S, T>(n, k)) } else { in_tiles::<S, T>(m, k, n) }
}

/// Multiply-adds of the tiles' vectors.
fn in_tiles<S: Isa, T: Scalar>(m: usize, k: usize, n: usize) -> usize {
    let lanes = T::Lanes::<S>::COUNT;
    let (vectors, rest) = (n / lanes, n % lanes);
    let last = match rest {
        0 => 0,
        _ if S::HALVES && rest <= lanes / 2 => k / 2,
        _ => k,
    };
    m.saturating_mul(vectors.saturating_mul(k).saturating_add(last))
}

/// C <- epilogue(alpha A B + beta C), where `turn` is what [`choose`] chose.
pub(super) fn run<S: Isa, T: Scalar>(isa: S, operands: Operands<'_, T>, turn: Turn) {
    match turn {
        Turn::B => turn_b(isa, operands),
        Turn::Product => turn_product(isa, operands),
    }
}

fn turn_b<S: Isa, T: Scalar>(isa: S, operands: Operands<'_, T>) {
    let (k, n) = operands.b.shape();
    with_scratch(k * n, |copy: &mut [T]| {
        let b = turned(isa, operands.b.transposed(), copy);
        run_anew(isa, Operands { b, ..operands });
    });
}

fn turn_product<S: Isa, T: Scalar>(isa: S, operands: Operands<'_, T>) {
    let Operands { alpha, a, b, beta, c, epilogue } = operands;
    let ((m, n), k) = (c.shape(), a.cols());
    // Each copy starts with a cache line.
    let room = |length: usize| length.next_multiple_of(CACHE_LINE / size_of::<T>());
    let room_for_a = if a.col_stride() == 1 { room(m * k) } else { 0 };
    let room_for_b = if b.col_stride() == 1 { room(k * n) } else { 0 };
    with_scratch(room_for_a + room_for_b + m * n, |copies: &mut [T]| {
        let (copy_of_a, copies) = copies.split_at_mut(room_for_a);
        let (copy_of_b, copy) = copies.split_at_mut(room_for_b);
        let right = if room_for_a == 0 { a.transposed() } else { turned(isa, a, copy_of_a) };
        let left = if room_for_b == 0 { b.transposed() } else { turned(isa, b, copy_of_b) };
        if beta != T::ZERO {
            turned(isa, c.as_ref(), copy);
        }
        let target = MatMut::row_major(copy, n, m).expect("there is room for C");
        run_anew(isa, Operands { alpha, a: left, b: right, beta, c: target, epilogue: epilogue.transposed() });
        turn(isa, MatRef::row_major(copy, n, m).expect("there is room for C"), c);
    });
}

/// The columns of `source` as rows in `copy`.
fn turned<'a, S: Isa, T: Scalar>(isa: S, source: MatRef<'_, T>, copy: &'a mut [T]) -> MatRef<'a, T> {
    let (rows, cols) = source.shape();
    turn(isa, source, MatMut::row_major(copy, cols, rows).expect("there is room for the copy"));
    MatRef::row_major(copy, cols, rows).expect("there is room for the copy")
}

/// Writes the columns of `source` to the rows of `target`, which threads share.
fn turn<S: Isa, T: Scalar>(isa: S, source: MatRef<'_, T>, target: MatMut<'_, T>) {
    /// Multiply-adds that take as long as to turn an element, about.
    const EACH: usize = 8;
    let (rows, cols) = source.shape();
    let columns = Columns { isa, source, target };
    if rows * cols * EACH <= WORTH_A_THREAD {
        return columns.run();
    }
    parallel::divide(columns, Grain::of(rows * EACH, WORTH_A_THREAD).multiple_of(T::Lanes::<S>::COUNT));
}

/// Columns that become rows.
struct Columns<'a, 't, S, T> {
    isa: S,
    source: MatRef<'a, T>,
    target: MatMut<'t, T>,
}

impl<S: Isa, T: Scalar> Divide for Columns<'_, '_, S, T> {
    fn length(&self) -> usize {
        self.source.cols()
    }

    fn split(self, at: usize) -> (Self, Self) {
        let Self { isa, source, target } = self;
        let (left, right) = source.split_cols(at);
        let (top, bottom) = target.split_rows(at);
        (Self { isa, source: left, target: top }, Self { isa, source: right, target: bottom })
    }

    fn run(self) {
        transpose(self.isa, self.source, self.target, Ahead::Nothing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::{dispatch_at, supported};
    use crate::isa::{Kernel, Level};

    /// What is turned of an `m` x `k` by `k` x `n` product of `f32`, whose A and B may be column-major.
    struct Found((usize, usize, usize), [bool; 2], f32);

    impl Kernel for Found {
        type Output = Option<Turn>;

        fn run<S: Isa>(self, _: S) -> Option<Turn> {
            let Self((m, k, n), [a_by_columns, b_by_columns], alpha) = self;
            let (a, b, mut c) = (vec![0.0; m * k], vec![0.0; k * n], vec![0.0; m * n]);
            let view = |data, rows, cols, by_columns| match by_columns {
                true => MatRef::row_major(data, cols, rows).map(MatRef::transposed),
                false => MatRef::row_major(data, rows, cols),
            };
            let (a, b) = (view(&a, m, k, a_by_columns).unwrap(), view(&b, k, n, b_by_columns).unwrap());
            let c = MatMut::row_major(&mut c, m, n).unwrap();
            choose::<S, f32>(&Operands { alpha, a, b, beta: 0.0, c, epilogue: Default::default() })
        }
    }

    #[test]
    fn what_is_smaller_is_turned() {
        let (rows, transposed_b, transposed_a, both) = ([false, false], [false, true], [true, false], [true, true]);
        for level in supported() {
            let found = |shape, layout| dispatch_at(level, Found(shape, layout, 1.0)).unwrap();
            assert_eq!(found((64, 64, 64), rows), None, "{level}: nothing lies the wrong way");
            assert_eq!(found((32, 1024, 1024), transposed_b), Some(Turn::Product), "{level}: few rows");
            assert_eq!(found((48, 48, 48), transposed_b), Some(Turn::B), "{level}: a small B");
            assert_eq!(found((1000, 1000, 1000), transposed_b), None, "{level}: copies in blocks");
            assert_eq!(found((64, 1024, 512), both), Some(Turn::Product), "{level}: a small C alone");
            assert_eq!(found((3000, 256, 10), transposed_a), Some(Turn::Product), "{level}: few columns");
            assert_eq!(found((200, 200, 200), transposed_a), None, "{level}: tiles read such an A as it is");
            assert_eq!(found((1, 100, 100), transposed_b), None, "{level}: one row");
            assert_eq!(found((100, 100, 1), transposed_a), None, "{level}: one column");
            assert_eq!(dispatch_at(level, Found((48, 48, 48), transposed_b, 0.0)).unwrap(), None, "{level}: alpha 0");
            if level != Level::Portable {
                assert_eq!(
                    found((64, 600, 10), transposed_b),
                    None,
                    "{level}: few columns, which are read as they lie"
                );
                assert_eq!(found((4, 1000, 100), transposed_b), None, "{level}: few rows, likewise");
                assert_eq!(
                    found((10, 256, 3000), transposed_b),
                    Some(Turn::Product),
                    "{level}: likewise, but C is large"
                );
            }
            if level == Level::Avx512 {
                assert_eq!(found((17, 1000, 1000), transposed_b), None, "vectors of which half would be empty");
            }
        }
    }
}
