//! `profile search` as a person uses it.

mod support;

use serde_json::Value;
use std::fs;
use std::path::Path;
use support::{profile, real_data, refused};
use tempfile::TempDir;

/// Runs `profile search` with `arguments`; returns its directory, standard output, and the report.
fn search(arguments: &[&str]) -> (TempDir, String, Value) {
    let directory = tempfile::tempdir().unwrap();
    let mut command = profile(directory.path());
    let output = command.args(["search", "--out", "out"]).args(arguments).assert().success().get_output().clone();
    let report = fs::read(directory.path().join("out/report.json")).unwrap();
    (directory, String::from_utf8(output.stdout).unwrap(), serde_json::from_slice(&report).unwrap())
}

const SMALL: [&str; 2] = ["--data", "synthetic:400"];

fn losses(report: &Value) -> Vec<f64> {
    report["losses"].as_array().unwrap().iter().map(|loss| loss.as_f64().unwrap()).collect()
}

#[test]
fn attempts_are_printed_as_on_the_slide() {
    let (directory, printed, report) = search(&[&SMALL[..], &["--tries", "60", "--all"]].concat());
    assert!(printed.contains("W = randn(10, 3073) * 0.0001"), "{printed}");
    let losses = losses(&report);
    assert_eq!(losses.len(), 60);
    let mut best = f64::INFINITY;
    for (attempt, &loss) in losses.iter().enumerate() {
        best = loss.min(best);
        let line = format!("in attempt {attempt} the loss was {loss:.6}, best {best:.6}\n");
        assert!(printed.contains(&line), "{line} in\n{printed}");
        assert!((7.0..11.0).contains(&loss), "{loss}");
    }
    assert_eq!(report["best_loss"].as_f64().unwrap(), best);
    assert_eq!(losses[report["best_attempt"].as_u64().unwrap() as usize], best);
    assert_eq!((&report["strategy"], &report["loss"]), (&"random".into(), &"hinge".into()));
    check_files(&directory.path().join("out"), &printed, "Random search");
}

fn check_files(out: &Path, printed: &str, title: &str) {
    for name in ["search.svg", "templates.png", "weights.safetensors", "report.json"] {
        assert!(printed.contains(&format!("wrote {}", Path::new("out").join(name).display())), "{printed}");
        assert!(out.join(name).is_file());
    }
    let text = fs::read_to_string(out.join("search.svg")).unwrap();
    let picture = roxmltree::Document::parse(&text).unwrap();
    let texts: String = picture.descendants().filter_map(|node| node.text()).collect();
    assert!(texts.contains(title) && texts.contains("synthetic data") && texts.contains("all weights zero"), "{texts}");
    let bytes = fs::read(out.join("weights.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.tensor("linear.weight").unwrap().shape(), [10, 3072]);
    assert_eq!(tensors.tensor("linear.bias").unwrap().shape(), [10]);
}

#[test]
fn without_all_only_lines_that_tell_something_are_printed() {
    let (_, printed, report) = search(&[&SMALL[..], &["--tries", "120"]].concat());
    let losses = losses(&report);
    let shown = (0..120).filter(|&n| n < 7 || losses[..n].iter().all(|&before| losses[n] < before)).count();
    assert_eq!(printed.matches("in attempt ").count(), shown);
}

#[test]
fn a_local_search_keeps_steps_that_help() {
    let (directory, printed, report) = search(&[&SMALL[..], &["--tries", "150", "--local"]].concat());
    assert!(printed.contains("W = randn(10, 3073) * 0.001") && printed.contains("W + randn * 0.0001"), "{printed}");
    let value = |name: &str| report[name].as_f64().unwrap();
    let (kept, losses) = (report["kept"].as_u64().unwrap(), losses(&report));
    assert!((10..150).contains(&kept), "{kept}");
    assert!(value("best_loss") < 0.9 * value("start_loss"));
    assert_eq!(value("best_loss"), losses.iter().copied().fold(f64::INFINITY, f64::min));
    check_files(&directory.path().join("out"), &printed, "Random local search");
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    for strategy in [&[][..], &["--local"]] {
        for loss in ["hinge", "softmax"] {
            let run = |threads: &str| {
                let (_, _, report) =
                    search(&[&SMALL[..], &["--tries", "55", "--loss", loss, "--threads", threads], strategy].concat());
                (losses(&report), report["weights_sha256"].clone())
            };
            let one = run("1");
            assert_eq!(run("2"), one);
            assert_eq!(run("3"), one);
        }
    }
}

#[test]
fn the_report_goes_where_it_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = profile(directory.path());
    command.args(["search", "--tries", "3", "--json", "-"]).args(SMALL);
    let output = command.assert().success().get_output().clone();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["command"], &report["version"]), (&"search".into(), &1.into()));
    assert!(String::from_utf8(output.stderr).unwrap().contains("in attempt 2 the loss was "));
}

#[test]
fn what_cannot_be_is_refused() {
    for wrong in [&["--tries", "0"][..], &["--deviation", "0"], &["--step", "1e-4"], &["--deviation", "nan"]] {
        refused(2, &[&["search"], wrong].concat(), &[]);
    }
    refused(2, &["search", "--data", "synthetic:1"], &[]);
    let message = refused(1, &[&["search", "--tries", "2", "--deviation", "1e38"], &SMALL[..]].concat(), &[]);
    assert!(message.contains("--deviation"), "{message}");
}

#[test]
fn cifar_10_gives_the_losses_of_the_slide() {
    let Some(data) = real_data("cifar_10_gives_the_losses_of_the_slide") else { return };
    let (_, _, report) = search(&["--data", &data, "--tries", "100"]);
    // The slide's are from 8.6 to 9.4, and its best weights get 15.55 % right.
    assert!(losses(&report).iter().all(|loss| (8.0..10.2).contains(loss)));
    assert!((0.12..0.20).contains(&report["test_accuracy"].as_f64().unwrap()), "{report}");
    let (_, _, report) = search(&["--data", &data, "--tries", "1000", "--local"]);
    assert!((0.18..0.25).contains(&report["test_accuracy"].as_f64().unwrap()), "{report}");
}
