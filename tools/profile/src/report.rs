//! The JSON report of a run, version 1.
//!
//! ```json
//! {
//!   "version": 1,
//!   "command": "train",
//!   "machine": {"cpu": "...", "isa": "avx512", "threads": 2, "fma_peak_gflops": 236.2},
//!   "data": {"kind": "cifar10", "train": 50000, "test": 10000},
//!   "model": {"name": "linear", "loss": "softmax", "parameters": 30730},
//!   "optimizer": {"name": "sgd", "lr": 0.003, "reg": 0.001},
//!   "batch_size": 256,
//!   "seed": 0,
//!   "epochs": [{"epoch": 1, "seconds": 0.04, "samples_per_second": 1250000.0, "gflops": 150.0, "peak_fraction": 0.65,
//!               "train_loss": 1.83, "test_loss": 1.78, "test_accuracy": 0.385,
//!               "update_to_weight": {"linear.weight": 0.002, "linear.bias": 0.001}}],
//!   "reproduce": "profile train --epochs 1 --data data/cifar-10-batches-bin",
//!   "weights_sha256": "..."
//! }
//! ```
//!
//! * `fma_peak_gflops` is measured at the same level, type and thread count as training, before the first and after the
//!   last epoch; the larger counts.
//! * `seconds` covers shuffling and all steps over the training set, not evaluation, loading or files.
//! * `gflops` counts a multiplication and an addition for each multiply-add of an affine layer or a convolution, three
//!   times: forward, for the gradient of the weights, and for that of the layer's input, which the first layer does
//!   without. For a linear classifier that is 4 N D C for N samples of D features and C classes. `peak_fraction` is
//!   `gflops` over `fma_peak_gflops`.
//! * `train_loss` is the mean over the epoch's samples of the data loss just before the step they took part in, and
//!   `test_loss` the mean data loss over the test set after the epoch; neither holds the regulariser.
//! * `update_to_weight` has, for each parameter, the norm of the epoch's last step over that of the values before it.
//! * `time` is there with `--time`: for each operation of a step, each way (`pass` is `forward`, `backward` or `update`), how
//!   often it ran, how long, its share of `time.seconds`, and where they make sense its `gflops`, their fraction of the peak,
//!   and `gigabytes_per_second`; see `step_times.rs`. It covers the steps of this process, not those before `--resume`.
//! * `reproduce` is a command for a POSIX shell that trains the same weights from the start, also where this run was resumed;
//!   options that have their default value are left out. Weights have the same bits at the same `machine.isa`.
//! * `replanned` is there if a resumed run was given another length and its schedule depends on that (`cosine`, `one-cycle`):
//!   up to each `step` it was the schedule of a run of `before` steps, from there on that of a run of `now`. `reproduce` then
//!   plans the last length from the start, and trains other weights.
//! * `model.name` is `linear`, `mlp`, `convnet` or `quick`.
//! * `weights_sha256` is of all parameters, as little-endian `f32`: of a linear classifier the weights, class after class,
//!   then the bias; of a network those of each layer, in order.
//! * `optimizer` holds `momentum` where the rule has it, and `schedule` where the step size changes. Members may be added in later versions of the program; those named
//!   here keep their meaning as long as `version` is 1.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The whole report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Report {
    pub version: u32,
    pub command: String,
    pub machine: Machine,
    pub data: Data,
    pub model: Model,
    pub optimizer: Optimizer,
    pub batch_size: u32,
    pub seed: u64,
    pub epochs: Vec<Epoch>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reproduce: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replanned: Vec<Replanned>,
    pub weights_sha256: String,
}

/// Where a schedule was planned anew for another length of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Replanned {
    pub step: u64,
    pub before: u64,
    pub now: u64,
}

/// What it ran on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Machine {
    pub cpu: String,
    pub isa: String,
    pub threads: usize,
    pub fma_peak_gflops: f64,
}

impl From<&crate::machine::Machine> for Machine {
    fn from(machine: &crate::machine::Machine) -> Self {
        Self {
            cpu: machine.cpu.clone(),
            isa: machine.level.name().into(),
            threads: machine.threads.count(),
            fma_peak_gflops: machine.peak_gflops,
        }
    }
}

/// What it learned from: `cifar10` or `synthetic`, and how many images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Data {
    pub kind: String,
    pub train: usize,
    pub test: usize,
}

/// What learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Model {
    pub name: String,
    pub loss: String,
    pub parameters: usize,
}

/// How it learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Optimizer {
    pub name: String,
    pub lr: f64,
    pub reg: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momentum: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
}

/// How one pass over the training set went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Epoch {
    pub epoch: u64,
    pub seconds: f64,
    pub samples_per_second: f64,
    pub gflops: f64,
    pub peak_fraction: f64,
    pub train_loss: f64,
    pub test_loss: f64,
    pub test_accuracy: f64,
    pub update_to_weight: BTreeMap<String, f64>,
}

/// Where the time of the steps went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Time {
    pub steps: u64,
    pub seconds: f64,
    pub kernels: Vec<Kernel>,
}

/// One operation of a step, one way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Kernel {
    pub name: String,
    pub shapes: String,
    pub pass: String,
    pub calls: u64,
    pub seconds: f64,
    pub share: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gflops: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_fraction: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gigabytes_per_second: Option<f64>,
}
