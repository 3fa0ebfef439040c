//! What a crate that links Lanegrad compiles: nothing but what the design allows.

use std::collections::BTreeSet;
use std::process::Command;

/// The packages that `package` needs to be built, with what those need, without this machine's operating system's.
fn normal_dependencies(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--package", package, "--edges", "normal", "--prefix", "none"])
        .args(["--format", "{p}"])
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn only_what_the_design_allows() {
    let kernels = [
        "lanegrad-kernels",
        // rayon, and what it brings.
        "rayon",
        "rayon-core",
        "either",
        "crossbeam-deque",
        "crossbeam-epoch",
        "crossbeam-utils",
        // wide, and what it brings; bytemuck.
        "wide",
        "safe_arch",
        "bytemuck",
        "bytemuck_derive",
        "proc-macro2",
        "quote",
        "syn",
        "unicode-ident",
    ];
    let library = [
        "lanegrad",
        // rand_xoshiro, rand's traits and distributions.
        "rand_xoshiro",
        "rand",
        "rand_core",
        "rand_distr",
        "num-traits",
        "libm",
        // thiserror.
        "thiserror",
        "thiserror-impl",
    ];
    let allowed: BTreeSet<&str> = kernels.into_iter().collect();
    for package in normal_dependencies("lanegrad-kernels") {
        assert!(allowed.contains(package.as_str()), "lanegrad-kernels depends on {package}");
    }
    let allowed: BTreeSet<&str> = kernels.into_iter().chain(library).collect();
    for package in normal_dependencies("lanegrad") {
        assert!(allowed.contains(package.as_str()), "lanegrad depends on {package}");
    }
}
