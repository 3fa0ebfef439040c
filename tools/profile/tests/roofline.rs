//! `profile roofline` as a person uses it.

mod support;

use serde_json::Value;
use std::fs;
use support::{profile, refused};

#[test]
fn every_kernel_is_measured_and_drawn() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = profile(directory.path());
    let output = command.args(["roofline", "--out", "out", "--time", "5"]).assert().success().get_output().clone();
    let printed = String::from_utf8(output.stdout).unwrap();
    let report: Value = serde_json::from_slice(&fs::read(directory.path().join("out/report.json")).unwrap()).unwrap();
    let roof = |name: &str| report["roofs"][name].as_f64().unwrap();
    assert!(roof("peak") > 1.0 && roof("memory") > 0.5 && roof("cache") > 0.5);
    let kernels = report["kernels"].as_array().unwrap();
    for wanted in [
        "gemm 1024 x 1024 x 1024",
        "classifier softmax forward",
        "classifier hinge forward",
        "classifier weight gradient",
        "conv1 forward",
        "conv2 input gradient",
        "conv3 weight gradient",
        "max pool forward",
        "average pool gradient",
        "sgd",
        "adam",
        "lion",
        "add",
        "exp",
        "ln",
        "log-softmax, rows of 10",
    ] {
        let kernel = kernels.iter().find(|kernel| kernel["name"] == wanted).unwrap_or_else(|| panic!("{wanted}"));
        let value = |name: &str| kernel[name].as_f64().unwrap();
        assert!(value("gflops") > 0.0 && value("gbytes") > 0.0, "{kernel}");
        assert!((value("gflops") / value("gbytes") / value("intensity") - 1.0).abs() < 1e-9, "{kernel}");
        let bandwidth = roof(if kernel["cached"] == true { "cache" } else { "memory" });
        let expected = roof("peak").min(value("intensity") * bandwidth);
        assert!((value("roof") / expected - 1.0).abs() < 1e-9, "{kernel}");
        assert!((value("gflops") / value("roof") / value("of_roof") - 1.0).abs() < 1e-9, "{kernel}");
        assert!(printed.lines().any(|line| line.contains(wanted) && line.contains('%')), "{wanted} in\n{printed}");
    }
    let svg = fs::read_to_string(directory.path().join("out/roofline.svg")).unwrap();
    let picture = roxmltree::Document::parse(&svg).unwrap();
    let texts: Vec<&str> = picture.descendants().filter_map(|node| node.text()).map(str::trim).collect();
    for kernel in kernels {
        assert!(texts.contains(&kernel["name"].as_str().unwrap()), "{kernel}");
    }
    let csv = fs::read_to_string(directory.path().join("out/roofline.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + kernels.len());
}

#[test]
fn some_kernels_can_be_picked() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = profile(directory.path());
    let arguments = ["roofline", "--only", "conv2", "--time", "5", "--threads", "1", "--json", "-"];
    let output = command.args(arguments).assert().success().get_output().clone();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["threads"], 1);
    assert_eq!(report["kernels"].as_array().unwrap().len(), 3);
    assert!(String::from_utf8(output.stderr).unwrap().contains("of roof"));
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (arguments, expected) in [
        (&["roofline", "--data", "synthetic"][..], "--data"),
        (&["roofline", "--time", "0"], "--time"),
        (&["roofline", "--only", "nothing of this name", "--time", "1"], "no kernel"),
    ] {
        let message = refused(2, arguments, &[]);
        assert!(message.contains(expected), "{arguments:?}: {message}");
    }
}
