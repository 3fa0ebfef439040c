//! The entries to the product: raw pointers, and what the checked one refuses.

mod support;

use lanegrad_kernels::{Error, MatMut, MatRef, dgemm, gemm, sgemm};
use support::uniform;

#[test]
fn the_raw_entries_agree_with_matrixmultiply() {
    let (m, k, n) = (45, 130, 70);
    let (a, b, c) = (uniform::<f32>(8, m * k), uniform::<f32>(9, k * n), uniform::<f32>(10, m * n));
    let (mut ours, mut theirs) = (c.clone(), c);
    let (rsa, rsb, rsc) = (k as isize, n as isize, n as isize);
    // SAFETY: the vectors hold matrices of these shapes in row-major order.
    unsafe {
        sgemm(m, k, n, 1.5, a.as_ptr(), rsa, 1, b.as_ptr(), rsb, 1, 0.5, ours.as_mut_ptr(), rsc, 1);
        matrixmultiply::sgemm(m, k, n, 1.5, a.as_ptr(), rsa, 1, b.as_ptr(), rsb, 1, 0.5, theirs.as_mut_ptr(), rsc, 1);
    }
    assert!(ours.iter().zip(&theirs).all(|(x, y)| (x - y).abs() < 1e-4));

    let (a, b, c) = (uniform::<f64>(8, m * k), uniform::<f64>(9, k * n), uniform::<f64>(10, m * n));
    let (mut ours, mut theirs) = (c.clone(), c);
    // B is read backwards: its last element first, by negative strides.
    let last = k * n - 1;
    // SAFETY: as above; `last` is the last element of B.
    unsafe {
        let b = b.as_ptr().add(last);
        dgemm(m, k, n, 1.5, a.as_ptr(), rsa, 1, b, -rsb, -1, 0.5, ours.as_mut_ptr(), rsc, 1);
        matrixmultiply::dgemm(m, k, n, 1.5, a.as_ptr(), rsa, 1, b, -rsb, -1, 0.5, theirs.as_mut_ptr(), rsc, 1);
    }
    assert!(ours.iter().zip(&theirs).all(|(x, y)| (x - y).abs() < 1e-12));
}

#[test]
fn shapes_that_do_not_agree_are_refused() {
    let data = [0.0_f32; 12];
    let mut c = [5.0_f32; 4];
    let a = MatRef::row_major(&data, 2, 3).unwrap();
    let b = MatRef::row_major(&data, 4, 2).unwrap();
    let error = gemm(1.0, a, b, 0.0, MatMut::row_major(&mut c, 2, 2).unwrap()).unwrap_err();
    assert!(matches!(error, Error::Shape { expected: (3, 2), found: (4, 2), .. }), "{error}");
    let b = MatRef::row_major(&data, 3, 4).unwrap();
    let error = gemm(1.0, a, b, 0.0, MatMut::row_major(&mut c, 2, 2).unwrap()).unwrap_err();
    assert!(matches!(error, Error::Shape { expected: (2, 4), found: (2, 2), .. }), "{error}");
    assert_eq!(c, [5.0; 4]);
}
