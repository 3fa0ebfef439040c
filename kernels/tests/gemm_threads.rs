//! Products on several threads: the same bits for any number of them, and right results for callers that run at once.

mod support;

use lanegrad_kernels::dispatch::supported;
use lanegrad_kernels::isa::{Level, Scalar};
use lanegrad_kernels::parallel::Threads;
use lanegrad_kernels::{MatMut, MatRef, gemm};
use support::matrices::{COLUMNS, Order, ROWS};
use support::product::{Blocks, Exact, Product, Values};
use support::{generator, uniform};

#[test]
fn the_same_bits_for_any_number_of_threads() {
    for (m, k, n) in [
        (300, 700, 500),
        (1000, 600, 40),
        (256, 3072, 10),
        (10, 3072, 3000),
        (2000, 900, 7),
        (1, 1501, 3003),
        (700, 1030, 1),
        (3507, 1030, 1),
        // Its last columns are narrow. Many threads leave the last of them one row, which by itself would go another way.
        (73, 880, 322),
    ] {
        let (a, b) = (uniform::<f32>(6, m * k), uniform::<f32>(7, k * n));
        let run = |threads: usize| {
            let mut c = vec![0.0_f32; m * n];
            let mut product = || {
                gemm(
                    1.0,
                    MatRef::row_major(&a, m, k).unwrap(),
                    MatRef::row_major(&b, k, n).unwrap(),
                    0.0,
                    MatMut::row_major(&mut c, m, n).unwrap(),
                )
            };
            // The second time threads are awake, for which a short product is divided, too.
            Threads::new(threads).unwrap().run(|| product().and_then(|()| product())).unwrap();
            c
        };
        let one = run(1);
        for threads in [2, 3, 5, 16] {
            let same = run(threads).iter().zip(&one).all(|(x, y)| x.to_bits() == y.to_bits());
            assert!(same, "{m} x {k} x {n} on {threads} threads");
        }
    }
}

#[test]
fn an_operand_copied_for_all_threads_gives_the_bits_of_one_copied_for_each() {
    let pools = [1, 2, 5].map(|threads| Threads::new(threads).unwrap());
    fn check<T: Scalar>(pools: &[Threads; 3], shape: (usize, usize, usize), orders: [Order; 3], beta: f64) {
        let product = Product::<T>::new(shape, orders, Values::Uniform, [1.5, beta], &mut generator(6));
        for level in supported() {
            let [one, two, five] = pools.each_ref().map(|pool| pool.run(|| product.run(level, None).data));
            assert!(one == two && one == five, "{level} {shape:?} {orders:?}");
        }
    }
    let (rows, columns) = (ROWS, COLUMNS);
    let scattered = Order { gap: 1, padding: 2, ..ROWS };
    let reversed = Order { lines_reversed: true, elements_reversed: true, ..ROWS };
    // Several blocks of the depth, the last panels not full: B is common where C is high, A where it is wide.
    for shape in [(151, 1603, 107), (107, 1603, 151), (301, 90, 257)] {
        for orders in [[rows, columns, rows], [columns, rows, rows], [columns, rows, columns]] {
            check::<f32>(&pools, shape, orders, 0.5);
            check::<f64>(&pools, shape, orders, 0.0);
        }
        check::<f32>(&pools, shape, [scattered; 3], 0.0);
        check::<f64>(&pools, shape, [reversed; 3], 0.5);
    }
    // Several blocks of columns where B is common, and of rows where A is.
    check::<f32>(&pools, (420, 1000, 401), [rows, columns, rows], 0.5);
    // A C that is high enough for threads to share its rows at any level.
    check::<f32>(&pools, (810, 1000, 401), [rows, columns, rows], 0.5);
    check::<f32>(&pools, (700, 1536, 701), [columns, rows, rows], 0.0);
    check::<f64>(&pools, (700, 768, 701), [columns, rows, rows], 0.0);
    // A few columns beyond whole vectors, where B is copied and where it is not.
    for orders in [[rows, columns, rows], [rows; 3], [columns; 3]] {
        check::<f32>(&pools, (100, 600, 100), orders, 0.5);
        check::<f32>(&pools, (73, 880, 322), orders, 0.0);
        check::<f64>(&pools, (100, 300, 34), orders, 0.5);
    }
    // Few rows times a B whose columns are adjacent, in the place of which A and C are turned; or C alone, or B and C.
    for orders in [[rows, columns, rows], [columns, columns, rows], [columns, rows, rows]] {
        check::<f32>(&pools, (70, 1500, 1100), orders, 0.5);
        check::<f64>(&pools, (20, 3300, 4000), orders, 0.0);
        check::<f64>(&pools, (12_000, 150, 10), orders, 0.5);
    }
    // Beyond the size up to which an operand is copied for all, with a C that is too large for sums of parts of the depth.
    check::<f32>(&pools, (151, 28_500, 150), [rows, columns, rows], 0.5);
    check::<f64>(&pools, (190, 11_500, 200), [columns, columns, rows], 0.0);
    // Parts of a long depth, each with copies of its own.
    check::<f32>(&pools, (33, 128_000, 33), [rows, columns, rows], 0.5);
    // A B whose rows, however short, do not stay in the second-level cache together.
    let apart = |cols: usize| Order { padding: (1 << 13) - cols, ..ROWS };
    check::<f32>(&pools, (14, 60, 100), [rows, apart(100), rows], 0.5);
    check::<f64>(&pools, (70, 300, 64), [columns, apart(64), rows], 0.0);
}

#[test]
fn small_products_have_the_bits_of_blocked_ones_on_any_number_of_threads() {
    let pools = [1, 2, 5].map(|threads| Threads::new(threads).unwrap());
    fn check<T: Scalar>(pools: &[Threads; 3], shape: (usize, usize, usize), factors: [f64; 2]) {
        let product = Product::<T>::new(shape, [ROWS; 3], Values::Uniform, factors, &mut generator(8));
        for level in supported() {
            // In blocks as large as they may be, with copies.
            let blocked = product.run(level, Some(Blocks([usize::MAX; 3], [true, true]))).data;
            for pool in pools {
                let found = pool.run(|| product.run(level, None).data);
                let same = bytemuck::cast_slice::<T, u8>(&found) == bytemuck::cast_slice::<T, u8>(&blocked);
                assert!(same, "{level} {product} {factors:?} on {} threads", pool.count());
            }
        }
    }
    // Whole tiles, rests of rows and of columns, wide tiles, and sizes at which a copy of B is worth it or not.
    for shape in
        [(2, 3, 17), (3, 5, 100), (4, 40, 33), (6, 16, 16), (16, 16, 16), (17, 31, 33), (150, 50, 47), (61, 77, 63)]
    {
        for factors in [[1.0, 0.0], [1.5, 0.5]] {
            check::<f32>(&pools, shape, factors);
            check::<f64>(&pools, shape, factors);
        }
    }
}

/// Products of several kinds, large enough to be shared among threads, with what they should be.
fn products<T: Scalar>(seed: u64) -> Vec<(Product<T>, Vec<Exact>)> {
    let mut numbers = generator(seed);
    let shapes = [(90, 300, 80), (40, 700, 60), (300, 600, 10), (5, 900, 200)];
    let orders = [[ROWS; 3], [COLUMNS, ROWS, COLUMNS], [ROWS, COLUMNS, ROWS], [COLUMNS, COLUMNS, ROWS]];
    let product = |(shape, orders)| Product::new(shape, orders, Values::Uniform, [1.5, 0.5], &mut numbers);
    let products = shapes.into_iter().zip(orders).map(product);
    products.map(|product| (product.exact(), product)).map(|(exact, product)| (product, exact)).collect()
}

/// Runs all products a few times at every level.
fn run_all<T: Scalar>(products: &[(Product<T>, Vec<Exact>)], caller: u64) {
    let levels: Vec<Level> = supported().collect();
    for round in 0..4 {
        for (product, exact) in products {
            for &level in &levels {
                product.check(&product.run(level, None), exact, &(level, caller, round));
            }
        }
    }
}

#[test]
fn callers_that_share_a_pool_get_right_results() {
    let shared = products::<f32>(100);
    let pool = Threads::new(3).unwrap();
    std::thread::scope(|scope| {
        for caller in 0..3 {
            let (shared, pool) = (&shared, &pool);
            // Some on the global pool, some on one pool: the operands that they read are the same ones.
            scope.spawn(move || run_all(shared, caller));
            scope.spawn(move || pool.run(|| run_all(shared, 10 + caller)));
        }
    });
}

#[test]
fn callers_with_pools_of_their_own_get_right_results() {
    std::thread::scope(|scope| {
        for caller in 0..4 {
            scope.spawn(move || {
                let own = products::<f64>(200 + caller);
                Threads::new(1 + caller as usize).unwrap().run(|| run_all(&own, caller));
            });
        }
    });
}
