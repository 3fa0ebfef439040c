//! What surrounds the product: what follows it, operands packed once, batches, and a depth cut in parts.

mod support;

use lanegrad_kernels::dispatch::{dispatch_at, supported};
use lanegrad_kernels::gemm::{Batch, BatchMut, Bias, Epilogue, Gemm, PackedMatrix, gemm_batch, gemm_packed};
use lanegrad_kernels::isa::{Level, Scalar};
use lanegrad_kernels::parallel::Threads;
use lanegrad_kernels::{Error, MatMut, MatRef, reference};
use support::uniform;

/// Small, narrow both ways, of one tile, of several blocks of the depth, small or narrow with a long depth, with last columns that are
/// narrow.
const SHAPES: [(usize, usize, usize); 13] = [
    (1, 1, 1),
    (5, 7, 3),
    (13, 40, 33),
    (40, 300, 10),
    (9, 200, 70),
    (70, 1100, 90),
    (300, 20, 17),
    (33, 9000, 20),
    (9, 5000, 9),
    (3, 90, 600),
    (70, 300, 36),
    (36, 300, 70),
    (100, 300, 36),
];

/// A product with columns or rows adjacent in each operand, in a pool of threads.
#[derive(Clone, Copy)]
struct Product<'a, T> {
    level: Level,
    shape: (usize, usize, usize),
    a: &'a [T],
    b: &'a [T],
    /// Whether A, B and C are column-major.
    by_columns: [bool; 3],
}

impl<T: Scalar> Product<'_, T> {
    fn run(self, c: &mut [T], epilogue: Epilogue<'_, T>) {
        let (m, k, n) = self.shape;
        let view = |data, rows, cols, by_columns| match by_columns {
            true => MatRef::row_major(data, cols, rows).map(MatRef::transposed),
            false => MatRef::row_major(data, rows, cols),
        };
        let [a_by_columns, b_by_columns, c_by_columns] = self.by_columns;
        let (a, b) = (view(self.a, m, k, a_by_columns).unwrap(), view(self.b, k, n, b_by_columns).unwrap());
        let (row_stride, col_stride) = if c_by_columns { (1, m as isize) } else { (n as isize, 1) };
        let c = MatMut::with_strides(c, 0, m, n, row_stride, col_stride).unwrap();
        let product = Gemm::new(T::from_f64(1.5), a, b, T::from_f64(-0.5), c).unwrap();
        dispatch_at(self.level, product.with_epilogue(epilogue).unwrap()).unwrap();
    }
}

fn epilogues_are_what_they_say<T: Scalar>(threads: &Threads) {
    for level in supported() {
        for shape in SHAPES {
            let (m, k, n) = shape;
            let (a, b, c) = (uniform::<T>(1, m * k), uniform::<T>(2, k * n), uniform::<T>(3, m * n));
            let (per_row, per_column) = (uniform::<T>(4, m), uniform::<T>(5, n));
            let layouts = (0..8).map(|bits| [0, 1, 2].map(|operand| bits >> operand & 1 == 1));
            for by_columns in layouts {
                let product = Product { level, shape, a: &a, b: &b, by_columns };
                let mut plain = c.clone();
                threads.run(|| product.run(&mut plain, Epilogue::default()));
                for bias in [Bias::None, Bias::Rows(&per_row), Bias::Columns(&per_column)] {
                    for relu in [false, true] {
                        let mut found = c.clone();
                        threads.run(|| product.run(&mut found, Epilogue { bias, relu }));
                        for (at, (&found, &plain)) in found.iter().zip(&plain).enumerate() {
                            let (i, j) = if by_columns[2] { (at % m, at / m) } else { (at / n, at % n) };
                            let sum = match bias {
                                Bias::None => plain,
                                Bias::Rows(bias) => plain + bias[i],
                                Bias::Columns(bias) => plain + bias[j],
                            };
                            let wanted = if relu && sum < T::ZERO { T::ZERO } else { sum };
                            assert_eq!(
                                found, wanted,
                                "{level} {shape:?} {by_columns:?} {bias:?} relu {relu} at ({i}, {j})"
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn what_follows_a_product_has_the_bits_of_what_is_done_afterwards() {
    for threads in [1, 3] {
        let threads = Threads::new(threads).unwrap();
        epilogues_are_what_they_say::<f32>(&threads);
        epilogues_are_what_they_say::<f64>(&threads);
    }
}

/// Whoever adds gradients to zeros gets what whoever writes them gets.
#[test]
fn a_c_of_zeros_that_is_added_to_gives_the_bits_of_one_that_is_not_read() {
    for level in supported() {
        for (m, k, n) in
            SHAPES.into_iter().chain([(4, 40, 20), (6, 40, 33), (21, 600, 100), (10, 40, 20), (30, 500, 700)])
        {
            let (a, b) = (uniform::<f32>(1, m * k), uniform::<f32>(2, k * n));
            for [a_by_columns, b_by_columns] in [[false, false], [false, true], [true, false], [true, true]] {
                let view = |data, rows, cols, by_columns| match by_columns {
                    true => MatRef::row_major(data, cols, rows).map(MatRef::transposed),
                    false => MatRef::row_major(data, rows, cols),
                };
                let (a, b) = (view(&a, m, k, a_by_columns).unwrap(), view(&b, k, n, b_by_columns).unwrap());
                let run = |beta: f32, filler: f32| {
                    let mut c = vec![filler; m * n];
                    let product = Gemm::new(1.0, a, b, beta, MatMut::row_major(&mut c, m, n).unwrap()).unwrap();
                    dispatch_at(level, product).unwrap();
                    c
                };
                let (added, written) = (run(1.0, 0.0), run(0.0, f32::NAN));
                assert_eq!(added, written, "{level} {m} x {k} x {n}, {a_by_columns} {b_by_columns}");
            }
        }
    }
}

#[test]
fn epilogues_follow_empty_and_trivial_products_too() {
    let bias = [1.0_f32, -2.0, 3.0];
    let epilogue = Epilogue { bias: Bias::Columns(&bias), relu: true };
    for level in supported() {
        for (k, alpha) in [(0, 1.0), (4, 0.0)] {
            let (a, b) = (vec![f32::NAN; 2 * k], vec![f32::NAN; 3 * k]);
            let mut c = [1.0, 1.0, f32::NAN, 0.5, 5.0, -9.0];
            let (a, b) = (MatRef::row_major(&a, 2, k).unwrap(), MatRef::row_major(&b, k, 3).unwrap());
            let product = Gemm::new(alpha, a, b, 1.0, MatMut::row_major(&mut c, 2, 3).unwrap()).unwrap();
            dispatch_at(level, product.with_epilogue(epilogue).unwrap()).unwrap();
            assert_eq!(c[..2], [2.0, 0.0]);
            assert!(c[2].is_nan(), "a NaN is not rectified away");
            assert_eq!(c[3..], [1.5, 3.0, 0.0]);
        }
    }
}

#[test]
fn a_bias_of_another_length_is_refused() {
    let (data, bias) = ([0.0_f32; 6], [0.0_f32; 2]);
    let mut c = [7.0_f32; 6];
    let (a, b) = (MatRef::row_major(&data, 2, 1).unwrap(), MatRef::row_major(&data, 1, 3).unwrap());
    let product = Gemm::new(1.0, a, b, 0.0, MatMut::row_major(&mut c, 2, 3).unwrap()).unwrap();
    let error = product.with_epilogue(Epilogue { bias: Bias::Columns(&bias), relu: false }).unwrap_err();
    assert!(matches!(error, Error::Shape { expected: (1, 3), found: (1, 2), .. }), "{error}");
    assert_eq!(c, [7.0; 6]);
}

fn packed_products_are_right<T: Scalar>() {
    for level in supported() {
        for (m, k, n) in SHAPES.into_iter().chain([(500, 300, 40), (40, 60, 900)]) {
            let (a, b, c) = (uniform::<T>(1, m * k), uniform::<T>(2, k * n), uniform::<T>(3, m * n));
            let (expected, magnitude) = reference::gemm(
                (m, k, n),
                1.5,
                |i, p| a[i * k + p].to_f64(),
                |p, j| b[p * n + j].to_f64(),
                -0.5,
                |i, j| c[i * n + j].to_f64(),
            );
            let by_columns: Vec<T> = (0..k * n).map(|at| b[at % k * n + at / k]).collect();
            let views = [
                MatRef::row_major(&b, k, n).unwrap(),
                MatRef::with_strides(&by_columns, 0, k, n, 1, k as isize).unwrap(),
            ];
            let mut first: Option<Vec<T>> = None;
            for view in views {
                let packed = PackedMatrix::at(level, view).unwrap();
                assert_eq!((packed.shape(), packed.level()), ((k, n), level));
                for threads in [1, 3] {
                    let mut found = c.clone();
                    let target = MatMut::row_major(&mut found, m, n).unwrap();
                    let (alpha, beta) = (T::from_f64(1.5), T::from_f64(-0.5));
                    let a = MatRef::row_major(&a, m, k).unwrap();
                    let run = || gemm_packed(alpha, a, &packed, beta, target, Epilogue::default());
                    Threads::new(threads).unwrap().run(run).unwrap();
                    let unit = (k + 3) as f64 * T::EPSILON.to_f64();
                    for (at, found) in found.iter().enumerate() {
                        let (found, bound) = (found.to_f64(), unit * magnitude[at]);
                        assert!((found - expected[at]).abs() <= bound, "{level} {m} x {k} x {n} at {at}");
                    }
                    assert_eq!(first.get_or_insert_with(|| found.clone()), &found, "{level} {m} x {k} x {n}");
                }
            }
        }
    }
}

#[test]
fn an_operand_packed_once_serves_every_product() {
    packed_products_are_right::<f32>();
    packed_products_are_right::<f64>();
}

#[test]
fn packed_operands_may_be_empty_and_must_agree() {
    let mut c = [3.0_f32; 4];
    let packed = PackedMatrix::<f32>::new(MatRef::row_major(&[], 0, 2).unwrap()).unwrap();
    let a = MatRef::row_major(&[], 2, 0).unwrap();
    let target = MatMut::row_major(&mut c, 2, 2).unwrap();
    gemm_packed(1.0, a, &packed, 2.0, target, Epilogue::default()).unwrap();
    assert_eq!(c, [6.0; 4]);
    let wrong = MatRef::row_major(&[1.0], 1, 1).unwrap();
    let target = MatMut::row_major(&mut c, 2, 2).unwrap();
    assert!(matches!(gemm_packed(1.0, wrong, &packed, 0.0, target, Epilogue::default()), Err(Error::Shape { .. })));
    assert_eq!(c, [6.0; 4]);
    // No element, and more columns than can be rounded up; and too many copies of one.
    let wide = MatRef::<f32>::with_strides(&[], 0, 0, usize::MAX, 0, 0).unwrap();
    assert_eq!(PackedMatrix::new(wide).unwrap().shape(), (0, usize::MAX));
    let endless = MatRef::with_strides(&[1.0_f32], 0, 1, usize::MAX, 0, 0).unwrap();
    assert!(matches!(PackedMatrix::new(endless), Err(Error::OutOfBounds { .. })));
}

#[test]
fn each_product_of_a_batch_has_the_bits_that_it_has_alone() {
    for (count, (m, k, n)) in
        [(7, (5, 9, 4)), (3, (64, 128, 64)), (40, (20, 30, 40)), (2, (300, 200, 100)), (0, (2, 2, 2))]
    {
        let (a, b, c) = (uniform::<f32>(1, count * m * k), uniform::<f32>(2, k * n), uniform::<f32>(3, count * m * n));
        let mut wanted = c.clone();
        for (i, c) in wanted.chunks_exact_mut(m * n).enumerate() {
            let a = MatRef::row_major(&a[i * m * k..], m, k).unwrap();
            let b = MatRef::row_major(&b, k, n).unwrap();
            lanegrad_kernels::gemm(1.5, a, b, -0.5, MatMut::row_major(c, m, n).unwrap()).unwrap();
        }
        for threads in [1, 2, 5] {
            let mut found = c.clone();
            let a = Batch::row_major(&a, count, m, k).unwrap();
            // The same B for each.
            let b = Batch::with_strides(&b, count, (k, n), (n as isize, 1), 0).unwrap();
            let target = BatchMut::row_major(&mut found, count, m, n).unwrap();
            Threads::new(threads).unwrap().run(|| gemm_batch(1.5, a, b, -0.5, target)).unwrap();
            assert_eq!(found, wanted, "{count} of {m} x {k} x {n} on {threads} threads");
        }
    }
}

#[test]
fn batches_that_reach_outside_or_overlap_are_refused() {
    let mut data = [0.0_f32; 20];
    let outside = |result: Result<Batch<'_, f32>, Error>| assert!(matches!(result, Err(Error::OutOfBounds { .. })));
    outside(Batch::row_major(&data, 4, 2, 3));
    outside(Batch::row_major(&data, usize::MAX, 2, 3));
    outside(Batch::with_strides(&data, 2, (2, 2), (-2, 1), 4));
    outside(Batch::with_strides(&data, 2, (2, 2), (isize::MAX, isize::MAX), 4));
    outside(Batch::with_strides(&data, 2, (2, 2), (2, 1), 17));
    assert!(Batch::with_strides(&data, 2, (2, 2), (2, 1), 16).is_ok());
    let overlap = |result: Result<BatchMut<'_, f32>, Error>| assert!(matches!(result, Err(Error::Overlap { .. })));
    overlap(BatchMut::with_strides(&mut data, 3, (2, 2), (2, 1), 3));
    overlap(BatchMut::with_strides(&mut data, 3, (2, 2), (1, 1), 6));
    // More elements than can be counted, all of them one.
    assert!(Batch::with_strides(&data, 1, (usize::MAX, 4), (0, 0), 0).is_err());
    let mut c = [1.0_f32; 8];
    let (a, b) = (Batch::row_major(&data, 2, 2, 2).unwrap(), Batch::row_major(&data, 3, 2, 2).unwrap());
    let error = gemm_batch(1.0, a, b, 0.0, BatchMut::row_major(&mut c, 2, 2, 2).unwrap()).unwrap_err();
    assert!(matches!(error, Error::Shape { expected: (2, 1), found: (3, 1), .. }), "{error}");
    assert_eq!(c, [1.0; 8]);
}

#[test]
fn a_batch_of_one_has_its_next_matrix_anywhere() {
    let (a, b) = ([1.0_f32, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]);
    for stride in [0, 2, 3, 4, 100, usize::MAX] {
        let mut c = [1.0_f32; 5];
        let [a, b] = [&a, &b].map(|data| Batch::with_strides(data, 1, (2, 2), (2, 1), stride).unwrap());
        let target = BatchMut::with_strides(&mut c, 1, (2, 2), (2, 1), stride).unwrap();
        gemm_batch(1.0, a, b, 1.0, target).unwrap();
        assert_eq!(c, [20.0, 23.0, 44.0, 51.0, 1.0], "{stride}");
    }
}

#[test]
fn any_number_of_empty_products_takes_no_time() {
    let count = usize::MAX;
    let nothing = |rows, cols| Batch::<f32>::row_major(&[], count, rows, cols).unwrap();
    let target = BatchMut::row_major(&mut [], count, 0, 3).unwrap();
    gemm_batch(1.0, nothing(0, 2), Batch::with_strides(&[1.0; 6], count, (2, 3), (3, 1), 0).unwrap(), 0.0, target)
        .unwrap();
}

/// The stride along an extent of 1 leads nowhere, and may be any.
#[test]
fn strides_that_are_never_taken_may_be_any() {
    for level in supported() {
        for n in [1, 7, 40, 300] {
            let (a, b) = ([2.0_f32; 9], vec![3.0_f32; n]);
            let mut c = vec![1.0; 9 * n];
            let a = MatRef::with_strides(&a, 0, 9, 1, 1, isize::MIN).unwrap();
            let b = MatRef::with_strides(&b, 0, 1, n, isize::MAX, 1).unwrap();
            let product = Gemm::new(1.0, a, b, 1.0, MatMut::row_major(&mut c, 9, n).unwrap()).unwrap();
            dispatch_at(level, product).unwrap();
            assert!(c.iter().all(|&x| x == 7.0), "{level} {n}");
        }
    }
}

#[test]
fn what_is_only_scaled_keeps_its_sign_of_zero() {
    let bits = |c: &[f64]| c.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let nothing = [f64::NAN; 6];
    for (beta, wanted) in [(1.0, [-0.0, 0.0, 3.0, -4.0]), (2.0, [-0.0, 0.0, 6.0, -8.0]), (0.0, [0.0; 4])] {
        for by_columns in [false, true] {
            for depth in [0, 3] {
                let mut c = [-0.0, 0.0, 3.0, -4.0];
                let target = MatMut::row_major(&mut c, 2, 2).unwrap();
                let target = if by_columns { target.transposed() } else { target };
                let a = MatRef::row_major(&nothing[..2 * depth], 2, depth).unwrap();
                let b = MatRef::row_major(&nothing[..2 * depth], depth, 2).unwrap();
                lanegrad_kernels::gemm(0.0, a, b, beta, target).unwrap();
                assert_eq!(bits(&c), bits(&wanted), "{beta} {by_columns} {depth}");
            }
        }
    }
}

#[test]
fn a_long_depth_cut_in_parts_gives_the_same_bits_for_any_number_of_threads() {
    for (m, k, n) in
        [(33, 9000, 20), (64, 70_000, 64), (100, 8192, 100), (64, 10_000, 10), (3, 4097, 50), (70, 20_001, 13)]
    {
        for level in supported() {
            let (a, b) = (uniform::<f64>(1, m * k), uniform::<f64>(2, k * n));
            let product = Product { level, shape: (m, k, n), a: &a, b: &b, by_columns: [false; 3] };
            let run = |threads: usize| {
                let mut c = vec![1.0; m * n];
                Threads::new(threads).unwrap().run(|| product.run(&mut c, Epilogue::default()));
                c
            };
            let one = run(1);
            assert_eq!(one, run(2));
            assert_eq!(one, run(7));
            let exact = |i: usize, j: usize| (0..k).map(|p| a[i * k + p] * b[p * n + j]).sum::<f64>();
            for (i, j) in [(0, 0), (m - 1, n - 1), (m / 2, n / 3)] {
                let wanted = 1.5 * exact(i, j) - 0.5;
                assert!(
                    (one[i * n + j] - wanted).abs() < 1e-9,
                    "{level} {m} x {k} x {n}: {} for {wanted}",
                    one[i * n + j]
                );
            }
        }
    }
}
