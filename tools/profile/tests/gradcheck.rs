//! `profile gradcheck` as a person uses it.

mod support;

use serde_json::Value;
use std::fs;
use std::path::Path;
use support::{profile, refused};
use tempfile::TempDir;

/// Runs `profile gradcheck` on few images, expects the exit status; returns its directory, standard output and error, and the report.
fn gradcheck(status: i32, arguments: &[&str]) -> (TempDir, String, String, Value) {
    let directory = tempfile::tempdir().unwrap();
    let mut command = profile(directory.path());
    command.args(["gradcheck", "--out", "out", "--data", "synthetic:100", "--batch-size", "4"]).args(arguments);
    let output = command.assert().code(status).get_output().clone();
    let report = fs::read(directory.path().join("out/report.json")).unwrap();
    let [printed, errors] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (directory, printed, errors, serde_json::from_slice(&report).unwrap())
}

#[test]
fn every_model_has_the_right_gradient() {
    for model in ["linear", "mlp", "convnet", "quick"] {
        for loss in ["softmax", "hinge"] {
            let hidden: &[&str] = if model == "mlp" { &["--hidden", "20,10"] } else { &[] };
            let arguments = [&["--model", model, "--loss", loss, "--samples", "5"], hidden].concat();
            let (_, printed, _, report) = gradcheck(0, &arguments);
            assert_eq!(report["passes"], true, "{printed}");
            assert_eq!(report["model"]["name"], model);
            assert!(report["elements"].as_array().unwrap().len() >= 10, "{report}");
            assert!(printed.contains("verdict    good") || printed.contains("verdict    kink"), "{printed}");
        }
    }
}

#[test]
fn small_weights_are_drawn_anew_and_it_is_said() {
    for line in ["--model convnet --init normal:0.01", "--model mlp --hidden 20 --init normal:1e-6", "--model quick"] {
        let (_, printed, _, report) = gradcheck(0, &line.split(' ').collect::<Vec<_>>());
        assert_eq!(report["passes"], true, "{printed}");
        assert!(printed.contains("weights    drawn anew"), "{printed}");
    }
    for line in ["--model convnet --init xavier", "--model mlp --hidden 20", "--init normal:1e-6"] {
        let (_, printed, ..) = gradcheck(0, &line.split(' ').chain(["--samples", "2"]).collect::<Vec<_>>());
        assert!(!printed.contains("drawn anew"), "{printed}");
    }
}

#[test]
fn a_batch_is_no_larger_than_the_set() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = profile(directory.path());
    command.args(["gradcheck", "--data", "synthetic:30", "--batch-size", "10000", "--samples", "1", "--out", "out"]);
    let printed = String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap();
    assert!(printed.contains("mean of 30 training images"), "{printed}");
    let report: Value = serde_json::from_slice(&fs::read(directory.path().join("out/report.json")).unwrap()).unwrap();
    assert_eq!(report["batch_size"], 30);
}

#[test]
fn a_planted_error_is_found_where_it_is() {
    for model in ["linear", "mlp"] {
        let (directory, printed, errors, report) = gradcheck(1, &["--model", model, "--plant-error", "--samples", "8"]);
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(errors.starts_with("error: the gradient check fails: ") && errors.contains(".weight["), "{errors}");
        assert_eq!(report["passes"], false);
        for element in report["elements"].as_array().unwrap() {
            let is_weight = element["parameter"].as_str().unwrap().ends_with("weight");
            let is_right = ["good", "kink"].contains(&element["verdict"].as_str().unwrap());
            // The bias is not regularised.
            assert!(is_weight || is_right, "{element}");
        }
        assert!(report["worst_error"].as_f64().unwrap() > 1e-5, "{printed}");
        let picture = fs::read_to_string(directory.path().join("out/gradcheck.svg")).unwrap();
        assert!(picture.contains("not right"));
    }
}

#[test]
fn the_table_is_that_of_the_slides() {
    let (_, printed, _, report) = gradcheck(0, &["--table", "--loss", "hinge"]);
    let table = &report["table"];
    let number = |value: &Value| value.as_f64().unwrap();
    let rows = table["rows"].as_array().unwrap();
    assert_eq!((rows.len(), number(&table["h"])), (9, 1e-4));
    for row in rows {
        assert_eq!((number(&row["loss"]) - number(&table["loss"])) / 1e-4, number(&row["slope"]));
        assert!((number(&row["slope"]) - number(&row["analytic"])).abs() < 1e-3, "{row}");
        let moved = format!("{:.8} + 0.0001", number(&row["weight"]));
        assert!(printed.contains(&moved), "{moved} in\n{printed}");
    }
    let slopes: Vec<f64> = rows.iter().map(|row| number(&row["slope"])).collect();
    assert!(slopes.iter().any(|slope| slope.abs() > 1e-4), "{slopes:?}");
}

#[test]
fn the_report_and_the_picture_hold_what_was_checked() {
    let (directory, printed, _, report) = gradcheck(0, &["--samples", "30", "--show", "3", "--seed", "5"]);
    let elements = report["elements"].as_array().unwrap();
    // Thirty of the weights, and the ten biases that there are.
    assert_eq!(elements.len(), 40);
    assert!(printed.contains("30 of 30,720") && printed.contains("10 of 10"), "{printed}");
    assert_eq!(printed.matches("linear.weight[").count() + printed.matches("linear.bias[").count(), 3, "{printed}");
    for element in elements {
        let [analytic, numerical] = ["analytic", "numerical"].map(|name| element[name].as_f64().unwrap());
        assert!((analytic - numerical).abs() <= 1e-6 * analytic.abs() + 1e-8, "{element}");
    }
    let text = fs::read_to_string(directory.path().join("out/gradcheck.svg")).unwrap();
    let picture = roxmltree::Document::parse(&text).unwrap();
    let texts: String = picture.descendants().filter_map(|node| node.text()).collect();
    for wanted in
        ["Gradient check: linear, softmax loss", "linear.weight", "linear.bias", "relative error", "suspicious"]
    {
        assert!(texts.contains(wanted), "{wanted} in {texts}");
    }
    assert!(printed.contains(&format!("wrote {}", Path::new("out").join("gradcheck.svg").display())), "{printed}");
}

#[test]
fn the_gradient_is_the_same_on_any_number_of_threads() {
    let elements = |threads: &str| {
        gradcheck(0, &["--model", "convnet", "--samples", "2", "--threads", threads]).3["elements"].clone()
    };
    let one = elements("1");
    assert_eq!(elements("2"), one);
    assert_eq!(elements("3"), one);
}

#[test]
fn what_cannot_be_is_refused() {
    for wrong in [
        &["--samples", "0"][..],
        &["--samples", "3", "--all"],
        &["--step", "0"],
        &["--batch-size", "0"],
        &["--plant-error", "--reg", "0"],
        &["--hidden", "5"],
        &["--model", "mlp", "--init", "zero"],
    ] {
        refused(2, &[&["gradcheck"], wrong].concat(), &[]);
    }
}
