//! `profile data`: what arrives, what is kept, what is refused, and what never appears.

#[path = "support/server.rs"]
mod server;
mod support;

use flate2::{Compression, write::GzEncoder};
use serde_json::Value;
use server::{Manner, Server};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use support::{damaged, profile, refused, small_cifar, walk};
use tar::{Builder, EntryType, Header};

const FILE_BYTES: usize = 30_730_000;
const NAMES: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];
const PART: &str = "data/cifar-10-binary.tar.gz.part";

/// A member of an archive: kind, path, contents.
type Member<'a> = (EntryType, &'a str, &'a [u8]);

/// A gzipped tar archive, whatever its members are called.
fn archive(members: &[Member]) -> Vec<u8> {
    let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for &(kind, path, contents) in members {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        // `set_path` refuses the names that are of interest here.
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(contents.len() as u64);
        header.set_mode(0o644);
        if kind == EntryType::Symlink {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        builder.append(&header, contents).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

fn inside(name: &str) -> String {
    format!("cifar-10-batches-bin/{name}")
}

/// An archive of the small data set like the official one, with members that are not wanted, some of them dangerous.
fn good_archive() -> &'static [u8] {
    static ARCHIVE: OnceLock<Vec<u8>> = OnceLock::new();
    ARCHIVE.get_or_init(|| {
        let contents = fs::read(small_cifar().join("test_batch.bin")).unwrap();
        let paths = NAMES.map(inside);
        let mut members: Vec<Member> = vec![
            (EntryType::Directory, "cifar-10-batches-bin/", b""),
            (EntryType::Regular, "cifar-10-batches-bin/readme.html", b"read me"),
            (EntryType::Regular, "../evil.bin", b"evil"),
            (EntryType::Regular, "/tmp/lanegrad-evil.bin", b"evil"),
            (EntryType::Symlink, "cifar-10-batches-bin/link", b""),
            (EntryType::Regular, "cifar-10-batches-bin/../data_batch_1.bin", b"evil"),
        ];
        members.extend(paths.iter().map(|path| (EntryType::Regular, path.as_str(), contents.as_slice())));
        archive(&members)
    })
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `profile data fetch` of what should be `archive`, from `server`.
fn fetch(directory: &Path, server: &Server, archive: &[u8]) -> assert_cmd::Command {
    let mut command = profile(directory);
    for proxy in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(proxy);
    }
    command.args(["data", "fetch", "--url", &server.url, "--sha256", &sha256(archive)]);
    command
}

/// Standard output of a command that succeeds.
fn succeeds(mut command: assert_cmd::Command) -> String {
    String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap()
}

/// The one line that a command fails with.
fn fails(mut command: assert_cmd::Command) -> String {
    let message = String::from_utf8(command.assert().failure().code(1).get_output().stderr.clone()).unwrap();
    assert_eq!(message.lines().count(), 1, "{message}");
    message
}

/// The names of the files below `directory`, sorted.
fn files(directory: &Path) -> Vec<String> {
    let name = |path: &std::path::PathBuf| path.strip_prefix(directory).unwrap().to_string_lossy().into_owned();
    let mut names: Vec<String> = walk(directory).iter().map(name).collect();
    names.sort();
    names
}

/// What is there once everything has arrived: the six files and their checksums, nothing else.
fn assert_complete(directory: &Path) {
    let mut expected: Vec<String> = NAMES.into_iter().chain(["SHA256SUMS"]).map(inside).collect();
    expected.iter_mut().for_each(|name| name.insert_str(0, "data/"));
    expected.sort();
    assert_eq!(files(directory), expected);
    for name in NAMES {
        let found = fs::read(directory.join("data").join(inside(name))).unwrap();
        assert!(found == fs::read(small_cifar().join(name)).unwrap(), "{name} differs");
    }
}

#[test]
fn what_is_fetched_is_found_by_training_and_not_fetched_again() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(good_archive(), &[Manner::Proper]);
    let mut command = fetch(directory.path(), &server, good_archive());
    command.args(["--json", "fetch.json"]);
    let printed = succeeds(command);
    assert!(printed.contains("wrote data/cifar-10-batches-bin/test_batch.bin"), "{printed}");
    let report: Value = serde_json::from_slice(&fs::read(directory.path().join("fetch.json")).unwrap()).unwrap();
    assert_eq!(report["present"], false);
    assert_eq!(report["files"][5]["name"], "test_batch.bin");
    assert_eq!(report["files"][5]["sha256"], sha256(&fs::read(small_cifar().join("test_batch.bin")).unwrap()));
    fs::remove_file(directory.path().join("fetch.json")).unwrap();
    assert_complete(directory.path());

    let mut command = fetch(directory.path(), &server, good_archive());
    command.args(["--json", "again.json"]);
    let printed = succeeds(command);
    assert!(printed.contains("already"), "{printed}");
    let report: Value = serde_json::from_slice(&fs::read(directory.path().join("again.json")).unwrap()).unwrap();
    assert_eq!(report["present"], true);
    // Nothing is known about the archive that the files came from.
    assert!(report.get("url").is_none() && report.get("archive_sha256").is_none(), "{report}");
    assert_eq!(server.ranges(), [None]);

    let mut train = profile(directory.path());
    train.args(["train", "--iterations", "1", "--out", "out"]);
    let printed = succeeds(train);
    assert!(printed.contains("CIFAR-10 in data/cifar-10-batches-bin"), "{printed}");
}

#[test]
fn a_download_that_breaks_off_goes_on_where_it_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let whole = good_archive();
    let server = Server::start(whole, &[Manner::HangsUpAfter(1000), Manner::HangsUpAfter(2000), Manner::Proper]);
    for arrived in [1000, 3000] {
        let message = fails(fetch(directory.path(), &server, whole));
        let word = if arrived == 1000 { "after 1,000 of" } else { "after 3,000 of" };
        assert!(message.contains(word) && message.contains("goes on from there"), "{message}");
        assert_eq!(fs::read(directory.path().join(PART)).unwrap(), whole[..arrived]);
        assert_eq!(files(directory.path()), [PART]);
    }
    let printed = succeeds(fetch(directory.path(), &server, whole));
    assert!(printed.contains("going on after 3,000 bytes"), "{printed}");
    assert_eq!(server.ranges(), [None, Some(1000), Some(3000)]);
    assert_complete(directory.path());
}

#[test]
fn servers_with_manners_of_their_own_are_coped_with() {
    let whole = good_archive();
    let mut longer = whole.to_vec();
    longer.extend_from_slice(b"and more");
    for (manner, kept, ranges) in [
        (Manner::WithoutLength, None, vec![None]),
        (Manner::IgnoresRange, Some(&whole[..1000]), vec![Some(1000)]),
        // All that there is was there already, but was not unpacked.
        (Manner::Proper, Some(whole), vec![Some(whole.len())]),
        // What was kept is of another file.
        (Manner::Proper, Some(b"something else".as_slice()), vec![Some(14), None]),
        (Manner::Proper, Some(longer.as_slice()), vec![Some(longer.len()), None]),
    ] {
        let directory = tempfile::tempdir().unwrap();
        if let Some(kept) = kept {
            fs::create_dir(directory.path().join("data")).unwrap();
            fs::write(directory.path().join(PART), kept).unwrap();
        }
        let server = Server::start(whole, &[manner]);
        let printed = succeeds(fetch(directory.path(), &server, whole));
        assert_eq!(server.ranges(), ranges, "{manner:?}\n{printed}");
        assert_complete(directory.path());
    }
}

#[test]
fn what_is_not_the_archive_is_refused_and_nothing_of_it_stays() {
    let arguments = |url: &'static str| ["data", "fetch", "--url", url].map(String::from).to_vec();
    let refuse = |arguments: Vec<String>| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        refused(1, &arguments, &[("NO_PROXY", "*"), ("no_proxy", "*")])
    };
    let small = archive(&[(EntryType::Regular, "readme.html", b"read me")]);
    for (manner, word) in [
        (Manner::Answers("404 Not Found"), "404 Not Found"),
        (Manner::Answers("500 Internal Server Error"), "500"),
        (Manner::Proper, "instead of 170,052,171"),
        (Manner::WithoutLength, "after"),
    ] {
        let server = Server::start(if manner == Manner::WithoutLength { b"" } else { &small }, &[manner]);
        let message = refuse(arguments(server.url.clone().leak()));
        assert!(message.contains(word), "{manner:?}: {message}");
    }
    // The right length decides nothing.
    let server = Server::start(&small, &[Manner::Proper]);
    let mut with_digest = arguments(server.url.clone().leak());
    with_digest.extend(["--sha256".into(), "0".repeat(64)]);
    let message = refuse(with_digest);
    assert!(message.contains("SHA-256") && message.contains("not kept"), "{message}");

    // Port 1 of this machine: nobody listens there.
    let message = refuse(arguments("http://127.0.0.1:1/archive"));
    assert!(message.contains("cannot reach http://127.0.0.1:1/archive"), "{message}");
    let message = refuse(arguments("http://no-such-host.invalid/archive"));
    assert!(message.contains("cannot reach"), "{message}");
    refuse(arguments("no address"));
    for digest in ["", "123", &"g".repeat(64)] {
        refused(2, &["data", "fetch", "--sha256", digest], &[]);
    }
}

#[test]
fn a_part_that_was_not_asked_for_is_not_taken() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("data")).unwrap();
    fs::write(directory.path().join(PART), &good_archive()[..1000]).unwrap();
    let server = Server::start(good_archive(), &[Manner::SendsAnotherPart]);
    let message = fails(fetch(directory.path(), &server, good_archive()));
    assert!(message.contains("another part"), "{message}");
    assert_eq!(fs::read(directory.path().join(PART)).unwrap(), good_archive()[..1000]);
}

#[test]
fn a_page_in_place_of_the_archive_costs_nothing_that_was_kept() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("data")).unwrap();
    fs::write(directory.path().join(PART), b"the first bytes").unwrap();
    let server = Server::start(b"<html>Log in</html>", &[Manner::IgnoresRange]);
    let mut command = profile(directory.path());
    command.args(["data", "fetch", "--url", &server.url]).envs([("NO_PROXY", "*"), ("no_proxy", "*")]);
    let message = fails(command);
    assert!(message.contains("has 19 bytes instead of 170,052,171"), "{message}");
    assert_eq!(server.ranges(), [Some(15)]);
    assert_eq!(fs::read(directory.path().join(PART)).unwrap(), b"the first bytes");
}

#[test]
fn an_archive_that_is_not_as_it_should_be_leaves_no_folder() {
    let contents = fs::read(small_cifar().join("test_batch.bin")).unwrap();
    let mut label = contents.clone();
    label[3073 * 17] = 10;
    let first = inside(NAMES[0]);
    let regular = |contents| (EntryType::Regular, first.as_str(), contents);
    for (archive, word) in [
        (archive(&[(EntryType::Symlink, &first, b"")]), "no regular file"),
        (archive(&[(EntryType::Link, &first, b"")]), "no regular file"),
        (archive(&[(EntryType::Directory, &first, b"")]), "no regular file"),
        (archive(&[regular(&contents[1..])]), "30729999 bytes"),
        (archive(&[regular(&label)]), "label 10"),
        (archive(&[regular(&contents), regular(&contents)]), "twice"),
        (archive(&[regular(&contents)]), "no cifar-10-batches-bin/data_batch_2.bin"),
        (archive(&[]), "no cifar-10-batches-bin/data_batch_1.bin"),
        (b"neither gzipped nor tar".to_vec(), "not CIFAR-10's"),
        (good_archive()[..good_archive().len() / 2].to_vec(), "not CIFAR-10's"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let server = Server::start(&archive, &[Manner::Proper]);
        let message = fails(fetch(directory.path(), &server, &archive));
        assert!(message.contains(word), "{word}: {message}");
        // The archive is what was asked for, and is kept.
        assert_eq!(files(directory.path()), [PART]);
    }
}

#[test]
fn a_folder_that_is_not_whole_is_neither_used_nor_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("data/cifar-10-batches-bin");
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join("data_batch_1.bin"), "mine").unwrap();
    let server = Server::start(good_archive(), &[Manner::Proper]);
    let message = fails(fetch(directory.path(), &server, good_archive()));
    assert!(message.contains("move it away") && message.contains("has 4 bytes"), "{message}");
    assert_eq!(fs::read(place.join("data_batch_1.bin")).unwrap(), b"mine");
    assert_eq!(server.ranges(), []);
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_said_and_what_arrived_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let whole = good_archive();
    let server = Server::start(whole, &[Manner::Proper]);
    // A limit on the size of files stands for the disk: 16 blocks of 512 bytes, in some shells of 1024.
    let script = "trap '' XFSZ; ulimit -f 16; exec \"$@\"";
    let mut command = assert_cmd::Command::new("sh");
    command.current_dir(directory.path()).args(["-c", script, "sh"]).arg(assert_cmd::cargo_bin!("profile"));
    command.env("NO_PROXY", "*").args(["data", "fetch", "--url", &server.url, "--sha256", &sha256(whole)]);
    let message = fails(command);
    assert!(message.contains("cannot write data/cifar-10-binary.tar.gz.part"), "{message}");
    let kept = fs::read(directory.path().join(PART)).unwrap();
    assert!(kept.len() >= 8192 && whole.starts_with(&kept), "{} bytes were kept", kept.len());
    succeeds(fetch(directory.path(), &server, whole));
    assert_eq!(server.ranges(), [None, Some(kept.len())]);
    assert_complete(directory.path());
}

/// Starts to fetch what should be `archive`, and waits until so many bytes have arrived.
#[cfg(unix)]
fn start_to_fetch(directory: &Path, server: &Server, archive: &[u8], bytes: u64) -> std::process::Child {
    let child = std::process::Command::new(assert_cmd::cargo_bin!("profile"))
        .current_dir(directory)
        .env("NO_PROXY", "*")
        .args(["data", "fetch", "--url", &server.url, "--sha256", &sha256(archive)])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while fs::metadata(directory.join(PART)).map_or(0, |metadata| metadata.len()) < bytes {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child
}

#[cfg(unix)]
#[test]
fn two_downloads_at_once_do_not_mix() {
    let directory = tempfile::tempdir().unwrap();
    let whole = good_archive();
    let server = Server::start(whole, &[Manner::FallsSilentAfter(1000), Manner::Proper]);
    let mut first = start_to_fetch(directory.path(), &server, whole, 1000);
    let message = fails(fetch(directory.path(), &server, whole));
    assert!(message.contains("another process"), "{message}");
    assert_eq!(server.ranges(), [None]);
    first.kill().unwrap();
    first.wait().unwrap();
    succeeds(fetch(directory.path(), &server, whole));
    assert_eq!(server.ranges(), [None, Some(1000)]);
    assert_complete(directory.path());
}

#[cfg(unix)]
#[test]
fn an_interrupted_download_says_how_to_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let whole = good_archive();
    let server = Server::start(whole, &[Manner::Trickles, Manner::Proper]);
    let child = start_to_fetch(directory.path(), &server, whole, 3000);
    assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{message}");
    let last = message.lines().last().unwrap_or_default();
    assert!(message.lines().rev().skip(1).all(|line| line.starts_with("stopping when ")), "{message}");
    assert!(last.starts_with("interrupted after ") && last.contains("goes on from there"), "{message}");
    let kept = fs::read(directory.path().join(PART)).unwrap();
    assert!(kept.len() >= 3000 && kept.len() < whole.len() && whole.starts_with(&kept));
    succeeds(fetch(directory.path(), &server, whole));
    assert_eq!(server.ranges(), [None, Some(kept.len())]);
    assert_complete(directory.path());
}

/// `profile data verify` of a directory: whether it succeeds, what it prints, its report.
fn verify(directory: &Path) -> (bool, String, Value) {
    let mut command = profile(directory);
    let output = command.args(["data", "verify", "--data", ".", "--json", "-"]).output().unwrap();
    let printed = String::from_utf8(output.stderr).unwrap();
    (output.status.success(), printed, serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn a_synthetic_set_is_written_read_and_verified() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = profile(directory.path());
    command.args(["data", "synth", "--out", "set", "--seed", "3"]);
    let printed = succeeds(command);
    assert!(printed.contains("50,000 training and 10,000 test images from seed 3"), "{printed}");
    let place = directory.path().join("set");
    let mut expected: Vec<&str> = NAMES.into_iter().chain(["SHA256SUMS", "batches.meta.txt"]).collect();
    expected.sort_unstable();
    assert_eq!(files(&place), expected);

    // The same images as those that are drawn in memory.
    let read = lanegrad::data::cifar10::read(&place).unwrap();
    let drawn = lanegrad::data::synthetic::generate(3);
    assert!(read.train == drawn.train && read.test == drawn.test);

    let (is_good, printed, report) = verify(&place);
    assert!(is_good && printed.contains("synthetic data set") && printed.contains("cool cross"), "{printed}");
    assert_eq!(report["images"], "synthetic");
    assert_eq!(report["train_per_class"], serde_json::json!(vec![5000; 10]));
    let sums: String = NAMES.map(|name| format!("{}  {name}\n", sha256(&fs::read(place.join(name)).unwrap()))).concat();
    assert_eq!(fs::read_to_string(place.join("SHA256SUMS")).unwrap(), sums);

    // A pixel that changed is found, since there are checksums.
    let path = place.join("data_batch_2.bin");
    let mut bytes = fs::read(&path).unwrap();
    bytes[5000] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (is_good, printed, report) = verify(&place);
    assert!(!is_good && report["problems"].as_array().unwrap().len() == 1, "{printed}");
    assert!(printed.contains("data_batch_2.bin: its SHA-256 is not the one in SHA256SUMS"), "{printed}");

    let mut again = profile(directory.path());
    again.args(["data", "synth", "--out", "set"]);
    assert!(fails(again).contains("is there already"));
}

#[test]
fn a_small_synthetic_set_has_the_size_that_was_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = profile(directory.path());
    command.args(["data", "synth", "--images", "50", "--json", "-"]);
    let report: Value = serde_json::from_str(&succeeds(command)).unwrap();
    assert_eq!((report["train"].as_u64(), report["test"].as_u64()), (Some(50), Some(10)));
    for name in NAMES {
        let path = directory.path().join("data/synthetic-batches-bin").join(name);
        assert_eq!(fs::metadata(path).unwrap().len(), 10 * 3073);
    }
    for images in ["0", "4", "12", "-5", "x", "1000005"] {
        refused(2, &["data", "synth", "--images", images], &[]);
    }
}

#[test]
fn everything_that_is_wrong_with_a_data_set_is_said() {
    let (is_good, printed, report) = verify(small_cifar());
    assert!(!is_good && printed.contains("these are other images"), "{printed}");
    assert_eq!(report["train_per_class"], serde_json::json!(vec![5000; 10]));

    let broken = damaged("data_batch_3.bin", |bytes| bytes[3073 * 5] = 200);
    fs::remove_file(broken.path().join("test_batch.bin")).unwrap();
    fs::create_dir(broken.path().join("test_batch.bin")).unwrap();
    fs::remove_file(broken.path().join("data_batch_5.bin")).unwrap();
    let shortened = broken.path().join("data_batch_1.bin");
    fs::remove_file(&shortened).unwrap();
    fs::write(&shortened, vec![0; FILE_BYTES - 1]).unwrap();
    let (is_good, printed, report) = verify(broken.path());
    assert!(!is_good && report["problems"].as_array().unwrap().len() == 4, "{printed}");
    for words in [
        "data_batch_1.bin: it has 30,729,999 bytes instead of 30,730,000",
        "data_batch_3.bin: record 5 (from 0) has the label 200",
        "data_batch_5.bin: ",
        "test_batch.bin: it is no regular file",
        "error: 4 problems with the data set in .",
    ] {
        assert!(printed.contains(words), "{words} in\n{printed}");
    }

    let uneven = damaged("test_batch.bin", |bytes| bytes[0] = 1);
    let (_, printed, _) = verify(uneven.path());
    assert!(printed.contains("5,000 training and 1,000 test images of each class"), "{printed}");

    assert!(refused(1, &["data", "verify"], &[]).contains("profile data fetch"));
    assert!(refused(1, &["data", "verify", "--data", "nowhere"], &[]).contains("nowhere"));
    assert!(refused(2, &["data", "verify", "--data", "synthetic"], &[]).contains("no files"));
}

#[test]
fn data_that_are_missing_can_be_fetched() {
    let message = refused(1, &["train", "--data", "none"], &[]);
    assert!(message.ends_with("is missing; `profile data fetch` gets it"), "{message}");
    let message = refused(2, &["train", "--data", ""], &[]);
    assert!(message.contains("--data") && message.contains("the folder of CIFAR-10"), "{message}");
}

#[test]
fn the_real_images_are_known() {
    let Some(data) = support::real_data("the_real_images_are_known") else { return };
    let (is_good, printed, report) = verify(Path::new(&data));
    assert!(is_good && printed.contains("This is CIFAR-10"), "{printed}");
    assert_eq!(report["test_per_class"], serde_json::json!(vec![1000; 10]));
}
