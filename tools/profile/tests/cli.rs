//! The command line as a person uses it: what is printed, what is written, what is refused.

mod support;

use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;
use support::{damaged, profile, real_data, refused, small_cifar, train, walk};

#[test]
fn a_run_without_options_trains_on_the_announced_synthetic_data() {
    let (directory, printed, report) = train(&["--epochs", "2"]);
    assert!(printed.contains("SYNTHETIC"), "{printed}");
    assert!(printed.contains("test loss 2.302585"), "{printed}");
    let out = directory.path().join("out");
    let mut names: Vec<_> = walk(&out).iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "accuracy.svg",
            "checkpoint.safetensors",
            "confusion.svg",
            "loss.svg",
            "predictions.json",
            "predictions.png",
            "report.json",
            "steps.csv",
            "templates.png",
            "updates.svg",
            "weights.safetensors"
        ]
    );
    names.retain(|name| name != "checkpoint.safetensors");
    for name in names {
        let line = format!("wrote {}", Path::new("out").join(name).display());
        assert!(printed.lines().rev().take(11).any(|printed| printed == line), "{line} in\n{printed}");
    }

    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(
        keys(&report),
        "batch_size command data epochs machine model optimizer reproduce seed version weights_sha256"
    );
    assert_eq!(keys(&report["machine"]), "cpu fma_peak_gflops isa threads");
    assert_eq!(keys(&report["optimizer"]), "lr name reg");
    assert_eq!(report["version"], 1);
    assert_eq!(report["command"], "train");
    assert_eq!(report["batch_size"], 256);
    assert_eq!(report["data"], serde_json::json!({"kind": "synthetic", "train": 50_000, "test": 10_000}));
    assert_eq!(report["model"], serde_json::json!({"name": "linear", "loss": "softmax", "parameters": 30_730}));
    let epochs = report["epochs"].as_array().unwrap();
    assert_eq!(epochs.len(), 2);
    for (number, epoch) in epochs.iter().enumerate() {
        let value = |key: &str| epoch[key].as_f64().unwrap();
        assert_eq!(
            keys(epoch),
            "epoch gflops peak_fraction samples_per_second seconds test_accuracy test_loss train_loss update_to_weight"
        );
        assert_eq!(epoch["epoch"], number as u64 + 1);
        assert!((value("samples_per_second") * value("seconds") / 50_000.0 - 1.0).abs() < 1e-9);
        assert!((value("gflops") * value("seconds") / 6.144 - 1.0).abs() < 1e-9);
        let peak = report["machine"]["fma_peak_gflops"].as_f64().unwrap();
        assert!((value("peak_fraction") * peak / value("gflops") - 1.0).abs() < 1e-9);
        assert!((0.25..0.6).contains(&value("test_accuracy")));
        assert!(value("train_loss") < 2.0 && value("test_loss") < 2.0);
    }
    check_weights(&out, report["weights_sha256"].as_str().unwrap());
    check_pictures(&out);
}

/// The safetensors file can be read back, and its weights have the hash that the report gives.
fn check_weights(out: &Path, hash: &str) {
    let bytes = fs::read(out.join("weights.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |name: &str, shape: &[usize]| {
        let tensor = tensors.tensor(name).unwrap();
        assert_eq!((tensor.dtype(), tensor.shape()), (safetensors::Dtype::F32, shape), "{name}");
        tensor.data().to_vec()
    };
    let mut sha256 = Sha256::new();
    sha256.update(tensor("linear.weight", &[10, 3072]));
    sha256.update(tensor("linear.bias", &[10]));
    let found: String = sha256.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(found, hash);
    tensor("input.mean", &[3072]);
    let scales = tensor("input.scale", &[3072]);
    let scales = scales.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
    assert!(scales.into_iter().all(|scale| scale > 0.0));
}

fn check_pictures(out: &Path) {
    for (name, title) in [
        ("loss.svg", "Training loss"),
        ("accuracy.svg", "Test accuracy"),
        ("updates.svg", "Size of a step"),
        ("confusion.svg", "takes for what"),
    ] {
        let text = fs::read_to_string(out.join(name)).unwrap();
        let picture = roxmltree::Document::parse(&text).unwrap();
        let texts: String = picture.descendants().filter_map(|node| node.text()).collect();
        assert!(texts.contains(title), "{texts}");
        assert!(texts.contains("synthetic data") || name == "updates.svg", "{texts}");
    }
    let file = std::io::BufReader::new(fs::File::open(out.join("templates.png")).unwrap());
    let picture = png::Decoder::new(file).read_info().unwrap();
    assert!(picture.info().width >= 5 * 64 && picture.info().height >= 2 * 64);
}

#[test]
fn the_weights_do_not_depend_on_the_number_of_threads() {
    let data = small_cifar().to_str().unwrap();
    for loss in ["softmax", "hinge"] {
        let hash = |threads: &str| {
            let arguments = ["--data", data, "--loss", loss, "--iterations", "60", "--threads", threads];
            let (_, printed, report) = train(&arguments);
            let hash = report["weights_sha256"].as_str().unwrap().to_owned();
            assert!(printed.contains(&hash), "{printed}");
            assert_eq!(report["machine"]["threads"].to_string(), threads);
            hash
        };
        let one = hash("1");
        assert_eq!(hash("2"), one);
        assert_eq!(hash("3"), one);
    }
}

#[test]
fn the_folder_above_the_unpacked_archive_will_do() {
    let above = tempfile::tempdir().unwrap();
    let inner = above.path().join("cifar-10-batches-bin");
    fs::create_dir(&inner).unwrap();
    for entry in fs::read_dir(small_cifar()).unwrap() {
        let path = entry.unwrap().path();
        fs::hard_link(&path, inner.join(path.file_name().unwrap())).unwrap();
    }
    let (_, printed, _) = train(&["--data", above.path().to_str().unwrap(), "--iterations", "150"]);
    assert!(printed.contains("iteration 149: ") && printed.contains("epoch 1 (150 of 196 steps): "), "{printed}");
}

#[test]
fn weights_at_zero_are_at_chance() {
    let data = small_cifar().to_str().unwrap();
    let (_, printed, _) = train(&["--data", data, "--loss", "hinge", "--iterations", "1"]);
    assert!(printed.contains("iteration 0: loss 9.000000 = data 9.000000 + regularisation 0.000000"), "{printed}");
    let (_, printed, _) = train(&["--data", data, "--iterations", "1"]);
    assert!(printed.contains("iteration 0: loss 2.302585 = data 2.302585 + regularisation 0.000000"), "{printed}");
}

#[test]
fn every_update_rule_trains_at_its_default_step_size() {
    let names = "sgd momentum nesterov adagrad adadelta rmsprop graves-rmsprop adam adamw lion";
    for name in names.split(' ') {
        let directory = tempfile::tempdir().unwrap();
        let mut command = profile(directory.path());
        command.args(["train", "--data", "synthetic:5000", "--epochs", "2", "--json", "-", "--optimizer", name]);
        let output = command.assert().success().get_output().clone();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["optimizer"]["name"], name);
        let loss = |epoch: usize| report["epochs"][epoch]["train_loss"].as_f64().unwrap();
        assert!(loss(1) < loss(0), "{name}: {} after {}", loss(1), loss(0));
    }
}

#[test]
fn the_report_alone_goes_to_standard_output_if_asked() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = profile(directory.path());
    command.args(["train", "--epochs", "1", "--json", "-", "--optimizer", "momentum", "--momentum", "0.8"]);
    command.arg("--data").arg(small_cifar());
    let output = command.assert().success().get_output().clone();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["data"]["kind"], "cifar10");
    assert_eq!(report["optimizer"]["name"], "momentum");
    assert_eq!(report["optimizer"]["momentum"], 0.8);
    assert_eq!(report["epochs"][0]["test_accuracy"], 1.0);
    // With no --out, the files are in a folder of their own below runs.
    let runs: Vec<_> = fs::read_dir(directory.path().join("runs")).unwrap().collect();
    assert_eq!(runs.len(), 1);
    assert!(String::from_utf8(output.stderr).unwrap().contains("wrote runs"));
}

#[test]
fn a_report_is_written_where_asked() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = profile(directory.path());
    command.args(["train", "--iterations", "3", "--out", "a/b", "--json", "c.json"]).arg("--data").arg(small_cifar());
    command.assert().success();
    let copy = fs::read(directory.path().join("c.json")).unwrap();
    assert_eq!(copy, fs::read(directory.path().join("a/b/report.json")).unwrap());
}

#[cfg(unix)]
#[test]
fn a_link_stays_a_link_and_a_device_a_device() {
    use std::os::unix::fs::FileTypeExt;
    let directory = tempfile::tempdir().unwrap();
    let (target, link) = (directory.path().join("target.json"), directory.path().join("link.json"));
    fs::write(&target, "old").unwrap();
    std::os::unix::fs::symlink("target.json", &link).unwrap();
    for json in [link.to_str().unwrap(), "/dev/null"] {
        let mut command = profile(directory.path());
        command.args(["train", "--iterations", "1", "--out", "out", "--overwrite", "--json", json]);
        command.arg("--data").arg(small_cifar()).assert().success();
    }
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read(&target).unwrap()[0], b'{');
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
}

#[test]
fn the_loss_of_an_epoch_is_the_mean_over_its_images() {
    let data = small_cifar().to_str().unwrap();
    // With a step size this small the weights stay where they are, whatever the sizes of the batches.
    let arguments =
        ["--data", data, "--epochs", "1", "--lr", "1e-12", "--batch-size", "48000", "--init", "normal:0.01"];
    let (_, _, report) = train(&arguments);
    let (_, _, whole) = train(&[&arguments[..6], &["--batch-size", "50000", "--init", "normal:0.01"]].concat());
    let loss = |report: &Value| report["epochs"][0]["train_loss"].as_f64().unwrap();
    assert!((loss(&report) - loss(&whole)).abs() < 1e-5);
}

#[test]
fn options_that_cannot_be_are_refused_as_usage() {
    for (arguments, word) in [
        (["train", "--batch-size", "0"].as_slice(), "--batch-size"),
        (&["train", "--lr", "nan"], "--lr"),
        (&["train", "--lr", "-1"], "--lr"),
        (&["train", "--reg", "-1"], "--reg"),
        (&["train", "--reg", "inf"], "--reg"),
        (&["train", "--momentum", "1"], "--momentum"),
        (&["train", "--momentum", "0.5"], "--optimizer momentum"),
        (&["train", "--threads", "0"], "--threads"),
        (&["train", "--epochs", "0"], "--epochs"),
        (&["train", "--epochs", "-1"], "--epochs"),
        (&["train", "--batch-size", "-3"], "--batch-size"),
        (&["train", "--iterations", "0"], "--iterations"),
        (&["train", "--iterations", "5", "--epochs", "5"], "--iterations"),
        (&["train", "--init", "normal:"], "--init"),
        (&["train", "--loss", "squared"], "--loss"),
        (&["train", "--lr", "1e300"], "32 bits"),
        (&["train", "--overwrite", "--resume", "x"], "--overwrite"),
        (&["train", "--data", ""], "the folder of CIFAR-10"),
        (&["train", "--data", "synthetic:4"], "from 5 to 1,000,000 images"),
        (&["race", "--lr", "foo=1"], "nesterov"),
        (&["race", "--start", "1e300,1"], "--start"),
        (&["noise", "--lr", "5"], "--steps"),
        (&["graph", "neuron", "--reg", "1"], "--reg"),
        (&["train", "--no-such-option"], "--no-such-option"),
        (&["no-such-command"], "no-such-command"),
    ] {
        let message = refused(2, arguments, &[]);
        assert!(message.contains(word), "{message}");
        assert!(!message.contains("unexpected argument '-") || word == "--no-such-option", "{message}");
    }
}

#[test]
fn options_that_do_not_go_together_show_the_usage_of_their_command() {
    let directory = tempfile::tempdir().unwrap();
    let output = profile(directory.path()).args(["train", "--hidden", "3"]).assert().failure().get_output().clone();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("Usage: profile train"), "{message}");
}

#[test]
fn an_instruction_set_that_is_not_there_is_refused_as_usage() {
    for command in ["train", "lecture"] {
        let message = refused(2, &[command], &[("LANEGRAD_ISA", "nosuch")]);
        assert!(message.contains("nosuch") && message.contains("portable"), "{message}");
    }
}

#[test]
fn a_data_set_that_is_not_whole_is_refused() {
    let empty = tempfile::tempdir().unwrap();
    let message = refused(1, &["train", "--data", empty.path().to_str().unwrap()], &[]);
    assert!(message.contains("data_batch_1.bin"), "{message}");

    let message = refused(1, &["train", "--data", "no/such/directory"], &[]);
    assert!(message.contains("no/such/directory"), "{message}");

    let message = refused(1, &["train"], &[("CIFAR10_DIR", "no/such/directory")]);
    assert!(message.contains("no/such/directory") && message.contains("$CIFAR10_DIR"), "{message}");

    let truncated = damaged("data_batch_3.bin", |bytes| bytes.truncate(30_729_999));
    let message = refused(1, &["train", "--data", truncated.path().to_str().unwrap()], &[]);
    assert!(message.contains("data_batch_3.bin") && message.contains("30729999"), "{message}");

    let mislabelled = damaged("test_batch.bin", |bytes| bytes[3073 * 77] = 10);
    let message = refused(1, &["train", "--data", mislabelled.path().to_str().unwrap()], &[]);
    assert!(message.contains("test_batch.bin") && message.contains(&(3073 * 77).to_string()), "{message}");
}

#[test]
fn places_that_cannot_be_written_are_refused_before_training() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let below_a_file = file.path().join("out");
    let message = refused(1, &["train", "--out", below_a_file.to_str().unwrap()], &[]);
    assert!(message.contains(below_a_file.to_str().unwrap()), "{message}");
    let message = refused(1, &["train", "--json", "no/such/folder/report.json"], &[]);
    assert!(message.contains("no/such/folder/report.json") && !message.contains(".tmp"), "{message}");
}

#[test]
fn a_run_that_diverges_says_at_which_step_and_leaves_the_curve_of_its_losses() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = profile(directory.path());
    let data = small_cifar().to_str().unwrap();
    command.args(["train", "--data", data, "--lr", "1e30", "--reg", "1", "--out", "out"]);
    let output = command.assert().failure().code(1).get_output().clone();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.starts_with("error: ") && message.contains("step "), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    let mut names: Vec<_> =
        walk(directory.path()).iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["diverged.csv", "diverged.svg"]);
    assert!(message.contains("out/diverged.svg"), "{message}");
}

#[test]
fn a_folder_that_holds_a_run_is_refused_unless_it_may_go() {
    let directory = tempfile::tempdir().unwrap();
    let train = |arguments: &str| {
        let line = format!("train --data synthetic:100 --batch-size 10 --epochs 1 --out out {arguments}");
        let output = profile(directory.path()).args(line.split_whitespace()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let files = || {
        let mut files: Vec<_> =
            walk(directory.path()).into_iter().map(|path| (std::fs::read(&path).unwrap(), path)).collect();
        files.sort();
        files
    };
    assert_eq!(train("").0, Some(0));
    let first = files();
    let (code, message) = train("--model mlp --hidden 4");
    assert_eq!((code, message.lines().count()), (Some(2), 1), "{message}");
    assert!(message.contains("--overwrite") && message.contains("--resume"), "{message}");
    // What would diverge does not come so far either.
    assert_eq!(train("--lr 1e30 --reg 1").0, Some(2));
    assert_eq!(files(), first);

    assert_eq!(train("--model mlp --hidden 4 --overwrite").0, Some(0));
    let is_there = |name: &str| directory.path().join("out").join(name).exists();
    assert!(is_there("filters.png") && !is_there("templates.png"));
    assert_eq!(train("--overwrite --lr 1e30 --reg 1").0, Some(1));
    assert!(is_there("diverged.svg") && !is_there("report.json") && !is_there("loss.svg"));
}

#[test]
fn a_run_that_did_not_end_has_no_weights_and_says_how_to_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let message = refused(1, &["predict", directory.path().to_str().unwrap()], &[]);
    assert!(message.contains("weights.safetensors") && message.contains("--resume"), "{message}");
}

#[test]
fn the_lecture_is_printed_at_every_level() {
    for level in lanegrad::kernels::dispatch::supported() {
        let directory = tempfile::tempdir().unwrap();
        let mut command = profile(directory.path());
        let output = command.arg("lecture").env("LANEGRAD_ISA", level.name()).assert().success().get_output().clone();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(&format!("level {level}")) && text.contains("1.0401905694"), "{text}");
    }
}

#[test]
fn the_numbers_of_the_lecture_are_json_too() {
    let directory = tempfile::tempdir().unwrap();
    let output = profile(directory.path()).args(["lecture", "--json", "-"]).assert().success().get_output().clone();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let near = |value: &Value, wanted: f64| (value.as_f64().unwrap() - wanted).abs() < 1e-10;
    assert!(near(&report["hinge"]["loss"], 1.58) && near(&report["softmax"]["loss"], 1.040_190_569_4), "{report:#}");
    assert!(near(&report["probabilities"][1], 0.631_163_353_6) && near(&report["scores"][2], 0.28), "{report:#}");
    assert_eq!(report["softmax"]["dweights"].as_array().unwrap().len(), 12);
    assert!(String::from_utf8(output.stderr).unwrap().contains("Two numbers on the slide are slips"));
}

#[test]
fn real_images_are_learned_as_well_as_a_linear_classifier_can() {
    let Some(data) = real_data("real_images_are_learned_as_well_as_a_linear_classifier_can") else { return };
    for loss in ["softmax", "hinge"] {
        let (_, printed, report) = train(&["--data", &data, "--loss", loss]);
        let epochs = report["epochs"].as_array().unwrap();
        assert_eq!(epochs.len(), 10);
        let last = epochs[9]["test_accuracy"].as_f64().unwrap();
        assert!((0.38..0.42).contains(&last), "{loss}: {last}\n{printed}");
    }
}

/// The SVM of the CS231n assignment: while the penalty dwarfs the data loss, it shrinks as 0.995^(2t).
#[test]
fn the_penalty_of_the_assignment_decays_as_it_must() {
    let Some(data) = real_data("the_penalty_of_the_assignment_decays_as_it_must") else { return };
    let settings = "--loss hinge --preprocess mean --bias trick --init normal:1e-3 --lr 1e-7 --reg 2.5e4 --batch-size 200 \
                    --sample replacement --iterations 201";
    let arguments: Vec<&str> = settings.split_whitespace().chain(["--data", &data]).collect();
    let (_, printed, _) = train(&arguments);
    let penalty = |iteration: u32| -> f64 {
        let start = format!("iteration {iteration}: ");
        let line = printed.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("{printed}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let start = penalty(0);
    assert!((start / 768.25 - 1.0).abs() < 0.03, "{start}");
    // The data loss's own gradient shrinks the weights too: by iteration 200 it has taken 1.08 to 1.24 % in ten seeds, and
    // as much in a plain double-precision program. A deviation of zero would be as wrong as a larger one.
    for (iteration, low, high) in [(100, -0.01, 0.0), (200, -0.0135, -0.0095)] {
        let deviation = penalty(iteration) / (start * 0.995_f64.powi(2 * iteration as i32)) - 1.0;
        assert!((low..high).contains(&deviation), "iteration {iteration}: {deviation}");
    }
}
