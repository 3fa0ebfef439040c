//! `profile train`.

pub mod files;
mod lines;

use crate::args::{CheckpointEvery, TrainOptions};
use crate::checkpoint::{self, Checkpoint, Record, Store};
use crate::dataset::{Loaded, load};
use crate::interrupt::{Interrupt, Interrupted};
use crate::json;
use crate::machine::Machine;
use crate::model::Model;
use crate::report::{self, Replanned, Report};
use crate::results::Results;
use crate::resume::{self, Conflict, Settings};
use crate::screen::{Screen, progress_bar};
use crate::settings;
use crate::step_times::{self, KernelTimes, Measured};
use crate::updates;
use crate::weights;
use anyhow::{Context, Result};
use indicatif::ProgressBar;
use lanegrad::data::Dataset;
use lanegrad::loss::StepLoss;
use lanegrad::optim::Optimizer;
use lanegrad::schedule::{Schedule, Shape};
use lanegrad::tape::Observer;
use lanegrad::train::{Sampler, Scheduled, steps};
use lines::{TABLE_HEAD, iteration_line, summary_line, table_line};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Steps between two lines of `--iterations`.
const STEPS_PER_LINE: u64 = 100;

/// Trains as `options` say, prints a line an epoch, and writes pictures, report, weights and checkpoints.
pub fn run(options: &TrainOptions) -> Result<()> {
    let interrupt = Interrupt::listen();
    let checkpoint = options.resume.as_deref().map(checkpoint::load).transpose()?;
    let options = &match &checkpoint {
        Some(checkpoint) => resumed_options(options, checkpoint)?,
        None => options.clone(),
    };
    let own_folder = options.resume.as_deref().map(folder_of);
    let mut results = Results::open(&options.run)?;
    let store = Store::open(results.output.path())?;
    // However it was spelled: both are there by now.
    let place = |folder: &Path| std::fs::canonicalize(folder).ok();
    if own_folder.as_deref().and_then(place) != place(results.output.path()) {
        files::check_free(&results.output, options)?;
    }

    let Loaded { mut dataset, name } = load(&options.run, &mut results.screen)?;
    let data = Data { name, sha256: checkpoint::data_sha256(&dataset) };
    if options.model.model.wants_channels_last() {
        dataset.train = dataset.train.channels_last(3)?;
        dataset.test = dataset.test.channels_last(3)?;
    }
    let mut training = Training::new(options, data, &dataset)?;
    if let Some(checkpoint) = checkpoint {
        training.restore(checkpoint)?;
    }
    let mut machine = Machine::new(options.run.threads)?;
    training.announce(&dataset, &machine, &mut results.screen)?;
    if options.overwrite {
        files::clear(&results.output)?;
    }
    let trained = training.run(&dataset, &mut machine, &mut results.screen, (&store, &interrupt));
    if let Err(error) = trained {
        let diverged = matches!(error.downcast_ref(), Some(lanegrad::Error::Diverged { .. }));
        if diverged && !training.losses.is_empty() {
            // What there is to see of it.
            let curve = training.write_diverged(&dataset, &results.output)?;
            return Err(error.context(format!("training stopped, its losses are in {}", curve.display())));
        }
        return Err(error);
    }

    let report = training.report(&dataset, &machine)?;
    let json = json::text(&report)?;
    results.add(training.write(&dataset, &machine, &results.output)?);
    results.file("report.json", json.as_bytes())?;
    results.line("")?;
    if let Some(time) = &report.time {
        results.lines(step_times::lines(time))?;
        results.line("")?;
    }
    if let Some(epoch) = training.epochs.last() {
        results.line(&format!("update / weight of the last step: {}", updates::line(&epoch.update_to_weight)))?;
    }
    results.line(&format!("weights SHA-256 {}", report.weights_sha256))?;
    results.deliver(&json)?;
    let folder = quoted(results.output.path());
    results.line(&format!("all of it on one page: profile report {folder}"))
}

/// A path as a shell wants it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    shlex::try_quote(&text).map_or_else(|_| text.clone(), Into::into)
}

/// The options of a run that goes on from `checkpoint`: data and folder are the checkpoint's unless told otherwise.
fn resumed_options(told: &TrainOptions, checkpoint: &Checkpoint) -> Result<TrainOptions> {
    let mut options = resume::resumed(told, &checkpoint.record.settings)?;
    options.run.data.get_or_insert_with(|| checkpoint.record.data.clone());
    options.run.out = options.run.out.or_else(|| told.resume.as_deref().map(folder_of));
    Ok(options)
}

/// The folder that a checkpoint lies in, which was told by its own name or by the folder's.
fn folder_of(checkpoint: &Path) -> PathBuf {
    match checkpoint::file(checkpoint).parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// What the data are known by.
struct Data {
    name: String,
    sha256: String,
}

/// A training run: what is trained, and what was seen on the way.
struct Training<'a> {
    options: &'a TrainOptions,
    optimizer: Optimizer,
    /// Strength of the regulariser.
    strength: f64,
    model: Model,
    sampler: Sampler,
    data: Data,
    /// Steps taken.
    step: u64,
    /// The step that a checkpoint was resumed at.
    resumed_at: Option<u64>,
    /// The level that the steps before were computed at.
    resumed_isa: Option<String>,
    /// Seconds that the steps of the last epoch took that was begun.
    seconds: f64,
    losses: Vec<StepLoss>,
    epochs: Vec<report::Epoch>,
    /// Where a schedule that depends on the length of the run was planned anew.
    replanned: Vec<Replanned>,
    /// How far the last step of an epoch moved each parameter; see [`updates`].
    update_to_weight: BTreeMap<String, f64>,
    /// The times of operations, if they are asked for, and of the steps of this process.
    kernels: Option<KernelTimes>,
    measured: Duration,
}

impl<'a> Training<'a> {
    fn new(options: &'a TrainOptions, data: Data, dataset: &Dataset) -> Result<Self> {
        let images = &dataset.train;
        let (optimizer, strength) =
            (settings::optimizer(&options.model, &options.update), settings::strength(&options.model));
        let batch_size = options.batch_size as usize;
        let mut model = Model::new(&options.model, optimizer, options.run.seed, images)?;
        model.set_clip_norm(options.clip_norm);
        if options.time {
            model.measure_times();
        }
        Ok(Self {
            options,
            optimizer,
            strength,
            model,
            sampler: Sampler::new(options.sample.into(), images.len(), batch_size, options.run.seed)?,
            data,
            step: 0,
            resumed_at: None,
            resumed_isa: None,
            seconds: 0.0,
            losses: Vec::new(),
            epochs: Vec::new(),
            replanned: Vec::new(),
            update_to_weight: BTreeMap::new(),
            kernels: options.time.then(KernelTimes::default),
            measured: Duration::ZERO,
        })
    }

    /// Goes on from `checkpoint`.
    fn restore(&mut self, checkpoint: Checkpoint) -> Result<()> {
        let Checkpoint { record, snapshot, losses } = checkpoint;
        if record.data_sha256 != self.data.sha256 {
            let (now, then) = (&self.data.name, &record.data);
            return Err(Conflict(format!(
                "the data in {now} are not those that the checkpoint was trained on ({then})"
            ))
            .into());
        }
        if record.step > self.total_steps() {
            let (step, total) = (record.step, self.total_steps());
            return Err(
                Conflict(format!("the checkpoint is of step {step}, and the run ends with step {total}")).into()
            );
        }
        self.model.restore(&snapshot).context("the checkpoint does not fit the model")?;
        self.replanned = record.replanned;
        let (step, before, now) = (record.step, self.planned_steps(&record.settings), self.total_steps());
        let depends_on_length = matches!(self.options.schedule.shape, Shape::Cosine | Shape::OneCycle);
        if let Some(before) = before.filter(|&before| depends_on_length && before != now) {
            self.replanned.push(Replanned { step, before, now });
        }
        (self.step, self.resumed_at, self.seconds) = (record.step, Some(record.step), record.seconds);
        self.resumed_isa = Some(record.isa);
        (self.losses, self.epochs) = (losses, record.epochs);
        if self.step < self.total_steps() {
            // A last epoch that was not whole is now.
            self.epochs.truncate((self.step / self.sampler.steps_per_epoch()) as usize);
        }
        Ok(())
    }

    /// Saves what a later run needs to go on from here.
    ///
    /// # Errors
    /// If the weights are not finite: no good checkpoint is replaced by a bad one.
    fn save(&self, machine: &Machine, store: &Store) -> Result<Result<()>> {
        let snapshot = self.model.snapshot()?;
        let is_finite = snapshot.parameters.iter().all(|(_, tensor)| tensor.values().iter().all(|x| x.is_finite()));
        if !is_finite {
            return Err(lanegrad::Error::Diverged { step: self.step, loss: f64::NAN }.into());
        }
        let record = Record {
            version: checkpoint::VERSION,
            settings: resume::settings_of(self.options),
            data: self.data.name.clone(),
            data_sha256: self.data.sha256.clone(),
            isa: machine.level.name().into(),
            step: self.step,
            seconds: self.seconds,
            optimizer_steps: snapshot.optimizer_steps,
            tape_step: snapshot.tape_step,
            epochs: self.epochs.clone(),
            replanned: self.replanned.clone(),
        };
        Ok(store.save(&checkpoint::encode(&record, &snapshot, &self.losses)?))
    }

    /// Images in a mini-batch: no more than there are, unless they are drawn with replacement.
    fn batch_size(&self) -> usize {
        self.sampler.batch_length(0)
    }

    /// Steps of the whole run that has these settings.
    fn planned_steps(&self, settings: &Settings) -> Option<u64> {
        let number = |name: &str| settings.get(name).and_then(|text| text.parse::<u64>().ok());
        number("iterations").or_else(|| number("epochs")?.checked_mul(self.sampler.steps_per_epoch()))
    }

    /// Steps of the whole run.
    fn total_steps(&self) -> u64 {
        self.options.iterations.unwrap_or(self.options.epochs * self.sampler.steps_per_epoch())
    }

    /// Trains, prints a line an epoch, and saves checkpoints.
    fn run(
        &mut self,
        dataset: &Dataset,
        machine: &mut Machine,
        screen: &mut Screen,
        (store, interrupt): (&Store, &Interrupt),
    ) -> Result<()> {
        let total = self.total_steps();
        let bar = progress_bar(total, "step");
        bar.set_position(self.step);
        // One epoch's room is enough for a start; a step that finds none left would allocate.
        self.losses.reserve((total - self.step).min(10_000_000) as usize);
        let lines = self.options.iterations.is_some();
        if !lines {
            screen.line(TABLE_HEAD)?;
        }
        while self.step < total {
            let end = self.epoch_end();
            self.train_until(self.next_checkpoint().min(end), dataset, machine, (&bar, screen, interrupt))?;
            if self.step == end {
                let first = self.epoch_start(end - 1);
                let epoch = self.finish_epoch(dataset, machine, first..end)?;
                let of = (end - first, self.sampler.steps_per_epoch());
                bar.suspend(|| screen.line(&if lines { summary_line(&epoch, of) } else { table_line(&epoch) }))?;
                self.epochs.push(epoch);
            }
            let is_stopped = interrupt.is_asked() && self.step < total;
            if is_stopped || self.wants_checkpoint() {
                match self.save(machine, store)? {
                    Err(error) if is_stopped => return Err(error),
                    // Hours of work are not thrown away for it: there may be room for the next one.
                    Err(error) => bar.suspend(|| eprintln!("warning: {error:#}; training goes on")),
                    Ok(()) => {}
                }
            }
            if is_stopped {
                bar.finish_and_clear();
                return Err(Interrupted(format!(
                    "interrupted after step {} of {}; to go on: profile train --resume {}",
                    self.step,
                    total,
                    store.path().display()
                ))
                .into());
            }
        }
        bar.finish_and_clear();
        machine.measure_peak()?;
        for epoch in &mut self.epochs {
            epoch.peak_fraction = epoch.gflops / machine.peak_gflops;
        }
        Ok(())
    }

    /// The first step of the epoch that `step` is in.
    fn epoch_start(&self, step: u64) -> u64 {
        step - step % self.sampler.steps_per_epoch()
    }

    /// The step that the present epoch, or the run, ends before.
    fn epoch_end(&self) -> u64 {
        (self.epoch_start(self.step) + self.sampler.steps_per_epoch()).min(self.total_steps())
    }

    /// The step before which a checkpoint is due, if not at the end of the epoch.
    fn next_checkpoint(&self) -> u64 {
        match self.options.checkpoint_every {
            CheckpointEvery::Steps(every) => (self.step - self.step % every).saturating_add(every),
            CheckpointEvery::Epoch | CheckpointEvery::Never => u64::MAX,
        }
    }

    /// Whether one is due now.
    fn wants_checkpoint(&self) -> bool {
        match self.options.checkpoint_every {
            CheckpointEvery::Steps(every) => self.step.is_multiple_of(every) || self.step == self.total_steps(),
            // Of an epoch that was cut short no checkpoint is due: Ctrl-C has its own.
            CheckpointEvery::Epoch => {
                self.step.is_multiple_of(self.sampler.steps_per_epoch()) || self.step == self.total_steps()
            }
            CheckpointEvery::Never => false,
        }
    }

    /// Takes the steps up to `last`, or to that in which the run is asked to stop.
    fn train_until(
        &mut self,
        last: u64,
        dataset: &Dataset,
        machine: &Machine,
        (bar, screen, interrupt): (&ProgressBar, &mut Screen, &Interrupt),
    ) -> Result<()> {
        let (total, lines) = (self.total_steps(), self.options.iterations.is_some());
        let end = self.epoch_end();
        if self.step == self.epoch_start(self.step) {
            self.seconds = 0.0;
        }
        // The last step of an epoch is apart: how far it moves the weights is measured.
        for stop in [last.min(end - 1), last] {
            let before = (self.step + 1 == end).then(|| self.model.tensors()).transpose()?;
            let observer = self.kernels.clone().map(|kernels| Box::new(kernels) as Box<dyn Observer<f32>>);
            self.model.set_observer(observer);
            let start = Instant::now();
            let (sampler, losses, reached) = (&mut self.sampler, &mut self.losses, &mut self.step);
            let (schedule, rate) = (self.options.schedule, self.optimizer.rate());
            let mut trainer =
                Scheduled { trainer: self.model.trainer(), schedule, rate, step: *reached, total_steps: total };
            let result = machine.threads.run(|| {
                while *reached < stop && !interrupt.is_asked() {
                    steps(&mut trainer, &dataset.train, sampler, *reached..*reached + 1, |step, loss| {
                        losses.push(loss);
                        bar.inc(1);
                        if lines && (step.is_multiple_of(STEPS_PER_LINE) || step + 1 == total) {
                            // A closed pipe is found out by the next line that can report it.
                            let _ = bar.suspend(|| screen.line(&iteration_line(step, loss)));
                        }
                    })?;
                    *reached += 1;
                }
                Ok::<(), lanegrad::Error>(())
            });
            self.seconds += start.elapsed().as_secs_f64();
            self.measured += start.elapsed();
            self.model.set_observer(None);
            result?;
            if let Some(before) = before.filter(|_| self.step == end) {
                self.update_to_weight = updates::ratios(&before, &self.model.tensors()?);
            }
        }
        Ok(())
    }

    /// Evaluates, and sums up the epoch whose steps are `range`.
    fn finish_epoch(
        &mut self,
        dataset: &Dataset,
        machine: &Machine,
        range: std::ops::Range<u64>,
    ) -> Result<report::Epoch> {
        let seconds = self.seconds;
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
            update_to_weight: std::mem::take(&mut self.update_to_weight),
        })
    }

    fn report(&self, dataset: &Dataset, machine: &Machine) -> Result<Report> {
        let schedule = (self.options.schedule != Schedule::CONSTANT).then(|| self.options.schedule.to_string());
        let loss: lanegrad::Loss = self.options.model.loss.into();
        Ok(Report {
            version: 1,
            command: "train".into(),
            machine: machine.into(),
            data: report::Data {
                kind: dataset.source.kind().into(),
                train: dataset.train.len(),
                test: dataset.test.len(),
            },
            model: report::Model {
                name: self.options.model.model.name().into(),
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
            batch_size: self.batch_size() as u32,
            seed: self.options.run.seed,
            epochs: self.epochs.clone(),
            time: self.time(machine),
            reproduce: Some(resume::command_line(self.options, &self.data.name)?),
            replanned: self.replanned.clone(),
            weights_sha256: weights::sha256(&self.model.tensors()?),
        })
    }

    /// Where the time of this process's steps went, if that was measured.
    fn time(&self, machine: &Machine) -> Option<report::Time> {
        let (kernels, times) = (self.kernels.as_ref()?, self.model.times()?);
        let steps = self.resumed_at.unwrap_or(0)..self.step;
        let measured = Measured {
            images: steps.clone().map(|step| self.sampler.batch_length(step) as f64).sum(),
            steps: steps.end - steps.start,
            seconds: self.measured.as_secs_f64(),
            peak_gflops: machine.peak_gflops,
        };
        Some(match &self.model {
            Model::Linear(trainer) => {
                let classifier = trainer.classifier();
                step_times::of_linear(times, (classifier.classes(), classifier.features()), measured)
            }
            Model::Network { .. } => kernels.of_network(times, self.model.parameters(), measured),
        })
    }
}
