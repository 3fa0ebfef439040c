//! Who takes part: one file each.

#[cfg(unix)]
mod cblas;
mod faer;
mod gemm;
mod gemmkit;
pub mod lanegrad;
mod matrixmultiply;

use crate::number::Number;
use crate::product::Product;
use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// A library that computes C <- A B.
pub trait Contestant<T> {
    /// Its name on the command line and in records.
    fn name(&self) -> &str;
    /// Its version.
    fn version(&self) -> &str;
    /// The most threads it uses.
    fn threads(&self) -> usize;
    /// C <- A B.
    fn multiply(&self, product: &mut Product<T>);

    /// The time that `calls` products take, one after the other.
    fn time(&self, calls: usize, product: &mut Product<T>) -> Duration {
        let start = Instant::now();
        for _ in 0..calls {
            self.multiply(product);
        }
        start.elapsed()
    }
}

/// Ours first, then every rival there is, each with `threads` threads; only those named in `only` unless it is empty.
///
/// Rivals that use rayon take the threads of the calling pool.
///
/// # Errors
/// If a library that `LANEGRAD_BENCH_BLAS` names cannot be used, or `only` names one that does not take part.
pub fn all<T: Number>(threads: usize, only: &[String]) -> Result<Vec<Box<dyn Contestant<T>>>> {
    let mut rivals: Vec<Box<dyn Contestant<T>>> = vec![
        Box::new(matrixmultiply::MatrixMultiply { threads }),
        Box::new(gemm::Gemm { threads }),
        Box::new(faer::Faer { threads }),
        Box::new(gemmkit::GemmKit { threads }),
    ];
    #[cfg(unix)]
    for library in cblas::from_environment(threads)? {
        rivals.push(Box::new(library));
    }
    if let Some(unknown) = only.iter().find(|name| rivals.iter().all(|rival| rival.name() != *name)) {
        let names: Vec<_> = rivals.iter().map(|rival| rival.name()).collect();
        bail!("no rival is called {unknown:?}; there are {}", names.join(", "));
    }
    rivals.retain(|rival| only.is_empty() || only.iter().any(|name| name == rival.name()));
    let mut contestants: Vec<Box<dyn Contestant<T>>> = vec![Box::new(lanegrad::Lanegrad { alone: false })];
    contestants.append(&mut rivals);
    Ok(contestants)
}

/// The version of `package` that this program was built with.
fn locked_version(package: &str) -> &'static str {
    const LOCK: &str = include_str!("../../../Cargo.lock");
    let entry = LOCK.split_once(&format!("name = \"{package}\"\nversion = \""));
    entry.and_then(|(_, rest)| rest.split('"').next()).unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::beta;
    use crate::product::{Layout, Shape};
    use clap::ValueEnum;

    #[test]
    fn everybody_computes_the_same() {
        fn check<T: Number>(threads: usize) {
            for shape in [Shape { m: 1, k: 1, n: 1 }, Shape { m: 3, k: 70, n: 5 }, Shape { m: 65, k: 40, n: 130 }] {
                for &layout in Layout::value_variants() {
                    let mut product = Product::<T>::integers(shape, layout);
                    let (a, b, _) = product.operands();
                    let sum = |i, j| (0..shape.k).fold(beta(), |sum, p| sum + *a.at(i, p) * *b.at(p, j));
                    let expected: Vec<T> = (0..shape.m * shape.n).map(|at| sum(at / shape.n, at % shape.n)).collect();
                    for contestant in all::<T>(threads, &[]).unwrap() {
                        product.spoil();
                        contestant.multiply(&mut product);
                        let name = contestant.name();
                        assert_eq!(product.difference(&expected), None, "{name} at {shape}, {layout}");
                    }
                }
            }
        }
        for threads in [1, 2] {
            check::<f32>(threads);
            check::<f64>(threads);
        }
    }

    #[test]
    fn a_selection_keeps_ours_and_names_that_are_not_there_are_refused() {
        let names = |only: &[&str]| -> Result<Vec<String>> {
            let only: Vec<String> = only.iter().map(|&name| name.into()).collect();
            Ok(all::<f32>(1, &only)?.iter().map(|contestant| contestant.name().into()).collect())
        };
        assert_eq!(names(&["faer", "gemm"]).unwrap(), ["lanegrad", "gemm", "faer"]);
        assert!(names(&["nosuch"]).unwrap_err().to_string().contains("matrixmultiply, gemm, faer, gemmkit"));
    }

    #[test]
    fn versions_are_those_of_the_lock_file() {
        assert!(locked_version("faer").starts_with("0.24."));
        assert!(locked_version("gemm").starts_with("0.19."));
        assert_eq!(locked_version("nosuch"), "unknown");
    }
}
