//! The slides' table "Numerical evaluation of the gradient".

use crate::objective::{Objective, Squares};
use anyhow::Result;
use lanegrad::tape::Tape;
use serde::Serialize;

/// The step h of the slides' table.
const STEP: f64 = 1e-4;

/// Dimensions that it shows.
const DIMENSIONS: usize = 9;

/// W, and the loss of W + h in one dimension after the other.
#[derive(Debug, Serialize)]
pub struct Table {
    /// The parameter that W is.
    parameter: String,
    /// Its numbers.
    elements: usize,
    h: f64,
    /// The loss of W.
    loss: f64,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    /// The number in this dimension.
    weight: f64,
    /// The loss of W + h.
    loss: f64,
    /// (loss of W + h - loss of W) / h.
    slope: f64,
    /// The same derivative by backpropagation.
    analytic: f64,
}

impl Table {
    /// The first dimensions of the first parameter; `tape` keeps its parameters.
    pub fn new(objective: &Objective, squares: Squares, tape: &mut Tape<f64>) -> Result<Self> {
        let mut first = None;
        tape.for_each_parameter(|info| {
            first.get_or_insert((info.name.to_owned(), info.range));
        });
        let (parameter, range) = first.unwrap_or_default();
        tape.reset();
        let value = objective.record(tape, squares);
        value.backward()?;
        let loss = value.item()?;
        let analytic = tape.parameters_and_gradients().1.to_vec();
        let rows = range.clone().take(DIMENSIONS).map(|position| {
            let weight = tape.parameters_mut()[position];
            let ahead = loss_at(objective, squares, tape, (position, weight + STEP));
            tape.parameters_mut()[position] = weight;
            let ahead = ahead?;
            Ok(Row { weight, loss: ahead, slope: (ahead - loss) / STEP, analytic: analytic[position] })
        });
        let rows = rows.collect::<Result<_>>()?;
        Ok(Self { parameter, elements: range.len(), h: STEP, loss, rows })
    }

    /// As text, with an empty line after it.
    pub fn lines(&self) -> Vec<String> {
        let Self { parameter, elements, h, loss, rows } = self;
        let mut lines = vec![
            format!("W = {parameter}, {} of its {elements} dimensions; the current loss is {loss:.9}", rows.len()),
            format!(
                "{:>12}  {:>21}  {:>14}  {:>24}  {:>14}",
                "current W",
                "W + h in this dim.",
                "loss of W + h",
                format!("dW = (loss - {loss:.5})/{h}"),
                "analytic dW"
            ),
        ];
        for Row { weight, loss, slope, analytic } in rows {
            lines.push(format!(
                "{weight:>12.8}  {:>21}  {loss:>14.9}  {slope:>24.9}  {analytic:>14.9}",
                format!("{weight:.8} + {h}")
            ));
        }
        lines.push(String::new());
        lines
    }
}

/// The loss with one number of the parameters changed.
fn loss_at(
    objective: &Objective,
    squares: Squares,
    tape: &mut Tape<f64>,
    (position, weight): (usize, f64),
) -> Result<f64> {
    tape.parameters_mut()[position] = weight;
    tape.reset();
    Ok(objective.record(tape, squares).item()?)
}
