//! The product at every level against its slow twin: shapes around every tile edge, layouts, special values, threads.

mod support;

use lanegrad_kernels::dispatch::{dispatch_at, supported};
use lanegrad_kernels::gemm::Gemm;
use lanegrad_kernels::isa::{Level, Scalar};
use lanegrad_kernels::parallel::Threads;
use lanegrad_kernels::{Error, MatMut, MatRef, dgemm, gemm, reference, sgemm};
use support::uniform;

/// How a matrix lies in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    Rows,
    Columns,
    /// Rows apart from one another.
    PaddedRows,
    /// Every second element of every second row.
    Scattered,
    /// Rows from the last to the first, elements from the last to the first.
    Reversed,
}

const ORDERS: [Order; 5] = [Order::Rows, Order::Columns, Order::PaddedRows, Order::Scattered, Order::Reversed];

/// Length of the slice, offset of the first element, row stride, column stride.
fn place(order: Order, rows: usize, cols: usize) -> (usize, usize, isize, isize) {
    let (r, c) = (rows as isize, cols as isize);
    match order {
        Order::Rows => (rows * cols, 0, c, 1),
        Order::Columns => (rows * cols, 0, 1, r),
        Order::PaddedRows => (rows * (cols + 3), 1.min(rows * cols), c + 3, 1),
        Order::Scattered => (4 * rows * cols, 0, 4 * c, 2),
        Order::Reversed => (rows * cols, (rows * cols).saturating_sub(1), -c, -1),
    }
}

struct Placed<T> {
    data: Vec<T>,
    offset: usize,
    shape: (usize, usize),
    strides: (isize, isize),
}

impl<T: Scalar> Placed<T> {
    fn new(seed: u64, order: Order, rows: usize, cols: usize) -> Self {
        let (length, offset, row_stride, col_stride) = place(order, rows, cols);
        Self { data: uniform(seed, length), offset, shape: (rows, cols), strides: (row_stride, col_stride) }
    }
    fn view(&self) -> MatRef<'_, T> {
        MatRef::with_strides(&self.data, self.offset, self.shape.0, self.shape.1, self.strides.0, self.strides.1)
            .unwrap()
    }
    fn view_mut(&mut self) -> MatMut<'_, T> {
        let (shape, strides) = (self.shape, self.strides);
        MatMut::with_strides(&mut self.data, self.offset, shape.0, shape.1, strides.0, strides.1).unwrap()
    }
    /// Indices of `data` that belong to no element.
    fn padding(&self) -> Vec<usize> {
        let mut inside = vec![false; self.data.len()];
        for i in 0..self.shape.0 {
            for j in 0..self.shape.1 {
                inside[(self.offset as isize + i as isize * self.strides.0 + j as isize * self.strides.1) as usize] =
                    true;
            }
        }
        (0..inside.len()).filter(|&i| !inside[i]).collect()
    }
}

/// Runs one product at every level and compares each element with the slow twin.
///
/// The bound is that of a sum of k + 2 rounded operations, gamma(k + 2) times the sum of the terms' magnitudes.
fn check<T: Scalar>(shape: (usize, usize, usize), orders: [Order; 3], alpha: f64, beta: f64) {
    let (m, k, n) = shape;
    let a = Placed::<T>::new(1, orders[0], m, k);
    let b = Placed::<T>::new(2, orders[1], k, n);
    let c = Placed::<T>::new(3, orders[2], m, n);
    let at = |view: MatRef<'_, T>, i, j| view.at(i, j).to_f64();
    let (expected, magnitude) = reference::gemm(
        shape,
        alpha,
        |i, p| at(a.view(), i, p),
        |p, j| at(b.view(), p, j),
        beta,
        |i, j| at(c.view(), i, j),
    );
    let unit = (k + 3) as f64 * T::EPSILON.to_f64() / 2.0;
    let gamma = unit / (1.0 - unit);
    for level in supported() {
        let mut result = Placed { data: c.data.clone(), offset: c.offset, shape: c.shape, strides: c.strides };
        let product = Gemm::new(T::from_f64(alpha), a.view(), b.view(), T::from_f64(beta), result.view_mut()).unwrap();
        dispatch_at(level, product).unwrap();
        for i in 0..m {
            for j in 0..n {
                let (found, wanted) = (result.view().at(i, j).to_f64(), expected[i * n + j]);
                let bound = gamma * magnitude[i * n + j] + f64::MIN_POSITIVE;
                assert!(
                    (found - wanted).abs() <= bound,
                    "{level} {shape:?} {orders:?} alpha {alpha} beta {beta} at ({i}, {j}): {found} for {wanted}"
                );
            }
        }
        for i in c.padding() {
            assert_eq!(result.data[i], c.data[i], "{level} {shape:?} {orders:?}: wrote outside C");
        }
    }
}

#[test]
fn all_small_shapes() {
    for m in [0, 1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 16, 17, 25] {
        for n in [0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 65] {
            for k in [0, 1, 2, 5, 17] {
                check::<f32>((m, k, n), [Order::Rows; 3], 1.0, 0.0);
                check::<f64>((m, k, n), [Order::Rows; 3], 0.7, -1.3);
            }
        }
    }
}

#[test]
fn every_layout_with_every_other() {
    for a in ORDERS {
        for b in ORDERS {
            for c in ORDERS {
                for shape in [(3, 70, 5), (13, 9, 33), (40, 30, 50), (5, 80, 40), (37, 90, 11)] {
                    check::<f32>(shape, [a, b, c], 1.5, 0.5);
                    check::<f64>(shape, [a, b, c], 1.0, 0.0);
                }
            }
        }
    }
}

#[test]
fn blocks_are_joined() {
    // Depths beyond KC, columns beyond NC, rows beyond several panels, and the narrow shapes of the classifier.
    for shape in [
        (30, 1000, 40),
        (100, 500, 700),
        (500, 100, 90),
        (40, 500, 300),
        (30, 1024, 40),
        (256, 3072, 10),
        (10, 3072, 256),
        (3072, 256, 10),
        (64, 128, 10),
        (1, 700, 1),
        (1, 5, 700),
        (700, 5, 1),
    ] {
        check::<f32>(shape, [Order::Rows; 3], 1.0, 1.0);
        check::<f64>(shape, [Order::Rows, Order::Columns, Order::Rows], -1.0, 0.0);
        check::<f32>(shape, [Order::Columns, Order::Rows, Order::Columns], 1.0, 0.0);
    }
}

#[test]
fn small_integers_are_exact() {
    let integers =
        |seed, length| -> Vec<f32> { uniform::<f32>(seed, length).iter().map(|x| (x * 8.0).round()).collect() };
    for (m, k, n) in [(12, 64, 32), (50, 900, 70), (7, 3072, 10)] {
        let (a, b) = (integers(4, m * k), integers(5, k * n));
        let (expected, _) =
            reference::gemm((m, k, n), 1.0, |i, p| a[i * k + p].into(), |p, j| b[p * n + j].into(), 0.0, |_, _| 0.0);
        for level in supported() {
            let mut c = vec![f32::NAN; m * n];
            let (a, b) = (MatRef::row_major(&a, m, k).unwrap(), MatRef::row_major(&b, k, n).unwrap());
            let c_view = MatMut::row_major(&mut c, m, n).unwrap();
            dispatch_at(level, Gemm::new(1.0, a, b, 0.0, c_view).unwrap()).unwrap();
            assert!(c.iter().zip(&expected).all(|(&c, &e)| f64::from(c) == e), "{level} {m} x {k} x {n}");
        }
    }
}

/// C after a 5 x `k` by `k` x 40 product of ones, with given factors and a given value planted in each operand.
fn planted(k: usize, alpha: f32, beta: f32, plant: [f32; 3]) -> Vec<Vec<f32>> {
    supported()
        .map(|level| {
            let mut a = vec![1.0; 5 * k];
            let mut b = vec![1.0; k * 40];
            let mut c = vec![1.0_f32; 5 * 40];
            if k > 0 {
                a[2 * k] = plant[0];
                b[40 + 3] = plant[1];
            }
            c[7] = plant[2];
            let (a, b) = (MatRef::row_major(&a, 5, k).unwrap(), MatRef::row_major(&b, k, 40).unwrap());
            let view = MatMut::row_major(&mut c, 5, 40).unwrap();
            dispatch_at(level, Gemm::new(alpha, a, b, beta, view).unwrap()).unwrap();
            c
        })
        .collect()
}

#[test]
fn beta_zero_never_reads_c_and_alpha_zero_reads_neither_a_nor_b() {
    let nan = f32::NAN;
    for c in planted(600, 1.0, 0.0, [1.0, 1.0, nan]) {
        assert!(c.iter().all(|&x| x == 600.0));
    }
    for c in planted(600, 0.0, 2.0, [nan, nan, 3.0]) {
        assert!(c.iter().enumerate().all(|(i, &x)| x == if i == 7 { 6.0 } else { 2.0 }));
    }
    for c in planted(0, nan, 2.0, [nan, nan, 3.0]) {
        assert!(c.iter().enumerate().all(|(i, &x)| x == if i == 7 { 6.0 } else { 2.0 }));
    }
    for c in planted(600, 0.0, 0.0, [nan, nan, nan]) {
        assert!(c.iter().all(|&x| x == 0.0));
    }
}

#[test]
fn nan_reaches_exactly_what_depends_on_it() {
    for c in planted(600, 1.0, 1.0, [f32::NAN, 1.0, 1.0]) {
        assert!(c.iter().enumerate().all(|(i, x)| x.is_nan() == (i / 40 == 2)));
    }
    for c in planted(600, 1.0, 1.0, [1.0, f32::NAN, 1.0]) {
        assert!(c.iter().enumerate().all(|(i, x)| x.is_nan() == (i % 40 == 3)));
    }
    for c in planted(600, 1.0, 1.0, [0.0, f32::INFINITY, 1.0]) {
        assert!(c.iter().enumerate().all(|(i, x)| x.is_infinite() == (i % 40 == 3)));
    }
    for c in planted(600, 1.0, 1.0, [1.0, 1.0, f32::NAN]) {
        assert!(c.iter().enumerate().all(|(i, x)| x.is_nan() == (i == 7)));
    }
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    for (m, k, n) in [(300, 700, 500), (1000, 600, 40), (256, 3072, 10), (10, 3072, 3000), (2000, 900, 7)] {
        let (a, b) = (uniform::<f32>(6, m * k), uniform::<f32>(7, k * n));
        let run = |threads: usize| {
            let mut c = vec![0.0_f32; m * n];
            let product = || {
                gemm(
                    1.0,
                    MatRef::row_major(&a, m, k).unwrap(),
                    MatRef::row_major(&b, k, n).unwrap(),
                    0.0,
                    MatMut::row_major(&mut c, m, n).unwrap(),
                )
            };
            Threads::new(threads).unwrap().run(product).unwrap();
            c
        };
        let one = run(1);
        for threads in [2, 3, 5, 16] {
            let same = run(threads).iter().zip(&one).all(|(x, y)| x.to_bits() == y.to_bits());
            assert!(same, "{m} x {k} x {n} on {threads} threads");
        }
    }
}

/// C of a product at one level in a pool of threads.
fn product<T: Scalar>(
    level: Level,
    threads: &Threads,
    (m, k, n): (usize, usize, usize),
    orders: [Order; 3],
    beta: f64,
) -> Vec<T> {
    let (a, b) = (Placed::<T>::new(6, orders[0], m, k), Placed::<T>::new(7, orders[1], k, n));
    let mut c = Placed::<T>::new(8, orders[2], m, n);
    let product = Gemm::new(T::from_f64(1.5), a.view(), b.view(), T::from_f64(beta), c.view_mut()).unwrap();
    threads.run(|| dispatch_at(level, product)).unwrap();
    c.data
}

#[test]
fn an_operand_copied_for_all_threads_gives_the_bits_of_one_copied_for_each() {
    let pools = [1, 2, 5].map(|threads| Threads::new(threads).unwrap());
    fn check<T: Scalar>(pools: &[Threads; 3], shape: (usize, usize, usize), orders: [Order; 3], beta: f64) {
        for level in supported() {
            let [one, two, five] = pools.each_ref().map(|pool| product::<T>(level, pool, shape, orders, beta));
            assert!(one == two && one == five, "{level} {shape:?} {orders:?}");
        }
    }
    let (rows, columns) = (Order::Rows, Order::Columns);
    // Several blocks of the depth, the last panels not full: B is common where C is high, A where it is wide.
    for shape in [(151, 1603, 107), (107, 1603, 151), (301, 90, 257)] {
        for orders in [[rows, columns, rows], [columns, rows, rows], [columns, rows, columns]] {
            check::<f32>(&pools, shape, orders, 0.5);
            check::<f64>(&pools, shape, orders, 0.0);
        }
        check::<f32>(&pools, shape, [Order::Scattered; 3], 0.0);
        check::<f64>(&pools, shape, [Order::Reversed; 3], 0.5);
    }
    // Several blocks of columns where B is common, and of rows where A is.
    check::<f32>(&pools, (420, 1000, 401), [rows, columns, rows], 0.5);
    check::<f32>(&pools, (700, 1536, 701), [columns, rows, rows], 0.0);
    check::<f64>(&pools, (700, 768, 701), [columns, rows, rows], 0.0);
    // Beyond the size up to which an operand is copied for all.
    check::<f32>(&pools, (33, 128_000, 33), [rows, columns, rows], 0.5);
}

#[test]
fn products_on_several_threads_are_right() {
    let threads = Threads::new(3).unwrap();
    for shape in [(101, 1603, 53), (53, 1603, 101)] {
        for orders in [[Order::Rows, Order::Columns, Order::Rows], [Order::Columns, Order::Rows, Order::Columns]] {
            threads.run(|| check::<f32>(shape, orders, 1.5, 0.5));
            threads.run(|| check::<f64>(shape, orders, 1.0, 0.0));
        }
    }
}

#[test]
fn the_raw_entries_agree_with_matrixmultiply() {
    let (m, k, n) = (45, 130, 70);
    let (a, b, c) = (uniform::<f32>(8, m * k), uniform::<f32>(9, k * n), uniform::<f32>(10, m * n));
    let (mut ours, mut theirs) = (c.clone(), c);
    let (rsa, rsb, rsc) = (k as isize, n as isize, n as isize);
    // SAFETY: the vectors hold matrices of these shapes in row-major order.
    unsafe {
        sgemm(m, k, n, 1.5, a.as_ptr(), rsa, 1, b.as_ptr(), rsb, 1, 0.5, ours.as_mut_ptr(), rsc, 1);
        matrixmultiply::sgemm(m, k, n, 1.5, a.as_ptr(), rsa, 1, b.as_ptr(), rsb, 1, 0.5, theirs.as_mut_ptr(), rsc, 1);
    }
    assert!(ours.iter().zip(&theirs).all(|(x, y)| (x - y).abs() < 1e-4));

    let (a, b, c) = (uniform::<f64>(8, m * k), uniform::<f64>(9, k * n), uniform::<f64>(10, m * n));
    let (mut ours, mut theirs) = (c.clone(), c);
    // B is read backwards: its last element first, by negative strides.
    let last = k * n - 1;
    // SAFETY: as above; `last` is the last element of B.
    unsafe {
        let b = b.as_ptr().add(last);
        dgemm(m, k, n, 1.5, a.as_ptr(), rsa, 1, b, -rsb, -1, 0.5, ours.as_mut_ptr(), rsc, 1);
        matrixmultiply::dgemm(m, k, n, 1.5, a.as_ptr(), rsa, 1, b, -rsb, -1, 0.5, theirs.as_mut_ptr(), rsc, 1);
    }
    assert!(ours.iter().zip(&theirs).all(|(x, y)| (x - y).abs() < 1e-12));
}

#[test]
fn shapes_that_do_not_agree_are_refused() {
    let data = [0.0_f32; 12];
    let mut c = [5.0_f32; 4];
    let a = MatRef::row_major(&data, 2, 3).unwrap();
    let b = MatRef::row_major(&data, 4, 2).unwrap();
    let error = gemm(1.0, a, b, 0.0, MatMut::row_major(&mut c, 2, 2).unwrap()).unwrap_err();
    assert!(matches!(error, Error::Shape { expected: (3, 2), found: (4, 2), .. }), "{error}");
    let b = MatRef::row_major(&data, 3, 4).unwrap();
    let error = gemm(1.0, a, b, 0.0, MatMut::row_major(&mut c, 2, 2).unwrap()).unwrap_err();
    assert!(matches!(error, Error::Shape { expected: (2, 4), found: (2, 2), .. }), "{error}");
    assert_eq!(c, [5.0; 4]);
}
