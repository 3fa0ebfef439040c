//! Where the results of a command go: lines, files, the JSON report.

use crate::args::RunOptions;
use crate::output::{Directory, check_writable, write_whole};
use crate::screen::Screen;
use anyhow::Result;
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The results of a command under way.
pub struct Results {
    /// Lines for people.
    pub screen: Screen,
    output: Directory,
    files: Vec<PathBuf>,
    json_file: Option<PathBuf>,
    json_on_stdout: bool,
}

impl Results {
    /// Makes sure that everything can be written where the options say.
    pub fn open(options: &RunOptions) -> Result<Self> {
        let output = Directory::create(options.out.as_deref())?;
        let json_on_stdout = options.json.as_deref() == Some("-");
        let json_file = options.json.as_ref().filter(|_| !json_on_stdout).map(PathBuf::from);
        json_file.as_deref().map(check_writable).transpose()?;
        Ok(Self { screen: Screen::new(json_on_stdout), output, files: Vec::new(), json_file, json_on_stdout })
    }

    /// Prints a line.
    pub fn line(&mut self, text: &str) -> Result<()> {
        self.screen.line(text)
    }

    /// Writes a file of the run's folder.
    pub fn file(&mut self, name: &str, contents: &[u8]) -> Result<()> {
        self.files.push(self.output.write(name, contents)?);
        Ok(())
    }

    /// Writes the report as `report.json` and wherever it was asked for, and says which files there are.
    pub fn finish(mut self, report: &impl Serialize) -> Result<()> {
        let mut json = serde_json::to_string_pretty(report)?;
        json.push('\n');
        self.file("report.json", json.as_bytes())?;
        if let Some(path) = &self.json_file {
            write_whole(path, json.as_bytes())?;
        }
        self.screen.line("")?;
        for path in self.files.iter().map(PathBuf::as_path).chain(self.json_file.as_deref().map(Path::new)) {
            self.screen.line(&format!("wrote {}", path.display()))?;
        }
        if self.json_on_stdout {
            std::io::stdout().write_all(json.as_bytes())?;
        }
        Ok(())
    }
}
