//! A record as Markdown.

use crate::contestant::lanegrad;
use crate::record::Row;
use crate::standing::{LOST_BELOW, Standing, summary};
use std::fmt::Write;

/// One table for each processor, level, type, number of threads and layout; a line for each shape. Of a shape that was measured
/// more than once, the last run counts.
pub fn markdown(rows: &[Row]) -> String {
    let mut text = String::new();
    for group in groups(rows, |row| (&row.cpu, &row.level, &row.number, row.threads, row.layout)) {
        let shapes = groups(group, Row::shape);
        let standings: Vec<Standing> = shapes.iter().filter_map(|rows| Standing::of(rows)).collect();
        if !standings.is_empty() {
            section(&mut text, &standings, &shapes).expect("a string grows");
        }
    }
    text
}

fn section(text: &mut String, standings: &[Standing], shapes: &[Vec<&Row>]) -> std::fmt::Result {
    let Row { date, cpu, level, number, threads, layout, .. } = standings[standings.len() - 1].ours;
    let plural = if *threads == 1 { "thread" } else { "threads" };
    writeln!(text, "### {number}, {threads} {plural}, {layout}\n")?;
    writeln!(text, "{cpu}, {level}, {date}. GFLOP/s, medians; against {}.", rivals(shapes).join(", "))?;
    let counts = summary(standings);
    writeln!(text, "{}; ratios below {LOST_BELOW} are bold.\n", counts.lines().next().unwrap_or_default())?;
    writeln!(text, "| m x k x n | Lanegrad | of the peak | best rival | GFLOP/s | ratio |")?;
    writeln!(text, "|---|---:|---:|---|---:|---:|")?;
    for standing in standings {
        let Standing { ours, best } = standing;
        let mark = if standing.is_lost() { "**" } else { "" };
        writeln!(
            text,
            "| {} x {} x {} | {} | {:.0} % | {} | {} | {mark}{:.2}{mark} |",
            ours.m,
            ours.k,
            ours.n,
            three_digits(ours.gflops_median),
            100.0 * ours.fraction_of_peak,
            best.contestant,
            three_digits(best.gflops_median),
            standing.ratio(),
        )?;
    }
    writeln!(text)
}

/// A rate with a digit after the point if it has few before.
fn three_digits(gflops: f64) -> String {
    if gflops < 99.95 { format!("{gflops:.1}") } else { format!("{gflops:.0}") }
}

/// Every rival with its version, in the order of the record.
fn rivals(shapes: &[Vec<&Row>]) -> Vec<String> {
    let mut names = Vec::new();
    for row in shapes.iter().flatten().filter(|row| row.contestant != lanegrad::NAME) {
        let name = format!("{} {}", row.contestant, row.version);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The rows by `key`, in the order in which keys appear.
fn groups<'a, K: PartialEq>(rows: impl IntoIterator<Item = &'a Row>, key: impl Fn(&'a Row) -> K) -> Vec<Vec<&'a Row>> {
    let mut groups: Vec<(K, Vec<&Row>)> = Vec::new();
    for row in rows {
        let key = key(row);
        match groups.iter_mut().find(|(other, _)| *other == key) {
            Some((_, group)) => group.push(row),
            None => groups.push((key, vec![row])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::row;

    #[test]
    fn a_table_has_every_shape_once_and_marks_what_was_lost() {
        let mut rows = vec![row("lanegrad", 16, 80.0), row("rival", 16, 100.0)];
        rows.extend([row("lanegrad", 32, 90.0), row("rival", 32, 45.0), row("other", 32, 1.0)]);
        rows.extend([row("lanegrad", 16, 96.0), row("rival", 16, 120.0)]);
        let mut double = [row("lanegrad", 16, 40.0), row("rival", 16, 40.0)];
        double.iter_mut().for_each(|row| (row.number, row.threads) = ("f64".into(), 2));
        rows.extend(double);
        assert_eq!(
            markdown(&rows),
            "### f32, 1 thread, nn\n\n\
             a processor, avx512, 2026-11-24. GFLOP/s, medians; against rival 1.0, other 1.0.\n\
             1 won, 0 even (0.97 to 1), 1 lost; ratios below 0.97 are bold.\n\n\
             | m x k x n | Lanegrad | of the peak | best rival | GFLOP/s | ratio |\n\
             |---|---:|---:|---|---:|---:|\n\
             | 16 x 16 x 16 | 96.0 | 96 % | rival | 120 | **0.80** |\n\
             | 32 x 32 x 32 | 90.0 | 90 % | rival | 45.0 | 2.00 |\n\n\
             ### f64, 2 threads, nn\n\n\
             a processor, avx512, 2026-11-24. GFLOP/s, medians; against rival 1.0.\n\
             1 won, 0 even (0.97 to 1), 0 lost; ratios below 0.97 are bold.\n\n\
             | m x k x n | Lanegrad | of the peak | best rival | GFLOP/s | ratio |\n\
             |---|---:|---:|---|---:|---:|\n\
             | 16 x 16 x 16 | 40.0 | 40 % | rival | 40.0 | 1.00 |\n\n"
        );
    }
}
