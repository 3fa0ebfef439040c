//! What the kernel tests share: seeded numbers.

use lanegrad_kernels::isa::Scalar;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A seeded generator.
pub fn generator(seed: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed)
}

/// `length` numbers, uniform in -1..1.
pub fn uniform<T: Scalar>(seed: u64, length: usize) -> Vec<T> {
    let mut generator = generator(seed);
    (0..length).map(|_| T::from_f64(generator.random_range(-1.0..1.0))).collect()
}
