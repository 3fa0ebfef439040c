//! `profile report`: a run on one page, which needs nothing else: no script, no file beside it, no network.

mod folder;
mod sections;

use crate::json::Json;
use crate::output::write_whole;
use anyhow::{Result, bail};
use clap::Args;
use folder::Run;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Serialize;
use std::path::{Path, PathBuf};

const STYLE: &str = include_str!("page/style.css");

/// The options of `profile report`.
#[derive(Args, Clone, Debug)]
pub struct PageOptions {
    /// The folder of a run that `profile train` has finished
    #[arg(value_name = "RUN")]
    pub folder: PathBuf,

    /// Where the page goes [default: report.html in that folder]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// Also write a JSON report, what was written where, to this file, or to standard output (`-`; the line for people then goes to
    /// standard error)
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<String>,
}

/// The JSON report.
#[derive(Serialize)]
struct Written<'a> {
    /// Whose page it is.
    title: &'a str,
    run: &'a Path,
    page: &'a Path,
    bytes: usize,
}

/// Writes the page of a run.
pub fn run(options: &PageOptions) -> Result<()> {
    let json = Json::new(options.json.as_deref())?;
    let run = Run::read(&options.folder)?;
    let path = options.out.clone().unwrap_or_else(|| options.folder.join("report.html"));
    if path.is_dir() {
        bail!("cannot write {}: it is a directory", path.display());
    }
    let title = title(&run);
    let text = page(&run, &title)?.into_string();
    write_whole(&path, text.as_bytes())?;
    let mut screen = json.screen();
    for file in [Some(path.as_path()), json.file()].into_iter().flatten() {
        screen.line(&format!("wrote {}", file.display()))?;
    }
    json.write(&Written { title: &title, run: &options.folder, page: &path, bytes: text.len() })
}

fn title(run: &Run) -> String {
    format!("{} on {}", run.title(), run.data_name())
}

/// The page. The same run has the same page, to the byte.
fn page(run: &Run, title: &str) -> Result<Markup> {
    Ok(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                // Whatever a run's files say, the page loads nothing.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (sections::head(run, &title.replace('-', "\u{2011}")))
                    (sections::curves(run)?)
                    (sections::first_layer(run)?)
                    (sections::predictions(run)?)
                    (sections::epochs(run))
                    (sections::time(run))
                    (sections::reproduce(run))
                }
                footer { "Written by " code { "profile report" } ", Lanegrad " (env!("CARGO_PKG_VERSION")) "." }
            }
        }
    })
}
