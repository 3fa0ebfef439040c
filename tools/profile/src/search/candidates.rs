//! Many linear classifiers at once: their scores for all images, as a few large matrix products.
//!
//! One candidate at a time, the product of 10 rows of weights and 50,000 images reads all the images for little
//! arithmetic. The rows of many candidates under each other are one tall matrix: each image that is read then serves all
//! of them, and the product runs at the speed of the multiply-adds.

use anyhow::Result;
use lanegrad::data::{Images, Normalisation};
use lanegrad::init::{Initializer, Scheme};
use lanegrad::kernels::classifier::{self, Samples};
use lanegrad::kernels::gemm::{Bias, Epilogue, Gemm};
use lanegrad::kernels::{MatMut, MatRef, dispatch};
use lanegrad::tensor::Tensor;
use std::ops::Range;

/// Images whose scores are computed together: 12 MB of normalised pixels.
pub const BLOCK: usize = 1000;

/// Draws matrices of the lecture's shape, `randn(10, 3073) * deviation`, one after the other.
#[derive(Debug)]
pub struct Draws {
    classes: usize,
    features: usize,
    /// Gives each matrix a seed of its own, so that the first ones are the same however many follow.
    seeds: Initializer,
}

impl Draws {
    /// Matrices for `images`.
    pub fn new(images: &Images, seed: u64) -> Self {
        Self { classes: images.classes(), features: images.features(), seeds: Initializer::new(Scheme::Zero, seed) }
    }

    /// The next W, C x (D + 1): a row's last weight is that of the pixel that is always 1.
    pub fn next(&mut self, deviation: f64) -> Result<Tensor<f32>> {
        let mut weights = Initializer::new(Scheme::Normal(deviation), self.seeds.seed());
        Ok(weights.draw([self.classes, self.features + 1], self.features, self.classes)?)
    }
}

/// The scores that the candidates W (each C x (D + 1)) give all `images`, in blocks of [`BLOCK`] images.
///
/// `each` gets the numbers of the images of a block, and for each candidate C rows of their scores, one below the other.
pub fn scores(
    candidates: &[Tensor<f32>],
    images: &Images,
    normalisation: &Normalisation<f32>,
    mut each: impl FnMut(Range<usize>, &[f32]),
) -> Result<()> {
    let features = images.features();
    let whole_rows = || candidates.iter().flat_map(|candidate| candidate.values().chunks_exact(features + 1));
    let weights: Vec<f32> = whole_rows().flat_map(|row| &row[..features]).copied().collect();
    let bias: Vec<f32> = whole_rows().map(|row| row[features]).collect();
    let rows = bias.len();
    let index: Vec<u32> = (0..images.len() as u32).collect();
    let (mut pixels, mut scores) = (vec![0.0; BLOCK * features], vec![0.0; rows * BLOCK]);
    for first in (0..images.len()).step_by(BLOCK) {
        let block = first..(first + BLOCK).min(images.len());
        let count = block.len();
        let (pixels, scores) = (&mut pixels[..count * features], &mut scores[..rows * count]);
        let samples = Samples::new(images.pixels(), images.stride(), features, images.labels(), &index[block.clone()])?;
        let normalised = classifier::Normalisation::new(&normalisation.mean, &normalisation.scale)?;
        classifier::gather(samples, normalised, pixels)?;
        let product = Gemm::new(
            1.0,
            MatRef::row_major(&weights, rows, features)?,
            MatRef::row_major(pixels, count, features)?.transposed(),
            0.0,
            MatMut::row_major(scores, rows, count)?,
        )?;
        dispatch::dispatch(product.with_epilogue(Epilogue { bias: Bias::Rows(&bias), relu: false })?)?;
        each(block, scores);
    }
    Ok(())
}
