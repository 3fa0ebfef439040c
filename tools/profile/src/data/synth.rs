//! `profile data synth`.

use super::SynthOptions;
use super::batches::{self, CLASS_NAMES, Staging, Summed};
use crate::json::Json;
use crate::output::Directory;
use crate::screen::grouped;
use anyhow::{Result, bail};
use lanegrad::data::cifar10::{RECORD_BYTES, TRAIN_FILES};
use lanegrad::data::{Images, synthetic};
use serde::Serialize;
use std::ops::Range;
use std::path::Path;

/// The report of `--json`.
#[derive(Serialize)]
struct Report {
    version: u32,
    command: &'static str,
    directory: String,
    seed: u64,
    train: usize,
    test: usize,
    files: Vec<Summed>,
}

/// Draws the data set and writes it, with the names of its classes and the checksums of its files.
pub fn run(options: &SynthOptions) -> Result<()> {
    let json = Json::new(options.json.as_deref())?;
    let mut screen = json.screen();
    let place = &options.out;
    if place.symlink_metadata().is_ok() {
        bail!("{} is there already: give another --out, or move it away", place.display());
    }
    let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _parent = Directory::create(Some(parent))?;

    let train = options.images as usize;
    let dataset = synthetic::generate_sized(options.seed, train, train / 5);
    let mut staging = Staging::beside(place)?;
    let part = train / TRAIN_FILES.len();
    for (number, name) in batches::names().enumerate() {
        let contents = match number < TRAIN_FILES.len() {
            true => records(&dataset.train, number * part..(number + 1) * part),
            false => records(&dataset.test, 0..dataset.test.len()),
        };
        staging.write(name, &contents)?;
    }
    staging.write_unlisted(CLASS_NAMES, (dataset.class_names.join("\n") + "\n").as_bytes())?;
    let files = staging.finish(place)?;

    let (seed, test) = (options.seed, dataset.test.len());
    let counts = [train, test].map(|count| grouped(count as u64));
    screen.line(&format!("synthetic  {} training and {} test images from seed {seed}", counts[0], counts[1]))?;
    for file in &files {
        screen.line(&format!("wrote {}", place.join(file.name).display()))?;
    }
    let directory = place.display().to_string();
    json.write(&Report { version: 1, command: "data synth", directory, seed, train, test, files })
}

/// Labels and pixels of some images, record after record.
fn records(images: &Images, range: Range<usize>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(range.len() * RECORD_BYTES);
    for i in range {
        // There are ten classes.
        bytes.push(images.labels()[i] as u8);
        bytes.extend_from_slice(images.image(i));
    }
    bytes
}
