//! Lines for people, and how numbers are written in them.

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{ErrorKind, Write};

/// Where lines for people go: standard output, unless the JSON report goes there.
pub struct Screen {
    writer: Box<dyn Write + Send>,
}

impl Screen {
    /// On standard error if `json_on_stdout`.
    pub fn new(json_on_stdout: bool) -> Self {
        Self { writer: if json_on_stdout { Box::new(std::io::stderr()) } else { Box::new(std::io::stdout()) } }
    }

    /// Prints a line.
    ///
    /// If whoever read the lines has closed the pipe (`profile ... | head`), nobody misses the rest: the work goes on, its files are
    /// written, and its exit status tells how it ended.
    pub fn line(&mut self, text: &str) -> Result<()> {
        match writeln!(self.writer, "{text}") {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.writer = Box::new(std::io::sink()),
            written => written.context("cannot print the results")?,
        }
        Ok(())
    }
}

/// A bar on standard error, if that is a terminal.
pub fn progress_bar(total: u64, noun: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    let style =
        ProgressStyle::with_template(&format!("{{bar:40}} {noun} {{human_pos}} of {{human_len}}, {{eta}} left"));
    style.map_or(bar.clone(), |style| bar.with_style(style))
}

/// A bar of bytes on standard error, if that is a terminal.
pub fn bytes_bar(total: Option<u64>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left");
    style.map_or(bar.clone(), |style| bar.with_style(style))
}

/// `number` with a comma between groups of three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|g| std::str::from_utf8(g).unwrap_or("")).collect();
    groups.join(",")
}

/// A step size or a strength in at most five digits: `0.01`, `3e-7`.
pub fn setting(value: f64) -> String {
    let value: f64 = format!("{value:.4e}").parse().unwrap_or(value);
    if value == 0.0 || (1e-3..1e5).contains(&value) { value.to_string() } else { format!("{value:e}") }
}

/// A loss with four digits after the point, if it has few before it: `1.7031`, `4.636e20`.
pub fn four_digits(loss: f64) -> String {
    if loss.abs() < 1e5 { format!("{loss:.4}") } else { format!("{loss:.3e}") }
}

/// The same where there is little room: `1.703`, `4.6e20`.
pub fn three_digits(loss: f64) -> String {
    if loss.abs() < 1e4 { format!("{loss:.3}") } else { format!("{loss:.1e}") }
}

/// `1 thread`, `2 threads`.
pub fn counted(number: usize, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number as u64), if number == 1 { "" } else { "s" })
}

/// A number with two digits that count.
pub fn rounded(number: f64) -> String {
    let digits = number.max(1.0).log10().floor() as i32;
    let unit = 10f64.powi((digits - 1).max(0));
    grouped(((number / unit).round() * unit) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_short() {
        assert_eq!((four_digits(1.70312), three_digits(1.70312)), ("1.7031".into(), "1.703".into()));
        assert_eq!((four_digits(4.6357e20), three_digits(4.6357e20)), ("4.636e20".into(), "4.6e20".into()));
        assert_eq!(four_digits(f64::INFINITY), "inf");
    }

    #[test]
    fn digits_are_grouped_by_three() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn settings_are_short() {
        for (value, text) in
            [(0.0, "0"), (1.0, "1"), (0.005, "0.005"), (0.1 * 0.003, "3e-4"), (3e-7, "3e-7"), (2.5e9, "2.5e9")]
        {
            assert_eq!(setting(value), text);
        }
    }
}
