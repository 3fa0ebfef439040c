//! `profile lecture`: the worked example of the lecture's slides, computed by the kernels that train.

use crate::json::Json;
use crate::screen::Screen;
use anyhow::Result;
use clap::Args;
use lanegrad::Loss;
use lanegrad::kernels::classifier::{Linear, Normalisation, Samples, StoreGradient, backward, forward};
use lanegrad::kernels::{MatMut, MatRef, classifier, gemm, math};
use serde::Serialize;
use std::fmt::Write;

/// The options of `profile lecture`.
#[derive(Args, Clone, Debug)]
pub struct LectureOptions {
    /// Also write the numbers of the worked example, as JSON, to this file, or to standard output (`-`; the lines for people then go
    /// to standard error)
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<String>,
}

/// The slide's weights, one row for each class.
const WEIGHTS: [f64; 12] = [0.01, -0.05, 0.1, 0.05, 0.7, 0.2, 0.05, 0.16, 0.0, -0.45, -0.2, 0.03];
const BIAS: [f64; 3] = [0.0, 0.2, -0.3];
const PIXELS: [f64; 4] = [-15.0, 22.0, -44.0, 56.0];
const LABEL: u32 = 2;

/// The loss of one sample, and the gradients with respect to scores, weights, bias and pixels.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Gradients {
    loss: f64,
    dscores: Vec<f64>,
    dweights: Vec<f64>,
    dbias: Vec<f64>,
    dpixels: Vec<f64>,
}

/// Scores W x + b, by the matrix product.
fn scores(weights: &[f64], bias: &[f64], pixels: &[f64]) -> Result<Vec<f64>> {
    let mut scores = bias.to_vec();
    let (classes, features) = (bias.len(), pixels.len());
    gemm(
        1.0,
        MatRef::row_major(weights, classes, features)?,
        MatRef::row_major(pixels, features, 1)?,
        1.0,
        MatMut::row_major(&mut scores, classes, 1)?,
    )?;
    Ok(scores)
}

/// Loss and gradients of one sample, by the fused classifier.
fn gradients(loss: Loss, weights: &[f64], bias: &[f64], pixels: &[f64], label: u32) -> Result<Gradients> {
    let (classes, features) = (bias.len(), pixels.len());
    let weights = MatRef::row_major(weights, classes, features)?;
    let labels = [label];
    let samples = Samples::new(pixels, features, features, &labels, &[0])?;
    let (mut losses, mut dscores) = ([0.0], vec![0.0; classes]);
    let view = MatMut::row_major(&mut dscores, classes, 1)?;
    forward(Linear::new(weights, bias)?, samples, loss, view, &mut losses)?;
    let (mut dweights, mut dbias) = (vec![0.0; classes * features], vec![0.0; classes]);
    let store = StoreGradient { dweights: MatMut::row_major(&mut dweights, classes, features)?, normalisation: None };
    backward(samples, MatRef::row_major(&dscores, classes, 1)?, &mut dbias, store)?;
    let mut dpixels = vec![0.0; features];
    gemm(
        1.0,
        weights.transposed(),
        MatRef::row_major(&dscores, classes, 1)?,
        0.0,
        MatMut::row_major(&mut dpixels, features, 1)?,
    )?;
    Ok(Gradients { loss: losses[0], dscores, dweights, dbias, dpixels })
}

/// Loss and dScores for given scores: a classifier whose weights are zero and whose bias is the scores.
fn loss_of_scores(loss: Loss, scores: &[f64], label: u32) -> Result<Gradients> {
    gradients(loss, &vec![0.0; scores.len()], scores, &[1.0], label)
}

/// The sum of squares, as the training step computes it while it folds the weights.
fn sum_of_squares(weights: &[f64]) -> Result<f64> {
    let features = weights.len();
    let (mean, scale) = (vec![0.0; features], vec![1.0; features]);
    let (mut copy, mut sums) = (vec![0.0; features], vec![0.0; features.div_ceil(classifier::FOLD_BLOCK) * 2]);
    let blocks = features.div_ceil(classifier::FOLD_BLOCK);
    let folded = classifier::Folded {
        weights: MatMut::row_major(&mut copy, 1, features)?,
        sums: MatMut::row_major(&mut sums, blocks, 2)?,
        normalisation: Normalisation::new(&mean, &scale)?,
    };
    classifier::fold(MatRef::row_major(weights, 1, features)?, folded)?;
    Ok(classifier::Folded::totals(MatRef::row_major(&sums, blocks, 2)?, &[0.0], &mut [0.0]))
}

/// exp of each score, and its part of their sum.
fn softmax(scores: &[f64]) -> Result<(Vec<f64>, Vec<f64>)> {
    let mut exponentials = vec![0.0; scores.len()];
    math::exp(scores, &mut exponentials)?;
    let sum: f64 = exponentials.iter().sum();
    let probabilities = exponentials.iter().map(|e| e / sum).collect();
    Ok((exponentials, probabilities))
}

/// Numbers as a slide shows them.
fn row(values: &[f64], digits: usize) -> String {
    // Adding zero turns -0 into 0.
    let texts: Vec<String> = values.iter().map(|value| format!("{:.digits$}", value + 0.0)).collect();
    format!("({})", texts.join(", "))
}

/// The worked example: what is given, and what follows from it.
#[derive(Debug, Serialize)]
struct Example {
    level: String,
    weights: [f64; 12],
    bias: [f64; 3],
    pixels: [f64; 4],
    label: u32,
    scores: Vec<f64>,
    hinge: Gradients,
    softmax: Gradients,
    exponentials: Vec<f64>,
    probabilities: Vec<f64>,
    sum_of_squares: f64,
}

impl Example {
    fn compute() -> Result<Self> {
        let scores = scores(&WEIGHTS, &BIAS, &PIXELS)?;
        let (exponentials, probabilities) = softmax(&scores)?;
        Ok(Self {
            level: lanegrad::kernels::dispatch::level()?.to_string(),
            weights: WEIGHTS,
            bias: BIAS,
            pixels: PIXELS,
            label: LABEL,
            scores,
            hinge: gradients(Loss::Hinge, &WEIGHTS, &BIAS, &PIXELS, LABEL)?,
            softmax: gradients(Loss::Softmax, &WEIGHTS, &BIAS, &PIXELS, LABEL)?,
            exponentials,
            probabilities,
            sum_of_squares: sum_of_squares(&WEIGHTS)?,
        })
    }
}

/// Prints the example, the slides' numbers beside the computed ones.
pub fn run(options: &LectureOptions) -> Result<()> {
    let json = Json::new(options.json.as_deref())?;
    let example = Example::compute()?;
    let mut screen: Screen = json.screen();
    text(&example)?.lines().try_for_each(|line| screen.line(line))?;
    if let Some(file) = json.file() {
        screen.line(&format!("\nwrote {}", file.display()))?;
    }
    json.write(&example)
}

/// What is printed.
fn text(example: &Example) -> Result<String> {
    let mut out = String::new();
    writeln!(
        out,
        "The lecture's worked example, computed in f64 by the kernels that train (level {}).",
        example.level
    )?;
    writeln!(out, "x = {}, label y = {LABEL}\n", row(&PIXELS, 0))?;
    worked_example(&mut out, example)?;
    full_loss(&mut out, example)?;
    softmax_against_svm(&mut out)?;
    spread_weights(&mut out)?;
    Ok(out)
}

fn worked_example(out: &mut dyn Write, example: &Example) -> Result<()> {
    let line = |out: &mut dyn Write, what: &str, slide: &str, ours: &str| -> Result<()> {
        Ok(writeln!(out, "{what:<34} {slide:<24} {ours}")?)
    };
    let Example { scores, hinge, softmax: cross_entropy, exponentials, probabilities, .. } = example;
    let trick = with_bias_trick()?;

    line(out, "", "slide", "computed")?;
    line(out, "scores s = W x + b", "(-2.85, 0.86, 0.28)", &row(scores, 10))?;
    line(out, "  the same by the bias trick", "", &row(&trick, 10))?;
    line(out, "hinge loss (SVM)", "1.58", &format!("{:.10}", hinge.loss))?;
    print_gradients(out, hinge)?;
    line(out, "exp of the scores", "(0.058, 2.36, 1.32)", &row(exponentials, 10))?;
    line(out, "  normalised: softmax", "(0.016, 0.631, 0.353)", &row(probabilities, 10))?;
    line(out, "cross-entropy loss (softmax)", "0.452", &format!("{:.10}", cross_entropy.loss))?;
    print_gradients(out, cross_entropy)?;

    let base_ten = cross_entropy.loss / std::f64::consts::LN_10;
    let rounded = 0.058 / (0.058 + 2.36 + 1.32);
    writeln!(out, "\nTwo numbers on the slide are slips:")?;
    writeln!(
        out,
        "  0.452 is the logarithm to base 10 ({base_ten:.4}); the loss is the natural logarithm, {:.3}.",
        cross_entropy.loss
    )?;
    writeln!(
        out,
        "  0.016 is a quotient of rounded numbers, 0.058 / (0.058 + 2.36 + 1.32) = {rounded:.4}; exactly it is {:.4}.\n",
        probabilities[0]
    )?;
    Ok(())
}

/// The scores with the bias as a last column of W, for a pixel that is always 1.
fn with_bias_trick() -> Result<Vec<f64>> {
    let weights: Vec<f64> =
        WEIGHTS.chunks(PIXELS.len()).zip(BIAS).flat_map(|(row, bias)| row.iter().copied().chain([bias])).collect();
    let pixels: Vec<f64> = PIXELS.into_iter().chain([1.0]).collect();
    scores(&weights, &[0.0; 3], &pixels)
}

fn print_gradients(out: &mut dyn Write, gradients: &Gradients) -> Result<()> {
    let mut line = |what: &str, values: &[f64]| writeln!(out, "{what:<59} {}", row(values, 7));
    line("  gradient by the scores, ds", &gradients.dscores)?;
    for (class, values) in gradients.dweights.chunks(PIXELS.len()).enumerate() {
        line(&format!("  gradient by the weights, dW row {class}"), values)?;
    }
    line("  gradient by the bias, db", &gradients.dbias)?;
    line("  gradient by the pixels, dx", &gradients.dpixels)?;
    Ok(())
}

fn full_loss(out: &mut dyn Write, example: &Example) -> Result<()> {
    let (squares, hinge, softmax) = (example.sum_of_squares, example.hinge.loss, example.softmax.loss);
    writeln!(out, "Full loss L = mean of the losses + R(W), with R(W) the sum of squares, so dR/dW = 2 W:")?;
    writeln!(out, "  R(W) = {squares:.4}")?;
    writeln!(out, "  SVM      {hinge:.4} + {squares:.4} = {:.7}", hinge + squares)?;
    writeln!(out, "  softmax  {softmax:.4} + {squares:.4} = {:.7}\n", softmax + squares)?;
    Ok(())
}

fn softmax_against_svm(out: &mut dyn Write) -> Result<()> {
    writeln!(out, "Softmax against SVM, on the same scores:")?;
    writeln!(out, "  {:<24} {:>5}  {:>10}  {:>10}", "scores", "label", "hinge", "softmax")?;
    let cases = [
        ([10.0, -2.0, 3.0], 0),
        ([10.0, 9.0, 9.0], 0),
        ([10.0, -100.0, -100.0], 0),
        ([123.0, 456.0, 789.0], 0),
        ([3.2, 5.1, -1.7], 0),
        ([1.3, 4.9, 2.0], 1),
        ([2.2, 2.5, -3.1], 2),
    ];
    for (scores, label) in cases {
        let hinge = loss_of_scores(Loss::Hinge, &scores, label)?.loss;
        let softmax = loss_of_scores(Loss::Softmax, &scores, label)?.loss;
        let text = row(&scores, 1);
        writeln!(out, "  {text:<24} {label:>5}  {hinge:>10.4}  {softmax:>10.4}")?;
    }
    writeln!(
        out,
        "  The SVM is content once every margin is met: the first three are all 0 to it. The softmax never is,"
    )?;
    writeln!(out, "  and scores as large as 789 do not overflow, since the largest is subtracted before exp.")?;
    let (_, sharp) = softmax(&[1.0, -2.0, 0.0])?;
    let (_, diffuse) = softmax(&[0.5, -1.0, 0.0])?;
    writeln!(out, "  Stronger regularisation makes smaller weights and more even probabilities:")?;
    writeln!(out, "  scores (1, -2, 0) give {}, half of them {}.\n", row(&sharp, 4), row(&diffuse, 4))?;
    Ok(())
}

fn spread_weights(out: &mut dyn Write) -> Result<()> {
    let ones = [1.0; 4];
    let (single, spread) = ([1.0, 0.0, 0.0, 0.0], [0.25; 4]);
    writeln!(out, "Why the regulariser prefers spread weights, on x = {}:", row(&ones, 0))?;
    for (name, weights) in [("w1", single), ("w2", spread)] {
        let score = scores(&weights, &[0.0], &ones)?[0];
        let squares = sum_of_squares(&weights)?;
        writeln!(out, "  {name} = {:<26} w x = {score:.0}   R(w) = {squares:.2}", row(&weights, 2))?;
    }
    writeln!(out, "  Both score the same; w2 looks at every pixel a little and costs a quarter.")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_close(found: &[f64], wanted: &[f64], tolerance: f64) {
        assert_eq!(found.len(), wanted.len());
        for (f, w) in found.iter().zip(wanted) {
            assert!((f - w).abs() <= tolerance, "{found:?} for {wanted:?}");
        }
    }

    #[test]
    fn scores_and_bias_trick() {
        assert_close(&scores(&WEIGHTS, &BIAS, &PIXELS).unwrap(), &[-2.85, 0.86, 0.28], 1e-12);
        assert_close(&with_bias_trick().unwrap(), &[-2.85, 0.86, 0.28], 1e-12);
    }

    #[test]
    fn hinge_loss_and_gradients() {
        let result = gradients(Loss::Hinge, &WEIGHTS, &BIAS, &PIXELS, LABEL).unwrap();
        assert_close(&[result.loss], &[1.58], 1e-12);
        assert_eq!(result.dscores, [0.0, 1.0, -1.0]);
        assert_eq!(result.dbias, result.dscores);
        let minus: Vec<f64> = PIXELS.iter().map(|x| -x).collect();
        assert_close(&result.dweights, &[[0.0; 4].as_slice(), &PIXELS, &minus].concat(), 1e-12);
        assert_close(&result.dpixels, &[0.70, 0.65, 0.25, 0.13], 1e-12);
    }

    #[test]
    fn softmax_loss_and_gradients() {
        let result = gradients(Loss::Softmax, &WEIGHTS, &BIAS, &PIXELS, LABEL).unwrap();
        assert_close(&[result.loss], &[1.040_190_569_4], 1e-10);
        assert_close(&result.dscores, &[0.015_449_315_7, 0.631_163_353_6, -0.646_612_669_3], 1e-10);
        assert_close(&result.dweights[4..8], &[-9.467_450_3, 13.885_593_8, -27.771_187_6, 35.345_147_8], 1e-7);
        assert_close(&result.dweights[8..], &[9.699_190_0, -14.225_478_7, 28.450_957_4, -36.210_309_5], 1e-7);
        assert_close(&result.dweights[..4], &[-0.231_739_7, 0.339_884_9, -0.679_769_9, 0.865_161_7], 1e-7);
        assert_close(&result.dpixels, &[0.441_968_8, 0.416_435_9, 0.162_425_6, 0.082_360_2], 1e-7);
        let (exponentials, probabilities) = softmax(&scores(&WEIGHTS, &BIAS, &PIXELS).unwrap()).unwrap();
        assert_close(&exponentials, &[0.057_844_320_9, 2.363_160_693_7, 1.323_129_812_3], 1e-10);
        assert_close(&probabilities, &[0.015_449_315_7, 0.631_163_353_6, 0.353_387_330_7], 1e-10);
        assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-15);
    }

    #[test]
    fn regulariser() {
        assert_close(&[sum_of_squares(&WEIGHTS).unwrap()], &[0.8166], 1e-12);
        assert_eq!(sum_of_squares(&[1.0, 0.0, 0.0, 0.0]).unwrap(), 1.0);
        assert_eq!(sum_of_squares(&[0.25; 4]).unwrap(), 0.25);
    }

    #[test]
    fn the_slides_numbers_and_both_slips_are_printed() {
        let text = text(&Example::compute().unwrap()).unwrap();
        for number in
            ["0.452", "0.4517", "1.040", "0.016", "0.0155", "0.0154", "1.58", "2.3966", "1.8567906", "666.0000"]
        {
            assert!(text.contains(number), "{number} in\n{text}");
        }
        assert!(!text.contains("-0.0000000,") && !text.contains("NaN"));
    }
}
