//! Ours against the best rival.

use crate::contestant::lanegrad;
use crate::record::Row;
use std::fmt::Write;

/// The ratio to the best rival below which a shape is lost.
pub const LOST_BELOW: f64 = 0.97;

/// Our row of a shape and the fastest rival's, by their medians.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// Ours.
    pub ours: &'a Row,
    /// The best rival's.
    pub best: &'a Row,
}

impl<'a> Standing<'a> {
    /// The standing in the last run with rivals among the rows of one shape; in each run ours comes first.
    ///
    /// None if there is none.
    pub fn of(rows: &[&'a Row]) -> Option<Self> {
        let is_ours = |row: &Row| row.contestant == lanegrad::NAME;
        let at = rows.windows(2).rposition(|pair| is_ours(pair[0]) && !is_ours(pair[1]))?;
        let rivals = rows[at + 1..].iter().copied().take_while(|row| !is_ours(row));
        let best = rivals.max_by(|left, right| left.gflops_median.total_cmp(&right.gflops_median))?;
        Some(Self { ours: rows[at], best })
    }

    /// Our median rate over the best rival's.
    pub fn ratio(&self) -> f64 {
        self.ours.gflops_median / self.best.gflops_median
    }

    /// Whether the best rival is faster by more than what two runs differ by.
    pub fn is_lost(&self) -> bool {
        self.ratio() < LOST_BELOW
    }
}

/// How many shapes were won and lost, and those lost, the worst first: a line each.
pub fn summary(standings: &[Standing]) -> String {
    let mut lost: Vec<_> = standings.iter().filter(|standing| standing.is_lost()).collect();
    lost.sort_by(|left, right| left.ratio().total_cmp(&right.ratio()));
    let won = standings.iter().filter(|standing| standing.ratio() >= 1.0).count();
    let even = standings.len() - won - lost.len();
    let mut text = format!("{won} won, {even} even ({LOST_BELOW} to 1), {} lost\n", lost.len());
    for standing in lost {
        let Standing { ours, best } = standing;
        let line = format!(
            "  lost {:>14}: {:.2} ({:.2} by rounds) of {} {}",
            ours.shape(),
            standing.ratio(),
            best.paired_ratio,
            best.contestant,
            best.version,
        );
        writeln!(text, "{}", line.trim_end()).expect("a string grows");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::row;

    #[test]
    fn the_fastest_rival_of_the_last_run_counts() {
        let rows = [
            row("lanegrad", 16, 50.0),
            row("old", 16, 90.0),
            row("lanegrad", 16, 60.0),
            row("slow", 16, 30.0),
            row("fast", 16, 40.0),
            row("lanegrad", 16, 70.0),
        ];
        let standing = Standing::of(&rows.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!((standing.best.contestant.as_str(), standing.ratio()), ("fast", 1.5));
        assert!(Standing::of(&[&rows[0]]).is_none() && Standing::of(&[&rows[1]]).is_none());
    }

    #[test]
    fn the_summary_lists_what_was_lost_the_worst_first() {
        let ours: Vec<Row> = [120.0, 98.0, 90.0, 50.0].iter().map(|&gflops| row("lanegrad", 16, gflops)).collect();
        let best = row("rival", 16, 100.0);
        let standings: Vec<_> = ours.iter().map(|ours| Standing { ours, best: &best }).collect();
        let text = summary(&standings);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "1 won, 1 even (0.97 to 1), 2 lost");
        assert!(lines[1].contains("16x16x16: 0.50") && lines[1].ends_with("of rival 1.0"), "{text}");
        assert!(lines[2].contains("0.90") && lines.len() == 3, "{text}");
    }
}
