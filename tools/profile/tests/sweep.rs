//! `profile sweep` as a person uses it.

mod support;

use serde_json::Value;
use std::fs;
use std::path::Path;
use support::{profile, real_data, refused};
use tempfile::TempDir;

/// Runs the sweep on `data`; returns its folder and what it printed.
fn sweep(data: &str, arguments: &[&str]) -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let mut command = profile(directory.path());
    command.args(["sweep", "--out", "out", "--data", data]).args(arguments);
    let output = command.assert().success().get_output().clone();
    let printed = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (directory, printed)
}

fn report(directory: &Path) -> Value {
    serde_json::from_slice(&fs::read(directory.join("out/report.json")).unwrap()).unwrap()
}

/// The texts of a picture.
fn texts(directory: &Path, name: &str) -> String {
    let text = fs::read_to_string(directory.join("out").join(name)).unwrap();
    assert!(!text.contains("NaN"), "{name}");
    let picture = roxmltree::Document::parse(&text).unwrap();
    picture.descendants().filter_map(|node| node.text()).collect()
}

/// The numbers of a column of a CSV file, by its place.
fn column(directory: &Path, name: &str, place: usize) -> Vec<f64> {
    let text = fs::read_to_string(directory.join("out").join(name)).unwrap();
    text.lines().skip(1).map(|line| line.split(',').nth(place).unwrap().parse().unwrap()).collect()
}

/// The message of a sweep that fails after its options are read.
fn failure(arguments: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let mut command = profile(directory.path());
    command.args(["sweep", "--out", "out"]).args(arguments);
    String::from_utf8(command.assert().failure().code(1).get_output().stderr.clone()).unwrap()
}

const SYNTHETIC: &str = "synthetic:5000";

#[test]
fn four_step_sizes_have_the_shapes_of_the_slide() {
    let Some(data) = real_data("four_step_sizes_have_the_shapes_of_the_slide") else { return };
    for loss in ["softmax", "hinge"] {
        let (directory, _) = sweep(&data, &["--loss", loss]);
        let report = report(directory.path());
        let runs = report["runs"].as_array().unwrap();
        let names: Vec<&str> = runs.iter().map(|run| run["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["low", "good", "high", "very high"]);
        let end: Vec<f64> = runs.iter().map(|run| run["last_loss"].as_f64().unwrap_or(f64::INFINITY)).collect();
        let start = runs[0]["first_loss"].as_f64().unwrap();
        assert!(end[1] < end[0] && end[1] < end[2], "good is the lowest: {end:?}");
        assert!(end[0] < start && end[2] < start && end[3] > start, "{end:?} from {start}");
        let texts = texts(directory.path(), "sweep.svg");
        assert!(texts.contains("very high: ") && texts.contains("CIFAR-10"), "{texts}");
    }
}

#[test]
fn step_sizes_that_go_to_infinity_are_drawn_and_reported() {
    let (directory, printed) = sweep(SYNTHETIC, &["--lr", "0.003,1e20,1e36", "--steps", "40"]);
    assert!(printed.contains("not finite at step"), "{printed}");
    let report = report(directory.path());
    assert!(report["runs"][0]["diverged_at"].is_null() && report["runs"][2]["diverged_at"].is_u64());
    assert!(report["runs"][2]["last_loss"].is_null());
    assert!(texts(directory.path(), "sweep.svg").contains("not finite at step"));
    let losses = column(directory.path(), "sweep.csv", 2);
    assert!(losses.len() > 40 && losses.iter().all(|loss| loss.is_finite()));
}

#[test]
fn the_ladder_has_one_minimum_and_then_grows_tenfold() {
    let (directory, printed) = sweep(SYNTHETIC, &["--lr", "0.003", "--steps", "1", "--loss", "hinge", "--reg", "0"]);
    assert!(printed.contains("original loss: 9.000000"), "{printed}");
    let report = report(directory.path());
    let ladder = report["ladder"].as_array().unwrap();
    assert!(ladder.len() >= 10);
    assert_eq!(ladder[0]["lr"], 1e-10);
    let after: Vec<f64> = ladder.iter().map(|rung| rung["after"].as_f64().unwrap()).collect();
    let best = (0..after.len()).min_by(|a, b| after[*a].total_cmp(&after[*b])).unwrap();
    assert!(best > 0 && best + 3 < after.len() + 1, "{after:?}");
    assert!(after[..=best].is_sorted_by(|a, b| a >= b) && after[best..].is_sorted(), "{after:?}");
    let last = after.len() - 1;
    assert!((9.0..11.0).contains(&(after[last] / after[last - 1])), "{after:?}");
    let line = printed.lines().find(|line| line.contains("<- lowest")).unwrap();
    assert!(
        line.starts_with(&format!("for step size {:e} new loss: ", ladder[best]["lr"].as_f64().unwrap())),
        "{line}"
    );
    let texts = texts(directory.path(), "ladder.svg");
    let words: Vec<&str> = texts.split_whitespace().collect();
    assert!(words.contains(&"30") && !words.contains(&"35"), "it ends at about three times the loss before: {texts}");
}

#[test]
fn the_range_test_suggests_a_step_size_that_trains() {
    let (directory, printed) = sweep(SYNTHETIC, &["--find"]);
    let suggestion = report(directory.path())["finding"]["suggestion"].as_f64().unwrap();
    assert!((3e-4..3e-2).contains(&suggestion), "{suggestion}");
    assert!(printed.contains("suggestion --lr ") && printed.contains("since beyond that training breaks"), "{printed}");
    assert!(texts(directory.path(), "find.svg").contains("suggestion"));
    let rates = column(directory.path(), "find.csv", 1);
    let factor = rates[1] / rates[0];
    assert!(factor > 1.0 && rates.windows(2).all(|pair| (pair[1] / pair[0] / factor - 1.0).abs() < 1e-9));

    let (_, printed) = sweep(SYNTHETIC, &["--find", "--lr-range", "1e-8,1e-6", "--steps", "60"]);
    assert!(printed.contains("warning: training did not break"), "{printed}");
}

#[test]
fn the_search_is_drawn_and_a_border_is_warned_about() {
    let arguments = ["--search", "--trials", "6", "--steps", "20", "--lr-range", "1e-7,1e-5"];
    let (directory, printed) = sweep(SYNTHETIC, &arguments);
    let report = report(directory.path());
    let trials = report["trials"].as_array().unwrap();
    assert_eq!(trials.len(), 6);
    assert_eq!(report["held_out"], 500);
    for trial in trials {
        assert!((1e-7..1e-5).contains(&trial["lr"].as_f64().unwrap()));
        assert!((1e-6..1.0).contains(&trial["reg"].as_f64().unwrap()));
        assert!((0.0..=1.0).contains(&trial["accuracy"].as_f64().unwrap()));
    }
    assert!(texts(directory.path(), "search.svg").contains("best "));
    let best =
        trials.iter().max_by(|a, b| a["accuracy"].as_f64().partial_cmp(&b["accuracy"].as_f64()).unwrap()).unwrap();
    let is_near_end = best["lr"].as_f64().unwrap() > 6.3e-6 || best["lr"].as_f64().unwrap() < 1.6e-7;
    assert_eq!(printed.contains("warning: the best step size"), is_near_end, "{printed}");
    let again = sweep(SYNTHETIC, &arguments).0;
    let csv = |directory: &Path| fs::read(directory.join("out/search.csv")).unwrap();
    assert_eq!(csv(directory.path()), csv(again.path()), "the seed says which pairs");
}

#[test]
fn a_slice_of_the_hinge_loss_is_convex() {
    let arguments = ["--slice", "--loss", "hinge", "--reg", "0", "--steps", "20"];
    let (directory, printed) = sweep(SYNTHETIC, &arguments);
    assert!(printed.contains("images after 20 steps"), "{printed}");
    for place in [1, 2] {
        let losses = column(directory.path(), "slice.csv", place);
        assert_eq!(losses.len(), 81);
        let scale = losses.iter().fold(0.0, |most: f64, loss| most.max(loss.abs()));
        // The losses are sums in f32.
        assert!(losses.windows(3).all(|w| w[0] - 2.0 * w[1] + w[2] >= -1e-5 * scale), "{losses:?}");
        assert!(2.0 * losses[40] < losses[0] + losses[80] - 1e-4 * scale, "it bends: {losses:?}");
    }
    assert!(texts(directory.path(), "slice-map.svg").contains("hinge loss"));
    texts(directory.path(), "slice.svg");
}

#[test]
fn networks_are_swept_too() {
    for mode in [&["--lr", "0.05,0.01"][..], &["--find"], &["--search", "--trials", "2"], &["--slice"]] {
        let arguments = [&["--model", "mlp", "--hidden", "8", "--steps", "50"][..], mode].concat();
        let (directory, _) = sweep("synthetic:500", &arguments);
        assert_eq!(report(directory.path())["command"], "sweep");
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let csv = |threads: &str, mode: &str, name: &str| {
        let (directory, _) = sweep(SYNTHETIC, &[mode, "--steps", "50", "--threads", threads]);
        fs::read(directory.path().join("out").join(name)).unwrap()
    };
    assert_eq!(csv("1", "--find", "find.csv"), csv("3", "--find", "find.csv"));
    assert_eq!(csv("1", "--slice", "slice.csv"), csv("2", "--slice", "slice.csv"));
}

#[test]
fn what_diverges_or_is_too_small_is_named() {
    let message = failure(&["--slice", "--data", "synthetic:500", "--init", "normal:1e30"]);
    assert!(message.contains("before the slice diverged"), "{message}");
    let message = failure(&["--search", "--data", "synthetic:99", "--trials", "1"]);
    assert!(message.contains("99 training images is too few"), "{message}");
    let (_, printed) = sweep("synthetic:500", &["--find", "--init", "normal:1e30"]);
    assert!(printed.contains("not finite at the first step already"), "{printed}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (arguments, expected) in [
        (&["sweep", "--find", "--slice"][..], "--slice"),
        (&["sweep", "--search", "--reg", "0.1"], "--reg"),
        (&["sweep", "--lr-range", "1,2"], "--lr-range is"),
        (&["sweep", "--find", "--lr-range", "2,1"], "--lr-range"),
        (&["sweep", "--find", "--lr", "1"], "--lr"),
        (&["sweep", "--lr", "0"], "--lr"),
        (&["sweep", "--hidden", "3"], "--hidden"),
        (&["sweep", "--optimizer", "muon"], "muon"),
        (&["sweep", "--find", "--trials", "3"], "--search"),
        (&["sweep", "--find", "--steps", "49"], "at least 50"),
        (&["sweep", "--lr", "1,2,3,4,5,6,7,8,9,10,11,12"], "at most 11"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let output = profile(directory.path()).args(arguments).assert().failure().code(2).get_output().clone();
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.starts_with("error: ") && message.contains(expected), "{arguments:?}: {message}");
    }
    refused(1, &["sweep", "--data", "nowhere"], &[]);
}
