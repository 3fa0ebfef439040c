//! The kernels that are measured: what each computes and moves.
//!
//! Operations are counted as they are written in the formulas, a multiply-add as two, a division, a root and a comparison as
//! one. Bytes are those that cannot be avoided: every operand read once, every result written once.

use super::roofs::large;
use lanegrad::kernels::Error;
use lanegrad::kernels::aligned::{AlignedVec, padded_row};
use lanegrad::kernels::classifier::{self, Linear, Loss, Normalisation, Samples, StoreGradient};
use lanegrad::kernels::conv::{self, Activation, Convolution, ConvolutionShape};
use lanegrad::kernels::elementwise::{Function, accumulate, map};
use lanegrad::kernels::isa::{Isa, Lanes, Scalar};
use lanegrad::kernels::math::{self, ln_lanes};
use lanegrad::kernels::pool::{self, Pooling, PoolingShape};
use lanegrad::kernels::softmax::log_softmax;
use lanegrad::kernels::{MatMut, MatRef, gemm};
use lanegrad::optim::{Optimizer, Segment, Updater};
use rand::SeedableRng;
use rand_distr::{Distribution, Uniform};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::Serialize;

/// What kind of kernel it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Matrix products.
    Product,
    /// The fused linear classifier.
    Classifier,
    /// Convolutions and their gradients.
    Convolution,
    /// Pooling and its gradients.
    Pool,
    /// Update rules.
    Update,
    /// Functions of single numbers, and softmax.
    Elementwise,
}

impl Group {
    /// All, in the order of the picture's colours.
    pub const ALL: [Self; 6] =
        [Self::Product, Self::Classifier, Self::Convolution, Self::Pool, Self::Update, Self::Elementwise];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Product => "matrix products",
            Self::Classifier => "linear classifier",
            Self::Convolution => "convolutions",
            Self::Pool => "pools",
            Self::Update => "update rules",
            Self::Elementwise => "elementwise",
        }
    }
}

/// A kernel with its operands, ready to run.
pub struct Workload {
    /// Its name, with the shape if there are several.
    pub name: String,
    /// Its kind.
    pub group: Group,
    /// Floating-point operations of a run.
    pub operations: f64,
    /// Bytes that a run has to move.
    pub bytes: f64,
    /// Runs it once.
    pub run: Box<dyn FnMut() -> Result<(), Error> + Send>,
}

/// Makes a workload, operands and all, when its turn comes: all at once would not fit.
pub type Maker = Box<dyn Fn() -> Result<Workload, lanegrad::Error>>;

/// Bytes of so many `f32`.
fn floats(count: usize) -> f64 {
    (count * size_of::<f32>()) as f64
}

/// Numbers from -1 to 1, which repeat after a while.
pub fn random(seed: u64, length: usize) -> Vec<f32> {
    const PERIOD: usize = 4099;
    let mut generator = Xoshiro256PlusPlus::seed_from_u64(seed);
    let uniform = Uniform::new_inclusive(-1.0_f32, 1.0).expect("-1 is below 1");
    let numbers: Vec<f32> = (0..PERIOD).map(|_| uniform.sample(&mut generator)).collect();
    numbers.iter().copied().cycle().take(length).collect()
}

/// All workloads, in the order of the table.
pub fn all() -> Vec<Maker> {
    let mut makers: Vec<Maker> = Vec::new();
    // Squares, then the products of a perceptron of 512 units and of a classifier of 10 classes, batches of 256.
    let shapes = [[64; 3], [256; 3], [1024; 3], [256, 3072, 512], [3072, 256, 512], [256, 3072, 10], [10, 256, 3072]];
    makers.extend(shapes.map(|shape| -> Maker { Box::new(move || Ok(product(shape))) }));
    for pass in [ClassifierPass::Forward(Loss::Softmax), ClassifierPass::Forward(Loss::Hinge), ClassifierPass::Backward]
    {
        makers.push(Box::new(move || Ok(classifier(pass))));
    }
    makers.push(Box::new(|| Ok(gather())));
    // The convolutions of `--model convnet`. The first needs no gradient of its input.
    for layer in [
        Layer { number: 1, extent: 32, channels: 3, filters: 32 },
        Layer { number: 2, extent: 16, channels: 32, filters: 32 },
        Layer { number: 3, extent: 8, channels: 32, filters: 64 },
    ] {
        for pass in [ConvolutionPass::Forward, ConvolutionPass::InputGradient, ConvolutionPass::WeightGradient] {
            if layer.number > 1 || pass != ConvolutionPass::InputGradient {
                makers.push(Box::new(move || Ok(convolution(layer, pass)?)));
            }
        }
    }
    for pass in [PoolPass::MaxForward, PoolPass::MaxBackward, PoolPass::AverageForward, PoolPass::AverageBackward] {
        makers.push(Box::new(move || Ok(pooling(pass)?)));
    }
    makers.extend(RULES.map(|rule| -> Maker { Box::new(move || update(rule)) }));
    makers.push(Box::new(|| Ok(elementwise("add", 1.0, Add))));
    makers.push(Box::new(|| Ok(elementwise("multiply", 1.0, Multiply))));
    makers.push(Box::new(|| Ok(scaled_sum())));
    makers.push(Box::new(|| Ok(one_operand("relu", 1.0, |x, y| map(Relu, [x], y)))));
    makers.push(Box::new(|| Ok(one_operand("exp", EXP_OPERATIONS, math::exp))));
    makers.push(Box::new(|| Ok(one_operand("ln", LN_OPERATIONS, |x, y| map(Ln, [x], y)))));
    makers.push(Box::new(|| Ok(softmax())));
    makers
}

/// C = A B, of m x k and k x n.
pub fn product([m, k, n]: [usize; 3]) -> Workload {
    let (a, b, mut c) = (random(1, m * k), random(2, k * n), vec![0.0; m * n]);
    Workload {
        name: format!("gemm {m} x {k} x {n}"),
        group: Group::Product,
        operations: 2.0 * (m * k * n) as f64,
        bytes: floats(m * k + k * n + m * n),
        run: Box::new(move || {
            let (a, b) = (MatRef::row_major(&a, m, k)?, MatRef::row_major(&b, k, n)?);
            gemm(1.0, a, b, 0.0, MatMut::row_major(&mut c, m, n)?)
        }),
    }
}

/// Images of a step, their bytes, and classes.
const BATCH: usize = 256;
const FEATURES: usize = 3072;
const CLASSES: usize = 10;

/// Images of a data set that no cache holds.
fn images() -> usize {
    (large() * size_of::<f32>() / FEATURES).next_multiple_of(BATCH)
}

/// Bytes of images, their labels, and an order that visits all of them.
struct Bytes {
    pixels: AlignedVec<u8>,
    stride: usize,
    labels: Vec<u32>,
    order: Vec<u32>,
    next: usize,
}

impl Bytes {
    fn new() -> Self {
        let (count, stride) = (images(), padded_row(FEATURES, 1));
        let mut pixels = AlignedVec::<u8>::zeroed(count * stride);
        for (pixel, level) in pixels.iter_mut().zip(random(3, 4099).iter().cycle()) {
            *pixel = (127.0 + 127.0 * level) as u8;
        }
        let labels = (0..count as u32).map(|image| image % CLASSES as u32).collect();
        // 7919 is a prime that the number of images is no multiple of: a shuffle that is cheap.
        let order = (0..count as u64).map(|place| (place * 7919 % count as u64) as u32).collect();
        Self { pixels, stride, labels, order, next: 0 }
    }

    /// The next mini-batch.
    fn batch(&mut self) -> Result<Samples<'_, u8>, Error> {
        let start = self.next;
        self.next = (start + BATCH) % self.order.len();
        Samples::new(&self.pixels, self.stride, FEATURES, &self.labels, &self.order[start..start + BATCH])
    }
}

#[derive(Clone, Copy)]
enum ClassifierPass {
    Forward(Loss),
    Backward,
}

/// Half a step of the linear classifier on a mini-batch of bytes.
fn classifier(pass: ClassifierPass) -> Workload {
    let mut bytes = Bytes::new();
    let stride = padded_row(FEATURES, size_of::<f32>());
    let mut weights = AlignedVec::<f32>::zeroed(CLASSES * stride);
    weights.copy_from_slice(&random(4, CLASSES * stride));
    let (mut dscores, mut losses) = (random(5, CLASSES * BATCH), vec![0.0; BATCH]);
    let (bias, mut dbias) = (vec![0.0; CLASSES], vec![0.0; CLASSES]);
    let name = match pass {
        ClassifierPass::Forward(loss) => format!("{} forward", loss.name()),
        ClassifierPass::Backward => "weight gradient".into(),
    };
    Workload {
        name: format!("classifier {name}"),
        group: Group::Classifier,
        operations: 2.0 * (BATCH * FEATURES * CLASSES) as f64,
        bytes: (BATCH * FEATURES) as f64 + floats(CLASSES * FEATURES + CLASSES * BATCH),
        run: Box::new(move || {
            let samples = bytes.batch()?;
            let row = stride as isize;
            match pass {
                ClassifierPass::Forward(loss) => {
                    let weights = MatRef::with_strides(&weights, 0, CLASSES, FEATURES, row, 1)?;
                    let dscores = MatMut::row_major(&mut dscores, CLASSES, BATCH)?;
                    classifier::forward(Linear::new(weights, &bias)?, samples, loss, dscores, &mut losses)
                }
                ClassifierPass::Backward => {
                    let dweights = MatMut::with_strides(&mut weights, 0, CLASSES, FEATURES, row, 1)?;
                    let epilogue = StoreGradient { dweights, normalisation: None };
                    let dscores = MatRef::row_major(&dscores, CLASSES, BATCH)?;
                    classifier::backward(samples, dscores, &mut dbias, epilogue)
                }
            }
        }),
    }
}

/// The bytes of a mini-batch as normalised numbers, as networks get them.
fn gather() -> Workload {
    let mut bytes = Bytes::new();
    let (mean, scale) = (vec![127.0; FEATURES], vec![0.015; FEATURES]);
    let mut y = vec![0.0; BATCH * FEATURES];
    Workload {
        name: "normalise bytes".into(),
        group: Group::Classifier,
        operations: 2.0 * (BATCH * FEATURES) as f64,
        bytes: (BATCH * FEATURES) as f64 + floats(2 * FEATURES + BATCH * FEATURES),
        run: Box::new(move || classifier::gather(bytes.batch()?, Normalisation::new(&mean, &scale)?, &mut y)),
    }
}

/// A convolution of 5 x 5 windows with padding 2.
#[derive(Clone, Copy)]
struct Layer {
    number: usize,
    extent: usize,
    channels: usize,
    filters: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum ConvolutionPass {
    Forward,
    InputGradient,
    WeightGradient,
}

/// Images in a mini-batch of a convolutional network.
const IMAGES: usize = 128;

fn convolution(layer: Layer, pass: ConvolutionPass) -> Result<Workload, Error> {
    let Layer { number, extent, channels, filters } = layer;
    let convolution = Convolution::new(ConvolutionShape {
        batch: IMAGES,
        height: extent,
        width: extent,
        channels,
        filters,
        kernel: [5; 2],
        stride: [1; 2],
        padding: [2; 2],
        groups: 1,
    })?;
    let lengths = [convolution.input_length(), convolution.weight_length(), convolution.output_length()];
    let [mut x, mut weights, mut y] = lengths.map(|length| random(length as u64, length));
    let bias = random(6, filters);
    let name = match pass {
        ConvolutionPass::Forward => "forward",
        ConvolutionPass::InputGradient => "input gradient",
        ConvolutionPass::WeightGradient => "weight gradient",
    };
    Ok(Workload {
        name: format!("conv{number} {name}"),
        group: Group::Convolution,
        operations: 2.0 * (IMAGES * convolution.multiply_adds()) as f64,
        bytes: floats(lengths.iter().sum()),
        run: Box::new(move || match pass {
            ConvolutionPass::Forward => {
                conv::forward(&convolution, &x, &weights, Some(&bias), Activation::Relu, &mut y)
            }
            ConvolutionPass::InputGradient => conv::input_gradient(&convolution, &y, &weights, false, &mut x),
            ConvolutionPass::WeightGradient => conv::weight_gradient(&convolution, &x, &y, false, &mut weights),
        }),
    })
}

#[derive(Clone, Copy)]
enum PoolPass {
    MaxForward,
    MaxBackward,
    AverageForward,
    AverageBackward,
}

/// Windows of 3 x 3, two pixels apart, rounded up: the first pool of Caffe's cifar10_quick.
fn pooling(pass: PoolPass) -> Result<Workload, Error> {
    let kernel = 3;
    let pooling = Pooling::new(PoolingShape {
        batch: IMAGES,
        height: 32,
        width: 32,
        channels: 32,
        kernel: [kernel; 2],
        stride: [2; 2],
        padding: [0; 2],
        ceil: true,
    })?;
    let (input, output) = (pooling.input_length(), pooling.output_length());
    let (x, mut dx, mut y, dy) = (random(1, input), vec![0.0; input], vec![0.0; output], random(2, output));
    pool::max_forward(&pooling, &x, &mut y)?;
    let (name, moved) = match pass {
        PoolPass::MaxForward => ("max pool forward", input + output),
        PoolPass::MaxBackward => ("max pool gradient", 2 * input + 2 * output),
        PoolPass::AverageForward => ("average pool forward", input + output),
        PoolPass::AverageBackward => ("average pool gradient", input + output),
    };
    Ok(Workload {
        name: name.into(),
        group: Group::Pool,
        // A comparison or an addition for each element of each window.
        operations: (kernel * kernel * output) as f64,
        bytes: floats(moved),
        run: Box::new(move || match pass {
            PoolPass::MaxForward => pool::max_forward(&pooling, &x, &mut y),
            PoolPass::MaxBackward => pool::max_backward(&pooling, &x, &y, &dy, false, &mut dx),
            PoolPass::AverageForward => pool::average_forward(&pooling, true, &x, &mut y),
            PoolPass::AverageBackward => pool::average_backward(&pooling, true, &dy, false, &mut dx),
        }),
    })
}

/// Update rules, with the operations for one parameter; two of them are for the regulariser, where one is.
const RULES: [(Optimizer, u32); 10] = [
    (Optimizer::sgd(1e-6), 2 + 2),
    (Optimizer::momentum(1e-6), 2 + 4),
    (Optimizer::nesterov(1e-6), 2 + 6),
    (Optimizer::adagrad(1e-6), 2 + 7),
    (Optimizer::adadelta(1e-6), 2 + 15),
    (Optimizer::rms_prop(1e-6), 2 + 9),
    (Optimizer::graves_rms_prop(1e-6), 2 + 17),
    (Optimizer::adam(1e-6), 2 + 14),
    (Optimizer::adam_w(1e-6), 2 + 15),
    (Optimizer::lion(1e-6), 2 + 10),
];

fn update((optimizer, operations): (Optimizer, u32)) -> Result<Workload, lanegrad::Error> {
    let length = large();
    let mut updater = Updater::<f32>::new(optimizer, &[Segment { range: 0..length, matrix: None, decay: true }])?;
    let (mut parameters, gradients) = (random(1, length), random(2, length));
    // Parameters, gradients and state are read, parameters and state written.
    let moved = (3 + 2 * optimizer.slots()) * length;
    Ok(Workload {
        name: optimizer.name().into(),
        group: Group::Update,
        operations: f64::from(operations) * length as f64,
        bytes: floats(moved),
        run: Box::new(move || match updater.step(&mut parameters, &gradients, 1e-4) {
            Err(lanegrad::Error::Kernel(error)) => Err(error),
            // Nothing else can go wrong with arenas of one length.
            _ => Ok(()),
        }),
    })
}

#[derive(Clone, Copy)]
struct Add;

impl Function<f32, 2> for Add {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [a, b]: [<f32 as Scalar>::Lanes<S>; 2]) -> <f32 as Scalar>::Lanes<S> {
        a.add(isa, b)
    }
}

#[derive(Clone, Copy)]
struct Multiply;

impl Function<f32, 2> for Multiply {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [a, b]: [<f32 as Scalar>::Lanes<S>; 2]) -> <f32 as Scalar>::Lanes<S> {
        a.mul(isa, b)
    }
}

/// s x.
#[derive(Clone, Copy)]
pub struct Scale(pub f32);

impl Function<f32, 1> for Scale {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [x]: [<f32 as Scalar>::Lanes<S>; 1]) -> <f32 as Scalar>::Lanes<S> {
        x.mul(isa, <f32 as Scalar>::Lanes::<S>::splat(isa, self.0))
    }
}

#[derive(Clone, Copy)]
struct Relu;

impl Function<f32, 1> for Relu {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [x]: [<f32 as Scalar>::Lanes<S>; 1]) -> <f32 as Scalar>::Lanes<S> {
        x.max(isa, <f32 as Scalar>::Lanes::<S>::splat(isa, 0.0))
    }
}

#[derive(Clone, Copy)]
struct Ln;

impl Function<f32, 1> for Ln {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [x]: [<f32 as Scalar>::Lanes<S>; 1]) -> <f32 as Scalar>::Lanes<S> {
        ln_lanes::<S, f32>(isa, x)
    }
}

/// What the kernels compute for one exponential and one logarithm: without selections, and without shifts of bits.
const EXP_OPERATIONS: f64 = 29.0;
const LN_OPERATIONS: f64 = 25.0;

fn elementwise(name: &str, operations: f64, function: impl Function<f32, 2> + 'static) -> Workload {
    let length = large();
    let (a, b, mut y) = (random(1, length), random(2, length), vec![0.0; length]);
    Workload {
        name: name.into(),
        group: Group::Elementwise,
        operations: operations * length as f64,
        bytes: floats(3 * length),
        run: Box::new(move || map(function, [&a, &b], &mut y)),
    }
}

/// y <- y + s x.
fn scaled_sum() -> Workload {
    let length = large();
    let (x, mut y) = (random(1, length), vec![0.0; length]);
    Workload {
        name: "add a multiple".into(),
        group: Group::Elementwise,
        operations: 2.0 * length as f64,
        bytes: floats(3 * length),
        run: Box::new(move || accumulate(Scale(0.5), [&x], &mut y)),
    }
}

fn one_operand(
    name: &str,
    operations: f64,
    function: impl Fn(&[f32], &mut [f32]) -> Result<(), Error> + Send + 'static,
) -> Workload {
    let length = large();
    let (mut x, mut y) = (random(1, length), vec![0.0; length]);
    // Logarithms are of positive numbers.
    x.iter_mut().for_each(|x| *x = x.abs() + 0.1);
    Workload {
        name: name.into(),
        group: Group::Elementwise,
        operations: operations * length as f64,
        bytes: floats(2 * length),
        run: Box::new(move || function(&x, &mut y)),
    }
}

/// The logarithm of the softmax function of rows of ten.
fn softmax() -> Workload {
    let rows = large() / CLASSES;
    let length = rows * CLASSES;
    let (x, mut y) = (random(1, length), vec![0.0; length]);
    Workload {
        name: "log-softmax, rows of 10".into(),
        group: Group::Elementwise,
        // The largest, two subtractions, a sum, an exponential, and for each row a logarithm.
        operations: (5.0 + EXP_OPERATIONS) * length as f64 + LN_OPERATIONS * rows as f64,
        bytes: floats(2 * length),
        run: Box::new(move || log_softmax(&x, [rows, CLASSES, 1], &mut y)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_and_bytes_are_those_of_the_shapes() {
        let small = product([2, 3, 5]);
        assert_eq!((small.operations, small.bytes), (60.0, 4.0 * 31.0));
        let layer = Layer { number: 2, extent: 16, channels: 32, filters: 32 };
        let conv = convolution(layer, ConvolutionPass::Forward).unwrap();
        assert_eq!(conv.operations, 2.0 * 128.0 * 256.0 * 800.0 * 32.0);
        assert_eq!(conv.bytes, 4.0 * (2.0 * 128.0 * 256.0 * 32.0 + 25.0 * 32.0 * 32.0));
    }

    #[test]
    fn random_numbers_follow_from_the_seed() {
        assert_eq!(random(1, 5000), random(1, 5000));
        assert_ne!(random(1, 10), random(2, 10));
        assert!(random(3, 5000).iter().all(|x| (-1.0..=1.0).contains(x)));
    }
}
