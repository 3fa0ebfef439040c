//! `profile race` as a person uses it.

mod support;

use serde_json::Value;
use std::fs;
use std::path::Path;
use support::{profile, refused, small_cifar};
use tempfile::TempDir;

/// Runs the race; returns its folder and what it printed.
fn race(arguments: &[&str]) -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let mut command = profile(directory.path());
    let output = command.args(["race", "--out", "out"]).args(arguments).assert().success().get_output().clone();
    (directory, String::from_utf8(output.stdout).unwrap())
}

fn report(directory: &Path) -> Value {
    serde_json::from_slice(&fs::read(directory.join("out/report.json")).unwrap()).unwrap()
}

/// The frames of a GIF, and how long each is seen, in hundredths of a second.
fn delays(path: &Path) -> Vec<u16> {
    let mut decoder = gif::DecodeOptions::new().read_info(fs::File::open(path).unwrap()).unwrap();
    assert_eq!((decoder.width(), decoder.height()), (800, 500));
    let mut delays = Vec::new();
    while let Some(frame) = decoder.read_next_frame().unwrap() {
        delays.push(frame.delay);
    }
    delays
}

/// The texts of the still.
fn texts(directory: &Path) -> String {
    let text = fs::read_to_string(directory.join("out/race.svg")).unwrap();
    let picture = roxmltree::Document::parse(&text).unwrap();
    picture.descendants().filter_map(|node| node.text()).collect()
}

#[test]
fn beale_is_raced_as_computed_elsewhere() {
    let (directory, printed) = race(&["--steps", "100"]);
    let csv = fs::read_to_string(directory.path().join("out/race.csv")).unwrap();
    assert_eq!(csv.lines().next(), Some("rule,step,x,y,f"));
    assert_eq!(csv.lines().count(), 1 + 7 * 101);
    // f after 100 steps from (1, 1.5), computed in f64 outside of this project.
    for (rule, expected, shown) in [
        ("sgd", 2.8261, "2.82611"),
        ("momentum", 0.123575, "0.12357"),
        ("nesterov", 0.115432, "0.11543"),
        ("adagrad", 4.72335, "4.72335"),
        ("rmsprop", 6.74998, "6.74998"),
        ("adam", 12.4327, "12.43269"),
        ("adadelta", 19.2342, "19.23421"),
    ] {
        let line = csv.lines().find(|line| line.starts_with(&format!("{rule},100,"))).unwrap();
        let value: f64 = line.rsplit(',').next().unwrap().parse().unwrap();
        assert!((value / expected - 1.0).abs() < 2e-5, "{line}");
        let row = printed.lines().find(|line| line.starts_with(&format!("{rule} "))).unwrap();
        assert!(row.contains(shown), "{row}");
    }
    assert!(csv.contains("sgd,0,1,1.5,41.25\n"), "the start is a row");
    let delays = delays(&directory.path().join("out/race.gif"));
    assert_eq!(delays.len(), 101);
    assert_eq!(delays[..100], [4; 100]);
    let texts = texts(directory.path());
    assert!(texts.contains("Beale") && texts.contains("nesterov 0.001") && texts.contains("after step 100"), "{texts}");
}

#[test]
fn the_saddle_holds_sgd_longest() {
    let (directory, _) = race(&["--on", "saddle", "--steps", "400"]);
    let report = report(directory.path());
    let steps: Vec<u64> =
        report["rules"].as_array().unwrap().iter().map(|rule| rule["steps_to_goal"].as_u64().unwrap()).collect();
    assert_eq!(steps, [349, 72, 67, 17, 13, 72, 77]);
}

#[test]
fn runners_that_leave_the_map_are_drawn_to_its_border() {
    let (directory, printed) = race(&["--on", "valley", "--rules", "sgd,nesterov", "--lr", "sgd=1,nesterov=0.5"]);
    // Across the valley each step of size 1 turns y, which starts at 1, into (1 - 16) y: f is 8 (15^n)^2 after n steps.
    let row = printed.lines().find(|line| line.starts_with("sgd ")).unwrap();
    let expected = 8.0 * 15f64.powi(20);
    assert!(row.contains(&format!("{expected:.3e}")), "{row}");
    let svg = fs::read_to_string(directory.path().join("out/race.svg")).unwrap();
    assert!(!svg.contains("NaN") && !svg.contains("inf"));
    assert!(!delays(&directory.path().join("out/race.gif")).is_empty());
}

#[test]
fn training_is_a_race_on_the_same_batches() {
    let data = small_cifar().to_str().unwrap();
    let arguments = ["--on", "training", "--data", data, "--steps", "30", "--rules", "sgd,adam", "--json", "report"];
    let (directory, printed) = race(&arguments);
    assert!(printed.contains("adam") && printed.contains('%'), "{printed}");
    let csv = fs::read_to_string(directory.path().join("out/race.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + 2 * 30);
    let first: Vec<&str> = csv.lines().filter(|line| line.contains(",0,")).collect();
    assert_eq!(first.len(), 2);
    for line in first {
        let loss: f64 = line.rsplit(',').next().unwrap().parse().unwrap();
        assert!((loss - 10f64.ln()).abs() < 1e-6, "{line}");
    }
    assert_eq!(delays(&directory.path().join("out/race.gif")).len(), 30);
    assert_eq!(
        fs::read(directory.path().join("report")).unwrap(),
        fs::read(directory.path().join("out/report.json")).unwrap()
    );
}

#[test]
fn a_rule_that_diverges_is_reported_and_not_the_end_of_the_race() {
    let data = small_cifar().to_str().unwrap();
    let arguments = ["--on", "training", "--data", data, "--steps", "60", "--rules", "sgd,adam", "--lr", "sgd=1e30"];
    let (directory, printed) = race(&arguments);
    assert!(printed.contains("not finite at step"), "{printed}");
    let report = report(directory.path());
    assert!(report["rules"][0]["diverged_at"].is_u64() && report["rules"][1]["diverged_at"].is_null());
    assert!(texts(directory.path()).contains("not finite"));
}

#[test]
fn a_race_whose_first_loss_is_not_finite_is_drawn() {
    let init = ["--init", "normal:1e30", "--rules", "sgd,adam", "--steps", "20", "--data", "synthetic:500"];
    let (directory, printed) = race(&[&["--on", "training"][..], &init].concat());
    assert!(printed.contains("not finite at step 0"), "{printed}");
    assert!(texts(directory.path()).contains("not finite"));
}

#[test]
fn all_rules_race_together() {
    let rules = "sgd,momentum,nesterov,adagrad,adadelta,rmsprop,graves-rmsprop,adam,adamw,lion";
    let directory = tempfile::tempdir().unwrap();
    profile(directory.path()).args(["race", "--rules", rules, "--steps", "50", "--out", "."]).assert().success();
    let svg = fs::read_to_string(directory.path().join("race.svg")).unwrap();
    let picture = roxmltree::Document::parse(&svg).unwrap();
    let labels = picture.descendants().filter(|node| node.has_tag_name("text"));
    let labels: Vec<(f64, &str)> = labels
        .map(|node| (node.attribute("y").unwrap().parse().unwrap(), node.text().unwrap_or_default().trim()))
        .collect();
    let height = |text: &str| {
        let found = labels.iter().find(|label| label.1.starts_with(text));
        found.unwrap_or_else(|| panic!("{text} in {labels:?}")).0
    };
    // A tenth of a pixel is a unit; a line of text is 12 pixels high, and a rule has two.
    for pair in rules.split(',').map(|rule| format!("{rule} ")).collect::<Vec<_>>().windows(2) {
        assert!(height(&pair[1]) - height(&pair[0]) >= 2.0 * 120.0, "{pair:?} in {labels:?}");
    }
    assert!(height("lines: ") - height("lion ") >= 2.0 * 120.0, "{labels:?}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (arguments, expected) in [
        (&["race", "--rules", "sgd,sgd"][..], "named twice"),
        (&["race", "--rules", "sgd", "--lr", "adam=1"], "not among"),
        (&["race", "--rules", "muon"], "matrices"),
        (&["race", "--on", "training", "--start", "1,1"], "--start"),
        (&["race", "--on", "training", "--rules", "sgd,muon", "--data", "nowhere"], "muon"),
        (&["race", "--model", "mlp"], "--model is a setting of --on training"),
        (&["race", "--on", "saddle", "--loss", "hinge"], "--loss"),
        (&["race", "--on", "valley", "--reg", "0"], "--reg"),
        (&["race", "--batch-size", "256"], "--batch-size"),
        (&["race", "--start", "1"], "--start"),
        (&["race", "--lr", "sgd"], "--lr"),
        (&["race", "--lr", "sgd=0"], "--lr"),
        (&["race", "--rules", "nobody"], "nobody"),
        (&["race", "--on", "training", "--model", "linear", "--hidden", "3"], "--hidden"),
    ] {
        let message = refused(2, arguments, &[]);
        assert!(message.contains(expected), "{arguments:?}: {message}");
    }
    refused(1, &["race", "--out", "/proc/nowhere"], &[]);
}
