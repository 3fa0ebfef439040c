//! The loss along random directions.
//!
//! After the CS231n notes on optimization: L(W + a W1) and L(W + a W1 + b W2), where W are the weights after a short training.

use super::{Head, SweepOptions};
use crate::model::{Model, Snapshot, Tensors};
use crate::plots::contour::Grid;
use crate::plots::lines::{Curve, Lines, Measure};
use crate::plots::map::Map;
use crate::results::Results;
use crate::screen::{grouped, progress_bar};
use crate::trials::Trials;
use anyhow::{Result, bail};
use lanegrad::data::Images;
use lanegrad::tensor::Tensor;
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::Serialize;
use std::fmt::Write;

/// How far the pictures reach along each direction, which is as long as the weights are.
const REACH: f64 = 2.0;

/// Points of a curve.
const POINTS: usize = 81;

/// Points along each side of the map.
const SIDE: usize = 33;

/// The JSON report.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    head: Head,
    /// Steps that were trained before.
    steps: u64,
    /// Images that the loss is of: those of the first mini-batch.
    images: usize,
    /// The loss, without the regulariser, at the weights themselves.
    loss: f64,
    /// The lowest loss on the map.
    lowest: f64,
}

/// Trains a little, and looks around.
pub fn run(options: &SweepOptions, trials: &Trials, mut results: Results) -> Result<()> {
    let steps = options.steps.unwrap_or(trials.sampler()?.steps_per_epoch());
    let bar = trials.bar(steps);
    let mut model = trials.model(options.optimizer(options.usual_rate()))?;
    let losses = trials.train(&mut model, steps, &bar, |_| None)?;
    bar.finish_and_clear();
    if (losses.len() as u64) < steps {
        let step = grouped(losses.len() as u64);
        bail!("the training before the slice diverged: its loss is not finite at step {step}");
    }
    let start = model.snapshot()?;
    let directions = [0, 1].map(|number| direction(&start.parameters, options.run.seed, number));
    let [first, second] = directions;
    let (first, second) = (first?, second?);
    let images = first_images(trials)?;
    let mut view = View { trials, model: &mut model, start: &start, images: &images };

    let bar = progress_bar((2 * POINTS + SIDE * SIDE) as u64, "point");
    let mut look = |a: f64, b: f64| -> Result<f64> {
        trials.check_interrupt()?;
        bar.inc(1);
        view.loss(&[(&first, a), (&second, b)])
    };
    let loss = look(0.0, 0.0)?;
    if !loss.is_finite() {
        bail!("the training before the slice diverged: its loss is not finite after {} steps", grouped(steps));
    }
    let places: Vec<f64> = (0..POINTS).map(|i| REACH * (2.0 * i as f64 / (POINTS - 1) as f64 - 1.0)).collect();
    let along: Vec<f64> = places.iter().map(|&a| look(a, 0.0)).collect::<Result<_>>()?;
    let across: Vec<f64> = places.iter().map(|&b| look(0.0, b)).collect::<Result<_>>()?;
    let mut failed = None;
    let square = (-REACH..REACH, -REACH..REACH);
    let grid = Grid::sample(square, [SIDE, SIDE], |a, b| {
        look(a, b).unwrap_or_else(|error| {
            failed.get_or_insert(error);
            f64::NAN
        })
    });
    bar.finish_and_clear();
    if let Some(error) = failed {
        return Err(error);
    }
    let lowest = grid.heights().iter().copied().fold(loss, f64::min);
    results.line(&format!("loss of {} images after {} steps: {loss:.4}", images.len(), grouped(steps)))?;
    results.line(&format!("lowest on the map of {SIDE} x {SIDE} points around: {lowest:.4}"))?;

    let mut csv = String::from("a,along W1,along W2\n");
    for ((place, along), across) in places.iter().zip(&along).zip(&across) {
        let _ = writeln!(csv, "{place},{along},{across}");
    }
    let curves = [("along W1", &along), ("along W2", &across)].map(|(name, losses)| Curve {
        name: name.into(),
        detail: String::new(),
        points: places.iter().copied().zip(losses.iter().copied()).collect(),
    });
    results.file("slice.svg", curve_picture(trials, &curves, steps).still()?.as_bytes())?;
    results.file("slice-map.svg", map_picture(trials, &grid, steps)?.as_bytes())?;
    results.file("slice.csv", csv.as_bytes())?;
    results.finish(&Report { head: Head::new("slice", options, trials), steps, images: images.len(), loss, lowest })
}

/// The images of the first mini-batch, as a set of their own.
fn first_images(trials: &Trials) -> Result<Images> {
    let (all, batch) = (&trials.dataset.train, trials.first_batch()?);
    let mut images = Images::new(all.features(), all.classes(), batch.len());
    for image in batch {
        images.push(all.image(image as usize), all.labels()[image as usize])?;
    }
    Ok(images)
}

/// A random direction: for each parameter normal numbers, together as long as the parameter's own.
fn direction(parameters: &Tensors, seed: u64, number: u64) -> Result<Tensors> {
    let mut generator = Xoshiro256PlusPlus::seed_from_u64(seed.wrapping_mul(2).wrapping_add(number));
    let norm = |values: &[f32]| values.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
    let random = |(name, tensor): &(String, Tensor)| {
        let values: Vec<f32> = tensor.values().iter().map(|_| StandardNormal.sample(&mut generator)).collect();
        let scale = (norm(tensor.values()) / norm(&values).max(f64::MIN_POSITIVE)) as f32;
        let values: Vec<f32> = values.iter().map(|x| scale * x).collect();
        Ok((name.clone(), Tensor::from_slice(tensor.shape(), &values)?))
    };
    parameters.iter().map(random).collect()
}

/// A model whose weights are moved about.
struct View<'a> {
    trials: &'a Trials,
    model: &'a mut Model,
    start: &'a Snapshot,
    images: &'a Images,
}

impl View<'_> {
    /// The loss at the weights plus multiples of directions.
    fn loss(&mut self, moves: &[(&Tensors, f64)]) -> Result<f64> {
        let mut snapshot = self.start.clone();
        for (place, (_, tensor)) in snapshot.parameters.iter_mut().enumerate() {
            let mut values = tensor.values().to_vec();
            for (direction, part) in moves {
                let steps = direction[place].1.values();
                values.iter_mut().zip(steps).for_each(|(value, step)| *value += *part as f32 * step);
            }
            *tensor = Tensor::from_slice(tensor.shape(), &values)?;
        }
        self.model.restore(&snapshot)?;
        let (trainer, images) = (self.model.trainer(), self.images);
        Ok(self.trials.machine.threads.run(|| trainer.evaluate(images))?.loss)
    }
}

fn curve_picture<'a>(trials: &Trials, curves: &'a [Curve], steps: u64) -> Lines<'a> {
    Lines {
        title: "The loss along random directions".into(),
        subtitle: format!("{}  ·  after {} steps", trials.subtitle(), grouped(steps)),
        x_caption: "a: W + a W1, where W1 is as long as W".into(),
        y_caption: trials.data_loss_caption().into(),
        x: Measure::Linear,
        y: Measure::Linear,
        top: None,
        curves,
        marks: &[],
        note: "on one mini-batch".into(),
    }
}

fn map_picture(trials: &Trials, grid: &Grid, steps: u64) -> Result<String> {
    Map {
        title: "The loss on a plane through the weights".into(),
        subtitle: format!("{}  ·  after {} steps", trials.subtitle(), grouped(steps)),
        x_caption: "a: W + a W1 + b W2".into(),
        y_caption: "b, where W1 and W2 are as long as W".into(),
        grid,
        value: trials.data_loss_caption(),
        centre: Some((0.0, 0.0, "W")),
    }
    .draw()
}
