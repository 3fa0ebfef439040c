//! Every type against plain sums in f64: sizes, layouts, factors, conjugations, values that are no numbers, threads.

use gemm::{Parallelism, c32, c64, f16, gemm};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::fmt::Debug;

/// A type of the package, as a complex number of two f64.
trait Number: Copy + Debug + PartialEq + Send + Sync + 'static {
    /// The distance from 1 to the next number that it is rounded to, and computed in.
    const EPSILON: (f64, f64);
    fn of(number: c64) -> Self;
    fn exact(self) -> c64;
}

impl Number for f32 {
    const EPSILON: (f64, f64) = (f32::EPSILON as f64, f32::EPSILON as f64);
    fn of(number: c64) -> Self {
        number.re as f32
    }
    fn exact(self) -> c64 {
        c64::new(self.into(), 0.0)
    }
}

impl Number for f64 {
    const EPSILON: (f64, f64) = (f64::EPSILON, f64::EPSILON);
    fn of(number: c64) -> Self {
        number.re
    }
    fn exact(self) -> c64 {
        c64::new(self, 0.0)
    }
}

impl Number for f16 {
    const EPSILON: (f64, f64) = (1.0 / 1024.0, f32::EPSILON as f64);
    fn of(number: c64) -> Self {
        f16::from_f64(number.re)
    }
    fn exact(self) -> c64 {
        c64::new(self.to_f64(), 0.0)
    }
}

impl Number for c32 {
    const EPSILON: (f64, f64) = (f32::EPSILON as f64, f32::EPSILON as f64);
    fn of(number: c64) -> Self {
        c32::new(number.re as f32, number.im as f32)
    }
    fn exact(self) -> c64 {
        c64::new(self.re.into(), self.im.into())
    }
}

impl Number for c64 {
    const EPSILON: (f64, f64) = (f64::EPSILON, f64::EPSILON);
    fn of(number: c64) -> Self {
        number
    }
    fn exact(self) -> c64 {
        self
    }
}

/// How a matrix lies in memory.
#[derive(Clone, Copy, Debug)]
enum Order {
    Rows,
    Columns,
    /// Rows apart from one another.
    PaddedRows,
    /// Columns apart from one another.
    PaddedColumns,
    /// Every second element of every second row.
    Scattered,
    /// Rows from the last to the first.
    Upwards,
    /// Columns from the last to the first, elements from the last to the first.
    Reversed,
}

const ORDERS: [Order; 7] = [
    Order::Rows,
    Order::Columns,
    Order::PaddedRows,
    Order::PaddedColumns,
    Order::Scattered,
    Order::Upwards,
    Order::Reversed,
];

#[derive(Clone)]
struct Matrix<T> {
    data: Vec<T>,
    offset: usize,
    shape: (usize, usize),
    row_stride: isize,
    col_stride: isize,
}

impl<T: Number> Matrix<T> {
    /// Numbers in -1..1.
    fn new(seed: u64, order: Order, rows: usize, cols: usize) -> Self {
        let (r, c) = (rows as isize, cols as isize);
        let (length, offset, row_stride, col_stride) = match order {
            Order::Rows => (rows * cols, 0, c, 1),
            Order::Columns => (rows * cols, 0, 1, r),
            Order::PaddedRows => (rows * (cols + 3), 1, c + 3, 1),
            Order::PaddedColumns => (cols * (rows + 5), 2, 1, r + 5),
            Order::Scattered => (4 * rows * cols, 0, 4 * c, 2),
            Order::Upwards => (rows * cols, rows.saturating_sub(1) * cols, -c, 1),
            Order::Reversed => (rows * cols, (rows * cols).saturating_sub(1), -1, -r),
        };
        let mut generator = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut part = || generator.random_range(-1.0..1.0);
        let data = (0..length + 1).map(|_| T::of(c64::new(part(), part()))).collect();
        Self { data, offset, shape: (rows, cols), row_stride, col_stride }
    }

    fn index(&self, i: usize, j: usize) -> usize {
        (self.offset as isize + i as isize * self.row_stride + j as isize * self.col_stride) as usize
    }

    fn at(&self, i: usize, j: usize) -> c64 {
        self.data[self.index(i, j)].exact()
    }

    /// Sets every element, and nothing between them.
    fn fill(&mut self, number: c64) {
        for i in 0..self.shape.0 {
            for j in 0..self.shape.1 {
                let index = self.index(i, j);
                self.data[index] = T::of(number);
            }
        }
    }
}

/// What is not an operand of a product.
#[derive(Clone, Copy, Debug)]
struct Options {
    alpha: c64,
    beta: c64,
    read_dst: bool,
    conj_dst: bool,
    conj_lhs: bool,
    conj_rhs: bool,
    parallelism: Parallelism,
}

const PLAIN: Options = Options {
    alpha: c64::new(0.0, 0.0),
    beta: c64::new(1.0, 0.0),
    read_dst: false,
    conj_dst: false,
    conj_lhs: false,
    conj_rhs: false,
    parallelism: Parallelism::None,
};

/// dst <- alpha dst + beta lhs rhs by the package.
fn compute<T: Number>(dst: &mut Matrix<T>, lhs: &Matrix<T>, rhs: &Matrix<T>, options: Options) {
    let ((m, n), k) = (dst.shape, lhs.shape.1);
    assert_eq!((lhs.shape, rhs.shape), ((m, k), (k, n)));
    // SAFETY: the matrices lie in their vectors, and dst's elements apart.
    unsafe {
        gemm(
            m,
            n,
            k,
            dst.data.as_mut_ptr().wrapping_add(dst.offset),
            dst.col_stride,
            dst.row_stride,
            options.read_dst,
            lhs.data.as_ptr().wrapping_add(lhs.offset),
            lhs.col_stride,
            lhs.row_stride,
            rhs.data.as_ptr().wrapping_add(rhs.offset),
            rhs.col_stride,
            rhs.row_stride,
            T::of(options.alpha),
            T::of(options.beta),
            options.conj_dst,
            options.conj_lhs,
            options.conj_rhs,
            options.parallelism,
        );
    }
}

fn conjugate(number: c64, really: bool) -> c64 {
    if really { number.conj() } else { number }
}

/// The sum of the magnitudes of the parts.
fn magnitude(number: c64) -> f64 {
    number.re.abs() + number.im.abs()
}

/// Compares with sums in f64, the elements with each other and what lies between them with what it was.
///
/// The bound is that of the rounding of a sum of the products' real terms, and one rounding of the result.
fn compare<T: Number>(found: &Matrix<T>, dst: &Matrix<T>, lhs: &Matrix<T>, rhs: &Matrix<T>, options: Options) {
    let (alpha, beta) = (T::of(options.alpha).exact(), T::of(options.beta).exact());
    let ((m, n), k) = (dst.shape, lhs.shape.1);
    let mut between = found.clone();
    for i in 0..m {
        for j in 0..n {
            let (mut sum, mut terms) = (c64::new(0.0, 0.0), 0.0);
            for p in 0..k {
                let (a, b) = (conjugate(lhs.at(i, p), options.conj_lhs), conjugate(rhs.at(p, j), options.conj_rhs));
                sum += a * b;
                terms += magnitude(a) * magnitude(b);
            }
            let (mut wanted, mut terms) = (beta * sum, magnitude(beta) * terms);
            if options.read_dst {
                wanted += alpha * conjugate(dst.at(i, j), options.conj_dst);
                terms += magnitude(alpha) * magnitude(dst.at(i, j));
            }
            let (rounded, computed) = T::EPSILON;
            let bound = (2 * k + 8) as f64 * computed * terms + rounded * magnitude(wanted) + 1e-7 * rounded;
            let difference = magnitude(found.at(i, j) - wanted);
            assert!(
                difference <= bound,
                "{} ({m}, {n}, {k}) {options:?} strides ({}, {}) ({}, {}) ({}, {}) at ({i}, {j}): {} for {wanted}",
                std::any::type_name::<T>(),
                found.row_stride,
                found.col_stride,
                lhs.row_stride,
                lhs.col_stride,
                rhs.row_stride,
                rhs.col_stride,
                found.at(i, j),
            );
            let index = dst.index(i, j);
            between.data[index] = dst.data[index];
        }
    }
    assert_eq!(between.data, dst.data, "wrote outside dst");
}

fn check<T: Number>((m, n, k): (usize, usize, usize), orders: [Order; 3], options: Options) {
    let dst = Matrix::<T>::new(1, orders[0], m, n);
    let lhs = Matrix::<T>::new(2, orders[1], m, k);
    let rhs = Matrix::<T>::new(3, orders[2], k, n);
    let mut found = dst.clone();
    compute(&mut found, &lhs, &rhs, options);
    compare(&found, &dst, &lhs, &rhs, options);
}

/// Runs a check that is generic over the type for each type.
macro_rules! of_every_type {
    ($check:ident($($argument:expr),*)) => {
        $check::<f32>($($argument),*);
        $check::<f64>($($argument),*);
        $check::<f16>($($argument),*);
        $check::<c32>($($argument),*);
        $check::<c64>($($argument),*);
    };
}

/// Ways to call, one for each of many shapes.
fn varied(seed: usize) -> ([Order; 3], Options) {
    let factors = [c64::new(0.0, 0.0), c64::new(1.0, 0.0), c64::new(-1.75, 0.5)];
    let orders = [ORDERS[seed % 7], ORDERS[seed / 2 % 7], ORDERS[seed / 5 % 7]];
    let options = Options {
        alpha: factors[seed % 3],
        beta: factors[(seed / 3 + 1) % 3],
        read_dst: !seed.is_multiple_of(4),
        conj_dst: seed & 1 != 0,
        conj_lhs: seed & 2 != 0,
        conj_rhs: seed & 4 != 0,
        parallelism: if seed & 8 != 0 { Parallelism::Rayon(0) } else { Parallelism::None },
    };
    (orders, options)
}

#[test]
fn all_small_shapes() {
    let mut seed = 0;
    for m in 0..=20 {
        for n in 0..=20 {
            for k in 0..=20 {
                seed += 1;
                let (orders, options) = varied(seed);
                of_every_type!(check((m, n, k), orders, options));
            }
        }
    }
}

#[test]
fn every_layout_with_every_other() {
    for dst in ORDERS {
        for lhs in ORDERS {
            for rhs in ORDERS {
                let options = Options { alpha: c64::new(0.5, -2.0), read_dst: true, ..PLAIN };
                of_every_type!(check((13, 37, 18), [dst, lhs, rhs], options));
            }
        }
    }
}

#[test]
fn every_factor_and_conjugation() {
    let factors = [c64::new(0.0, 0.0), c64::new(1.0, 0.0), c64::new(-1.0, 0.0), c64::new(2.3, 4.1)];
    for alpha in factors {
        for beta in factors {
            for flags in 0..16 {
                let options = Options {
                    alpha,
                    beta,
                    read_dst: flags & 8 != 0,
                    conj_dst: flags & 1 != 0,
                    conj_lhs: flags & 2 != 0,
                    conj_rhs: flags & 4 != 0,
                    parallelism: Parallelism::None,
                };
                for shape in [(7, 9, 0), (7, 9, 5), (20, 3, 40)] {
                    of_every_type!(check(shape, [Order::Rows, Order::Columns, Order::Rows], options));
                }
            }
        }
    }
}

#[test]
fn larger_than_a_tile() {
    for shape in [(300, 270, 30), (3, 600, 300), (520, 2, 515), (257, 256, 258)] {
        let options =
            Options { alpha: c64::new(1.0, 0.0), read_dst: true, parallelism: Parallelism::Rayon(0), ..PLAIN };
        of_every_type!(check(shape, [Order::PaddedRows, Order::Rows, Order::Columns], options));
        of_every_type!(check(shape, [Order::Columns, Order::PaddedColumns, Order::Rows], options));
    }
}

#[test]
fn lhs_and_rhs_may_repeat_their_elements() {
    fn repeat<T: Number>() {
        let dst = Matrix::<T>::new(1, Order::Rows, 6, 7);
        let row = Matrix { row_stride: 0, ..Matrix::<T>::new(2, Order::Rows, 6, 8) };
        let column = Matrix { col_stride: 0, ..Matrix::<T>::new(3, Order::Columns, 8, 7) };
        let mut found = dst.clone();
        compute(&mut found, &row, &column, PLAIN);
        compare(&found, &dst, &row, &column, PLAIN);
    }
    of_every_type!(repeat());
}

/// Products whose dst holds NaN, which must not be read.
fn check_nan_in_dst<T: Number>(k: usize) {
    for options in [PLAIN, Options { alpha: c64::new(1.5, 0.0), ..PLAIN }, Options { read_dst: true, ..PLAIN }] {
        for beta in [c64::new(0.0, 0.0), c64::new(1.0, 0.0), c64::new(-2.0, 0.5)] {
            let options = Options { beta, ..options };
            let lhs = Matrix::<T>::new(2, Order::Rows, 9, k);
            let rhs = Matrix::<T>::new(3, Order::Rows, k, 10);
            let mut dst = Matrix::<T>::new(1, Order::Rows, 9, 10);
            dst.fill(c64::new(0.0, 0.0));
            let mut found = dst.clone();
            found.fill(c64::new(f64::NAN, f64::NAN));
            compute(&mut found, &lhs, &rhs, options);
            compare(&found, &dst, &lhs, &rhs, Options { read_dst: false, ..options });
        }
    }
}

#[test]
fn dst_is_not_read_unless_it_counts() {
    for k in [0, 1, 4, 100] {
        of_every_type!(check_nan_in_dst(k));
    }
}

#[test]
fn without_depth_dst_is_scaled() {
    fn scale<T: Number>() {
        let infinity = c64::new(f64::INFINITY, 0.5);
        let (lhs, rhs) = (Matrix::<T>::new(2, Order::Rows, 6, 0), Matrix::<T>::new(3, Order::Rows, 0, 7));
        let mut dst = Matrix::<T>::new(1, Order::PaddedRows, 6, 7);
        dst.data[7] = T::of(infinity);
        let mut found = dst.clone();
        let options = Options { alpha: c64::new(1.0, 0.0), beta: infinity, read_dst: true, ..PLAIN };
        compute(&mut found, &lhs, &rhs, options);
        assert_eq!(found.data, dst.data);
    }
    of_every_type!(scale());
}

/// One element of each operand in turn is NaN; exactly the elements of dst that depend on it must be.
fn check_nan_spreads<T: Number>(beta: f64) {
    let nan = T::of(c64::new(f64::NAN, 0.0));
    let options = Options { alpha: c64::new(1.0, 0.0), beta: c64::new(beta, 0.0), read_dst: true, ..PLAIN };
    for operand in 0..3 {
        let mut dst = Matrix::<T>::new(1, Order::Rows, 6, 20);
        let mut lhs = Matrix::<T>::new(2, Order::Rows, 6, 19);
        let mut rhs = Matrix::<T>::new(3, Order::Columns, 19, 20);
        let matrix = [&mut dst, &mut lhs, &mut rhs][operand].index(3, 11);
        [&mut dst, &mut lhs, &mut rhs][operand].data[matrix] = nan;
        compute(&mut dst, &lhs, &rhs, options);
        for i in 0..6 {
            for j in 0..20 {
                let wanted = [i == 3 && j == 11, i == 3, j == 11][operand];
                let type_name = std::any::type_name::<T>();
                assert_eq!(dst.at(i, j).re.is_nan(), wanted, "{type_name} beta {beta} operand {operand} ({i}, {j})");
            }
        }
    }
}

#[test]
fn a_nan_reaches_what_depends_on_it() {
    for beta in [0.0, 1.0, 0.5] {
        of_every_type!(check_nan_spreads(beta));
    }
}

#[test]
fn half_precision_is_rounded_once() {
    // Each product of 1/32 is lost if sums are kept in half precision: its numbers are 2 apart at 2048.
    let (m, n, k) = (3, 5, 1025);
    let mut dst = Matrix::<f16>::new(1, Order::Rows, m, n);
    let (mut lhs, mut rhs) = (Matrix::<f16>::new(2, Order::Rows, m, k), Matrix::<f16>::new(3, Order::Columns, k, n));
    lhs.fill(c64::new(0.25, 0.0));
    rhs.fill(c64::new(0.125, 0.0));
    for i in 0..m {
        let first = lhs.index(i, 0);
        lhs.data[first] = f16::from_f32(2048.0 * 8.0);
    }
    compute(&mut dst, &lhs, &rhs, PLAIN);
    for i in 0..m {
        for j in 0..n {
            assert_eq!(dst.at(i, j).re, 2080.0);
        }
    }
    // alpha and beta act before the rounding: 3 * 21845.3 overflows, half of it does not.
    lhs.fill(c64::new(256.0, 0.0));
    rhs.fill(c64::new(0.25, 0.0));
    compute(&mut dst, &lhs, &rhs, Options { beta: c64::new(0.5, 0.0), ..PLAIN });
    assert_eq!(dst.at(0, 0).re, 32800.0);
}

/// The same bits for any number of threads.
fn check_threads<T: Number>() {
    let (m, n, k) = (530, 300, 270);
    let lhs = Matrix::<T>::new(2, Order::Columns, m, k);
    let rhs = Matrix::<T>::new(3, Order::PaddedRows, k, n);
    let mut alone = Matrix::<T>::new(1, Order::Rows, m, n);
    compute(&mut alone, &lhs, &rhs, PLAIN);
    for threads in [1, 2, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        for parallelism in [Parallelism::Rayon(0), Parallelism::Rayon(1), Parallelism::Rayon(7), Parallelism::None] {
            let mut dst = Matrix::<T>::new(1, Order::Rows, m, n);
            pool.install(|| compute(&mut dst, &lhs, &rhs, Options { parallelism, ..PLAIN }));
            assert_eq!(dst.data, alone.data, "{threads} threads, {parallelism:?}");
        }
    }
}

#[test]
fn same_bits_on_any_number_of_threads() {
    of_every_type!(check_threads());
}

#[test]
fn callers_do_not_disturb_one_another() {
    std::thread::scope(|scope| {
        for seed in 0..6 {
            scope.spawn(move || {
                for round in 0..20 {
                    let (orders, options) = varied(8 + seed * 20 + round);
                    let options = Options { parallelism: Parallelism::Rayon(0), ..options };
                    of_every_type!(check((60 + round, 90, 120 + seed), orders, options));
                }
            });
        }
    });
}

#[test]
fn no_elements_is_no_work() {
    // None of these pointers may be used.
    fn nothing<T: Number>() {
        let one = T::of(c64::new(1.0, 0.0));
        let (dst, operand) = (std::ptr::dangling_mut::<T>(), std::ptr::dangling::<T>());
        for (m, n, k) in [(0, 5, 5), (5, 0, 5), (0, 0, 0)] {
            for beta in [one, T::of(c64::new(0.0, 0.0))] {
                // SAFETY: dst has no element.
                unsafe {
                    let parallelism = Parallelism::Rayon(0);
                    gemm(
                        m,
                        n,
                        k,
                        dst,
                        1,
                        9,
                        true,
                        operand,
                        1,
                        9,
                        operand,
                        1,
                        9,
                        one,
                        beta,
                        true,
                        true,
                        true,
                        parallelism,
                    );
                }
            }
        }
    }
    of_every_type!(nothing());
}

#[test]
#[should_panic(expected = "not i32")]
fn other_types_are_refused() {
    let (mut dst, operand) = ([0_i32], [1_i32]);
    // SAFETY: each matrix is one element.
    unsafe {
        gemm(
            1,
            1,
            1,
            dst.as_mut_ptr(),
            1,
            1,
            false,
            operand.as_ptr(),
            1,
            1,
            operand.as_ptr(),
            1,
            1,
            0,
            1,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// What programs do with the package's numbers compiles as with upstream's, whose dependencies turn these traits on.
#[test]
fn numbers_have_the_traits_of_upstreams() {
    fn is_plain<T: bytemuck::Pod>(number: T) -> usize {
        bytemuck::bytes_of(&number).len()
    }
    fn zero<T: num_traits::Zero>() -> T {
        T::zero()
    }
    assert_eq!([is_plain(zero::<f16>()), is_plain(zero::<c32>()), is_plain(zero::<c64>())], [2, 8, 16]);
}
