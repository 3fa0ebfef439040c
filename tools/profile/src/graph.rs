//! `profile graph`: the computational graph of the lecture's examples and of any model, after backpropagation.

mod examples;
mod layout;
mod picture;

use crate::args::{LossName, ModelName, ModelOptions, Preprocess, RunOptions, parse_not_negative};
use crate::dataset::{load, source_name};
use crate::json;
use crate::objective::{Objective, squares};
use crate::results::Results;
use crate::resume::Conflict;
use crate::screen::{Screen, grouped};
use anyhow::Result;
use clap::{Args, ValueEnum};
use lanegrad::Loss;
use lanegrad::tape::{Graph, GraphNode, Tape};
use serde::Serialize;

/// The options of `profile graph`.
#[derive(Args, Clone, Debug)]
pub struct GraphOptions {
    /// An example of the lecture [default: product]
    #[arg(value_enum, conflicts_with = "model")]
    pub example: Option<Example>,

    /// A model with its loss on a few images, instead of an example
    #[arg(long, value_enum)]
    pub model: Option<ModelName>,

    /// Widths of the hidden layers of the model `mlp`, with commas between [default: 512]
    #[arg(long, value_name = "N,...", requires = "model", conflicts_with = "example", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub hidden: Option<Vec<u32>>,

    /// The model's loss
    #[arg(long, value_enum, requires = "model", conflicts_with = "example", default_value_t = LossName::Softmax)]
    pub loss: LossName,

    /// Also show the regulariser lambda * (sum of squares of the weights) of the model
    #[arg(long, value_name = "LAMBDA", requires = "model", conflicts_with = "example", default_value_t = 0.0,
          value_parser = parse_not_negative)]
    pub reg: f64,

    /// Images that the model's loss is the mean over
    #[arg(long, value_name = "N", requires = "model", conflicts_with = "example", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub batch_size: u32,

    /// Data, threads, seed, files.
    #[command(flatten)]
    pub run: RunOptions,
}

/// The lecture's graphs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Example {
    /// f = (x + y) z at x = -2, y = 5, z = -4
    Product,
    /// A sigmoid neuron, 1 / (1 + exp(-(w0 x0 + w1 x1 + w2))), gate by gate
    Neuron,
    /// The full loss of the SVM, hinge loss + R(W), of the lecture's worked example
    Svm,
    /// 2 (x y + max(z, w)): how addition, maximum and product pass a gradient on
    Gates,
}

impl GraphOptions {
    /// The options of the model, if one is asked for.
    fn model(&self) -> Result<Option<ModelOptions>> {
        let Some(model) = self.model else { return Ok(None) };
        let options = ModelOptions {
            model,
            hidden: self.hidden.clone(),
            loss: self.loss,
            preprocess: Preprocess::Standardize,
            init: None,
            bias: None,
            reg: Some(self.reg),
        };
        options.check().map_err(|message| Conflict(message.into()))?;
        Ok(Some(options))
    }
}

/// Computes what `options` say and its gradient, prints every node, and writes the graph as a picture and for Graphviz.
pub fn run(options: &GraphOptions) -> Result<()> {
    let model = options.model()?;
    let mut results = Results::open(&options.run)?;
    let threads = crate::machine::start_threads(options.run.threads)?;
    let (title, graph) = match &model {
        None => threads.run(|| of_example(options.example.unwrap_or(Example::Product)))?,
        Some(model) => of_model(options, model, &threads, &mut results.screen)?,
    };

    results.line(&title)?;
    results.line("")?;
    results.lines(graph.to_string().lines())?;
    results.file("graph.svg", picture::svg(&graph, &title).as_bytes())?;
    results.file("graph.dot", graph.dot().as_bytes())?;
    results.finish_as("graph.json", &json::text(&JsonGraph::new(&title, &graph))?)
}

fn of_example(example: Example) -> Result<(String, Graph)> {
    let tape = Tape::new();
    let title = examples::record(example, &tape)?;
    Ok((title.into(), tape.graph()))
}

fn of_model(
    options: &GraphOptions,
    model: &ModelOptions,
    threads: &lanegrad::kernels::parallel::Threads,
    screen: &mut Screen,
) -> Result<(String, Graph)> {
    let mut dataset = load(&options.run, screen)?.dataset;
    if model.model.wants_channels_last() {
        dataset.train = dataset.train.channels_last(3)?;
    }
    let mut tape = Tape::new();
    let images = (&dataset.train, options.batch_size as usize);
    let objective = Objective::new(model, images, (options.run.seed, false), &mut tape)?;
    let loss: Loss = model.loss.into();
    let title = format!(
        "{}, {} loss, {} of {}",
        model.model.name(),
        loss.name(),
        match objective.labels.len() {
            1 => "1 image".into(),
            count => format!("{} images", grouped(count as u64)),
        },
        source_name(&dataset)
    );
    let graph = threads.run(move || {
        objective.record(&tape, squares).backward()?;
        Ok::<_, lanegrad::Error>(tape.graph())
    })?;
    Ok((title, graph))
}

/// The graph as JSON, version 1: the nodes in the order in which they were computed, inputs before what uses them.
///
/// `value` and `gradient` hold the first four elements, `norm` and `gradient_norm` the Euclidean norms of all; constants have no
/// gradient. `inputs` are positions in `nodes`.
#[derive(Debug, Serialize)]
struct JsonGraph<'a> {
    version: u32,
    command: &'static str,
    title: &'a str,
    nodes: Vec<JsonNode<'a>>,
}

#[derive(Debug, Serialize)]
struct JsonNode<'a> {
    name: &'a str,
    op: &'a str,
    shape: &'a [usize],
    inputs: &'a [usize],
    value: &'a [f64],
    norm: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    gradient: Option<&'a [f64]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gradient_norm: Option<f64>,
}

impl<'a> JsonGraph<'a> {
    fn new(title: &'a str, graph: &'a Graph) -> Self {
        let node = |node: &'a GraphNode| JsonNode {
            name: &node.name,
            op: node.op,
            shape: node.shape.extents(),
            inputs: &node.inputs,
            value: &node.value,
            norm: node.norm,
            gradient: node.gradient.as_deref(),
            gradient_norm: node.gradient.as_ref().map(|_| node.gradient_norm),
        };
        Self { version: 1, command: "graph", title, nodes: graph.nodes.iter().map(node).collect() }
    }
}
