//! The plain, slow twin of every kernel: what the fast ones are compared with.
//!
//! Everything here is computed in `f64`, one element after the other, straight from its definition.

pub mod conv;
pub mod pool;
mod update;

pub use update::UpdateRule;

use crate::classifier::Loss;

/// C <- alpha A B + beta C for A of m x k, B of k x n, C of m x n elements, given as functions of row and column.
///
/// Returns C in row-major order, and for each element the sum of the absolute values of its terms: what an error is
/// measured against.
pub fn gemm(
    (m, k, n): (usize, usize, usize),
    alpha: f64,
    a: impl Fn(usize, usize) -> f64,
    b: impl Fn(usize, usize) -> f64,
    beta: f64,
    c: impl Fn(usize, usize) -> f64,
) -> (Vec<f64>, Vec<f64>) {
    let mut result = Vec::with_capacity(m * n);
    let mut magnitude = Vec::with_capacity(m * n);
    for i in 0..m {
        for j in 0..n {
            let old = if beta == 0.0 { 0.0 } else { beta * c(i, j) };
            let (mut sum, mut size) = (0.0, old.abs());
            if alpha != 0.0 {
                for p in 0..k {
                    let product = a(i, p) * b(p, j);
                    sum += product;
                    size += (alpha * product).abs();
                }
                sum *= alpha;
            }
            result.push(sum + old);
            magnitude.push(size);
        }
    }
    (result, magnitude)
}

/// The loss of one sample's scores, and its gradient with respect to them.
///
/// * Softmax cross-entropy: L = -ln(exp(s_y) / sum_j exp(s_j)), dL/ds_j = p_j - \[j = y\].
/// * Hinge (Weston and Watkins): L = sum over j != y of max(0, s_j - s_y + 1), dL/ds_j = \[s_j - s_y + 1 > 0\],
///   dL/ds_y = minus how many those are.
pub fn loss(kind: Loss, scores: &[f64], label: usize) -> (f64, Vec<f64>) {
    match kind {
        Loss::Softmax => {
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let exponentials: Vec<f64> = scores.iter().map(|s| (s - largest).exp()).collect();
            let sum: f64 = exponentials.iter().sum();
            let mut gradient: Vec<f64> = exponentials.iter().map(|e| e / sum).collect();
            gradient[label] -= 1.0;
            (sum.ln() + largest - scores[label], gradient)
        }
        Loss::Hinge => {
            let mut gradient = vec![0.0; scores.len()];
            let mut total = 0.0;
            for (j, &score) in scores.iter().enumerate().filter(|&(j, _)| j != label) {
                let margin = score - scores[label] + 1.0;
                if margin > 0.0 {
                    total += margin;
                    gradient[j] = 1.0;
                    gradient[label] -= 1.0;
                }
            }
            (total, gradient)
        }
    }
}

/// What [`classifier`] computes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Classified {
    /// N x C scores.
    pub scores: Vec<f64>,
    /// N losses.
    pub losses: Vec<f64>,
    /// N x C gradients of the mean loss with respect to the scores.
    pub dscores: Vec<f64>,
    /// C x D gradients of the mean loss with respect to the weights.
    pub dweights: Vec<f64>,
    /// C gradients of the mean loss with respect to the bias.
    pub dbias: Vec<f64>,
    /// N classes of highest score, the first of equals.
    pub predictions: Vec<usize>,
}

/// The linear classifier scores = W x + b on `samples` (N of them, D features each), for W of C x D, and its gradients.
pub fn classifier(
    kind: Loss,
    weights: &[Vec<f64>],
    bias: &[f64],
    samples: &[Vec<f64>],
    labels: &[usize],
) -> Classified {
    let (classes, features) = (weights.len(), weights.first().map_or(0, Vec::len));
    let mut result =
        Classified { dweights: vec![0.0; classes * features], dbias: vec![0.0; classes], ..Classified::default() };
    for (sample, &label) in samples.iter().zip(labels) {
        let dot = |row: &Vec<f64>| row.iter().zip(sample).map(|(w, x)| w * x).sum::<f64>();
        let scores: Vec<f64> = weights.iter().zip(bias).map(|(row, b)| dot(row) + b).collect();
        let (loss, mut dscores) = loss(kind, &scores, label);
        for (c, d) in dscores.iter_mut().enumerate() {
            *d /= samples.len() as f64;
            result.dbias[c] += *d;
            for (target, x) in result.dweights[c * features..][..features].iter_mut().zip(sample) {
                *target += *d * x;
            }
        }
        let best = scores.iter().enumerate().fold(0, |best, (c, s)| if *s > scores[best] { c } else { best });
        result.predictions.push(best);
        result.losses.push(loss);
        result.scores.extend(scores);
        result.dscores.extend(dscores);
    }
    result
}
/// x - ln(sum of exp(x)), the sum along the middle dimension of `extents`, for a row-major x.
pub fn log_softmax(x: &[f64], [outer, extent, inner]: [usize; 3]) -> Vec<f64> {
    let mut y = x.to_vec();
    for o in 0..outer {
        for i in 0..inner {
            let places = || (0..extent).map(|e| (o * extent + e) * inner + i);
            let largest = places().map(|place| x[place]).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = places().map(|place| (x[place] - largest).exp()).sum();
            places().for_each(|place| y[place] = x[place] - largest - sum.ln());
        }
    }
    y
}

/// (x - mean) scale for the rows of `data` that `index` names, one after the other.
pub fn gather(data: &[Vec<f64>], index: &[u32], mean: &[f64], scale: &[f64]) -> Vec<f64> {
    let row =
        |&i: &u32| data[i as usize].iter().zip(mean.iter().zip(scale)).map(|(x, (mean, scale))| (x - mean) * scale);
    index.iter().flat_map(row).collect()
}
