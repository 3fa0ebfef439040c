//! A child of fork() has a pool whose threads did not come along: its products must neither hang nor differ.

mod support;

#[cfg(not(unix))]
fn main() {}

#[cfg(unix)]
fn main() {
    // SAFETY: this is the process's only thread.
    unsafe { std::env::set_var("RAYON_NUM_THREADS", "3") };
    // SAFETY: loading the library runs no code but Rust's own.
    let library = unsafe { libloading::Library::new(support::library()) }.expect("the library loads");
    // SAFETY: this is the function's signature.
    let dgemm = *unsafe { library.get::<Dgemm>("cblas_dgemm") }.expect("it is exported");

    // A child that is the first to multiply has threads of its own; its children have none.
    in_child(60, || {
        let first = product(dgemm);
        in_child(20, || assert!(product(dgemm) == first, "a child of the child that was first"));
    });
    let before = product(dgemm);
    assert!(threads().is_none_or(|threads| threads > 1), "the product was too small for threads");
    in_child(60, || {
        assert!(product(dgemm) == before, "a child computes the same");
        in_child(20, || assert!(product(dgemm) == before, "so does its child"));
    });
    assert!(product(dgemm) == before, "the parent still has its threads");
    println!("forked children compute the same product");
}

/// Runs `work` in a child, which must succeed within `seconds`: fewer for a child of a child, so that none outlives who waits for it.
#[cfg(unix)]
fn in_child(seconds: u64, work: impl FnOnce()) {
    // SAFETY: the child only computes, and leaves without running what this process would run at its end.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork: {}", std::io::Error::last_os_error());
    if child == 0 {
        let succeeded = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_ok();
        // SAFETY: ends the child, as above.
        unsafe { libc::_exit(if succeeded { 0 } else { 1 }) };
    }
    let status = wait(child, seconds);
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "the child ended with status {status:#x}");
}

#[cfg(unix)]
type Dgemm =
    unsafe extern "C" fn(i32, i32, i32, i32, i32, i32, f64, *const f64, i32, *const f64, i32, f64, *mut f64, i32);

/// The bits of a product that is worth several threads.
#[cfg(unix)]
fn product(dgemm: Dgemm) -> Vec<u64> {
    const EXTENT: usize = 400;
    let element = |i: usize| (i % 1013) as f64 / 1013.0 - 0.5;
    let a: Vec<f64> = (0..EXTENT * EXTENT).map(element).collect();
    let b: Vec<f64> = (0..EXTENT * EXTENT).map(|i| element(i * 7)).collect();
    let mut c = vec![f64::NAN; EXTENT * EXTENT];
    let n = EXTENT as i32;
    // SAFETY: the vectors hold matrices of these extents.
    unsafe { dgemm(101, 111, 111, n, n, n, 1.0, a.as_ptr(), n, b.as_ptr(), n, 0.0, c.as_mut_ptr(), n) };
    c.into_iter().map(f64::to_bits).collect()
}

/// The number of this process's threads, where the system tells.
#[cfg(unix)]
fn threads() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/task").ok()?.count())
}

/// The child's status, if it ends within `seconds`.
#[cfg(unix)]
fn wait(child: libc::pid_t, seconds: u64) -> libc::c_int {
    use std::time::{Duration, Instant};
    let start = Instant::now();
    let mut status = 0;
    while start.elapsed() < Duration::from_secs(seconds) {
        // SAFETY: `status` is this function's.
        match unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } {
            0 => std::thread::sleep(Duration::from_millis(5)),
            ended if ended == child => return status,
            _ => panic!("waitpid: {}", std::io::Error::last_os_error()),
        }
    }
    // SAFETY: the child is this process's own and has not been waited for.
    unsafe { libc::kill(child, libc::SIGKILL) };
    panic!("the child hangs");
}
