//! Where `--json` says that the report goes.

use crate::output::{check_writable, write_whole};
use crate::screen::Screen;
use anyhow::Result;
use serde::Serialize;
use std::io::Write;
use std::path::Path;

/// A file, standard output (`-`), or nowhere.
#[derive(Clone, Copy, Debug)]
pub struct Json<'a>(Option<&'a str>);

impl<'a> Json<'a> {
    /// What `--json` was given, after a look whether it can be written.
    pub fn new(target: Option<&'a str>) -> Result<Self> {
        if let Some(file) = target.filter(|&target| target != "-") {
            check_writable(Path::new(file))?;
        }
        Ok(Self(target))
    }

    /// Lines for people: on standard error if the report goes to standard output.
    pub fn screen(self) -> Screen {
        Screen::new(self.0 == Some("-"))
    }

    /// Writes the report.
    pub fn write(self, report: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(report)? + "\n";
        match self.0 {
            None => Ok(()),
            Some("-") => Ok(std::io::stdout().write_all(text.as_bytes())?),
            Some(file) => write_whole(Path::new(file), text.as_bytes()),
        }
    }
}
