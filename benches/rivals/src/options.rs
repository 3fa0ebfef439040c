//! The command line.

use crate::product::{Layout, Shape};
use clap::{Parser, ValueEnum};
use std::path::PathBuf;

/// Matrix products of Lanegrad beside those of other libraries.
#[derive(Debug, Parser)]
#[command(name = "cargo bench -p lanegrad-rivals --bench gemm --")]
pub struct Options {
    /// The type of numbers; both if not given.
    #[arg(long = "type")]
    pub number: Option<NumberType>,
    /// The number of threads; one, then all, if not given.
    #[arg(long)]
    pub threads: Option<ThreadCount>,
    /// A shape instead of a set; may be repeated.
    #[arg(long = "shape", value_name = "MxKxN")]
    pub shapes: Vec<Shape>,
    /// How A and B are stored, in BLAS's letters; C is row-major.
    #[arg(long, value_enum, default_value_t = Layout::Nn)]
    pub layout: Layout,
    /// The rivals to run, with commas between them; all if not given.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub only: Vec<String>,
    /// How often everybody has a turn on each shape.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..))]
    pub rounds: u16,
    /// The shapes.
    #[arg(long, value_enum, default_value_t = Set::Table)]
    pub set: Set,
    /// A CSV file to add what is measured to.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Prints this record as Markdown and measures nothing.
    #[arg(long, value_name = "FILE", exclusive = true)]
    pub table: Option<PathBuf>,
}

impl Options {
    /// Whether numbers of this type are to be multiplied.
    pub fn wants(&self, number: NumberType) -> bool {
        self.number.is_none_or(|wanted| wanted == number)
    }

    /// The shapes to compare on.
    pub fn shapes(&self) -> Vec<Shape> {
        match self.set {
            _ if !self.shapes.is_empty() => self.shapes.clone(),
            Set::Small => (2..=64).map(Shape::cube).collect(),
            Set::Table | Set::Sweep => TABLE.iter().map(|&(m, k, n)| Shape { m, k, n }).collect(),
        }
    }
}

/// A type of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum NumberType {
    F32,
    F64,
}

/// A number of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ThreadCount {
    /// One.
    #[value(name = "1")]
    One,
    /// As many as the processor runs at once.
    All,
}

impl ThreadCount {
    /// The number.
    pub fn get(self) -> usize {
        match self {
            Self::One => 1,
            Self::All => std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// A set of shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Set {
    /// The shapes of README's table.
    Table,
    /// Ours alone: cubes from 8 to 513, even and odd, on one thread and on all.
    Sweep,
    /// Every cube from 2 to 64.
    Small,
}

/// Cubes, the products of a linear classifier and of a multi-layer perceptron on CIFAR-10, odd shapes, long and thin ones:
/// m, k, n.
const TABLE: [(usize, usize, usize); 32] = [
    (16, 16, 16),
    (32, 32, 32),
    (64, 64, 64),
    (96, 96, 96),
    (128, 128, 128),
    (192, 192, 192),
    (256, 256, 256),
    (384, 384, 384),
    (512, 512, 512),
    (768, 768, 768),
    (1024, 1024, 1024),
    (2048, 2048, 2048),
    (256, 3072, 10),
    (10, 3072, 256),
    (3072, 256, 10),
    (10, 256, 3072),
    (64, 3072, 10),
    (256, 3072, 128),
    (256, 3072, 512),
    (256, 3072, 1024),
    (3072, 256, 512),
    (256, 512, 3072),
    (256, 128, 10),
    (1000, 1000, 1000),
    (37, 41, 43),
    (100, 100, 100),
    (64, 64, 4096),
    (4096, 64, 64),
    (64, 4096, 64),
    (2000, 16, 2000),
    (1, 1024, 1024),
    (1024, 1024, 1),
];
