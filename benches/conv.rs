//! The convolutions of a small network for CIFAR-10, pass by pass and all together: `cargo bench --bench conv`.
//!
//! Batches of 128 in `f32`: three layers of 5 x 5 windows, 3 -> 32 channels on 32 x 32 pixels, 32 -> 32 on 16 x 16, 32 -> 64 on
//! 8 x 8, with padding 2; the first needs no gradient of its input. An element of the throughput is one multiply-add.
//! Before timings, each pass is compared with its slow twin. The first lines printed are the medians of rounds in which each
//! pass, and the multiply-add peak, is measured in turn, as fractions of that peak.

#![allow(missing_docs)]

mod support;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lanegrad::kernels::conv::{self, Activation, Convolution, ConvolutionShape};
use lanegrad::kernels::{dispatch, peak, pool, reference};
use std::time::{Duration, Instant};
use support::{assert_same, pools, uniform};

const BATCH: usize = 128;
/// Name, extent of the images, channels, filters.
const LAYERS: [(&str, usize, usize, usize); 3] = [("conv1", 32, 3, 32), ("conv2", 16, 32, 32), ("conv3", 8, 32, 64)];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Pass {
    Forward,
    InputGradient,
    WeightGradient,
}

/// A layer, and what its passes read and write.
struct Layer {
    name: &'static str,
    convolution: Convolution,
    x: Vec<f32>,
    weights: Vec<f32>,
    bias: Vec<f32>,
    y: Vec<f32>,
    dy: Vec<f32>,
    dx: Vec<f32>,
    dweights: Vec<f32>,
    dbias: Vec<f32>,
}

impl Layer {
    fn new(batch: usize, (name, extent, channels, filters): (&'static str, usize, usize, usize)) -> Self {
        let shape = ConvolutionShape {
            batch,
            height: extent,
            width: extent,
            channels,
            filters,
            kernel: [5; 2],
            stride: [1; 2],
            padding: [2; 2],
            groups: 1,
        };
        let convolution = Convolution::new(shape).expect("the layer exists");
        let (input, output) = (convolution.input_length(), convolution.output_length());
        Self {
            name,
            convolution,
            x: uniform(1, input),
            weights: uniform(2, convolution.weight_length()),
            bias: uniform(3, filters),
            y: vec![0.0; output],
            dy: uniform(4, output),
            dx: vec![0.0; input],
            dweights: vec![0.0; convolution.weight_length()],
            dbias: vec![0.0; filters],
        }
    }

    fn run(&mut self, pass: Pass) {
        let Self { convolution, x, weights, bias, y, dy, dx, dweights, dbias, .. } = self;
        let relu = Activation::Relu;
        match pass {
            Pass::Forward => conv::forward(convolution, x, weights, Some(bias), relu, y).expect("lengths agree"),
            Pass::InputGradient => conv::input_gradient(convolution, dy, weights, false, dx).expect("lengths agree"),
            Pass::WeightGradient => {
                conv::weight_gradient(convolution, x, dy, false, dweights).expect("lengths agree");
                conv::bias_gradient(convolution, dy, false, dbias).expect("lengths agree");
            }
        }
    }

    fn multiply_adds(&self) -> usize {
        self.convolution.shape().batch * self.convolution.multiply_adds()
    }
}

/// All layers with the passes that they need.
fn passes() -> Vec<(Layer, Pass)> {
    let passes = [Pass::Forward, Pass::InputGradient, Pass::WeightGradient];
    let layers = LAYERS.into_iter().flat_map(|layer| passes.map(|pass| (layer, pass)));
    let needed = layers.filter(|&((_, _, channels, _), pass)| channels > 3 || pass != Pass::InputGradient);
    needed.map(|(layer, pass)| (Layer::new(BATCH, layer), pass)).collect()
}

/// Each pass on a few images against its slow twin.
fn verify() {
    let widen = |data: &[f32]| data.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
    let narrow = |data: &[f64]| data.iter().map(|&x| x as f32).collect::<Vec<_>>();
    for layer in LAYERS {
        let mut layer = Layer::new(2, layer);
        [Pass::Forward, Pass::InputGradient, Pass::WeightGradient].into_iter().for_each(|pass| layer.run(pass));
        let Layer { name, convolution, x, weights, bias, y, dy, dx, dweights, dbias } = &layer;
        let (mut expected, _) = reference::conv::forward(convolution, &widen(x), &widen(weights));
        expected.iter_mut().zip(bias.iter().cycle()).for_each(|(y, &b)| *y = (*y + f64::from(b)).max(0.0));
        assert_same(y, &narrow(&expected), 1e-3, name);
        let (expected, _) = reference::conv::input_gradient(convolution, &widen(dy), &widen(weights));
        assert_same(dx, &narrow(&expected), 1e-3, name);
        let (expected, _) = reference::conv::weight_gradient(convolution, &widen(x), &widen(dy));
        assert_same(dweights, &narrow(&expected), 1e-3, name);
        let (expected, _) = reference::conv::bias_gradient(convolution, &widen(dy));
        assert_same(dbias, &narrow(&expected), 1e-3, name);
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Prints each pass as a fraction of the peak, both measured in turn.
fn fractions() {
    const ROUNDS: usize = 31;
    let level = dispatch::level().expect("a level");
    for (threads, pool) in pools() {
        let mut passes = passes();
        let mut rates = vec![Vec::new(); passes.len()];
        let (mut peaks, mut totals) = (Vec::new(), Vec::new());
        pool.run(|| {
            for _ in 0..ROUNDS {
                let peak = peak::multiply_add_peak::<f32>(level, Duration::from_millis(3)).expect("a level");
                let (mut work, mut time) = (0.0, 0.0);
                for ((layer, pass), rates) in passes.iter_mut().zip(&mut rates) {
                    let start = Instant::now();
                    layer.run(*pass);
                    let seconds = start.elapsed().as_secs_f64();
                    let operations = 2e-9 * layer.multiply_adds() as f64;
                    rates.push(operations / seconds);
                    (work, time) = (work + operations, time + seconds);
                }
                peaks.push(peak);
                totals.push(work / time);
            }
        });
        let peak = median(&mut peaks);
        println!("{threads}: multiply-add peak {peak:.1} GFLOP/s, {level}");
        let named = passes.iter().map(|(layer, pass)| format!("{} {pass:?}", layer.name));
        for (name, rates) in named.zip(&mut rates).chain([("all".to_owned(), &mut totals)]) {
            let rate = median(rates);
            let best = rates.last().copied().unwrap_or(rate);
            println!("  {name:<24} {rate:6.1} GFLOP/s {:5.1} % of the peak, best {best:6.1}", 100.0 * rate / peak);
        }
    }
}

fn convolutions(criterion: &mut Criterion) {
    verify();
    fractions();
    let pools = pools();
    let mut group = criterion.benchmark_group("conv-f32");
    group.sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    let mut passes = passes();
    for (layer, pass) in &mut passes {
        group.throughput(Throughput::Elements(layer.multiply_adds() as u64));
        for (threads, pool) in &pools {
            let id = BenchmarkId::new(format!("{}-{pass:?}", layer.name), threads);
            group.bench_function(id, |bencher| pool.run(|| bencher.iter(|| layer.run(*pass))));
        }
    }
    let work = passes.iter().map(|(layer, _)| layer.multiply_adds() as u64).sum();
    group.throughput(Throughput::Elements(work));
    for (threads, pool) in &pools {
        group.bench_function(BenchmarkId::new("all", threads), |bencher| {
            pool.run(|| bencher.iter(|| passes.iter_mut().for_each(|(layer, pass)| layer.run(*pass))));
        });
    }
    group.finish();
}

/// Pooling of the first layer's output: windows of 3 x 3, two pixels apart, rounded up. An element is one of the input.
fn poolings(criterion: &mut Criterion) {
    let shape = pool::PoolingShape {
        batch: BATCH,
        height: 32,
        width: 32,
        channels: 32,
        kernel: [3; 2],
        stride: [2; 2],
        padding: [0; 2],
        ceil: true,
    };
    let pooling = pool::Pooling::new(shape).expect("the pooling exists");
    let x = uniform::<f32>(1, pooling.input_length());
    let dy = uniform::<f32>(2, pooling.output_length());
    let (mut y, mut dx) = (dy.clone(), x.clone());
    let mut group = criterion.benchmark_group("pool-f32");
    group.sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Elements(x.len() as u64));
    for (threads, pool) in &pools() {
        group.bench_function(BenchmarkId::new("max-forward", threads), |bencher| {
            pool.run(|| bencher.iter(|| pool::max_forward(&pooling, &x, &mut y).expect("lengths agree")));
        });
        group.bench_function(BenchmarkId::new("max-backward", threads), |bencher| {
            pool.run(|| {
                bencher.iter(|| pool::max_backward(&pooling, &x, &y, &dy, false, &mut dx).expect("lengths agree"));
            });
        });
        group.bench_function(BenchmarkId::new("average-forward", threads), |bencher| {
            pool.run(|| bencher.iter(|| pool::average_forward(&pooling, true, &x, &mut y).expect("lengths agree")));
        });
        group.bench_function(BenchmarkId::new("average-backward", threads), |bencher| {
            pool.run(|| {
                bencher.iter(|| pool::average_backward(&pooling, true, &dy, false, &mut dx).expect("lengths agree"));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, convolutions, poolings);
criterion_main!(benches);
