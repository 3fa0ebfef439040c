//! What a run leaves: curves, pictures, numbers, weights.

use super::Training;
use crate::args::{LossName, ModelName, TrainOptions};
use crate::contact_sheet::contact_sheet;
use crate::dataset::source_name;
use crate::machine::Machine;
use crate::names::title;
use crate::output::Directory;
use crate::plots::{
    AccuracyCurve, Format, LossCurve, UpdateRatios, accuracy_curve, has_ratios, loss_curve, update_ratios,
};
use crate::predict::write_pictures;
use crate::predictions::{Predictions, Summary};
use crate::resume::Conflict;
use crate::screen::grouped;
use crate::steps;
use crate::weights::{self, Description};
use anyhow::{Context, Result};
use lanegrad::data::Dataset;
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

/// What runs leave in their folder: whichever model they train, and however they end.
const FILES: [&str; 14] = [
    "checkpoint.safetensors",
    "weights.safetensors",
    "report.json",
    "steps.csv",
    "loss.svg",
    "accuracy.svg",
    "updates.svg",
    "templates.png",
    "filters.png",
    "confusion.svg",
    "predictions.png",
    "predictions.json",
    "diverged.csv",
    "diverged.svg",
];

/// Makes sure that a new run mixes its files with no other one's, unless that one is to be overwritten.
pub fn check_free(output: &Directory, options: &TrainOptions) -> Result<()> {
    let path = output.path();
    let Some(name) = FILES.into_iter().find(|name| path.join(name).exists()) else { return Ok(()) };
    let ways = match (options.overwrite, &options.resume) {
        (true, _) => return Ok(()),
        (false, None) => "--overwrite removes that run, --resume goes on with it, and another --out leaves it alone",
        (false, Some(_)) => "another --out leaves it alone, and without --out files go where the checkpoint is",
    };
    Err(Conflict(format!("{} holds another run's {name}: {ways}", path.display())).into())
}

/// Removes what a run left.
pub fn clear(output: &Directory) -> Result<()> {
    for path in FILES.map(|name| output.path().join(name)) {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What a loss is called in a picture, and its unit.
pub fn loss_name(loss: LossName) -> (&'static str, &'static str) {
    match loss {
        LossName::Softmax => ("cross-entropy + regularisation", "nats"),
        LossName::Hinge => ("hinge + regularisation", ""),
    }
}

impl Training<'_> {
    /// Writes all of it but the report; returns the paths.
    pub fn write(&mut self, dataset: &Dataset, machine: &Machine, output: &Directory) -> Result<Vec<PathBuf>> {
        // What cannot be drawn again comes first: the disk may be full before the last picture.
        let mut files = vec![output.write("weights.safetensors", &self.safetensors(dataset)?)?];
        files.extend(self.write_curves(dataset, output)?);
        files.push(output.write(self.first_layer_file(), &self.first_layer_picture(dataset)?)?);
        if !dataset.test.is_empty() {
            let (options, model) = (self.options, &mut self.model);
            let scores = machine.threads.run(|| model.scores(&dataset.test))?;
            let predictions = Predictions::new(scores, dataset.test.classes(), options.model.loss)?;
            let (turned, name) = (options.model.model.wants_channels_last(), options.model.model.name());
            let summary = Summary::new(&predictions, dataset, turned, ("train", name))?;
            files.extend(write_pictures(&summary, title(&options.model), source_name(dataset), output)?);
        }
        Ok(files)
    }

    fn write_curves(&self, dataset: &Dataset, output: &Directory) -> Result<Vec<PathBuf>> {
        let mut files = vec![output.write("loss.svg", self.loss_picture(dataset)?.as_bytes())?];
        if !self.epochs.is_empty() {
            files.push(output.write("accuracy.svg", self.accuracy_picture(dataset)?.as_bytes())?);
        }
        if let Some(picture) = self.updates_picture()? {
            files.push(output.write("updates.svg", picture.as_bytes())?);
        }
        files.push(output.write("steps.csv", self.steps_csv()?.as_bytes())?);
        Ok(files)
    }

    /// Writes the losses of a run that diverged, under names that no run which ends has: what such a one left in the same
    /// folder is still of that one. Returns the path of the curve.
    pub fn write_diverged(&self, dataset: &Dataset, output: &Directory) -> Result<PathBuf> {
        output.write("diverged.csv", self.steps_csv()?.as_bytes())?;
        output.write("diverged.svg", self.loss_picture(dataset)?.as_bytes())
    }

    fn steps_csv(&self) -> Result<String> {
        steps::to_csv(&self.losses, self.sampler.steps_per_epoch())
    }

    /// All parameters, how pixels are normalised, and what all that is.
    fn safetensors(&self, dataset: &Dataset) -> Result<Vec<u8>> {
        let options = self.options;
        let description = Description::new(&options.model, dataset, &self.data.name, options.run.seed);
        weights::safetensors(self.model.tensors()?, self.model.normalisation(), &description)
    }

    fn loss_picture(&self, dataset: &Dataset) -> Result<String> {
        let losses: Vec<f32> = self.losses.iter().map(|loss| loss.full() as f32).collect();
        let (loss, unit) = loss_name(self.options.model.loss);
        let curve = LossCurve {
            model: title(&self.options.model),
            loss,
            unit,
            data: &format!("{}, {} images", source_name(dataset), grouped(dataset.train.len() as u64)),
            batch_size: self.batch_size(),
            steps_per_epoch: self.sampler.steps_per_epoch() as usize,
            losses: &losses,
        };
        loss_curve(&curve, Format::Sheet)
    }

    fn accuracy_picture(&self, dataset: &Dataset) -> Result<String> {
        let accuracies: Vec<f64> = self.epochs.iter().map(|epoch| epoch.test_accuracy).collect();
        let curve = AccuracyCurve {
            model: title(&self.options.model),
            data: &format!("{}, {} test images", source_name(dataset), grouped(dataset.test.len() as u64)),
            classes: dataset.test.classes(),
            accuracies: &accuracies,
        };
        accuracy_curve(&curve, Format::Sheet)
    }

    /// How far steps moved the weights, if that can be said.
    fn updates_picture(&self) -> Result<Option<String>> {
        let epochs: Vec<BTreeMap<String, f64>> =
            self.epochs.iter().map(|epoch| epoch.update_to_weight.clone()).collect();
        let optimizer = format!("{}, step size {:e}", self.optimizer.name(), self.optimizer.rate());
        let ratios = UpdateRatios { model: title(&self.options.model), optimizer: &optimizer, epochs: &epochs };
        has_ratios(&epochs).then(|| update_ratios(&ratios, Format::Sheet)).transpose()
    }

    /// The file of what the first layer looks for.
    fn first_layer_file(&self) -> &'static str {
        if self.options.model.model == ModelName::Linear { "templates.png" } else { "filters.png" }
    }

    fn first_layer_picture(&self, dataset: &Dataset) -> Result<Vec<u8>> {
        let pictures = self.model.first_layer(&dataset.class_names)?;
        let units = match self.options.model.model {
            ModelName::Linear => "",
            ModelName::Mlp => {
                let (shown, all) = (pictures.len(), self.options.model.hidden()[0]);
                if shown < all {
                    &format!("first {shown} of {all} hidden units of the ")
                } else {
                    "first hidden units of the "
                }
            }
            ModelName::Convnet | ModelName::Quick => "first filters of the ",
        };
        let verb = if units.is_empty() { "looks" } else { "look" };
        let title = format!("What the {units}{} {verb} for, {}", title(&self.options.model), source_name(dataset));
        contact_sheet(&pictures, &title)
    }
}
