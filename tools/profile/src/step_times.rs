//! Where the time of the steps goes, kernel by kernel (`--time`).
//!
//! Floating-point operations are counted for products alone, two for each multiply-add. With N the elements of the result:
//!
//! | operation | forward | backward, for each of the two operands whose gradient is wanted |
//! |---|---|---|
//! | `linear`, `matmul` | 2 N k, k the last extent of the first input | 2 N k |
//! | `conv2d` | 2 N kh kw c, for weights (kh, kw, c, f) | 2 N kh kw c |
//! | linear classifier | 2 N D C, for N images of D pixels and C classes | 2 N D C |
//!
//! Bytes are the least that must move: each operand and result once, four bytes a number; backward also the cotangents. What
//! moves within caches, or more than once, is not in them. They are left out where operations are counted, since products
//! are not bound by memory.

use crate::report;
use lanegrad::kernels::isa::Scalar;
use lanegrad::tape::{Observed, Observer, Pass};
use lanegrad::times::StepTimes;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Rows of the table: those of node n are 2 n, forward, and 2 n + 1, backward.
type Rows = Vec<Option<Row>>;

/// What one operation did, one way.
#[derive(Clone, Debug, Default)]
struct Row {
    name: String,
    shapes: String,
    pass: &'static str,
    calls: u64,
    elapsed: Duration,
    operations: f64,
    bytes: f64,
}

/// The times of the operations on a tape. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct KernelTimes(Arc<Mutex<Rows>>);

impl Observer<f32> for KernelTimes {
    fn observe(&mut self, run: Observed<'_, f32>) {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = 2 * run.node + usize::from(run.pass == Pass::Backward);
        if rows.len() <= index {
            rows.resize(index + 1, None);
        }
        let row = rows[index].get_or_insert_with(|| Row {
            name: if run.name == "leaf" { "batch".into() } else { run.name.into() },
            shapes: shapes(&run),
            pass: if run.pass == Pass::Forward { "forward" } else { "backward" },
            ..Row::default()
        });
        row.calls += 1;
        row.elapsed += run.elapsed;
        row.operations += operations(&run);
        row.bytes += bytes(&run);
    }
}

/// The shapes of inputs and result.
fn shapes<T: Scalar>(run: &Observed<'_, T>) -> String {
    let inputs: Vec<String> = (0..run.inputs.len()).map(|i| run.inputs.shape(i).to_string()).collect();
    if inputs.is_empty() { run.shape.to_string() } else { format!("{} -> {}", inputs.join(" "), run.shape) }
}

fn elements(extents: &[usize]) -> f64 {
    extents.iter().map(|&extent| extent as f64).product()
}

/// Whether the gradient of input `i` is computed, as 0 or 1.
fn wanted<T: Scalar>(run: &Observed<'_, T>, i: usize) -> f64 {
    f64::from(u8::from(run.inputs.wants_gradient(i)))
}

/// Floating-point operations of a product; 0 for anything else.
fn operations<T: Scalar>(run: &Observed<'_, T>) -> f64 {
    let terms = match run.name {
        "linear" | "matmul" => run.inputs.shape(0).extents().last().map_or(1.0, |&k| k as f64),
        "conv2d" | "conv2d + relu" => {
            run.inputs.shape(1).extents().split_last().map_or(0.0, |(_, window)| elements(window))
        }
        _ => return 0.0,
    };
    let products = match run.pass {
        Pass::Forward => 1.0,
        Pass::Backward => wanted(run, 0) + wanted(run, 1),
    };
    2.0 * elements(run.shape.extents()) * terms * products
}

/// Bytes of all operands and results.
fn bytes<T: Scalar>(run: &Observed<'_, T>) -> f64 {
    let inputs = 0..run.inputs.len();
    let numbers = inputs.map(|i| {
        let gradient = if run.pass == Pass::Backward { wanted(run, i) } else { 0.0 };
        elements(run.inputs.shape(i).extents()) * (1.0 + gradient)
    });
    (numbers.sum::<f64>() + elements(run.shape.extents())) * size_of::<T>() as f64
}

/// The steps whose time the table shares out.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Steps.
    pub steps: u64,
    /// What they took in all.
    pub seconds: f64,
    /// Images in them.
    pub images: f64,
    /// Multiply-add peak of the machine in GFLOP/s.
    pub peak_gflops: f64,
}

impl KernelTimes {
    /// The table of a network, the longest first.
    pub fn of_network(&self, times: StepTimes, parameters: usize, measured: Measured) -> report::Time {
        let mut rows: Vec<Row> =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().flatten().cloned().collect();
        let (shapes, calls) = (format!("[{parameters}]"), measured.steps);
        rows.push(Row {
            name: "update rule".into(),
            shapes,
            pass: "update",
            calls,
            elapsed: times.update,
            ..Row::default()
        });
        report_of(rows, measured)
    }
}

/// The table of a linear classifier of `classes` classes on `features` pixels.
pub fn of_linear(times: StepTimes, (classes, features): (usize, usize), measured: Measured) -> report::Time {
    let operations = 2.0 * measured.images * classes as f64 * features as f64;
    let row = |name: &str, pass, elapsed, operations| Row {
        name: name.into(),
        shapes: format!("[{classes}, {features}]"),
        pass,
        calls: measured.steps,
        elapsed,
        operations,
        bytes: 0.0,
    };
    let gradient = if times.fused { "gradient and update" } else { "gradient" };
    let mut rows = vec![
        row("scores and loss", "forward", times.forward, operations),
        row(gradient, "backward", times.backward, operations),
    ];
    if !times.fused {
        rows.push(row("update rule", "update", times.update, 0.0));
    }
    report_of(rows, measured)
}

fn report_of(mut rows: Vec<Row>, measured: Measured) -> report::Time {
    let known: Duration = rows.iter().map(|row| row.elapsed).sum();
    let rest = (measured.seconds - known.as_secs_f64()).max(0.0);
    rows.push(Row {
        name: "everything else".into(),
        calls: measured.steps,
        elapsed: Duration::from_secs_f64(rest),
        ..Row::default()
    });
    rows.sort_by_key(|row| std::cmp::Reverse(row.elapsed));
    let kernel = |row: Row| {
        let seconds = row.elapsed.as_secs_f64();
        let rate = |amount: f64| (amount > 0.0 && seconds > 0.0).then(|| amount / seconds * 1e-9);
        let gflops = rate(row.operations);
        report::Kernel {
            name: row.name,
            shapes: row.shapes,
            pass: row.pass.into(),
            calls: row.calls,
            seconds,
            share: if measured.seconds > 0.0 { seconds / measured.seconds } else { 0.0 },
            gflops,
            peak_fraction: gflops.map(|gflops| gflops / measured.peak_gflops),
            gigabytes_per_second: rate(row.bytes).filter(|_| gflops.is_none()),
        }
    };
    let kernels = rows.into_iter().map(kernel).collect();
    report::Time { steps: measured.steps, seconds: measured.seconds, kernels }
}

/// The table's lines.
pub fn lines(time: &report::Time) -> Vec<String> {
    let mut lines = vec!["pass      ms in all  share    calls  GFLOP/s  of peak   GB/s  operation".to_owned()];
    lines.extend(time.kernels.iter().map(|kernel| {
        let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.1}"));
        let of_peak = kernel.peak_fraction.map_or(String::new(), |part| format!("{:.1} %", 100.0 * part));
        let line = format!(
            "{:8} {:10.2} {:4.1} % {:8}  {:>7}  {of_peak:>7}  {:>5}  {} {}",
            kernel.pass,
            1e3 * kernel.seconds,
            100.0 * kernel.share,
            kernel.calls,
            number(kernel.gflops),
            number(kernel.gigabytes_per_second),
            kernel.name,
            kernel.shapes
        );
        line.trim_end().to_owned()
    }));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use lanegrad::ops::conv2d::Conv2d;
    use lanegrad::tape::Tape;
    use lanegrad::tensor::Tensor;

    #[test]
    fn products_are_counted_by_their_shapes() {
        let times = KernelTimes::default();
        let mut tape = Tape::<f32>::new();
        tape.set_observer(Some(Box::new(times.clone())));
        let ones = |shape: &[usize]| Tensor::ones(shape).unwrap();
        let images = tape.constant(&ones(&[2, 8, 8, 4]));
        let weight = tape.variable(&ones(&[3, 3, 2, 6]));
        let convolved = images.conv2d(weight, None, Conv2d { groups: 2, ..Conv2d::default() });
        let flat = convolved.reshape([2, 216]);
        let [w, b] = [&[216, 5][..], &[5]].map(|shape| tape.variable(&ones(shape)));
        flat.linear(w, b).sum_all().backward().unwrap();
        let measured = Measured { steps: 1, seconds: 10.0, images: 2.0, peak_gflops: 100.0 };
        let report = times.of_network(StepTimes::default(), 7, measured);
        let count = |name: &str, pass: &str| {
            let kernel = report.kernels.iter().find(|kernel| kernel.name == name && kernel.pass == pass).unwrap();
            (kernel.gflops.unwrap() * kernel.seconds * 1e9).round()
        };
        // Each of 2 x 6 x 6 x 6 results is a sum of 3 x 3 x 2 products; pixels want no gradient.
        assert_eq!(count("conv2d", "forward"), 2.0 * 432.0 * 18.0);
        assert_eq!(count("conv2d", "backward"), 2.0 * 432.0 * 18.0);
        assert_eq!(count("linear", "forward"), 2.0 * 2.0 * 216.0 * 5.0);
        assert_eq!(count("linear", "backward"), 4.0 * 2.0 * 216.0 * 5.0);
        let shares: f64 = report.kernels.iter().map(|kernel| kernel.share).sum();
        assert!((shares - 1.0).abs() < 1e-9, "{shares}");
        assert_eq!(lines(&report).len(), report.kernels.len() + 1);
    }
}
