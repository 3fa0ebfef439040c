#!/usr/bin/env python3
"""Times ndarray's products with the matrixmultiply of the registry, and with this package in its place.

    python3 tools/matrixmultiply/compare.py [--rounds N]

Builds the same program with and without the patch below target/compare, runs the two in turn, and prints a Markdown
table: the median of the rounds' times, in microseconds, and the median of the rounds' own ratios, since the machine's
speed drifts.
"""

import argparse
import json
import os
import statistics
import subprocess
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
WORK = PACKAGE.parent.parent / "target" / "compare"

MANIFEST = """\
[package]
name = "products"
version = "0.0.0"
edition = "2024"

[workspace]

[features]
threading = ["ndarray/matrixmultiply-threading"]

[dependencies]
ndarray = "0.17"
num-complex = "0.4"
"""

PATCH = f"""
[patch.crates-io]
matrixmultiply = {{ path = {json.dumps(str(PACKAGE))} }}
"""

# Prints `element,m x k x n,microseconds` for each product: the median of as many as fit a fifth of a second.
PROGRAM = """\
use ndarray::{Array2, LinalgScalar};
use num_complex::Complex;
use std::hint::black_box;
use std::time::{Duration, Instant};

const SHAPES: [(usize, usize, usize); 6] =
    [(16, 16, 16), (64, 64, 64), (256, 256, 256), (1024, 1024, 1024), (256, 3072, 512), (256, 3072, 10)];

fn main() {
    for shape in SHAPES {
        time("f32", shape, |x| x as f32);
    }
    for shape in SHAPES {
        time("f64", shape, |x| x);
    }
    time("complex f32", (256, 256, 256), |x| Complex::new(x as f32, -x as f32));
    time("complex f64", (256, 256, 256), |x| Complex::new(x, -x));
}

fn time<T: LinalgScalar>(element: &str, (m, k, n): (usize, usize, usize), from: impl Fn(f64) -> T) {
    let number = |(i, j): (usize, usize)| from(((i * 7 + j * 3) % 11) as f64 / 11.0 - 0.4);
    let (a, b) = (Array2::from_shape_fn((m, k), number), Array2::from_shape_fn((k, n), number));
    for _ in 0..3 {
        black_box(a.dot(&b));
    }
    let start = Instant::now();
    let mut times = Vec::new();
    while start.elapsed() < Duration::from_millis(200) {
        let product = Instant::now();
        black_box(black_box(&a).dot(black_box(&b)));
        times.push(product.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    println!("{element},{m} x {k} x {n},{:.3}", times[times.len() / 2] * 1e6);
}
"""


def main():
    parser = argparse.ArgumentParser(description="Times ndarray's products before and after the patch.")
    parser.add_argument("--rounds", type=int, default=7, help="how often each program runs (7)")
    rounds = parser.parse_args().rounds
    for title, features in [("one thread", []), ("all cores", ["threading"])]:
        before = build("registry", "", features)
        after = build("patched", PATCH, features)
        # A round runs both, so that they see the same machine.
        table([(run(before), run(after)) for _ in range(rounds)], title)


def build(name, patch, features):
    """Builds the program and gives its path."""
    folder = WORK / name
    (folder / "src").mkdir(parents=True, exist_ok=True)
    (folder / "Cargo.toml").write_text(MANIFEST + patch)
    (folder / "src" / "main.rs").write_text(PROGRAM)
    target = WORK / "-".join(["build", name, *features])
    command = ["cargo", "build", "--release", "--quiet", "--features", ",".join(features)]
    subprocess.run(command, cwd=folder, env=os.environ | {"CARGO_TARGET_DIR": str(target)}, check=True)
    return target / "release" / "products"


def run(program):
    """Microseconds by product."""
    lines = subprocess.run([program], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    return {tuple(line.split(",")[:2]): float(line.split(",")[2]) for line in lines}


def table(rounds, title):
    """Prints what the rounds measured, before and after."""
    print(f"\n| {title} | m x k x n | before, us | after, us | before / after |")
    print("|---|---|---:|---:|---:|")
    for element, shape in rounds[0][0]:
        before = [times[element, shape] for times, _ in rounds]
        after = [times[element, shape] for _, times in rounds]
        ratio = statistics.median(x / y for x, y in zip(before, after))
        before, after = statistics.median(before), statistics.median(after)
        print(f"| {element} | {shape} | {before:,.1f} | {after:,.1f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
