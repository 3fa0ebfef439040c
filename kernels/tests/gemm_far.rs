//! Products of operands that fill more than the caches that are near: what is prefetched changes no result.

mod support;

use lanegrad_kernels::aligned::AlignedVec;
use lanegrad_kernels::caches::caches;
use lanegrad_kernels::dispatch::{dispatch_at, supported};
use lanegrad_kernels::gemm::Gemm;
use lanegrad_kernels::isa::Scalar;
use lanegrad_kernels::parallel::Threads;
use lanegrad_kernels::{MatMut, MatRef};
use support::uniform;

/// Bytes beyond which this test would take too long.
const MOST_BYTES: usize = 64 << 20;

/// Extents of products, of which an operand or more lie far out.
fn shapes<T: Scalar>() -> Vec<(usize, usize, usize)> {
    let more_than = |bytes: usize, each: usize| bytes / size_of::<T>() / each + 3;
    let second = caches().second.max(256 * 1024);
    let third = second.max(caches().third / 3);
    let mut shapes = vec![
        // Few rows times a far B, in one block of the depth and in several, in one row of tiles and in more.
        (5, 300, more_than(second, 300)),
        (13, 1100, more_than(second, 1100)),
        (30, 300, more_than(second, 300)),
        // Long rows of A, few and many of them.
        (4, 777, more_than(second, 777).max(800)),
        (9, 1000, 900),
        (13, 1000, 900),
        (100, 770, 800),
        // Many rows times few columns, which whole tiles have and have not; A, C or both lie far.
        (more_than(second, 100), 100, 64),
        (more_than(second, 70), 70, 20),
        (more_than(second, 17), 17, 35),
        (more_than(second, 20), 20, 13),
        (more_than(second, 16), 16, 8),
        (more_than(second, 600), 600, 33),
        // A B from the third-level cache whose rows lie whole pages apart, under two low tiles and under high ones.
        (7, 1024, 1024),
        (10, 1024, 1024),
        (12, 1024, 1024),
        (30, 1024, 1024),
        // One from further out.
        (20, 1030, 2048),
    ];
    if 2 * second < third {
        // Dot products of rows that are read one after the other.
        shapes.push((more_than(2 * second, 1030), 1030, 1));
    } else {
        println!("skipped: a third of the third-level cache is less than two of the second level");
    }
    if third <= MOST_BYTES {
        // Two columns in a vector, dot products, and multiples of rows.
        shapes.extend([
            (more_than(third, 200), 200, 10),
            (more_than(third, 700), 700, 10),
            (more_than(third, 4500), 4500, 9),
            (more_than(third, 90), 90, 5),
            (more_than(third, 250), 250, 3),
            (more_than(third, 300), 300, 1),
            (1, more_than(third, 1200), 1200),
            // Wide tiles.
            (2, 500, more_than(third, 500)),
            (3, 500, more_than(third, 500)),
            (4, 500, more_than(third, 500)),
        ]);
    } else {
        println!("skipped: a third-level cache of which a third is {third} bytes");
    }
    shapes
}

/// Small whole numbers, in no order.
fn integers(seed: u64, count: usize) -> Vec<i32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as i32 % 4 - (state >> 40) as i32 % 2
    };
    (0..count).map(|_| next()).collect()
}

/// The numbers from the start of a cache line on, since what is read where it lies follows from that.
fn aligned<T: Scalar>(numbers: &[T]) -> AlignedVec<T> {
    let mut aligned = AlignedVec::zeroed(numbers.len());
    aligned.copy_from_slice(numbers);
    aligned
}

/// The product, row by row.
fn expected((m, k, n): (usize, usize, usize), a: &[i32], b: &[i32]) -> Vec<i32> {
    let mut c = vec![0; m * n];
    for (row, target) in a.chunks_exact(k).zip(c.chunks_exact_mut(n)) {
        for (&x, line) in row.iter().zip(b.chunks_exact(n)) {
            target.iter_mut().zip(line).for_each(|(c, &b)| *c += x * b);
        }
    }
    c
}

fn far_operands_give_exact_products<T: Scalar>() {
    let alone = Threads::new(1).unwrap();
    for shape in shapes::<T>() {
        let (m, k, n) = shape;
        let (a, b) = (integers(1, m * k), integers(2, k * n));
        let wanted = expected(shape, &a, &b);
        let convert = |numbers: &[i32]| -> Vec<T> { numbers.iter().map(|&x| T::from_f64(f64::from(x))).collect() };
        let (by_rows, b) = (convert(&a), aligned(&convert(&b)));
        // The same A, its rows' elements a column apart.
        let by_columns: Vec<T> = (0..k).flat_map(|p| by_rows.iter().skip(p).step_by(k)).copied().collect();
        let mut c = vec![T::ZERO; m * n];
        for level in supported() {
            for (a, strides) in [(&by_rows, (k, 1)), (&by_columns, (1, m))] {
                let a = MatRef::with_strides(a, 0, m, k, strides.0 as isize, strides.1 as isize).unwrap();
                let b = MatRef::row_major(&b, k, n).unwrap();
                c.fill(T::NAN);
                let product = Gemm::new(T::ONE, a, b, T::ZERO, MatMut::row_major(&mut c, m, n).unwrap());
                // Parts of them might be near.
                alone.run(|| dispatch_at(level, product.unwrap())).unwrap();
                for (at, (&found, &wanted)) in c.iter().zip(&wanted).enumerate() {
                    let place = (at / n, at % n);
                    assert_eq!(found.to_f64(), f64::from(wanted), "{level} {shape:?} {strides:?} at {place:?}");
                }
            }
        }
    }
}

/// Compares each far product with products of parts of it that are near: some rows of A, or some columns of B.
fn far_products_have_the_bits_of_near_ones<T: Scalar>() {
    let alone = Threads::new(1).unwrap();
    let (alpha, beta) = (T::from_f64(1.25), T::from_f64(-0.5));
    for (m, k, n) in shapes::<T>() {
        let (a, b, old) = (uniform::<T>(1, m * k), aligned(&uniform::<T>(2, k * n)), uniform::<T>(3, m * n));
        let (high, wide) = if m > 64 { (50, n) } else { (m, 600) };
        for level in supported() {
            let product = |c: &mut [T], (i, rows): (usize, usize), (j, cols): (usize, usize)| {
                let a = MatRef::row_major(&a[i * k..][..rows * k], rows, k).unwrap();
                let b = MatRef::with_strides(&b, j, k, cols, n as isize, 1).unwrap();
                let c = MatMut::with_strides(c, i * n + j, rows, cols, n as isize, 1).unwrap();
                let product = Gemm::new(alpha, a, b, beta, c).unwrap();
                alone.run(|| dispatch_at(level, product)).unwrap();
            };
            let mut whole = old.clone();
            product(&mut whole, (0, m), (0, n));
            let mut parts = old.clone();
            for i in (0..m).step_by(high) {
                for j in (0..n).step_by(wide) {
                    // The last part overlaps the one before it, so that none is of another shape.
                    let (i, j) = (i.min(m - high.min(m)), j.min(n - wide.min(n)));
                    restore(&mut parts, &old, (i, high.min(m)), (j, wide.min(n)), n);
                    product(&mut parts, (i, high.min(m)), (j, wide.min(n)));
                }
            }
            let differing = whole.iter().zip(&parts).position(|(whole, part)| whole != part);
            assert_eq!(differing, None, "{level} {m} x {k} x {n}");
        }
    }
}

/// Puts back what a part of C was.
fn restore<T: Scalar>(c: &mut [T], old: &[T], (i, rows): (usize, usize), (j, cols): (usize, usize), n: usize) {
    for row in i..i + rows {
        c[row * n + j..][..cols].copy_from_slice(&old[row * n + j..][..cols]);
    }
}

#[test]
fn far_products_have_the_bits_of_near_ones_in_f32() {
    far_products_have_the_bits_of_near_ones::<f32>();
}

#[test]
fn far_products_have_the_bits_of_near_ones_in_f64() {
    far_products_have_the_bits_of_near_ones::<f64>();
}

#[test]
fn far_operands_give_exact_products_in_f32() {
    far_operands_give_exact_products::<f32>();
}

#[test]
fn far_operands_give_exact_products_in_f64() {
    far_operands_give_exact_products::<f64>();
}
