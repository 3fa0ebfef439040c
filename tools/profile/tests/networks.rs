//! `profile train` with networks: what is learned, written, and refused.

mod support;

use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs;
use support::{real_data, refused, small_cifar, train};

fn hash(report: &Value) -> String {
    report["weights_sha256"].as_str().unwrap().to_owned()
}

#[test]
fn a_network_is_reported_and_written_like_any_model() {
    let settings =
        "--model mlp --hidden 40,20 --optimizer adam --schedule warmup:5+cosine --iterations 60 --batch-size 100";
    let arguments: Vec<&str> = settings.split_whitespace().chain(["--data", small_cifar().to_str().unwrap()]).collect();
    let (directory, printed, report) = train(&arguments);
    assert!(
        printed.contains("mlp, hidden layers of [40, 20]") && printed.contains("schedule warmup:5+cosine"),
        "{printed}"
    );
    let parameters = 3073 * 40 + 41 * 20 + 21 * 10;
    assert_eq!(report["model"], serde_json::json!({"name": "mlp", "loss": "softmax", "parameters": parameters}));
    assert_eq!(report["optimizer"]["schedule"], "warmup:5+cosine");
    // One bright stripe a class is learned at once.
    let epoch = &report["epochs"][0];
    assert!(epoch["test_accuracy"].as_f64().unwrap() > 0.9, "{printed}");
    // Two operations for each multiply-add, three times, without the gradient of the pixels.
    let multiply_adds = 3 * (3072 * 40 + 40 * 20 + 20 * 10) - 3072 * 40;
    let operations = epoch["gflops"].as_f64().unwrap() / epoch["samples_per_second"].as_f64().unwrap() * 1e9;
    assert!((operations / (2 * multiply_adds) as f64 - 1.0).abs() < 1e-9);

    let out = directory.path().join("out");
    let bytes = fs::read(out.join("weights.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut sha256 = Sha256::new();
    for (name, shape) in [
        ("fc1.weight", &[3072, 40][..]),
        ("fc1.bias", &[40]),
        ("fc2.weight", &[40, 20]),
        ("fc2.bias", &[20]),
        ("fc3.weight", &[20, 10]),
        ("fc3.bias", &[10]),
    ] {
        let tensor = tensors.tensor(name).unwrap();
        assert_eq!(tensor.shape(), shape, "{name}");
        sha256.update(tensor.data());
    }
    let found: String = sha256.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(found, hash(&report));
    assert_eq!(tensors.tensor("input.scale").unwrap().shape(), [3072]);
    let picture =
        png::Decoder::new(std::io::Cursor::new(fs::read(out.join("filters.png")).unwrap())).read_info().unwrap();
    assert!(picture.info().width > 5 * 128);
}

#[test]
fn the_weights_do_not_depend_on_the_number_of_threads() {
    for (model, optimizer, iterations) in
        [("mlp", "momentum", "20"), ("mlp", "muon", "4"), ("convnet", "nesterov", "3")]
    {
        let weights = |threads: &str| {
            let arguments =
                ["--data", "synthetic:500", "--model", model, "--optimizer", optimizer, "--iterations", iterations];
            hash(&train(&[&arguments[..], &["--batch-size", "48", "--threads", threads]].concat()).2)
        };
        let one = weights("1");
        assert_eq!(weights("2"), one, "{model} {optimizer}");
        assert_eq!(weights("3"), one, "{model} {optimizer}");
    }
}

#[test]
fn every_rule_takes_a_network_below_chance_loss() {
    let data = small_cifar().to_str().unwrap();
    for optimizer in
        "sgd momentum nesterov adagrad adadelta rmsprop graves-rmsprop adam adamw lion muon".split_whitespace()
    {
        let arguments = ["--data", data, "--model", "mlp", "--hidden", "16", "--optimizer", optimizer];
        let (_, printed, report) = train(&[&arguments[..], &["--iterations", "60", "--clip-norm", "10"]].concat());
        let loss = report["epochs"][0]["test_loss"].as_f64().unwrap();
        assert!(loss < 2.0, "{optimizer}: {loss}\n{printed}");
    }
}

#[test]
fn a_clipped_gradient_moves_the_weights_less() {
    let moved = |options: &[&str]| {
        let settings = "--data synthetic:500 --model mlp --hidden 8 --iterations 3";
        let (.., report) = train(&[&settings.split_whitespace().collect::<Vec<_>>()[..], options].concat());
        report["epochs"][0]["update_to_weight"]["fc1.weight"].as_f64().unwrap()
    };
    assert!(moved(&["--clip-norm", "1e-3"]) < 0.1 * moved(&[]));
}

#[test]
fn options_that_do_not_go_together_are_refused_as_usage() {
    for (arguments, word) in [
        ("--hidden 8", "--hidden"),
        ("--model mlp --hidden 0", "--hidden"),
        ("--model mlp --hidden x", "--hidden"),
        ("--model mlp --bias trick", "--bias"),
        ("--model mlp --init zero", "--init"),
        ("--model quick --init he", "--init"),
        ("--init xavier", "--init"),
        ("--clip-norm 1", "--clip-norm"),
        ("--optimizer muon", "muon"),
        ("--model convnet --optimizer adam --momentum 0.5", "--momentum"),
        ("--schedule sometimes", "--schedule"),
        ("--schedule step:0:0.1", "--schedule"),
        ("--model alexnet", "--model"),
    ] {
        let arguments: Vec<&str> = ["train"].into_iter().chain(arguments.split_whitespace()).collect();
        let message = refused(2, &arguments, &[]);
        assert!(message.contains(word), "{arguments:?}: {message}");
    }
}

#[test]
fn a_network_that_diverges_says_at_which_step() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = support::profile(directory.path());
    let data = small_cifar().to_str().unwrap();
    command.args(["train", "--data", data, "--model", "mlp", "--hidden", "8", "--lr", "1e20", "--out", "out"]);
    let output = command.assert().failure().code(1).get_output().clone();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.starts_with("error: ") && message.contains("step "), "{message}");
    assert!(!directory.path().join("out/weights.safetensors").exists());
}

#[test]
fn real_images_are_learned_by_a_perceptron() {
    let Some(data) = real_data("real_images_are_learned_by_a_perceptron") else { return };
    let (_, printed, report) = train(&["--data", &data, "--model", "mlp", "--optimizer", "momentum", "--epochs", "5"]);
    let epochs = report["epochs"].as_array().unwrap();
    let best = epochs.iter().map(|epoch| epoch["test_accuracy"].as_f64().unwrap()).fold(0.0, f64::max);
    assert!((0.50..0.60).contains(&best), "{best}\n{printed}");
}
