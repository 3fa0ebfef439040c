//! Ctrl-C and SIGTERM: the first lets the step finish and what was computed be saved, the second ends the process at once. A
//! command that has nothing to save ends at the first.

use anyhow::{Context, Result};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// The exit status of an interrupted run: 128 and the number of SIGINT, as shells have it.
pub const STATUS: u8 = 130;

/// What a signal sets, once somebody listens.
static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Handles signals from now on.
pub fn handle_signals() -> Result<()> {
    let handler = || match ASKED.get() {
        Some(asked) if !asked.swap(true, Ordering::Relaxed) => {}
        Some(_) => std::process::exit(STATUS.into()),
        None => {
            eprintln!("interrupted");
            std::process::exit(STATUS.into())
        }
    };
    ctrlc::set_handler(handler).context("cannot handle Ctrl-C")
}

/// Whether the run was asked to stop.
/// The default is that it was not, and never is.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on a signal does not end the process but asks it to stop.
    pub fn listen() -> Self {
        Self(ASKED.get_or_init(Arc::default).clone())
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
