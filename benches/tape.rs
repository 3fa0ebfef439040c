//! What the tape costs an operation: tiny arrays against a hand-written loop, forward and backward.

use criterion::{Criterion, criterion_group, criterion_main};
use lanegrad::tape::Tape;
use lanegrad::tensor::Tensor;
use std::hint::black_box;
use std::time::Instant;

/// Links of the chain, of two operations each: x <- tanh(w x).
const LINKS: usize = 500;

/// Turns that a median is taken of.
const TURNS: usize = 201;

/// The derivative of the sum of the last x by w, on the tape.
fn on_tape(tape: &mut Tape<f64>, start: &Tensor<f64>, weight: f64) -> f64 {
    tape.reset();
    let w = tape.scalar(weight);
    let mut x = tape.constant(start);
    for _ in 0..LINKS {
        x = (w * x).tanh();
    }
    x.sum_all().backward().expect("it was recorded");
    w.gradient().and_then(|gradient| gradient.item()).expect("one number")
}

/// The same by hand.
fn by_hand(values: &mut [f64], start: &[f64], weight: f64) -> f64 {
    let length = start.len();
    values[..length].copy_from_slice(start);
    for link in 0..LINKS {
        let (before, after) = values.split_at_mut((link + 1) * length);
        let x = &before[link * length..];
        after.iter_mut().zip(x).for_each(|(y, x)| *y = (weight * x).tanh());
    }
    let mut dx = [1.0; 8];
    let mut dw = 0.0;
    for link in (0..LINKS).rev() {
        let (x, y) = values[link * length..].split_at(length);
        for ((dx, x), y) in dx.iter_mut().zip(x).zip(y) {
            let dz = *dx * (1.0 - y * y);
            dw += dz * x;
            *dx = dz * weight;
        }
    }
    dw
}

/// Nanoseconds of the median turn.
fn median(mut turn: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..TURNS)
        .map(|_| {
            let start = Instant::now();
            turn();
            start.elapsed().as_secs_f64() * 1e9
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[TURNS / 2]
}

fn chain(criterion: &mut Criterion) {
    println!("a chain of {} operations and back, nanoseconds an operation", 2 * LINKS);
    println!("elements   tape  by hand");
    for length in [1, 2, 4, 8] {
        let start = Tensor::<f64>::linspace(0.1, 0.9, length).expect("a few numbers");
        let (mut tape, mut values) = (Tape::new(), vec![0.0; (LINKS + 1) * length]);
        let (found, wanted) = (on_tape(&mut tape, &start, 1.1), by_hand(&mut values, start.values(), 1.1));
        assert!((found / wanted - 1.0).abs() < 1e-10, "{found}, not {wanted}");
        let operations = (2 * LINKS) as f64;
        let tape_time = median(|| _ = black_box(on_tape(&mut tape, &start, black_box(1.1))));
        let hand_time = median(|| _ = black_box(by_hand(&mut values, start.values(), black_box(1.1))));
        println!("{length:8} {:6.0} {:8.1}", tape_time / operations, hand_time / operations);
        let mut group = criterion.benchmark_group(format!("tape/{length}"));
        group.bench_function("tape", |bencher| bencher.iter(|| on_tape(&mut tape, &start, black_box(1.1))));
        group
            .bench_function("by hand", |bencher| bencher.iter(|| by_hand(&mut values, start.values(), black_box(1.1))));
        group.finish();
    }
}

criterion_group!(benches, chain);
criterion_main!(benches);
