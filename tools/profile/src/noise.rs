//! `profile noise`: how well a mini-batch's gradient points along the full one, and what either costs.
//!
//! The lecture's slide "Mini-batch Gradient Descent": the goal is to estimate the gradient, accuracy is traded for computation,
//! and there is no point in more computation that does not change the updates.

mod estimates;

use crate::args::{ModelOptions, RunOptions, UpdateOptions};
use crate::dataset::{Loaded, load, source_name};
use crate::interrupt::{Interrupt, Interrupted};
use crate::machine::Machine;
use crate::model::Model;
use crate::plots::{NoisePicture, noise_picture};
use crate::report;
use crate::results::Results;
use crate::resume::Conflict;
use crate::screen::{Screen, counted, grouped, progress_bar, rounded};
use crate::settings;
use anyhow::Result;
use clap::Args;
use estimates::{Plan, Row};
use lanegrad::data::Images;
use lanegrad::train::{Sampler, Sampling, steps};
use serde::Serialize;

/// Images of a full gradient where nothing else is asked for: networks that convolve take half a minute for so many.
const IMAGES_OF_CONVOLUTIONS: usize = 5_000;

/// The batch size that is spoken of: the lecture's.
const LECTURES: usize = 256;

/// The options of `profile noise`.
#[derive(Args, Clone, Debug)]
pub struct NoiseOptions {
    /// What the gradient is of.
    #[command(flatten)]
    pub model: ModelOptions,

    /// How the steps of --steps update the weights.
    #[command(flatten)]
    pub update: UpdateOptions,

    /// Steps of training, with batches of 256, before the gradients are taken; without them weights are the initial ones
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    pub steps: u64,

    /// Mini-batches that are drawn of each size, but fewer, 3 at least, of large ones
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub draws: u32,

    /// Train and take gradients on the first N training images
    /// [default: all of them, or 5,000 for `convnet` and `quick`]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    pub images: Option<u32>,

    /// Data, threads, seed, files.
    #[command(flatten)]
    pub run: RunOptions,
}

/// The report of `--json`.
#[derive(Serialize)]
struct Report {
    version: u32,
    command: &'static str,
    machine: report::Machine,
    data: report::Data,
    model: report::Model,
    seed: u64,
    /// Steps of training before the gradients were taken.
    steps: u64,
    /// Images of the full gradient.
    images: usize,
    /// Mean data loss of these.
    loss: f64,
    /// Norm of the full gradient.
    gradient_norm: f64,
    /// Images of a batch whose noise is as large as the gradient: see `estimates.rs`.
    noise_scale: f64,
    /// What was found for each batch size, smallest first; the last is the full gradient.
    batches: Vec<Row>,
}

/// Measures as `options` say, prints a table, and writes picture and report.
pub fn run(options: &NoiseOptions) -> Result<()> {
    let checked = options.model.check().and_then(|()| options.update.check(options.model.model));
    checked.map_err(|message| Conflict(message.into()))?;
    if options.steps == 0 && (options.update.lr.is_some() || options.update.momentum.is_some()) {
        return Err(Conflict("--lr and --momentum are for the steps of --steps, and there are none".into()).into());
    }
    let interrupt = Interrupt::listen();
    let mut results = Results::open(&options.run)?;
    let Loaded { dataset, .. } = load(&options.run, &mut results.screen)?;
    let images = wanted_images(options, &dataset.train)?;
    let machine = Machine::new(options.run.threads)?;
    let mut model =
        Model::new(&options.model, settings::optimizer(&options.model, &options.update), options.run.seed, &images)?;
    announce(options, &model, &images, &machine, &mut results.screen)?;
    train(options, &mut model, &images, &machine, &interrupt)?;
    let trainer = model.trainer();
    let loss = machine.threads.run(|| trainer.evaluate(&images))?.loss;

    let plan = Plan { images: &images, draws: options.draws as usize, seed: options.run.seed };
    let bar = progress_bar(plan.total_images() as u64, "image");
    let found = machine.threads.run(|| {
        plan.measure(&mut model, |seen| {
            bar.inc(seen as u64);
            interrupt.is_asked()
        })
    });
    bar.finish_and_clear();
    let Some(found) = found? else {
        return Err(Interrupted("interrupted before all batch sizes were measured; nothing was written".into()).into());
    };

    results.line(&format!("gradient   norm {:.4e} at a loss of {loss:.4}", found.gradient_norm))?;
    results.line("")?;
    results.line(TABLE_HEAD)?;
    results.lines(found.rows.iter().map(table_line))?;
    results.line("")?;
    results.lines(summary(found.noise_scale, &found.rows))?;

    let after = match options.steps {
        0 => "initial weights".into(),
        steps => format!("after {}", counted(steps as usize, "step")),
    };
    let picture = noise_picture(&NoisePicture {
        model: options.model.model.name(),
        data: &format!("{}, {} images, {after}", source_name(&dataset), grouped(images.len() as u64)),
        noise_scale: found.noise_scale,
        batches: &found.rows.iter().map(Row::mark).collect::<Vec<_>>(),
    })?;
    results.file("noise.svg", picture.as_bytes())?;
    results.finish(&Report {
        version: 1,
        command: "noise",
        machine: report::Machine {
            cpu: machine.cpu.clone(),
            isa: machine.level.name().into(),
            threads: machine.threads.count(),
            fma_peak_gflops: machine.peak_gflops,
        },
        data: report::Data { kind: dataset.source.kind().into(), train: dataset.train.len(), test: dataset.test.len() },
        model: report::Model {
            name: options.model.model.name().into(),
            loss: lanegrad::Loss::from(options.model.loss).name().into(),
            parameters: model.parameters(),
        },
        seed: options.run.seed,
        steps: options.steps,
        images: images.len(),
        loss,
        gradient_norm: found.gradient_norm,
        noise_scale: found.noise_scale,
        batches: found.rows,
    })
}

/// The images that gradients are taken of, as the model wants them.
fn wanted_images(options: &NoiseOptions, train: &Images) -> Result<Images> {
    let convolves = options.model.model.wants_channels_last();
    let usual = if convolves { IMAGES_OF_CONVOLUTIONS } else { usize::MAX };
    let images = train.first(options.images.map_or(usual, |images| images as usize));
    Ok(if convolves { images.channels_last(3)? } else { images })
}

fn announce(
    options: &NoiseOptions,
    model: &Model,
    images: &Images,
    machine: &Machine,
    screen: &mut Screen,
) -> Result<()> {
    let (name, loss) = (options.model.model.name(), lanegrad::Loss::from(options.model.loss).name());
    screen.line(&format!("           {} training images", grouped(images.len() as u64)))?;
    screen.line(&format!("model      {name}, {loss} loss, {} parameters", grouped(model.parameters() as u64)))?;
    if options.steps > 0 {
        let optimizer = settings::optimizer(&options.model, &options.update);
        let (steps, rate, batch) =
            (counted(options.steps as usize, "step"), optimizer.rate(), LECTURES.min(images.len()));
        screen.line(&format!("trained    {steps} of {}, step size {rate:e}, batches of {batch}", optimizer.name()))?;
    }
    screen.line(&format!(
        "machine    {}, {}, {}",
        machine.cpu,
        machine.level,
        counted(machine.threads.count(), "thread")
    ))
}

/// Takes the steps of `--steps`.
fn train(
    options: &NoiseOptions,
    model: &mut Model,
    images: &Images,
    machine: &Machine,
    interrupt: &Interrupt,
) -> Result<()> {
    let mut sampler = Sampler::new(Sampling::Epoch, images.len(), LECTURES, options.run.seed)?;
    let bar = progress_bar(options.steps, "step");
    let trainer = model.trainer();
    machine.threads.run(|| {
        for step in 0..options.steps {
            if interrupt.is_asked() {
                let message = format!("interrupted after step {step} of {}; nothing was written", options.steps);
                return Err(anyhow::Error::from(Interrupted(message)));
            }
            steps(trainer, images, &mut sampler, step..step + 1, |_, _| bar.inc(1))?;
        }
        Ok(())
    })?;
    bar.finish_and_clear();
    Ok(())
}

const TABLE_HEAD: &str = " batch  draws  cosine to the full one     relative error  ms a gradient  samples/s";

fn table_line(row: &Row) -> String {
    format!(
        "{:>6}  {:>5}       {:>7.4} ± {:<7.4}  {:>8.4} ± {:<8.4}  {:>13.3}  {:>9}",
        grouped(row.batch_size as u64),
        row.draws,
        row.cosine.mean,
        row.cosine.deviation,
        row.relative_error.mean,
        row.relative_error.deviation,
        1e3 * row.seconds,
        grouped(row.samples_per_second as u64)
    )
}

/// What the table says, in words.
fn summary(noise_scale: f64, rows: &[Row]) -> Vec<String> {
    let mut lines = vec![
        format!(
            "noise scale {} images: with so many in a batch, its noise is as large as the gradient.",
            rounded(noise_scale)
        ),
        "With fewer, twice as many halve the squared error; with many more, there is little left to gain.".into(),
    ];
    let (lectures, full) = (rows.iter().find(|row| row.batch_size == LECTURES), rows.last());
    if let (Some(lectures), Some(full)) = (lectures, full)
        && full.batch_size > LECTURES
    {
        lines.push(format!(
            "A batch of {LECTURES} points along the full gradient with a cosine of {:.2}, in 1/{:.0} of its time.",
            lectures.cosine.mean,
            full.seconds / lectures.seconds
        ));
    }
    lines
}
