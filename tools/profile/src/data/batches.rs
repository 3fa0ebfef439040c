//! The six files of a data set in CIFAR-10's layout: their names and checksums, and how they come to be, all or none.

use crate::output::write_whole;
use anyhow::{Context, Result, ensure};
use lanegrad::data::cifar10::{RECORD_BYTES, TEST_FILES, TRAIN_FILES};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::path::Path;
use tempfile::TempDir;

/// The file beside the others that has their checksums, as `sha256sum --check` reads them.
pub const CHECKSUMS: &str = "SHA256SUMS";

/// The file beside the others that names the classes, one a line.
pub const CLASS_NAMES: &str = "batches.meta.txt";

/// The names of the six files, those to train on first.
pub fn names() -> impl Iterator<Item = &'static str> {
    TRAIN_FILES.into_iter().chain(TEST_FILES)
}

/// A file, by what it contains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summed {
    /// Its name.
    pub name: &'static str,
    /// Its length.
    pub bytes: u64,
    /// Its checksum, as hexadecimal digits.
    pub sha256: String,
}

impl Summed {
    /// The file `name`, whose bytes these are.
    pub fn new(name: &'static str, contents: &[u8]) -> Self {
        Self { name, bytes: contents.len() as u64, sha256: hexadecimal(&Sha256::digest(contents)) }
    }
}

/// Bytes as digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How many records have each label, of 10.
///
/// # Errors
/// If the last record is cut off, or a label is not below 10.
pub fn count_labels(contents: &[u8]) -> Result<[u64; 10]> {
    let (records, rest) = contents.as_chunks::<RECORD_BYTES>();
    ensure!(rest.is_empty(), "its length is no multiple of {RECORD_BYTES} bytes, a record's");
    let mut counts = [0; 10];
    for (record, bytes) in records.iter().enumerate() {
        let label = bytes[0];
        let count = counts.get_mut(usize::from(label));
        *count.with_context(|| format!("record {record} (from 0) has the label {label}, which is not below 10"))? += 1;
    }
    Ok(counts)
}

/// A new folder under work: it gets its name when everything is in it, and is gone if that never comes.
pub struct Staging {
    folder: TempDir,
    files: Vec<Summed>,
}

impl Staging {
    /// An empty folder beside `place`.
    pub fn beside(place: &Path) -> Result<Self> {
        let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".unfinished-");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // What the process's mask leaves of it.
            builder.permissions(fs::Permissions::from_mode(0o777));
        }
        let folder = builder.tempdir_in(parent);
        let folder = folder.with_context(|| format!("cannot write to the directory {}", parent.display()))?;
        Ok(Self { folder, files: Vec::new() })
    }

    /// Writes a file.
    pub fn write(&mut self, name: &'static str, contents: &[u8]) -> Result<()> {
        self.write_unlisted(name, contents)?;
        self.files.push(Summed::new(name, contents));
        Ok(())
    }

    /// Writes a file that has no line among the checksums.
    pub fn write_unlisted(&self, name: &str, contents: &[u8]) -> Result<()> {
        let path = self.folder.path().join(name);
        write_whole(&path, contents)?;
        File::open(&path).and_then(|file| file.sync_all()).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Adds the checksums and gives the folder its name; returns what is in it.
    pub fn finish(mut self, place: &Path) -> Result<Vec<Summed>> {
        self.files.sort_by_key(|file| names().position(|name| name == file.name));
        let lines: String = self.files.iter().map(|file| format!("{}  {}\n", file.sha256, file.name)).collect();
        self.write_unlisted(CHECKSUMS, lines.as_bytes())?;
        fs::rename(self.folder.path(), place).with_context(|| format!("cannot make the folder {}", place.display()))?;
        self.folder.disable_cleanup(true);
        Ok(self.files)
    }
}
