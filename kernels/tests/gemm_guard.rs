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
use support::matrices::{Geometry, Order};
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
        random_product::<f32>(seed, &mut single);
        random_product::<f64>(seed, &mut double);
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
    /// Whether the elements between the lowest and the highest address are all there.
    is_whole: bool,
}

impl<T: Scalar> Matrix<T> {
    /// A matrix of zeros; what else can be read is `filler`.
    fn random(memory: &mut Memory, shape: (usize, usize), can_repeat: bool, filler: T, numbers: &mut impl Rng) -> Self {
        let order = if can_repeat { Order::random_readable(numbers) } else { Order::random(numbers) };
        let lines = if order.by_columns { shape.1 } else { shape.0 };
        let length = if order.by_columns { shape.0 } else { shape.1 };
        let at_end = numbers.random_bool(0.7);
        // Lines that are kept apart cannot be one, and a page holds each.
        let is_whole = numbers.random() || order.is_repeated || lines > LINES || length * (order.gap + 1) > 500;
        let memory = if is_whole { &mut memory.whole } else { &mut memory.lines };
        let (lowest, geometry) = memory.place(order, shape, at_end);
        let matrix = Self { lowest, geometry, shape, is_whole };
        for run in 0..memory.runs() {
            memory.elements(run).fill(filler);
        }
        matrix
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

/// A product of integers, each operand in an order of its own and at the start or the end of its memory.
fn random_product<T: ByPointers>(seed: u64, operands: &mut Operands) {
    let mut numbers = generator(seed);
    let [of_a, of_b, of_c] = &mut operands.0;
    let (m, n) = (numbers.random_range(1..=70), numbers.random_range(1..=70));
    let k = if numbers.random_bool(0.1) { numbers.random_range(1..300) } else { numbers.random_range(1..=70) };
    let a = Matrix::<T>::random(of_a, (m, k), true, T::NAN, &mut numbers);
    let b = Matrix::<T>::random(of_b, (k, n), true, T::NAN, &mut numbers);
    let c = Matrix::<T>::random(of_c, (m, n), false, T::from_f64(MARK), &mut numbers);
    let beta = [0.0, 1.0, 2.0][numbers.random_range(0..3)];
    for operand in [&a, &b, &c] {
        operand.set_all(|| f64::from(numbers.random_range(-8..=8)));
    }
    let (left, right, old) = (a.all(), b.all(), c.all());
    if beta == 0.0 {
        c.set_all(|| f64::NAN);
    }
    if numbers.random() && a.is_whole && b.is_whole && c.is_whole {
        // By slices, in small blocks.
        let blocks: [usize; 3] = std::array::from_fn(|_| numbers.random_range(1..50));
        let copies = [numbers.random(), numbers.random()];
        // SAFETY: the elements from the lowest address to the highest are readable, no one else writes them, and nobody else
        // touches those of C.
        let (a_data, b_data, c_data) = unsafe {
            (
                std::slice::from_raw_parts(a.lowest, a.geometry.used),
                std::slice::from_raw_parts(b.lowest, b.geometry.used),
                std::slice::from_raw_parts_mut(c.lowest, c.geometry.used),
            )
        };
        let read = |data, of: &Matrix<T>| {
            let Geometry { offset, strides, .. } = of.geometry;
            MatRef::with_strides(data, offset, of.shape.0, of.shape.1, strides.0, strides.1).unwrap()
        };
        let Geometry { offset, strides, .. } = c.geometry;
        let target = MatMut::with_strides(c_data, offset, m, n, strides.0, strides.1).unwrap();
        let product = Gemm::new(T::ONE, read(a_data, &a), read(b_data, &b), T::from_f64(beta), target).unwrap();
        let product = product.with_blocks(blocks[0], blocks[1], blocks[2], copies);
        dispatch_at(dispatch::level().unwrap(), product).unwrap();
    } else {
        let ((rsa, csa), (rsb, csb), (rsc, csc)) = (a.geometry.strides, b.geometry.strides, c.geometry.strides);
        let beta = T::from_f64(beta);
        // SAFETY: every element of the three matrices is mapped for reading and writing, and none of C's coincide.
        unsafe { T::GEMM(m, k, n, T::ONE, a.first(), rsa, csa, b.first(), rsb, csb, beta, c.first(), rsc, csc) };
    }

    for i in 0..m {
        for j in 0..n {
            let sum: f64 = (0..k).map(|p| left[i * k + p] * right[p * n + j]).sum();
            let exact = sum + beta * old[i * n + j];
            assert_eq!(c.at(i, j), exact, "case {seed}: {m} x {k} x {n}, ({i}, {j})");
        }
    }
    assert!(a.all() == left && b.all() == right, "case {seed}: A or B was written");
    // Of what can be written, nothing but C's elements was.
    c.set_all(|| MARK);
    let is_clean = |memory: &mut Guarded| {
        (0..memory.runs()).all(|run| memory.elements::<T>(run).iter().all(|x| x.to_f64() == MARK))
    };
    assert!(is_clean(if c.is_whole { &mut of_c.whole } else { &mut of_c.lines }), "case {seed}: wrote outside C");
}
