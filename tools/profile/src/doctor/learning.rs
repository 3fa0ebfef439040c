//! What every model must do, whatever the data are.

use super::{Check, Status, Subject};
use crate::args::{BiasName, Init, LossName, ModelName, ModelOptions, OptimizerName, UpdateOptions};
use crate::model::{Model, image_shape};
use crate::objective::{Objective, draw_as_he, squares};
use crate::settings;
use anyhow::Result;
use lanegrad::gradcheck::{Differences, GradientCheck, STEP, Verdict};
use lanegrad::init::{Initializer, Scheme};
use lanegrad::kernels::parallel::Threads;
use lanegrad::optim::Optimizer;
use lanegrad::tape::Tape;
use lanegrad::tensor::Tensor;

/// The largest of the weights at which the loss must be that of chance.
const SMALL: f32 = 1e-6;

/// Images that are learned by heart, the steps that may take, and the mean loss that is left.
const MEMORISED: usize = 20;
const MOST_STEPS: u32 = 1000;
const STEPS_PER_LOOK: u32 = 10;
const SMALL_LOSS: f64 = 0.02;

/// Images of the gradient check, and elements of each parameter.
const DIFFERENTIATED: usize = 2;
const SAMPLES: usize = 8;

/// Images and steps after which one thread and several must agree.
const COMPARED: usize = 96;
const COMPARED_STEPS: usize = 3;

impl Subject<'_> {
    /// The options of a model whose weights are not zero: at zero much that is wrong would not be seen.
    fn options(&self) -> ModelOptions {
        let mut options = self.options.clone();
        if options.model == ModelName::Linear && matches!(options.init, None | Some(Init::Zero)) {
            options.init = Some(Init::Normal(1e-2));
        }
        options
    }

    fn model(&self, options: &ModelOptions, rule: OptimizerName) -> Result<Model> {
        let update = UpdateOptions { optimizer: rule, lr: None, momentum: None };
        Model::new(options, settings::optimizer(options, &update), self.seed, self.images)
    }

    /// The loss where every class is as likely, or its score as high, as any other: ln C, or C - 1.
    fn chance(&self) -> f64 {
        let classes = self.images.classes() as f64;
        match self.options.loss {
            LossName::Softmax => classes.ln(),
            LossName::Hinge => classes - 1.0,
        }
    }
}

/// Small weights give all classes the same score: a loss of ln 10 = 2.3026 for softmax, 9 for hinge.
pub fn chance_loss(subject: &Subject) -> Result<Check> {
    let mut model = subject.model(&subject.options(), OptimizerName::Sgd)?;
    let mut snapshot = model.snapshot()?;
    let values = || snapshot.parameters.iter().flat_map(|(_, tensor)| tensor.values());
    let largest = values().fold(0.0, |largest: f32, value| largest.max(value.abs()));
    for (_, tensor) in &mut snapshot.parameters {
        tensor.values_mut().iter_mut().for_each(|value| *value *= SMALL / largest);
    }
    model.restore(&snapshot)?;
    let trainer = model.trainer();
    let found = subject.threads.run(|| trainer.evaluate(subject.images))?.loss;
    let expected = subject.chance();
    let formula = match subject.options.loss {
        LossName::Softmax => format!("ln {}", subject.images.classes()),
        LossName::Hinge => format!("{} - 1", subject.images.classes()),
    };
    let text = format!("{found:.4} at small weights, expected {formula} = {expected:.4}");
    let advice = "the loss is computed wrongly on this machine; does LANEGRAD_ISA=portable give another?";
    let is_good = (found - expected).abs() < 1e-3 * expected;
    Ok(Check::new("chance loss", is_good, text, (Status::Failed, advice)).with_value(found))
}

/// The regulariser lambda R(W), R the sum of squares of the weights, is added to the loss.
pub fn regularisation(subject: &Subject) -> Result<Check> {
    let lambda = match settings::strength(subject.options) {
        0.0 => 1e-3,
        strength => strength,
    };
    let index: Vec<u32> = (0..subject.images.len() as u32).collect();
    let loss = |lambda: f64| {
        let mut model = subject.model(&ModelOptions { reg: Some(lambda), ..subject.options() }, OptimizerName::Sgd)?;
        let squares = sum_of_squares(&model, subject.options)?;
        let trainer = model.trainer();
        Ok::<_, anyhow::Error>((subject.threads.run(|| trainer.step(subject.images, &index))?.full(), squares))
    };
    let ((without, _), (with, squares)) = (loss(0.0)?, loss(lambda)?);
    let (rise, expected) = (with - without, lambda * squares);
    let text = format!(
        "raises the loss from {without:.4} to {with:.4}, by {rise:.2e}; expected {lambda:e} times the sum of squares {squares:.3} = {expected:.2e}"
    );
    let advice = "the sum of squares of the weights is computed wrongly; does LANEGRAD_ISA=portable give another?";
    let is_good = rise > 0.0 && (rise - expected).abs() < 1e-3 * expected + 1e-6 * without;
    Ok(Check::new("regularisation", is_good, text, (Status::Failed, advice)).with_value(rise))
}

/// The sum of squares of what is regularised: weights, and the bias if it is a column of them.
fn sum_of_squares(model: &Model, options: &ModelOptions) -> Result<f64> {
    let all = options.bias == Some(BiasName::Trick);
    let tensors = model.tensors()?;
    let weights = tensors.iter().filter(|(_, tensor)| all || tensor.shape().rank() > 1);
    Ok(weights.flat_map(|(_, tensor)| tensor.values()).map(|&w| f64::from(w) * f64::from(w)).sum())
}

/// Without regularisation a few images are learned by heart.
pub fn overfitting(subject: &Subject) -> Result<Check> {
    let options = ModelOptions { reg: Some(0.0), ..subject.options.clone() };
    let mut model = subject.model(&options, OptimizerName::Adam)?;
    let images = subject.images.first(MEMORISED);
    let index: Vec<u32> = (0..images.len() as u32).collect();
    let trainer = model.trainer();
    let (found, steps) = subject.threads.run(|| {
        let mut steps = 0;
        loop {
            let found = trainer.evaluate(&images)?;
            let is_learned = found.accuracy == 1.0 && found.loss < SMALL_LOSS;
            if is_learned || steps >= MOST_STEPS || !found.loss.is_finite() {
                return Ok::<_, lanegrad::Error>((found, steps));
            }
            for _ in 0..STEPS_PER_LOOK {
                trainer.step(&images, &index)?;
            }
            steps += STEPS_PER_LOOK;
        }
    })?;
    let text = format!(
        "{} images by heart after {steps} steps of Adam: accuracy {:.0} %, loss {:.4}; expected 100 % and below {SMALL_LOSS}",
        images.len(),
        100.0 * found.accuracy,
        found.loss
    );
    let is_good = found.accuracy == 1.0 && found.loss < SMALL_LOSS;
    let advice = "a model that cannot learn 20 images cannot learn 50,000: other --init, --preprocess or --hidden";
    Ok(Check::new("overfitting", is_good, text, (Status::Failed, advice)).with_value(found.loss))
}

/// Backpropagation agrees with centred differences, in double precision.
pub fn gradient(subject: &Subject) -> Result<Check> {
    let options = subject.options();
    let report = subject.threads.run(|| {
        let mut tape = Tape::new();
        let objective = Objective::on(&options, drawn(subject)?, (subject.seed, true), &mut tape)?;
        draw_as_he(&mut tape, subject.seed)?;
        anyhow::Ok(GRADIENT_CHECK.run(&mut tape, |tape| objective.record(tape, squares))?)
    })?;
    let kinks = report.elements.iter().filter(|element| element.verdict == Verdict::Kink).count();
    let kinks = if kinks == 0 { String::new() } else { format!(" ({kinks} at a kink)") };
    let worst = report.worst_error();
    let error = if worst == 0.0 {
        "differ by rounding alone".into()
    } else {
        format!("differ by up to {worst:.1e} of themselves, expected below 1e-7")
    };
    let slopes = report.elements.len();
    let text = format!("{slopes} slopes by backpropagation and by differences{kinks} {error}");
    let advice = "the gradient is computed wrongly on this machine; does LANEGRAD_ISA=portable give another?";
    Ok(Check::new("gradient", report.passes(), text, (Status::Failed, advice)).with_value(worst))
}

const GRADIENT_CHECK: GradientCheck =
    GradientCheck { differences: Differences::Centred, step: STEP, samples: Some(SAMPLES), seed: 0 };

/// Standardised pixels that were drawn, a label for each image, and the number of classes.
///
/// No photographs: where those are plain, many maxima are a hair from another one, and differences cross such kinks.
fn drawn(subject: &Subject) -> Result<(Tensor<f64>, Vec<u32>, usize)> {
    let shape = image_shape(subject.options.model, subject.images.features()).with_leading(DIFFERENTIATED);
    let pixels = Initializer::new(Scheme::Normal(1.0), subject.seed).draw(shape, 1, 1)?;
    let classes = subject.images.classes();
    Ok((pixels, (0..DIFFERENTIATED).map(|i| ((3 * i + 1) % classes) as u32).collect(), classes))
}

/// Steps on one thread and on several leave the same weights, bit by bit.
pub fn same_bits(subject: &Subject) -> Result<Check> {
    let several = subject.threads.count().max(2);
    let alone = after_steps(subject, 1)?;
    let is_same = alone == after_steps(subject, several)?;
    let text = format!(
        "weights after {COMPARED_STEPS} steps on 1 and on {several} threads {}",
        if is_same { "are the same, bit by bit" } else { "differ; expected the same bits" }
    );
    let advice = "results depend on the number of threads: compare runs at the same --threads, and report it";
    Ok(Check::new("threads", is_same, text, (Status::Failed, advice)))
}

fn after_steps(subject: &Subject, threads: usize) -> Result<Vec<u32>> {
    let options = subject.options();
    let mut model = Model::new(&options, Optimizer::momentum(1e-3), subject.seed, subject.images)?;
    let count = subject.images.len() as u32;
    let batches = (0..COMPARED_STEPS).map(|step| {
        let first = (step * COMPARED) as u32;
        (first..first + COMPARED as u32).map(|i| i % count).collect::<Vec<_>>()
    });
    let trainer = model.trainer();
    let mut batches = batches.collect::<Vec<_>>().into_iter();
    Threads::new(threads)?.run(|| batches.try_for_each(|index| trainer.step(subject.images, &index).map(drop)))?;
    Ok(model.tensors()?.iter().flat_map(|(_, tensor)| tensor.values()).map(|value| value.to_bits()).collect())
}
