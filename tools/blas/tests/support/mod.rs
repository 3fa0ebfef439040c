//! Where the shared library is.

use std::path::PathBuf;

/// The shared library that was built with this test: a package's tests need all its kinds of library, and cargo puts
/// them beside the tests.
pub fn library() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let name = format!("{}lanegrad_blas{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let path = test.with_file_name(name);
    assert!(path.is_file(), "there is no {}", path.display());
    path
}
