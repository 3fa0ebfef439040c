//! Generated products at every level: every small shape, every layout with every other, and random ones.
//!
//! `LANEGRAD_TEST_CASES` sets the number of random products of each type; from 10,000 on every depth is tried too.

mod support;

use lanegrad_kernels::dispatch::{dispatch_at, supported};
use lanegrad_kernels::gemm::Gemm;
use lanegrad_kernels::isa::Scalar;
use rand::{Rng, RngExt};
use support::matrices::{COLUMNS, Order, Placed, ROWS};
use support::product::{Product, Values};
use support::{cases, generator};

/// The largest extent of the complete grid of shapes.
const LARGEST: usize = 70;

/// Depths of the grid, unless it has all of them: around the lanes and halves of lanes of all levels.
const DEPTHS: [usize; 8] = [0, 1, 2, 5, 9, 17, 33, 70];

/// All shapes up to [`LARGEST`], on integers, so that nothing but the exact result is right.
///
/// The operands are the corners of larger matrices: a step too far reads a number that belongs to another product.
fn every_small_shape_is_exact<T: Scalar>() {
    let mut numbers = generator(1);
    let mut integer =
        || T::from_f64(f64::from(numbers.random_range(1..=8)) * if numbers.random() { 1.0 } else { -1.0 });
    let values: [Vec<T>; 2] = [0, 1].map(|_| (0..LARGEST * LARGEST).map(|_| integer()).collect());
    let corner = |of: usize, order| Placed::new(order, (LARGEST, LARGEST), T::NAN, |i, j| values[of][i * LARGEST + j]);
    let orders = Order::sixteen();
    let [left, right] = [0, 1].map(|of| orders.iter().map(|&order| corner(of, order)).collect::<Vec<_>>());
    let mark = T::from_f64(-7777.25);
    let depths: Vec<usize> = if cases(0) < 10_000 { DEPTHS.into() } else { (0..=LARGEST).collect() };
    let mut exact = [T::ZERO; LARGEST * LARGEST];
    for k in 0..=LARGEST {
        if k > 0 {
            for i in 0..LARGEST {
                for j in 0..LARGEST {
                    exact[i * LARGEST + j] += values[0][i * LARGEST + k - 1] * values[1][(k - 1) * LARGEST + j];
                }
            }
        }
        if !depths.contains(&k) {
            continue;
        }
        for m in 0..=LARGEST {
            for n in 0..=LARGEST {
                let [a, b, c] = std::array::from_fn(|_| numbers.random_range(0..orders.len()));
                let target = Placed::new(orders[c], (m, n), mark, |_, _| T::NAN);
                let (a, b) = (left[a].view(), right[b].view());
                let (a, b) = (a.split_rows(m).0.split_cols(k).0, b.split_rows(k).0.split_cols(n).0);
                for level in supported() {
                    let mut found = target.clone();
                    dispatch_at(level, Gemm::new(T::ONE, a, b, T::ZERO, found.view_mut()).unwrap()).unwrap();
                    for i in 0..m {
                        for j in 0..n {
                            let (found, exact) = (found.at(i, j), exact[i * LARGEST + j]);
                            assert!(
                                found == exact,
                                "{level} {m} x {k} x {n}: ({i}, {j}) is {found} and not {exact}; A {a:?}, B {b:?}, C {c}"
                            );
                        }
                    }
                    assert!(found.padding_is(mark), "{level} {m} x {k} x {n}: wrote outside C, order {c}");
                }
            }
        }
    }
}

#[test]
fn every_small_shape_is_exact_on_f32() {
    every_small_shape_is_exact::<f32>();
}

#[test]
fn every_small_shape_is_exact_on_f64() {
    every_small_shape_is_exact::<f64>();
}

/// Runs a product at every level and checks each element.
fn check<T: Scalar>(product: &Product<T>, context: u64) {
    let exact = product.exact();
    for level in supported() {
        product.check(&product.run(level, None), &exact, &(level, context));
    }
}

#[test]
fn every_layout_with_every_other() {
    let orders = Order::eight();
    let mut numbers = generator(2);
    let mut count = 0;
    for &a in &orders {
        for &b in &orders {
            for &c in &orders {
                // Low, wide and narrow ones, some that fill several tiles, and some whose last column, or row, is narrow.
                for shape in
                    [(3, 70, 5), (13, 9, 33), (5, 80, 40), (37, 90, 11), (29, 30, 50), (66, 70, 33), (33, 70, 66)]
                {
                    let factors = [[1.0, 0.0], [1.5, 0.5]][count % 2];
                    check(&Product::<f32>::new(shape, [a, b, c], Values::Uniform, factors, &mut numbers), 0);
                    check(&Product::<f64>::new(shape, [a, b, c], Values::Uniform, factors, &mut numbers), 0);
                    count += 1;
                }
            }
        }
    }
}

/// One row and a few times such a matrix, near and far, and such a matrix times a column and times more, with a C that is adjacent and one
/// that is not.
#[test]
fn rows_that_lie_whole_pages_apart() {
    fn check_all<T: Scalar>() {
        let mut numbers = generator(3);
        let apart = |padding| Order { padding, ..ROWS };
        let scattered = Order { gap: 1, padding: 2, ..ROWS };
        for factors in [[1.0, 0.0], [1.5, 0.5]] {
            for (shape, orders) in [
                ((1, 300, 1000), [ROWS, apart(24), ROWS]),
                ((1, 301, 3001), [ROWS, apart(71), scattered]),
                ((1, 3000, 3000), [ROWS, apart(72), ROWS]),
                ((12, 300, 1000), [ROWS, apart(24), ROWS]),
                ((30, 300, 1000), [ROWS, apart(24), ROWS]),
                ((41, 301, 3001), [ROWS, apart(71), scattered]),
                ((6, 140, 90), [apart(884), ROWS, ROWS]),
                ((12, 140, 90), [apart(884), ROWS, ROWS]),
                ((29, 140, 131), [apart(884), ROWS, scattered]),
                ((29, 300, 131), [apart(724), ROWS, ROWS]),
                ((29, 600, 530), [apart(424), ROWS, ROWS]),
                ((29, 140, 131), [apart(884), COLUMNS, ROWS]),
                ((70, 140, 131), [apart(884), ROWS, ROWS]),
                ((20, 1000, 1), [apart(24), COLUMNS, ROWS]),
                ((1001, 1000, 1), [apart(24), COLUMNS, scattered]),
                ((1001, 1000, 1), [apart(24), scattered, ROWS]),
            ] {
                check(&Product::<T>::new(shape, orders, Values::Uniform, factors, &mut numbers), 0);
            }
        }
    }
    check_all::<f32>();
    check_all::<f64>();
}

/// An extent: mostly a small one, now and then one near the depth of a block at some level.
fn extent(numbers: &mut impl Rng) -> usize {
    match numbers.random_range(0..40) {
        0 => [256, 384, 512, 768, 1024, 1536, 2048][numbers.random_range(0..7)] + numbers.random_range(0..3) - 1,
        1..4 => numbers.random_range(0..300),
        4..20 => numbers.random_range(0..20),
        _ => numbers.random_range(0..=LARGEST),
    }
}

fn factor(numbers: &mut impl Rng) -> f64 {
    [0.0, 1.0, -1.0, 2.0, -0.5, 1.5][numbers.random_range(0..6)]
}

/// A random product; what is random about it follows from `seed`.
fn random_product<T: Scalar>(seed: u64) -> Product<T> {
    let mut numbers = generator(seed);
    let shape = loop {
        let (m, k, n) = (extent(&mut numbers), extent(&mut numbers), extent(&mut numbers));
        if m * k * n < 1 << 21 {
            break (m, k, n);
        }
    };
    let orders =
        [Order::random_readable(&mut numbers), Order::random_readable(&mut numbers), Order::random(&mut numbers)];
    let values = [Values::Uniform, Values::Wide, Values::Integers][numbers.random_range(0..3)];
    let factors = [factor(&mut numbers), factor(&mut numbers)];
    Product::new(shape, orders, values, factors, &mut numbers)
}

fn random_products<T: Scalar>() {
    for seed in 0..cases(2000) {
        check(&random_product::<T>(seed), seed);
    }
}

#[test]
fn random_products_of_f32() {
    random_products::<f32>();
}

#[test]
fn random_products_of_f64() {
    random_products::<f64>();
}
