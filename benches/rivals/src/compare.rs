//! Everybody on a list of shapes.

use crate::contestant::{self, Contestant};
use crate::number::Number;
use crate::options::{NumberType, Options};
use crate::product::{Layout, Product, Shape};
use crate::record::{Row, Writer};
use crate::rounds::{best, interleave, median, paired_ratio};
use crate::standing::{Standing, summary};
use anyhow::{Result, bail};
use lanegrad_kernels::dispatch;
use lanegrad_kernels::isa::Level;
use lanegrad_kernels::parallel::{self, Threads};

/// What is the same for a whole run.
#[derive(Debug)]
pub struct Setting {
    date: String,
    cpu: String,
    /// The level that our kernels run at.
    pub level: Level,
    /// How A and B are stored.
    pub layout: Layout,
    /// How often everybody has a turn.
    pub rounds: usize,
}

impl Setting {
    /// Today, on this machine.
    ///
    /// # Errors
    /// If `LANEGRAD_ISA` pins a level that is not there.
    pub fn new(layout: Layout, rounds: usize) -> Result<Self> {
        let date = chrono::Local::now().format("%Y-%m-%d").to_string();
        Ok(Self { date, cpu: cpu_name(), level: dispatch::level()?, layout, rounds })
    }

    /// The setting in words.
    pub fn describe<T: Number>(&self, threads: usize) -> String {
        let plural = if threads == 1 { "thread" } else { "threads" };
        let Self { cpu, level, layout, rounds, .. } = self;
        format!("{}, {threads} {plural}, {layout}, {level}, {cpu}, {rounds} rounds", T::NAME)
    }
}

/// Compares with `threads` threads, prints a line for each shape and a summary, and adds to the record.
///
/// # Errors
/// If a contestant is missing or computes something else, or the record cannot be written.
pub fn run(options: &Options, threads: usize) -> Result<()> {
    let setting = Setting::new(options.layout, options.rounds.into())?;
    let mut record = options.record.as_deref().map(Writer::open).transpose()?;
    // Everything runs on a thread of the pool, so that nobody has to enter it.
    Threads::new(threads)?.run(|| {
        if options.wants(NumberType::F32) {
            shapes::<f32>(options, &setting, record.as_mut())?;
        }
        if options.wants(NumberType::F64) {
            shapes::<f64>(options, &setting, record.as_mut())?;
        }
        Ok(())
    })
}

fn shapes<T: Number>(options: &Options, setting: &Setting, mut record: Option<&mut Writer>) -> Result<()> {
    let contestants = contestant::all::<T>(parallel::current(), &options.only)?;
    println!("{}", setting.describe::<T>(parallel::current()));
    for contestant in &contestants {
        println!("  {} {}, threads: {}", contestant.name(), contestant.version(), contestant.threads());
    }
    println!("\n{}", header(&contestants));
    let mut measured = Vec::new();
    for shape in options.shapes() {
        agree(&contestants, shape, setting.layout)?;
        let rows = measure(setting, &contestants, shape)?;
        println!("{}", line(&rows));
        if let Some(record) = &mut record {
            record.write(&rows)?;
        }
        measured.push(rows);
    }
    let standings: Vec<_> = measured.iter().filter_map(|rows| Standing::of(&rows.iter().collect::<Vec<_>>())).collect();
    println!("\n{}", summary(&standings));
    Ok(())
}

/// Refuses contestants that do not compute what the first one does.
fn agree<T: Number>(contestants: &[Box<dyn Contestant<T>>], shape: Shape, layout: Layout) -> Result<()> {
    let mut product = Product::integers(shape, layout);
    let mut expected = None;
    for contestant in contestants {
        product.spoil();
        contestant.multiply(&mut product);
        let expected = expected.get_or_insert_with(|| product.operands().2.to_vec());
        if let Some((row, column, found, expected)) = product.difference(expected) {
            bail!("{} computes {found} at ({row}, {column}) of {shape}, not {expected}", contestant.name());
        }
    }
    Ok(())
}

/// Times every contestant, the first being ours.
///
/// # Errors
/// If the processor lacks the level.
pub fn measure<T: Number>(setting: &Setting, contestants: &[Box<dyn Contestant<T>>], shape: Shape) -> Result<Vec<Row>> {
    let rates = interleave(contestants, &mut Product::uniform(shape, setting.layout), setting.level, setting.rounds)?;
    let peak = median(&rates.peak);
    let row = |contestant: &dyn Contestant<T>, theirs: &[f64]| Row {
        date: setting.date.clone(),
        cpu: setting.cpu.clone(),
        level: setting.level.to_string(),
        number: T::NAME.into(),
        threads: parallel::current(),
        m: shape.m,
        k: shape.k,
        n: shape.n,
        contestant: contestant.name().into(),
        version: contestant.version().into(),
        gflops_median: three_decimals(median(theirs)),
        gflops_best: three_decimals(best(theirs)),
        peak_gflops: three_decimals(peak),
        fraction_of_peak: three_decimals(median(theirs) / peak),
        rounds: setting.rounds,
        paired_ratio: three_decimals(paired_ratio(&rates.contestants[0], theirs)),
        layout: setting.layout,
    };
    Ok(contestants.iter().zip(&rates.contestants).map(|(contestant, theirs)| row(&**contestant, theirs)).collect())
}

fn three_decimals(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

fn header<T>(contestants: &[Box<dyn Contestant<T>>]) -> String {
    let names: String = contestants.iter().map(|contestant| format!(" {:>14.14}", contestant.name())).collect();
    format!("{:<14}{names} {:>8} {:>8} {:>6} {:>9}  best rival", "m x k x n", "peak", "of peak", "ratio", "by rounds")
}

/// The medians of a shape in GFLOP/s, and ours against the best rival, by medians and by rounds.
fn line(rows: &[Row]) -> String {
    let medians: String = rows.iter().map(|row| format!(" {:>14.1}", row.gflops_median)).collect();
    let standing = Standing::of(&rows.iter().collect::<Vec<_>>()).map_or_else(String::new, |standing| {
        let mark = if standing.is_lost() { " LOST" } else { "" };
        format!("{:>6.2} {:>9.2}  {}{mark}", standing.ratio(), standing.best.paired_ratio, standing.best.contestant)
    });
    let ours = &rows[0];
    let line = format!(
        "{:<14}{medians} {:>8.1} {:>6.1} % {standing}",
        ours.shape(),
        ours.peak_gflops,
        100.0 * ours.fraction_of_peak
    );
    line.trim_end().into()
}

/// The processor's name as it reports it.
#[cfg(target_arch = "x86_64")]
fn cpu_name() -> String {
    let brand = raw_cpuid::CpuId::new().get_processor_brand_string();
    brand.map_or_else(|| std::env::consts::ARCH.into(), |brand| brand.as_str().trim().into())
}

/// The architecture, where the processor cannot be asked for its name.
#[cfg(not(target_arch = "x86_64"))]
fn cpu_name() -> String {
    std::env::consts::ARCH.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contestant::lanegrad::Lanegrad;

    /// Forgets the last element.
    struct Sloppy;

    impl Contestant<f32> for Sloppy {
        fn name(&self) -> &str {
            "sloppy"
        }
        fn version(&self) -> &str {
            "0"
        }
        fn threads(&self) -> usize {
            1
        }
        fn multiply(&self, product: &mut Product<f32>) {
            Lanegrad { alone: true }.multiply(product);
            if let Some(last) = product.operands().2.last_mut() {
                *last += 1.0;
            }
        }
    }

    #[test]
    fn who_computes_something_else_is_not_timed() {
        let shape = Shape { m: 4, k: 5, n: 6 };
        let mut contestants: Vec<Box<dyn Contestant<f32>>> = vec![Box::new(Lanegrad { alone: true })];
        agree(&contestants, shape, Layout::Nn).unwrap();
        contestants.push(Box::new(Sloppy));
        let error = agree(&contestants, shape, Layout::Nt).unwrap_err().to_string();
        assert!(error.starts_with("sloppy computes") && error.contains("(3, 5) of 4x5x6"), "{error}");
    }

    #[test]
    fn a_row_is_made_of_the_same_rounds_as_the_others() {
        let contestants: Vec<Box<dyn Contestant<f32>>> = vec![Box::new(Lanegrad { alone: true }), Box::new(Sloppy)];
        let rows = measure(&Setting::new(Layout::Nn, 2).unwrap(), &contestants, Shape::cube(16)).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].paired_ratio, 1.0);
        assert_eq!(rows[0].peak_gflops, rows[1].peak_gflops);
        assert!(rows[0].gflops_best >= rows[0].gflops_median);
        assert!(line(&rows).contains("sloppy"));
    }
}
