//! What `profile` trains: a linear classifier or a network, behind one face.

use crate::args::{BiasName, Init, ModelName, ModelOptions, Preprocess};
use crate::contact_sheet::Picture;
use crate::settings;
use anyhow::{Context, Result, ensure};
use lanegrad::data::{Images, Normalisation};
use lanegrad::init::{Initializer, Scheme};
use lanegrad::kernels::isa::Scalar;
use lanegrad::linear::{LinearClassifier, LinearTrainer};
use lanegrad::nn::{Sequential, models};
use lanegrad::optim::Optimizer;
use lanegrad::shape::Shape;
use lanegrad::tape::{Observer, ParameterInfo, Tape};
use lanegrad::tensor::Tensor;
use lanegrad::times::StepTimes;
use lanegrad::train::{Network, NetworkTrainer, Trainer};

/// A model in training.
pub enum Model {
    /// On the fused kernels.
    Linear(Box<LinearTrainer>),
    /// On a tape; with the multiply-adds of each layer with weights, for one image, forward.
    Network { trainer: Box<NetworkTrainer>, multiply_adds: Vec<usize> },
}

/// Parameters by name, with their shapes.
pub type Tensors = Vec<(String, Tensor)>;

/// The state of a training between two steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// All parameters, in any order.
    pub parameters: Tensors,
    /// The update rule's state.
    pub state: Vec<f32>,
    /// Steps that the update rule counts.
    pub optimizer_steps: u64,
    /// Steps that the tape counts; without a tape 0.
    pub tape_step: u64,
}

impl Model {
    /// The model that the options ask for, with its first weights.
    pub fn new(options: &ModelOptions, optimizer: Optimizer, seed: u64, images: &Images) -> Result<Self> {
        Self::build(options, optimizer, seed, (normalisation(options.preprocess, images), images.classes()))
    }

    /// A model to be given its parameters, for images of `classes` classes.
    pub fn with_normalisation(
        options: &ModelOptions,
        normalisation: Normalisation<f32>,
        classes: usize,
    ) -> Result<Self> {
        // It takes no step: any rule and seed will do.
        Self::build(options, Optimizer::sgd(1.0), 0, (normalisation, classes))
    }

    fn build(
        options: &ModelOptions,
        optimizer: Optimizer,
        seed: u64,
        (normalisation, classes): (Normalisation<f32>, usize),
    ) -> Result<Self> {
        let (loss, strength) = (options.loss.into(), settings::strength(options));
        let features = normalisation.mean.len();
        if options.model == ModelName::Linear {
            let bias = options.bias.unwrap_or(BiasName::Separate).into();
            let mut classifier = LinearClassifier::new(classes, &normalisation, bias)?;
            if let Some(Init::Normal(deviation)) = options.init {
                classifier.randomize(deviation, seed)?;
            }
            let trainer = LinearTrainer::new(classifier, loss, strength, optimizer);
            return Ok(Self::Linear(Box::new(trainer)));
        }
        let mut tape = Tape::new();
        let model = layers(options, seed, &mut tape, (features, classes))?;
        let image = image_shape(options.model, features);
        let network = Network { tape, model: Box::new(model), image, normalisation };
        let trainer = Box::new(NetworkTrainer::new(network, loss, strength, optimizer)?);
        let multiply_adds = multiply_adds(options, (features, classes));
        Ok(Self::Network { trainer, multiply_adds })
    }

    /// Scales the gradient of all parameters together to at most that norm; the linear model cannot.
    pub fn set_clip_norm(&mut self, limit: Option<f64>) {
        if let Self::Network { trainer, .. } = self {
            trainer.set_clip_norm(limit);
        }
    }

    /// What takes the steps.
    pub fn trainer(&mut self) -> &mut (dyn Trainer + Send) {
        match self {
            Self::Linear(trainer) => trainer.as_mut(),
            Self::Network { trainer, .. } => trainer.as_mut(),
        }
    }

    /// Number of trained numbers.
    pub fn parameters(&self) -> usize {
        match self {
            Self::Linear(trainer) => trainer.classifier().parameters(),
            Self::Network { trainer, .. } => trainer.network().tape.parameter_count(),
        }
    }

    /// Floating-point operations of an image's part in a step: two for each multiply-add of the layers, forward, for the
    /// gradient of the weights, and for that of the input, which the first layer does without.
    pub fn operations(&self) -> usize {
        let layers = match self {
            Self::Linear(trainer) => &[trainer.classifier().features() * trainer.classifier().classes()][..],
            Self::Network { multiply_adds, .. } => multiply_adds,
        };
        2 * (3 * layers.iter().sum::<usize>() - layers[0])
    }

    /// The parameters, in their order.
    pub fn tensors(&self) -> Result<Tensors> {
        match self {
            Self::Linear(trainer) => linear_tensors(trainer.classifier()),
            Self::Network { trainer, .. } => {
                let tape = &trainer.network().tape;
                let mut tensors = Vec::new();
                tape.for_each_parameter(|ParameterInfo { name, .. }| tensors.push(name.to_owned()));
                let tensors = tensors.into_iter().map(|name| {
                    let value = tape.find(&name)?.value()?;
                    Ok((name, value))
                });
                tensors.collect()
            }
        }
    }

    /// The gradient of the mean data loss of the images that `index` names: that of every parameter, in their order.
    pub fn gradient(&mut self, images: &Images, index: &[u32]) -> Result<Vec<f32>, lanegrad::Error> {
        match self {
            Self::Linear(trainer) => trainer.gradient(images, index),
            Self::Network { trainer, .. } => trainer.gradient(images, index),
        }
    }

    /// The state of the training.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let parameters = self.tensors()?;
        Ok(match self {
            Self::Linear(trainer) => {
                Snapshot { parameters, state: trainer.state(), optimizer_steps: trainer.steps(), tape_step: 0 }
            }
            Self::Network { trainer, .. } => {
                let updater = trainer.updater();
                let (state, optimizer_steps) = (updater.state().to_vec(), updater.steps());
                Snapshot { parameters, state, optimizer_steps, tape_step: trainer.network().tape.step() }
            }
        })
    }

    /// Goes on from `snapshot`, of a model for the same options.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<()> {
        let Snapshot { parameters, state, optimizer_steps, tape_step } = snapshot;
        self.set_parameters(parameters)?;
        match self {
            Self::Linear(trainer) => {
                let [weights, bias] = ["linear.weight", "linear.bias"].map(|name| find(parameters, name));
                trainer.restore(weights?.values(), bias?.values(), state, *optimizer_steps)?;
            }
            Self::Network { trainer, .. } => {
                trainer.updater_mut().restore(state, *optimizer_steps)?;
                trainer.network_mut().tape.set_step(*tape_step);
            }
        }
        Ok(())
    }

    /// Replaces all parameters.
    ///
    /// # Errors
    /// If those are not the model's, by name and shape. Nothing is changed then.
    pub fn set_parameters(&mut self, parameters: &Tensors) -> Result<()> {
        let own = self.tensors()?;
        ensure!(own.len() == parameters.len(), "{} parameters instead of {}", parameters.len(), own.len());
        for (name, tensor) in &own {
            let found = find(parameters, name)?.shape();
            ensure!(found == tensor.shape(), "{name} has the shape {found} instead of {}", tensor.shape());
        }
        match self {
            Self::Linear(trainer) => {
                let [weights, bias] = ["linear.weight", "linear.bias"].map(|name| find(parameters, name));
                let (state, steps) = (trainer.state(), trainer.steps());
                trainer.restore(weights?.values(), bias?.values(), &state, steps)?;
            }
            Self::Network { trainer, .. } => {
                let tape = &mut trainer.network_mut().tape;
                let mut ranges = Vec::new();
                tape.for_each_parameter(|info| ranges.push((info.name.to_owned(), info.range)));
                let values = tape.parameters_mut();
                for (name, range) in ranges {
                    values[range].copy_from_slice(find(parameters, &name)?.values());
                }
            }
        }
        Ok(())
    }

    /// The scores of all of `images`, N x classes, row by row, on the threads of the calling pool. Networks that convolve
    /// want channels-last images.
    pub fn scores(&mut self, images: &Images) -> Result<Vec<f32>> {
        Ok(match self {
            Self::Linear(trainer) => trainer.classifier().scores(images)?,
            Self::Network { trainer, .. } => trainer.network_mut().scores(images)?,
        })
    }

    /// Starts to measure where the time of a step goes.
    pub fn measure_times(&mut self) {
        match self {
            Self::Linear(trainer) => trainer.measure_times(true),
            Self::Network { trainer, .. } => trainer.measure_times(true),
        }
    }

    /// Where the time of the steps went, if it is measured.
    pub fn times(&self) -> Option<StepTimes> {
        match self {
            Self::Linear(trainer) => trainer.times(),
            Self::Network { trainer, .. } => trainer.times(),
        }
    }

    /// Tells `observer` of every operation on the tape, if there is one.
    pub fn set_observer(&mut self, observer: Option<Box<dyn Observer<f32>>>) {
        if let Self::Network { trainer, .. } = self {
            trainer.network_mut().tape.set_observer(observer);
        }
    }

    /// How pixels are normalised: mean and scale of each.
    pub fn normalisation(&self) -> (&[f32], &[f32]) {
        match self {
            Self::Linear(trainer) => trainer.classifier().normalisation(),
            Self::Network { trainer, .. } => {
                let normalisation = &trainer.network().normalisation;
                (&normalisation.mean, &normalisation.scale)
            }
        }
    }

    /// What the units of the first layer look for, as pictures.
    pub fn first_layer(&self, class_names: &[String]) -> Result<Vec<Picture>> {
        let (_, weights) = self.tensors()?.swap_remove(0);
        let values = weights.values();
        Ok(match (self, weights.shape().extents()) {
            // One row a class.
            (Self::Linear(_), &[_, features]) => templates(values, features, class_names)?,
            // One column a hidden unit.
            (_, &[_, units]) => (0..units.min(MOST_PICTURES))
                .map(|unit| {
                    let column: Vec<f32> = values[unit..].iter().step_by(units).copied().collect();
                    Picture::planar(&unit.to_string(), &column)
                })
                .collect::<Result<_>>()?,
            // Height, width, colours, filters.
            (_, &[_, width, 3, filters]) => (0..filters)
                .map(|filter| {
                    let filter_values: Vec<f32> = values[filter..].iter().step_by(filters).copied().collect();
                    Picture::channels_last(&filter.to_string(), width, &filter_values)
                })
                .collect::<Result<_>>()?,
            _ => Vec::new(),
        })
    }
}

/// The weights (C x D) and the bias (C) of a linear classifier.
pub fn linear_tensors(classifier: &LinearClassifier) -> Result<Tensors> {
    let (classes, features) = (classifier.classes(), classifier.features());
    let weights: Vec<f32> = (0..classes).flat_map(|class| classifier.weights(class).to_vec()).collect();
    Ok(vec![
        ("linear.weight".into(), Tensor::from_slice([classes, features], &weights)?),
        ("linear.bias".into(), Tensor::from_slice([classes], classifier.bias())?),
    ])
}

/// How the pixels of `images` are normalised.
pub fn normalisation<T: Scalar>(preprocess: Preprocess, images: &Images) -> Normalisation<T> {
    match preprocess {
        Preprocess::Raw => Normalisation::raw(images.features()),
        Preprocess::Mean => Normalisation::mean(images),
        Preprocess::Standardize => Normalisation::standardize(images),
    }
}

/// The tensor of that name.
fn find<'a>(tensors: &'a Tensors, name: &str) -> Result<&'a Tensor> {
    let found = tensors.iter().find(|(found, _)| found == name);
    found.map(|(_, tensor)| tensor).with_context(|| format!("there is no {name}"))
}

/// The rows of a linear classifier's weights (C x D) as pictures.
pub fn templates(weights: &[f32], features: usize, class_names: &[String]) -> Result<Vec<Picture>> {
    let rows = weights.chunks_exact(features).zip(class_names);
    rows.map(|(row, name)| Picture::planar(name, row)).collect()
}

/// The shape of one image, as the model wants it.
pub fn image_shape(model: ModelName, features: usize) -> Shape {
    if model.wants_channels_last() { SQUARE.into() } else { features.into() }
}

/// Hidden units of an MLP that are shown.
const MOST_PICTURES: usize = 40;

/// Height, width and colours of CIFAR-10's images.
const SQUARE: [usize; 3] = [32, 32, 3];

/// The layers that the options ask for, from so many features to so many classes, with their first weights; for a linear
/// classifier a single affine layer, `fc1`.
pub fn layers<T: Scalar>(
    options: &ModelOptions,
    seed: u64,
    tape: &mut Tape<T>,
    (features, classes): (usize, usize),
) -> Result<Sequential<T>> {
    let scheme = match options.init {
        Some(Init::Normal(deviation)) => Scheme::Normal(deviation),
        Some(Init::Zero) => Scheme::Zero,
        Some(Init::Xavier) => Scheme::Xavier,
        Some(Init::He) | None => Scheme::He,
    };
    let mut initializer = Initializer::new(scheme, seed);
    Ok(match options.model {
        ModelName::Convnet => models::convnet(tape, classes, &mut initializer)?,
        ModelName::Quick => models::quick(tape, seed)?,
        ModelName::Linear => models::mlp(tape, features, &[], classes, &mut initializer)?,
        ModelName::Mlp => models::mlp(tape, features, &options.hidden(), classes, &mut initializer)?,
    })
}

/// Multiply-adds of each layer with weights, for one image, forward.
fn multiply_adds(options: &ModelOptions, (features, classes): (usize, usize)) -> Vec<usize> {
    if options.model.wants_channels_last() {
        // Places times terms times filters of the convolutions that both networks have, then the affine layers.
        return vec![32 * 32 * 75 * 32, 16 * 16 * 800 * 32, 8 * 8 * 800 * 64, 1024 * 64, 64 * classes];
    }
    let widths: Vec<usize> = [vec![features], options.hidden(), vec![classes]].concat();
    widths.windows(2).map(|pair| pair[0] * pair[1]).collect()
}
