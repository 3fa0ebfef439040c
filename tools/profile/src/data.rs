//! `profile data`: gets CIFAR-10, checks it, and writes a synthetic set in its layout.

mod archive;
mod batches;
mod download;
mod fetch;
mod synth;
mod verify;

use anyhow::Result;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// The options of `profile data`.
#[derive(Args, Clone, Debug)]
pub struct DataOptions {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What `profile data` does.
#[derive(Clone, Debug, Subcommand)]
pub enum Action {
    /// Download CIFAR-10, 170 MB, and put it where every command finds it
    ///
    /// The archive is checked by its size and SHA-256 before it is opened, and the six files of images appear together or not
    /// at all. What arrived before an interruption is kept: the same command goes on from there.
    Fetch(FetchOptions),
    /// Check the files of a data set: sizes, labels, images in each class, checksums, mean colour
    Verify(VerifyOptions),
    /// Write the synthetic data set as six .bin files in CIFAR-10's layout
    Synth(SynthOptions),
}

/// The options of `profile data fetch`.
#[derive(Args, Clone, Debug)]
pub struct FetchOptions {
    /// Where the folder cifar-10-batches-bin is made
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub out: PathBuf,

    /// Where the archive is downloaded from, a mirror for one; its contents must have the SHA-256 of the official one
    #[arg(long, value_name = "URL", default_value = fetch::OFFICIAL_URL)]
    pub url: String,

    /// The SHA-256 that the archive behind --url must have instead of the official one's
    #[arg(long, value_name = "DIGITS", value_parser = parse_sha256)]
    pub sha256: Option<String>,

    /// Also write a JSON report to this file, or to standard output (`-`; the lines for people then go to standard error)
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<String>,
}

/// The options of `profile data verify`.
#[derive(Args, Clone, Debug)]
pub struct VerifyOptions {
    /// The directory with the six .bin files
    /// [default: $CIFAR10_DIR if that is set, else data/cifar-10-batches-bin]
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,

    /// Also write a JSON report to this file, or to standard output (`-`; the table then goes to standard error)
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<String>,
}

/// The options of `profile data synth`.
#[derive(Args, Clone, Debug)]
pub struct SynthOptions {
    /// The new directory that the files are written to
    #[arg(long, value_name = "DIR", default_value = "data/synthetic-batches-bin")]
    pub out: PathBuf,

    /// Images to train on, a multiple of 5; a fifth of that to test on
    ///
    /// Other commands read 50,000 from a directory, as CIFAR-10 has; they draw other numbers themselves: --data synthetic:N.
    #[arg(long, value_name = "N", default_value_t = 50_000, value_parser = parse_images)]
    pub images: u32,

    /// Seed that the images are drawn from
    #[arg(long, default_value_t = 0)]
    pub seed: u64,

    /// Also write a JSON report to this file, or to standard output (`-`; the lines for people then go to standard error)
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<String>,
}

fn parse_sha256(text: &str) -> Result<String, String> {
    let is_hexadecimal = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if text.len() != 64 || !is_hexadecimal {
        return Err("expected 64 hexadecimal digits".into());
    }
    Ok(text.to_ascii_lowercase())
}

fn parse_images(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(images @ 5..=1_000_000) if images % 5 == 0 => Ok(images),
        _ => Err("expected a multiple of 5 from 5 to 1,000,000".into()),
    }
}

/// Does what the options ask for.
pub fn run(options: &DataOptions) -> Result<()> {
    match &options.action {
        Action::Fetch(options) => fetch::run(options),
        Action::Verify(options) => verify::run(options),
        Action::Synth(options) => synth::run(options),
    }
}
