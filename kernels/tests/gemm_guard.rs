//! Operands between pages that cannot be touched: no level reads or writes outside of them.
#![cfg(target_os = "linux")]

mod support;

use lanegrad_kernels::dispatch::{self, dispatch_at, supported};
use lanegrad_kernels::gemm::Gemm;
use lanegrad_kernels::isa::Scalar;
use lanegrad_kernels::{MatMut, MatRef, dgemm, sgemm};
use rand::{Rng, RngExt};
use std::process::Command;
use support::guarded::Guarded;
use support::matrices::{COLUMNS, Geometry, Order, ROWS};
use support::{cases, generator};

/// A step outside ends the process, so each level has one of its own; the last case that it names is the one that did it.
#[test]
fn no_level_touches_what_lies_around_the_operands() {
    for level in supported() {
        let test = std::env::current_exe().unwrap();
        let arguments = ["--exact", "products_between_guard_pages", "--ignored", "--nocapture"];
        let output = Command::new(test).args(arguments).env(dispatch::PIN, level.name()).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        let last = errors.trim_end().rsplit_once('\n').map_or(&*errors, |(_, last)| last);
        let report = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{level}: {}, last case {last}\n{report}", output.status);
        assert!(report.contains("1 passed"), "{level}: {report}");
    }
}

#[test]
#[ignore = "the test above runs it, in a process for each level"]
fn products_between_guard_pages() {
    let (mut single, mut double) = (Operands::new(), Operands::new());
    for seed in 0..cases(1500) {
        eprintln!("{seed}");
        check_random::<f32>(seed, &mut single);
        check_random::<f64>(seed, &mut double);
        // A row, or a column, times a matrix that lies far out has a way of its own.
        if seed % 50 == 0 {
            check_far::<f32>(seed, &mut single, 380 + seed as usize % 7);
            check_far::<f64>(seed, &mut double, 290 + seed as usize % 7);
        }
        // A few rows have tiles that are wider than the extents above.
        if seed % 10 == 0 {
            check_wide::<f32>(seed, &mut single);
            check_wide::<f64>(seed, &mut double);
            check_edge::<f32>(seed, &mut single);
            check_edge::<f64>(seed, &mut double);
            check_column::<f32>(seed, &mut single);
            check_column::<f64>(seed, &mut double);
            check_turned::<f32>(seed, &mut single);
            check_turned::<f64>(seed, &mut double);
        }
    }
}

/// The product by pointers, which needs no slice over what cannot be read.
trait ByPointers: Scalar {
    /// What the kernels' raw entries take.
    const GEMM: Entry<Self>;
}

type Entry<T> =
    unsafe fn(usize, usize, usize, T, *const T, isize, isize, *const T, isize, isize, T, *mut T, isize, isize);

impl ByPointers for f32 {
    const GEMM: Entry<f32> = sgemm;
}
impl ByPointers for f64 {
    const GEMM: Entry<f64> = dgemm;
}

/// Lines of a matrix whose lines are kept apart.
const LINES: usize = 70;

/// Memory for one operand: in one piece, and line by line.
struct Memory {
    whole: Guarded,
    lines: Guarded,
}

/// Memory for A, B and C.
struct Operands([Memory; 3]);

impl Operands {
    fn new() -> Self {
        Self([0, 1, 2].map(|_| Memory { whole: Guarded::new(1, 1 << 20), lines: Guarded::new(LINES, 1) }))
    }
}

/// A matrix between guard pages.
struct Matrix<T> {
    /// The element at the lowest address.
    lowest: *mut T,
    geometry: Geometry,
    shape: (usize, usize),
    /// Whether each line lies between guard pages of its own.
    in_lines: bool,
}

impl<T: Scalar> Matrix<T> {
    /// A matrix, all of whose memory is `filler`, in one piece or line by line.
    fn new(memory: &mut Memory, shape: (usize, usize), order: Order, in_lines: bool, filler: T, at_end: bool) -> Self {
        let (lines, length) = if order.by_columns { (shape.1, shape.0) } else { shape };
        // Lines that are kept apart cannot be one, and a page holds each.
        let in_lines = in_lines && !order.is_repeated && lines <= LINES && length * (order.gap + 1) <= 500;
        let memory = if in_lines { &mut memory.lines } else { &mut memory.whole };
        let (lowest, geometry) = memory.place(order, shape, at_end);
        for run in 0..memory.runs() {
            memory.elements(run).fill(filler);
        }
        Self { lowest, geometry, shape, in_lines }
    }

    /// The address of element (0, 0).
    fn first(&self) -> *mut T {
        self.lowest.wrapping_add(self.geometry.offset)
    }

    fn element(&self, i: usize, j: usize) -> *mut T {
        let (down, across) = self.geometry.strides;
        self.first().wrapping_offset(i as isize * down + j as isize * across)
    }

    fn set_all(&self, mut value: impl FnMut() -> f64) {
        for i in 0..self.shape.0 {
            for j in 0..self.shape.1 {
                // SAFETY: the element lies in a run of the memory that the matrix was placed in.
                unsafe { self.element(i, j).write(T::from_f64(value())) };
            }
        }
    }

    fn at(&self, i: usize, j: usize) -> f64 {
        // SAFETY: as above.
        unsafe { self.element(i, j).read() }.to_f64()
    }

    /// The elements in the order of rows.
    fn all(&self) -> Vec<f64> {
        (0..self.shape.0).flat_map(|i| (0..self.shape.1).map(move |j| self.at(i, j))).collect()
    }
}

const MARK: f64 = -7777.25;

/// A product C <- A B + beta C of three matrices between guard pages.
struct Product<T> {
    a: Matrix<T>,
    b: Matrix<T>,
    beta: f64,
    c: Matrix<T>,
}

impl<T: ByPointers> Product<T> {
    fn run_by_pointers(&self) {
        let Self { a, b, beta, c } = self;
        let ((m, k), n) = (a.shape, b.shape.1);
        let ((rsa, csa), (rsb, csb), (rsc, csc)) = (a.geometry.strides, b.geometry.strides, c.geometry.strides);
        let (a, b, beta, c) = (a.first(), b.first(), T::from_f64(*beta), c.first());
        // SAFETY: every element of the three matrices is mapped for reading and writing, and none of C's coincide.
        unsafe { T::GEMM(m, k, n, T::ONE, a, rsa, csa, b, rsb, csb, beta, c, rsc, csc) };
    }

    /// Runs the product in blocks, by slices, whose elements must all be there: no operand may lie in lines.
    fn run_in_blocks(&self, [depth, rows, cols]: [usize; 3], copies: [bool; 2]) {
        let Self { a, b, beta, c } = self;
        let read = |matrix: &Matrix<T>| {
            let (Geometry { used, offset, strides }, (rows, cols)) = (matrix.geometry, matrix.shape);
            // SAFETY: the elements from the lowest address to the highest are mapped, and nobody writes them meanwhile.
            let data = unsafe { std::slice::from_raw_parts(matrix.lowest, used) };
            MatRef::with_strides(data, offset, rows, cols, strides.0, strides.1).unwrap()
        };
        let (Geometry { used, offset, strides }, (m, n)) = (c.geometry, c.shape);
        // SAFETY: as above; C has memory of its own.
        let data = unsafe { std::slice::from_raw_parts_mut(c.lowest, used) };
        let c = MatMut::with_strides(data, offset, m, n, strides.0, strides.1).unwrap();
        let product = Gemm::new(T::ONE, read(a), read(b), T::from_f64(*beta), c).unwrap();
        dispatch_at(dispatch::level().unwrap(), product.with_blocks(depth, rows, cols, copies)).unwrap();
    }
}

/// An extent: small, or that of several tiles.
fn extent(numbers: &mut impl Rng) -> usize {
    if numbers.random() { numbers.random_range(1..=17) } else { numbers.random_range(1..=LINES) }
}

/// Checks a product of integers, each operand in an order of its own and at the start or the end of its memory.
fn check_random<T: ByPointers>(seed: u64, operands: &mut Operands) {
    let mut numbers = generator(seed);
    let (m, n) = (extent(&mut numbers), extent(&mut numbers));
    let k = if numbers.random_bool(0.2) { numbers.random_range(1..300) } else { extent(&mut numbers) };
    let in_blocks = numbers.random_bool(0.3);
    let mut place = |memory: &mut Memory, shape, is_read, filler| {
        let order = if is_read { Order::random_readable(&mut numbers) } else { Order::random(&mut numbers) };
        let (in_lines, at_end) = (!in_blocks && numbers.random(), numbers.random_bool(0.7));
        Matrix::<T>::new(memory, shape, order, in_lines, filler, at_end)
    };
    // What is no element of A or B is NaN, and what is none of C is marked.
    let [of_a, of_b, of_c] = &mut operands.0;
    let a = place(of_a, (m, k), true, T::NAN);
    let b = place(of_b, (k, n), true, T::NAN);
    let c = place(of_c, (m, n), false, T::from_f64(MARK));
    let beta = [0.0, 1.0, 2.0][numbers.random_range(0..3)];
    check(seed, &mut numbers, Product { a, b, beta, c }, of_c, in_blocks);
}

/// Checks a row of integers times a matrix of `extent` by some more columns, or that matrix's transpose times a column.
fn check_far<T: ByPointers>(seed: u64, operands: &mut Operands, extent: usize) {
    let mut numbers = generator(seed);
    let (is_row, at_end) = (numbers.random(), numbers.random());
    let ((m, k, n), order) = if is_row { ((1, extent, extent + 9), ROWS) } else { ((extent + 9, extent, 1), COLUMNS) };
    let [of_a, of_b, of_c] = &mut operands.0;
    let a = Matrix::new(of_a, (m, k), order, false, T::NAN, at_end);
    let b = Matrix::new(of_b, (k, n), order, false, T::NAN, at_end);
    let c = Matrix::new(of_c, (m, n), Order::random(&mut numbers), false, T::from_f64(MARK), at_end);
    check(seed, &mut numbers, Product { a, b, beta: 2.0, c }, of_c, false);
}

/// Checks a few long rows times a column, with a C of any layout and one that lies between its guard pages in one piece.
fn check_column<T: ByPointers>(seed: u64, operands: &mut Operands) {
    let mut numbers = generator(seed);
    let (m, k) = (numbers.random_range(1..=20), numbers.random_range(250..=400));
    let at_end = numbers.random();
    let order_of_c = if numbers.random() { ROWS } else { Order::random(&mut numbers) };
    let beta = if numbers.random() { 0.0 } else { 2.0 };
    let [of_a, of_b, of_c] = &mut operands.0;
    let a = Matrix::new(of_a, (m, k), ROWS, false, T::NAN, at_end);
    let b = Matrix::new(of_b, (k, 1), COLUMNS, false, T::NAN, at_end);
    let c = Matrix::new(of_c, (m, 1), order_of_c, false, T::from_f64(MARK), at_end);
    check(seed, &mut numbers, Product { a, b, beta, c }, of_c, false);
}

/// Checks a product of many rows and some columns beyond whole vectors, or its transpose.
fn check_edge<T: ByPointers>(seed: u64, operands: &mut Operands) {
    let mut numbers = generator(seed);
    let (m, k, n) = (numbers.random_range(64..=90), numbers.random_range(60..=120), numbers.random_range(33..=38));
    let (is_upright, at_end) = (numbers.random(), numbers.random());
    let ((m, n), order) = if is_upright { ((n, m), COLUMNS) } else { ((m, n), ROWS) };
    let [of_a, of_b, of_c] = &mut operands.0;
    let a = Matrix::new(of_a, (m, k), order, false, T::NAN, at_end);
    let b = Matrix::new(of_b, (k, n), order, false, T::NAN, at_end);
    let c = Matrix::new(of_c, (m, n), order, false, T::from_f64(MARK), at_end);
    check(seed, &mut numbers, Product { a, b, beta: 2.0, c }, of_c, false);
}

/// Checks a product of a few rows and many columns.
fn check_wide<T: ByPointers>(seed: u64, operands: &mut Operands) {
    let mut numbers = generator(seed);
    let k = if numbers.random() { numbers.random_range(1..=40) } else { numbers.random_range(125..=140) };
    let (m, n) = (numbers.random_range(1..=6), numbers.random_range(LINES..=400));
    let at_end = numbers.random();
    let [of_a, of_b, of_c] = &mut operands.0;
    let a = Matrix::new(of_a, (m, k), Order::random_readable(&mut numbers), false, T::NAN, at_end);
    let b = Matrix::new(of_b, (k, n), ROWS, false, T::NAN, at_end);
    let c = Matrix::new(of_c, (m, n), ROWS, false, T::from_f64(MARK), at_end);
    check(seed, &mut numbers, Product { a, b, beta: 2.0, c }, of_c, false);
}

/// Checks a product of which an operand or more are turned first: A or B has adjacent columns, and A and C have few rows or B few columns.
fn check_turned<T: ByPointers>(seed: u64, operands: &mut Operands) {
    let mut numbers = generator(seed);
    let (few, many) = (numbers.random_range(2..=40), numbers.random_range(100..=400));
    let k = if numbers.random() { numbers.random_range(1..=40) } else { numbers.random_range(41..=300) };
    let (m, n) = if numbers.random() { (few, many) } else { (many, few) };
    let order_of_a = if numbers.random() { ROWS } else { COLUMNS };
    let order_of_b = if order_of_a == ROWS || numbers.random() { COLUMNS } else { ROWS };
    let at_end = numbers.random();
    let beta = if numbers.random() { 0.0 } else { 2.0 };
    let [of_a, of_b, of_c] = &mut operands.0;
    let a = Matrix::new(of_a, (m, k), order_of_a, false, T::NAN, at_end);
    let b = Matrix::new(of_b, (k, n), order_of_b, false, T::NAN, at_end);
    let c = Matrix::new(of_c, (m, n), ROWS, false, T::from_f64(MARK), at_end);
    check(seed, &mut numbers, Product { a, b, beta, c }, of_c, false);
}

/// Fills the operands with integers, runs the product, and checks it and what lies around it.
fn check<T: ByPointers>(
    seed: u64,
    numbers: &mut impl Rng,
    product: Product<T>,
    memory_of_c: &mut Memory,
    in_blocks: bool,
) {
    let Product { a, b, beta, c } = &product;
    for operand in [a, b, c] {
        operand.set_all(|| f64::from(numbers.random_range(-8..=8)));
    }
    let (left, right, old) = (a.all(), b.all(), c.all());
    if *beta == 0.0 {
        c.set_all(|| f64::NAN);
    }

    if in_blocks {
        let blocks = std::array::from_fn(|_| numbers.random_range(1..50));
        product.run_in_blocks(blocks, [numbers.random(), numbers.random()]);
    } else {
        product.run_by_pointers();
    }

    let ((m, k), n) = (a.shape, b.shape.1);
    for i in 0..m {
        for j in 0..n {
            let sum: f64 = (0..k).map(|p| left[i * k + p] * right[p * n + j]).sum();
            let exact = sum + beta * old[i * n + j];
            assert_eq!(c.at(i, j), exact, "case {seed}: {m} x {k} x {n}, ({i}, {j})");
        }
    }
    assert!(a.all() == left && b.all() == right, "case {seed}: A or B was written");
    c.set_all(|| MARK);
    let memory = if c.in_lines { &mut memory_of_c.lines } else { &mut memory_of_c.whole };
    let is_clean = (0..memory.runs()).all(|run| memory.elements::<T>(run).iter().all(|x| x.to_f64() == MARK));
    assert!(is_clean, "case {seed}: wrote outside C");
}
