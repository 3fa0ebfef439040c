//! What the tests of the command line share.

#![allow(dead_code)]

use assert_cmd::Command;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::TempDir;

/// `profile`, with no data directory and no pinned level in its environment.
pub fn profile(directory: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo_bin!("profile"));
    command.current_dir(directory).env_remove("CIFAR10_DIR").env_remove("LANEGRAD_ISA");
    command
}

/// Runs `profile` with `arguments` in a new directory; returns that, standard output, and the report in `out`.
pub fn train(arguments: &[&str]) -> (TempDir, String, Value) {
    let directory = tempfile::tempdir().unwrap();
    let mut command = profile(directory.path());
    command.args(["train", "--out", "out"]).args(arguments);
    let output = command.assert().success().get_output().clone();
    let report = fs::read(directory.path().join("out/report.json")).unwrap();
    (directory, String::from_utf8(output.stdout).unwrap(), serde_json::from_slice(&report).unwrap())
}

/// Runs `profile` in a new directory, expects it to fail with `status`, one line on standard error and no file written;
/// returns that line.
pub fn refused(status: i32, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let mut command = profile(directory.path());
    command.args(arguments).envs(variables.iter().copied());
    let output = command.assert().failure().code(status).get_output().clone();
    let message = String::from_utf8(output.stderr).unwrap();
    let first = message.lines().next().unwrap_or_default().to_owned();
    assert!(first.starts_with("error: "), "{message}");
    if status == 1 {
        assert_eq!(message.lines().count(), 1, "{message}");
    }
    let left: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?} was left");
    first
}

/// Every file below `directory`.
pub fn walk(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files
}

/// A new folder for what all tests of this program share, where Cargo wants tests to write: nothing removes a temporary folder
/// that a static holds. The program's next run replaces it.
pub fn shared_folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(env!("CARGO_CRATE_NAME")).join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A directory in CIFAR-10's layout whose records all have label `record % 10`, the same for all tests.
pub fn small_cifar() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let directory = shared_folder("cifar");
        let mut bytes = vec![128; 10_000 * 3073];
        for (record, bytes) in bytes.chunks_mut(3073).enumerate() {
            bytes[0] = (record % 10) as u8;
            // Something to learn: one bright stripe a class.
            bytes[1 + 300 * (record % 10)..][..300].fill(200);
        }
        let test_batch = directory.join("test_batch.bin");
        fs::write(&test_batch, &bytes).unwrap();
        for batch in 1..=5 {
            fs::hard_link(&test_batch, directory.join(format!("data_batch_{batch}.bin"))).unwrap();
        }
        directory
    })
}

/// A copy of [`small_cifar`] with one file changed.
pub fn damaged(name: &str, change: impl FnOnce(&mut Vec<u8>)) -> TempDir {
    // Where the files are that it links.
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for entry in fs::read_dir(small_cifar()).unwrap() {
        let path = entry.unwrap().path();
        fs::hard_link(&path, directory.path().join(path.file_name().unwrap())).unwrap();
    }
    let path = directory.path().join(name);
    let mut bytes = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    change(&mut bytes);
    fs::write(&path, bytes).unwrap();
    directory
}

/// The real data set, if the environment says where it is.
pub fn real_data(test: &str) -> Option<String> {
    let directory = std::env::var("CIFAR10_DIR").ok().filter(|directory| !directory.is_empty());
    if directory.is_none() {
        println!("{test}: skipped, since CIFAR10_DIR is not set");
    }
    directory
}
