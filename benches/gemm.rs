//! The matrix product against matrixmultiply: `cargo bench --bench gemm`.
//!
//! Row-major operands, alpha 1, beta 0. An element of the throughput is one multiply-add.

#![allow(missing_docs)]

mod support;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lanegrad::kernels::isa::Scalar;
use lanegrad::kernels::{MatMut, MatRef, gemm};
use std::time::Duration;
use support::{assert_same, pools, uniform};

/// Squares, then the shapes of a linear classifier and of a multi-layer perceptron on CIFAR-10: m, k, n.
const SHAPES: [(usize, usize, usize); 15] = [
    (16, 16, 16),
    (32, 32, 32),
    (64, 64, 64),
    (128, 128, 128),
    (256, 256, 256),
    (512, 512, 512),
    (1024, 1024, 1024),
    (2048, 2048, 2048),
    (256, 3072, 10),
    (10, 3072, 256),
    (3072, 256, 10),
    (10, 256, 3072),
    (256, 3072, 128),
    (256, 3072, 1024),
    (256, 128, 10),
];

/// A product of one type by matrixmultiply, with the signature that ours shares.
type Rival<T> =
    unsafe fn(usize, usize, usize, T, *const T, isize, isize, *const T, isize, isize, T, *mut T, isize, isize);

fn products<T: Scalar>(criterion: &mut Criterion, name: &str, rival: Rival<T>) {
    let pools = pools();
    let mut group = criterion.benchmark_group(format!("gemm-{name}"));
    group.sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    for (m, k, n) in SHAPES {
        let (a, b) = (uniform::<T>(1, m * k), uniform::<T>(2, k * n));
        let (mut ours, mut theirs) = (vec![T::ZERO; m * n], vec![T::ZERO; m * n]);
        let bytes = (m * k + k * n + m * n) * size_of::<T>();
        group.throughput(Throughput::ElementsAndBytes { elements: (m * k * n) as u64, bytes: bytes as u64 });
        let shape = format!("{m}x{k}x{n}");

        let run_ours = |c: &mut [T]| {
            let a = MatRef::row_major(&a, m, k).expect("A has this shape");
            let b = MatRef::row_major(&b, k, n).expect("B has this shape");
            let c = MatMut::row_major(c, m, n).expect("C has this shape");
            gemm(T::ONE, a, b, T::ZERO, c).expect("the shapes agree");
        };
        let run_theirs = |c: &mut [T]| {
            let (k_stride, n_stride) = (k as isize, n as isize);
            let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
            // SAFETY: the slices hold matrices of these shapes in row-major order.
            unsafe { rival(m, k, n, T::ONE, a, k_stride, 1, b, n_stride, 1, T::ZERO, c, n_stride, 1) }
        };
        run_ours(&mut ours);
        run_theirs(&mut theirs);
        assert_same(&ours, &theirs, 8.0 * k as f64 * T::EPSILON.to_f64(), &shape);

        for (threads, pool) in &pools {
            let id = BenchmarkId::new(format!("lanegrad-{threads}"), &shape);
            group.bench_function(id, |bencher| pool.run(|| bencher.iter(|| run_ours(&mut ours))));
        }
        let id = BenchmarkId::new("matrixmultiply-1t", &shape);
        group.bench_function(id, |bencher| bencher.iter(|| run_theirs(&mut theirs)));
    }
    group.finish();
}

fn gemm_f32(criterion: &mut Criterion) {
    products::<f32>(criterion, "f32", matrixmultiply::sgemm);
}

fn gemm_f64(criterion: &mut Criterion) {
    products::<f64>(criterion, "f64", matrixmultiply::dgemm);
}

criterion_group!(benches, gemm_f32, gemm_f64);
criterion_main!(benches);
