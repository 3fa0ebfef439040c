//! Where the results of a command with a folder go: lines, files, the JSON report.

use crate::args::RunOptions;
use crate::json::{self, Json};
use crate::output::Directory;
use crate::screen::Screen;
use anyhow::Result;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The results of a command under way.
pub struct Results {
    /// Lines for people.
    pub screen: Screen,
    /// The folder.
    pub output: Directory,
    files: Vec<PathBuf>,
    json: Json,
}

impl Results {
    /// Makes sure that everything can be written where the options say.
    pub fn open(options: &RunOptions) -> Result<Self> {
        let output = Directory::create(options.out.as_deref())?;
        let json = Json::new(options.json.as_deref())?;
        Ok(Self { screen: json.screen(), output, files: Vec::new(), json })
    }

    /// Prints a line.
    pub fn line(&mut self, text: &str) -> Result<()> {
        self.screen.line(text)
    }

    /// Prints lines.
    pub fn lines(&mut self, lines: impl IntoIterator<Item = impl AsRef<str>>) -> Result<()> {
        lines.into_iter().try_for_each(|line| self.line(line.as_ref()))
    }

    /// Writes a file of the run's folder.
    pub fn file(&mut self, name: &str, contents: &[u8]) -> Result<()> {
        self.files.push(self.output.write(name, contents)?);
        Ok(())
    }

    /// Files that were written to the folder by somebody else.
    pub fn add(&mut self, files: Vec<PathBuf>) {
        self.files.extend(files);
    }

    /// Writes the report as `report.json` and wherever it was asked for, and says which files there are.
    pub fn finish(self, report: &impl Serialize) -> Result<()> {
        self.finish_as("report.json", &json::text(report)?)
    }

    /// The same with a report whose text and file are given.
    pub fn finish_as(mut self, name: &str, text: &str) -> Result<()> {
        self.file(name, text.as_bytes())?;
        self.line("")?;
        self.deliver(text)
    }

    /// Says which files there are, and writes the text of the report wherever it was asked for.
    pub fn deliver(&mut self, text: &str) -> Result<()> {
        let Self { screen, files, json, .. } = self;
        for path in files.iter().map(PathBuf::as_path).chain(json.file().map(Path::new)) {
            screen.line(&format!("wrote {}", path.display()))?;
        }
        json.write_text(text)
    }
}
