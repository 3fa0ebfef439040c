//! The data set that a command works on.

use crate::args::{RunOptions, parse_image_count};
use crate::resume::Conflict;
use crate::screen::Screen;
use anyhow::{Result, anyhow};
use lanegrad::data::{Dataset, Source, cifar10, synthetic};
use std::path::{Path, PathBuf};

/// The folder that CIFAR-10's archive unpacks into.
pub const FOLDER: &str = "cifar-10-batches-bin";

/// A data set, and what `--data` names it by.
pub struct Loaded {
    /// The images.
    pub dataset: Dataset,
    /// Its folder, or `synthetic` or `synthetic:N`.
    pub name: String,
}

/// The data set that the options name, or the first that is there.
pub fn load(options: &RunOptions, screen: &mut Screen) -> Result<Loaded> {
    let Some((directory, source)) = directory(options.data.as_deref()) else {
        screen.line("data       SYNTHETIC pictures in the shape of CIFAR-10, drawn from the seed: not photographs.")?;
        screen.line(
            "           `profile data fetch` gets the real ones; --data DIR or $CIFAR10_DIR says where they are.",
        )?;
        let name = options.data.clone().filter(|name| name.starts_with("synthetic:"));
        let dataset = match name.as_deref().and_then(|name| name.strip_prefix("synthetic:")) {
            Some(images) => {
                // Those of a checkpoint have not been through the command line.
                let train = parse_image_count(images)
                    .map_err(|wanted| Conflict(format!("the data synthetic:{images}: {wanted}")))?;
                synthetic::generate_sized(options.seed, train, train / 5)
            }
            None => synthetic::generate(options.seed),
        };
        return Ok(Loaded { dataset, name: name.unwrap_or_else(|| "synthetic".into()) });
    };
    let dataset = cifar10::read(&directory).map_err(|error| {
        let is_missing = !directory.join("data_batch_1.bin").exists();
        let hint = if is_missing { "; `profile data fetch` gets it" } else { "" };
        anyhow!("CIFAR-10 cannot be read from {source}: {:#}{hint}", anyhow::Error::from(error))
    })?;
    screen.line(&format!("data       CIFAR-10 in {}", directory.display()))?;
    let name = directory.canonicalize().unwrap_or(directory).to_string_lossy().into_owned();
    Ok(Loaded { dataset, name })
}

/// The directory of CIFAR-10 that `--data` names, or that is used without it, and which of the two; none for synthetic data.
pub fn directory(data: Option<&str>) -> Option<(PathBuf, &'static str)> {
    let usual = Path::new("data").join(FOLDER);
    let (mut directory, source) = match data {
        Some(name) if name == "synthetic" || name.starts_with("synthetic:") => return None,
        Some(directory) => (PathBuf::from(directory), "--data"),
        None => match std::env::var_os("CIFAR10_DIR").filter(|value| !value.is_empty()) {
            Some(directory) => (directory.into(), "$CIFAR10_DIR"),
            None => (usual.is_dir().then_some(usual)?, "the usual place"),
        },
    };
    // The archive unpacks into a folder of its own; the one above it does as well.
    let inner = directory.join(FOLDER);
    if inner.is_dir() && !directory.join("data_batch_1.bin").exists() {
        directory = inner;
    }
    Some((directory, source))
}

/// What the data are called in a picture.
pub fn source_name(dataset: &Dataset) -> &'static str {
    match dataset.source {
        Source::Cifar10 { .. } => "CIFAR-10",
        Source::Synthetic { .. } => "synthetic data",
    }
}
