//! `profile graph` as a person uses it.

mod support;

use serde_json::Value;
use std::fs;
use support::{profile, refused};
use tempfile::TempDir;

/// Runs `profile graph` with `arguments`; returns its directory, standard output, and the graph as JSON.
fn graph(arguments: &[&str]) -> (TempDir, String, Value) {
    let directory = tempfile::tempdir().unwrap();
    let mut command = profile(directory.path());
    let output = command.args(["graph", "--out", "out"]).args(arguments).assert().success().get_output().clone();
    let json = fs::read(directory.path().join("out/graph.json")).unwrap();
    (directory, String::from_utf8(output.stdout).unwrap(), serde_json::from_slice(&json).unwrap())
}

/// The texts of the picture, which must all lie on it.
fn texts(directory: &TempDir) -> Vec<String> {
    let svg = fs::read_to_string(directory.path().join("out/graph.svg")).unwrap();
    let picture = roxmltree::Document::parse(&svg).unwrap();
    let root = picture.root_element();
    let number = |node: roxmltree::Node, name: &str| node.attribute(name).map(|x| x.parse::<f64>().unwrap());
    for node in root.descendants() {
        for (name, limit) in [("x", "width"), ("y", "height")] {
            let place = number(node, name);
            assert!(place.is_none_or(|place| (0.0..=number(root, limit).unwrap()).contains(&place)), "{node:?}");
        }
    }
    root.descendants().filter(|node| node.has_tag_name("text")).map(|node| node.text().unwrap().to_owned()).collect()
}

#[test]
fn the_product_of_the_slides_is_shown() {
    let (directory, printed, json) = graph(&[]);
    for (name, value, gradient) in
        [("x", "-2", "-4"), ("y", "5", "-4"), ("z", "-4", "3"), ("q", "3", "-4"), ("f", "-12", "1")]
    {
        let line = printed.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        assert!(line.contains(&format!("value {value} ")) && line.ends_with(&format!("gradient {gradient}")), "{line}");
        let nodes = json["nodes"].as_array().unwrap();
        let node = nodes.iter().find(|node| node["name"] == name).unwrap();
        assert_eq!(node["value"][0].as_f64().unwrap(), value.parse::<f64>().unwrap());
        assert_eq!(node["gradient"][0].as_f64().unwrap(), gradient.parse::<f64>().unwrap());
        let texts = texts(&directory);
        for wanted in [name, &value.replace('-', "\u{2212}"), &gradient.replace('-', "\u{2212}")] {
            assert!(texts.iter().any(|text| text == wanted), "{wanted} in {texts:?}");
        }
    }
    let svg = fs::read_to_string(directory.path().join("out/graph.svg")).unwrap();
    assert_eq!(svg.matches("marker-end").count(), 4);
    let dot = fs::read_to_string(directory.path().join("out/graph.dot")).unwrap();
    assert!(dot.starts_with("digraph {") && dot.matches("->").count() == 4, "{dot}");
}

#[test]
fn every_example_is_drawn() {
    for (example, wanted) in [("product", "\u{2212}12"), ("neuron", "0.7311"), ("svm", "data loss"), ("gates", "max")] {
        let (directory, _, json) = graph(&[example]);
        let texts = texts(&directory);
        assert!(texts.iter().any(|text| text == wanted), "{example}: {texts:?}");
        // A box for each node, and the white of the paper.
        let svg = fs::read_to_string(directory.path().join("out/graph.svg")).unwrap();
        assert_eq!(svg.matches("<rect ").count(), json["nodes"].as_array().unwrap().len() + 1);
    }
    let (_, printed, _) = graph(&["svm"]);
    for number in ["[-2.85, 0.86, 0.28]", "1.58", "0.8166", "2.3966", "[0.7, 0.65, 0.25, 0.13]"] {
        assert!(printed.contains(number), "{number} in\n{printed}");
    }
}

#[test]
fn every_model_is_drawn_with_its_loss() {
    for model in ["linear", "mlp", "convnet", "quick"] {
        let arguments = ["--model", model, "--data", "synthetic:50", "--loss", "hinge", "--reg", "1e-3"];
        let (directory, printed, json) = graph(&arguments);
        assert!(printed.contains("SYNTHETIC") && printed.contains("2 images of synthetic data"), "{printed}");
        let nodes = json["nodes"].as_array().unwrap();
        let node = |name: &str| nodes.iter().find(|node| node["name"] == name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(node("L")["gradient"][0], 1.0);
        let total = node("data loss")["value"][0].as_f64().unwrap() + 1e-3 * node("R(W)")["value"][0].as_f64().unwrap();
        assert!((node("L")["value"][0].as_f64().unwrap() / total - 1.0).abs() < 1e-12);
        assert_eq!(node("s")["shape"], serde_json::json!([2, 10]));
        let with_gradient = nodes.iter().filter(|node| node["gradient_norm"].as_f64().is_some_and(|norm| norm > 0.0));
        assert!(with_gradient.count() >= 8, "{printed}");
        assert!(texts(&directory).iter().any(|text| text.starts_with("norm ")));
    }
    let (_, printed, _) = graph(&["--model", "mlp", "--hidden", "7,5", "--data", "synthetic:50", "--batch-size", "3"]);
    assert!(printed.contains("[7, 5]") && printed.contains("[3, 5]") && !printed.contains("R(W)"), "{printed}");
}

#[test]
fn the_graph_is_the_same_on_any_number_of_threads() {
    let json = |threads: &str| graph(&["--model", "convnet", "--data", "synthetic:50", "--threads", threads]).2;
    assert_eq!(json("2"), json("1"));
    assert_eq!(json("3"), json("1"));
}

#[test]
fn json_goes_to_standard_output_alone() {
    let directory = tempfile::tempdir().unwrap();
    let output = profile(directory.path()).args(["graph", "neuron", "--json", "-"]).assert().success();
    let json: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!((&json["command"], &json["version"]), (&"graph".into(), &1.into()));
}

#[test]
fn what_cannot_be_is_refused() {
    for wrong in [
        &["nonsense"][..],
        &["svm", "--model", "mlp"],
        &["--hidden", "5"],
        &["--model", "linear", "--hidden", "5"],
        &["--model", "mlp", "--batch-size", "0"],
        &["--model", "mlp", "--reg", "-1"],
    ] {
        refused(2, &[&["graph"], wrong].concat(), &[]);
    }
}
