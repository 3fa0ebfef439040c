//! `profile predict`: what it says, what it draws, and that it refuses what it cannot use.

mod support;

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use support::{profile, refused, shared_folder, small_cifar};
use tempfile::TempDir;

/// A folder with small runs: `linear`, `hinge`, `mlp` and `convnet`.
fn runs() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = shared_folder("runs");
        for (name, line) in [
            ("linear", ""),
            ("hinge", "--loss hinge --bias trick"),
            ("mlp", "--model mlp --hidden 20,10 --optimizer momentum"),
            ("convnet", "--model convnet --optimizer adam --iterations 12"),
        ] {
            let line = format!("train --data synthetic:600 --seed 5 --batch-size 50 {line} --out {name}");
            profile(&folder).args(line.split_whitespace()).assert().success();
        }
        folder
    })
}

/// Runs `profile predict` in the folder of the runs, with files in a new folder; returns that and standard output.
fn predict(line: &str) -> (TempDir, String) {
    let out = tempfile::tempdir().unwrap();
    let mut command = profile(runs());
    command.arg("predict").args(line.split_whitespace()).arg("--out").arg(out.path());
    let output = command.assert().success().get_output().clone();
    (out, String::from_utf8(output.stdout).unwrap())
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Width and height of a PNG file, and its pixels.
fn png(path: &Path) -> (u32, u32, Vec<u8>) {
    let file = std::io::BufReader::new(fs::File::open(path).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    (frame.width, frame.height, pixels)
}

/// Writes pixels of red, green and blue as a PNG file.
fn write_png(path: &Path, width: u32, height: u32, pixels: &[u8]) {
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
}

#[test]
fn all_test_images_are_counted() {
    for (run, accuracy) in [("linear", true), ("hinge", true), ("mlp", true), ("convnet", false)] {
        let (out, printed) = predict(run);
        // The synthetic data of the run's own seed, without being told.
        let report = json(&fs::read_to_string(runs().join(run).join("report.json")).unwrap());
        let wanted = report["epochs"].as_array().unwrap().last().unwrap()["test_accuracy"].as_f64().unwrap();
        let found = json(&fs::read_to_string(out.path().join("predictions.json")).unwrap());
        assert_eq!(found["accuracy"].as_f64().unwrap(), wanted, "{run}");
        assert!(!accuracy || wanted > 0.2, "{run}: {wanted}");
        assert_eq!(found["images"], 120);
        let counts: u64 = found["confusion"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|row| row.as_array().unwrap())
            .map(|count| count.as_u64().unwrap())
            .sum();
        assert_eq!(counts, 120);
        let names = found["class_names"].as_array().unwrap();
        for name in names {
            let line = printed.lines().find(|line| line.trim().starts_with(name.as_str().unwrap())).unwrap();
            assert!(line.contains(" 12 "), "{line}");
        }
        assert!(printed.contains(&format!("{:.2} %", 100.0 * wanted)), "{printed}");
        let picture = fs::read_to_string(out.path().join("confusion.svg")).unwrap();
        roxmltree::Document::parse(&picture).unwrap();
        assert!(png(&out.path().join("predictions.png")).0 > 500);
        // What `train` wrote beside the weights is the same.
        for file in ["confusion.svg", "predictions.png"] {
            assert!(
                fs::read(out.path().join(file)).unwrap() == fs::read(runs().join(run).join(file)).unwrap(),
                "{run}: {file}"
            );
        }
    }
}

#[test]
fn a_row_and_its_picture_get_the_same_guesses() {
    for (run, meaning) in [("linear", "probability"), ("hinge", "score"), ("convnet", "probability")] {
        let (_, printed) = predict(&format!("{run}/weights.safetensors --row 17 --json -"));
        let row = json(&printed);
        assert_eq!((&row["row"], row["meaning"].as_str().unwrap()), (&17.into(), meaning));
        assert_eq!(row["label"], "cool triangle");
        let guesses = row["guesses"].as_array().unwrap();
        assert_eq!(guesses.len(), 3);
        let values: Vec<f64> = guesses.iter().map(|guess| guess["value"].as_f64().unwrap()).collect();
        assert!(values[0] >= values[1] && values[1] >= values[2], "{values:?}");
        if meaning == "probability" {
            assert!(values.iter().sum::<f64>() <= 1.0 + 1e-9 && values[2] >= 0.0);
        }

        // The picture that the model saw, as a file.
        let folder = tempfile::tempdir().unwrap();
        let small = folder.path().join("small.png");
        let address = row["image"].as_str().unwrap().strip_prefix("data:image/png;base64,").unwrap();
        let script = format!("printf %s '{address}' | base64 -d > '{}'", small.display());
        assert!(std::process::Command::new("sh").args(["-c", &script]).status().unwrap().success());
        let (out, printed) =
            predict(&format!("{run} {} --json {}", small.display(), folder.path().join("j").display()));
        let found = json(&fs::read_to_string(folder.path().join("j")).unwrap());
        assert_eq!(found["guesses"], row["guesses"], "{run}");
        assert!(found.get("label").is_none() && found.get("row").is_none());
        assert!(printed.contains("32 x 32 pixels") && printed.contains(meaning), "{printed}");
        assert_eq!(png(&out.path().join("prediction.png")).0, 2 * 24 + 320);
    }
}

#[test]
fn pictures_of_any_size_are_cut_and_scaled() {
    let folder = tempfile::tempdir().unwrap();
    for (width, height, said) in [
        (1, 1, "1 x 1 pixels, scaled"),
        (64, 64, "64 x 64 pixels, scaled"),
        (70, 33, "70 x 33 pixels, of which the middle 33 x 33, scaled"),
        (32, 90, "32 x 90 pixels, of which the middle 32 x 32\n"),
    ] {
        let path = folder.path().join("picture.png");
        write_png(&path, width, height, &vec![90; (3 * width * height) as usize]);
        let (_, printed) = predict(&format!("mlp {}", path.display()));
        assert!(printed.contains(said), "{printed}");
    }
}

#[test]
fn what_cannot_be_used_is_refused() {
    let model = runs().join("linear");
    let model = model.to_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    for name in ["no/such/file", "/dev/zero", folder.path().to_str().unwrap()] {
        let message = refused(1, &["predict", name], &[]);
        assert!(message.contains("cannot use "), "{message}");
    }
    let checkpoint = format!("{model}/checkpoint.safetensors");
    assert!(refused(1, &["predict", &checkpoint], &[]).contains("--resume"));
    let weights = fs::read(format!("{model}/weights.safetensors")).unwrap();
    for (name, bytes) in [("empty", &[][..]), ("half", &weights[..weights.len() / 2]), ("text", b"hello")] {
        assert!(refused(1, &["predict", &file(name, bytes)], &[]).contains("damaged"), "{name}");
    }
    // Pictures that are none.
    let mut picture = Vec::new();
    png::Encoder::new(&mut picture, 32, 32).write_header().unwrap();
    for (name, bytes) in [("empty.png", &[][..]), ("cut.png", &picture[..picture.len() / 2]), ("text.png", b"hello")] {
        let message = refused(1, &["predict", model, &file(name, bytes)], &[]);
        assert!(message.contains("cannot read the picture"), "{message}");
    }
    for name in ["none.png", "/dev/zero", "."] {
        assert!(refused(1, &["predict", model, name], &[]).contains("cannot read the picture"), "{name}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_as_usage() {
    let [model, real] = [runs().join("linear"), folder_of_a_real_run().join("real")];
    let [model, real] = [model.to_str().unwrap(), real.to_str().unwrap()];
    assert!(refused(2, &["predict", model, "--row", "120"], &[]).contains("0 to 119"));
    refused(2, &["predict", model, "--row", "-1"], &[]);
    refused(2, &["predict", model, "--row", "1", "--all"], &[]);
    refused(2, &["predict", model, "a.png", "--row", "1"], &[]);
    refused(2, &["predict"], &[]);
    let data = small_cifar().to_str().unwrap();
    // Trained on one kind of data, asked about another.
    assert!(refused(2, &["predict", model, "--data", data], &[]).contains("knows the classes warm disc"));
    assert!(refused(2, &["predict", real, "--data", "synthetic"], &[]).contains("knows the classes airplane"));
    assert!(refused(2, &["predict", real], &[]).contains("was trained on CIFAR-10, which is not here"));
}

/// A run on files in CIFAR-10's layout.
fn folder_of_a_real_run() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = shared_folder("real");
        let data = small_cifar().to_str().unwrap();
        profile(&folder).args(["train", "--data", data, "--iterations", "150", "--out", "real"]).assert().success();
        folder
    })
}

#[test]
fn real_data_are_found_where_they_are_said_to_be() {
    let data = small_cifar().to_str().unwrap();
    let mut command = profile(folder_of_a_real_run());
    command.args(["predict", "real", "--out", "out"]).env("CIFAR10_DIR", data);
    let printed = String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap();
    assert!(printed.contains("airplane") && printed.contains("100.00 %"), "{printed}");
}
