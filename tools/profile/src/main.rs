//! `profile`: trains on full CIFAR-10 epochs, and shows what was learned and how close to the hardware it ran.
//!
//! Results go to standard output, progress and messages to standard error. The exit status is 0 if all went well, 1 if a
//! run failed, 2 if it was asked for something that cannot be, 130 if it was interrupted.

#![forbid(unsafe_code)]

mod args;
mod checkpoint;
mod contact_sheet;
mod data;
mod dataset;
mod doctor;
mod gradcheck;
mod graph;
mod interrupt;
mod json;
mod lecture;
mod machine;
mod model;
mod names;
mod noise;
mod objective;
mod output;
mod page;
mod plots;
mod predict;
mod predictions;
mod race;
mod report;
mod results;
mod resume;
mod roofline;
mod screen;
mod search;
mod settings;
mod step_times;
mod steps;
mod sweep;
mod train;
mod trials;
mod updates;
mod weights;

use std::process::ExitCode;

fn main() -> ExitCode {
    let command = args::Arguments::read();
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) if error.is::<interrupt::Interrupted>() => {
            eprintln!("{error}");
            ExitCode::from(interrupt::STATUS)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(if is_usage(&error) { 2 } else { 1 })
        }
    }
}

fn run(command: args::Command) -> anyhow::Result<()> {
    interrupt::handle_signals()?;
    // What LANEGRAD_ISA pins must be there before anything is read or written.
    lanegrad::kernels::dispatch::level()?;
    match command {
        args::Command::Train(options) => train::run(&options),
        args::Command::Predict(options) => predict::run(&options),
        args::Command::Report(options) => page::run(&options),
        args::Command::Sweep(options) => sweep::run(&options),
        args::Command::Race(options) => race::run(&options),
        args::Command::Search(options) => search::run(&options),
        args::Command::Gradcheck(options) => gradcheck::run(&options),
        args::Command::Graph(options) => graph::run(&options),
        args::Command::Noise(options) => noise::run(&options),
        args::Command::Lecture(options) => lecture::run(&options),
        args::Command::Roofline(options) => roofline::run(&options),
        args::Command::Doctor(options) => doctor::run(&options),
        args::Command::Data(options) => data::run(&options),
    }
}

/// Whether the error is that something was asked for that cannot be, rather than that a run failed.
fn is_usage(error: &anyhow::Error) -> bool {
    use lanegrad::kernels::Error;
    matches!(error.downcast_ref(), Some(Error::UnknownIsa { .. } | Error::UnsupportedIsa { .. }))
        || error.is::<resume::Conflict>()
}

/// Whether whoever read standard output has closed it (`profile ... | head`): nothing to complain about.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    kind == Some(std::io::ErrorKind::BrokenPipe)
}
