//! `profile train`.

use crate::args::{BiasName, LossName, ModelName, Preprocess, SampleName, TrainOptions};
use crate::contact_sheet::contact_sheet;
use crate::machine::Machine;
use crate::model::{Model, Tensors};
use crate::output::{Directory, check_writable, write_whole};
use crate::plots::{AccuracyCurve, LossCurve, accuracy_curve, loss_curve};
use crate::report::{self, Report};
use crate::settings;
use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lanegrad::data::{Dataset, Source, cifar10, synthetic};
use lanegrad::loss::StepLoss;
use lanegrad::optim::Optimizer;
use lanegrad::schedule::Schedule;
use lanegrad::train::{Sampler, Scheduled, steps};
use safetensors::tensor::{Dtype, TensorView};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Steps between two lines of `--iterations`.
const STEPS_PER_LINE: u64 = 100;

/// Trains as `options` say, prints a line an epoch, and writes pictures, report and weights.
pub fn run(options: &TrainOptions) -> Result<()> {
    let output = Directory::create(options.out.as_deref())?;
    let json_file = options.json.as_deref().filter(|&name| name != "-").map(Path::new);
    json_file.map(check_writable).transpose()?;
    let mut screen = Screen::new(options.json.as_deref() == Some("-"));

    let mut dataset = load(options, &mut screen)?;
    if options.model.wants_channels_last() {
        dataset.train = dataset.train.channels_last(3)?;
        dataset.test = dataset.test.channels_last(3)?;
    }
    let mut machine = Machine::new(options.threads)?;
    let mut training = Training::new(options, &dataset)?;
    training.announce(&dataset, &machine, &mut screen)?;
    training.run(&dataset, &mut machine, &mut screen)?;

    let report = training.report(&dataset, &machine)?;
    let json = report.to_json()?;
    let files = [
        output.write("loss.svg", training.loss_picture(&dataset)?.as_bytes())?,
        output.write("accuracy.svg", training.accuracy_picture(&dataset)?.as_bytes())?,
        output.write(training.first_layer_file(), &training.first_layer_picture(&dataset)?)?,
        output.write("weights.safetensors", &training.safetensors()?)?,
        output.write("report.json", json.as_bytes())?,
    ];
    if let Some(path) = json_file {
        write_whole(path, json.as_bytes())?;
    }
    screen.line("")?;
    screen.line(&format!("weights SHA-256 {}", report.weights_sha256))?;
    for path in files.iter().map(PathBuf::as_path).chain(json_file) {
        screen.line(&format!("wrote {}", path.display()))?;
    }
    if options.json.as_deref() == Some("-") {
        std::io::stdout().write_all(json.as_bytes())?;
    }
    Ok(())
}

/// Where lines for people go: standard output, unless the JSON report goes there.
struct Screen {
    writer: Box<dyn Write + Send>,
}

impl Screen {
    fn new(json_on_stdout: bool) -> Self {
        Self { writer: if json_on_stdout { Box::new(std::io::stderr()) } else { Box::new(std::io::stdout()) } }
    }

    fn line(&mut self, text: &str) -> Result<()> {
        Ok(writeln!(self.writer, "{text}")?)
    }
}

/// The data set that the options name, or the first that is there.
fn load(options: &TrainOptions, screen: &mut Screen) -> Result<Dataset> {
    let usual = Path::new("data/cifar-10-batches-bin");
    let (directory, source) = match options.data.as_deref() {
        Some("synthetic") => (None, ""),
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
        return Ok(synthetic::generate(options.seed));
    };
    // The archive unpacks into a folder of its own; the one above it does as well.
    let inner = directory.join("cifar-10-batches-bin");
    if inner.is_dir() && !directory.join("data_batch_1.bin").exists() {
        directory = inner;
    }
    let dataset = cifar10::read(&directory).with_context(|| format!("CIFAR-10 cannot be read from {source}"))?;
    screen.line(&format!("data       CIFAR-10 in {}", directory.display()))?;
    Ok(dataset)
}

/// A training run: what is trained, and what was seen on the way.
struct Training<'a> {
    options: &'a TrainOptions,
    optimizer: Optimizer,
    /// Strength of the regulariser.
    strength: f64,
    model: Model,
    sampler: Sampler,
    losses: Vec<StepLoss>,
    epochs: Vec<report::Epoch>,
}

impl<'a> Training<'a> {
    fn new(options: &'a TrainOptions, dataset: &Dataset) -> Result<Self> {
        let images = &dataset.train;
        let (optimizer, strength) = (settings::optimizer(options), settings::strength(options));
        let batch_size = options.batch_size as usize;
        Ok(Self {
            options,
            optimizer,
            strength,
            model: Model::new(options, optimizer, strength, images)?,
            sampler: Sampler::new(options.sample.into(), images.len(), batch_size, options.seed)?,
            losses: Vec::new(),
            epochs: Vec::new(),
        })
    }

    /// Steps of the whole run.
    fn total_steps(&self) -> u64 {
        self.options.iterations.unwrap_or(self.options.epochs * self.sampler.steps_per_epoch())
    }

    /// Says what is about to be done.
    fn announce(&mut self, dataset: &Dataset, machine: &Machine, screen: &mut Screen) -> Result<()> {
        let options = self.options;
        let images = |count: usize| grouped(count as u64);
        screen.line(&format!(
            "           {} training and {} test images of {} bytes, {} classes",
            images(dataset.train.len()),
            images(dataset.test.len()),
            images(dataset.train.features()),
            dataset.train.classes()
        ))?;
        let loss = match options.loss {
            LossName::Softmax => "softmax cross-entropy",
            LossName::Hinge => "hinge loss (multiclass SVM, margin 1)",
        };
        let pixels = match options.preprocess {
            Preprocess::Raw => "raw pixels",
            Preprocess::Mean => "pixels minus the mean image",
            Preprocess::Standardize => "standardised pixels",
        };
        let name = match (options.model, options.bias) {
            (ModelName::Linear, Some(BiasName::Trick)) => "linear, bias trick".into(),
            (ModelName::Linear, _) => "linear, separate bias".into(),
            (ModelName::Mlp, _) => format!("mlp, hidden layers of {:?}", options.hidden()),
            (model, _) => model.name().to_owned(),
        };
        let parameters = grouped(self.model.parameters() as u64);
        screen.line(&format!("model      {name}, {loss}, {pixels}, {parameters} parameters"))?;
        let momentum =
            settings::momentum(self.optimizer).map_or(String::new(), |momentum| format!(", momentum {momentum}"));
        let schedule = if options.schedule == Schedule::CONSTANT {
            String::new()
        } else {
            format!(", schedule {}", options.schedule)
        };
        let sample = match options.sample {
            SampleName::Epoch => "",
            SampleName::Replacement => " drawn with replacement",
        };
        screen.line(&format!(
            "optimizer  {}, step size {:e}{schedule}{momentum}, regularisation {:e}, batches of {}{sample}, seed {}",
            self.optimizer.name(),
            self.optimizer.rate(),
            self.strength,
            options.batch_size,
            options.seed
        ))?;
        screen.line(&format!(
            "machine    {}, {}, {}, multiply-add peak {:.0} GFLOP/s",
            machine.cpu,
            machine.level,
            counted(machine.threads.count(), "thread"),
            machine.peak_gflops
        ))?;
        let trainer = self.model.trainer();
        let start = machine.threads.run(|| trainer.evaluate(&dataset.test))?;
        screen.line(&format!("start      test loss {:.6}, accuracy {:.2} %", start.loss, 100.0 * start.accuracy))?;
        screen.line("")
    }

    /// Trains, and prints a line an epoch.
    fn run(&mut self, dataset: &Dataset, machine: &mut Machine, screen: &mut Screen) -> Result<()> {
        let total = self.total_steps();
        let bar = progress_bar(total);
        // One epoch's room is enough for a start; a step that finds none left would allocate.
        self.losses.reserve(total.min(10_000_000) as usize);
        if self.options.iterations.is_none() {
            screen.line(TABLE_HEAD)?;
        }
        let mut first = 0;
        while first < total {
            let last = (first + self.sampler.steps_per_epoch()).min(total);
            let lines = self.options.iterations.is_some();
            let start = Instant::now();
            let (sampler, losses) = (&mut self.sampler, &mut self.losses);
            let (schedule, rate) = (self.options.schedule, self.optimizer.rate());
            let mut trainer =
                Scheduled { trainer: self.model.trainer(), schedule, rate, step: first, total_steps: total };
            machine.threads.run(|| {
                steps(&mut trainer, &dataset.train, sampler, first..last, |step, loss| {
                    losses.push(loss);
                    bar.inc(1);
                    if lines && (step.is_multiple_of(STEPS_PER_LINE) || step + 1 == total) {
                        // A closed pipe is found out by the next line that can report it.
                        let _ = bar.suspend(|| screen.line(&iteration_line(step, loss)));
                    }
                })
            })?;
            let seconds = start.elapsed().as_secs_f64();
            let epoch = self.finish_epoch(dataset, machine, first..last, seconds)?;
            let of = (last - first, self.sampler.steps_per_epoch());
            bar.suspend(|| screen.line(&if lines { summary_line(&epoch, of) } else { table_line(&epoch) }))?;
            self.epochs.push(epoch);
            first = last;
        }
        bar.finish_and_clear();
        machine.measure_peak()?;
        for epoch in &mut self.epochs {
            epoch.peak_fraction = epoch.gflops / machine.peak_gflops;
        }
        Ok(())
    }

    /// Evaluates, and sums up the epoch whose steps are `range`.
    fn finish_epoch(
        &mut self,
        dataset: &Dataset,
        machine: &Machine,
        range: std::ops::Range<u64>,
        seconds: f64,
    ) -> Result<report::Epoch> {
        let trainer = self.model.trainer();
        let test = machine.threads.run(|| trainer.evaluate(&dataset.test))?;
        if !test.loss.is_finite() {
            return Err(lanegrad::Error::Diverged { step: range.end, loss: test.loss }.into());
        }
        // A mean over images, not over batches: the last batch may be smaller.
        let (mut images, mut total) = (0.0, 0.0);
        for (step, loss) in range.clone().zip(&self.losses[range.start as usize..]) {
            let length = self.sampler.batch_length(step) as f64;
            images += length;
            total += length * loss.data;
        }
        let gflops = images * self.model.operations() as f64 / seconds * 1e-9;
        Ok(report::Epoch {
            epoch: range.start / self.sampler.steps_per_epoch() + 1,
            seconds,
            samples_per_second: images / seconds,
            gflops,
            peak_fraction: gflops / machine.peak_gflops,
            train_loss: total / images,
            test_loss: test.loss,
            test_accuracy: test.accuracy,
        })
    }

    fn report(&self, dataset: &Dataset, machine: &Machine) -> Result<Report> {
        let schedule = (self.options.schedule != Schedule::CONSTANT).then(|| self.options.schedule.to_string());
        let loss: lanegrad::Loss = self.options.loss.into();
        Ok(Report {
            version: 1,
            command: "train".into(),
            machine: report::Machine {
                cpu: machine.cpu.clone(),
                isa: machine.level.name().into(),
                threads: machine.threads.count(),
                fma_peak_gflops: machine.peak_gflops,
            },
            data: report::Data {
                kind: dataset.source.kind().into(),
                train: dataset.train.len(),
                test: dataset.test.len(),
            },
            model: report::Model {
                name: self.options.model.name().into(),
                loss: loss.name().into(),
                parameters: self.model.parameters(),
            },
            optimizer: report::Optimizer {
                name: self.optimizer.name().into(),
                lr: self.optimizer.rate(),
                reg: self.strength,
                momentum: settings::momentum(self.optimizer),
                schedule,
            },
            batch_size: self.options.batch_size,
            seed: self.options.seed,
            epochs: self.epochs.clone(),
            weights_sha256: weights_sha256(&self.model.tensors()?),
        })
    }

    /// All parameters and how pixels are normalised, (pixel - `input.mean`) * `input.scale`, in the safetensors format.
    fn safetensors(&self) -> Result<Vec<u8>> {
        let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
        for (name, value) in self.model.tensors()? {
            tensors.push((name, value.shape().extents().to_vec(), little_endian(value.values())));
        }
        let (mean, scale) = self.model.normalisation();
        for (name, values) in [("input.mean", mean), ("input.scale", scale)] {
            tensors.push((name.into(), vec![values.len()], little_endian(values)));
        }
        let views = tensors
            .iter()
            .map(|(name, shape, bytes)| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>>>()?;
        Ok(safetensors::serialize(views, None)?)
    }

    /// What was trained, in a picture's title.
    fn title(&self) -> &'static str {
        match (self.options.model, self.options.loss) {
            (ModelName::Linear, LossName::Softmax) => "softmax classifier",
            (ModelName::Linear, LossName::Hinge) => "multiclass SVM",
            (ModelName::Mlp, _) => "multi-layer perceptron",
            (ModelName::Convnet, _) => "convolutional network",
            (ModelName::Quick, _) => "cifar10_quick",
        }
    }

    fn loss_picture(&self, dataset: &Dataset) -> Result<String> {
        let losses: Vec<f32> = self.losses.iter().map(|loss| loss.full() as f32).collect();
        let (loss, unit) = match self.options.loss {
            LossName::Softmax => ("cross-entropy + regularisation", "nats"),
            LossName::Hinge => ("hinge + regularisation", ""),
        };
        loss_curve(&LossCurve {
            model: self.title(),
            loss,
            unit,
            data: &format!("{}, {} images", source_name(dataset), grouped(dataset.train.len() as u64)),
            batch_size: self.options.batch_size as usize,
            steps_per_epoch: self.sampler.steps_per_epoch() as usize,
            losses: &losses,
        })
    }

    fn accuracy_picture(&self, dataset: &Dataset) -> Result<String> {
        let accuracies: Vec<f64> = self.epochs.iter().map(|epoch| epoch.test_accuracy).collect();
        accuracy_curve(&AccuracyCurve {
            model: self.title(),
            data: &format!("{}, {} test images", source_name(dataset), grouped(dataset.test.len() as u64)),
            classes: dataset.test.classes(),
            accuracies: &accuracies,
        })
    }

    /// The file of what the first layer looks for.
    fn first_layer_file(&self) -> &'static str {
        if self.options.model == ModelName::Linear { "templates.png" } else { "filters.png" }
    }

    fn first_layer_picture(&self, dataset: &Dataset) -> Result<Vec<u8>> {
        let units = match self.options.model {
            ModelName::Linear => "",
            ModelName::Mlp => "first hidden units of the ",
            ModelName::Convnet | ModelName::Quick => "first filters of the ",
        };
        let verb = if units.is_empty() { "looks" } else { "look" };
        let title = format!("What the {units}{} {verb} for, {}", self.title(), source_name(dataset));
        contact_sheet(&self.model.first_layer(&dataset.class_names)?, &title)
    }
}

/// The SHA-256 of all parameters, one after the other, as little-endian `f32`.
fn weights_sha256(tensors: &Tensors) -> String {
    let mut hash = Sha256::new();
    for (_, tensor) in tensors {
        hash.update(little_endian(tensor.values()));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn source_name(dataset: &Dataset) -> &'static str {
    match dataset.source {
        Source::Cifar10 { .. } => "CIFAR-10",
        Source::Synthetic { .. } => "synthetic data",
    }
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A bar on standard error, if that is a terminal.
fn progress_bar(total: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:40} step {human_pos} of {human_len}, {eta} left");
    style.map_or(bar.clone(), |style| bar.with_style(style))
}

const TABLE_HEAD: &str = "epoch  train loss  test loss  test acc.  seconds  samples/s  GFLOP/s  of peak";

fn table_line(epoch: &report::Epoch) -> String {
    format!(
        "{:5}  {:10.4}  {:9.4}  {:7.2} %  {:7.4}  {:>9}  {:7.1}  {:5.1} %",
        epoch.epoch,
        epoch.train_loss,
        epoch.test_loss,
        100.0 * epoch.test_accuracy,
        epoch.seconds,
        grouped(epoch.samples_per_second as u64),
        epoch.gflops,
        100.0 * epoch.peak_fraction
    )
}

/// The line of an epoch of which `steps` of `all` were taken.
fn summary_line(epoch: &report::Epoch, (steps, all): (u64, u64)) -> String {
    let part = if steps < all { format!(" ({steps} of {all} steps)") } else { String::new() };
    format!(
        "epoch {}{part}: train loss {:.4}, test loss {:.4}, test accuracy {:.2} %, {:.4} s, {} samples/s, {:.1} GFLOP/s, {:.1} % of peak",
        epoch.epoch,
        epoch.train_loss,
        epoch.test_loss,
        100.0 * epoch.test_accuracy,
        epoch.seconds,
        grouped(epoch.samples_per_second as u64),
        epoch.gflops,
        100.0 * epoch.peak_fraction
    )
}

fn iteration_line(step: u64, loss: StepLoss) -> String {
    format!(
        "iteration {step}: loss {:.6} = data {:.6} + regularisation {:.6}",
        loss.full(),
        loss.data,
        loss.regularisation
    )
}

/// `number` with a comma between groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|g| std::str::from_utf8(g).unwrap_or("")).collect();
    groups.join(",")
}

/// `1 thread`, `2 threads`.
fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
