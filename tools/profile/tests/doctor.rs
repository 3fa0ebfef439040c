//! `profile doctor`: ticks where all is well, and what to do where it is not.

mod support;

use serde_json::Value;
use std::path::Path;
use support::{damaged, profile, refused, small_cifar};

const CHECKS: [&str; 9] = [
    "data set",
    "chance loss",
    "regularisation",
    "overfitting",
    "gradient",
    "threads",
    "instructions",
    "arithmetic",
    "memory",
];

/// Runs `profile doctor` on the data in `data`; returns its exit status, what it printed, and the report.
fn doctor(data: &Path, arguments: &str, isa: Option<&str>) -> (i32, String, Value) {
    let directory = tempfile::tempdir().unwrap();
    let mut command = profile(directory.path());
    command.args(["doctor", "--json", "-", "--data"]).arg(data).args(arguments.split_whitespace());
    command.envs(isa.map(|isa| ("LANEGRAD_ISA", isa)));
    let output = command.output().unwrap();
    let printed = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), printed, serde_json::from_slice(&output.stdout).unwrap())
}

/// The checks that ended with `status`.
fn ended<'a>(report: &'a Value, status: &str) -> Vec<&'a str> {
    let checks = report["checks"].as_array().unwrap().iter().filter(|check| check["status"] == status);
    checks.map(|check| check["name"].as_str().unwrap()).collect()
}

fn value(report: &Value, name: &str) -> f64 {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap()["value"].as_f64().unwrap()
}

#[test]
fn every_model_and_loss_is_well() {
    for (arguments, chance) in [
        ("", std::f64::consts::LN_10),
        ("--loss hinge --bias trick --threads 1", 9.0),
        ("--model mlp --hidden 24,16 --reg 0", std::f64::consts::LN_10),
        ("--model mlp --hidden 24 --loss hinge --preprocess mean --init xavier", 9.0),
        ("--model convnet --seed 3", std::f64::consts::LN_10),
        ("--model quick --loss hinge --threads 3", 9.0),
    ] {
        let (status, printed, report) = doctor(small_cifar(), arguments, None);
        assert_eq!(status, 0, "{arguments}\n{printed}");
        assert_eq!(ended(&report, "failed"), [""; 0], "{printed}");
        let names: Vec<_> = report["checks"].as_array().unwrap().iter().map(|check| &check["name"]).collect();
        assert_eq!(names, CHECKS);
        assert!((value(&report, "chance loss") - chance).abs() < 1e-3 * chance, "{printed}");
        assert!(value(&report, "regularisation") > 0.0 && value(&report, "overfitting") < 0.02, "{printed}");
        assert!(value(&report, "gradient") < 1e-7, "{printed}");
        assert!(value(&report, "memory") > 0.0 && value(&report, "arithmetic") > 0.0);
        let ticks = printed.lines().filter(|line| line.starts_with('✓')).count();
        assert_eq!(ticks, ended(&report, "good").len(), "{printed}");
    }
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let broken = damaged("data_batch_2.bin", |bytes| bytes[3073] = 77);
    let (status, printed, report) = doctor(broken.path(), "", None);
    assert_eq!((status, ended(&report, "failed")), (1, vec!["data set"]), "{printed}");
    assert!(printed.contains("label 77") && printed.contains("to do: `profile data fetch`"), "{printed}");
    assert!(printed.ends_with("error: 1 of 9 checks failed\n"), "{printed}");

    let uneven = damaged("test_batch.bin", |bytes| bytes[0] = 5);
    let (status, printed, report) = doctor(uneven.path(), "", None);
    assert_eq!((status, ended(&report, "failed")), (1, vec!["data set"]), "{printed}");
    assert!(printed.contains("that differ in size"), "{printed}");

    // Weights so large that no loss is brought down in time.
    let (status, printed, report) = doctor(small_cifar(), "--init normal:1000", None);
    assert_eq!((status, ended(&report, "failed")), (1, vec!["overfitting"]), "{printed}");
    assert!(printed.contains("✗ overfitting"), "{printed}");
}

#[test]
fn narrow_instructions_are_no_failure() {
    let (status, printed, report) = doctor(small_cifar(), "", Some("portable"));
    assert_eq!(status, 0, "{printed}");
    // On a processor that has no others, these are the widest.
    if !ended(&report, "good").contains(&"instructions") {
        assert!(printed.contains("! instructions") && printed.contains("unset LANEGRAD_ISA"), "{printed}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    for arguments in ["--hidden 3", "--model quick --init he", "--data synthetic:x", "--threads 0", "--model resnet"] {
        let arguments: Vec<&str> = ["doctor"].into_iter().chain(arguments.split_whitespace()).collect();
        refused(2, &arguments, &[]);
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_it_at_once() {
    use std::io::{BufRead, BufReader, Read};
    let mut child = std::process::Command::new(assert_cmd::cargo_bin!("profile"))
        .args(["doctor", "--data", "synthetic"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let mut message = String::new();
    child.stderr.take().unwrap().read_to_string(&mut message).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{message}");
    assert_eq!(message.lines().last(), Some("interrupted"), "{message}");
}
