//! Elementwise functions, broadcast and summed, at every level against plain loops.

mod support;

use lanegrad_kernels::dispatch::{dispatch_at, supported};
use lanegrad_kernels::elementwise::{Broadcast, BroadcastMut, Elementwise, Function};
use lanegrad_kernels::isa::{Isa, Lanes, Scalar};
use lanegrad_kernels::parallel::Threads;
use support::uniform;

/// a b + 1: not zero where its arguments are, so that lanes beyond the end show.
#[derive(Clone, Copy, Debug)]
struct ProductPlusOne;

impl<T: Scalar> Function<T, 2> for ProductPlusOne {
    #[inline(always)]
    fn lanes<S: Isa>(&self, isa: S, [a, b]: [T::Lanes<S>; 2]) -> T::Lanes<S> {
        a.mul(isa, b).add(isa, T::Lanes::<S>::splat(isa, T::ONE))
    }
}

/// Every index of an array with these extents.
fn indices(extents: &[usize]) -> Vec<Vec<usize>> {
    extents.iter().fold(vec![vec![]], |all, &extent| {
        all.iter().flat_map(|index| (0..extent).map(move |i| [index.as_slice(), &[i]].concat())).collect()
    })
}

fn place(index: &[usize], strides: &[usize]) -> usize {
    index.iter().zip(strides).map(|(i, stride)| i * stride).sum()
}

/// Row-major strides of an array with these extents, 0 where `repeated`, and its length.
fn strides(extents: &[usize], repeated: &[bool]) -> (Vec<usize>, usize) {
    let mut distance = 1;
    let mut strides = vec![0; extents.len()];
    for axis in (0..extents.len()).rev() {
        if !repeated[axis] {
            strides[axis] = distance;
            distance *= extents[axis];
        }
    }
    (strides, distance)
}

/// All ways to repeat some of `rank` dimensions.
fn repetitions(rank: usize) -> impl Iterator<Item = Vec<bool>> {
    (0..1_usize << rank).map(move |bits| (0..rank).map(|axis| bits >> axis & 1 == 1).collect())
}

fn check<T: Scalar>(extents: &[usize], repeated: [&[bool]; 3]) {
    let [(a_strides, a_length), (b_strides, b_length), (y_strides, y_length)] = repeated.map(|r| strides(extents, r));
    let (a, b, y) = (uniform::<T>(1, a_length), uniform::<T>(2, b_length), uniform::<T>(3, y_length));
    let mut sums: Vec<f64> = y.iter().map(|y| y.to_f64()).collect();
    let mut sizes: Vec<f64> = sums.iter().map(|y| y.abs()).collect();
    let mut values = Vec::new();
    for index in indices(extents) {
        let term = a[place(&index, &a_strides)].to_f64() * b[place(&index, &b_strides)].to_f64() + 1.0;
        sums[place(&index, &y_strides)] += term;
        sizes[place(&index, &y_strides)] += term.abs();
        values.push(term);
    }
    for level in supported() {
        let x = [Broadcast { values: &a, strides: &a_strides }, Broadcast { values: &b, strides: &b_strides }];
        let mut found = y.clone();
        let target = BroadcastMut { values: &mut found, strides: &y_strides };
        dispatch_at(level, Elementwise::accumulated(ProductPlusOne, extents, x, target).unwrap()).unwrap();
        let terms = values.len() as f64;
        for ((found, sum), size) in found.iter().zip(&sums).zip(&sizes) {
            let error = (found.to_f64() - sum).abs();
            assert!(
                error <= (terms + 3.0) * T::EPSILON.to_f64() * size,
                "{level} {extents:?} {repeated:?}: {found}, not {sum}"
            );
        }
        let mut mapped = vec![T::NAN; values.len()];
        dispatch_at(level, Elementwise::mapped(ProductPlusOne, extents, x, &mut mapped).unwrap()).unwrap();
        for (found, value) in mapped.iter().zip(&values) {
            assert!((found.to_f64() - value).abs() <= 4.0 * T::EPSILON.to_f64(), "{level} {extents:?} {repeated:?}");
        }
    }
}

#[test]
fn every_broadcast_of_small_arrays() {
    for extents in
        [&[][..], &[1], &[0], &[3], &[17], &[2, 3], &[3, 16], &[1, 5], &[5, 1], &[2, 0], &[2, 3, 4], &[2, 1, 33]]
    {
        for a in repetitions(extents.len()) {
            for b in repetitions(extents.len()) {
                for y in repetitions(extents.len()) {
                    check::<f32>(extents, [&a, &b, &y]);
                    check::<f64>(extents, [&a, &b, &y]);
                }
            }
        }
    }
}

#[test]
fn many_dimensions() {
    let extents = [2, 3, 1, 2, 2, 3, 2, 2, 3];
    let (even, odd): (Vec<bool>, Vec<bool>) = (0..9).map(|axis| (axis % 2 == 0, axis % 2 == 1)).unzip();
    check::<f32>(&extents, [&even, &odd, &[false; 9]]);
    check::<f64>(&extents, [&[false; 9], &[true; 9], &odd]);
}

#[test]
fn lengths_around_the_lanes_and_no_further() {
    for length in (0..70).chain([4095, 4096, 4097, 10_000]) {
        for repeated in
            [[&[false][..], &[false], &[false]], [&[true], &[false], &[true]], [&[false], &[true], &[false]]]
        {
            check::<f32>(&[length], repeated);
            check::<f64>(&[length], repeated);
        }
    }
}

/// A sum of many numbers keeps most of its digits.
#[test]
fn long_sums_are_accurate() {
    let ones = vec![0.1_f32; 10_000_000];
    for level in supported() {
        let mut sum = [0.0_f32];
        let x = [Broadcast { values: &ones, strides: &[1] }, Broadcast { values: &[0.0], strides: &[0] }];
        let y = BroadcastMut { values: &mut sum, strides: &[0] };
        dispatch_at(level, Elementwise::accumulated(ProductPlusOne, &[ones.len()], x, y).unwrap()).unwrap();
        assert!((sum[0] / 1e7 - 1.0).abs() < 1e-6, "{level}: {}", sum[0]);
    }
}

#[test]
fn the_same_bits_on_any_number_of_threads() {
    let extents = [300, 700];
    for (x_repeated, y_repeated) in [
        ([false, false], [false, false]),
        ([false, true], [false, true]),
        ([true, false], [true, false]),
        ([false; 2], [true; 2]),
    ] {
        let (x_strides, x_length) = strides(&extents, &x_repeated);
        let (y_strides, y_length) = strides(&extents, &y_repeated);
        let x = uniform::<f32>(1, x_length);
        let on = |threads: usize| {
            let mut y = vec![0.5; y_length];
            let operand = Broadcast { values: &x, strides: &x_strides };
            let target = BroadcastMut { values: &mut y, strides: &y_strides };
            let work = Elementwise::accumulated(ProductPlusOne, &extents, [operand; 2], target).unwrap();
            Threads::new(threads).unwrap().run(|| dispatch_at(lanegrad_kernels::dispatch::best(), work)).unwrap();
            y
        };
        let one = on(1);
        assert!([2, 3, 7].into_iter().all(|threads| on(threads) == one));
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let x = [1.0_f32; 6];
    let pair = |strides: &'static [usize]| [Broadcast { values: &x[..], strides }; 2];
    let refused = |extents: &[usize], strides: &'static [usize], length: usize| {
        Elementwise::mapped(ProductPlusOne, extents, pair(strides), &mut vec![0.0; length]).is_err()
    };
    assert!(!refused(&[2, 3], &[3, 1], 6));
    assert!(refused(&[2, 3], &[3, 1], 5));
    assert!(refused(&[2, 4], &[4, 1], 8));
    assert!(refused(&[2, 3], &[3], 6));
    assert!(refused(&[3, 2], &[1, 3], 6));
    assert!(refused(&[usize::MAX, 2], &[0, 0], 0));
    assert!(refused(&[2, 3], &[usize::MAX, 1], 6));
    let mut y = [0.0; 6];
    let target = BroadcastMut { values: &mut y, strides: &[1, 1] };
    assert!(Elementwise::accumulated(ProductPlusOne, &[2, 3], pair(&[3, 1]), target).is_err());
    assert!(Elementwise::flat(ProductPlusOne, [&x, &x[1..]], &mut y, true).is_err());
}
