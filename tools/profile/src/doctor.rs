//! `profile doctor`: the lecture's sanity checks, and those of the machine, as a row of ticks.
//!
//! What a model must do whatever the data are ("Sanity checks" in the CS231n notes,
//! <https://cs231n.github.io/neural-networks-3/>), and what numbers this machine should reach.

mod learning;
mod machine;

use crate::args::{ModelOptions, RunOptions};
use crate::dataset::{self, Loaded};
use crate::json::Json;
use crate::resume::Conflict;
use crate::screen::{Screen, counted, grouped};
use anyhow::{Result, bail};
use clap::Args;
use lanegrad::data::{Dataset, Images};
use lanegrad::kernels::parallel::Threads;
use serde::Serialize;

/// The training images that the checks of the model see; normalisation is over these.
const IMAGES: usize = 1000;

/// The options of `profile doctor`.
#[derive(Args, Clone, Debug)]
pub struct DoctorOptions {
    /// What is checked.
    #[command(flatten)]
    pub model: ModelOptions,

    /// A directory with CIFAR-10's six .bin files, or `synthetic`
    /// [default: as for `profile train`]
    #[arg(long, value_name = "DIR|synthetic[:N]")]
    pub data: Option<String>,

    /// Threads [default: as many as the processor runs at once]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,

    /// Seed of everything random
    #[arg(long, default_value_t = 0)]
    pub seed: u64,

    /// Also write a JSON report to this file, or to standard output (`-`; the lines for people then go to standard error)
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<String>,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// As it should be.
    Good,
    /// Right, but slower than it could be.
    Slow,
    /// Wrong.
    Failed,
}

impl Status {
    /// The sign at the start of a line.
    fn sign(self) -> char {
        match self {
            Self::Good => '✓',
            Self::Slow => '!',
            Self::Failed => '✗',
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What was looked at.
    name: &'static str,
    status: Status,
    /// What was found, and what was expected, in words.
    found: String,
    /// What was found, as a number, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    /// What to do about it, if something is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'static str>,
}

impl Check {
    /// A check that is good if `is_good`, and else `otherwise`, with advice.
    fn new(name: &'static str, is_good: bool, found: String, otherwise: (Status, &'static str)) -> Self {
        let (status, advice) = if is_good { (Status::Good, None) } else { (otherwise.0, Some(otherwise.1)) };
        Self { name, status, found, value: None, advice }
    }

    /// With the number that was found.
    fn with_value(self, value: f64) -> Self {
        Self { value: Some(value), ..self }
    }
}

/// The report of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    command: &'static str,
    model: &'static str,
    data: &'static str,
    threads: usize,
    checks: &'a [Check],
}

/// What the checks of a model work on.
struct Subject<'a> {
    options: &'a ModelOptions,
    seed: u64,
    /// The first training images, as the model wants them.
    images: &'a Images,
    threads: &'a Threads,
}

/// Makes every check, prints a line for each, and fails if one does.
pub fn run(options: &DoctorOptions) -> Result<()> {
    options.model.check().map_err(|message| Conflict(message.into()))?;
    let json = Json::new(options.json.as_deref())?;
    let mut screen = json.screen();
    let count =
        options.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from);
    let threads = Threads::new(count)?;
    let (dataset, first) = data(options, &mut screen)?;
    screen.line("")?;
    let mut images = dataset.train.first(IMAGES);
    if options.model.model.wants_channels_last() {
        images = images.channels_last(3)?;
    }
    let subject = Subject { options: &options.model, seed: options.seed, images: &images, threads: &threads };
    let mut checks = Vec::new();
    let mut note = |check: Check| {
        screen.line(&format!("{} {:<18} {}", check.status.sign(), check.name, check.found))?;
        if let Some(advice) = check.advice {
            screen.line(&format!("  {:<18} to do: {advice}", ""))?;
        }
        checks.push(check);
        anyhow::Ok(())
    };
    note(first)?;
    for check in [
        learning::chance_loss,
        learning::regularisation,
        learning::overfitting,
        learning::gradient,
        learning::same_bits,
    ] {
        note(check(&subject)?)?;
    }
    note(machine::level()?)?;
    note(machine::peak(&threads)?)?;
    note(machine::bandwidth(&threads)?)?;
    json.write(&Report {
        version: 1,
        command: "doctor",
        model: options.model.model.name(),
        data: dataset.source.kind(),
        threads: count,
        checks: &checks,
    })?;
    match checks.iter().filter(|check| check.status == Status::Failed).count() {
        0 => Ok(()),
        failed => bail!("{} of {} failed", failed, counted(checks.len(), "check")),
    }
}

/// The data set, or the synthetic one where it cannot be read, and the check of it.
fn data(options: &DoctorOptions, screen: &mut Screen) -> Result<(Dataset, Check)> {
    let wanted = RunOptions {
        data: options.data.clone(),
        threads: options.threads,
        seed: options.seed,
        out: None,
        json: options.json.clone(),
    };
    const NAME: &str = "data set";
    match dataset::load(&wanted, screen) {
        Ok(Loaded { dataset, .. }) => {
            let [train, test] = [&dataset.train, &dataset.test];
            let images = format!("{} and {} images", grouped(train.len() as u64), grouped(test.len() as u64));
            let is_even = is_even(train) && is_even(test);
            let classes = if is_even { "of equal size" } else { "that differ in size" };
            let found = format!("{images} of {} classes {classes}", train.classes());
            let advice = "`profile data verify` says which class has how many; CIFAR-10 has as many of each";
            Ok((dataset, Check::new(NAME, is_even, found, (Status::Failed, advice))))
        }
        // What cannot be asked for is no finding.
        Err(error) if error.is::<Conflict>() => Err(error),
        Err(error) => {
            let dataset = lanegrad::data::synthetic::generate_sized(options.seed, 5 * IMAGES, IMAGES);
            let advice = "`profile data fetch` gets CIFAR-10; the other checks use synthetic images meanwhile";
            Ok((dataset, Check::new(NAME, false, format!("{error:#}"), (Status::Failed, advice))))
        }
    }
}

/// Whether the classes have as many images as each other, or one more where the number cannot be divided.
fn is_even(images: &Images) -> bool {
    let mut counts = vec![0; images.classes()];
    images.labels().iter().for_each(|&label| counts[label as usize] += 1);
    let (least, most) = (counts.iter().min(), counts.iter().max());
    most.zip(least).is_some_and(|(most, least)| most - least <= 1)
}
