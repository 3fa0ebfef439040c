//! The examples run, and what they print is right.

use std::path::PathBuf;
use std::process::Command;

/// Runs an example on the synthetic data; what it printed.
fn run(name: &str) -> String {
    // Beside the folder of the test executables, where `cargo test` puts the examples.
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    let path: PathBuf = path.with_file_name("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.exists(),
        "{path:?} is not built: `cargo build --examples` does that, as does `cargo test` of all targets"
    );
    let output = Command::new(path).env_remove("CIFAR10_DIR").output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The percentage after the last `accuracy`.
fn accuracy(text: &str) -> f64 {
    let after = text.rsplit_once("accuracy ").unwrap().1;
    after.split_once(" %").unwrap().0.parse().unwrap()
}

/// Chance is 10 %, with a standard deviation of 1 % on a thousand images.
const ABOVE_CHANCE: f64 = 20.0;

#[test]
fn svm() {
    let text = run("svm");
    assert!(text.contains("loss 9 (nine margins of 1)"), "{text}");
    assert!(accuracy(&text) > ABOVE_CHANCE, "{text}");
}

#[test]
fn softmax() {
    let text = run("softmax");
    assert!(accuracy(&text) > ABOVE_CHANCE, "{text}");
    let curve = |name: &str| -> Vec<f64> {
        let line = text.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        line.split_whitespace().filter_map(|word| word.parse().ok()).skip(1).take(8).collect()
    };
    let [low, good, high, very_high] = ["low", "good", "high", "very high"].map(curve);
    assert!(low.is_sorted_by(|a, b| a > b) && low[7] > 2.0, "{text}");
    assert!(good[7] < low[7] && good[7] < high[7], "{text}");
    assert!(very_high[7] > std::f64::consts::LN_10, "{text}");
}

#[test]
fn mlp() {
    let text = run("mlp");
    assert!(text.contains("308310 parameters"), "{text}");
    assert!(accuracy(&text) > ABOVE_CHANCE, "{text}");
}

#[test]
fn convnet() {
    let text = run("convnet");
    assert!(text.contains("33834 parameters"), "{text}");
    // More than a linear classifier has on as many images.
    assert!(accuracy(&text) > 45.0, "{text}");
}

#[test]
fn gradcheck() {
    let text = run("gradcheck");
    let sum = ["z", "add(x^2,", "y^2)", "[]", "value", "34", "gradient", "1"];
    assert!(text.lines().any(|line| line.split_whitespace().eq(sum)), "{text}");
    let verdicts: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once("worst error ")?.1)).collect();
    assert!(
        matches!(verdicts[..], [network, rectifier] if network.ends_with(": good") && rectifier.ends_with(": kink"))
    );
}

#[test]
fn custom_op() {
    let text = run("custom_op");
    assert!(text.lines().any(|line| line.split_whitespace().eq(["1", "0.84119", "1.08296"])), "{text}");
    assert!(text.trim_end().ends_with(": good"), "{text}");
}
