//! Products whose exact result is known, and the bound on the error that a kernel may make.

#![allow(dead_code, reason = "each test file uses a part")]

use super::matrices::{Order, Placed};
use lanegrad_kernels::dispatch::dispatch_at;
use lanegrad_kernels::gemm::Gemm;
use lanegrad_kernels::isa::{Level, Scalar};
use rand::{Rng, RngExt};

/// What numbers the operands hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Values {
    /// Uniform in -1..1.
    Uniform,
    /// Of magnitudes from 2^-16 to 2^16.
    Wide,
    /// Integers so small that a product is exact.
    Integers,
}

impl Values {
    pub fn draw<T: Scalar>(self, generator: &mut impl Rng) -> T {
        T::from_f64(match self {
            Self::Uniform => generator.random_range(-1.0..1.0),
            Self::Wide => generator.random_range(-1.0..1.0) * f64::from(generator.random_range(-16..=16)).exp2(),
            Self::Integers => f64::from(generator.random_range(-8..=8)),
        })
    }
}

/// What lies in the padding of C, and must be there afterwards.
const MARK: f64 = -7777.25;

/// C <- alpha A B + beta C. The padding of A and B is NaN, so that none of it goes unnoticed.
#[derive(Clone, Debug)]
pub struct Product<T> {
    pub alpha: T,
    pub a: Placed<T>,
    pub b: Placed<T>,
    pub beta: T,
    pub c: Placed<T>,
    orders: [Order; 3],
    values: Values,
}

/// Blocks as `Gemm::with_blocks` takes them: the depth, rows, columns, and whether A and B are copied.
#[derive(Clone, Copy, Debug)]
pub struct Blocks(pub [usize; 3], pub [bool; 2]);

impl<T: Scalar> Product<T> {
    /// An m x k by k x n product of drawn numbers. What is not to be read is NaN.
    pub fn new(
        (m, k, n): (usize, usize, usize),
        orders: [Order; 3],
        values: Values,
        [alpha, beta]: [f64; 2],
        generator: &mut impl Rng,
    ) -> Self {
        let is_read = |factor: f64| factor != 0.0;
        let mut draw = |is_read: bool| if is_read { values.draw(generator) } else { T::NAN };
        let a = Placed::new(orders[0], (m, k), T::NAN, |_, _| draw(is_read(alpha)));
        let b = Placed::new(orders[1], (k, n), T::NAN, |_, _| draw(is_read(alpha)));
        let c = Placed::new(orders[2], (m, n), T::from_f64(MARK), |_, _| draw(is_read(beta)));
        Self { alpha: T::from_f64(alpha), a, b, beta: T::from_f64(beta), c, orders, values }
    }

    /// Rows of A, its columns, columns of B.
    pub fn shape(&self) -> (usize, usize, usize) {
        (self.a.shape().0, self.a.shape().1, self.b.shape().1)
    }

    /// C after the product at `level`, in `blocks` if there are any.
    pub fn run(&self, level: Level, blocks: Option<Blocks>) -> Placed<T> {
        let mut c = self.c.clone();
        let product = Gemm::new(self.alpha, self.a.view(), self.b.view(), self.beta, c.view_mut()).unwrap();
        let product = match blocks {
            Some(Blocks([depth, rows, cols], copies)) => product.with_blocks(depth, rows, cols, copies),
            None => product,
        };
        dispatch_at(level, product).unwrap();
        c
    }

    /// C, exactly, in the order of rows.
    pub fn exact(&self) -> Vec<Exact> {
        let (m, k, n) = self.shape();
        let (alpha, beta) = (self.alpha.to_f64(), self.beta.to_f64());
        let is_scaling = alpha == 0.0;
        let (a, b) =
            if is_scaling { (vec![0.0; m * k], vec![0.0; k * n]) } else { (self.a.widened(), self.b.widened()) };
        let mut exact = Vec::with_capacity(m * n);
        let mut sums = vec![Sum::default(); n];
        for i in 0..m {
            sums.fill(Sum::default());
            for p in 0..k {
                let x = a[i * k + p];
                for (sum, &y) in sums.iter_mut().zip(&b[p * n..][..n]) {
                    sum.add(x, y);
                }
            }
            for (j, sum) in sums.iter().enumerate() {
                let sum = if k == 0 || is_scaling { Exact::default() } else { sum.value().times(alpha) };
                let old = if beta == 0.0 { Exact::default() } else { Exact::of(self.c.at(i, j).to_f64()).times(beta) };
                exact.push(sum.plus(old));
            }
        }
        exact
    }

    /// Checks every element of `found`, and its padding.
    ///
    /// An element is a sum of k + 2 rounded operations at most: its error is within gamma(k + 2) times the sum of the terms'
    /// magnitudes, where gamma(n) = n u / (1 - n u) (Higham, "Accuracy and Stability of Numerical Algorithms", chapter 3).
    pub fn check(&self, found: &Placed<T>, exact: &[Exact], context: &dyn std::fmt::Debug) {
        let (m, k, n) = self.shape();
        let unit = (k + 2) as f64 * T::EPSILON.to_f64() / 2.0;
        let gamma = unit / (1.0 - unit);
        for i in 0..m {
            for j in 0..n {
                let (found, exact) = (found.at(i, j).to_f64(), exact[i * n + j]);
                let is_right = match self.values {
                    Values::Integers => found == exact.value || found.is_nan() && exact.value.is_nan(),
                    _ => exact.is_within(found, gamma, T::MIN_POSITIVE.to_f64()),
                };
                assert!(is_right, "{context:?} {self}: ({i}, {j}) is {found} and not {}", exact.value);
            }
        }
        assert!(found.padding_is(T::from_f64(MARK)), "{context:?} {self}: wrote outside C");
    }
}

impl<T: Scalar> std::fmt::Display for Product<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ((m, k, n), Self { alpha, beta, orders, values, .. }) = (self.shape(), self);
        let of = std::any::type_name::<T>();
        write!(formatter, "{m} x {k} x {n} of {of}, alpha {alpha}, beta {beta}, {values:?}, {orders:?}")
    }
}

/// A number in doubled precision, `value + rest`, and the sum of the magnitudes of the terms that it was made of.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exact {
    pub value: f64,
    rest: f64,
    magnitude: f64,
}

impl Exact {
    fn of(value: f64) -> Self {
        Self { value, rest: 0.0, magnitude: value.abs() }
    }

    fn times(self, factor: f64) -> Self {
        let (value, error) = two_product(self.value, factor);
        Self { value, rest: error + self.rest * factor, magnitude: self.magnitude * factor.abs() }
    }

    fn plus(self, other: Self) -> Self {
        let (value, error) = two_sum(self.value, other.value);
        Self { value, rest: error + self.rest + other.rest, magnitude: self.magnitude + other.magnitude }
    }

    /// Whether `found` is this number but for an error of `gamma` times the magnitude, and for what underflows.
    pub fn is_within(self, found: f64, gamma: f64, tiny: f64) -> bool {
        if !self.value.is_finite() {
            return found == self.value || found.is_nan() && self.value.is_nan();
        }
        ((found - self.value) - self.rest).abs() <= gamma * self.magnitude + tiny
    }
}

/// A dot product in doubled precision (Ogita, Rump and Oishi, "Accurate sum and dot product", 2005).
#[derive(Clone, Copy, Default)]
struct Sum {
    sum: f64,
    errors: f64,
    magnitude: f64,
}

impl Sum {
    fn add(&mut self, x: f64, y: f64) {
        let (product, product_error) = two_product(x, y);
        let (sum, sum_error) = two_sum(self.sum, product);
        *self =
            Self { sum, errors: self.errors + (product_error + sum_error), magnitude: self.magnitude + product.abs() };
    }

    fn value(self) -> Exact {
        // An infinity or NaN has no error.
        let rest = if self.sum.is_finite() { self.errors } else { 0.0 };
        Exact { value: self.sum, rest, magnitude: self.magnitude }
    }
}

/// a + b and its rounding error (Knuth).
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let part = sum - a;
    (sum, (a - (sum - part)) + (b - part))
}

/// a b and its rounding error (Dekker).
fn two_product(a: f64, b: f64) -> (f64, f64) {
    let split = |x: f64| {
        let scaled = 134_217_729.0 * x;
        let high = scaled - (scaled - x);
        (high, x - high)
    };
    let product = a * b;
    let ((a_high, a_low), (b_high, b_low)) = (split(a), split(b));
    (product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low)
}
