//! Convolutions: all three passes are sums over the same triples of elements of input, weights and output.

use crate::conv::Convolution;

/// Calls `visit` with the indices in input, weights and output of every product that a convolution consists of.
pub fn visit_products(convolution: &Convolution, mut visit: impl FnMut(usize, usize, usize)) {
    let s = convolution.shape();
    let (output_height, output_width) = (convolution.output_height(), convolution.output_width());
    let (channels, filters) = (s.channels / s.groups, s.filters / s.groups);
    // The input row or column that tap k of window o lies on, unless it lies outside.
    let place = |axis: usize, extent: usize, o: usize, k: usize| {
        (o * s.stride[axis] + k).checked_sub(s.padding[axis]).filter(|&place| place < extent)
    };
    for n in 0..s.batch {
        for i in 0..output_height {
            for j in 0..output_width {
                for k in 0..s.kernel[0] {
                    for l in 0..s.kernel[1] {
                        let (Some(h), Some(w)) = (place(0, s.height, i, k), place(1, s.width, j, l)) else {
                            continue;
                        };
                        for c in 0..channels {
                            for f in 0..s.filters {
                                let channel = f / filters * channels + c;
                                visit(
                                    ((n * s.height + h) * s.width + w) * s.channels + channel,
                                    ((k * s.kernel[1] + l) * channels + c) * s.filters + f,
                                    ((n * output_height + i) * output_width + j) * s.filters + f,
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The output without bias, and the sum of the absolute values of each element's terms.
pub fn forward(convolution: &Convolution, x: &[f64], weights: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let mut sums = (vec![0.0; convolution.output_length()], vec![0.0; convolution.output_length()]);
    visit_products(convolution, |i, w, o| add(&mut sums, o, x[i] * weights[w]));
    sums
}

/// The gradient of the input, and the sum of the absolute values of each element's terms.
pub fn input_gradient(convolution: &Convolution, dy: &[f64], weights: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let mut sums = (vec![0.0; convolution.input_length()], vec![0.0; convolution.input_length()]);
    visit_products(convolution, |i, w, o| add(&mut sums, i, dy[o] * weights[w]));
    sums
}

/// The gradient of the weights, and the sum of the absolute values of each element's terms.
pub fn weight_gradient(convolution: &Convolution, x: &[f64], dy: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let mut sums = (vec![0.0; convolution.weight_length()], vec![0.0; convolution.weight_length()]);
    visit_products(convolution, |i, w, o| add(&mut sums, w, x[i] * dy[o]));
    sums
}

/// The gradient of the bias, and the sum of the absolute values of each element's terms.
pub fn bias_gradient(convolution: &Convolution, dy: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let filters = convolution.shape().filters;
    let mut sums = (vec![0.0; filters], vec![0.0; filters]);
    dy.iter().enumerate().for_each(|(o, &d)| add(&mut sums, o % filters, d));
    sums
}

fn add((sum, magnitude): &mut (Vec<f64>, Vec<f64>), index: usize, term: f64) {
    sum[index] += term;
    magnitude[index] += term.abs();
}
