//! Convolutions and pools.

use super::{Group, Maker, Workload, floats, random};
use lanegrad::kernels::Error;
use lanegrad::kernels::conv::{self, Activation, Convolution, ConvolutionShape};
use lanegrad::kernels::pool::{self, Pooling, PoolingShape};

/// All of them, in the order of the table.
pub fn makers() -> Vec<Maker> {
    let mut makers: Vec<Maker> = Vec::new();
    // The convolutions of `--model convnet`. The first needs no gradient of its input.
    for layer in [
        Layer { number: 1, extent: 32, channels: 3, filters: 32 },
        Layer { number: 2, extent: 16, channels: 32, filters: 32 },
        Layer { number: 3, extent: 8, channels: 32, filters: 64 },
    ] {
        for pass in [ConvolutionPass::Forward, ConvolutionPass::InputGradient, ConvolutionPass::WeightGradient] {
            if layer.number > 1 || pass != ConvolutionPass::InputGradient {
                let name = format!("conv{} {}", layer.number, pass.name());
                makers.push(Maker::new(name, Group::Convolution, move || convolution(layer, pass)));
            }
        }
    }
    for (pass, name) in [
        (PoolPass::MaxForward, "max pool forward"),
        (PoolPass::MaxBackward, "max pool gradient"),
        (PoolPass::AverageForward, "average pool forward"),
        (PoolPass::AverageBackward, "average pool gradient"),
    ] {
        makers.push(Maker::new(name, Group::Pool, move || pooling(pass)));
    }
    makers
}

/// A convolution of 5 x 5 windows with padding 2.
#[derive(Clone, Copy)]
struct Layer {
    number: usize,
    extent: usize,
    channels: usize,
    filters: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum ConvolutionPass {
    Forward,
    InputGradient,
    WeightGradient,
}

impl ConvolutionPass {
    fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::InputGradient => "input gradient",
            Self::WeightGradient => "weight gradient",
        }
    }
}

/// Images in a mini-batch of a convolutional network.
const IMAGES: usize = 128;

fn convolution(layer: Layer, pass: ConvolutionPass) -> Result<Workload, Error> {
    let Layer { extent, channels, filters, .. } = layer;
    let convolution = Convolution::new(ConvolutionShape {
        batch: IMAGES,
        height: extent,
        width: extent,
        channels,
        filters,
        kernel: [5; 2],
        stride: [1; 2],
        padding: [2; 2],
        groups: 1,
    })?;
    let lengths = [convolution.input_length(), convolution.weight_length(), convolution.output_length()];
    let [mut x, mut weights, mut y] = lengths.map(|length| random(length as u64, length));
    let bias = random(6, filters);
    Ok(Workload {
        operations: 2.0 * (IMAGES * convolution.multiply_adds()) as f64,
        bytes: floats(lengths.iter().sum()),
        run: Box::new(move || match pass {
            ConvolutionPass::Forward => {
                conv::forward(&convolution, &x, &weights, Some(&bias), Activation::Relu, &mut y)
            }
            ConvolutionPass::InputGradient => conv::input_gradient(&convolution, &y, &weights, false, &mut x),
            ConvolutionPass::WeightGradient => conv::weight_gradient(&convolution, &x, &y, false, &mut weights),
        }),
    })
}

#[derive(Clone, Copy)]
enum PoolPass {
    MaxForward,
    MaxBackward,
    AverageForward,
    AverageBackward,
}

/// Windows of 3 x 3, two pixels apart, rounded up: the first pool of Caffe's cifar10_quick.
fn pooling(pass: PoolPass) -> Result<Workload, Error> {
    let kernel = 3;
    let pooling = Pooling::new(PoolingShape {
        batch: IMAGES,
        height: 32,
        width: 32,
        channels: 32,
        kernel: [kernel; 2],
        stride: [2; 2],
        padding: [0; 2],
        ceil: true,
    })?;
    let (input, output) = (pooling.input_length(), pooling.output_length());
    let (x, mut dx, mut y, dy) = (random(1, input), vec![0.0; input], vec![0.0; output], random(2, output));
    pool::max_forward(&pooling, &x, &mut y)?;
    let moved = match pass {
        PoolPass::MaxBackward => 2 * input + 2 * output,
        PoolPass::MaxForward | PoolPass::AverageForward | PoolPass::AverageBackward => input + output,
    };
    Ok(Workload {
        // A comparison or an addition for each element of each window.
        operations: (kernel * kernel * output) as f64,
        bytes: floats(moved),
        run: Box::new(move || match pass {
            PoolPass::MaxForward => pool::max_forward(&pooling, &x, &mut y),
            PoolPass::MaxBackward => pool::max_backward(&pooling, &x, &y, &dy, false, &mut dx),
            PoolPass::AverageForward => pool::average_forward(&pooling, true, &x, &mut y),
            PoolPass::AverageBackward => pool::average_backward(&pooling, true, &dy, false, &mut dx),
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_and_bytes_are_those_of_the_shapes() {
        let layer = Layer { number: 2, extent: 16, channels: 32, filters: 32 };
        let conv = convolution(layer, ConvolutionPass::Forward).unwrap();
        assert_eq!(conv.operations, 2.0 * 128.0 * 256.0 * 800.0 * 32.0);
        assert_eq!(conv.bytes, 4.0 * (2.0 * 128.0 * 256.0 * 32.0 + 25.0 * 32.0 * 32.0));
    }
}
