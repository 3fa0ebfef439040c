//! Pooling, window by window.

use crate::pool::Pooling;

/// The windows of a pooling: for each output element, the indices of its inputs in row-major order.
pub fn windows(pooling: &Pooling) -> Vec<Vec<usize>> {
    let s = pooling.shape();
    let mut windows = Vec::with_capacity(pooling.output_length());
    let places = |axis: usize, extent: usize, o: usize| {
        let window = o * s.stride[axis]..o * s.stride[axis] + s.kernel[axis];
        window.filter_map(move |place| place.checked_sub(s.padding[axis]).filter(|&place| place < extent))
    };
    for n in 0..s.batch {
        for i in 0..pooling.output_height() {
            for j in 0..pooling.output_width() {
                for c in 0..s.channels {
                    let pixels = places(0, s.height, i).flat_map(|h| places(1, s.width, j).map(move |w| (h, w)));
                    windows.push(pixels.map(|(h, w)| ((n * s.height + h) * s.width + w) * s.channels + c).collect());
                }
            }
        }
    }
    windows
}

/// Where each window has its maximum: the first NaN, or else the first of the largest.
pub fn maxima(pooling: &Pooling, x: &[f64]) -> Vec<usize> {
    let first_largest = |window: &Vec<usize>| {
        let nan = window.iter().copied().find(|&i| x[i].is_nan());
        nan.unwrap_or_else(|| window.iter().copied().fold(window[0], |best, i| if x[i] > x[best] { i } else { best }))
    };
    windows(pooling).iter().map(first_largest).collect()
}

/// What the sum of each window is divided by: its elements in the input, or in the input with its padding.
pub fn divisors(pooling: &Pooling, include_padding: bool) -> Vec<f64> {
    let s = pooling.shape();
    let extent = |axis: usize, extent: usize, o: usize| {
        let (low, high) = (o * s.stride[axis], o * s.stride[axis] + s.kernel[axis]);
        let (first, end) = if include_padding {
            (0, extent + 2 * s.padding[axis])
        } else {
            (s.padding[axis], extent + s.padding[axis])
        };
        high.min(end) - low.max(first)
    };
    let mut divisors = Vec::with_capacity(pooling.output_length());
    for _ in 0..s.batch {
        for i in 0..pooling.output_height() {
            for j in 0..pooling.output_width() {
                let count = extent(0, s.height, i) * extent(1, s.width, j);
                divisors.extend(std::iter::repeat_n(count as f64, s.channels));
            }
        }
    }
    divisors
}
