//! Every exported name, called as a program would call it, against plain loops in f64.

mod support;

use libloading::Library;
use std::ffi::{c_char, c_int};
use std::sync::LazyLock;

static LIBRARY: LazyLock<Library> = LazyLock::new(|| {
    // SAFETY: loading the library runs no code but Rust's own.
    unsafe { Library::new(support::library()) }.expect("the library loads")
});

trait Real: Copy + Into<f64> + PartialEq + std::fmt::Debug + 'static {
    const EPSILON: f64;
    fn new(number: f64) -> Self;
}

impl Real for f32 {
    const EPSILON: f64 = f32::EPSILON as f64;
    fn new(number: f64) -> Self {
        number as f32
    }
}

impl Real for f64 {
    const EPSILON: f64 = f64::EPSILON;
    fn new(number: f64) -> Self {
        number
    }
}

trait Integer: Copy + 'static {
    fn new(number: isize) -> Self;
}

impl Integer for i32 {
    fn new(number: isize) -> Self {
        number.try_into().unwrap()
    }
}

impl Integer for i64 {
    fn new(number: isize) -> Self {
        number as i64
    }
}

/// The function of that name.
fn function<F: Copy>(name: &str) -> F {
    // SAFETY: each caller says which type the function of its name has.
    *unsafe { LIBRARY.get::<F>(name) }.unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Numbers between -1 and 1 that repeat after a long time.
struct Numbers(u64);

impl Numbers {
    fn next<T: Real>(&mut self) -> T {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        T::new((self.0 >> 40) as f64 / (1_u64 << 23) as f64 - 1.0)
    }
}

/// `lines` lines of `length` numbers, `leading` apart; what lies between is not a number.
fn lines<T: Real>(numbers: &mut Numbers, lines: usize, length: usize, leading: usize) -> Vec<T> {
    let element = |at: usize| if at % leading < length { numbers.next() } else { T::new(f64::NAN) };
    (0..lines * leading).map(element).collect()
}

fn bits<T: Real>(number: T) -> u64 {
    number.into().to_bits()
}

/// Whether `found` is a sum of `count` products that lie around `want` and whose sizes add up to `size`.
fn is_close<T: Real>(found: T, want: f64, size: f64, count: usize) -> bool {
    (found.into() - want).abs() <= (count + 4) as f64 * T::EPSILON * size
}

const FACTORS: [(f64, f64); 6] = [(1.0, 0.0), (0.75, 1.25), (-2.0, 1.0), (0.0, 0.5), (0.0, 0.0), (0.0, 1.0)];

// ---------------------------------------------------------------------------------------------------------------------
// The product of matrices

struct Gemm<'a, T> {
    row_major: bool,
    transposed: (bool, bool),
    extents: [usize; 3],
    alpha: f64,
    a: &'a [T],
    lda: usize,
    b: &'a [T],
    ldb: usize,
    beta: f64,
    c: &'a mut [T],
    ldc: usize,
}

type CblasGemm<T, I> = unsafe extern "C" fn(c_int, c_int, c_int, I, I, I, T, *const T, I, *const T, I, T, *mut T, I);

type FortranGemm<T, I> = unsafe extern "C" fn(
    *const c_char,
    *const c_char,
    *const I,
    *const I,
    *const I,
    *const T,
    *const T,
    *const I,
    *const T,
    *const I,
    *const T,
    *mut T,
    *const I,
    usize,
    usize,
);

/// C's numbers for a matrix as it is and for a transposed one; the conjugate of real numbers is they themselves.
fn code(is_transposed: bool, is_conjugate: bool) -> c_int {
    if is_transposed { 112 + c_int::from(is_conjugate) } else { 111 }
}

fn letter(is_transposed: bool, variant: usize) -> c_char {
    let letters = if is_transposed { b"TtCc" } else { b"NnNn" };
    letters[variant % 4] as c_char
}

fn cblas_gemm<T: Real, I: Integer>(name: &str) -> impl Fn(Gemm<'_, T>) {
    let gemm = function::<CblasGemm<T, I>>(name);
    move |call| {
        let [m, n, k] = call.extents.map(|extent| I::new(extent as isize));
        let [lda, ldb, ldc] = [call.lda, call.ldb, call.ldc].map(|leading| I::new(leading as isize));
        let order = if call.row_major { 101 } else { 102 };
        let transa = code(call.transposed.0, call.beta == 0.0);
        let transb = code(call.transposed.1, call.beta != 0.0);
        let (a, b, c) = (call.a.as_ptr(), call.b.as_ptr(), call.c.as_mut_ptr());
        // SAFETY: the slices hold matrices of these extents.
        unsafe { gemm(order, transa, transb, m, n, k, T::new(call.alpha), a, lda, b, ldb, T::new(call.beta), c, ldc) }
    }
}

fn fortran_gemm<T: Real, I: Integer>(name: &str) -> impl Fn(Gemm<'_, T>) {
    let gemm = function::<FortranGemm<T, I>>(name);
    move |call| {
        let [m, n, k] = call.extents.map(|extent| I::new(extent as isize));
        let [lda, ldb, ldc] = [call.lda, call.ldb, call.ldc].map(|leading| I::new(leading as isize));
        let transa = letter(call.transposed.0, call.extents[0]);
        let transb = letter(call.transposed.1, call.extents[1]);
        let (a, b, c) = (call.a.as_ptr(), call.b.as_ptr(), call.c.as_mut_ptr());
        let (alpha, beta) = (T::new(call.alpha), T::new(call.beta));
        // SAFETY: the slices hold matrices of these extents.
        unsafe { gemm(&transa, &transb, &m, &n, &k, &alpha, a, &lda, b, &ldb, &beta, c, &ldc, 1, 1) }
    }
}

/// Where element (i, j) of a matrix lies.
fn place(row_major: bool, is_transposed: bool, leading: usize, i: usize, j: usize) -> usize {
    if row_major != is_transposed { i * leading + j } else { j * leading + i }
}

fn check_gemm<T: Real>(gemm: &dyn Fn(Gemm<'_, T>), name: &str, orders: &[bool]) {
    let mut numbers = Numbers(1);
    for &row_major in orders {
        for transposed in [(false, false), (false, true), (true, false), (true, true)] {
            for [m, n, k] in triples(&[0, 1, 3, 17, 40]) {
                for padding in [0, 3] {
                    for (alpha, beta) in FACTORS {
                        let problem = Problem { row_major, transposed, extents: [m, n, k], padding, alpha, beta };
                        problem.check(&mut numbers, gemm, name);
                    }
                }
            }
            // Large enough for threads, and for more than one block.
            let extents = [203, 301, 517];
            let problem = Problem { row_major, transposed, extents, padding: 5, alpha: 0.5, beta: -1.0 };
            problem.check(&mut numbers, gemm, name);
        }
    }
}

fn triples(of: &[usize]) -> impl Iterator<Item = [usize; 3]> {
    of.iter().flat_map(move |&m| of.iter().flat_map(move |&n| of.iter().map(move |&k| [m, n, k])))
}

fn pairs(of: &[usize]) -> impl Iterator<Item = [usize; 2]> {
    of.iter().flat_map(move |&m| of.iter().map(move |&n| [m, n]))
}

#[derive(Debug)]
struct Problem {
    row_major: bool,
    transposed: (bool, bool),
    extents: [usize; 3],
    padding: usize,
    alpha: f64,
    beta: f64,
}

impl Problem {
    fn check<T: Real>(&self, numbers: &mut Numbers, gemm: &dyn Fn(Gemm<'_, T>), name: &str) {
        let &Self { row_major, transposed, extents, padding, alpha, beta } = self;
        let [m, n, k] = extents;
        // Lines are rows or columns, whichever lie together.
        let matrix = |rows: usize, cols: usize, is_transposed: bool| {
            if row_major != is_transposed { (rows, cols) } else { (cols, rows) }
        };
        let (lines_a, length_a) = matrix(m, k, transposed.0);
        let (lines_b, length_b) = matrix(k, n, transposed.1);
        let (lines_c, length_c) = matrix(m, n, false);
        let [lda, ldb, ldc] = [length_a, length_b, length_c].map(|length| length.max(1) + padding);
        let mut a = lines::<T>(numbers, lines_a, length_a, lda);
        let b = lines::<T>(numbers, lines_b, length_b, ldb);
        let before = lines::<T>(numbers, lines_c, if beta == 0.0 { 0 } else { length_c }, ldc);
        if alpha == 0.0 {
            // It must not be read.
            a.fill(T::new(f64::NAN));
        }
        let mut c = before.clone();
        gemm(Gemm { row_major, transposed, extents, alpha, a: &a, lda, b: &b, ldb, beta, c: &mut c, ldc });

        let mut is_padding = vec![true; c.len()];
        for i in 0..m {
            for j in 0..n {
                let at = place(row_major, false, ldc, i, j);
                is_padding[at] = false;
                let (mut want, mut size) = (0.0, 0.0);
                if beta != 0.0 {
                    want += beta * before[at].into();
                }
                size += want.abs();
                for p in (0..k).filter(|_| alpha != 0.0) {
                    let x: f64 = a[place(row_major, transposed.0, lda, i, p)].into();
                    let y: f64 = b[place(row_major, transposed.1, ldb, p, j)].into();
                    want += alpha * x * y;
                    size += (alpha * x * y).abs();
                }
                assert!(is_close(c[at], want, size, k), "{name} {self:?}: ({i}, {j}) {:?} for {want}", c[at]);
            }
        }
        for at in (0..c.len()).filter(|&at| is_padding[at]) {
            assert_eq!(bits(c[at]), bits(before[at]), "{name} {self:?}: padding at {at}");
        }
    }
}

#[test]
fn products_of_matrices() {
    check_gemm(&cblas_gemm::<f32, i32>("cblas_sgemm"), "cblas_sgemm", &[false, true]);
    check_gemm(&cblas_gemm::<f64, i32>("cblas_dgemm"), "cblas_dgemm", &[false, true]);
    check_gemm(&cblas_gemm::<f32, i64>("scipy_cblas_sgemm64_"), "scipy_cblas_sgemm64_", &[false, true]);
    check_gemm(&cblas_gemm::<f64, i64>("scipy_cblas_dgemm64_"), "scipy_cblas_dgemm64_", &[false, true]);
    check_gemm(&fortran_gemm::<f32, i32>("sgemm_"), "sgemm_", &[false]);
    check_gemm(&fortran_gemm::<f64, i32>("dgemm_"), "dgemm_", &[false]);
    check_gemm(&fortran_gemm::<f32, i64>("scipy_sgemm_64_"), "scipy_sgemm_64_", &[false]);
    check_gemm(&fortran_gemm::<f64, i64>("scipy_dgemm_64_"), "scipy_dgemm_64_", &[false]);
}

// ---------------------------------------------------------------------------------------------------------------------
// The product of a matrix and a vector

struct Gemv<'a, T> {
    row_major: bool,
    is_transposed: bool,
    rows: usize,
    cols: usize,
    alpha: f64,
    a: &'a [T],
    lda: usize,
    x: &'a [T],
    incx: isize,
    beta: f64,
    y: &'a mut [T],
    incy: isize,
}

type CblasGemv<T, I> = unsafe extern "C" fn(c_int, c_int, I, I, T, *const T, I, *const T, I, T, *mut T, I);

type FortranGemv<T, I> = unsafe extern "C" fn(
    *const c_char,
    *const I,
    *const I,
    *const T,
    *const T,
    *const I,
    *const T,
    *const I,
    *const T,
    *mut T,
    *const I,
    usize,
);

fn cblas_gemv<T: Real, I: Integer>(name: &str) -> impl Fn(Gemv<'_, T>) {
    let gemv = function::<CblasGemv<T, I>>(name);
    move |call| {
        let [m, n, lda] = [call.rows, call.cols, call.lda].map(|extent| I::new(extent as isize));
        let (incx, incy) = (I::new(call.incx), I::new(call.incy));
        let order = if call.row_major { 101 } else { 102 };
        let trans = code(call.is_transposed, call.beta == 0.0);
        let (a, x, y) = (call.a.as_ptr(), call.x.as_ptr(), call.y.as_mut_ptr());
        // SAFETY: the slices hold a matrix and vectors of these extents.
        unsafe { gemv(order, trans, m, n, T::new(call.alpha), a, lda, x, incx, T::new(call.beta), y, incy) }
    }
}

fn fortran_gemv<T: Real, I: Integer>(name: &str) -> impl Fn(Gemv<'_, T>) {
    let gemv = function::<FortranGemv<T, I>>(name);
    move |call| {
        let [m, n, lda] = [call.rows, call.cols, call.lda].map(|extent| I::new(extent as isize));
        let (incx, incy) = (I::new(call.incx), I::new(call.incy));
        let trans = letter(call.is_transposed, call.rows);
        let (alpha, beta) = (T::new(call.alpha), T::new(call.beta));
        let (a, x, y) = (call.a.as_ptr(), call.x.as_ptr(), call.y.as_mut_ptr());
        // SAFETY: the slices hold a matrix and vectors of these extents.
        unsafe { gemv(&trans, &m, &n, &alpha, a, &lda, x, &incx, &beta, y, &incy, 1) }
    }
}

/// Where element `i` of a vector of `length` lies.
fn along(length: usize, increment: isize, i: usize) -> usize {
    (if increment < 0 { length - 1 - i } else { i }) * increment.unsigned_abs()
}

/// A vector whose gaps are not numbers.
fn vector<T: Real>(numbers: &mut Numbers, length: usize, increment: isize) -> Vec<T> {
    lines(numbers, length, 1, increment.unsigned_abs().max(1))
}

fn check_gemv<T: Real>(gemv: &dyn Fn(Gemv<'_, T>), name: &str, orders: &[bool]) {
    let mut numbers = Numbers(2);
    for &row_major in orders {
        for is_transposed in [false, true] {
            for [rows, cols] in pairs(&[0, 1, 3, 17, 40, 130]) {
                for (incx, incy) in [(1, 1), (2, -1), (-3, 2), (-1, 1)] {
                    for (alpha, beta) in FACTORS {
                        let problem = VectorProblem { row_major, is_transposed, rows, cols, incx, incy, alpha, beta };
                        problem.check(&mut numbers, gemv, name, 0);
                        problem.check(&mut numbers, gemv, name, 3);
                    }
                }
            }
        }
    }
}

#[derive(Debug)]
struct VectorProblem {
    row_major: bool,
    is_transposed: bool,
    rows: usize,
    cols: usize,
    incx: isize,
    incy: isize,
    alpha: f64,
    beta: f64,
}

impl VectorProblem {
    fn check<T: Real>(&self, numbers: &mut Numbers, gemv: &dyn Fn(Gemv<'_, T>), name: &str, padding: usize) {
        let &Self { row_major, is_transposed, rows, cols, incx, incy, alpha, beta } = self;
        let (lines_a, length_a) = if row_major { (rows, cols) } else { (cols, rows) };
        let lda = length_a.max(1) + padding;
        let a = lines::<T>(numbers, lines_a, length_a, lda);
        let (length, depth) = if is_transposed { (cols, rows) } else { (rows, cols) };
        let mut x = vector::<T>(numbers, depth, incx);
        let mut before = vector::<T>(numbers, length, incy);
        // What must not be read is not a number.
        if alpha == 0.0 {
            x.fill(T::new(f64::NAN));
        }
        if beta == 0.0 {
            before.fill(T::new(f64::NAN));
        }
        let mut y = before.clone();
        gemv(Gemv { row_major, is_transposed, rows, cols, alpha, a: &a, lda, x: &x, incx, beta, y: &mut y, incy });

        let mut is_left = vec![true; y.len()];
        // A product without a sum leaves y alone, whatever beta is: so says the reference.
        for i in (0..length).filter(|_| depth > 0) {
            let at = along(length, incy, i);
            is_left[at] = false;
            let mut want = if beta == 0.0 { 0.0 } else { beta * before[at].into() };
            let mut size = want.abs();
            for p in (0..depth).filter(|_| alpha != 0.0) {
                let element: f64 = a[place(row_major, is_transposed, lda, i, p)].into();
                let product = alpha * element * x[along(depth, incx, p)].into();
                want += product;
                size += product.abs();
            }
            assert!(is_close(y[at], want, size, depth), "{name} {self:?} + {padding}: {i} {:?} for {want}", y[at]);
        }
        for at in (0..y.len()).filter(|&at| is_left[at]) {
            assert_eq!(bits(y[at]), bits(before[at]), "{name} {self:?} + {padding}: gap at {at}");
        }
    }
}

#[test]
fn products_of_a_matrix_and_a_vector() {
    check_gemv(&cblas_gemv::<f32, i32>("cblas_sgemv"), "cblas_sgemv", &[false, true]);
    check_gemv(&cblas_gemv::<f64, i32>("cblas_dgemv"), "cblas_dgemv", &[false, true]);
    check_gemv(&cblas_gemv::<f32, i64>("scipy_cblas_sgemv64_"), "scipy_cblas_sgemv64_", &[false, true]);
    check_gemv(&cblas_gemv::<f64, i64>("scipy_cblas_dgemv64_"), "scipy_cblas_dgemv64_", &[false, true]);
    check_gemv(&fortran_gemv::<f32, i32>("sgemv_"), "sgemv_", &[false]);
    check_gemv(&fortran_gemv::<f64, i32>("dgemv_"), "dgemv_", &[false]);
    check_gemv(&fortran_gemv::<f32, i64>("scipy_sgemv_64_"), "scipy_sgemv_64_", &[false]);
    check_gemv(&fortran_gemv::<f64, i64>("scipy_dgemv_64_"), "scipy_dgemv_64_", &[false]);
}

// ---------------------------------------------------------------------------------------------------------------------
// The product of vectors

type CblasDot<T, I> = unsafe extern "C" fn(I, *const T, I, *const T, I) -> T;
type FortranDot<T, I> = unsafe extern "C" fn(*const I, *const T, *const I, *const T, *const I) -> T;

/// n, x and its increment, y and its increment.
type Dot<'a, T> = &'a dyn Fn(isize, &[T], isize, &[T], isize) -> T;

fn cblas_dot<T: Real, I: Integer>(name: &str) -> impl Fn(isize, &[T], isize, &[T], isize) -> T {
    let dot = function::<CblasDot<T, I>>(name);
    // SAFETY: the slices hold vectors of that length.
    move |n, x, incx, y, incy| unsafe { dot(I::new(n), x.as_ptr(), I::new(incx), y.as_ptr(), I::new(incy)) }
}

fn fortran_dot<T: Real, I: Integer>(name: &str) -> impl Fn(isize, &[T], isize, &[T], isize) -> T {
    let dot = function::<FortranDot<T, I>>(name);
    // SAFETY: the slices hold vectors of that length.
    move |n, x, incx, y, incy| unsafe { dot(&I::new(n), x.as_ptr(), &I::new(incx), y.as_ptr(), &I::new(incy)) }
}

fn check_dot<T: Real>(dot: Dot<'_, T>, name: &str) {
    let mut numbers = Numbers(3);
    for n in [1, 2, 5, 64, 100, 1000] {
        for incx in [1, 2, -1, -3, 0] {
            for incy in [1, -2, 0] {
                let (x, y) = (vector::<T>(&mut numbers, n, incx), vector::<T>(&mut numbers, n, incy));
                let (mut want, mut size) = (0.0, 0.0);
                for i in 0..n {
                    let product = x[along(n, incx, i)].into() * y[along(n, incy, i)].into();
                    want += product;
                    size += product.abs();
                }
                let found = dot(n as isize, &x, incx, &y, incy);
                assert!(is_close(found, want, size, n), "{name} {n} {incx} {incy}: {found:?} for {want}");
            }
        }
    }
    assert_eq!(dot(0, &[], 1, &[], 1).into(), 0.0, "{name}");
    assert_eq!(dot(-5, &[], 1, &[], 1).into(), 0.0, "{name}");
}

#[test]
fn products_of_vectors() {
    check_dot(&cblas_dot::<f32, i32>("cblas_sdot"), "cblas_sdot");
    check_dot(&cblas_dot::<f64, i32>("cblas_ddot"), "cblas_ddot");
    check_dot(&cblas_dot::<f32, i64>("scipy_cblas_sdot64_"), "scipy_cblas_sdot64_");
    check_dot(&cblas_dot::<f64, i64>("scipy_cblas_ddot64_"), "scipy_cblas_ddot64_");
    check_dot(&fortran_dot::<f32, i32>("sdot_"), "sdot_");
    check_dot(&fortran_dot::<f64, i32>("ddot_"), "ddot_");
    check_dot(&fortran_dot::<f32, i64>("scipy_sdot_64_"), "scipy_sdot_64_");
    check_dot(&fortran_dot::<f64, i64>("scipy_ddot_64_"), "scipy_ddot_64_");
}
