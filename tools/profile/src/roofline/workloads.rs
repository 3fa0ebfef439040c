//! The kernels that are measured: what each computes and moves.
//!
//! Operations are counted as they are written in the formulas, a multiply-add as two, a division, a root and a comparison as
//! one. Bytes are those that cannot be avoided: every operand read once, every result written once.

mod classifier;
mod elementwise;
mod images;

use super::roofs::large;
pub use elementwise::Scale;
use lanegrad::kernels::{Error, MatMut, MatRef, gemm};
use lanegrad::optim::{Optimizer, Segment, Updater};
use rand::SeedableRng;
use rand_distr::{Distribution, Uniform};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::Serialize;

/// What kind of kernel it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Matrix products.
    Product,
    /// The fused linear classifier.
    Classifier,
    /// Convolutions and their gradients.
    Convolution,
    /// Pooling and its gradients.
    Pool,
    /// Update rules.
    Update,
    /// Functions of single numbers, and softmax.
    Elementwise,
}

impl Group {
    /// All, in the order of the picture's colours.
    pub const ALL: [Self; 6] =
        [Self::Product, Self::Classifier, Self::Convolution, Self::Pool, Self::Update, Self::Elementwise];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Product => "matrix products",
            Self::Classifier => "linear classifier",
            Self::Convolution => "convolutions",
            Self::Pool => "pools",
            Self::Update => "update rules",
            Self::Elementwise => "elementwise",
        }
    }
}

/// A kernel with its operands, ready to run.
pub struct Workload {
    /// Floating-point operations of a run.
    pub operations: f64,
    /// Bytes that a run has to move.
    pub bytes: f64,
    /// Runs it once.
    pub run: Box<dyn FnMut() -> Result<(), Error> + Send>,
}

/// A kernel that is not made yet: the operands of all at once would not fit.
pub struct Maker {
    /// Its name, with the shape if there are several.
    pub name: String,
    /// Its kind.
    pub group: Group,
    /// Makes it, operands and all.
    pub make: Box<dyn FnOnce() -> Result<Workload, lanegrad::Error>>,
}

impl Maker {
    fn new<E>(name: impl Into<String>, group: Group, make: impl FnOnce() -> Result<Workload, E> + 'static) -> Self
    where
        lanegrad::Error: From<E>,
    {
        Self { name: name.into(), group, make: Box::new(|| Ok(make()?)) }
    }
}

/// Bytes of so many `f32`.
fn floats(count: usize) -> f64 {
    (count * size_of::<f32>()) as f64
}

/// Numbers from -1 to 1, which repeat after a while.
pub fn random(seed: u64, length: usize) -> Vec<f32> {
    const PERIOD: usize = 4099;
    let mut generator = Xoshiro256PlusPlus::seed_from_u64(seed);
    let uniform = Uniform::new_inclusive(-1.0_f32, 1.0).expect("-1 is below 1");
    let numbers: Vec<f32> = (0..PERIOD).map(|_| uniform.sample(&mut generator)).collect();
    numbers.iter().copied().cycle().take(length).collect()
}

/// All workloads, in the order of the table.
pub fn all() -> Vec<Maker> {
    // Squares, then the products of a perceptron of 512 units and of a classifier of 10 classes, batches of 256.
    let shapes = [[64; 3], [256; 3], [1024; 3], [256, 3072, 512], [3072, 256, 512], [256, 3072, 10], [10, 256, 3072]];
    let products = shapes.map(|[m, k, n]| {
        Maker::new(format!("gemm {m} x {k} x {n}"), Group::Product, move || Ok::<_, Error>(product([m, k, n])))
    });
    let mut makers = Vec::from(products);
    makers.extend(classifier::makers());
    makers.extend(images::makers());
    makers.extend(RULES.map(|rule| Maker::new(rule.0.name(), Group::Update, move || update(rule))));
    makers.extend(elementwise::makers());
    makers
}

/// C = A B, of m x k and k x n.
pub fn product([m, k, n]: [usize; 3]) -> Workload {
    let (a, b, mut c) = (random(1, m * k), random(2, k * n), vec![0.0; m * n]);
    Workload {
        operations: 2.0 * (m * k * n) as f64,
        bytes: floats(m * k + k * n + m * n),
        run: Box::new(move || {
            let (a, b) = (MatRef::row_major(&a, m, k)?, MatRef::row_major(&b, k, n)?);
            gemm(1.0, a, b, 0.0, MatMut::row_major(&mut c, m, n)?)
        }),
    }
}

/// Update rules, with the operations for one parameter; two of them are for the regulariser, where one is.
const RULES: [(Optimizer, u32); 10] = [
    (Optimizer::sgd(1e-6), 2 + 2),
    (Optimizer::momentum(1e-6), 2 + 4),
    (Optimizer::nesterov(1e-6), 2 + 6),
    (Optimizer::adagrad(1e-6), 2 + 7),
    (Optimizer::adadelta(1e-6), 2 + 15),
    (Optimizer::rms_prop(1e-6), 2 + 9),
    (Optimizer::graves_rms_prop(1e-6), 2 + 17),
    (Optimizer::adam(1e-6), 2 + 14),
    (Optimizer::adam_w(1e-6), 2 + 15),
    (Optimizer::lion(1e-6), 2 + 10),
];

fn update((optimizer, operations): (Optimizer, u32)) -> Result<Workload, lanegrad::Error> {
    let length = large();
    let mut updater = Updater::<f32>::new(optimizer, &[Segment { range: 0..length, matrix: None, decay: true }])?;
    let (mut parameters, gradients) = (random(1, length), random(2, length));
    // Parameters, gradients and state are read, parameters and state written.
    let moved = (3 + 2 * optimizer.slots()) * length;
    Ok(Workload {
        operations: f64::from(operations) * length as f64,
        bytes: floats(moved),
        run: Box::new(move || match updater.step(&mut parameters, &gradients, 1e-4) {
            Err(lanegrad::Error::Kernel(error)) => Err(error),
            // Nothing else can go wrong with arenas of one length.
            _ => Ok(()),
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_and_bytes_are_those_of_the_shapes() {
        let small = product([2, 3, 5]);
        assert_eq!((small.operations, small.bytes), (60.0, 4.0 * 31.0));
    }

    #[test]
    fn random_numbers_follow_from_the_seed() {
        assert_eq!(random(1, 5000), random(1, 5000));
        assert_ne!(random(1, 10), random(2, 10));
        assert!(random(3, 5000).iter().all(|x| (-1.0..=1.0).contains(x)));
    }
}
