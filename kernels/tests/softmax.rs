//! log-softmax at every level against its slow twin.

mod support;

use lanegrad_kernels::dispatch::{dispatch_at, supported};
use lanegrad_kernels::isa::Scalar;
use lanegrad_kernels::parallel::Threads;
use lanegrad_kernels::reference;
use lanegrad_kernels::softmax::{LogSoftmax, log_softmax};
use support::uniform;

fn check<T: Scalar>(extents: [usize; 3]) {
    let length = extents.iter().product();
    let x: Vec<T> = uniform::<T>(1, length).into_iter().map(|x| x * T::from_f64(20.0)).collect();
    let wide: Vec<f64> = x.iter().map(|x| x.to_f64()).collect();
    let wanted = reference::log_softmax(&wide, extents);
    for level in supported() {
        let mut y = vec![T::NAN; length];
        dispatch_at(level, LogSoftmax::new(&x, extents, &mut y).unwrap()).unwrap();
        for (y, wanted) in y.iter().zip(&wanted) {
            let error = (y.to_f64() - wanted).abs();
            assert!(error <= 4.0 * T::EPSILON.to_f64() * 40.0, "{level} {extents:?}: {y}, not {wanted}");
        }
    }
}

#[test]
fn along_any_dimension() {
    for extent in [1, 2, 3, 4, 5, 7, 8, 9, 10, 15, 16, 17, 33, 100] {
        for (outer, inner) in [(1, 1), (3, 1), (2, 2), (1, 16), (2, 17), (1, 35)] {
            check::<f32>([outer, extent, inner]);
            check::<f64>([outer, extent, inner]);
        }
    }
    check::<f32>([0, 3, 1]);
    check::<f32>([2, 0, 3]);
    check::<f32>([2, 3, 0]);
}

#[test]
fn what_is_not_a_number_stays_visible() {
    for level in supported() {
        for bad in [f32::NAN, f32::INFINITY] {
            for inner in [1, 2] {
                let mut x = vec![0.5_f32; 20 * inner];
                x[7 * inner] = bad;
                let mut y = vec![0.0; x.len()];
                dispatch_at(level, LogSoftmax::new(&x, [1, 20, inner], &mut y).unwrap()).unwrap();
                assert!(y.iter().step_by(inner).any(|y| y.is_nan()), "{level} {bad}: {y:?}");
            }
        }
        // Probabilities of zero, and scores as far apart as they can be.
        let mut y = [0.0_f32; 3];
        let x = [f32::NEG_INFINITY, f32::MAX, -f32::MAX];
        dispatch_at(level, LogSoftmax::new(&x, [1, 3, 1], &mut y).unwrap()).unwrap();
        assert_eq!(y, [f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY]);
    }
}

#[test]
fn the_same_bits_on_any_number_of_threads() {
    let x = uniform::<f32>(1, 5000 * 10);
    let on = |threads: usize| {
        let mut y = vec![0.0; x.len()];
        Threads::new(threads).unwrap().run(|| log_softmax(&x, [5000, 10, 1], &mut y)).unwrap();
        y
    };
    assert!(on(1) == on(2) && on(1) == on(3));
}

#[test]
fn lengths_that_do_not_agree_are_refused() {
    assert!(LogSoftmax::new(&[0.0_f32; 6], [1, 6, 1], &mut [0.0; 5]).is_err());
    assert!(LogSoftmax::new(&[0.0_f32; 6], [1, 5, 1], &mut [0.0; 6]).is_err());
    assert!(LogSoftmax::new(&[0.0_f32; 6], [usize::MAX, 6, 2], &mut [0.0; 6]).is_err());
}
