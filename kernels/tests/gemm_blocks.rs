//! Products of several blocks: blocks of the usual size, and blocks so small that small operands reach every edge.

mod support;

use lanegrad_kernels::dispatch::supported;
use lanegrad_kernels::isa::Scalar;
use lanegrad_kernels::parallel::Threads;
use rand::RngExt;
use support::matrices::{COLUMNS, Order, ROWS};
use support::product::{Blocks, Product, Values};
use support::{cases, generator};

fn check<T: Scalar>(shape: (usize, usize, usize), orders: [Order; 3], factors: [f64; 2]) {
    let product = Product::<T>::new(shape, orders, Values::Uniform, factors, &mut generator(1));
    let exact = product.exact();
    for level in supported() {
        product.check(&product.run(level, None), &exact, &level);
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
        (19, 4099, 21),
        (1, 700, 1),
        (1, 5, 700),
        (700, 5, 1),
        // A row, and a column, of several blocks, times a matrix that lies far out.
        (1, 263, 2101),
        (2101, 263, 1),
    ] {
        check::<f32>(shape, [ROWS; 3], [1.0, 1.0]);
        check::<f64>(shape, [ROWS, COLUMNS, ROWS], [-1.0, 0.0]);
        check::<f32>(shape, [COLUMNS, ROWS, COLUMNS], [1.0, 0.0]);
    }
    // Rows beyond MC and columns beyond NC, where A and B are copied.
    check::<f32>((2101, 520, 67), [COLUMNS, ROWS, ROWS], [1.0, 1.0]);
    check::<f64>((41, 260, 433), [ROWS, COLUMNS, ROWS], [1.0, 1.0]);
}

#[test]
fn products_on_several_threads_are_right() {
    let threads = Threads::new(3).unwrap();
    for shape in [(101, 1603, 53), (53, 1603, 101)] {
        for orders in [[ROWS, COLUMNS, ROWS], [COLUMNS, ROWS, COLUMNS]] {
            threads.run(|| check::<f32>(shape, orders, [1.5, 0.5]));
            threads.run(|| check::<f64>(shape, orders, [1.0, 0.0]));
        }
    }
}

const COPIES: [[bool; 2]; 4] = [[false, false], [false, true], [true, false], [true, true]];

/// Checks a product in small blocks on one thread, and that it has the same bits on several.
fn check_blocks<T: Scalar>(product: &Product<T>, blocks: Blocks, pools: &[Threads], context: u64) {
    let exact = product.exact();
    for level in supported() {
        let mut bits = None;
        for pool in pools {
            let found = pool.run(|| product.run(level, Some(blocks)));
            let expected = bits.get_or_insert_with(|| {
                product.check(&found, &exact, &(level, blocks, context));
                found.data.clone()
            });
            let same = bytemuck::cast_slice::<T, u8>(&found.data) == bytemuck::cast_slice::<T, u8>(expected);
            assert!(same, "{level} {blocks:?} {context} {product}: other bits on {} threads", pool.count());
        }
    }
}

fn pools() -> Vec<Threads> {
    (1..=5).map(|count| Threads::new(count).unwrap()).collect()
}

#[test]
fn the_smallest_blocks() {
    let pools = pools();
    let mut numbers = generator(2);
    // At most one tile and a step more or less in each direction, then several of them.
    for m in [1, 4, 5, 12, 13, 25, 40] {
        for n in [1, 8, 9, 16, 31, 32, 33, 70] {
            for k in [1, 3, 4, 7] {
                let orders = [ROWS, COLUMNS, ROWS, COLUMNS];
                let first = numbers.random_range(0..4);
                let orders = [orders[first], orders[(first / 2 + m) % 4], orders[(n + k) % 4]];
                let factors = [1.0, [0.0, 1.0, -2.0][(m + n + k) % 3]];
                let (single, double) = (
                    Product::<f32>::new((m, k, n), orders, Values::Integers, factors, &mut numbers),
                    Product::<f64>::new((m, k, n), orders, Values::Integers, factors, &mut numbers),
                );
                for copies in COPIES {
                    check_blocks(&single, Blocks([3, 1, 1], copies), &pools[..2], 0);
                    check_blocks(&double, Blocks([3, 1, 1], copies), &pools[..2], 0);
                }
            }
        }
    }
}

fn small_blocks<T: Scalar>() {
    let pools = pools();
    for seed in 0..cases(300) {
        let mut numbers = generator(seed);
        let shape = (numbers.random_range(1..110), numbers.random_range(1..40), numbers.random_range(1..150));
        let orders =
            [Order::random_readable(&mut numbers), Order::random_readable(&mut numbers), Order::random(&mut numbers)];
        let values = if numbers.random() { Values::Integers } else { Values::Uniform };
        let factors = [1.0, [0.0, 1.0, -0.5][numbers.random_range(0..3)]];
        let blocks = [numbers.random_range(1..12), numbers.random_range(1..40), numbers.random_range(1..80)];
        let copies = COPIES[numbers.random_range(0..4)];
        let product = Product::<T>::new(shape, orders, values, factors, &mut numbers);
        check_blocks(&product, Blocks(blocks, copies), &pools, seed);
    }
}

#[test]
fn small_blocks_of_f32() {
    small_blocks::<f32>();
}

#[test]
fn small_blocks_of_f64() {
    small_blocks::<f64>();
}

#[test]
fn blocks_without_a_limit_are_the_usual_ones() {
    let mut numbers = generator(3);
    let product = Product::<f32>::new((50, 700, 60), [ROWS, COLUMNS, ROWS], Values::Uniform, [1.0, 0.5], &mut numbers);
    for level in supported() {
        for limit in [0, usize::MAX] {
            let found = product.run(level, Some(Blocks([limit; 3], [true, true])));
            product.check(&found, &product.exact(), &level);
            assert_eq!(limit > 0, found.data == product.run(level, None).data, "{level}: the depth is cut elsewhere");
        }
    }
}
