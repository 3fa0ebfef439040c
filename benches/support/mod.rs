//! What the benches share.

use lanegrad::kernels::isa::Scalar;
use lanegrad::kernels::parallel::Threads;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// `length` numbers, uniform in -1..1.
pub fn uniform<T: Scalar>(seed: u64, length: usize) -> Vec<T> {
    let mut generator = Xoshiro256PlusPlus::seed_from_u64(seed);
    (0..length).map(|_| T::from_f64(generator.random_range(-1.0..1.0))).collect()
}

/// A pool of one thread, and one of all if there are more; with what to call them.
pub fn pools() -> Vec<(String, Threads)> {
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    let counts = if all > 1 { vec![1, all] } else { vec![1] };
    counts.into_iter().map(|count| (format!("{count}t"), Threads::new(count).expect("threads start"))).collect()
}

/// Panics if the two differ by more than `tolerance` anywhere: a rival is timed only if it computes the same.
pub fn assert_same<T: Scalar>(ours: &[T], theirs: &[T], tolerance: f64, what: &str) {
    for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
        let (a, b) = (a.to_f64(), b.to_f64());
        assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "{what}: {a} and {b} at {i}");
    }
}
