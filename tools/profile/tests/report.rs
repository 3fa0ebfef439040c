//! `profile report`: the page of a run, in a browser too where one is installed.

mod support;

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use support::{profile, refused, shared_folder};
use tempfile::TempDir;

const LINEAR: &str = "--loss hinge --epochs 3 --time";
const MLP: &str = "--model mlp --hidden 20,10 --optimizer momentum --schedule cosine --epochs 2";
const CONVNET: &str = "--model convnet --optimizer adam --iterations 12";

/// A folder with small finished runs: `linear`, `mlp` and `convnet`.
fn runs() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = shared_folder("runs");
        for (name, line) in [("linear", LINEAR), ("mlp", MLP), ("convnet", CONVNET)] {
            train(&folder, &format!("--data synthetic:600 --batch-size 50 {line} --out {name}"));
        }
        folder
    })
}

fn train(folder: &Path, line: &str) {
    profile(folder).arg("train").args(line.split_whitespace()).assert().success();
}

/// The page of the run in `folder`.
fn page(folder: &Path) -> String {
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("page.html");
    profile(folder).args(["report", ".", "--out"]).arg(&path).assert().success();
    fs::read_to_string(path).unwrap()
}

/// A copy of the folder of a run.
fn copied(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(runs().join(name)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    folder
}

/// Changes a JSON file.
fn change(path: PathBuf, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut value);
    fs::write(&path, value.to_string()).unwrap();
}

/// The values of an attribute, wherever it stands.
fn attributes<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let opening = format!(" {name}=\"");
    page.split(opening.as_str()).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

#[test]
fn a_page_shows_everything_and_loads_nothing() {
    for (run, wanted) in [
        (
            "linear",
            [
                "multiclass SVM on synthetic data",
                "What it looks for",
                "Where the time went",
                "scores and loss",
                "--loss hinge",
            ],
        ),
        ("mlp", ["multi-layer perceptron", "first hidden units", "schedule cosine", "fc3.weight", "--hidden"]),
        ("convnet", ["convolutional network", "first filters", "conv1.weight", "--iterations 12", "1 epoch"]),
    ] {
        let page = page(&runs().join(run));
        for text in
            wanted.iter().chain(&["warm disc", "Confusion matrix", "Class by class", "Right: ", "Wrong: ", "SHA-256"])
        {
            assert!(page.contains(text), "{run}: no {text}");
        }
        assert_eq!(page.matches("<svg").count(), 4, "{run}");
        let report: Value = serde_json::from_slice(&fs::read(runs().join(run).join("report.json")).unwrap()).unwrap();
        let last = report["epochs"].as_array().unwrap().last().unwrap();
        assert!(page.contains(&format!("{:.2} %", 100.0 * last["test_accuracy"].as_f64().unwrap())));
        assert!(page.contains(report["weights_sha256"].as_str().unwrap()));

        assert!(page.contains(r#"<meta name="viewport" content="width=device-width, initial-scale=1">"#));
        assert!(
            !page.contains("<script") && !page.contains("<link") && !page.contains("@import") && !page.contains("url(")
        );
        let pictures = attributes(&page, "src");
        assert!(pictures.len() > 10 && pictures.iter().all(|address| address.starts_with("data:image/png;base64,")));
        assert!(attributes(&page, "href").is_empty());
        for address in page.split("http").skip(1) {
            assert!(address.starts_with("://www.w3.org/2000/svg\"") || address.starts_with("-equiv="), "{address:.60}");
        }
    }
}

#[test]
fn what_files_say_is_text() {
    let folder = copied("linear");
    let hostile = "<script>alert('x')</script>\"&";
    change(folder.path().join("report.json"), |report| {
        report["machine"]["cpu"] = hostile.into();
        report["reproduce"] = format!("profile train --data '{hostile}'").into();
        report["optimizer"]["name"] = hostile.into();
        report["time"]["kernels"][0]["name"] = hostile.into();
    });
    change(folder.path().join("predictions.json"), |summary| {
        summary["examples"][0]["label"] = hostile.into();
        summary["examples"][0]["image"] = "data:image/png;base64,\"><script>".into();
    });
    let page = page(folder.path());
    assert!(!page.contains("<script"));
    assert!(page.contains("&lt;script&gt;alert('x')&lt;/script&gt;&quot;&amp;"));
}

#[test]
fn the_same_run_has_the_same_page_wherever_it_goes() {
    let folder = copied("mlp");
    let first = page(folder.path());
    assert!(!folder.path().join("report.html").exists());
    let printed = profile(folder.path()).args(["report", "."]).assert().success().get_output().stdout.clone();
    assert_eq!(String::from_utf8(printed).unwrap(), "wrote ./report.html\n");
    assert!(fs::read_to_string(folder.path().join("report.html")).unwrap() == first);
}

#[test]
fn where_the_page_went_is_json_too() {
    let folder = copied("mlp");
    let output = profile(folder.path()).args(["report", ".", "--json", "-"]).assert().success().get_output().clone();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let bytes = fs::metadata(folder.path().join("report.html")).unwrap().len();
    assert_eq!((report["page"].as_str(), report["bytes"].as_u64()), (Some("./report.html"), Some(bytes)));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "wrote ./report.html\n");
}

#[test]
fn a_run_that_was_made_longer_says_what_its_schedule_was() {
    let folder = copied("mlp");
    let line = "train --resume checkpoint.safetensors --epochs 3";
    profile(folder.path()).args(line.split(' ')).assert().success();
    let page = page(folder.path());
    assert!(page.contains("resumed after step 24, and made 36 steps long instead of 24"), "{page}");
    assert!(page.contains("--epochs 3") && !page.contains("--resume"));
}

#[test]
fn what_is_no_finished_run_is_refused() {
    assert!(refused(1, &["report", "none"], &[]).contains("is not the folder of a run"));
    assert!(refused(1, &["report", "."], &[]).contains("report.json, which `profile train` writes when a run is over"));
    refused(2, &["report"], &[]);

    type Damage = fn(&Path);
    let damages: [(Damage, &str); 13] = [
        (|folder| fs::remove_file(folder.join("report.json")).unwrap(), "cannot read ./report.json"),
        (|folder| fs::remove_file(folder.join("steps.csv")).unwrap(), "cannot read ./steps.csv"),
        (|folder| fs::remove_file(folder.join("weights.safetensors")).unwrap(), "cannot use ./weights.safetensors"),
        (|folder| fs::write(folder.join("predictions.json"), "{}").unwrap(), "predictions.json is damaged"),
        (|folder| fs::write(folder.join("report.json"), [0xFF]).unwrap(), "cannot read ./report.json"),
        (|folder| fs::write(folder.join("steps.csv"), "step\n1\n").unwrap(), "steps.csv is damaged"),
        (
            |folder| {
                change(folder.join("predictions.json"), |s| s["examples"][1]["image"] = "http://there/x.png".into())
            },
            "is not embedded",
        ),
        (|folder| change(folder.join("predictions.json"), |s| s["confusion"][3] = [1].as_slice().into()), "10 by 10"),
        (|folder| change(folder.join("predictions.json"), |s| s["images"] = 60.into()), "the evaluation"),
        (|folder| change(folder.join("predictions.json"), |s| s["accuracy"] = 0.015.into()), "the evaluation"),
        (|folder| change(folder.join("predictions.json"), |s| s["loss"] = "softmax".into()), "the evaluation"),
        (|folder| change(folder.join("predictions.json"), |s| s["data"] = "cifar10".into()), "the evaluation"),
        // A later run replaced some files, and failed.
        (
            |folder| {
                let other = folder.join("other");
                train(folder, "--data synthetic:600 --batch-size 50 --epochs 3 --loss hinge --seed 1 --out other");
                fs::rename(other.join("weights.safetensors"), folder.join("weights.safetensors")).unwrap();
            },
            "do not belong together",
        ),
    ];
    for (damage, wanted) in damages {
        let folder = copied("linear");
        damage(folder.path());
        let output = profile(folder.path()).args(["report", "."]).assert().failure().code(1).get_output().clone();
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(
            message.starts_with("error: ") && message.contains(wanted) && message.lines().count() == 1,
            "{message}"
        );
        assert!(!folder.path().join("report.html").exists());
    }
}

/// A browser that can be run without a screen, if one is installed.
fn browser() -> Option<PathBuf> {
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|path| path.is_file())
}

/// On a phone and on a desk: nothing reaches beyond the right edge, and every picture is there.
#[test]
fn a_browser_shows_the_page_at_any_width() {
    let Some(browser) = browser() else {
        println!("a_browser_shows_the_page_at_any_width: skipped, since no Chromium is on the PATH");
        return;
    };
    for run in ["linear", "mlp", "convnet"] {
        let folder = tempfile::tempdir().unwrap();
        // The page itself forbids scripts; the copy that is measured has one that tells the page around it.
        let measured = page(&runs().join(run)).replace("default-src 'none'; ", "").replace(
            "</body>",
            "<script>addEventListener('load', () => {
                const wide = [...document.querySelectorAll('body *')].filter(e => !e.closest('svg *'))
                    .filter(e => e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.tagName + '.' + e.className);
                const broken = [...document.images].filter(image => image.naturalWidth === 0).length;
                const letters = [...document.querySelectorAll('svg text')].map(e => e.getBoundingClientRect().height);
                parent.postMessage({width: innerWidth, scroll: document.documentElement.scrollWidth, wide, broken,
                    pictures: document.images.length, letters: Math.min(...letters)}, '*');
            })</script></body>",
        );
        fs::write(folder.path().join("page.html"), measured).unwrap();
        let frames = "<!DOCTYPE html><body>
            <script>addEventListener('message', event => {
                const line = document.createElement('p');
                line.textContent = 'measured ' + JSON.stringify(event.data) + ' end';
                document.body.append(line);
            })</script>
            <iframe src='page.html' style='border: 0; width: 360px; height: 700px'></iframe>
            <iframe src='page.html' style='border: 0; width: 1280px; height: 700px'></iframe>";
        let around = folder.path().join("frames.html");
        fs::write(&around, frames).unwrap();
        let output = Command::new(&browser)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000", "--dump-dom"])
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .arg(format!("file://{}", around.display()))
            .output()
            .unwrap();
        let dom = String::from_utf8_lossy(&output.stdout);
        let lines: Vec<Value> = dom
            .split("measured {")
            .skip(1)
            .filter_map(|rest| rest.split_once("} end"))
            .map(|(line, _)| serde_json::from_str(&format!("{{{line}}}")).unwrap())
            .collect();
        assert_eq!(lines.len(), 2, "{dom}\n{}", String::from_utf8_lossy(&output.stderr));
        for measured in &lines {
            assert!(measured["scroll"].as_u64() <= measured["width"].as_u64(), "{run}: {measured}");
            assert_eq!(measured["wide"], serde_json::json!([]), "{run}: {measured}");
            assert_eq!(measured["broken"], 0, "{run}: {measured}");
            assert!(measured["pictures"].as_u64().unwrap() > 10, "{run}: {measured}");
            // The height of a line: letters are about two thirds of it.
            assert!(measured["letters"].as_f64().unwrap() >= 9.0, "{run}: {measured}");
        }
        let widths: Vec<_> = lines.iter().map(|measured| measured["width"].as_u64().unwrap()).collect();
        assert!(widths.contains(&360) && widths.contains(&1280), "{widths:?}");
    }
}
