//! Update rules against the memory they run on: `cargo bench --bench update`.
//!
//! A step reads parameters, gradient and state and writes parameters and state: 12 bytes for each `f32` parameter, and 8 more
//! for each number of state. The measure is the triad a <- b + s c of the STREAM benchmark, 12 bytes an element, written with
//! the same vectors and shared by the same threads. The table at the end takes turns between the two, so that what slows the
//! machine down slows both: it gives the rule's bytes per second, and that as a part of the triad's, medians of all turns.
//!
//! Neither count has the lines that a store fetches before it overwrites them: the triad fetches a, a rule has read all that
//! it writes. A rule can therefore be above 1.

#![allow(missing_docs)]

mod support;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lanegrad::kernels::aligned::AlignedVec;
use lanegrad::kernels::dispatch;
use lanegrad::kernels::isa::{Isa, Kernel, Lanes, Scalar};
use lanegrad::kernels::parallel::{self, Divide, Threads};
use lanegrad::optim::{Optimizer, Segment, Updater};
use std::hint::black_box;
use std::time::{Duration, Instant};
use support::{assert_same, pools, uniform};

/// Parameters: what fits the second-level cache, a multi-layer perceptron for CIFAR-10, and far more than any cache.
const LENGTHS: [usize; 3] = [32 << 10, 1_600_000, 16_000_000];

const OPTIMIZERS: [Optimizer; 10] = [
    Optimizer::sgd(1e-6),
    Optimizer::momentum(1e-6),
    Optimizer::nesterov(1e-6),
    Optimizer::adagrad(1e-6),
    Optimizer::adadelta(1e-6),
    Optimizer::rms_prop(1e-6),
    Optimizer::graves_rms_prop(1e-6),
    Optimizer::adam(1e-6),
    Optimizer::adam_w(1e-6),
    Optimizer::lion(1e-6),
];

/// a <- b + s c.
struct Triad<'a> {
    a: &'a mut [f32],
    b: &'a [f32],
    c: &'a [f32],
    s: f32,
}

impl Kernel for Triad<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        type Vector<S> = <f32 as Scalar>::Lanes<S>;
        let lanes = Vector::<S>::COUNT;
        let s = Vector::<S>::splat(isa, self.s);
        let operands = self.b.chunks_exact(lanes).zip(self.c.chunks_exact(lanes));
        for (a, (b, c)) in self.a.chunks_exact_mut(lanes).zip(operands) {
            Vector::<S>::read(isa, c).mul_add(isa, s, Vector::<S>::read(isa, b)).write(isa, a);
        }
    }
}

/// A triad whose pieces threads take.
struct Shared<'a, S>(Triad<'a>, S);

impl<S: Isa> Divide for Shared<'_, S> {
    fn length(&self) -> usize {
        self.0.a.len()
    }
    fn split(self, at: usize) -> (Self, Self) {
        let Triad { a, b, c, s } = self.0;
        let ((a, rest_a), (b, rest_b), (c, rest_c)) = (a.split_at_mut(at), b.split_at(at), c.split_at(at));
        (Self(Triad { a, b, c, s }, self.1), Self(Triad { a: rest_a, b: rest_b, c: rest_c, s }, self.1))
    }
    fn run(self) {
        self.1.vectorize(self.0);
    }
}

struct Driver<'a>(Triad<'a>);

impl Kernel for Driver<'_> {
    type Output = ();
    fn run<S: Isa>(self, isa: S) {
        parallel::divide(Shared(self.0, isa), 21_856);
    }
}

/// An update rule and a triad, ready to run.
struct Contest {
    updater: Updater<f32>,
    parameters: AlignedVec<f32>,
    gradients: AlignedVec<f32>,
    target: AlignedVec<f32>,
}

impl Contest {
    fn new(optimizer: Optimizer, length: usize) -> Self {
        let segment = Segment { range: 0..length, matrix: None, decay: true };
        let mut contest = Self {
            updater: Updater::new(optimizer, &[segment]).expect("one segment"),
            parameters: AlignedVec::zeroed(length),
            gradients: AlignedVec::zeroed(length),
            target: AlignedVec::zeroed(length),
        };
        contest.parameters.copy_from_slice(&uniform(1, length));
        contest.gradients.copy_from_slice(&uniform(2, length));
        contest.triad();
        let sums = contest.parameters.iter().zip(contest.gradients.iter()).map(|(b, c)| b + 0.1 * c);
        assert_same(&contest.target, &sums.collect::<Vec<f32>>(), 1e-6, "triad");
        contest
    }

    fn step(&mut self) {
        self.updater.step(&mut self.parameters, &self.gradients, 1e-4).expect("arenas of one length");
    }

    fn triad(&mut self) {
        let (b, c) = (&self.parameters[..], &self.gradients[..]);
        let triad = Triad { a: &mut self.target, b, c, s: black_box(0.1) };
        dispatch::dispatch(Driver(triad)).expect("a level that is there");
    }
}

fn bytes(slots: usize, length: usize) -> u64 {
    ((3 + 2 * slots) * size_of::<f32>() * length) as u64
}

fn steps(criterion: &mut Criterion) {
    let pools = pools();
    for length in LENGTHS {
        let mut group = criterion.benchmark_group(format!("update-{length}"));
        group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
        for (threads, pool) in &pools {
            let mut contest = Contest::new(Optimizer::sgd(0.0), length);
            group.throughput(Throughput::Bytes(bytes(0, length)));
            let id = BenchmarkId::new("triad", threads);
            group.bench_function(id, |bencher| pool.run(|| bencher.iter(|| contest.triad())));
            for optimizer in OPTIMIZERS {
                let mut contest = Contest::new(optimizer, length);
                group.throughput(Throughput::Bytes(bytes(optimizer.slots(), length)));
                let id = BenchmarkId::new(optimizer.name(), threads);
                group.bench_function(id, |bencher| pool.run(|| bencher.iter(|| contest.step())));
            }
        }
        group.finish();
    }
}

/// Turns between rule and triad.
const TURNS: usize = 21;

fn ratios(_: &mut Criterion) {
    println!("parameters  threads  rule            GB/s   of the triad");
    for length in LENGTHS {
        for (threads, pool) in pools() {
            for optimizer in OPTIMIZERS {
                let (speed, part) = compare(&mut Contest::new(optimizer, length), &pool, length);
                println!("{length:10}  {threads:>7}  {:14}  {speed:5.1}  {part:5.2}", optimizer.name());
            }
        }
    }
}

/// Gigabytes per second of the rule, and that as a part of the triad's: medians.
fn compare(contest: &mut Contest, pool: &Threads, length: usize) -> (f64, f64) {
    // A turn of about a millisecond or one pass, whichever is longer.
    let passes = (400_000 / length).max(1);
    let time = |contest: &mut Contest, pass: fn(&mut Contest)| {
        pool.run(|| {
            pass(contest);
            let start = Instant::now();
            (0..passes).for_each(|_| pass(contest));
            start.elapsed().as_secs_f64() / passes as f64
        })
    };
    let mut turns: Vec<(f64, f64)> = Vec::new();
    for _ in 0..TURNS {
        let speed = bytes(contest.updater.optimizer().slots(), length) as f64 / time(contest, Contest::step);
        let triad = bytes(0, length) as f64 / time(contest, Contest::triad);
        turns.push((speed / 1e9, speed / triad));
    }
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    (median(turns.iter().map(|turn| turn.0).collect()), median(turns.iter().map(|turn| turn.1).collect()))
}

criterion_group!(benches, steps, ratios);
criterion_main!(benches);
