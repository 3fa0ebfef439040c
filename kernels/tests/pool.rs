//! Pooling and its gradients at every level against their slow twins.

mod support;

use lanegrad_kernels::dispatch::{dispatch_at, supported};
use lanegrad_kernels::isa::Scalar;
use lanegrad_kernels::parallel::Threads;
use lanegrad_kernels::pool::{self, AverageBackward, AverageForward, MaxBackward, MaxForward, Pooling, PoolingShape};
use lanegrad_kernels::{Error, Wanted, reference};
use support::uniform;

/// A square image and window, moved by its own size.
fn square(batch: usize, extent: usize, channels: usize, kernel: usize) -> PoolingShape {
    PoolingShape {
        batch,
        height: extent,
        width: extent,
        channels,
        kernel: [kernel; 2],
        stride: [kernel; 2],
        padding: [0; 2],
        ceil: false,
    }
}

fn new(shape: PoolingShape) -> Pooling {
    Pooling::new(shape).unwrap_or_else(|error| panic!("{shape:?}: {error}"))
}

/// Numbers of which many are equal.
fn coarse<T: Scalar>(seed: u64, length: usize) -> Vec<T> {
    uniform::<f64>(seed, length).iter().map(|x| T::from_f64((4.0 * x).round())).collect()
}

fn same<T: Scalar>(found: T, expected: f64, tolerance: f64) -> bool {
    let found = found.to_f64();
    found == expected || (found.is_nan() && expected.is_nan()) || (found - expected).abs() <= tolerance
}

fn check_max<T: Scalar>(shape: PoolingShape, x: &[T]) {
    let pooling = new(shape);
    let wide: Vec<f64> = x.iter().map(|x| x.to_f64()).collect();
    let maxima = reference::pool::maxima(&pooling, &wide);
    // Whole numbers, so that every sum of them is exact.
    let (dy, old) = (coarse::<T>(5, pooling.output_length()), coarse::<T>(6, x.len()));
    for level in supported() {
        let mut y = vec![T::from_f64(f64::NAN); dy.len()];
        dispatch_at(level, MaxForward::new(&pooling, x, &mut y).unwrap()).unwrap();
        for (i, (&y, &place)) in y.iter().zip(&maxima).enumerate() {
            assert!(same(y, wide[place], 0.0), "{level} {shape:?} output {i}: {y} for {}", wide[place]);
        }
        for add in [false, true] {
            let mut expected = if add { old.clone() } else { vec![T::ZERO; x.len()] };
            maxima.iter().zip(&dy).for_each(|(&place, &d)| expected[place] += d);
            let mut dx = if add { old.clone() } else { vec![T::from_f64(f64::NAN); x.len()] };
            dispatch_at(level, MaxBackward::new(&pooling, x, &y, &dy, add, &mut dx).unwrap()).unwrap();
            assert!(dx == expected, "{level} {shape:?} add {add}: gradient");
        }
    }
}

fn check_average<T: Scalar>(shape: PoolingShape) {
    let pooling = new(shape);
    let x = uniform::<T>(1, pooling.input_length());
    let (dy, old) = (uniform::<T>(2, pooling.output_length()), uniform::<T>(3, x.len()));
    let windows = reference::pool::windows(&pooling);
    let tolerance = 4.0 * (shape.kernel[0] * shape.kernel[1]) as f64 * T::EPSILON.to_f64();
    for include_padding in [false, true] {
        let divisors = reference::pool::divisors(&pooling, include_padding);
        for level in supported() {
            let what = format!("{level} {shape:?} include padding {include_padding}");
            let mut y = vec![T::from_f64(f64::NAN); dy.len()];
            dispatch_at(level, AverageForward::new(&pooling, include_padding, &x, &mut y).unwrap()).unwrap();
            for (i, (window, divisor)) in windows.iter().zip(&divisors).enumerate() {
                let expected = window.iter().map(|&i| x[i].to_f64()).sum::<f64>() / divisor;
                assert!(same(y[i], expected, tolerance), "{what} output {i}: {} for {expected}", y[i]);
            }
            for add in [false, true] {
                let mut expected: Vec<f64> = old.iter().map(|x| if add { x.to_f64() } else { 0.0 }).collect();
                for ((window, divisor), d) in windows.iter().zip(&divisors).zip(&dy) {
                    window.iter().for_each(|&i| expected[i] += d.to_f64() / divisor);
                }
                let mut dx = if add { old.clone() } else { vec![T::from_f64(f64::NAN); x.len()] };
                let backward = AverageBackward::new(&pooling, include_padding, &dy, add, &mut dx).unwrap();
                dispatch_at(level, backward).unwrap();
                for (i, (&dx, &expected)) in dx.iter().zip(&expected).enumerate() {
                    assert!(same(dx, expected, tolerance), "{what} add {add} gradient {i}: {dx} for {expected}");
                }
            }
        }
    }
}

fn check(shape: PoolingShape) {
    let length = new(shape).input_length();
    check_max::<f32>(shape, &uniform(1, length));
    check_max::<f32>(shape, &coarse(2, length));
    check_max::<f64>(shape, &coarse(3, length));
    check_average::<f32>(shape);
    check_average::<f64>(shape);
}

#[test]
fn every_window_stride_and_padding() {
    for (height, width) in [(1, 1), (5, 8), (7, 4)] {
        for kernel in [[1, 1], [2, 2], [3, 3], [2, 4], [5, 1]] {
            for stride in [[1, 1], [2, 2], [3, 1], [4, 5], [usize::MAX, 1]] {
                for padding in [[0, 0], [1, 0], [1, 1], [kernel[0] - 1, kernel[1] - 1]] {
                    let fits =
                        (0..2).all(|i| kernel[i] <= [height, width][i] + 2 * padding[i] && padding[i] < kernel[i]);
                    for ceil in [false, true].into_iter().filter(|_| fits) {
                        check(PoolingShape { height, width, kernel, stride, padding, ceil, ..square(2, 1, 3, 1) });
                    }
                }
            }
        }
    }
}

#[test]
fn channels_around_the_lanes() {
    for channels in [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64] {
        check(PoolingShape { stride: [2; 2], ..square(3, 7, channels, 3) });
    }
    for batch in [0, 1, 5] {
        check(square(batch, 6, 2, 2));
    }
}

/// AlexNet's overlapping windows (Krizhevsky et al., 2012), and the rounding up of Caffe's network for CIFAR-10.
#[test]
fn the_windows_of_known_networks() {
    for (extent, output) in [(55, 27), (27, 13), (13, 6)] {
        let shape = PoolingShape { stride: [2; 2], ..square(1, extent, 20, 3) };
        assert_eq!(new(shape).output_height(), output);
        check(shape);
    }
    for (extent, output) in [(32, 16), (16, 8), (8, 4)] {
        let shape = PoolingShape { stride: [2; 2], ceil: true, ..square(1, extent, 32, 3) };
        assert_eq!(new(shape).output_width(), output);
        check(shape);
    }
    // A last window that would start in the right padding is left out.
    let shape = PoolingShape { stride: [2; 2], padding: [1; 2], ceil: true, ..square(1, 3, 1, 2) };
    assert_eq!(new(shape).output_height(), 2);
}

/// The worked example of CS231n's second assignment: 3 x 2 images of 4 x 4, windows of 2 x 2.
#[test]
fn the_example_of_the_course() {
    let by_channel: Vec<f64> = (0..96).map(|i| -0.3 + 0.7 * f64::from(i) / 95.0).collect();
    let pixels = || (0..2).flat_map(|n| (0..16).map(move |p| (n, p)));
    let x: Vec<f64> =
        pixels().flat_map(|(n, p)| (0..3).map(move |c| (n * 3 + c) * 16 + p)).map(|i| by_channel[i]).collect();
    let pooling = new(square(2, 4, 3, 2));
    for level in supported() {
        let mut y = vec![0.0; 24];
        dispatch_at(level, MaxForward::new(&pooling, &x, &mut y).unwrap()).unwrap();
        for (pixel, wanted) in [-0.26315789, -0.24842105, -0.20421053, -0.18947368].into_iter().enumerate() {
            assert!((y[pixel * 3] - wanted).abs() < 1e-8, "{level}: {} for {wanted}", y[pixel * 3]);
        }
    }
}

#[test]
fn not_a_number_wins_and_infinity_and_zero_are_numbers() {
    let shape = PoolingShape { stride: [1; 2], padding: [1; 2], ..square(2, 6, 17, 3) };
    let length = new(shape).input_length();
    let mut x = coarse::<f32>(4, length);
    for (i, special) in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, f32::NAN].into_iter().enumerate() {
        (0..40).for_each(|k| x[(i * 997 + k * 131) % length] = special);
    }
    check_max::<f32>(shape, &x);
    check_max::<f32>(shape, &vec![f32::NEG_INFINITY; length]);
    check_max::<f32>(shape, &vec![f32::NAN; length]);
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    for shape in [
        PoolingShape { stride: [2; 2], ..square(40, 32, 16, 3) },
        PoolingShape { stride: [1; 2], padding: [1; 2], ..square(1, 60, 40, 3) },
        PoolingShape { stride: [2, 1], padding: [2; 2], ceil: true, ..square(3, 50, 17, 5) },
    ] {
        let pooling = new(shape);
        let (x, dy) = (uniform::<f32>(1, pooling.input_length()), uniform::<f32>(2, pooling.output_length()));
        let run = |threads: usize| {
            let [mut largest, mut mean] = [(); 2].map(|()| dy.clone());
            let [mut of_largest, mut of_mean] = [(); 2].map(|()| x.clone());
            Threads::new(threads).unwrap().run(|| {
                pool::max_forward(&pooling, &x, &mut largest).unwrap();
                pool::max_backward(&pooling, &x, &largest, &dy, false, &mut of_largest).unwrap();
                pool::average_forward(&pooling, true, &x, &mut mean).unwrap();
                pool::average_backward(&pooling, true, &dy, true, &mut of_mean).unwrap();
            });
            [largest, of_largest, mean, of_mean].map(|data| data.iter().map(|x| x.to_bits()).collect::<Vec<_>>())
        };
        let one = run(1);
        for threads in [2, 3, 5] {
            assert!(run(threads) == one, "{shape:?} on {threads} threads");
        }
    }
}

#[test]
fn geometries_and_slices_that_do_not_fit_are_refused_by_name() {
    let good = square(2, 6, 3, 2);
    let huge = usize::MAX / 2;
    for (shape, wanted) in [
        (PoolingShape { height: 0, ..good }, ("image height", 0, Wanted::AtLeastOne)),
        (PoolingShape { kernel: [2, 0], ..good }, ("kernel width", 0, Wanted::AtLeastOne)),
        (PoolingShape { stride: [0, 2], ..good }, ("stride of rows", 0, Wanted::AtLeastOne)),
        (PoolingShape { padding: [2, 0], ..good }, ("padding of rows", 2, Wanted::AtMost(1))),
        (PoolingShape { kernel: [2, 7], ..good }, ("kernel width", 7, Wanted::AtMost(6))),
        (PoolingShape { channels: huge, ..good }, ("input", huge, Wanted::Countable)),
        (PoolingShape { width: huge, ..good }, ("image width", huge, Wanted::Countable)),
    ] {
        match Pooling::new(shape) {
            Err(Error::Geometry { what, found, wanted: rule }) => assert_eq!((what, found, rule), wanted),
            other => panic!("{shape:?}: {other:?}"),
        }
    }
    let pooling = new(good);
    let (x, mut y, mut dx) = ([1.0_f32; 216], [2.0_f32; 54], [3.0_f32; 216]);
    let of_length = |expected, found| move |error| matches!(error, Error::Shape { expected: (1, e), found: (1, f), .. } if (e, f) == (expected, found));
    assert!(pool::max_forward(&pooling, &x[1..], &mut y).is_err_and(of_length(216, 215)));
    assert!(pool::max_forward(&pooling, &x, &mut y[1..]).is_err_and(of_length(54, 53)));
    assert!(pool::average_forward(&pooling, true, &x, &mut y[1..]).is_err_and(of_length(54, 53)));
    assert!(pool::average_backward(&pooling, true, &y[1..], true, &mut dx).is_err_and(of_length(54, 53)));
    assert!(pool::max_backward(&pooling, &x, &y, &y[1..], true, &mut dx).is_err_and(of_length(54, 53)));
    assert!(pool::max_backward(&pooling, &x, &y, &y, true, &mut dx[1..]).is_err_and(of_length(216, 215)));
    assert_eq!((y, dx), ([2.0; 54], [3.0; 216]));
}
