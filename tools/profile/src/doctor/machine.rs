//! What the machine does, and what it should.

use super::{Check, Status};
use anyhow::Result;
use lanegrad::kernels::isa::Level;
use lanegrad::kernels::parallel::Threads;
use lanegrad::kernels::update::{Sgd, update};
use lanegrad::kernels::{dispatch, peak};
use std::time::{Duration, Instant};

/// How long one measurement of the peak takes.
const PEAK_DURATION: Duration = Duration::from_millis(150);

/// The least clock of a processor of this century under load, in GHz.
const LEAST_CLOCK: f64 = 1.0;

/// Part of their sum that threads together reach at least, if no other program runs beside them.
const TOGETHER: f64 = 0.7;

/// Numbers in each of two arrays that no cache holds: 128 MB together.
const LARGE: usize = 1 << 24;
const PASSES: u32 = 6;

/// The least that the memory of a computer moves, in GB/s: one channel of DDR4.
const LEAST_BANDWIDTH: f64 = 8.0;

/// The widest instructions that the processor has are used.
pub fn level() -> Result<Check> {
    let (level, best) = (dispatch::level()?, dispatch::best());
    let is_best = level == best;
    let text = match is_best {
        true => format!("{level}, the widest that this processor has"),
        false => format!("{level}, because LANEGRAD_ISA says so; expected {best}"),
    };
    Ok(Check::new("instructions", is_best, text, (Status::Slow, "unset LANEGRAD_ISA to use them all")))
}

/// All threads together multiply and add as fast as so many on their own, and as fast as such a processor should.
pub fn peak(threads: &Threads) -> Result<Check> {
    let level = dispatch::level()?;
    let measure = |threads: &Threads| threads.run(|| peak::multiply_add_peak::<f32>(level, PEAK_DURATION));
    let alone = measure(&Threads::new(1)?)?;
    let count = threads.count();
    let at_once = std::thread::available_parallelism().map_or(count, usize::from).min(count);
    let together = if count == 1 { alone } else { measure(threads)? };
    // A multiplication and an addition for each lane, at the least clock.
    let least = 2.0 * f64::from(lanes(level)) * LEAST_CLOCK;
    let wanted = alone * at_once as f64;
    let is_good = alone >= least && together >= TOGETHER * wanted;
    let sum = if count == 1 {
        String::new()
    } else {
        format!(", {together:.0} on {count} threads (expected {at_once} x {alone:.0})")
    };
    let text = format!("{alone:.0} GFLOP/s on a thread (expected at least {least:.0}){sum}");
    let advice = "other programs use the processor, it is throttled, or threads share a core: timings will be poor";
    Ok(Check::new("arithmetic", is_good, text, (Status::Slow, advice)).with_value(together))
}

/// Numbers of 32 bits in a vector.
fn lanes(level: Level) -> u32 {
    match level {
        Level::Portable => 4,
        Level::Avx2 => 8,
        Level::Avx512 => 16,
    }
}

/// The memory delivers what a step of SGD reads and writes, over arrays that no cache holds.
pub fn bandwidth(threads: &Threads) -> Result<Check> {
    let (mut weights, gradient) = (vec![0f32; LARGE], vec![1f32; LARGE]);
    let mut best = Duration::MAX;
    threads.run(|| {
        for _ in 0..PASSES {
            let start = Instant::now();
            update(Sgd { rate: 1e-3 }, 0.0, &mut weights, &gradient, &mut [])?;
            best = best.min(start.elapsed());
        }
        Ok::<_, lanegrad::kernels::Error>(())
    })?;
    // Both are read, one is written.
    let bytes = (3 * LARGE * size_of::<f32>()) as f64;
    let found = bytes / best.as_secs_f64() * 1e-9;
    let text = format!(
        "{found:.1} GB/s in w <- w - rate g over {} MB (expected at least {LEAST_BANDWIDTH:.0})",
        2 * LARGE * size_of::<f32>() / 1_000_000
    );
    let advice = "other programs use the memory, or it is one slow module: update rules and large models will be slow";
    Ok(Check::new("memory", found >= LEAST_BANDWIDTH, text, (Status::Slow, advice)).with_value(found))
}
