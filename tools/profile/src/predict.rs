//! `profile predict`: a trained model's guesses about a picture, a test image, or all of them.

mod photograph;

use crate::args::RunOptions;
use crate::contact_sheet::{Group, Layout, sheet_of_guesses};
use crate::dataset::{Loaded, directory, load, source_name};
use crate::json;
use crate::machine;
use crate::names::{described, title};
use crate::output::Directory;
use crate::plots::{ConfusionMatrix, Format, confusion_matrix};
use crate::predictions::{Example, Meaning, Predictions, Summary, data_address, percent, rgb};
use crate::results::Results;
use crate::resume::Conflict;
use crate::screen::{Screen, grouped};
use crate::weights::{self, Trained};
use anyhow::{Result, ensure};
use clap::Args;
use lanegrad::data::{Dataset, Images};
use lanegrad::kernels::parallel::Threads;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Letters of the longest bar.
const BAR: usize = 30;

/// The options of `profile predict`.
#[derive(Args, Clone, Debug)]
pub struct PredictOptions {
    /// The model: the folder of a run of `profile train`, or its weights.safetensors
    #[arg(value_name = "RUN|WEIGHTS")]
    pub weights: PathBuf,

    /// A PNG or JPEG picture of any size: the square in its middle, scaled to 32 x 32, is what the model sees
    pub picture: Option<PathBuf>,

    /// An image of the test set, counted from 0, instead of a picture
    #[arg(long, value_name = "N", conflicts_with = "picture")]
    pub row: Option<usize>,

    /// All images of the test set [default, without a picture or a row]
    #[arg(long, conflicts_with_all = ["picture", "row"])]
    pub all: bool,

    /// Data, threads, files. Without --data, the test images are those of the data that the model was trained on, and --seed
    /// does nothing.
    #[command(flatten)]
    pub run: RunOptions,
}

/// Says what a model makes of what the options name, and writes it as pictures.
pub fn run(options: &PredictOptions) -> Result<()> {
    let mut trained = weights::load(&options.weights)?;
    let threads = machine::start_threads(options.run.threads)?;
    let mut results = Results::open(&options.run)?;
    let subject = match (&options.picture, options.row) {
        (Some(path), _) => Subject::picture(path, &trained)?,
        (None, Some(row)) => Subject::row(row, test_set(options, &trained, &mut results.screen)?)?,
        (None, None) => Subject::All(Box::new(test_set(options, &trained, &mut results.screen)?)),
    };
    results.line(&format!("model      {} ({})", described(&trained.options), trained.path.display()))?;
    let report = match subject {
        Subject::All(dataset) => all(&mut trained, *dataset, &threads, &mut results)?,
        Subject::One(one) => single(&mut trained, one, &threads, &mut results)?,
    };
    results.deliver(&report)
}

/// What the model looks at.
enum Subject {
    All(Box<Dataset>),
    One(One),
}

/// A single image.
struct One {
    /// What it is called, for people: `photo.png`, or `test image 17 of CIFAR-10`.
    name: String,
    /// How it was made to fit, if it was.
    fitting: Option<String>,
    row: Option<usize>,
    label: Option<String>,
    images: Images,
}

impl Subject {
    fn picture(path: &Path, trained: &Trained) -> Result<Self> {
        let photograph = photograph::read(path)?;
        Ok(Self::One(One {
            name: path.display().to_string(),
            fitting: Some(photograph.fitting()),
            row: None,
            label: None,
            images: photograph.images(trained.description.class_names.len())?,
        }))
    }

    fn row(row: usize, dataset: Dataset) -> Result<Self> {
        let count = dataset.test.len();
        if row >= count {
            let last = count.saturating_sub(1);
            return Err(Conflict(format!("--row {row}: the test images are 0 to {last}")).into());
        }
        let label = dataset.test.labels()[row];
        let mut images = Images::new(dataset.test.features(), dataset.test.classes(), 1);
        images.push(dataset.test.image(row), label)?;
        Ok(Self::One(One {
            name: format!("test image {row} of {}", source_name(&dataset)),
            fitting: None,
            row: Some(row),
            label: Some(dataset.class_names[label as usize].clone()),
            images,
        }))
    }
}

/// The data set whose test images are asked for: that which the model was trained on, if no other is named.
fn test_set(options: &PredictOptions, trained: &Trained, screen: &mut Screen) -> Result<Dataset> {
    let description = &trained.description;
    let mut run = options.run.clone();
    let is_synthetic = description.data.starts_with("synthetic");
    if run.data.is_none() && is_synthetic {
        (run.data, run.seed) = (Some(description.data.clone()), description.seed);
    }
    if run.data.is_none() && directory(None).is_none() {
        return Err(Conflict(
            "the model was trained on CIFAR-10, which is not here: say with --data DIR or $CIFAR10_DIR where it is, or \
             get it with `profile data fetch`"
                .into(),
        )
        .into());
    }
    let Loaded { dataset, .. } = load(&run, screen)?;
    if dataset.class_names != description.class_names {
        let [known, found] = [&description.class_names, &dataset.class_names].map(|names| names.join(", "));
        return Err(Conflict(format!("the model knows the classes {known}, and the data have {found}")).into());
    }
    Ok(dataset)
}

/// The predictions of a model for images whose pixels are in planes.
fn predictions(trained: &mut Trained, images: &Images, threads: &Threads) -> Result<Predictions> {
    let turned = trained.options.model.wants_channels_last().then(|| images.channels_last(3)).transpose()?;
    let images = turned.as_ref().unwrap_or(images);
    let model = &mut trained.model;
    let scores = threads.run(|| model.scores(images))?;
    Predictions::new(scores, trained.description.class_names.len(), trained.options.loss)
}

/// The JSON report on a single image.
#[derive(Serialize)]
struct Single<'a> {
    version: u32,
    command: &'static str,
    model: &'a str,
    loss: &'a str,
    name: &'a str,
    meaning: Meaning,
    #[serde(flatten)]
    example: &'a Example,
}

/// Prints and draws what a model makes of one image; returns the report.
fn single(trained: &mut Trained, one: One, threads: &Threads, results: &mut Results) -> Result<String> {
    let meaning = Meaning::of(trained.options.loss);
    let predictions = predictions(trained, &one.images, threads)?;
    let example = Example {
        row: one.row,
        label: one.label,
        guesses: predictions.guesses(0, &trained.description.class_names),
        image: data_address(&rgb(&one.images, 0, false))?,
    };
    let fitting = one.fitting.map_or_else(String::new, |fitting| format!(": {fitting}"));
    results.line(&format!("image      {}{fitting}", one.name))?;
    results.line("")?;
    results.lines(bars(&example, meaning))?;
    if let Some(label) = &example.label {
        results.line("")?;
        results.line(&format!("it is      {label}: {}", if example.is_right() { "right" } else { "wrong" }))?;
    }
    results.line("")?;
    let groups = [Group { heading: "", examples: vec![&example] }];
    let title = format!("What the {} makes of {}", title(&trained.options), one.name);
    let picture = sheet_of_guesses(&groups, Layout { picture: 320, columns: 1 }, meaning, &title)?;
    let description = &trained.description;
    let report = Single {
        version: 1,
        command: "predict",
        model: &description.model,
        loss: &description.loss,
        name: &one.name,
        meaning,
        example: &example,
    };
    results.file("prediction.png", &picture)?;
    json::text(&report)
}

/// The guesses as lines with bars.
fn bars(example: &Example, meaning: Meaning) -> Vec<String> {
    let width = example.guesses.iter().map(|guess| guess.class.chars().count()).max().unwrap_or(0).max(9);
    let line = |guess: &crate::predictions::Guess| {
        let bar = "█".repeat((guess.bar * BAR as f64).round() as usize);
        format!("  {:width$} {:>9}  {bar}", guess.class, meaning.text(guess.value)).trim_end().to_owned()
    };
    let head = match meaning {
        Meaning::Probability => "probability",
        Meaning::Score => "score",
    };
    let mut lines = vec![format!("  {:width$} {head:>11}", "guess")];
    lines.extend(example.guesses.iter().map(line));
    lines
}

/// Prints and draws what a model makes of all test images; returns the report.
fn all(trained: &mut Trained, dataset: Dataset, threads: &Threads, results: &mut Results) -> Result<String> {
    ensure!(!dataset.test.is_empty(), "there are no test images");
    let predictions = predictions(trained, &dataset.test, threads)?;
    let summary = Summary::new(&predictions, &dataset, false, ("predict", &trained.description.model))?;
    results.line("")?;
    results.lines(table(&summary))?;
    results.line("")?;
    results.add(write_pictures(&summary, title(&trained.options), source_name(&dataset), &results.output)?);
    json::text(&summary)
}

/// Accuracy class by class.
fn table(summary: &Summary) -> Vec<String> {
    let width = summary.class_names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(9);
    let mut lines = vec![format!("  {:width$}    right      of  accuracy  most often taken for", "class")];
    lines.extend(summary.per_class().iter().map(|class| {
        let mistaken = class
            .mistaken_for
            .map_or_else(String::new, |(name, count)| format!("{name} ({})", percent(count, class.images)));
        let [right, images] = [class.right, class.images].map(grouped);
        let accuracy = percent(class.right, class.images);
        format!("  {:width$} {right:>8} {images:>7}  {accuracy:>8}  {mistaken}", class.name).trim_end().to_owned()
    }));
    let [right, images] = [summary.right, summary.images as u64].map(grouped);
    lines.push(format!("  {:width$} {right:>8} {images:>7}  {:>6.2} %", "all", 100.0 * summary.accuracy));
    lines
}

/// Writes the confusion matrix, the sheet of right and wrong guesses, and `predictions.json`.
///
/// `model` is what was trained, and `data` what on, as titles say it.
pub fn write_pictures(summary: &Summary, model: &str, data: &str, output: &Directory) -> Result<Vec<PathBuf>> {
    let data = format!("{data}, {} test images", grouped(summary.images as u64));
    let matrix = ConfusionMatrix { model, data: &data, class_names: &summary.class_names, counts: &summary.confusion };
    let (right, wrong): (Vec<&Example>, Vec<&Example>) =
        summary.examples.iter().partition(|example| example.is_right());
    let groups = [
        Group { heading: "Right: of each class the one it is surest of", examples: right },
        Group { heading: "Wrong: of each class the one it is surest of", examples: wrong },
    ];
    let title = format!("Guesses of the {model}, {data}");
    let sheet = sheet_of_guesses(&groups, Layout { picture: 160, columns: 5 }, summary.meaning, &title)?;
    Ok(vec![
        output.write("confusion.svg", confusion_matrix(&matrix, Format::Sheet)?.as_bytes())?,
        output.write("predictions.png", &sheet)?,
        output.write("predictions.json", json::text(summary)?.as_bytes())?,
    ])
}
