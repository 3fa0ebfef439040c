//! The matrix product beside everybody else's: `cargo bench -p lanegrad-rivals --bench gemm`; options after `--`.
//!
//! Operands on cache lines, alpha 1, beta 0; row-major, but for A and B of another `--layout`. GFLOP/s count two operations a
//! multiply-add. Contestants, and the multiply-add peak, take turns in one process: see `rounds`. Results are compared before
//! anything is timed.
//!
//! Each number of threads has a process of its own, since matrixmultiply reads `MATMUL_NUM_THREADS` once.
//!
//! `LANEGRAD_ISA=avx2` pins our level alone. Rivals can be kept from AVX-512 by their own means only: gemm by
//! `--no-default-features`, gemmkit by `GEMMKIT_REQUIRE_ISA=fma`, OpenBLAS by `OPENBLAS_CORETYPE=HASWELL`, BLIS by
//! `BLIS_ARCH_TYPE=haswell`, MKL by `MKL_ENABLE_INSTRUCTIONS=AVX2`. matrixmultiply has no other kernels than AVX2; faer
//! asks the processor.

use anyhow::Result;
use clap::Parser;
use lanegrad_rivals::options::{Options, Set, ThreadCount};
use lanegrad_rivals::{compare, record, sweep, table};
use std::process::{Command, ExitCode};

/// What matrixmultiply takes its number of threads from.
const MATRIXMULTIPLY_THREADS: &str = "MATMUL_NUM_THREADS";

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode> {
    // Cargo marks benches with an argument of its own.
    let arguments: Vec<_> = std::env::args_os().filter(|argument| argument != "--bench").collect();
    let options = Options::parse_from(&arguments);
    if let Some(path) = &options.table {
        print!("{}", table::markdown(&record::read(path)?));
        return Ok(ExitCode::SUCCESS);
    }
    if options.set == Set::Sweep && options.shapes.is_empty() {
        sweep::run(&options)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(threads) = options.threads.map(ThreadCount::get)
        && std::env::var(MATRIXMULTIPLY_THREADS).is_ok_and(|value| value == threads.to_string())
    {
        warn_about_pins();
        compare::run(&options, threads)?;
        return Ok(ExitCode::SUCCESS);
    }
    for (name, threads) in counts(options.threads) {
        let mut process = Command::new(std::env::current_exe()?);
        process.args(&arguments[1..]).env(MATRIXMULTIPLY_THREADS, threads.to_string());
        if options.threads.is_none() {
            process.args(["--threads", name]);
        }
        if !process.status()?.success() {
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The numbers of threads to run with, and what the command line calls them.
fn counts(wanted: Option<ThreadCount>) -> Vec<(&'static str, usize)> {
    let all = ThreadCount::All.get();
    match wanted {
        Some(ThreadCount::One) => vec![("1", 1)],
        Some(ThreadCount::All) => vec![("all", all)],
        None if all == 1 => vec![("1", 1)],
        None => vec![("1", 1), ("all", all)],
    }
}

/// A variable left over from a comparison at AVX2 would make a rival slower than it is.
fn warn_about_pins() {
    for name in ["OPENBLAS_CORETYPE", "BLIS_ARCH_TYPE", "MKL_ENABLE_INSTRUCTIONS", "GEMMKIT_REQUIRE_ISA"] {
        if let Some(value) = std::env::var_os(name) {
            eprintln!("warning: {name} is set to {value:?}; unset it to time that library's own choice of kernels");
        }
    }
}
