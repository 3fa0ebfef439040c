//! Models that are used again and again.

use super::{AvgPool2d, Conv2d, Flatten, Linear, MaxPool2d, Relu, Sequential};
use crate::error::Error;
use crate::init::{Initializer, Scheme};
use crate::ops::conv2d;
use crate::ops::pool2d::Window;
use crate::tape::Tape;
use lanegrad_kernels::isa::Scalar;

/// Affine layers `fc1`, `fc2`, ... with rectifiers between: rows of `inputs` numbers to scores of `classes`.
///
/// Inputs of more dimensions are flattened first.
///
/// # Errors
/// Those of [`Linear::new`].
pub fn mlp<T: Scalar>(
    tape: &mut Tape<T>,
    inputs: usize,
    hidden: &[usize],
    classes: usize,
    initializer: &mut Initializer,
) -> Result<Sequential<T>, Error> {
    let mut model = Sequential::new().with(Flatten);
    let mut width = inputs;
    for (i, &outputs) in hidden.iter().chain([&classes]).enumerate() {
        if i > 0 {
            model = model.with(Relu);
        }
        model = model.with(Linear::new(tape, &format!("fc{}", i + 1), width, outputs, initializer)?);
        width = outputs;
    }
    Ok(model)
}

/// Padding that keeps the extents under 5 x 5 windows.
const SAME: conv2d::Conv2d =
    conv2d::Conv2d { stride: [1, 1], padding: [2, 2], groups: 1, activation: conv2d::Activation::Identity };

/// Filters of the three convolutions of the models for CIFAR-10, and width of the hidden affine layer.
const WIDTHS: [usize; 4] = [32, 32, 64, 64];

/// A plain convolutional network for images of 32 x 32 x 3: three times a 5 x 5 convolution, a rectifier and a 2 x 2 maximum, with
/// 32, 32 and 64 filters, then affine layers of 64 and `classes` with a rectifier between.
///
/// # Errors
/// Those of [`Conv2d::new`] and [`Linear::new`].
pub fn convnet<T: Scalar>(
    tape: &mut Tape<T>,
    classes: usize,
    initializer: &mut Initializer,
) -> Result<Sequential<T>, Error> {
    let [first, second, third, hidden] = WIDTHS;
    let mut model = Sequential::new();
    for (name, channels, filters) in [("conv1", 3, first), ("conv2", first, second), ("conv3", second, third)] {
        let convolution = Conv2d::new(tape, name, channels, filters, [5, 5], SAME, initializer)?;
        model = model.with(convolution.rectified()).with(MaxPool2d { window: Window::new(2, 2) });
    }
    Ok(model
        .with(Flatten)
        .with(Linear::new(tape, "fc1", 4 * 4 * third, hidden, initializer)?)
        .with(Relu)
        .with(Linear::new(tape, "fc2", hidden, classes, initializer)?))
}

/// Caffe's `cifar10_quick` for images of 32 x 32 x 3 and 10 classes, with its initial weights drawn from `seed`.
///
/// conv1 5 x 5 x 32, maximum, rectifier; conv2 5 x 5 x 32, rectifier, average; conv3 5 x 5 x 64, rectifier, average; fc1 64; fc2
/// 10. Windows of 3 x 3 are 2 apart, their number rounded up. There is no rectifier between the affine layers. Weights are
/// normal with standard deviations 1e-4 (conv1), 1e-2 (conv2, conv3) and 1e-1 (fc1, fc2), biases 0.
///
/// Source: `examples/cifar10/cifar10_quick_train_test.prototxt` of BVLC Caffe.
///
/// # Errors
/// Those of [`Tape::parameter`].
pub fn quick<T: Scalar>(tape: &mut Tape<T>, seed: u64) -> Result<Sequential<T>, Error> {
    let [first, second, third, hidden] = WIDTHS;
    let mut initializer = Initializer::new(Scheme::Normal(1e-4), seed);
    let window = Window::new(3, 2).ceil();
    let average = AvgPool2d { window, count_padding: true };
    let conv1 = Conv2d::new(tape, "conv1", 3, first, [5, 5], SAME, &mut initializer)?;
    initializer.scheme(Scheme::Normal(1e-2));
    let conv2 = Conv2d::new(tape, "conv2", first, second, [5, 5], SAME, &mut initializer)?;
    let conv3 = Conv2d::new(tape, "conv3", second, third, [5, 5], SAME, &mut initializer)?;
    initializer.scheme(Scheme::Normal(1e-1));
    let fc1 = Linear::new(tape, "fc1", 4 * 4 * third, hidden, &mut initializer)?;
    let fc2 = Linear::new(tape, "fc2", hidden, 10, &mut initializer)?;
    Ok(Sequential::new()
        .with(conv1)
        .with(MaxPool2d { window })
        .with(Relu)
        .with(conv2.rectified())
        .with(average)
        .with(conv3.rectified())
        .with(average)
        .with(Flatten)
        .with(fc1)
        .with(fc2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::GradientCheck;
    use crate::nn::Layer;
    use crate::ops::check::array;
    use crate::tensor::Tensor;

    /// How many elements of each parameter are checked.
    const SAMPLED: GradientCheck = GradientCheck {
        differences: crate::gradcheck::Differences::Centred,
        step: crate::gradcheck::STEP,
        samples: Some(3),
        seed: 0,
    };

    #[test]
    fn quick_is_as_large_as_caffes() {
        let mut tape = Tape::<f64>::new();
        let model = quick(&mut tape, 1).unwrap();
        assert_eq!(tape.parameter_count(), 145_578);
        let mut deviations = Vec::new();
        tape.for_each_parameter(|info| {
            if info.name.ends_with("weight") {
                deviations.push((info.name.to_owned(), info.range));
            }
        });
        let parameters = tape.parameters_mut();
        let deviation = |range: std::ops::Range<usize>| {
            let weights = &parameters[range];
            (weights.iter().map(|w| w * w).sum::<f64>() / weights.len() as f64).sqrt()
        };
        for ((name, range), expected) in deviations.into_iter().zip([1e-4, 1e-2, 1e-2, 1e-1, 1e-1]) {
            let found = deviation(range);
            assert!((found / expected - 1.0).abs() < 0.1, "{name}: {found}");
        }
        let scores = model.forward(tape.constant(&Tensor::ones([2, 32, 32, 3]).unwrap()));
        assert_eq!(scores.shape().unwrap().extents(), [2, 10]);
    }

    #[test]
    fn convnet_has_the_right_gradient() {
        let mut tape = Tape::<f64>::new();
        let model = convnet(&mut tape, 10, &mut Initializer::new(Scheme::He, 1)).unwrap();
        let weights = 75 * 32 + 800 * 32 + 800 * 64 + 1024 * 64 + 640;
        assert_eq!(tape.parameter_count(), weights + 32 + 32 + 64 + 64 + 10);
        let images = array(&[1, 32, 32, 3], 1);
        let report = SAMPLED
            .run(&mut tape, |tape| model.forward(tape.constant(&images)).softmax_cross_entropy(tape.indices(&[3])));
        let report = report.unwrap();
        assert!(report.passes(), "{report}");
    }

    #[test]
    fn mlp_of_any_depth() {
        let mut tape = Tape::<f64>::new();
        let model = mlp(&mut tape, 12, &[8, 7], 5, &mut Initializer::new(Scheme::He, 1)).unwrap();
        assert_eq!(tape.parameter_count(), 13 * 8 + 9 * 7 + 8 * 5);
        let images = array(&[3, 2, 2, 3], 1);
        let report = GradientCheck::default().run(&mut tape, |tape| {
            model.forward(tape.constant(&images)).softmax_cross_entropy(tape.indices(&[3, 0, 1]))
        });
        let report = report.unwrap();
        assert!(report.passes(), "{report}");
        let mut tape = Tape::<f32>::new();
        let linear = mlp(&mut tape, 12, &[], 5, &mut Initializer::new(Scheme::Zero, 1)).unwrap();
        let scores = linear.forward(tape.constant(&images.cast())).value().unwrap();
        assert_eq!(scores, Tensor::zeros([3, 5]).unwrap());
    }
}
