//! The fused linear classifier, and how networks get their images.

use super::{Group, Maker, Workload, floats, random};
use crate::roofline::roofs::large;
use lanegrad::kernels::aligned::{AlignedVec, padded_row};
use lanegrad::kernels::classifier::{self, Linear, Loss, Normalisation, Samples, StoreGradient};
use lanegrad::kernels::{Error, MatMut, MatRef};

/// All of them, in the order of the table.
pub fn makers() -> Vec<Maker> {
    let forward = ClassifierPass::Forward;
    let passes = [forward(Loss::Softmax), forward(Loss::Hinge), ClassifierPass::Backward].map(|pass| {
        let name = match pass {
            ClassifierPass::Forward(loss) => format!("classifier {} forward", loss.name()),
            ClassifierPass::Backward => "classifier weight gradient".into(),
        };
        Maker::new(name, Group::Classifier, move || Ok::<_, Error>(classifier(pass)))
    });
    let mut makers = Vec::from(passes);
    makers.push(Maker::new("normalise bytes", Group::Classifier, || Ok::<_, Error>(gather())));
    makers
}

/// Images of a step, and their bytes.
const BATCH: usize = 256;
const FEATURES: usize = 3072;
/// Classes.
pub const CLASSES: usize = 10;

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
    Workload {
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
        operations: 2.0 * (BATCH * FEATURES) as f64,
        bytes: (BATCH * FEATURES) as f64 + floats(2 * FEATURES + BATCH * FEATURES),
        run: Box::new(move || classifier::gather(bytes.batch()?, Normalisation::new(&mean, &scale)?, &mut y)),
    }
}
