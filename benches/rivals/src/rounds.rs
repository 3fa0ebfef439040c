//! Timing: calibration, interleaving, medians.
//!
//! The speed of a machine drifts: clocks, temperature, neighbours. So everybody runs in turn, a few milliseconds at a time,
//! round after round, and what is compared was measured in the same moments.

use crate::contestant::Contestant;
use crate::number::Number;
use crate::product::Product;
use anyhow::Result;
use cpu_time::ProcessTime;
use lanegrad_kernels::isa::Level;
use lanegrad_kernels::parallel;
use lanegrad_kernels::peak::multiply_add_peak;
use std::time::{Duration, Instant};

/// The shortest time of a batch of calls.
const BATCH: Duration = Duration::from_millis(2);

/// The rates of all rounds, in GFLOP/s.
#[derive(Debug)]
pub struct Rates {
    /// Of each contestant, round by round.
    pub contestants: Vec<Vec<f64>>,
    /// Of multiply-adds that touch no memory, on all threads of the pool.
    pub peak: Vec<f64>,
}

/// Times every contestant and the peak at `level` in each of `rounds` rounds, in an order that changes from round to round.
///
/// # Errors
/// If the processor lacks the level.
pub fn interleave<T: Number>(
    contestants: &[Box<dyn Contestant<T>>],
    product: &mut Product<T>,
    level: Level,
    rounds: usize,
) -> Result<Rates> {
    let calls: Vec<usize> = contestants.iter().map(|contestant| calibrate(&**contestant, product)).collect();
    let mut rates = Rates { contestants: vec![Vec::new(); contestants.len()], peak: Vec::new() };
    for round in 0..rounds {
        for turn in order(round, contestants.len() + 1) {
            if parallel::current() > 1 {
                fall_asleep();
            }
            let Some(contestant) = contestants.get(turn) else {
                rates.peak.push(multiply_add_peak::<T>(level, BATCH)?);
                continue;
            };
            warm_up(&**contestant, product);
            let seconds = contestant.time(calls[turn], product).as_secs_f64();
            rates.contestants[turn].push(calls[turn] as f64 * product.shape().operations() / seconds * 1e-9);
        }
    }
    Ok(rates)
}

/// Calls that wake threads and bring operands back to the caches.
///
/// On all threads they take a while: some virtual machines run a thread that wakes on the processor of the one that woke it, and
/// see only after some milliseconds that another one is idle. Libraries whose threads spin keep their places.
fn warm_up<T>(contestant: &dyn Contestant<T>, product: &mut Product<T>) {
    const SETTLED: Duration = Duration::from_millis(20);
    let start = Instant::now();
    contestant.multiply(product);
    while parallel::current() > 1 && start.elapsed() < SETTLED {
        contestant.multiply(product);
    }
}

/// The order of `count` turns: another one is first in each round, and every other round goes backwards, so that nobody
/// always follows the same one.
fn order(round: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |place| {
        let place = if round % 2 == 1 { count - 1 - place } else { place };
        (place + round / 2) % count
    })
}

/// The number of calls that last at least [`BATCH`].
fn calibrate<T>(contestant: &dyn Contestant<T>, product: &mut Product<T>) -> usize {
    contestant.multiply(product);
    let mut calls = 1;
    loop {
        // The fastest of three: a call that was interrupted would pass for a long one.
        let time = (0..3).map(|_| contestant.time(calls, product)).min().unwrap_or_default();
        if time >= BATCH {
            return calls;
        }
        let growth = 1.2 * BATCH.as_secs_f64() / time.as_secs_f64().max(1e-9);
        calls = (calls as f64 * growth.clamp(1.1, 100.0)).ceil() as usize;
    }
}

/// Waits until no other thread of this process computes.
///
/// Threads of some libraries spin after their work is done: OpenBLAS's for 30 milliseconds, Intel's OpenMP's for 200. They
/// would take a processor from whoever is next. What another thread computes is only counted at the system's ticks, which come
/// every 10 milliseconds or more often: in a shorter glance, a spinning thread seems to sleep.
fn fall_asleep() {
    const GLANCE: Duration = Duration::from_millis(20);
    const PATIENCE: Duration = Duration::from_secs(1);
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let computing = ProcessTime::now();
        std::thread::sleep(GLANCE);
        if computing.elapsed() < GLANCE / 20 {
            return;
        }
    }
}

/// The middle value, or the mean of the two middle ones.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
    (low + high) / 2.0
}

/// The largest value.
pub fn best(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// The median over the rounds of `ours` over `theirs` of the same round.
pub fn paired_ratio(ours: &[f64], theirs: &[f64]) -> f64 {
    let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
    median(&ratios)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contestant::lanegrad::Lanegrad;
    use crate::product::{Layout, Shape};
    use lanegrad_kernels::dispatch;

    #[test]
    fn medians_and_ratios() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(best(&[1.0, 3.0, 2.0]), 3.0);
        assert_eq!(paired_ratio(&[2.0, 20.0, 200.0], &[1.0, 10.0, 200.0]), 2.0);
    }

    #[test]
    fn everybody_has_one_turn_a_round_and_everybody_is_first_as_often() {
        for count in [4, 5] {
            let mut first = vec![0; count];
            for round in 0..2 * count {
                let mut turns: Vec<usize> = order(round, count).collect();
                first[turns[0]] += 1;
                turns.sort();
                assert!(turns.into_iter().eq(0..count));
            }
            assert_eq!(first, vec![2; count]);
        }
    }

    #[test]
    fn a_batch_lasts_and_every_round_counts() {
        let contestants: Vec<Box<dyn Contestant<f32>>> = vec![Box::new(Lanegrad { alone: true })];
        let mut product = Product::uniform(Shape::cube(8), Layout::Nn);
        let calls = calibrate(&*contestants[0], &mut product);
        assert!(calls > 100, "{calls} calls");
        let rates = interleave(&contestants, &mut product, dispatch::level().unwrap(), 3).unwrap();
        assert_eq!((rates.contestants[0].len(), rates.peak.len()), (3, 3));
        assert!(median(&rates.contestants[0]) < best(&rates.peak));
    }
}
