//! Factors and operands that are zero, infinite or NaN, at every level.

mod support;

use lanegrad_kernels::dispatch::supported;
use lanegrad_kernels::isa::Scalar;
use support::generator;
use support::matrices::{COLUMNS, Order, Placed, ROWS};
use support::product::{Blocks, Product, Values};

/// Shapes that take every way through a product: low, narrow from both sides, small, with rests in all directions.
const SHAPES: [(usize, usize, usize); 8] =
    [(1, 9, 1), (19, 50, 1), (5, 40, 3), (3, 40, 17), (13, 6, 35), (26, 7, 66), (19, 33, 18), (64, 60, 33)];

/// The usual blocks, and the smallest ones with copies of both operands.
const WAYS: [Option<Blocks>; 2] = [None, Some(Blocks([3, 1, 1], [true, true]))];

/// A few layouts: by rows, by columns, copied, transposed, scattered.
fn layouts() -> Vec<[Order; 3]> {
    let [scattered, reversed] = [Order { gap: 1, padding: 2, ..ROWS }, Order { elements_reversed: true, ..COLUMNS }];
    vec![
        [ROWS; 3],
        [COLUMNS; 3],
        [ROWS, COLUMNS, ROWS],
        [COLUMNS, ROWS, ROWS],
        [ROWS, COLUMNS, COLUMNS],
        [scattered; 3],
        [reversed; 3],
    ]
}

fn is_same<T: Scalar>(x: T, y: T) -> bool {
    bytemuck::bytes_of(&x) == bytemuck::bytes_of(&y)
}

fn is_nan<T: Scalar>(x: T) -> bool {
    x.to_f64().is_nan()
}

/// Checks that each element of C is what it was, or what `wanted` says that it becomes.
fn check<T: Scalar>(
    found: &Placed<T>,
    clean: &Placed<T>,
    wanted: impl Fn(usize, usize) -> Option<T>,
    context: &dyn std::fmt::Display,
) {
    let (m, n) = found.shape();
    for i in 0..m {
        for j in 0..n {
            let (found, wanted) = (found.at(i, j), wanted(i, j).unwrap_or(clean.at(i, j)));
            let is_right = is_same(found, wanted) || is_nan(found) && is_nan(wanted);
            assert!(is_right, "{context}: ({i}, {j}) is {found} and not {wanted}");
        }
    }
}

/// Plants `planted` in each element of A and of B in turn: what depends on it, one row or one column of C, becomes what
/// `product` says of it and the factor that it meets, and nothing else changes.
fn plant<T: Scalar>(planted: T, product: impl Fn(T) -> T) {
    let mut numbers = generator(1);
    for shape in SHAPES {
        let (m, k, n) = shape;
        for (which, orders) in layouts().into_iter().enumerate() {
            // Every element in one layout, and some in the others, or of a large operand.
            let step = if m * k > 1000 {
                89
            } else if which == 0 {
                1
            } else {
                7
            };
            let factors = [1.0, [0.0, 1.0][which % 2]];
            let mut operands = Product::<T>::new(shape, orders, Values::Integers, factors, &mut numbers);
            for level in supported() {
                for blocks in WAYS {
                    let clean = operands.run(level, blocks);
                    for (row, p) in (0..m * k).step_by(step).map(|place| (place / k, place % k)) {
                        let old = operands.a.at(row, p);
                        operands.a.set(row, p, planted);
                        let found = operands.run(level, blocks);
                        operands.a.set(row, p, old);
                        let wanted = |i, j| (i == row).then(|| product(operands.b.at(p, j)));
                        check(&found, &clean, wanted, &format_args!("{level} {operands} {planted} at A({row}, {p})"));
                    }
                    for (p, col) in (0..k * n).step_by(step).map(|place| (place / n, place % n)) {
                        let old = operands.b.at(p, col);
                        operands.b.set(p, col, planted);
                        let found = operands.run(level, blocks);
                        operands.b.set(p, col, old);
                        let wanted = |i, j| (j == col).then(|| product(operands.a.at(i, p)));
                        check(&found, &clean, wanted, &format_args!("{level} {operands} {planted} at B({p}, {col})"));
                    }
                    if factors[1] != 0.0 {
                        for (row, col) in (0..m * n).step_by(step).map(|place| (place / n, place % n)) {
                            let old = operands.c.at(row, col);
                            operands.c.set(row, col, planted);
                            let found = operands.run(level, blocks);
                            operands.c.set(row, col, old);
                            let wanted = |i, j| ((i, j) == (row, col)).then_some(planted);
                            check(
                                &found,
                                &clean,
                                wanted,
                                &format_args!("{level} {operands} {planted} at C({row}, {col})"),
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_nan_reaches_exactly_what_depends_on_it() {
    plant(f32::NAN, |_| f32::NAN);
    plant(f64::NAN, |_| f64::NAN);
}

#[test]
fn an_infinity_times_zero_is_nan_and_times_anything_else_an_infinity() {
    plant(f32::INFINITY, |factor| factor * f32::INFINITY);
    plant(f64::NEG_INFINITY, |factor| factor * f64::NEG_INFINITY);
}

/// Every pair of factors that BLAS treats in a way of its own, and some that it does not.
fn factors<T: Scalar>() {
    let mut numbers = generator(2);
    // An infinite alpha is left out: what it makes of sums of both signs depends on how the depth is cut.
    let (alphas, betas) = ([0.0, -0.0, 1.0, -1.0, 0.5, f64::NAN], [0.0, -0.0, 1.0, -1.0, 2.0, f64::INFINITY, f64::NAN]);
    for shape in SHAPES.into_iter().chain([(5, 0, 3), (1, 0, 1), (30, 1, 40)]) {
        for orders in layouts() {
            for alpha in alphas {
                for beta in betas {
                    // Where alpha or beta is zero, `Product` fills with NaN what must not be read.
                    let product = Product::<T>::new(shape, orders, Values::Integers, [alpha, beta], &mut numbers);
                    let exact = product.exact();
                    for level in supported() {
                        for blocks in WAYS {
                            product.check(&product.run(level, blocks), &exact, &(level, blocks));
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn every_pair_of_factors() {
    factors::<f32>();
    factors::<f64>();
}
