//! What the kernel tests share.

#[cfg(target_os = "linux")]
pub mod guarded;
pub mod matrices;
pub mod product;

use lanegrad_kernels::isa::Scalar;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A seeded generator.
pub fn generator(seed: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed)
}

/// `length` numbers, uniform in -1..1.
#[allow(dead_code, reason = "some tests draw other numbers")]
pub fn uniform<T: Scalar>(seed: u64, length: usize) -> Vec<T> {
    let mut generator = generator(seed);
    (0..length).map(|_| T::from_f64(generator.random_range(-1.0..1.0))).collect()
}

/// How many random cases a test runs: `LANEGRAD_TEST_CASES`, or as many as are quick.
#[allow(dead_code, reason = "most tests run fixed cases")]
pub fn cases(quick: u64) -> u64 {
    std::env::var("LANEGRAD_TEST_CASES").map_or(quick, |count| count.parse().expect("LANEGRAD_TEST_CASES is a number"))
}
