//! The six files of images out of CIFAR-10's archive.
//!
//! The archive decides nothing: what is taken is named here, and is written under the names that stand here. A member is
//! taken if it has one of six names, letter for letter, and is a regular file of the right length; all others are passed
//! over, whatever they are.

use super::batches::{self, Staging};
use crate::dataset::FOLDER;
use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;
use lanegrad::data::cifar10::FILE_BYTES;
use std::io::Read;

/// No archive of CIFAR-10 unpacks to more: six files are 184 MB. What does is made to fill a disk.
const MOST_BYTES: u64 = 1 << 28;

/// Reads a gzipped tar archive, and writes the six files into `staging`.
pub fn unpack(archive: impl Read, staging: &mut Staging) -> Result<()> {
    let unpacked = GzDecoder::new(archive).take(MOST_BYTES);
    let mut missing: Vec<&'static str> = batches::names().collect();
    for entry in tar::Archive::new(unpacked).entries()? {
        let mut entry = entry.context("it is no gzipped tar archive, or a damaged one")?;
        let Some(name) = wanted(&entry.path_bytes()) else { continue };
        let kind = entry.header().entry_type();
        ensure!(kind.is_file(), "its member {FOLDER}/{name} is no regular file");
        let (expected, found) = (FILE_BYTES as u64, entry.size());
        ensure!(found == expected, "its member {FOLDER}/{name} has {found} bytes instead of {expected}");
        let place = missing.iter().position(|&missing| missing == name);
        missing.remove(place.with_context(|| format!("it has {FOLDER}/{name} twice"))?);
        let mut contents = Vec::with_capacity(FILE_BYTES);
        entry.read_to_end(&mut contents).with_context(|| format!("its member {FOLDER}/{name} cannot be read"))?;
        ensure!(contents.len() == FILE_BYTES, "its member {FOLDER}/{name} is cut off");
        batches::count_labels(&contents).with_context(|| format!("its member {FOLDER}/{name} is damaged"))?;
        staging.write(name, &contents)?;
    }
    match missing.first() {
        None => Ok(()),
        Some(name) => Err(anyhow::anyhow!("it has no {FOLDER}/{name}")),
    }
}

/// Which of the six files a member's path names.
fn wanted(path: &[u8]) -> Option<&'static str> {
    let name = path.strip_prefix(FOLDER.as_bytes())?.strip_prefix(b"/")?;
    batches::names().find(|wanted| wanted.as_bytes() == name)
}
