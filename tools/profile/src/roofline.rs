//! `profile roofline`: every kernel beside what the machine can do.
//!
//! The roofline model (Williams, Waterman, Patterson, "Roofline: an insightful visual performance model", 2009): an operation
//! that computes I operations for each byte that it moves runs at no more than min(peak, I x bandwidth).

mod rest;
mod roofs;
mod workloads;

use crate::args::RunOptions;
use crate::interrupt::{Interrupt, Interrupted};
use crate::machine::Machine;
use crate::plots::roofline::{Point, Roofline};
use crate::results::Results;
use crate::resume::Conflict;
use crate::screen::{counted, progress_bar};
use anyhow::Result;
use clap::Args;
use lanegrad::kernels::Error;
use lanegrad::kernels::caches::caches;
use rest::Rest;
use roofs::Roofs;
use serde::Serialize;
use std::fmt::Write;
use std::time::{Duration, Instant};
use workloads::{Group, Maker, Workload};

/// How often kernels are measured again, all together, since another program was at work, and the pause before.
const AGAIN: usize = 60;
const PAUSE: Duration = Duration::from_millis(30);

/// The options of `profile roofline`.
#[derive(Args, Clone, Debug)]
pub struct RooflineOptions {
    /// Milliseconds that each kernel is measured for
    #[arg(long, value_name = "MS", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub time: u64,

    /// Only kernels whose name contains this: `gemm`, `conv2`, `adam`
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,

    /// Threads, files; the operands are random numbers, so that --data has no meaning here.
    #[command(flatten)]
    pub run: RunOptions,
}

/// The JSON report.
#[derive(Debug, Serialize)]
struct Report {
    /// Version of this format.
    version: u32,
    /// `roofline`.
    command: &'static str,
    cpu: String,
    isa: &'static str,
    threads: usize,
    roofs: Roofs,
    /// Kernels beside which another program was at work, each time that they were measured.
    disturbed: usize,
    kernels: Vec<Measured>,
}

/// How a kernel did.
#[derive(Clone, Debug, Serialize)]
struct Measured {
    name: String,
    group: Group,
    /// Billions of floating-point operations a second, the best of many runs.
    gflops: f64,
    /// Billions of bytes a second that had to be moved.
    gbytes: f64,
    /// Operations for each of those bytes.
    intensity: f64,
    /// Whether its operands fit the second-level caches, so that the roof of these is its own.
    cached: bool,
    /// Its roof in GFLOP/s, and what part of it was reached.
    roof: f64,
    of_roof: f64,
}

/// Measures roofs and kernels, prints a table, and draws the picture.
pub fn run(options: &RooflineOptions) -> Result<()> {
    if options.run.data.is_some() {
        return Err(Conflict("--data: the operands of the kernels are random numbers".into()).into());
    }
    let mut makers = workloads::all();
    if let Some(text) = &options.only {
        makers.retain(|maker| maker.name.contains(text));
        if makers.is_empty() {
            return Err(Conflict(format!("--only {text}: no kernel has that in its name")).into());
        }
    }
    let interrupt = Interrupt::listen();
    let mut results = Results::open(&options.run)?;
    let mut machine = Machine::new(options.run.threads)?;
    let threads = counted(machine.threads.count(), "thread");
    results.line(&format!("machine    {}, {}, {threads}", machine.cpu, machine.level))?;
    let roofs = Roofs::measure(&mut machine)?;

    let bar = progress_bar(makers.len() as u64, "kernel");
    let (mut found, mut disturbed, mut again) = (Vec::new(), 0, AGAIN);
    let mut rest = Rest::learn(&machine)?;
    for Maker { name, group, make } in makers {
        bar.inc(1);
        let mut workload = make()?;
        let mut best = f64::INFINITY;
        let is_quiet = loop {
            let was_quiet = rest.look(&machine)?;
            best = best.min(seconds(&machine, &mut workload, Duration::from_millis(options.time))?);
            let is_quiet = was_quiet && rest.look(&machine)?;
            if is_quiet || again == 0 || interrupt.is_asked() {
                break is_quiet;
            }
            again -= 1;
            std::thread::sleep(PAUSE);
        };
        disturbed += usize::from(!is_quiet);
        found.push((name, group, workload.operations, workload.bytes, best));
        if interrupt.is_asked() {
            bar.finish_and_clear();
            return Err(Interrupted("interrupted; nothing was written".into()).into());
        }
    }
    bar.finish_and_clear();
    // Once more, since another program may have been at work the first time.
    let roofs = roofs.highest(Roofs::measure(&mut machine)?);
    let cache = caches().second * machine.threads.count();
    let kernels: Vec<Measured> = found
        .into_iter()
        .map(|(name, group, operations, bytes, seconds)| {
            let (gflops, intensity, cached) = (operations / seconds * 1e-9, operations / bytes, bytes <= cache as f64);
            let roof = roofs.above(intensity, cached);
            let of_roof = gflops / roof;
            Measured { name, group, gflops, gbytes: bytes / seconds * 1e-9, intensity, cached, roof, of_roof }
        })
        .collect();
    results.lines(table(&roofs, &kernels))?;
    if disturbed > 0 {
        eprintln!(
            "warning: another program used the processor beside {disturbed} of {}: what takes several threads is faster than this",
            counted(kernels.len(), "kernel")
        );
    }

    let points = |group: Group| {
        let kernels = kernels.iter().enumerate().filter(move |(_, kernel)| kernel.group == group);
        let point = |(place, kernel): (usize, &Measured)| Point {
            number: place + 1,
            name: kernel.name.clone(),
            intensity: kernel.intensity,
            gflops: kernel.gflops,
        };
        (group.name(), kernels.map(point).collect::<Vec<Point>>())
    };
    let groups: Vec<(&str, Vec<Point>)> =
        Group::ALL.into_iter().map(points).filter(|(_, points)| !points.is_empty()).collect();
    let picture = Roofline {
        title: "How near each kernel comes to what the machine can do",
        subtitle: format!("{}  ·  {}  ·  {threads}  ·  single precision", machine.cpu, machine.level),
        peak: roofs.peak,
        bandwidths: &[(roofs.memory, "memory"), (roofs.cache, "L2 caches")],
        groups: &groups,
    };
    results.file("roofline.svg", picture.draw()?.as_bytes())?;
    results.file("roofline.csv", csv(&kernels).as_bytes())?;
    results.finish(&Report {
        version: 1,
        command: "roofline",
        cpu: machine.cpu.clone(),
        isa: machine.level.name(),
        threads: machine.threads.count(),
        roofs,
        disturbed,
        kernels,
    })
}

/// Seconds of the fastest of many runs, of which several are timed together if one is very short.
fn seconds(machine: &Machine, workload: &mut Workload, budget: Duration) -> Result<f64, Error> {
    machine.threads.run(|| {
        // Touches the operands, and wakes the threads.
        (workload.run)()?;
        let (start, mut best, mut runs) = (Instant::now(), f64::INFINITY, 1_u32);
        while best == f64::INFINITY || start.elapsed() < budget {
            let start = Instant::now();
            for _ in 0..runs {
                (workload.run)()?;
            }
            let elapsed = start.elapsed().as_secs_f64();
            best = best.min(elapsed / f64::from(runs));
            // About half a millisecond at a time, so that the clock counts for nothing.
            if elapsed < 2.5e-4 {
                runs = runs.saturating_mul(2);
            }
        }
        Ok(best)
    })
}

fn table(roofs: &Roofs, kernels: &[Measured]) -> Vec<String> {
    let mut lines = vec![
        format!("peak       {:.0} GFLOP/s, multiply-adds in registers", roofs.peak),
        format!("memory     {:.1} GB/s, triads over arrays that no cache holds", roofs.memory),
        format!("cache      {:.0} GB/s, triads in the second-level caches", roofs.cache),
        String::new(),
        format!(
            "    {:<26} {:>8} {:>7} {:>10} {:>8}   {}",
            "kernel", "GFLOP/s", "GB/s", "FLOP/byte", "of roof", "roof"
        ),
    ];
    for (place, kernel) in kernels.iter().enumerate() {
        let roof = match (kernel.roof < roofs.peak, kernel.cached) {
            (false, _) => "peak",
            (true, true) => "cache",
            (true, false) => "memory",
        };
        lines.push(format!(
            "{:>2}  {:<26} {:>8.1} {:>7.1} {:>10.2} {:>6.0} %   {roof}",
            place + 1,
            kernel.name,
            kernel.gflops,
            kernel.gbytes,
            kernel.intensity,
            100.0 * kernel.of_roof
        ));
    }
    lines
}

fn csv(kernels: &[Measured]) -> String {
    let mut text = String::from("kernel,group,gflops,gbytes,intensity,roof,of_roof\n");
    for kernel in kernels {
        let Measured { name, group, gflops, gbytes, intensity, roof, of_roof, .. } = kernel;
        let _ = writeln!(text, "\"{name}\",{},{gflops},{gbytes},{intensity},{roof},{of_roof}", group.name());
    }
    text
}
