//! What the examples have in common.

use lanegrad::Error;
use lanegrad::data::{Dataset, cifar10, synthetic};

/// CIFAR-10 if `CIFAR10_DIR` names its folder, else a small synthetic set of the same shape.
pub fn data() -> Result<Dataset, Error> {
    let data = match std::env::var_os("CIFAR10_DIR") {
        Some(directory) => cifar10::read(directory.as_ref())?,
        None => synthetic::generate_sized(0, 5_000, 1_000),
    };
    println!("{} images to learn from, {} to test on ({})", data.train.len(), data.test.len(), data.source.kind());
    Ok(data)
}
