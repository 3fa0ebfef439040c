//! Ctrl-C and SIGTERM: the first lets the step finish and what was computed be saved, the second ends the process at once. A
//! command that has nothing to save ends at the first.

use anyhow::{Context, Result};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The exit status of an interrupted run: 128 and the number of SIGINT, as shells have it.
pub const STATUS: u8 = 130;

/// What a signal sets, once somebody listens.
static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Handles signals from now on.
pub fn handle_signals() -> Result<()> {
    let handler = || match ASKED.get() {
        Some(asked) if !asked.swap(true, Ordering::Relaxed) => {
            std::thread::spawn(explain_delay);
        }
        Some(_) => std::process::exit(STATUS.into()),
        None => {
            eprintln!("interrupted");
            std::process::exit(STATUS.into())
        }
    };
    ctrlc::set_handler(handler).context("cannot handle Ctrl-C")
}

/// Says why the process still runs, if it does.
fn explain_delay() {
    std::thread::sleep(PATIENCE);
    eprintln!("stopping when the step under way is done and saved; a second Ctrl-C ends at once, and saves nothing");
}

/// How long nobody wonders why the process still runs.
const PATIENCE: Duration = Duration::from_secs(1);

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
