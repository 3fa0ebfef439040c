//! What a run writes: CSV, a line for each contestant on each shape.

use crate::product::{Layout, Shape};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::path::Path;

/// What one contestant did on one shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The day, as in 2026-11-24.
    pub date: String,
    /// The processor's name.
    pub cpu: String,
    /// The level that our kernels ran at.
    pub level: String,
    /// `f32` or `f64`.
    #[serde(rename = "type")]
    pub number: String,
    /// Threads that everybody was asked to use.
    pub threads: usize,
    /// Rows of A and C.
    pub m: usize,
    /// The depth.
    pub k: usize,
    /// Columns of B and C.
    pub n: usize,
    /// Who.
    pub contestant: String,
    /// Its version.
    pub version: String,
    /// The median rate over the rounds.
    pub gflops_median: f64,
    /// The rate of the fastest round.
    pub gflops_best: f64,
    /// The multiply-add peak of all these threads: the median over the same rounds.
    pub peak_gflops: f64,
    /// `gflops_median / peak_gflops`.
    pub fraction_of_peak: f64,
    /// Number of rounds.
    pub rounds: usize,
    /// The median over the rounds of our rate over this contestant's of the same round.
    pub paired_ratio: f64,
    /// How A and B were stored; the oldest records do not say that both were row-major.
    #[serde(default)]
    pub layout: Layout,
}

impl Row {
    /// The extents.
    pub fn shape(&self) -> Shape {
        Shape { m: self.m, k: self.k, n: self.n }
    }
}

/// The name of a row's last column, the youngest.
const LAST_COLUMN: &str = "layout";

/// A file that rows are added to.
#[derive(Debug)]
pub struct Writer(csv::Writer<File>);

impl Writer {
    /// Opens `path` to write at its end; a new file starts with the names of the columns.
    ///
    /// # Errors
    /// If the file cannot be opened, or is no record, or one of fewer columns, as they once were.
    pub fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        let is_new = file.metadata()?.len() == 0;
        if !is_new {
            let columns = csv::Reader::from_path(path)?.headers()?.clone();
            ensure!(columns.iter().next_back() == Some(LAST_COLUMN), "{} has other columns", path.display());
        }
        Ok(Self(csv::WriterBuilder::new().has_headers(is_new).from_writer(file)))
    }

    /// Adds rows; they are in the file when this returns.
    ///
    /// # Errors
    /// If writing fails.
    pub fn write(&mut self, rows: &[Row]) -> Result<()> {
        for row in rows {
            self.0.serialize(row)?;
        }
        Ok(self.0.flush()?)
    }
}

/// Every row of a record.
///
/// # Errors
/// If the file cannot be read or is not a record.
pub fn read(path: &Path) -> Result<Vec<Row>> {
    let mut reader = csv::Reader::from_path(path).with_context(|| format!("cannot read {}", path.display()))?;
    reader.deserialize().collect::<Result<_, _>>().with_context(|| format!("{} is not a record", path.display()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A row of a run on one thread in `f32`.
    pub(crate) fn row(contestant: &str, n: usize, gflops: f64) -> Row {
        Row {
            date: "2026-11-24".into(),
            cpu: "a processor".into(),
            level: "avx512".into(),
            number: "f32".into(),
            threads: 1,
            m: n,
            k: n,
            n,
            contestant: contestant.into(),
            version: "1.0".into(),
            gflops_median: gflops,
            gflops_best: gflops,
            peak_gflops: 100.0,
            fraction_of_peak: gflops / 100.0,
            rounds: 3,
            paired_ratio: 1.0,
            layout: Layout::Nn,
        }
    }

    #[test]
    fn what_is_written_in_two_runs_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.csv");
        let rows = [row("lanegrad", 16, 50.5), row("a rival, \"quoted\"", 16, 40.0), row("lanegrad", 32, 60.0)];
        Writer::open(&path).unwrap().write(&rows[..2]).unwrap();
        Writer::open(&path).unwrap().write(&rows[2..]).unwrap();
        assert_eq!(read(&path).unwrap(), rows);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("date,cpu,level,type,threads,m,k,n,contestant,version,gflops_median,gflops_best,"));
        assert_eq!(text.lines().next().unwrap().split(',').next_back(), Some(LAST_COLUMN));
    }

    #[test]
    fn a_record_without_layouts_is_read_and_not_added_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.csv");
        let row = row("lanegrad", 16, 50.5);
        Writer::open(&path).unwrap().write(std::slice::from_ref(&row)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap().replace(",layout", "").replace(",nn", "");
        std::fs::write(&path, &text).unwrap();
        assert_eq!(read(&path).unwrap(), [row]);
        assert!(Writer::open(&path).unwrap_err().to_string().contains("has other columns"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.csv");
        assert!(read(&path).unwrap_err().to_string().contains("cannot read"));
        std::fs::write(&path, "a,b\n1,2\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("is not a record"));
    }
}
