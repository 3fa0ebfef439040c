//! What `profile gradcheck` found, as JSON.

use super::table::Table;
use crate::report;
use lanegrad::gradcheck::Element;
use serde::Serialize;

/// The JSON report of a gradient check, version 1.
///
/// `elements` are those that were checked, worst first. `worst_error` is the largest relative error of those that are neither at
/// a kink nor within the rounding of the loss. `table` is there with `--table`: its `loss` is that of W, each row's that of W + h.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct JsonReport<'a> {
    pub version: u32,
    pub command: &'static str,
    pub isa: &'static str,
    pub threads: usize,
    pub data: report::Data,
    pub model: report::Model,
    pub reg: f64,
    pub batch_size: usize,
    pub seed: u64,
    pub step: f64,
    pub verdict: &'static str,
    pub worst_error: f64,
    pub passes: bool,
    pub analytic_seconds: f64,
    pub numerical_seconds: f64,
    pub elements: Vec<JsonElement<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<&'a Table>,
}

/// One checked element.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct JsonElement<'a> {
    pub parameter: &'a str,
    pub index: &'a [usize],
    pub analytic: f64,
    pub numerical: f64,
    pub error: f64,
    pub within_rounding: bool,
    pub verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sides: Option<[f64; 2]>,
}

impl<'a> From<&'a Element> for JsonElement<'a> {
    fn from(element: &'a Element) -> Self {
        Self {
            parameter: &element.parameter,
            index: &element.index,
            analytic: element.analytic,
            numerical: element.numerical,
            error: element.error,
            within_rounding: element.within_rounding,
            verdict: element.verdict.name(),
            sides: element.sides,
        }
    }
}
