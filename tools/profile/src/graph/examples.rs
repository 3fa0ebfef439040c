//! The computations whose graphs the lecture and its notes draw.

use super::Example;
use lanegrad::Error;
use lanegrad::tape::Tape;
use lanegrad::tensor::Tensor;

/// Records the example on `tape`, goes back over it, and returns what it shows.
pub fn record(example: Example, tape: &Tape<f64>) -> Result<&'static str, Error> {
    match example {
        Example::Product => product(tape),
        Example::Neuron => neuron(tape),
        Example::Svm => svm(tape),
        Example::Gates => gates(tape),
    }
}

/// The slides "f(x, y, z) = (x + y) z", with the name q for the intermediate result.
fn product(tape: &Tape<f64>) -> Result<&'static str, Error> {
    let [x, y, z] = [("x", -2.0), ("y", 5.0), ("z", -4.0)].map(|(name, value)| tape.scalar(value).named(name));
    let q = (x + y).named("q");
    (q * z).named("f").backward()?;
    Ok("f(x, y, z) = (x + y) z")
}

/// The sigmoid neuron of the CS231n notes (<https://cs231n.github.io/optimization-2/>), with their numbers.
fn neuron(tape: &Tape<f64>) -> Result<&'static str, Error> {
    let values = [("w0", 2.0), ("x0", -1.0), ("w1", -3.0), ("x1", -2.0), ("w2", -3.0)];
    let [w0, x0, w1, x1, w2] = values.map(|(name, value)| tape.scalar(value).named(name));
    let dot = w0 * x0 + w1 * x1 + w2;
    let denominator = ((dot * -1.0).named("* -1").exp() + 1.0).named("+ 1");
    denominator.powf(-1.0).named("1 / x").backward()?;
    Ok("A sigmoid neuron: 1 / (1 + exp(-(w0 x0 + w1 x1 + w2)))")
}

/// The lecture's worked example of the SVM, with its weights, pixels and label, and R(W) = the sum of the squares of W.
fn svm(tape: &Tape<f64>) -> Result<&'static str, Error> {
    let weights = [0.01, -0.05, 0.1, 0.05, 0.7, 0.2, 0.05, 0.16, 0.0, -0.45, -0.2, 0.03];
    let w = tape.variable(&Tensor::from_slice([3, 4], &weights)?).named("W");
    let x = tape.variable(&Tensor::from_slice([4, 1], &[-15.0, 22.0, -44.0, 56.0])?).named("x");
    let b = tape.variable(&Tensor::from_slice([3, 1], &[0.0, 0.2, -0.3])?).named("b");
    let y = tape.indices(&[2]).named("y");
    let scores = (w.matmul(x) + b).named("s");
    let data = scores.transpose().hinge(y).named("data loss");
    let regulariser = w.square().sum_all().named("R(W)");
    (data + regulariser).named("L").backward()?;
    Ok("The SVM's full loss: L = hinge loss of W x + b, + R(W)")
}

/// The example of the CS231n notes for how gates pass a gradient on: add distributes it, max routes it, mul switches inputs.
fn gates(tape: &Tape<f64>) -> Result<&'static str, Error> {
    let values = [("x", 3.0), ("y", -4.0), ("z", 2.0), ("w", -1.0)];
    let [x, y, z, w] = values.map(|(name, value)| tape.scalar(value).named(name));
    ((x * y + z.maximum(w)) * 2.0).named("* 2").backward()?;
    Ok("f = 2 (x y + max(z, w))")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names with values and gradients, as the slides and notes have them.
    fn check(example: Example, wanted: &[(&str, f64, f64)]) {
        let tape = Tape::new();
        record(example, &tape).unwrap();
        for &(name, value, gradient) in wanted {
            let found = tape.find(name).unwrap();
            let (found_value, found_gradient) = (found.item().unwrap(), found.gradient().unwrap().item().unwrap());
            assert!((found_value - value).abs() < 1e-9, "{name}: {found_value}");
            assert!((found_gradient - gradient).abs() < 1e-9, "{name}: gradient {found_gradient}");
        }
    }

    #[test]
    fn numbers_of_the_slides() {
        check(
            Example::Product,
            &[("x", -2.0, -4.0), ("y", 5.0, -4.0), ("z", -4.0, 3.0), ("q", 3.0, -4.0), ("f", -12.0, 1.0)],
        );
        let slope = 0.196_611_933_241;
        check(
            Example::Neuron,
            &[
                ("w0", 2.0, -slope),
                ("x0", -1.0, 2.0 * slope),
                ("w1", -3.0, -2.0 * slope),
                ("x1", -2.0, -3.0 * slope),
                ("w2", -3.0, slope),
                ("1 / x", 0.731_058_578_630, 1.0),
            ],
        );
        check(Example::Gates, &[("x", 3.0, -8.0), ("y", -4.0, 6.0), ("z", 2.0, 2.0), ("w", -1.0, 0.0)]);
        check(Example::Gates, &[("* 2", -20.0, 1.0)]);
        check(Example::Svm, &[("data loss", 1.58, 1.0), ("R(W)", 0.8166, 1.0), ("L", 2.3966, 1.0)]);
    }
}
