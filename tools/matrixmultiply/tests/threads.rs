//! Which threads a product uses. The only test of its binary, since it counts the threads of the process.
#![cfg(target_os = "linux")]

/// Threads of this process.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// A product outside of any pool starts rayon's global one if the feature `threading` lets it use threads.
#[test]
fn only_with_threading_there_are_other_threads() {
    let n = 300;
    let (a, mut c) = (vec![1.0_f32; n * n], vec![f32::NAN; n * n]);
    let before = threads();
    let (a, to) = (a.as_ptr(), c.as_mut_ptr());
    // SAFETY: the matrices have n x n elements, row by row.
    unsafe { matrixmultiply::sgemm(n, n, n, 1.0, a, n as isize, 1, a, n as isize, 1, 0.0, to, n as isize, 1) };
    assert!(c.iter().all(|&element| element == n as f32));
    assert_eq!(threads() > before, cfg!(feature = "threading"), "{before} threads before, {} after", threads());
}
