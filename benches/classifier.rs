//! The fused classifier step against the same step composed of matrixmultiply calls and plain loops:
//! `cargo bench --bench classifier`.
//!
//! A step is loss, dW and db for a batch of shuffled rows of 3072 features and 10 classes. An element of the throughput is
//! one sample, its bytes are those of its features.

#![allow(missing_docs)]

mod support;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lanegrad::Loss;
use lanegrad::kernels::aligned::{AlignedVec, padded_row};
use lanegrad::kernels::classifier::{Linear, Samples, StoreGradient, backward, forward};
use lanegrad::kernels::isa::Element;
use lanegrad::kernels::{MatMut, MatRef};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::time::Duration;
use support::{assert_same, pools, uniform};

const FEATURES: usize = 3072;
const CLASSES: usize = 10;
/// Rows in all: more than any cache holds.
const ROWS: usize = 20_000;

/// Elements from one row of weights to the next.
fn stride() -> usize {
    padded_row(FEATURES, size_of::<f32>())
}

/// A data set in rows an odd number of cache lines apart.
struct Rows<P> {
    data: AlignedVec<P>,
    stride: usize,
    labels: Vec<u32>,
    /// All rows, shuffled.
    order: Vec<u32>,
}

impl<P: Pixel> Rows<P> {
    fn new() -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
        let stride = padded_row(FEATURES, size_of::<P>());
        let mut data = AlignedVec::zeroed(ROWS * stride);
        data.iter_mut().for_each(|x| *x = P::from_byte(random.random()));
        let labels = (0..ROWS).map(|_| random.random_range(0..CLASSES as u32)).collect();
        let mut order: Vec<u32> = (0..ROWS as u32).collect();
        order.shuffle(&mut random);
        Self { data, stride, labels, order }
    }
}

/// Elements that a data set may have.
trait Pixel: Element<f32> {
    fn from_byte(byte: u8) -> Self;
}

impl Pixel for u8 {
    fn from_byte(byte: u8) -> Self {
        byte
    }
}

impl Pixel for f32 {
    fn from_byte(byte: u8) -> Self {
        Self::from(byte)
    }
}

/// What a step computes, and the room it needs.
struct Step {
    losses: Vec<f32>,
    dscores: Vec<f32>,
    /// Rows [`stride`] apart.
    dweights: AlignedVec<f32>,
    dbias: Vec<f32>,
    /// The batch as floats, for the composed step.
    batch: Vec<f32>,
}

impl Step {
    fn new(samples: usize) -> Self {
        Self {
            losses: vec![0.0; samples],
            dscores: vec![0.0; samples * CLASSES],
            dweights: AlignedVec::zeroed(CLASSES * stride()),
            dbias: vec![0.0; CLASSES],
            batch: vec![0.0; samples * FEATURES],
        }
    }

    fn fused<P: Element<f32>>(&mut self, loss: Loss, weights: &[f32], bias: &[f32], rows: &Rows<P>, index: &[u32]) {
        let samples = Samples::new(&rows.data, rows.stride, FEATURES, &rows.labels, index).expect("the rows are there");
        let apart = stride() as isize;
        let weights = MatRef::with_strides(weights, 0, CLASSES, FEATURES, apart, 1).expect("allocated with this shape");
        let model = Linear::new(weights, bias).expect("one bias a class");
        let shape = (CLASSES, index.len());
        let dscores = MatMut::row_major(&mut self.dscores, shape.0, shape.1).expect("allocated with this shape");
        forward(model, samples, loss, dscores, &mut self.losses).expect("the shapes agree");
        let dweights = MatMut::with_strides(&mut self.dweights, 0, CLASSES, FEATURES, apart, 1);
        let dweights = dweights.expect("allocated with this shape");
        let dscores = MatRef::row_major(&self.dscores, shape.0, shape.1).expect("allocated with this shape");
        backward(samples, dscores, &mut self.dbias, StoreGradient { dweights, normalisation: None })
            .expect("the shapes agree");
    }

    /// Gather, product, loss, product: as one would write it with a matrix library. dScores are N x C here.
    fn composed<P: Element<f32>>(&mut self, loss: Loss, weights: &[f32], bias: &[f32], rows: &Rows<P>, index: &[u32]) {
        let n = index.len();
        for (row, &i) in self.batch.chunks_exact_mut(FEATURES).zip(index) {
            let source = &rows.data[i as usize * rows.stride..][..FEATURES];
            row.iter_mut().zip(source).for_each(|(x, &pixel)| *x = pixel.to_scalar());
        }
        let (d, c, apart) = (FEATURES as isize, CLASSES as isize, stride() as isize);
        for scores in self.dscores.chunks_exact_mut(CLASSES) {
            scores.copy_from_slice(bias);
        }
        let (x, w, s) = (self.batch.as_ptr(), weights.as_ptr(), self.dscores.as_mut_ptr());
        // SAFETY: the vectors hold matrices of these shapes: X N x D, W C x D read as D x C, scores N x C.
        unsafe { matrixmultiply::sgemm(n, FEATURES, CLASSES, 1.0, x, d, 1, w, 1, apart, 1.0, s, c, 1) };
        self.dbias.fill(0.0);
        for ((scores, loss_of_row), &i) in self.dscores.chunks_exact_mut(CLASSES).zip(&mut self.losses).zip(index) {
            let label = rows.labels[i as usize] as usize;
            *loss_of_row = loss_and_gradient(loss, scores, label, 1.0 / n as f32);
            self.dbias.iter_mut().zip(scores).for_each(|(db, ds)| *db += *ds);
        }
        let (s, dw) = (self.dscores.as_ptr(), self.dweights.as_mut_ptr());
        // SAFETY: as above; dScores are read as C x N, dW is C x D.
        unsafe { matrixmultiply::sgemm(CLASSES, n, FEATURES, 1.0, s, 1, c, x, d, 1, 0.0, dw, apart, 1) };
    }
}

fn loss_and_gradient(loss: Loss, scores: &mut [f32], label: usize, weight: f32) -> f32 {
    let own = scores[label];
    match loss {
        Loss::Softmax => {
            let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            scores.iter_mut().for_each(|s| *s = (*s - largest).exp());
            let sum: f32 = scores.iter().sum();
            scores.iter_mut().for_each(|s| *s *= weight / sum);
            scores[label] -= weight;
            sum.ln() + largest - own
        }
        Loss::Hinge => {
            let (mut total, mut violated) = (0.0, 0.0);
            for (j, score) in scores.iter_mut().enumerate() {
                let margin = if j == label { 0.0 } else { (*score - own + 1.0).max(0.0) };
                total += margin;
                *score = if margin > 0.0 { weight } else { 0.0 };
                violated += *score;
            }
            scores[label] = -violated;
            total
        }
    }
}

fn steps<P: Pixel>(criterion: &mut Criterion, name: &str) {
    let rows = Rows::<P>::new();
    let mut weights = AlignedVec::<f32>::zeroed(CLASSES * stride());
    weights.iter_mut().zip(uniform::<f32>(4, CLASSES * stride())).for_each(|(w, x)| *w = 1e-3 * x);
    let bias = vec![0.0; CLASSES];
    let pools = pools();
    for loss in [Loss::Softmax, Loss::Hinge] {
        let mut group = criterion.benchmark_group(format!("classifier-{}-{name}", loss.name()));
        group.sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
        for batch in [32, 256, 1024] {
            let bytes = (batch * FEATURES * size_of::<P>()) as u64;
            group.throughput(Throughput::ElementsAndBytes { elements: batch as u64, bytes });
            let (mut ours, mut theirs) = (Step::new(batch), Step::new(batch));
            ours.fused(loss, &weights, &bias, &rows, &rows.order[..batch]);
            theirs.composed(loss, &weights, &bias, &rows, &rows.order[..batch]);
            assert_same(&ours.losses, &theirs.losses, 1e-3, "losses");
            assert_same(&ours.dweights, &theirs.dweights, 1e-2, "dW");
            assert_same(&ours.dbias, &theirs.dbias, 1e-3, "db");

            // Each call takes the next batch of the shuffled order, so that rows come from memory as in training.
            let mut batches = rows.order.chunks_exact(batch).cycle();
            let mut next = || batches.next().unwrap_or_default();
            for (threads, pool) in &pools {
                group.bench_function(BenchmarkId::new(format!("fused-{threads}"), batch), |bencher| {
                    pool.run(|| bencher.iter(|| ours.fused(loss, &weights, &bias, &rows, next())));
                });
            }
            group.bench_function(BenchmarkId::new("composed-1t", batch), |bencher| {
                bencher.iter(|| theirs.composed(loss, &weights, &bias, &rows, next()));
            });
        }
        group.finish();
    }
}

fn classifier(criterion: &mut Criterion) {
    steps::<u8>(criterion, "u8");
    steps::<f32>(criterion, "f32");
}

criterion_group!(benches, classifier);
criterion_main!(benches);
