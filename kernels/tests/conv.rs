//! Convolutions and their gradients at every level against their slow twins.

mod support;

use lanegrad_kernels::conv::{
    self, Activation, BiasGradient, Convolution, ConvolutionShape, Forward, InputGradient, WeightGradient,
};
use lanegrad_kernels::dispatch::{dispatch_at, supported};
use lanegrad_kernels::isa::Scalar;
use lanegrad_kernels::parallel::Threads;
use lanegrad_kernels::{Error, Wanted, reference};
use support::uniform;

/// A square image and kernel, all else one.
fn square(batch: usize, extent: usize, channels: usize, filters: usize, kernel: usize) -> ConvolutionShape {
    ConvolutionShape {
        batch,
        height: extent,
        width: extent,
        channels,
        filters,
        kernel: [kernel; 2],
        stride: [1; 2],
        padding: [0; 2],
        groups: 1,
    }
}

fn widen<T: Scalar>(x: &[T]) -> Vec<f64> {
    x.iter().map(|x| x.to_f64()).collect()
}

/// What the passes are run on.
struct Case<T> {
    convolution: Convolution,
    x: Vec<T>,
    weights: Vec<T>,
    bias: Vec<T>,
    dy: Vec<T>,
}

impl<T: Scalar> Case<T> {
    fn new(shape: ConvolutionShape) -> Self {
        let convolution = Convolution::new(shape).unwrap_or_else(|error| panic!("{shape:?}: {error}"));
        Self {
            x: uniform(1, convolution.input_length()),
            weights: uniform(2, convolution.weight_length()),
            bias: uniform(3, shape.filters),
            dy: uniform(4, convolution.output_length()),
            convolution,
        }
    }
}

/// Panics if `found` is not `expected` within the error of a sum of `depth` rounded products.
fn compare<T: Scalar>(found: &[T], (expected, magnitude): &(Vec<f64>, Vec<f64>), depth: usize, what: &str) {
    assert_eq!(found.len(), expected.len());
    let unit = (depth + 4) as f64 * T::EPSILON.to_f64();
    for (i, (found, (expected, magnitude))) in found.iter().zip(expected.iter().zip(magnitude)).enumerate() {
        let found = found.to_f64();
        assert!((found - expected).abs() <= unit * magnitude, "{what} at {i}: {found} for {expected}");
    }
}

/// `sums` with `old` added, and `floor` as the least value.
fn plus((sum, magnitude): &(Vec<f64>, Vec<f64>), old: &[f64], floor: f64) -> (Vec<f64>, Vec<f64>) {
    let old = || old.iter().cycle();
    (
        sum.iter().zip(old()).map(|(s, o)| (s + o).max(floor)).collect(),
        magnitude.iter().zip(old()).map(|(m, o)| m + o.abs()).collect(),
    )
}

/// Runs all passes of a convolution at every level.
fn check<T: Scalar>(shape: ConvolutionShape) {
    let Case { convolution, x, weights, bias, dy } = &Case::<T>::new(shape);
    let [wide_x, wide_weights, wide_dy] = [x, weights, dy].map(|data| widen(data));
    let y_sums = reference::conv::forward(convolution, &wide_x, &wide_weights);
    let dx_sums = reference::conv::input_gradient(convolution, &wide_dy, &wide_weights);
    let dw_sums = reference::conv::weight_gradient(convolution, &wide_x, &wide_dy);
    let db_sums = reference::conv::bias_gradient(convolution, &wide_dy);
    let taps = shape.kernel[0] * shape.kernel[1];
    let pixels = shape.batch * convolution.output_height() * convolution.output_width();
    let nan = T::from_f64(f64::NAN);
    for level in supported() {
        let what = |pass: &str| format!("{level} {pass} of {shape:?}");
        let depth = taps * shape.channels / shape.groups;
        let mut y = vec![nan; dy.len()];
        dispatch_at(level, Forward::new(convolution, x, weights, None, Activation::Identity, &mut y).unwrap()).unwrap();
        compare(&y, &y_sums, depth, &what("forward"));
        y.fill(nan);
        let relu = Forward::new(convolution, x, weights, Some(bias), Activation::Relu, &mut y).unwrap();
        dispatch_at(level, relu).unwrap();
        compare(&y, &plus(&y_sums, &widen(bias), 0.0), depth, &what("forward with bias"));

        let depth = taps * shape.filters / shape.groups;
        let mut dx = vec![nan; x.len()];
        dispatch_at(level, InputGradient::new(convolution, dy, weights, false, &mut dx).unwrap()).unwrap();
        compare(&dx, &dx_sums, depth, &what("input gradient"));
        dx.copy_from_slice(x);
        dispatch_at(level, InputGradient::new(convolution, dy, weights, true, &mut dx).unwrap()).unwrap();
        compare(&dx, &plus(&dx_sums, &wide_x, f64::NEG_INFINITY), depth, &what("added input gradient"));

        let mut dw = vec![nan; weights.len()];
        dispatch_at(level, WeightGradient::new(convolution, x, dy, false, &mut dw).unwrap()).unwrap();
        compare(&dw, &dw_sums, pixels, &what("weight gradient"));
        dw.copy_from_slice(weights);
        dispatch_at(level, WeightGradient::new(convolution, x, dy, true, &mut dw).unwrap()).unwrap();
        compare(&dw, &plus(&dw_sums, &wide_weights, f64::NEG_INFINITY), pixels, &what("added weight gradient"));

        let mut db = vec![nan; bias.len()];
        dispatch_at(level, BiasGradient::new(convolution, dy, false, &mut db).unwrap()).unwrap();
        compare(&db, &db_sums, pixels, &what("bias gradient"));
        db.copy_from_slice(bias);
        dispatch_at(level, BiasGradient::new(convolution, dy, true, &mut db).unwrap()).unwrap();
        compare(&db, &plus(&db_sums, &widen(bias), f64::NEG_INFINITY), pixels, &what("added bias gradient"));
    }
}

#[test]
fn every_stride_and_padding() {
    for (height, width) in [(1, 1), (4, 7), (9, 5)] {
        for kernel in [[1, 1], [3, 3], [2, 5], [5, 1], [4, 4]] {
            for stride in [[1, 1], [2, 2], [3, 1], [4, 4], [1, 2], [100, usize::MAX]] {
                for padding in [[0, 0], [1, 1], [2, 0], [kernel[0], kernel[1]]] {
                    let fits = (0..2).all(|i| kernel[i] <= [height, width][i] + 2 * padding[i]);
                    if fits && (0..2).all(|i| padding[i] <= kernel[i]) {
                        let shape =
                            ConvolutionShape { height, width, kernel, stride, padding, ..square(2, 0, 3, 5, 0) };
                        check::<f32>(shape);
                        check::<f64>(shape);
                    }
                }
            }
        }
    }
}

#[test]
fn channels_and_filters_around_the_lanes() {
    for channels in [0, 1, 2, 7, 8, 9, 16, 17, 33] {
        for filters in [0, 1, 3, 4, 5, 8, 15, 16, 17, 31, 32, 33, 65] {
            check::<f32>(ConvolutionShape { padding: [1; 2], ..square(1, 5, channels, filters, 3) });
            check::<f64>(ConvolutionShape { stride: [2; 2], padding: [1; 2], ..square(2, 5, channels, filters, 3) });
        }
    }
}

#[test]
fn rows_around_the_tiles() {
    for width in (1..30).chain([47, 48, 49]) {
        check::<f32>(ConvolutionShape { width, padding: [1; 2], ..square(1, 3, 2, 17, 3) });
        check::<f64>(ConvolutionShape { width, padding: [0, 1], ..square(1, 3, 2, 8, 3) });
    }
}

#[test]
fn groups_down_to_one_channel() {
    for (channels, filters, groups) in [(4, 6, 2), (6, 6, 6), (3, 9, 3), (32, 64, 2), (34, 34, 2), (8, 8, 8), (9, 3, 3)]
    {
        for stride in [1, 2] {
            let shape = ConvolutionShape { groups, stride: [stride; 2], ..square(3, 6, channels, filters, 3) };
            check::<f32>(shape);
            check::<f64>(ConvolutionShape { padding: [1; 2], ..shape });
        }
    }
}

#[test]
fn batches_from_none_to_more_than_the_shards() {
    for batch in [0, 1, 2, 3, 7, 16, 17, 33, 50] {
        check::<f32>(ConvolutionShape { padding: [1; 2], ..square(batch, 4, 3, 17, 3) });
        check::<f64>(ConvolutionShape { stride: [2; 2], ..square(batch, 5, 2, 8, 2) });
    }
}

#[test]
fn images_larger_than_a_block() {
    let shape = ConvolutionShape { width: 300, height: 120, padding: [2, 1], stride: [1, 2], ..square(2, 0, 8, 3, 3) };
    check::<f32>(shape);
    check::<f64>(ConvolutionShape { stride: [3, 1], ..shape });
}

/// The first layer of AlexNet (Krizhevsky et al., 2012, in its one-tower form): windows of 11 x 11, four pixels apart.
#[test]
fn the_first_layer_of_alexnet() {
    let shape = ConvolutionShape { stride: [4; 2], padding: [2; 2], ..square(1, 224, 3, 16, 11) };
    assert_eq!(Convolution::new(shape).unwrap().output_height(), 55);
    check::<f32>(shape);
}

/// Rows of (batch, channels, rows, columns) in the order (batch, rows, columns, channels).
fn channels_last(data: &[f64], [batch, channels, height, width]: [usize; 4]) -> Vec<f64> {
    let mut result = Vec::with_capacity(data.len());
    for n in 0..batch {
        for pixel in 0..height * width {
            result.extend((0..channels).map(|c| data[(n * channels + c) * height * width + pixel]));
        }
    }
    result
}

fn linspace(first: f64, last: f64, count: usize) -> Vec<f64> {
    (0..count).map(|i| first + (last - first) * i as f64 / (count - 1) as f64).collect()
}

/// The worked example of CS231n's second assignment: the outputs it prints for two images and three filters.
#[test]
fn the_example_of_the_course() {
    let shape = ConvolutionShape { stride: [2; 2], padding: [1; 2], ..square(2, 4, 3, 3, 4) };
    let convolution = Convolution::new(shape).unwrap();
    let x = channels_last(&linspace(-0.1, 0.5, 96), [2, 3, 4, 4]);
    // Weights are (filters, channels, rows, columns) there.
    let by_filter = channels_last(&linspace(-0.2, 0.3, 144), [3, 3, 4, 4]);
    let weights: Vec<f64> = (0..144).map(|i| by_filter[i % 3 * 48 + i / 3]).collect();
    let bias = linspace(-0.1, 0.2, 3);
    for level in supported() {
        let mut y = vec![0.0; 24];
        let forward = Forward::new(&convolution, &x, &weights, Some(&bias), Activation::Identity, &mut y).unwrap();
        dispatch_at(level, forward).unwrap();
        for (image, filter, wanted) in [
            (0, 0, [-0.08759809, -0.10987781, -0.18387192, -0.2109216]),
            (1, 2, [2.36270298, 2.36904306, 2.38090835, 2.38247847]),
        ] {
            for (pixel, wanted) in wanted.into_iter().enumerate() {
                let found = y[(image * 4 + pixel) * 3 + filter];
                assert!((found - wanted).abs() < 1e-7, "{level}: {found} for {wanted}");
            }
        }
    }
}

#[test]
fn not_a_number_and_infinity_reach_what_depends_on_them() {
    let shape = ConvolutionShape { padding: [1; 2], ..square(1, 6, 2, 17, 3) };
    let convolution = Convolution::new(shape).unwrap();
    let weights = vec![0.0_f32; convolution.weight_length()];
    for level in supported() {
        for activation in [Activation::Identity, Activation::Relu] {
            for (pixel, special) in [(0, f32::NAN), (35, f32::INFINITY), (14, f32::NEG_INFINITY)] {
                let mut x = vec![1.0_f32; convolution.input_length()];
                x[2 * pixel] = special;
                let mut y = vec![5.0_f32; convolution.output_length()];
                dispatch_at(level, Forward::new(&convolution, &x, &weights, None, activation, &mut y).unwrap())
                    .unwrap();
                for (i, y) in y.iter().enumerate() {
                    let (row, col) = (i / 17 / 6, i / 17 % 6);
                    let near = row.abs_diff(pixel / 6) <= 1 && col.abs_diff(pixel % 6) <= 1;
                    assert_eq!(y.is_nan(), near, "{level} {activation:?} pixel {pixel}, output {row} {col}: {y}");
                }
            }
        }
    }
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let shapes = [
        ConvolutionShape { padding: [2; 2], ..square(40, 16, 8, 24, 5) },
        ConvolutionShape { padding: [1; 2], ..square(2, 40, 16, 40, 3) },
        ConvolutionShape { stride: [2; 2], padding: [1; 2], groups: 2, ..square(19, 15, 8, 34, 3) },
        square(1, 80, 8, 16, 3),
    ];
    for shape in shapes {
        let Case { convolution, x, weights, bias, dy } = &Case::<f32>::new(shape);
        let run = |threads: usize| {
            let [mut y, mut dx, mut dw, mut db] = [dy, x, weights, bias].map(|data| data.clone());
            Threads::new(threads).unwrap().run(|| {
                conv::forward(convolution, x, weights, Some(bias), Activation::Relu, &mut y).unwrap();
                conv::input_gradient(convolution, dy, weights, true, &mut dx).unwrap();
                conv::weight_gradient(convolution, x, dy, true, &mut dw).unwrap();
                conv::bias_gradient(convolution, dy, true, &mut db).unwrap();
            });
            [y, dx, dw, db].map(|data| data.iter().map(|x| x.to_bits()).collect::<Vec<_>>())
        };
        let one = run(1);
        for threads in [2, 3, 5] {
            assert!(run(threads) == one, "{shape:?} on {threads} threads");
        }
    }
}

#[test]
fn geometries_that_do_not_exist_are_refused_by_name() {
    let good = square(2, 6, 4, 6, 3);
    let refused = |shape| match Convolution::new(shape) {
        Err(Error::Geometry { what, found, wanted }) => (what, found, wanted),
        other => panic!("{other:?}"),
    };
    let huge = usize::MAX / 4;
    for (shape, wanted) in [
        (ConvolutionShape { kernel: [0, 3], ..good }, ("kernel height", 0, Wanted::AtLeastOne)),
        (ConvolutionShape { kernel: [3, 0], ..good }, ("kernel width", 0, Wanted::AtLeastOne)),
        (ConvolutionShape { stride: [0, 1], ..good }, ("stride of rows", 0, Wanted::AtLeastOne)),
        (ConvolutionShape { stride: [1, 0], ..good }, ("stride of columns", 0, Wanted::AtLeastOne)),
        (ConvolutionShape { groups: 0, ..good }, ("groups", 0, Wanted::AtLeastOne)),
        (ConvolutionShape { groups: 3, ..good }, ("channels", 4, Wanted::MultipleOf(3))),
        (ConvolutionShape { groups: 4, ..good }, ("filters", 6, Wanted::MultipleOf(4))),
        (ConvolutionShape { kernel: [7, 3], ..good }, ("kernel height", 7, Wanted::AtMost(6))),
        (ConvolutionShape { kernel: [3, 9], padding: [0, 1], ..good }, ("kernel width", 9, Wanted::AtMost(8))),
        (ConvolutionShape { padding: [0, 4], ..good }, ("padding of columns", 4, Wanted::AtMost(3))),
        (ConvolutionShape { batch: huge, ..good }, ("input", huge, Wanted::Countable)),
        (ConvolutionShape { height: huge, ..good }, ("image height", huge, Wanted::Countable)),
        (
            ConvolutionShape { filters: huge - huge % 2, groups: 2, ..good },
            ("input image with padding", huge - huge % 2, Wanted::Countable),
        ),
    ] {
        assert_eq!(refused(shape), wanted);
    }
    let error = Convolution::new(ConvolutionShape { groups: 3, ..good }).unwrap_err();
    assert_eq!(error.to_string(), "channels is 4; it must be a multiple of 3");
}

#[test]
fn slices_of_another_length_are_refused() {
    let convolution = Convolution::new(square(2, 6, 4, 6, 3)).unwrap();
    let (x, weights, bias) = (vec![0.0_f32; 288], vec![0.0_f32; 216], [0.0_f32; 6]);
    let mut y = vec![1.0_f32; 192];
    let short = |found, expected| move |error| matches!(error, Error::Shape { expected: (1, e), found: (1, f), .. } if (e, f) == (expected, found));
    let identity = Activation::Identity;
    assert!(conv::forward(&convolution, &x[1..], &weights, None, identity, &mut y).is_err_and(short(287, 288)));
    assert!(conv::forward(&convolution, &x, &weights[1..], None, identity, &mut y).is_err_and(short(215, 216)));
    assert!(conv::forward(&convolution, &x, &weights, Some(&bias[1..]), identity, &mut y).is_err_and(short(5, 6)));
    assert!(conv::forward(&convolution, &x, &weights, None, identity, &mut y[1..]).is_err_and(short(191, 192)));
    assert!(conv::bias_gradient(&convolution, &y[1..], false, &mut bias.clone()).is_err_and(short(191, 192)));
    assert!(conv::bias_gradient(&convolution, &y, false, &mut [0.0; 7]).is_err_and(short(7, 6)));
    assert!(conv::input_gradient(&convolution, &y, &weights, false, &mut x[1..].to_vec()).is_err_and(short(287, 288)));
    assert!(conv::weight_gradient(&convolution, &x, &y, false, &mut weights[1..].to_vec()).is_err_and(short(215, 216)));
    assert!(y.iter().all(|&y| y == 1.0));
}
