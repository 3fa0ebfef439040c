//! What PyTorch computes in float64 (`golden/README.md`), against ours.

use lanegrad::kernels::isa::Scalar;
use lanegrad::ops::conv2d::{Activation, Conv2d};
use lanegrad::ops::local_response_norm::LocalResponseNorm;
use lanegrad::ops::pool2d::Window;
use lanegrad::optim::{Optimizer, Segment, Updater};
use lanegrad::tape::{Tape, Var};
use lanegrad::tensor::Tensor;
use safetensors::SafeTensors;

/// The largest difference, as a part of the largest golden number.
fn tolerance<T>() -> f64 {
    if size_of::<T>() == size_of::<f64>() { 1e-10 } else { 1e-5 }
}

/// A golden file.
struct Golden(Vec<u8>);

impl Golden {
    fn read(name: &str) -> Self {
        Self(std::fs::read(format!("{}/tests/golden/{name}.safetensors", env!("CARGO_MANIFEST_DIR"))).unwrap())
    }

    fn tensor(&self, name: &str) -> Tensor<f64> {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        let tensor = file.tensor(name).unwrap_or_else(|_| panic!("{name} is in the file"));
        assert_eq!(tensor.dtype(), safetensors::Dtype::F64);
        let (numbers, _) = tensor.data().as_chunks::<8>();
        let values: Vec<f64> = numbers.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect();
        Tensor::from_slice(tensor.shape(), &values).unwrap()
    }

    fn variable<'t, T: Scalar>(&self, tape: &'t Tape<T>, name: &str) -> Var<'t, T> {
        tape.variable(&self.tensor(name).cast())
    }

    fn indices<'t, T: Scalar>(&self, tape: &'t Tape<T>, name: &str) -> Var<'t, T> {
        let labels: Vec<u32> = self.tensor(name).values().iter().map(|&label| label as u32).collect();
        tape.indices(&labels)
    }

    /// Checks that `found` has the golden values; a number may be an array of one element.
    fn check<T: Scalar>(&self, name: &str, found: &Tensor<T>) {
        let golden = self.tensor(name);
        assert_eq!(found.values().len(), golden.values().len(), "{name}");
        if found.shape().rank() > 0 {
            assert_eq!(found.shape(), golden.shape(), "{name}");
        }
        let largest = golden.values().iter().fold(f64::MIN_POSITIVE, |largest, x| largest.max(x.abs()));
        for (i, (found, golden)) in found.values().iter().zip(golden.values()).enumerate() {
            let error = (found.to_f64() - golden).abs() / largest;
            assert!(error <= tolerance::<T>(), "{name}[{i}]: {found} instead of {golden}");
        }
    }

    /// Checks `op.output`, and with `op.grad.output` as cotangent the gradient of each operand.
    fn check_op<T: Scalar>(&self, op: &str, operands: &[&str], f: impl for<'t> Fn(&[Var<'t, T>]) -> Var<'t, T>) {
        let tape = Tape::<T>::new();
        let variables: Vec<_> = operands.iter().map(|name| self.variable(&tape, &format!("{op}.{name}"))).collect();
        let output = f(&variables);
        self.check(&format!("{op}.output"), &output.value().unwrap());
        output.backward_from(&self.tensor(&format!("{op}.grad.output")).cast()).unwrap();
        for (name, variable) in operands.iter().zip(&variables) {
            self.check(&format!("{op}.grad.{name}"), &variable.gradient().unwrap());
        }
    }
}

#[test]
fn convolutions() {
    let golden = Golden::read("ops");
    let operands = ["input", "weight", "bias"];
    let settings = Conv2d { stride: [2, 2], padding: [1, 1], groups: 2, ..Conv2d::default() };
    golden.check_op::<f64>("conv_stride2", &operands, |x| x[0].conv2d(x[1], Some(x[2]), settings));
    let settings = Conv2d { stride: [4, 4], padding: [2, 2], ..Conv2d::default() };
    golden.check_op::<f64>("conv11", &operands, |x| x[0].conv2d(x[1], Some(x[2]), settings));
}

#[test]
fn pools() {
    let golden = Golden::read("ops");
    let window = Window::new(3, 2).padded(1).ceil();
    for op in ["max_pool", "max_pool_ties"] {
        golden.check_op::<f64>(op, &["input"], |x| x[0].max_pool2d(window));
    }
    golden.check_op::<f64>("max_pool_dropped", &["input"], |x| x[0].max_pool2d(Window::new(2, 2).padded(1).ceil()));
    for (op, count_padding) in [("avg_pool_padding_counted", true), ("avg_pool_padding_not_counted", false)] {
        golden.check_op::<f64>(op, &["input"], |x| x[0].avg_pool2d(window, count_padding));
    }
}

#[test]
fn normalisations() {
    let golden = Golden::read("ops");
    golden.check_op::<f64>("lrn5", &["input"], |x| x[0].local_response_norm(LocalResponseNorm::ALEXNET));
    let settings = LocalResponseNorm { size: 3, alpha: 0.05, beta: 0.5, k: 1.0 };
    golden.check_op::<f64>("lrn3", &["input"], |x| x[0].local_response_norm(settings));
    let operands = ["input", "gamma", "beta"];
    golden.check_op::<f64>("batch_norm_train", &operands, |x| x[0].batch_norm(x[1], x[2], 1e-5));
    golden.check_op::<f64>("batch_norm_eval", &operands, |x| {
        let [mean, variance] = ["mean", "var"].map(|name| golden.tensor(&format!("batch_norm_eval.running_{name}")));
        let tape = x[0].tape();
        x[0].batch_norm_with(tape.constant(&mean), tape.constant(&variance), x[1], x[2], 1e-5)
    });
}

#[test]
fn normalisations_and_pools_in_f32() {
    let golden = Golden::read("ops");
    golden.check_op::<f32>("lrn5", &["input"], |x| x[0].local_response_norm(LocalResponseNorm::ALEXNET));
    golden.check_op::<f32>("batch_norm_train", &["input", "gamma", "beta"], |x| x[0].batch_norm(x[1], x[2], 1e-5));
    golden.check_op::<f32>("log_softmax", &["input"], |x| x[0].log_softmax(1));
    let window = Window::new(3, 2).padded(1).ceil();
    golden.check_op::<f32>("avg_pool_padding_not_counted", &["input"], |x| x[0].avg_pool2d(window, false));
}

#[test]
fn running_statistics() {
    use lanegrad::nn::{BatchNorm, Layer};
    let golden = Golden::read("ops");
    let tensor = |name: &str| golden.tensor(&format!("batch_norm_train.{name}"));
    let mut tape = Tape::<f64>::new();
    let layer = BatchNorm::new(&mut tape, "bn", 5).unwrap();
    for (param, name) in [
        (layer.weight, "gamma"),
        (layer.bias, "beta"),
        (layer.running_mean, "running_mean"),
        (layer.running_variance, "running_var"),
    ] {
        tape.set_value(param, &tensor(name)).unwrap();
    }
    let output = layer.forward(tape.constant(&tensor("input"))).value().unwrap();
    golden.check("batch_norm_train.output", &output);
    golden.check("batch_norm_train.running_mean.after", &tape.value(layer.running_mean).unwrap());
    golden.check("batch_norm_train.running_var.after", &tape.value(layer.running_variance).unwrap());
}

#[test]
fn functions_and_losses() {
    let golden = Golden::read("ops");
    golden.check_op::<f64>("log_softmax", &["input"], |x| x[0].log_softmax(1));
    golden.check_op::<f64>("softplus", &["input"], |x| x[0].softplus());
    let tape = Tape::<f64>::new();
    let scores = golden.variable(&tape, "multi_margin.input");
    let loss = scores.hinge(golden.indices(&tape, "multi_margin.labels"));
    loss.backward().unwrap();
    golden.check("multi_margin.mean", &loss.value().unwrap());
    golden.check("multi_margin.grad.input", &scores.gradient().unwrap());
    let tape = Tape::<f64>::new();
    let logits = golden.variable(&tape, "binary_cross_entropy.input");
    let target = tape.constant(&golden.tensor("binary_cross_entropy.target"));
    golden.check("binary_cross_entropy.elements", &logits.binary_cross_entropy_each(target).value().unwrap());
    let loss = logits.binary_cross_entropy(target);
    loss.backward().unwrap();
    golden.check("binary_cross_entropy.mean", &loss.value().unwrap());
    golden.check("binary_cross_entropy.grad.input", &logits.gradient().unwrap());
}

/// The layers of the convnet, by name.
struct Convnet<'t, T: Scalar> {
    golden: &'t Golden,
    tape: &'t Tape<T>,
    /// Whether rectifiers are part of the convolutions.
    fused: bool,
    /// Input and parameters, whose gradients there are.
    leaves: Vec<(String, Var<'t, T>)>,
}

impl<'t, T: Scalar> Convnet<'t, T> {
    fn leaf(&mut self, name: &str) -> Var<'t, T> {
        let variable = self.golden.variable(self.tape, name);
        self.leaves.push((name.to_owned(), variable));
        variable
    }

    /// `y`, whose values are those of `out.name`.
    fn output(&self, name: &str, y: Var<'t, T>) -> Var<'t, T> {
        self.golden.check(&format!("out.{name}"), &y.value().unwrap());
        y
    }

    /// Convolution `i` and its rectifier.
    fn convolution(&mut self, i: usize, x: Var<'t, T>, settings: Conv2d) -> Var<'t, T> {
        let [weight, bias] = ["weight", "bias"].map(|part| self.leaf(&format!("conv{i}.{part}")));
        let rectifier = format!("relu{i}");
        if self.fused {
            let settings = Conv2d { activation: Activation::Relu, ..settings };
            return self.output(&rectifier, x.conv2d(weight, Some(bias), settings));
        }
        let y = self.output(&format!("conv{i}"), x.conv2d(weight, Some(bias), settings));
        self.output(&rectifier, y.relu())
    }

    fn linear(&mut self, name: &str, x: Var<'t, T>) -> Var<'t, T> {
        let [weight, bias] = ["weight", "bias"].map(|part| self.leaf(&format!("{name}.{part}")));
        self.output(name, x.linear(weight, bias))
    }

    /// Every output, the loss and every gradient.
    fn check(mut self) {
        let padded = |padding| Conv2d { padding: [padding; 2], ..Conv2d::default() };
        let x = self.leaf("input");
        let x = self.convolution(1, x, padded(2));
        let x = self.output("pool1", x.max_pool2d(Window::new(2, 2)));
        let x = self.convolution(2, x, Conv2d { groups: 2, ..padded(1) });
        let x = self.output("pool2", x.avg_pool2d(Window::new(3, 2).ceil(), true));
        let x = self.convolution(3, x, Conv2d { stride: [2, 2], ..padded(1) });
        let x = self.output("flatten", x.flatten());
        let x = self.linear("fc1", x);
        let x = self.output("tanh1", x.tanh());
        let scores = self.linear("fc2", x);
        let loss = scores.softmax_cross_entropy(self.golden.indices(self.tape, "labels"));
        self.golden.check("loss", &loss.value().unwrap());
        loss.backward().unwrap();
        assert_eq!(self.leaves.len(), 11);
        for (name, leaf) in &self.leaves {
            self.golden.check(&format!("grad.{name}"), &leaf.gradient().unwrap());
        }
    }
}

#[test]
fn five_layers_forward_and_backward() {
    let golden = Golden::read("convnet");
    for fused in [false, true] {
        Convnet { golden: &golden, tape: &Tape::<f64>::new(), fused, leaves: Vec::new() }.check();
        Convnet { golden: &golden, tape: &Tape::<f32>::new(), fused, leaves: Vec::new() }.check();
    }
}

/// The gradient of Beale's function, f = (1.5 - x + xy)^2 + (2.25 - x + xy^2)^2 + (2.625 - x + xy^3)^2.
fn beale([x, y]: [f64; 2]) -> [f64; 2] {
    let [a, b, c] = [1.5 - x + x * y, 2.25 - x + x * y * y, 2.625 - x + x * y.powi(3)];
    let dx = 2.0 * (a * (y - 1.0) + b * (y * y - 1.0) + c * (y.powi(3) - 1.0));
    let dy = 2.0 * x * (a + 2.0 * b * y + 3.0 * c * y * y);
    [dx, dy]
}

/// Follows a golden path, whose first point is the start.
fn follow(path: &Tensor<f64>, optimizer: Optimizer, matrix: Option<(usize, usize)>, dx: impl Fn(&[f64]) -> Vec<f64>) {
    let length = path.at(0).unwrap().values().len();
    let mut updater = Updater::new(optimizer, &[Segment { range: 0..length, matrix, decay: true }]).unwrap();
    let mut x = path.at(0).unwrap().values().to_vec();
    for step in 1..path.shape().extents()[0] {
        let gradient = dx(&x);
        updater.step(&mut x, &gradient, 0.0).unwrap();
        for (found, golden) in x.iter().zip(path.at(step).unwrap().values()) {
            let error = (found - golden).abs() / golden.abs().max(1.0);
            assert!(error < 1e-9, "{} at step {step}: {found} instead of {golden}", optimizer.name());
        }
    }
}

/// The settings are those in the file's metadata.
#[test]
fn a_hundred_steps_of_every_rule_that_pytorch_has() {
    let golden = Golden::read("optimizers");
    let (beta1, beta2, epsilon) = (0.9, 0.999, 1e-8);
    for (name, optimizer) in [
        ("sgd", Optimizer::sgd(1e-3)),
        ("momentum", Optimizer::Momentum { rate: 1e-3, momentum: 0.9 }),
        ("nesterov", Optimizer::Nesterov { rate: 1e-3, momentum: 0.9 }),
        ("adagrad", Optimizer::Adagrad { rate: 0.1, epsilon }),
        ("adadelta", Optimizer::Adadelta { rate: 1.0, rho: 0.95, epsilon: 1e-6 }),
        ("rmsprop", Optimizer::RmsProp { rate: 1e-2, rho: 0.9, epsilon }),
        ("adam", Optimizer::Adam { rate: 1e-2, beta1, beta2, epsilon }),
        ("adamw", Optimizer::AdamW { rate: 1e-2, beta1, beta2, epsilon, weight_decay: 1e-2 }),
    ] {
        let path = golden.tensor(name);
        assert_eq!(path.shape().extents(), [101, 2]);
        follow(&path, optimizer, None, |x| beale([x[0], x[1]]).to_vec());
    }
}

/// Half the squared norm of A W - B, for a wide and for a tall W.
#[test]
fn muon_on_matrices() {
    let golden = Golden::read("optimizers");
    for (name, weight_decay) in [("muon_wide", 0.0), ("muon_tall", 0.1)] {
        let part = |part: &str| golden.tensor(&format!("{name}.{part}"));
        let (a, b, start) = (part("a"), part("b"), part("w0"));
        let &[rows, cols] = start.shape().extents() else { panic!("a matrix") };
        let optimizer = Optimizer::Muon { rate: 0.02, momentum: 0.95, weight_decay, adam_part: 1.0 };
        follow(&golden.tensor(name), optimizer, Some((rows, cols)), |w| {
            let w = Tensor::from_slice([rows, cols], w).unwrap();
            let residual = (&a.matmul(&w).unwrap() - &b).unwrap();
            a.transpose().unwrap().matmul(&residual).unwrap().values().to_vec()
        });
    }
}
