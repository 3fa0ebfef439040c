//! What training minimises, as a function of the parameters: any of the models in f64 on a tape, with a few images.

use crate::args::{BiasName, Init, ModelName, ModelOptions};
use crate::model::{image_shape, layers, normalisation};
use crate::settings;
use anyhow::Result;
use lanegrad::Loss;
use lanegrad::data::Images;
use lanegrad::init::{Initializer, Scheme};
use lanegrad::kernels::classifier::{self, Samples};
use lanegrad::nn::{Layer, Sequential};
use lanegrad::tape::{ParameterInfo, Tape, Var};
use lanegrad::tensor::Tensor;
use lanegrad::train::{Sampler, Sampling};
use std::ops::Range;

/// The lecture's full loss L = mean of the losses + lambda R(W) of a model on a few images.
#[derive(Debug)]
pub struct Objective {
    scores: Scores,
    /// N images, normalised.
    pixels: Tensor<f64>,
    /// Their classes.
    pub labels: Vec<u32>,
    /// The loss of each image.
    pub loss: Loss,
    /// lambda.
    pub strength: f64,
    /// The names of the parameters whose squares R(W) sums up.
    regularised: Vec<String>,
}

/// How scores come about.
#[derive(Debug)]
enum Scores {
    /// s = W x + b, on `linear.weight` (C, D) and `linear.bias`; together with the loss as one operation, as in training, or
    /// step by step.
    Linear { fused: bool },
    /// Layers.
    Network(Sequential<f64>),
}

/// R(W) of a parameter, the sum of its squares.
pub type Squares = for<'t> fn(Var<'t, f64>) -> Var<'t, f64>;

/// R(W) as it should be, with the gradient 2 W.
pub fn squares(weights: Var<'_, f64>) -> Var<'_, f64> {
    weights.square().sum_all()
}

impl Objective {
    /// Puts the parameters of the model that the options ask for on `tape`, and draws `count` of `images`, which are
    /// channels-last where the model convolves.
    ///
    /// A linear classifier starts from small random weights where the options name none: at zero, all scores are equal.
    pub fn new(
        options: &ModelOptions,
        (images, count): (&Images, usize),
        (seed, fused): (u64, bool),
        tape: &mut Tape<f64>,
    ) -> Result<Self> {
        let index = Sampler::new(Sampling::Epoch, images.len(), count.min(images.len()), seed)?.batch(0).to_vec();
        let normalisation = normalisation(options.preprocess, images);
        let samples = Samples::new(images.pixels(), images.stride(), images.features(), images.labels(), &index)?;
        let normalisation = classifier::Normalisation::new(&normalisation.mean, &normalisation.scale)?;
        let mut pixels = Tensor::zeros(image_shape(options.model, images.features()).with_leading(index.len()))?;
        classifier::gather(samples, normalisation, pixels.values_mut())?;
        let labels = index.iter().map(|&image| images.labels()[image as usize]).collect();
        Self::on(options, (pixels, labels, images.classes()), (seed, fused), tape)
    }

    /// The same on N images that are normalised already, and the classes that they are of, each below `classes`.
    pub fn on(
        options: &ModelOptions,
        (pixels, labels, classes): (Tensor<f64>, Vec<u32>, usize),
        (seed, fused): (u64, bool),
        tape: &mut Tape<f64>,
    ) -> Result<Self> {
        let features = pixels.shape().extents()[1..].iter().product();
        let scores = match options.model {
            ModelName::Linear => linear(options, seed, tape, (features, classes)).map(|()| Scores::Linear { fused })?,
            _ => Scores::Network(layers(options, seed, tape, (features, classes))?),
        };
        let bias_counts = options.bias == Some(BiasName::Trick);
        let mut regularised = Vec::new();
        tape.for_each_parameter(|ParameterInfo { name, shape, trained, .. }| {
            if trained && (shape.rank() > 1 || bias_counts) {
                regularised.push(name.to_owned());
            }
        });
        let strength = settings::strength(options);
        Ok(Self { scores, pixels, labels, loss: options.loss.into(), strength, regularised })
    }

    /// Records the full loss, `L`, on the tape that the parameters are on, with the names that the lecture gives its parts.
    pub fn record<'t>(&self, tape: &'t Tape<f64>, squares: Squares) -> Var<'t, f64> {
        let data = self.data_loss(tape).named("data loss");
        if self.strength == 0.0 {
            return data;
        }
        let parts = self.regularised.iter().map(|name| match tape.find(name) {
            Ok(weights) => squares(weights),
            Err(error) => tape.fail(error),
        });
        match parts.reduce(|sum, part| sum + part) {
            Some(sum) => (data + (sum.named("R(W)") * self.strength).named("* lambda")).named("L"),
            None => data,
        }
    }

    fn data_loss<'t>(&self, tape: &'t Tape<f64>) -> Var<'t, f64> {
        let (x, labels) = (tape.constant(&self.pixels).named("x"), tape.indices(&self.labels).named("y"));
        let find = |name| tape.find(name).unwrap_or_else(|error| tape.fail(error));
        let scores = match &self.scores {
            Scores::Linear { fused: true } => {
                return x.classify(find("linear.weight"), find("linear.bias"), labels, self.loss);
            }
            Scores::Linear { fused: false } => x.linear(find("linear.weight").transpose(), find("linear.bias")),
            Scores::Network(layers) => layers.forward(x),
        };
        match self.loss {
            Loss::Softmax => scores.named("s").softmax_cross_entropy(labels),
            Loss::Hinge => scores.named("s").hinge(labels),
        }
    }
}

/// Puts W (C, D) and b (C) of a linear classifier on the tape.
fn linear(options: &ModelOptions, seed: u64, tape: &mut Tape<f64>, (features, classes): (usize, usize)) -> Result<()> {
    let scheme = match options.init {
        Some(Init::Zero) => Scheme::Zero,
        Some(Init::Normal(deviation)) => Scheme::Normal(deviation),
        _ => Scheme::Normal(1e-2),
    };
    let weights = Initializer::new(scheme, seed).draw([classes, features], features, classes)?;
    tape.parameter("linear.weight", &weights)?;
    tape.parameter("linear.bias", &Tensor::zeros([classes])?)?;
    Ok(())
}

/// The weights of each layer: where they are on the tape, and how many inputs each output has.
pub fn weights(tape: &Tape<f64>) -> Vec<(Range<usize>, usize)> {
    let mut weights = Vec::new();
    tape.for_each_parameter(|info| {
        if let Some((_, inputs)) = info.shape.extents().split_last().filter(|(_, inputs)| !inputs.is_empty()) {
            weights.push((info.range, inputs.iter().product()));
        }
    });
    weights
}

/// Draws all weights of a network anew as He et al. scale them, with a variance of 2 / fan-in, so that activations are of the
/// order of 1.
///
/// Small first weights, such as Caffe's of `quick`, make activations of a thousandth and less: within any step that the
/// rounding of f64 allows, the bias of a layer takes many of them over the kink of the rectifier. What is checked is the
/// gradient, at whatever point.
pub fn draw_as_he(tape: &mut Tape<f64>, seed: u64) -> Result<()> {
    let mut initializer = Initializer::new(Scheme::He, seed);
    for (range, fan_in) in weights(tape) {
        let drawn = initializer.draw([range.len()], fan_in, fan_in)?;
        tape.parameters_mut()[range].copy_from_slice(drawn.values());
    }
    Ok(())
}
