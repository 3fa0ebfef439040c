//! Ctrl-C and SIGTERM: the first lets the step finish and a checkpoint be saved, the second ends the process at once.

use anyhow::{Context, Result};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The exit status of an interrupted run: 128 and the number of SIGINT, as shells have it.
pub const STATUS: u8 = 130;

/// Whether the run was asked to stop.
/// The default is that it was not, and never is.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens for signals from now on.
    pub fn listen() -> Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        let handled = asked.clone();
        ctrlc::set_handler(move || {
            if handled.swap(true, Ordering::Relaxed) {
                std::process::exit(STATUS.into());
            }
        })
        .context("cannot listen for Ctrl-C")?;
        Ok(Self(asked))
    }

    /// Whether the run was asked to stop.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How an interrupted run ends: the message says how to go on.
#[derive(Debug)]
pub struct Interrupted(pub String);

impl fmt::Display for Interrupted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Interrupted {}
