//! The roofs: what the machine can compute, and what its memory can move.

use super::workloads::{Scale, random};
use crate::machine::Machine;
use anyhow::Result;
use lanegrad::kernels::caches::caches;
use lanegrad::kernels::elementwise::{Function, accumulate, map};
use lanegrad::kernels::isa::{Isa, Lanes, Scalar};
use lanegrad::kernels::{Error, parallel};
use serde::Serialize;
use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// How long one measurement of a bandwidth takes.
const DURATION: Duration = Duration::from_millis(250);

/// The largest array, where the third-level cache says that it is enormous.
const LARGEST: usize = 64 << 20;

/// What bounds every operation.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Roofs {
    /// Multiply-add peak of all threads, in GFLOP/s.
    pub peak: f64,
    /// What all threads together move between memory and registers, in GB/s: the faster of two triads over arrays that no
    /// cache holds, a <- b + s c and a <- a + s b, 12 bytes an element each.
    pub memory: f64,
    /// The same for arrays that fit each thread's second-level cache.
    pub cache: f64,
}

impl Roofs {
    /// Measures all.
    pub fn measure(machine: &mut Machine) -> Result<Self> {
        machine.measure_peak()?;
        Ok(Self { peak: machine.peak_gflops, memory: memory(machine)?, cache: cache(machine)? })
    }

    /// The higher of both, roof by roof: what else the machine does only lowers them.
    pub fn highest(self, other: Self) -> Self {
        Self {
            peak: self.peak.max(other.peak),
            memory: self.memory.max(other.memory),
            cache: self.cache.max(other.cache),
        }
    }

    /// GFLOP/s that an operation of so many FLOP/byte can reach, with data in memory or in the second-level cache.
    pub fn above(self, intensity: f64, is_cached: bool) -> f64 {
        let bandwidth = if is_cached { self.cache } else { self.memory };
        self.peak.min(intensity * bandwidth)
    }
}

/// Numbers in an array that no cache holds, a few of them together.
pub fn large() -> usize {
    // Two arrays of twice the cache, at least.
    let bytes = (2 * caches().third).max(32 << 20);
    (bytes / size_of::<f32>()).min(LARGEST)
}

/// b + s c.
#[derive(Clone, Copy)]
struct Triad(f32);

impl Function<f32, 2> for Triad {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [b, c]: [<f32 as Scalar>::Lanes<S>; 2]) -> <f32 as Scalar>::Lanes<S> {
        c.mul_add(isa, <f32 as Scalar>::Lanes::<S>::splat(isa, self.0), b)
    }
}

/// Bytes that a triad moves for each element.
const TRIAD: usize = 3 * size_of::<f32>();

fn memory(machine: &Machine) -> Result<f64> {
    let length = large();
    let (mut a, b, c) = (vec![0.0; length], random(1, length), random(2, length));
    let bytes = (length * TRIAD) as f64;
    let best = machine.threads.run(|| {
        let copied = best(|| map(Triad(black_box(0.5)), [&b, &c], &mut a))?;
        let in_place = best(|| accumulate(Scale(black_box(0.5)), [&b], &mut a))?;
        Ok::<_, Error>(copied.min(in_place))
    })?;
    Ok(bytes / best.as_secs_f64() * 1e-9)
}

/// The shortest of the times that `pass` takes.
fn best(mut pass: impl FnMut() -> Result<(), Error>) -> Result<Duration, Error> {
    let (start, mut best) = (Instant::now(), Duration::MAX);
    while best == Duration::MAX || start.elapsed() < DURATION {
        let start = Instant::now();
        pass()?;
        best = best.min(start.elapsed());
    }
    Ok(best)
}

/// Every thread on arrays of its own, all at the same time.
fn cache(machine: &Machine) -> Result<f64> {
    // A quarter of the cache for the two of them: there is room for whatever else is in it.
    let length = caches().second / 8 / size_of::<f32>();
    let count = machine.threads.count();
    let barrier = Barrier::new(count);
    let work = || {
        let (mut a, b) = (vec![0.0; length], random(1, length));
        barrier.wait();
        parallel::alone(|| {
            let (start, mut passes) = (Instant::now(), 0_u64);
            while passes == 0 || start.elapsed() < DURATION {
                for _ in 0..64 {
                    accumulate(Scale(black_box(0.5)), [&b], &mut a)?;
                }
                passes += 64;
            }
            Ok::<f64, Error>((passes as usize * length * TRIAD) as f64 / start.elapsed().as_secs_f64())
        })
    };
    let rates: Vec<Result<f64, Error>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(Ok(0.0))).collect()
    });
    Ok(rates.into_iter().sum::<Result<f64, Error>>()? * 1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_roof_counts() {
        let roofs = Roofs { peak: 200.0, memory: 20.0, cache: 400.0 };
        assert_eq!(roofs.above(1.0, false), 20.0);
        assert_eq!(roofs.above(0.25, true), 100.0);
        assert_eq!(roofs.above(50.0, false), 200.0);
        let other = Roofs { peak: 190.0, memory: 25.0, cache: 300.0 };
        assert_eq!(roofs.highest(other).above(0.1, false), 2.5);
    }
}
