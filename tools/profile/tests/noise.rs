//! `profile noise`: what a mini-batch's gradient is worth, by the numbers that theory gives.

mod support;

use serde_json::Value;
use std::fs;
use support::{profile, real_data, refused, small_cifar};

/// Runs `profile noise` in a new directory; returns standard output, the report, and the picture.
fn noise(arguments: &str) -> (String, Value, String) {
    let directory = tempfile::tempdir().unwrap();
    let mut command = profile(directory.path());
    command.args(["noise", "--out", "out"]).args(arguments.split_whitespace());
    let printed = String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap();
    let file = |name: &str| fs::read_to_string(directory.path().join("out").join(name)).unwrap();
    (printed, serde_json::from_str(&file("report.json")).unwrap(), file("noise.svg"))
}

/// The report without what depends on the clock and the machine.
fn timeless(mut report: Value) -> Value {
    report.as_object_mut().unwrap().remove("machine");
    for row in report["batches"].as_array_mut().unwrap() {
        row.as_object_mut().unwrap().retain(|key, _| !key.contains("second"));
    }
    report
}

#[test]
fn noise_falls_with_the_root_of_the_batch_size() {
    let (printed, report, picture) = noise("--data synthetic:2000 --draws 100");
    let rows = report["batches"].as_array().unwrap();
    let sizes: Vec<u64> = rows.iter().map(|row| row["batch_size"].as_u64().unwrap()).collect();
    assert_eq!(sizes, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2000]);
    let mean = |row: &Value, key: &str| row[key]["mean"].as_f64().unwrap();
    let scale = report["noise_scale"].as_f64().unwrap();
    assert!(scale > 1.0 && scale < 2000.0, "{printed}");
    for row in &rows[..rows.len() - 1] {
        let (size, draws) = (row["batch_size"].as_f64().unwrap(), row["draws"].as_f64().unwrap());
        // Drawn without replacement from 2000.
        let squared = scale / size * (2000.0 - size) / 1999.0;
        let error = mean(row, "relative_error") / squared.sqrt();
        let room = if draws >= 50.0 { 0.15 } else { 0.3 };
        assert!((error - 1.0).abs() < room, "batches of {size}: {error}\n{printed}");
        let (cosine, expected) = (mean(row, "cosine"), row["expected_cosine"].as_f64().unwrap());
        assert!((expected - (1.0 + squared).sqrt().recip()).abs() < 1e-9);
        assert!((cosine - expected).abs() < 0.08, "batches of {size}: {cosine} and {expected}\n{printed}");
        let time = row["seconds"].as_f64().unwrap();
        assert!((row["samples_per_second"].as_f64().unwrap() * time / size - 1.0).abs() < 1e-9);
    }
    let full = rows.last().unwrap();
    assert_eq!((mean(full, "cosine"), mean(full, "relative_error")), (1.0, 0.0));

    assert!(printed.contains("noise scale ") && printed.contains("A batch of 256"), "{printed}");
    let picture = roxmltree::Document::parse(&picture).unwrap();
    let texts: String = picture.descendants().filter_map(|node| node.text()).collect();
    for words in ["points along the full one: linear", "synthetic data, 2,000 images", "noise scale: ", "1,024"] {
        assert!(texts.contains(words), "{words} in {texts}");
    }
}

#[test]
fn numbers_do_not_depend_on_threads_but_on_the_seed() {
    for model in
        ["linear --loss hinge --init normal:0.01", "mlp --hidden 12", "convnet --images 24", "quick --images 24"]
    {
        let measure = |more: &str| timeless(noise(&format!("--data synthetic:200 --draws 3 --model {model} {more}")).1);
        let one = measure("--threads 1");
        assert_eq!(measure("--threads 3"), one, "{model}");
        assert_ne!(measure("--seed 1"), one, "{model}");
    }
}

#[test]
fn training_lowers_the_loss_and_raises_the_noise() {
    let data = small_cifar().to_str().unwrap();
    let measure = |steps: &str| noise(&format!("--data {data} --images 600 --draws 8 --steps {steps}"));
    let (before, after) = (measure("0").1, measure("30").1);
    let number = |report: &Value, key: &str| report[key].as_f64().unwrap();
    assert!((number(&before, "loss") - std::f64::consts::LN_10).abs() < 1e-6);
    assert!(number(&after, "loss") < 0.5 * number(&before, "loss"), "{after}");
    assert!(number(&after, "gradient_norm") < number(&before, "gradient_norm"));
    assert_eq!((after["steps"].as_u64(), after["images"].as_u64()), (Some(30), Some(600)));
}

#[test]
fn the_report_goes_where_json_says() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = profile(directory.path());
    command.args("noise --data synthetic:20 --draws 2 --json - --out out".split_whitespace());
    let output = command.assert().success().get_output().clone();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["command"], "noise");
    assert!(String::from_utf8(output.stderr).unwrap().contains("noise scale"));
    let file = fs::read(directory.path().join("out/report.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&file).unwrap(), report);
}

#[test]
fn what_cannot_be_is_refused() {
    for arguments in [
        "--draws 1",
        "--images 1",
        "--hidden 3",
        "--model mlp --init zero",
        "--optimizer muon",
        "--steps -1",
        "--momentum 0.5",
        "--data synthetic:x",
    ] {
        let arguments: Vec<&str> = ["noise"].into_iter().chain(arguments.split_whitespace()).collect();
        refused(2, &arguments, &[]);
    }
    let message = refused(1, &["noise", "--data", "synthetic:50", "--steps", "500", "--lr", "1e30"], &[]);
    assert!(message.contains("step"), "{message}");
}

#[test]
fn a_batch_of_256_real_images_points_most_of_the_way() {
    let Some(data) = real_data("a_batch_of_256_real_images_points_most_of_the_way") else { return };
    let (printed, report, _) = noise(&format!("--data {data}"));
    let rows = report["batches"].as_array().unwrap();
    let lectures = rows.iter().find(|row| row["batch_size"] == 256).unwrap();
    let cosine = lectures["cosine"]["mean"].as_f64().unwrap();
    assert!((0.7..0.9).contains(&cosine), "{printed}");
}
