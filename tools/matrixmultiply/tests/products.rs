//! Real and complex products against a plain loop in `f64`.

mod support;

use support::{Complex, Element, Layout, Matrix, check, check_larger, check_small};

const ZERO: Complex = [0.0, 0.0];
const ONE: Complex = [1.0, 0.0];

/// Pairs of alpha and beta, of numbers that `f32` has.
const REAL: [[Complex; 2]; 5] =
    [[ONE, ZERO], [[2.5, 0.0], ONE], [[-1.0, 0.0], [0.5, 0.0]], [ZERO, [-2.0, 0.0]], [ZERO, ZERO]];
const COMPLEX: [[Complex; 2]; 5] =
    [[ONE, ZERO], [[2.5, -1.0], [0.5, 2.0]], [[0.0, 1.0], [0.0, -1.0]], [ZERO, [-2.0, 0.25]], [[0.0, -3.0], ZERO]];

#[test]
fn small_products_of_f32() {
    check_small::<f32>(&REAL);
}

#[test]
fn small_products_of_f64() {
    check_small::<f64>(&REAL);
}

#[test]
fn small_products_of_complex_f32() {
    check_small::<[f32; 2]>(&COMPLEX);
}

#[test]
fn small_products_of_complex_f64() {
    check_small::<[f64; 2]>(&COMPLEX);
}

#[test]
fn larger_products() {
    check_larger::<f32>([0.75, 0.0], [1.5, 0.0]);
    check_larger::<f64>(ONE, ZERO);
    check_larger::<[f32; 2]>([0.75, 0.5], [1.5, -2.0]);
    check_larger::<[f64; 2]>(ONE, ZERO);
}

/// A row and a column that stand for a whole matrix: strides of zero.
fn repeated<T: Element>() {
    let (m, k, n) = (13, 37, 21);
    let mut a = Matrix::<T>::random(1, 1, k, Layout::ROWS);
    (a.rows, a.row_stride) = (m, 0);
    let mut b = Matrix::<T>::random(2, k, 1, Layout::ROWS);
    (b.cols, b.col_stride) = (n, 0);
    let mut c = Matrix::<T>::filled([f64::NAN; 2], m, n, Layout::ROWS);
    // SAFETY: A's and B's elements are in their memory at these strides, C's lie apart.
    unsafe { T::multiply(T::from_complex(ONE), &a, &b, T::from_complex(ZERO), &mut c) };
    let sum = (0..k).fold(ZERO, |sum, p| support::plus(sum, support::times(a.at(0, p), b.at(p, 0))));
    for row in 0..m {
        for col in 0..n {
            let difference = support::norm(support::plus(c.at(row, col), support::times([-1.0, 0.0], sum)));
            assert!(difference <= 80.0 * T::EPSILON * k as f64, "({row}, {col}): {:?} for {sum:?}", c.at(row, col));
        }
    }
}

#[test]
fn inputs_may_have_strides_of_zero() {
    repeated::<f32>();
    repeated::<f64>();
    repeated::<[f32; 2]>();
    repeated::<[f64; 2]>();
}

/// One NaN in A, one in B: what depends on them is NaN, nothing else is.
fn poisoned<T: Element>() {
    let (m, k, n) = (9, 5, 11);
    let mut a = Matrix::<T>::random(1, m, k, Layout::ROWS);
    let mut b = Matrix::<T>::random(2, k, n, Layout::ROWS);
    let (in_a, in_b) = (a.index(4, 2), b.index(3, 7));
    a.memory[in_a] = T::from_complex([f64::NAN, 0.0]);
    b.memory[in_b] = T::from_complex([f64::NAN, 0.0]);
    for (alpha, expected) in [(ONE, true), (ZERO, false)] {
        let mut c = Matrix::<T>::filled([f64::NAN; 2], m, n, Layout::ROWS);
        // SAFETY: the matrices have these extents and lie in memory of their own.
        unsafe { T::multiply(T::from_complex(alpha), &a, &b, T::from_complex(ZERO), &mut c) };
        for row in 0..m {
            for col in 0..n {
                let is_nan = c.at(row, col).iter().any(|part| part.is_nan());
                assert_eq!(is_nan, expected && (row == 4 || col == 7), "alpha {alpha:?} at ({row}, {col})");
            }
        }
    }
}

#[test]
fn only_what_depends_on_a_nan_is_one() {
    poisoned::<f32>();
    poisoned::<f64>();
    poisoned::<[f32; 2]>();
    poisoned::<[f64; 2]>();
}

#[test]
fn empty_products_touch_no_memory() {
    let nothing = std::ptr::null_mut::<f64>();
    // SAFETY: there is no element of C, so none is read or written.
    unsafe { matrixmultiply::dgemm(0, 7, 5, 1.0, nothing, 7, 1, nothing, 5, 1, 1.0, nothing, 5, 1) };
    let nothing = nothing.cast::<[f64; 2]>();
    let plain = matrixmultiply::CGemmOption::Standard;
    // SAFETY: as above.
    unsafe {
        matrixmultiply::zgemm(plain, plain, 5, 7, 0, ONE, nothing, 7, 1, nothing, 0, 1, ONE, nothing, 0, 1);
    }
    check::<[f64; 2]>([5, 0, 7], [Layout::ROWS; 3], ONE, ZERO);
}
