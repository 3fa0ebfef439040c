//! Where `--json` says that the report goes.

use crate::output::{check_writable, write_whole};
use crate::screen::Screen;
use anyhow::{Context, Result};
use serde::Serialize;
use std::io::{ErrorKind, Write};
use std::path::Path;

/// A report as it is written everywhere.
pub fn text(report: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(report)? + "\n")
}

/// A file, standard output (`-`), or nowhere.
#[derive(Clone, Debug)]
pub struct Json(Option<String>);

impl Json {
    /// What `--json` was given, after a look whether it can be written.
    pub fn new(target: Option<&str>) -> Result<Self> {
        let json = Self(target.map(str::to_owned));
        json.file().map(check_writable).transpose()?;
        Ok(json)
    }

    /// The file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        self.0.as_deref().filter(|&target| target != "-").map(Path::new)
    }

    /// Lines for people: on standard error if the report goes to standard output.
    pub fn screen(&self) -> Screen {
        Screen::new(self.0.as_deref() == Some("-"))
    }

    /// Writes the report.
    pub fn write(&self, report: &impl Serialize) -> Result<()> {
        self.write_text(&text(report)?)
    }

    /// Writes the [`text`] of a report.
    pub fn write_text(&self, text: &str) -> Result<()> {
        match (self.file(), &self.0) {
            (Some(file), _) => write_whole(file, text.as_bytes()),
            (None, None) => Ok(()),
            (None, Some(_)) => match std::io::stdout().write_all(text.as_bytes()) {
                // Whoever read it has seen enough; how the command ended is told by its exit status.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
                written => written.context("cannot print the report"),
            },
        }
    }
}
