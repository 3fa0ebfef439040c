//! `profile data fetch`.

use super::batches::{Staging, Summed};
use super::download::{Part, Remote};
use super::{FetchOptions, archive};
use crate::dataset::FOLDER;
use crate::interrupt::Interrupt;
use crate::json::Json;
use crate::output::Directory;
use crate::screen::grouped;
use anyhow::{Context, Result};
use lanegrad::data::cifar10;
use serde::Serialize;
use std::path::Path;

/// The archive, as <https://www.cs.toronto.edu/~kriz/cifar.html> offers it.
pub const OFFICIAL_URL: &str = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz";
const OFFICIAL_BYTES: u64 = 170_052_171;
const OFFICIAL_SHA256: &str = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd";

/// What is there of the archive, until it is unpacked.
const PART: &str = "cifar-10-binary.tar.gz.part";

/// The report of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    command: &'static str,
    directory: String,
    /// Whether the files were there already.
    present: bool,
    /// Where the archive came from, and what it is; not there if the files were.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    archive_sha256: Option<&'a str>,
    /// The six files; empty if they were there already.
    files: Vec<Summed>,
}

/// Downloads the archive, checks and unpacks it.
pub fn run(options: &FetchOptions) -> Result<()> {
    let interrupt = Interrupt::listen();
    let json = Json::new(options.json.as_deref())?;
    let mut screen = json.screen();
    let place = options.out.join(FOLDER);
    let remote = Remote {
        url: &options.url,
        sha256: options.sha256.as_deref().unwrap_or(OFFICIAL_SHA256),
        bytes: options.sha256.is_none().then_some(OFFICIAL_BYTES),
    };
    let present = place.symlink_metadata().is_ok();
    let files = if present {
        check_present(&place)?;
        screen.line(&format!("CIFAR-10 is in {} already; `profile data verify` looks closer", place.display()))?;
        Vec::new()
    } else {
        let output = Directory::create(Some(&options.out))?;
        let mut part = Part::open(&output.path().join(PART))?;
        let size = remote.bytes.map_or(String::new(), |bytes| format!(", {} bytes", grouped(bytes)));
        screen.line(&format!("fetch      {}{size}", remote.url))?;
        remote.download(&mut part, &interrupt, &mut screen)?;
        let files =
            unpack(&part, &place).with_context(|| format!("the archive of {} is not CIFAR-10's", remote.url))?;
        part.remove()?;
        screen.line(&format!("archive    SHA-256 {}, as expected", remote.sha256))?;
        for file in &files {
            screen.line(&format!("wrote {}", place.join(file.name).display()))?;
        }
        files
    };
    json.write(&Report {
        version: 1,
        command: "data fetch",
        directory: place.display().to_string(),
        present,
        url: (!present).then_some(remote.url),
        archive_sha256: (!present).then_some(remote.sha256),
        files,
    })
}

/// Makes sure that what is in the place of the files is CIFAR-10.
fn check_present(place: &Path) -> Result<()> {
    cifar10::read(place).map(drop).with_context(|| {
        format!("{} is there, but not whole: move it away and fetch again; what is wrong with it", place.display())
    })
}

/// The six files of the archive, in their place together or not at all.
fn unpack(part: &Part, place: &Path) -> Result<Vec<Summed>> {
    let mut staging = Staging::beside(place)?;
    archive::unpack(part.reader()?, &mut staging)?;
    staging.finish(place)
}
