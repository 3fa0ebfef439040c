//! `profile report`: a run on one page, which needs nothing else: no script, no file beside it, no network.

mod folder;
mod sections;

use crate::output::write_whole;
use anyhow::{Result, bail};
use clap::Args;
use folder::Run;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::path::PathBuf;

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
}

/// Writes the page of a run.
pub fn run(options: &PageOptions) -> Result<()> {
    let run = Run::read(&options.folder)?;
    let path = options.out.clone().unwrap_or_else(|| options.folder.join("report.html"));
    if path.is_dir() {
        bail!("cannot write {}: it is a directory", path.display());
    }
    write_whole(&path, page(&run)?.into_string().as_bytes())?;
    println!("wrote {}", path.display());
    Ok(())
}

/// The page. The same run has the same page, to the byte.
fn page(run: &Run) -> Result<Markup> {
    let title = format!("{} on {}", run.title(), run.data_name());
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
