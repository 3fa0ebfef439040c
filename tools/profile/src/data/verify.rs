//! `profile data verify`.

use super::VerifyOptions;
use super::batches::{self, CHECKSUMS, Summed};
use crate::dataset;
use crate::json::Json;
use crate::resume::Conflict;
use crate::screen::{Screen, counted, grouped};
use anyhow::{Context, Result, bail, ensure};
use lanegrad::data::cifar10::{self, FILE_BYTES, RECORD_BYTES, TRAIN_FILES};
use lanegrad::data::synthetic;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Mean red, green and blue of CIFAR-10's training images, of 1, as everybody who standardises its colours has them.
const PUBLISHED_MEAN: [f64; 3] = [0.491_400, 0.482_158, 0.446_531];

/// What rounding and the order of sums leave of a difference to them.
const SAME: f64 = 1e-5;

/// How far copies of the images differ that went through a lossy format such as JPEG.
const CLOSE: f64 = 2e-3;

/// What the images are, as far as their mean colour tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Images {
    /// CIFAR-10's.
    Cifar10,
    /// Copies of CIFAR-10's that were changed a little.
    Close,
    /// Drawn by `profile data synth`.
    Synthetic,
    /// Others.
    Other,
}

/// The report of `--json`.
#[derive(Serialize)]
struct Report {
    version: u32,
    command: &'static str,
    directory: String,
    /// The files that could be read.
    files: Vec<Summed>,
    /// Images of each class, to train and to test on.
    train_per_class: [u64; 10],
    test_per_class: [u64; 10],
    /// Mean red, green and blue of the training images, from 0 to 1.
    mean: [f64; 3],
    images: Images,
    /// What is wrong, in words.
    problems: Vec<String>,
}

/// Checks the files, prints a table, and fails if anything is wrong.
pub fn run(options: &VerifyOptions) -> Result<()> {
    let json = Json::new(options.json.as_deref())?;
    let mut screen = json.screen();
    let Some((directory, source)) = dataset::directory(options.data.as_deref()) else {
        return Err(match &options.data {
            Some(name) => Conflict(format!("--data {name}: that set has no files to check")).into(),
            None => anyhow::anyhow!("there is no data set to check: `profile data fetch` gets CIFAR-10"),
        });
    };
    ensure!(directory.is_dir(), "{} (from {source}) is no directory", directory.display());
    screen.line(&format!("directory  {}", directory.display()))?;
    let found = Found::read(&directory);
    let report = found.report(&directory);
    print(&report, &found.class_names, &mut screen)?;
    json.write(&report)?;
    match report.problems.len() {
        0 => Ok(()),
        count => bail!("{} with the data set in {}", counted(count, "problem"), directory.display()),
    }
}

/// What the files contain.
#[derive(Default)]
struct Found {
    files: Vec<Summed>,
    class_names: Vec<String>,
    train_per_class: [u64; 10],
    test_per_class: [u64; 10],
    /// The sums of the training images' red, green and blue.
    colours: [u64; 3],
    problems: Vec<String>,
}

impl Found {
    /// Reads all there is, whatever is wrong with some of it.
    fn read(directory: &Path) -> Self {
        let mut found = Self::default();
        let checksums = checksums(directory);
        if let Err(error) = &checksums {
            found.problems.push(format!("{error:#}"));
        }
        let checksums = checksums.unwrap_or_default();
        for (number, name) in batches::names().enumerate() {
            let is_train = number < TRAIN_FILES.len();
            if let Err(error) = found.read_file(directory, name, is_train, checksums.get(name)) {
                found.problems.push(format!("{name}: {error:#}"));
            }
        }
        let names = fs::read_to_string(directory.join(batches::CLASS_NAMES)).unwrap_or_default();
        found.class_names = names.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
        if found.class_names.len() != 10 {
            found.class_names = cifar10::CLASS_NAMES.map(String::from).to_vec();
        }
        found
    }

    fn read_file(
        &mut self,
        directory: &Path,
        name: &'static str,
        is_train: bool,
        checksum: Option<&String>,
    ) -> Result<()> {
        let path = directory.join(name);
        let metadata = fs::metadata(&path)?;
        // To open a pipe could wait forever.
        ensure!(metadata.is_file(), "it is no regular file");
        let (length, expected) = (metadata.len(), FILE_BYTES as u64);
        ensure!(length == expected, "it has {} bytes instead of {}", grouped(length), grouped(expected));
        let contents = fs::read(&path)?;
        let file = Summed::new(name, &contents);
        let sha256 = file.sha256.clone();
        self.files.push(file);
        let counts = batches::count_labels(&contents)?;
        let totals = if is_train { &mut self.train_per_class } else { &mut self.test_per_class };
        totals.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
        if is_train {
            let pixels = contents.chunks_exact(RECORD_BYTES).map(|record| &record[1..]);
            pixels.for_each(|pixels| add_colours(pixels, &mut self.colours));
        }
        let agrees = checksum.is_none_or(|checksum| *checksum == sha256);
        ensure!(agrees, "its SHA-256 is not the one in {CHECKSUMS}: it was changed after it was written");
        Ok(())
    }

    /// Mean red, green and blue of the training images, from 0 to 1.
    fn mean(&self) -> [f64; 3] {
        let images: u64 = self.train_per_class.iter().sum();
        self.colours.map(|sum| sum as f64 / (255.0 * 1024.0 * images.max(1) as f64))
    }

    /// What the images are.
    fn images(&self) -> Images {
        let distances = self.mean().into_iter().zip(PUBLISHED_MEAN).map(|(mean, published)| (mean - published).abs());
        match distances.fold(0.0, f64::max) {
            ..SAME => Images::Cifar10,
            ..CLOSE => Images::Close,
            _ if self.class_names == synthetic::generate_sized(0, 0, 0).class_names => Images::Synthetic,
            _ => Images::Other,
        }
    }

    fn report(&self, directory: &Path) -> Report {
        let mut problems = self.problems.clone();
        let images = self.images();
        // What could not be read was said already.
        if problems.is_empty() {
            let uneven = self.train_per_class != [5_000; 10] || self.test_per_class != [1_000; 10];
            if uneven {
                problems.push("CIFAR-10 has 5,000 training and 1,000 test images of each class".into());
            }
            if images == Images::Other {
                problems.push("the mean colour is not near that of CIFAR-10: these are other images".into());
            }
        }
        Report {
            version: 1,
            command: "data verify",
            directory: directory.display().to_string(),
            files: self.files.clone(),
            train_per_class: self.train_per_class,
            test_per_class: self.test_per_class,
            mean: self.mean(),
            images,
            problems,
        }
    }
}

/// Adds an image's red, green and blue planes to the sums.
fn add_colours(pixels: &[u8], colours: &mut [u64; 3]) {
    for (sum, plane) in colours.iter_mut().zip(pixels.chunks_exact(1024)) {
        *sum += plane.iter().map(|&pixel| u64::from(pixel)).sum::<u64>();
    }
}

/// The checksums by the names of their files, if they are there.
fn checksums(directory: &Path) -> Result<BTreeMap<String, String>> {
    let path = directory.join(CHECKSUMS);
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    let text = fs::read_to_string(&path).with_context(|| format!("{CHECKSUMS} cannot be read"))?;
    let line = |line: &str| line.split_once("  ").map(|(sha256, name)| (name.to_owned(), sha256.to_owned()));
    let lines: Option<_> = text.lines().map(line).collect();
    lines.with_context(|| format!("{CHECKSUMS} is damaged"))
}

fn print(report: &Report, class_names: &[String], screen: &mut Screen) -> Result<()> {
    screen.line("")?;
    screen.line(&format!("{:<18} {:>12}  SHA-256", "file", "bytes"))?;
    for file in &report.files {
        screen.line(&format!("{:<18} {:>12}  {}", file.name, grouped(file.bytes), file.sha256))?;
    }
    screen.line("")?;
    screen.line(&format!("{:<18} {:>12}  {:>8}", "class", "to train on", "to test"))?;
    for ((name, train), test) in class_names.iter().zip(report.train_per_class).zip(report.test_per_class) {
        screen.line(&format!("{name:<18} {:>12}  {:>8}", grouped(train), grouped(test)))?;
    }
    screen.line("")?;
    let triple = |[red, green, blue]: [f64; 3]| format!("{red:.6}, {green:.6}, {blue:.6}");
    screen.line(&format!("mean colour of 1 (red, green, blue)  {}", triple(report.mean)))?;
    screen.line(&format!("published for CIFAR-10               {}", triple(PUBLISHED_MEAN)))?;
    screen.line("")?;
    for problem in &report.problems {
        screen.line(&format!("problem: {problem}"))?;
    }
    if report.problems.is_empty() {
        screen.line(match report.images {
            Images::Cifar10 => "This is CIFAR-10, as far as sizes, labels and colours tell.",
            Images::Close => "This is CIFAR-10 with its colours changed a little, as by a lossy format such as JPEG.",
            Images::Synthetic => "This is a synthetic data set in CIFAR-10's layout.",
            Images::Other => "These are other images.",
        })?;
    }
    Ok(())
}
