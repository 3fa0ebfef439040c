//! The rate at which this machine can multiply and add, measured: what every speed is a fraction of.

use crate::dispatch;
use crate::error::Error;
use crate::isa::{Isa, Kernel, Lanes, Level, Scalar};
use crate::parallel::{self, Divide};
use std::time::{Duration, Instant};

/// Independent chains of multiply-adds: enough to hide a latency of 5 cycles on two units, few enough for 16 registers.
const CHAINS: usize = 12;
/// Multiply-adds in a chain between two looks at the clock: about 10 microseconds.
const ROUNDS: usize = 4096;

/// The multiply-add peak of `T` in GFLOP/s, at `level`, on all threads of the calling pool together.
///
/// Each thread runs a loop of multiply-adds that touches no memory for about `duration`; its fastest stretch counts, as
/// noise only slows down. Threads beyond what the processor runs at once add nothing. At a level without fused multiply-add, a multiplication and an addition count as two operations
/// just the same.
///
/// # Errors
/// [`Error::UnsupportedIsa`] if the processor lacks the level.
#[inline(never)]
pub fn multiply_add_peak<T: Scalar>(level: Level, duration: Duration) -> Result<f64, Error> {
    if !dispatch::is_supported(level) {
        return dispatch::dispatch_at(level, Stretch::<T>(std::marker::PhantomData)).map(|_| 0.0);
    }
    let mut rates = vec![0.0; parallel::current()];
    parallel::divide(Measure::<T> { level, duration, rates: &mut rates, scalar: std::marker::PhantomData }, 1);
    let at_once = std::thread::available_parallelism().map_or(rates.len(), usize::from);
    let crowding = (at_once as f64 / rates.len() as f64).min(1.0);
    Ok(rates.iter().sum::<f64>() * crowding)
}

/// One measurement a thread.
struct Measure<'a, T> {
    level: Level,
    duration: Duration,
    rates: &'a mut [f64],
    scalar: std::marker::PhantomData<T>,
}

impl<T: Scalar> Divide for Measure<'_, T> {
    fn length(&self) -> usize {
        self.rates.len()
    }
    fn split(self, at: usize) -> (Self, Self) {
        let (left, right) = self.rates.split_at_mut(at);
        (Self { rates: left, ..self }, Self { rates: right, ..self })
    }
    fn run(self) {
        for rate in self.rates {
            let start = Instant::now();
            loop {
                let stretch = dispatch::dispatch_at(self.level, Stretch::<T>(std::marker::PhantomData));
                *rate = stretch.map_or(*rate, |gflops| rate.max(gflops));
                if start.elapsed() >= self.duration {
                    break;
                }
            }
        }
    }
}

/// One stretch of multiply-adds; its result is the rate in GFLOP/s.
struct Stretch<T>(std::marker::PhantomData<T>);

impl<T: Scalar> Kernel for Stretch<T> {
    type Output = f64;
    fn run<S: Isa>(self, isa: S) -> f64 {
        let start = Instant::now();
        std::hint::black_box(isa.vectorize(Chains::<T>(self.0)));
        let seconds = start.elapsed().as_secs_f64();
        2.0 * (CHAINS * ROUNDS * T::Lanes::<S>::COUNT) as f64 / seconds * 1e-9
    }
}

struct Chains<T>(std::marker::PhantomData<T>);

impl<T: Scalar> Kernel for Chains<T> {
    type Output = T;
    #[inline(always)]
    fn run<S: Isa>(self, isa: S) -> T {
        // Values that stay in range, hidden from the optimiser.
        let factor = T::Lanes::<S>::splat(isa, std::hint::black_box(T::from_f64(0.5)));
        let addend = T::Lanes::<S>::splat(isa, std::hint::black_box(T::ONE));
        let mut chains = [addend; CHAINS];
        for _ in 0..ROUNDS {
            for chain in &mut chains {
                *chain = chain.mul_add(isa, factor, addend);
            }
        }
        let mut total = addend;
        for chain in chains {
            total = total.add(isa, chain);
        }
        total.reduce_sum(isa)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_beyond_the_processors_add_nothing() {
        let peak = |threads| {
            let pool = parallel::Threads::new(threads).unwrap();
            pool.run(|| multiply_add_peak::<f32>(dispatch::best(), Duration::from_millis(5))).unwrap()
        };
        let at_once = std::thread::available_parallelism().map_or(1, usize::from);
        assert!(peak(8 * at_once) < 1.5 * peak(at_once));
        assert!(multiply_add_peak::<f64>(dispatch::best(), Duration::ZERO).unwrap() > 0.0);
    }

    #[test]
    fn every_level_has_a_peak_and_wider_lanes_are_not_slower() {
        let peak = |level| multiply_add_peak::<f32>(level, Duration::from_millis(20)).unwrap();
        let portable = peak(Level::Portable);
        assert!(portable > 0.1, "{portable} GFLOP/s");
        for level in dispatch::supported().filter(|&level| level > Level::Portable) {
            assert!(peak(level) > portable, "{level}");
        }
    }
}
