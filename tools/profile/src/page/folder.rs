//! What a page is made of: the files that `profile train` leaves in the folder of a run.

use crate::args::ModelOptions;
use crate::names;
use crate::predictions::{PNG_ADDRESS, Summary};
use crate::report::Report;
use crate::steps::{self, Steps};
use crate::weights::{self, Trained};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;

/// The report of `train`: other commands leave one too.
fn report(text: &str) -> Result<Report> {
    #[derive(serde::Deserialize)]
    struct Named {
        command: String,
    }
    if let Ok(Named { command }) = serde_json::from_str(text) {
        ensure!(
            command == "train",
            "it is the report of `profile {command}`, and a page is made of one of `profile train`"
        );
    }
    Ok(serde_json::from_str(text)?)
}

/// A finished run.
pub struct Run {
    /// `report.json`.
    pub report: Report,
    /// `steps.csv`.
    pub steps: Steps,
    /// `predictions.json`.
    pub summary: Summary,
    /// `weights.safetensors`.
    pub trained: Trained,
}

impl Run {
    /// Reads the files.
    ///
    /// # Errors
    /// If one is missing, damaged, or of another run than the others.
    pub fn read(folder: &Path) -> Result<Self> {
        ensure!(folder.is_dir(), "{} is not the folder of a run", folder.display());
        let report = text(folder, "report.json", report)?;
        let steps = text(folder, "steps.csv", steps::from_csv)?;
        let summary = text(folder, "predictions.json", |text| Ok(serde_json::from_str::<Summary>(text)?))?;
        let trained = weights::load(folder)?;
        let run = Self { report, steps, summary, trained };
        run.check().with_context(|| format!("the files in {} do not belong together", folder.display()))?;
        Ok(run)
    }

    /// Whether the files are of one run, and whole: a later run that failed may have replaced some.
    fn check(&self) -> Result<()> {
        let (report, summary) = (&self.report, &self.summary);
        ensure!(report.version == 1 && summary.version == 1, "they are of a later version of this program");
        let hash = weights::sha256(&self.trained.model.tensors()?);
        ensure!(hash == report.weights_sha256, "weights.safetensors are not the weights of report.json");
        let (steps, per_epoch) = (self.steps.losses.len(), self.steps.steps_per_epoch);
        let epochs = steps.div_ceil(per_epoch);
        ensure!(epochs == report.epochs.len(), "steps.csv has {epochs} epochs, report.json {}", report.epochs.len());
        let evaluated = report.epochs.last().map(|epoch| (report.data.test, epoch.test_accuracy));
        let is_same = evaluated == Some((summary.images, summary.accuracy))
            && (&summary.model, &summary.loss, &summary.data)
                == (&report.model.name, &report.model.loss, &report.data.kind);
        ensure!(is_same, "predictions.json is not of the evaluation that report.json ends with");
        let classes = summary.class_names.len();
        ensure!(summary.class_names == self.trained.description.class_names, "predictions.json has other classes");
        let is_square = summary.confusion.len() == classes && summary.confusion.iter().all(|row| row.len() == classes);
        ensure!(is_square, "the counts in predictions.json are not {classes} by {classes}");
        let embedded = summary.examples.iter().all(|example| example.image.starts_with(PNG_ADDRESS));
        ensure!(embedded, "a picture in predictions.json is not embedded");
        Ok(())
    }

    /// The options of the model.
    pub fn options(&self) -> &ModelOptions {
        &self.trained.options
    }

    /// What was trained: `softmax classifier`.
    pub fn title(&self) -> &'static str {
        names::title(self.options())
    }

    /// What it was trained on.
    pub fn data_name(&self) -> &'static str {
        if self.report.data.kind == "cifar10" { "CIFAR-10" } else { "synthetic data" }
    }
}

/// What `read` makes of the text of a file in the folder.
fn text<T>(folder: &Path, name: &str, read: impl FnOnce(&str) -> Result<T>) -> Result<T> {
    let path = folder.join(name);
    let contents = fs::read_to_string(&path).with_context(|| {
        format!(
            "cannot read {}, which `profile train` writes when a run is over; `profile train --resume` with its \
             checkpoint.safetensors goes on, or writes the files of a finished run again",
            path.display()
        )
    })?;
    read(&contents).with_context(|| format!("{} is damaged, or of another program", path.display()))
}
