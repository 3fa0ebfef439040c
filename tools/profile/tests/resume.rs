//! Checkpoints of `profile train`: a run that was interrupted, killed or starved of disk ends as one that was not.

mod support;

use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use support::{damaged, profile, refused, small_cifar};
use tempfile::TempDir;

/// A run in `folder` with the options of `line`, however it ends.
fn run(folder: &Path, line: &str) -> Output {
    profile(folder).arg("train").args(line.split_whitespace()).output().unwrap()
}

#[track_caller]
fn succeeds(folder: &Path, line: &str) -> String {
    let output = run(folder, line);
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The last line of standard error of a run that ends with `status`.
#[track_caller]
fn fails(folder: &Path, line: &str, status: i32) -> String {
    let output = run(folder, line);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{line}: {message}");
    if status == 1 {
        assert_eq!(message.lines().count(), 1, "{message}");
    }
    message.lines().next().unwrap_or_default().to_owned()
}

/// A run as a process, to be sent signals.
fn start(folder: &Path, line: &str) -> Child {
    let mut command = Command::new(assert_cmd::cargo_bin!("profile"));
    command.current_dir(folder).env_remove("CIFAR10_DIR").env_remove("LANEGRAD_ISA");
    command.arg("train").args(line.split_whitespace());
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn weights(folder: &Path, out: &str) -> Vec<u8> {
    fs::read(folder.join(out).join("weights.safetensors")).unwrap()
}

/// The report without what depends on time and place.
fn timeless(folder: &Path, out: &str) -> Value {
    let mut report: Value = serde_json::from_slice(&fs::read(folder.join(out).join("report.json")).unwrap()).unwrap();
    report["machine"].take();
    for epoch in report["epochs"].as_array_mut().unwrap() {
        for key in ["seconds", "samples_per_second", "gflops", "peak_fraction"] {
            assert!(epoch[key].take().as_f64().unwrap() > 0.0);
        }
    }
    report
}

/// Waits for the first checkpoint.
fn wait_for(path: &Path) {
    let start = Instant::now();
    while !path.exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "{} never came", path.display());
        std::thread::sleep(Duration::from_millis(2));
    }
}

const DATA: &str = "--data synthetic:640 --batch-size 32";

#[test]
fn resumed_equals_uninterrupted() {
    for (model, steps) in [
        ("--loss hinge --reg 1e-3 --schedule step:13:0.5", 50),
        ("--optimizer momentum --bias trick --init normal:0.01 --schedule cosine", 50),
        ("--optimizer adam --sample replacement --schedule exponential:0.99", 50),
        ("--model mlp --hidden 20,10 --optimizer momentum --schedule one-cycle --clip-norm 1", 50),
        ("--model mlp --hidden 12 --optimizer muon --schedule warmup:9+cosine", 50),
        ("--model mlp --hidden 12 --optimizer adadelta", 50),
        ("--model convnet --optimizer adam --schedule cosine", 7),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let line = format!("{DATA} {model} --iterations {steps}");
        succeeds(folder.path(), &format!("{line} --out whole --threads 2"));
        // The shorter run's schedule is that of the longer one only if it is cut, not if it ends: it is interrupted.
        let checkpoint = folder.path().join("cut/checkpoint.safetensors");
        for threads in [1, 3] {
            let goes_on = if threads == 1 { String::new() } else { "--resume cut/checkpoint.safetensors".into() };
            let line = if goes_on.is_empty() { line.as_str() } else { "" };
            let mut child =
                start(folder.path(), &format!("{line} {goes_on} --out cut --threads {threads} --checkpoint-every 3"));
            wait_for(&checkpoint);
            child.kill().unwrap();
            child.wait().unwrap();
        }
        succeeds(folder.path(), "--resume cut --threads 2");
        assert_eq!(weights(folder.path(), "whole"), weights(folder.path(), "cut"), "{model}");
        assert_eq!(timeless(folder.path(), "whole"), timeless(folder.path(), "cut"), "{model}");
        for file in ["loss.svg", "updates.svg", "steps.csv", "confusion.svg", "predictions.json"] {
            let [whole, cut] = ["whole", "cut"].map(|out| fs::read(folder.path().join(out).join(file)).unwrap());
            assert!(whole == cut, "{model}: {file}");
        }
    }
}

/// What a run was, told to a shell, gives the same weights: of a run that was resumed, and longer than it was begun, too.
#[cfg(unix)]
#[test]
fn the_command_that_is_recorded_reproduces_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let line = "--model mlp --hidden 9,4 --optimizer momentum --schedule step:13:0.5 --clip-norm 1 --seed 3";
    succeeds(folder.path(), &format!("{DATA} {line} --epochs 2 --out cut"));
    succeeds(folder.path(), "--resume cut/checkpoint.safetensors --epochs 3 --threads 1");
    let report = timeless(folder.path(), "cut");
    let command = report["reproduce"].as_str().unwrap();
    assert!(command.starts_with("profile train ") && !command.contains("resume"), "{command}");
    let program = assert_cmd::cargo_bin!("profile");
    let script = command.replacen("profile", &format!("'{}'", program.display()), 1);
    let status = Command::new("sh").args(["-c", &format!("{script} --out again")]).current_dir(folder.path()).output();
    assert!(status.unwrap().status.success());
    assert_eq!(weights(folder.path(), "cut"), weights(folder.path(), "again"));
    assert_eq!(report, timeless(folder.path(), "again"));
    assert!(report.get("replanned").is_none());
}

/// A schedule that ends with the run is another one if the run is made longer, and that is said.
#[test]
fn a_schedule_is_planned_anew_for_a_longer_run() {
    let folder = tempfile::tempdir().unwrap();
    let begin = |schedule: &str| {
        succeeds(folder.path(), &format!("{DATA} --schedule {schedule} --epochs 2 --out cut --overwrite"));
    };
    begin("cosine");
    let printed = succeeds(folder.path(), "--resume cut/checkpoint.safetensors --epochs 3");
    assert!(
        printed.contains("The schedule cosine was planned for 40 steps; from here on it is that of 60."),
        "{printed}"
    );
    let printed = succeeds(folder.path(), "--resume cut/checkpoint.safetensors --iterations 70");
    assert!(printed.contains("was planned for 60 steps"), "{printed}");
    let replanned = serde_json::json!([{"step": 40, "before": 40, "now": 60}, {"step": 60, "before": 60, "now": 70}]);
    assert_eq!(timeless(folder.path(), "cut")["replanned"], replanned);
    // Neither the same length nor a schedule that goes on as it was is worth a word.
    let printed = succeeds(folder.path(), "--resume cut/checkpoint.safetensors --iterations 70");
    assert!(!printed.contains("was planned"), "{printed}");
    begin("step:30:0.5");
    let printed = succeeds(folder.path(), "--resume cut/checkpoint.safetensors --epochs 3");
    assert!(!printed.contains("was planned"), "{printed}");
    assert!(timeless(folder.path(), "cut").get("replanned").is_none());
}

/// At every step of three epochs, one of them the last of an epoch, one the first.
#[test]
fn it_does_not_matter_where_a_run_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let line = "--data synthetic:100 --batch-size 30 --model mlp --hidden 6 --optimizer adam";
    succeeds(folder.path(), &format!("{line} --iterations 12 --out whole"));
    for steps in 1..12 {
        succeeds(folder.path(), &format!("{line} --iterations {steps} --out cut --overwrite"));
        succeeds(folder.path(), "--resume cut/checkpoint.safetensors --iterations 12");
        assert_eq!(weights(folder.path(), "whole"), weights(folder.path(), "cut"), "after step {steps}");
        assert_eq!(timeless(folder.path(), "whole"), timeless(folder.path(), "cut"), "after step {steps}");
    }
    // Epochs are steps too, and a run that is over can be resumed: it writes its files again.
    succeeds(folder.path(), "--resume cut/checkpoint.safetensors --out ./cut");
    succeeds(folder.path(), "--resume cut/checkpoint.safetensors --epochs 3 --out again");
    let message = fails(folder.path(), "--resume cut/checkpoint.safetensors --iterations 13 --out whole", 2);
    assert!(message.contains("another --out") && !message.contains("--overwrite"), "{message}");
    let [mut whole, mut again] = ["whole", "again"].map(|out| timeless(folder.path(), out));
    let commands = [&mut whole, &mut again].map(|report| report["reproduce"].take());
    assert!(commands[0].as_str().unwrap().contains("--iterations 12"), "{commands:?}");
    assert!(commands[1].as_str().unwrap().contains("--epochs 3"), "{commands:?}");
    assert_eq!(whole, again);
}

/// A step folds the weights as it updates them, a resumed run folds them anew: at every level to the same bits.
#[test]
fn every_level_goes_on_with_the_same_bits() {
    for level in lanegrad::kernels::dispatch::supported() {
        for optimizer in ["sgd", "momentum", "nesterov"] {
            let folder = tempfile::tempdir().unwrap();
            let run = |line: &str| {
                let mut command = profile(folder.path());
                command.arg("train").args(line.split_whitespace()).env("LANEGRAD_ISA", level.name());
                String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap()
            };
            let line = format!("{DATA} --optimizer {optimizer} --iterations");
            run(&format!("{line} 30 --out whole"));
            run(&format!("{line} 11 --out cut"));
            let printed = run("--resume cut/checkpoint.safetensors --iterations 30");
            assert!(!printed.contains("round otherwise"), "{printed}");
            assert_eq!(weights(folder.path(), "whole"), weights(folder.path(), "cut"), "{level} {optimizer}");
            assert_eq!(timeless(folder.path(), "whole"), timeless(folder.path(), "cut"), "{level} {optimizer}");
        }
    }
}

/// Twenty times, or as often as $LANEGRAD_KILLS says: within a tenth of a second after a first checkpoint, so that most fall
/// into steps and saves, and every eighth at any moment from the start on.
#[test]
fn a_run_that_is_killed_at_any_moment_ends_as_one_that_is_not() {
    let wanted: u32 = std::env::var("LANEGRAD_KILLS").ok().map_or(20, |number| number.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let line = format!("{DATA} --model mlp --hidden 30 --optimizer momentum --schedule cosine --iterations 400");
    succeeds(folder.path(), &format!("{line} --out whole"));
    let checkpoint = folder.path().join("cut/checkpoint.safetensors");
    let saved = || fs::metadata(&checkpoint).and_then(|metadata| metadata.modified()).ok();
    // Moments that differ from run to run: the clock's last digits, through a linear congruence.
    let mut random = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
    let (mut kills, mut after_a_save, mut finished) = (0, 0, 0);
    while kills < wanted || finished == 0 {
        let goes_on =
            if checkpoint.exists() { "--resume cut/checkpoint.safetensors" } else { &format!("{line} --out cut") };
        let before = saved();
        let mut child = start(folder.path(), &format!("{goes_on} --checkpoint-every 2"));
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let early = random >> 29 == 0;
        let limit = Duration::from_micros(u64::from(random >> 8) % if early { 400_000 } else { 100_000 });
        let mut counting = early.then(Instant::now);
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if counting.is_none() && saved() != before {
                counting = Some(Instant::now());
            }
            if kills < wanted && counting.is_some_and(|start| start.elapsed() >= limit) {
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
            std::thread::sleep(Duration::from_micros(200));
        };
        let Some(status) = status else {
            kills += 1;
            after_a_save += u32::from(saved() != before);
            continue;
        };
        assert!(status.success(), "after {kills} kills");
        assert_eq!(weights(folder.path(), "whole"), weights(folder.path(), "cut"), "after {kills} kills");
        assert_eq!(timeless(folder.path(), "whole"), timeless(folder.path(), "cut"), "after {kills} kills");
        finished += 1;
        fs::remove_dir_all(folder.path().join("cut")).unwrap();
    }
    println!("{kills} kills, {after_a_save} of them between two saves, {finished} runs finished");
    assert!(after_a_save > wanted / 2, "{after_a_save} of {kills} kills");
}

/// A checkpoint of ten steps, and the folder it is in.
fn checkpoint() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    succeeds(folder.path(), &format!("{DATA} --iterations 10 --out out"));
    let path = folder.path().join("out/checkpoint.safetensors");
    (folder, path)
}

/// That every length and every bit is covered is tested where checkpoints are read; this is how it looks from outside.
#[test]
fn a_damaged_checkpoint_is_refused() {
    let (folder, path) = checkpoint();
    let good = fs::read(&path).unwrap();
    let damage = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let message = fails(folder.path(), "--resume out/checkpoint.safetensors --iterations 20", 1);
        assert!(message.starts_with("error: cannot resume from out/checkpoint.safetensors: "), "{message}");
        assert!(message.contains("checksum"), "{message}");
    };
    for length in [0, 1, 7, 8, 100, 1000, good.len() / 2, good.len() - 33, good.len() - 1] {
        damage(&good[..length]);
    }
    for place in [0, 7, 8, 200, good.len() / 2, good.len() - 33, good.len() - 1] {
        let mut bad = good.clone();
        bad[place] ^= 1;
        damage(&bad);
    }
    damage(&[good.as_slice(), b"\n"].concat());
    // Nothing was written by all that, and what is whole again can be used.
    fs::write(&path, &good).unwrap();
    succeeds(folder.path(), "--resume out/checkpoint.safetensors --iterations 20");
}

#[test]
fn what_is_no_checkpoint_is_refused() {
    for name in ["no/such/file", ".", "/dev/zero"] {
        let message = refused(1, &["train", "--resume", name], &[]);
        assert!(message.contains("cannot resume from"), "{message}");
    }
    let (folder, path) = checkpoint();
    fs::copy(path.with_file_name("weights.safetensors"), &path).unwrap();
    fails(folder.path(), "--resume out/checkpoint.safetensors", 1);
    // The right checksum under the wrong contents.
    let mut sealed = b"\x02\0\0\0\0\0\0\0{}".to_vec();
    sealed.extend_from_slice(&Sha256::digest(&sealed));
    fs::write(&path, sealed).unwrap();
    fails(folder.path(), "--resume out/checkpoint.safetensors", 1);
}

#[test]
fn what_contradicts_a_checkpoint_is_refused_as_usage() {
    let (folder, path) = checkpoint();
    let before = fs::read(&path).unwrap();
    let data = damaged("test_batch.bin", |bytes| bytes[77] ^= 1);
    let other_data = format!("--data {}", data.path().display());
    for (options, word) in [
        ("--lr 0.5", "--lr"),
        ("--model mlp", "--model"),
        ("--optimizer adam", "--optimizer"),
        ("--seed 1", "--seed"),
        ("--batch-size 31", "--batch-size"),
        ("--schedule cosine", "--schedule"),
        ("--hidden 30", "--hidden"),
        ("--iterations 9", "step 10"),
        ("--data synthetic:641", "synthetic:641"),
        (&other_data, "not those"),
    ] {
        let message = fails(folder.path(), &format!("--resume out/checkpoint.safetensors {options}"), 2);
        assert!(message.starts_with("error: ") && message.contains(word), "{options}: {message}");
    }
    assert_eq!(fs::read(&path).unwrap(), before);
    // What was said before may be said again.
    succeeds(folder.path(), &format!("{DATA} --resume out/checkpoint.safetensors --lr 3.0e-3 --iterations 11"));
}

#[test]
fn real_files_may_have_moved() {
    let folder = tempfile::tempdir().unwrap();
    let moved = damaged("test_batch.bin", |_| {});
    succeeds(folder.path(), &format!("--data {} --iterations 3 --out out", small_cifar().display()));
    let line = format!("--resume out/checkpoint.safetensors --iterations 4 --data {}", moved.path().display());
    succeeds(folder.path(), &line);
    // That is where they are from now on.
    drop(moved);
    let message = fails(folder.path(), "--resume out/checkpoint.safetensors --iterations 5", 1);
    assert!(message.contains("CIFAR-10 cannot be read"), "{message}");
}

#[cfg(unix)]
fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap().success());
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_says_how_to_go_on() {
    for name in ["INT", "TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let line = format!("{DATA} --model mlp --hidden 30 --optimizer adam --iterations 1500");
        let checkpoint = folder.path().join("cut/checkpoint.safetensors");
        let mut child = start(folder.path(), &format!("{line} --out cut --checkpoint-every 3"));
        wait_for(&checkpoint);
        signal(&child, name);
        let mut message = String::new();
        std::io::Read::read_to_string(child.stderr.as_mut().unwrap(), &mut message).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{message}");
        let start = "interrupted after step ";
        let end = " of 1500; to go on: profile train --resume cut/checkpoint.safetensors\n";
        // On a busy machine the step may take so long that a line says why nothing happens.
        let last = &message[message.trim_end().rfind('\n').map_or(0, |end| end + 1)..];
        assert!(last.starts_with(start) && last.ends_with(end), "{message}");
        assert!(message.lines().rev().skip(1).all(|line| line.starts_with("stopping when ")), "{message}");
        let step: u64 = last[start.len()..last.len() - end.len()].parse().unwrap();
        // Only what was trained when the signal came is trained.
        let printed =
            succeeds(folder.path(), &format!("--resume cut/checkpoint.safetensors --iterations {}", step + 1));
        assert!(printed.contains("resumed    after step "), "{printed}");
        succeeds(
            folder.path(),
            &format!("{line} --iterations {} --out whole", step + 1).replacen("--iterations 1500", "", 1),
        );
        assert_eq!(weights(folder.path(), "whole"), weights(folder.path(), "cut"));
    }
}

#[cfg(unix)]
#[test]
fn a_second_interrupt_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    // One step takes far longer than the test may.
    let line = "--data synthetic:20000 --batch-size 20000 --model convnet --threads 1 --iterations 3 --out out";
    let mut child = start(folder.path(), line);
    std::thread::sleep(Duration::from_millis(2500));
    signal(&child, "INT");
    std::thread::sleep(Duration::from_millis(200));
    signal(&child, "INT");
    let asked = Instant::now();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(asked.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_run_that_diverges_keeps_its_last_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    // The step size doubles with each of 20 steps an epoch until it is too much.
    let line = format!("{DATA} --schedule exponential:1.6 --lr 1e-6 --reg 1 --epochs 50 --out out");
    let message = fails(folder.path(), &line, 1);
    assert!(message.contains("step "), "{message}");
    let path = folder.path().join("out/checkpoint.safetensors");
    let kept = fs::read(&path).unwrap();
    for name in ["diverged.svg", "diverged.csv"] {
        assert!(fs::metadata(folder.path().join("out").join(name)).unwrap().len() > 1000);
    }
    // It can be used, which one of the step of the failure could not; and it fails as before, and is kept as before.
    assert_eq!(fails(folder.path(), "--resume out/checkpoint.safetensors", 1), message);
    assert_eq!(fs::read(&path).unwrap(), kept);
    // At its own last step it is a run like any other.
    let tensors = safetensors::SafeTensors::deserialize(&kept).unwrap();
    let weights = tensors.tensor("linear.weight").unwrap();
    assert!(weights.data().as_chunks::<4>().0.iter().all(|&bytes| f32::from_le_bytes(bytes).is_finite()));
}

/// A file may not grow beyond 40 kB: `checkpoint.safetensors` of a small network fits at first, and later does not.
#[cfg(unix)]
#[test]
fn a_full_disk_loses_nothing_that_was_saved() {
    let folder = tempfile::tempdir().unwrap();
    let program = assert_cmd::cargo_bin!("profile");
    let line = "--data synthetic:500 --batch-size 5 --model mlp --hidden 1 --checkpoint-every 100";
    // Every step adds 16 bytes of losses. Without its message the signal of the limit would end the process.
    let script =
        format!("trap '' XFSZ; ulimit -f 80; exec '{}' train {line} --out out --iterations 5000", program.display());
    let output = Command::new("bash").args(["-c", &script]).current_dir(folder.path()).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("warning: cannot write the checkpoint out/checkpoint.safetensors: "), "{message}");
    let bytes = fs::read(folder.path().join("out/checkpoint.safetensors")).unwrap();
    assert!(bytes.len() <= 80 * 1024, "{}", bytes.len());
    assert!(!folder.path().join("out/.checkpoint.safetensors.partial").exists());
    // With room again, it goes on from there to where it would have come.
    succeeds(folder.path(), "--resume out/checkpoint.safetensors");
    succeeds(folder.path(), &format!("{line} --out whole --iterations 5000"));
    assert_eq!(weights(folder.path(), "whole"), weights(folder.path(), "out"));
}

#[test]
fn one_run_at_a_time_writes_to_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = start(folder.path(), &format!("{DATA} --iterations 1000000 --checkpoint-every 1 --out out"));
    wait_for(&folder.path().join("out/checkpoint.safetensors"));
    if cfg!(unix) {
        let message = fails(folder.path(), &format!("{DATA} --iterations 1 --out out"), 1);
        assert!(message.contains("another run writes to out now"), "{message}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    succeeds(folder.path(), &format!("{DATA} --iterations 1 --out out --overwrite"));
}

#[test]
fn checkpoints_are_written_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    succeeds(folder.path(), &format!("{DATA} --epochs 1 --checkpoint-every never --out out"));
    assert!(!folder.path().join("out/checkpoint.safetensors").exists());
    for text in ["0", "-1", "x", "1.5"] {
        let message = refused(2, &["train", &format!("--checkpoint-every={text}")], &[]);
        assert!(message.contains("--checkpoint-every"), "{message}");
    }
}

#[test]
fn the_time_of_a_step_is_shared_out() {
    let folder = tempfile::tempdir().unwrap();
    for (model, names) in [
        ("--model mlp --hidden 30", ["linear [32, 3072] [3072, 30] [30] -> [32, 30]", "update rule"]),
        ("--optimizer momentum", ["scores and loss", "gradient and update"]),
        ("--optimizer adam", ["gradient [10, 3072]", "update rule"]),
    ] {
        let printed = succeeds(folder.path(), &format!("{DATA} {model} --epochs 2 --time --out out --overwrite"));
        names.iter().for_each(|name| assert!(printed.contains(name), "{name} in\n{printed}"));
        let report: Value = serde_json::from_slice(&fs::read(folder.path().join("out/report.json")).unwrap()).unwrap();
        let time = &report["time"];
        assert_eq!(time["steps"], 40);
        let kernels = time["kernels"].as_array().unwrap();
        let sum = |key: &str| kernels.iter().map(|kernel| kernel[key].as_f64().unwrap()).sum::<f64>();
        assert!((sum("share") - 1.0).abs() < 0.01, "{}", sum("share"));
        assert!((sum("seconds") / time["seconds"].as_f64().unwrap() - 1.0).abs() < 0.01);
        let counted: Vec<&Value> = kernels.iter().filter(|kernel| kernel.get("gflops").is_some()).collect();
        assert!(counted.iter().all(|kernel| kernel["calls"] == 40 && kernel["peak_fraction"].as_f64().unwrap() < 1.0));
        // Together the operations that the epochs' own speed counts.
        let operations: f64 =
            counted.iter().map(|kernel| kernel["gflops"].as_f64().unwrap() * kernel["seconds"].as_f64().unwrap()).sum();
        let epochs = report["epochs"].as_array().unwrap().iter();
        let wanted: f64 =
            epochs.map(|epoch| epoch["gflops"].as_f64().unwrap() * epoch["seconds"].as_f64().unwrap()).sum();
        assert!((operations / wanted - 1.0).abs() < 1e-9, "{model}: {operations} {wanted}");
    }
}
