//! Ours alone over many sizes, on one thread and on all: where threads do not help, and where one more row costs too much.

use crate::compare::{Setting, measure};
use crate::contestant::Contestant;
use crate::contestant::lanegrad::Lanegrad;
use crate::number::Number;
use crate::options::{NumberType, Options, ThreadCount};
use crate::product::Shape;
use crate::record::{Row, Writer};
use anyhow::Result;
use lanegrad_kernels::parallel::Threads;

/// t(all) / t(1) from which more threads are a loss.
const SLOWER: f64 = 1.05;
/// The time of an operation at n + 1 over that at n from which it is a cliff.
const CLIFF: f64 = 1.25;

/// Measures cubes n = 8, 9, 16, 17, ... 512, 513, prints a line for each and what stands out, and adds to the record.
///
/// # Errors
/// If the record cannot be written.
pub fn run(options: &Options) -> Result<()> {
    let setting = Setting::new(options.layout, options.rounds.into())?;
    let mut record = options.record.as_deref().map(Writer::open).transpose()?;
    Threads::new(ThreadCount::All.get())?.run(|| {
        if options.wants(NumberType::F32) {
            sizes::<f32>(&setting, record.as_mut())?;
        }
        if options.wants(NumberType::F64) {
            sizes::<f64>(&setting, record.as_mut())?;
        }
        Ok(())
    })
}

fn sizes<T: Number>(setting: &Setting, mut record: Option<&mut Writer>) -> Result<()> {
    let both: Vec<Box<dyn Contestant<T>>> =
        vec![Box::new(Lanegrad { alone: true }), Box::new(Lanegrad { alone: false })];
    let threads = both[1].threads();
    println!("{}", setting.describe::<T>(threads));
    println!(
        "\n    n   us, 1 thread   GFLOP/s   us, {threads} threads   GFLOP/s   t(all)/t(1)   t(n+1)/t(n) an operation"
    );
    let mut notes = Vec::new();
    let mut before: Option<Row> = None;
    for n in (8..=512).step_by(8).flat_map(|n| [n, n + 1]) {
        let mut rows = measure(setting, &both, Shape::cube(n))?;
        rows[0].threads = 1;
        rows[0].peak_gflops /= threads as f64;
        rows[0].fraction_of_peak *= threads as f64;
        let [one, all] = &rows[..] else { unreachable!("a row for each contestant") };
        let slower = all.paired_ratio;
        let cliff = before.filter(|_| n % 2 == 1).map(|before| before.gflops_median / one.gflops_median);
        println!("{}", line(one, all, cliff));
        if slower > SLOWER {
            notes.push(format!("{n}: {threads} threads take {slower:.2} times as long as one"));
        }
        if let Some(cliff) = cliff.filter(|&cliff| cliff > CLIFF) {
            notes.push(format!("{n}: an operation takes {cliff:.2} times as long as at {}", n - 1));
        }
        if let Some(record) = &mut record {
            record.write(&rows)?;
        }
        before = rows.into_iter().next();
    }
    println!("\n{} notes", notes.len());
    notes.iter().for_each(|note| println!("  {note}"));
    println!();
    Ok(())
}

fn line(one: &Row, all: &Row, cliff: Option<f64>) -> String {
    let microseconds = |row: &Row| 1e-3 * row.shape().operations() / row.gflops_median;
    let cliff = cliff.map_or_else(String::new, |cliff| format!("{cliff:>13.2}"));
    let line = format!(
        "{:>5} {:>14.2} {:>9.1} {:>15.2} {:>9.1} {:>13.2} {cliff}",
        one.n,
        microseconds(one),
        one.gflops_median,
        microseconds(all),
        all.gflops_median,
        all.paired_ratio,
    );
    line.trim_end().into()
}
