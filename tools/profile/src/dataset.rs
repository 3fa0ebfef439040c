//! The data set that a command works on.

use crate::args::RunOptions;
use crate::resume::Conflict;
use crate::screen::Screen;
use anyhow::{Context, Result};
use lanegrad::data::{Dataset, Source, cifar10, synthetic};
use std::path::{Path, PathBuf};

/// A data set, and what `--data` names it by.
pub struct Loaded {
    /// The images.
    pub dataset: Dataset,
    /// Its folder, or `synthetic` or `synthetic:N`.
    pub name: String,
}

/// The data set that the options name, or the first that is there.
pub fn load(options: &RunOptions, screen: &mut Screen) -> Result<Loaded> {
    let usual = Path::new("data/cifar-10-batches-bin");
    let (directory, source) = match options.data.as_deref() {
        Some(name) if name == "synthetic" || name.starts_with("synthetic:") => (None, ""),
        Some(directory) => (Some(PathBuf::from(directory)), "--data"),
        None => match std::env::var_os("CIFAR10_DIR").filter(|value| !value.is_empty()) {
            Some(directory) => (Some(directory.into()), "$CIFAR10_DIR"),
            None => (usual.is_dir().then(|| usual.into()), "the usual place"),
        },
    };
    let Some(mut directory) = directory else {
        screen.line("data       SYNTHETIC pictures in the shape of CIFAR-10, drawn from the seed: not photographs.")?;
        screen
            .line("           Give the real ones with --data DIR or $CIFAR10_DIR; README.md says how to get them.")?;
        let name = options.data.clone().filter(|name| name.starts_with("synthetic:"));
        let dataset = match name.as_deref().and_then(|name| name.strip_prefix("synthetic:")) {
            Some(images) => {
                let train: usize =
                    images.parse().ok().filter(|images| (5..=1_000_000).contains(images)).ok_or_else(|| {
                        Conflict(format!("--data synthetic:{images}: expected from 5 to 1,000,000 images"))
                    })?;
                synthetic::generate_sized(options.seed, train, train / 5)
            }
            None => synthetic::generate(options.seed),
        };
        return Ok(Loaded { dataset, name: name.unwrap_or_else(|| "synthetic".into()) });
    };
    // The archive unpacks into a folder of its own; the one above it does as well.
    let inner = directory.join("cifar-10-batches-bin");
    if inner.is_dir() && !directory.join("data_batch_1.bin").exists() {
        directory = inner;
    }
    let dataset = cifar10::read(&directory).with_context(|| format!("CIFAR-10 cannot be read from {source}"))?;
    screen.line(&format!("data       CIFAR-10 in {}", directory.display()))?;
    let name = directory.canonicalize().unwrap_or(directory).to_string_lossy().into_owned();
    Ok(Loaded { dataset, name })
}

/// What the data are called in a picture.
pub fn source_name(dataset: &Dataset) -> &'static str {
    match dataset.source {
        Source::Cifar10 { .. } => "CIFAR-10",
        Source::Synthetic { .. } => "synthetic data",
    }
}
