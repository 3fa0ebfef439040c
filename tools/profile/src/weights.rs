//! The weights of a trained model, as a file that says what they are the weights of.
//!
//! `weights.safetensors` opens in any tool that reads the safetensors format. It holds, as F32:
//!
//! * the parameters under their names, such as `linear.weight` (10, 3072) and `linear.bias` (10);
//! * `input.mean` and `input.scale` (3072 each): the model sees (pixel - mean) scale, pixels from 0 to 255;
//!
//! and the metadata `model`: a [`Description`], as JSON.

use crate::args::{BiasName, LossName, ModelName, ModelOptions, Preprocess};
use crate::model::{Model, Tensors};
use crate::resume::name;
use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use lanegrad::data::{Dataset, Normalisation, Source};
use lanegrad::tensor::Tensor;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The version of the description.
const VERSION: u32 = 1;

/// The metadata's key.
const DESCRIPTION: &str = "model";

/// The key by which a checkpoint is known.
const CHECKPOINT: &str = "training";

/// Names that are no parameters.
const INPUTS: [&str; 2] = ["input.mean", "input.scale"];

/// Numbers of an image: 32 x 32 pixels of three colours.
const FEATURES: usize = 3 * 32 * 32;

/// What is needed to use the weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// 1.
    pub version: u32,
    /// `linear`, `mlp`, `convnet` or `quick`.
    pub model: String,
    /// Widths of the hidden layers of `mlp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<Vec<u32>>,
    /// What was minimised: `softmax` or `hinge`.
    pub loss: String,
    /// How pixels are normalised: `raw`, `mean` or `standardize`; the numbers are `input.mean` and `input.scale`.
    pub preprocess: String,
    /// The bias of `linear`: `separate` or `trick`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias: Option<String>,
    /// One name a class.
    pub class_names: Vec<String>,
    /// What it was trained on: `cifar10`, `synthetic` or `synthetic:N`.
    pub data: String,
    /// The seed of the training, and of synthetic data.
    pub seed: u64,
    /// The SHA-256 of all numbers in the file but those: parameters by name, then mean and scale.
    pub sha256: String,
}

impl Description {
    /// Of a model with these options, trained on `dataset`, which `--data` names by `data_name`.
    pub fn new(options: &ModelOptions, dataset: &Dataset, data_name: &str, seed: u64) -> Self {
        let is = |model| options.model == model;
        Self {
            version: VERSION,
            model: name(options.model),
            hidden: is(ModelName::Mlp).then(|| options.hidden().iter().map(|&width| width as u32).collect()),
            loss: name(options.loss),
            preprocess: name(options.preprocess),
            bias: is(ModelName::Linear).then(|| name(options.bias.unwrap_or(BiasName::Separate))),
            class_names: dataset.class_names.clone(),
            data: match dataset.source {
                Source::Cifar10 { .. } => dataset.source.kind().into(),
                Source::Synthetic { .. } => data_name.into(),
            },
            seed,
            sha256: String::new(),
        }
    }

    /// The options that the model was made by, as far as its weights do not tell.
    fn options(&self) -> Result<ModelOptions> {
        let options = ModelOptions {
            model: named::<ModelName>(&self.model)?,
            hidden: self.hidden.clone(),
            loss: named::<LossName>(&self.loss)?,
            preprocess: named::<Preprocess>(&self.preprocess)?,
            init: None,
            bias: self.bias.as_deref().map(named::<BiasName>).transpose()?,
            reg: None,
        };
        options.check().map_err(anyhow::Error::msg)?;
        Ok(options)
    }
}

/// The value that has that name on the command line.
fn named<T: ValueEnum>(name: &str) -> Result<T> {
    T::from_str(name, false).map_err(|_| anyhow::anyhow!("`{name}` is nothing that this program knows"))
}

/// The file: parameters, how pixels are normalised (mean, scale), and what all that is.
pub fn safetensors(tensors: Tensors, normalisation: (&[f32], &[f32]), description: &Description) -> Result<Vec<u8>> {
    let sha256 = digest(&tensors, normalisation);
    let mut named: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, value) in tensors {
        named.push((name, value.shape().extents().to_vec(), little_endian(value.values())));
    }
    for (name, values) in INPUTS.into_iter().zip([normalisation.0, normalisation.1]) {
        named.push((name.into(), vec![values.len()], little_endian(values)));
    }
    let views = named
        .iter()
        .map(|(name, shape, bytes)| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>>>()?;
    // One entry alone: the order of several would change from run to run.
    let metadata = HashMap::from([(
        DESCRIPTION.to_owned(),
        serde_json::to_string(&Description { sha256, ..description.clone() })?,
    )]);
    Ok(safetensors::serialize(views, Some(metadata))?)
}

/// The SHA-256 of all numbers of a file: of parameters in the order of their names, then of mean and scale.
fn digest(tensors: &Tensors, (mean, scale): (&[f32], &[f32])) -> String {
    let mut sorted: Vec<_> = tensors.iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    let mut hash = Sha256::new();
    for values in sorted.into_iter().map(|(_, tensor)| tensor.values()).chain([mean, scale]) {
        hash.update(little_endian(values));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 of all parameters, one after the other, as little-endian `f32`.
pub fn sha256(tensors: &Tensors) -> String {
    let mut hash = Sha256::new();
    for (_, tensor) in tensors {
        hash.update(little_endian(tensor.values()));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A trained model, and what it is.
pub struct Trained {
    /// Where it was read from.
    pub path: PathBuf,
    /// What it is.
    pub description: Description,
    /// What it was made by.
    pub options: ModelOptions,
    /// The model itself.
    pub model: Model,
}

/// The trained model of a file, or of the folder of a run.
///
/// # Errors
/// If it is no such file, a damaged one, or one that does not say what it is.
pub fn load(path: &Path) -> Result<Trained> {
    let folder = path;
    let path = if folder.is_dir() { folder.join("weights.safetensors") } else { folder.to_path_buf() };
    ensure!(
        !folder.is_dir() || path.exists(),
        "cannot use {}: there is none, for `profile train` writes it when a run is over; `profile train --resume` goes on \
         with a run that is not",
        path.display()
    );
    let read = || {
        ensure!(fs::metadata(&path)?.is_file(), "it is not a regular file");
        decode(&fs::read(&path)?)
    };
    let (description, options, model) = read().with_context(|| format!("cannot use {}", path.display()))?;
    Ok(Trained { path, description, options, model })
}

/// Reads the bytes of a file of weights.
fn decode(bytes: &[u8]) -> Result<(Description, ModelOptions, Model)> {
    let file = SafeTensors::deserialize(bytes).context("it is no file of weights, or a damaged one")?;
    let description = description(bytes)?;
    let options = description.options().context("it says of its model what cannot be")?;
    let classes = description.class_names.len();
    let [mean, scale] = INPUTS.map(|name| floats(&file, name));
    let normalisation = Normalisation { mean: mean?, scale: scale? };
    for (name, values) in INPUTS.into_iter().zip([&normalisation.mean, &normalisation.scale]) {
        ensure!(values.len() == FEATURES, "{name} has {} numbers instead of {FEATURES}", values.len());
    }
    let mut tensors = Tensors::new();
    for name in file.names().into_iter().filter(|name| !INPUTS.contains(name)) {
        tensors.push((name.to_owned(), Tensor::from_slice(file.tensor(name)?.shape(), &floats(&file, name)?)?));
    }
    // Before memory is taken for a model: a description may say anything.
    let found: usize = tensors.iter().map(|(_, tensor)| tensor.values().len()).sum();
    let wanted = parameters(&options, classes);
    ensure!(wanted == Some(found), "it has {found} parameters, which are not those of the model that it describes");
    let sum = digest(&tensors, (&normalisation.mean, &normalisation.scale));
    ensure!(sum == description.sha256, "its numbers are not those that were written: the file is damaged");
    let mut model = Model::with_normalisation(&options, normalisation, classes)?;
    model.set_parameters(&tensors).context("it does not fit the model that it describes")?;
    Ok((description, options, model))
}

/// What a file says it is.
fn description(bytes: &[u8]) -> Result<Description> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let (_, header) = SafeTensors::read_metadata(bytes)?;
    let entry = |key: &str| header.metadata().as_ref().and_then(|metadata| metadata.get(key));
    if entry(DESCRIPTION).is_none() && entry(CHECKPOINT).is_some() {
        bail!("it is a checkpoint: `profile train --resume` with it ends that run, and writes its weights.safetensors");
    }
    let text = entry(DESCRIPTION).context(
        "it does not say what model it is of: either `profile train` did not write it, or an earlier version did, and \
         `profile train --resume` with that run's checkpoint.safetensors writes it anew",
    )?;
    let Versioned { version } = serde_json::from_str(text).context("it does not say what model it is of")?;
    ensure!(version == VERSION, "it is of version {version}, and this program reads version {VERSION}");
    serde_json::from_str(text).context("it does not say well what model it is of")
}

/// The numbers of a tensor of F32.
fn floats(file: &SafeTensors<'_>, name: &str) -> Result<Vec<f32>> {
    let tensor = file.tensor(name).map_err(|_| anyhow::anyhow!("it has no {name}"))?;
    ensure!(tensor.dtype() == Dtype::F32, "its tensor {name} is not of type F32");
    let values: Vec<f32> = tensor.data().as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    ensure!(values.iter().all(|value| value.is_finite()), "its tensor {name} has numbers that are not finite");
    Ok(values)
}

/// How many parameters a model has; none if no such model can be.
fn parameters(options: &ModelOptions, classes: usize) -> Option<usize> {
    let layers = |widths: &[usize]| {
        widths.windows(2).try_fold(0_usize, |sum, pair| sum.checked_add(pair[0].checked_add(1)?.checked_mul(pair[1])?))
    };
    if classes == 0 {
        return None;
    }
    match options.model {
        ModelName::Linear => layers(&[FEATURES, classes]),
        ModelName::Mlp => layers(&[vec![FEATURES], options.hidden(), vec![classes]].concat()),
        ModelName::Quick if classes != 10 => None,
        ModelName::Convnet | ModelName::Quick => {
            // Windows of 5 x 5 pixels, 32, 32 and 64 filters with a bias each.
            let convolutions = 76 * 32 + 801 * 32 + 801 * 64;
            layers(&[4 * 4 * 64, 64, classes])?.checked_add(convolutions)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Arguments, Command};
    use clap::Parser;
    use lanegrad::data::synthetic;

    fn options(line: &str) -> ModelOptions {
        let arguments = ["profile", "train"].into_iter().chain(line.split_whitespace());
        let Command::Train(options) = Arguments::try_parse_from(arguments).unwrap().command else { unreachable!() };
        options.model
    }

    const MODELS: [&str; 5] = [
        "",
        "--bias trick --loss hinge",
        "--model mlp --hidden 5,7 --preprocess mean",
        "--model convnet",
        "--model quick",
    ];

    /// A model of these options that was not trained, as a file, with its scores of ten images.
    fn file(line: &str) -> (Vec<u8>, Description, Vec<f32>) {
        let options = options(line);
        let mut dataset = synthetic::generate_sized(3, 20, 10);
        if options.model.wants_channels_last() {
            dataset.train = dataset.train.channels_last(3).unwrap();
            dataset.test = dataset.test.channels_last(3).unwrap();
        }
        let optimizer = lanegrad::optim::Optimizer::sgd(1e-3);
        let mut model = Model::new(&options, optimizer, 3, &dataset.train).unwrap();
        let description = Description::new(&options, &dataset, "synthetic:20", 3);
        let bytes = safetensors(model.tensors().unwrap(), model.normalisation(), &description).unwrap();
        let scores = model.scores(&dataset.test).unwrap();
        (bytes, description, scores)
    }

    #[test]
    fn a_model_is_rebuilt_from_its_file() {
        for line in MODELS {
            let (bytes, description, scores) = file(line);
            assert_eq!(file(line).0, bytes, "{line}");
            let (found, options, mut model) = decode(&bytes).unwrap();
            assert_eq!(Description { sha256: String::new(), ..found }, description, "{line}");
            let mut images = synthetic::generate_sized(3, 20, 10).test;
            if options.model.wants_channels_last() {
                images = images.channels_last(3).unwrap();
            }
            assert_eq!(model.scores(&images).unwrap(), scores, "{line}");
            assert_eq!(parameters(&options, 10), Some(model.parameters()), "{line}");
        }
    }

    #[track_caller]
    fn refused(bytes: &[u8]) -> String {
        match decode(bytes) {
            Ok(_) => panic!("it was read"),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn what_is_cut_short_or_garbled_is_refused() {
        let (good, ..) = file("--model mlp --hidden 2");
        for length in (0..2000).chain((2000..good.len()).step_by(997)) {
            refused(&good[..length]);
        }
        let head = 8 + u64::from_le_bytes(*good.first_chunk().unwrap()) as usize;
        // Any number, mean and scale included, by a single bit.
        for at in (head..good.len()).step_by(499).chain([head, good.len() - 1]) {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(refused(&bad).contains("damaged"), "byte {at}");
        }
        let mut different = 0;
        for i in 0..head {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[i] ^= 1 << bit;
                // A letter of a class's name or a digit of the seed may be another one; nothing may panic.
                different += u32::from(decode(&bad).is_err());
            }
        }
        assert!(different > 4 * head as u32, "{different} of {head} bytes");
    }

    /// Rewrites the description of a file.
    fn described(bytes: &[u8], text: &str) -> Vec<u8> {
        let file = SafeTensors::deserialize(bytes).unwrap();
        let metadata = HashMap::from([(DESCRIPTION.to_owned(), text.to_owned())]);
        safetensors::serialize(file.tensors(), Some(metadata)).unwrap()
    }

    #[test]
    fn descriptions_that_cannot_be_are_refused() {
        let (good, description, _) = file("--model mlp --hidden 5");
        let with = |change: &dyn Fn(&mut Description)| {
            let mut changed = description.clone();
            change(&mut changed);
            refused(&described(&good, &serde_json::to_string(&changed).unwrap()))
        };
        assert!(with(&|d| d.version = 2).contains("version 2"));
        assert!(with(&|d| d.model = "transformer".into()).contains("transformer"));
        assert!(with(&|d| d.loss = "squared".into()).contains("squared"));
        assert!(with(&|d| d.hidden = Some(vec![6])).contains("parameters"));
        // More than any memory holds, and more than a number of 64 bits.
        assert!(with(&|d| d.hidden = Some(vec![1_000_000; 3])).contains("parameters"));
        assert!(with(&|d| d.hidden = Some(vec![u32::MAX; 9])).contains("parameters"));
        assert!(with(&|d| d.hidden = Some(vec![0])).contains("parameters"));
        assert!(with(&|d| d.model = "linear".into()).contains("--hidden"));
        assert!(with(&|d| d.class_names.clear()).contains("parameters"));
        assert!(with(&|d| drop(d.class_names.pop())).contains("parameters"));
        for text in ["", "{}", "[]", "null", "{\"version\": 1}", "{\"version\": -1}"] {
            assert!(refused(&described(&good, text)).contains("what model it is of"), "{text}");
        }
    }

    /// Weights without a description, and with other tensors than the description says.
    #[test]
    fn foreign_files_are_refused() {
        let (good, ..) = file("");
        let file = SafeTensors::deserialize(&good).unwrap();
        let foreign = safetensors::serialize(file.tensors(), None).unwrap();
        assert!(refused(&foreign).contains("does not say what model"), "{}", refused(&foreign));
        let checkpoint = HashMap::from([(CHECKPOINT.to_owned(), "{}".to_owned())]);
        let checkpoint = safetensors::serialize(file.tensors(), Some(checkpoint)).unwrap();
        assert!(refused(&checkpoint).contains("--resume"));
        let (_, header) = SafeTensors::read_metadata(&good).unwrap();
        let metadata = header.metadata().clone();
        let without = |name: &str| {
            let kept = file.tensors().into_iter().filter(|(found, _)| found != name);
            refused(&safetensors::serialize(kept, metadata.clone()).unwrap())
        };
        assert!(without("input.scale").contains("it has no input.scale"));
        assert!(without("linear.bias").contains("30720 parameters"));
        let renamed = file.tensors().into_iter().map(|(name, view)| (name.replace("linear", "other"), view));
        let renamed = refused(&safetensors::serialize(renamed, metadata.clone()).unwrap());
        assert!(renamed.contains("does not fit"), "{renamed}");
        let mut infinite = good.clone();
        let last = infinite.len() - 4;
        infinite[last..].copy_from_slice(&f32::INFINITY.to_le_bytes());
        assert!(refused(&infinite).contains("not finite"));
    }
}
