//! Maps of functions of two numbers: lines of equal height, and the bands between them.

use std::collections::HashMap;
use std::ops::Range;

use anyhow::Result;
use plotters::style::{Color, RGBColor};

use super::chart::{Backend, Chart};

/// Columns of a grid whose bands look smooth.
const FINEST: usize = 150;

/// Heights over a rectangle, at points that are equally far apart.
#[derive(Clone, Debug)]
pub struct Grid {
    /// From the first to the last column.
    pub x: Range<f64>,
    /// From the first to the last row.
    pub y: Range<f64>,
    columns: usize,
    /// Row by row, from the lowest y.
    heights: Vec<f64>,
}

impl Grid {
    /// The heights of `function` at `columns` x `rows` points, at least 2 x 2.
    pub fn sample(
        (x, y): (Range<f64>, Range<f64>),
        [columns, rows]: [usize; 2],
        mut function: impl FnMut(f64, f64) -> f64,
    ) -> Self {
        let (columns, rows) = (columns.max(2), rows.max(2));
        let mut grid = Self { x, y, columns, heights: vec![0.0; columns * rows] };
        for row in 0..rows {
            for column in 0..columns {
                let (x, y) = grid.point(column as f64, row as f64);
                grid.heights[row * columns + column] = function(x, y);
            }
        }
        grid
    }

    fn rows(&self) -> usize {
        self.heights.len() / self.columns
    }

    /// All heights.
    pub fn heights(&self) -> &[f64] {
        &self.heights
    }

    /// The point at a column and a row, which need not be whole.
    fn point(&self, column: f64, row: f64) -> (f64, f64) {
        let part = |range: &Range<f64>, part: f64| range.start + part * (range.end - range.start);
        (part(&self.x, column / (self.columns - 1) as f64), part(&self.y, row / (self.rows() - 1) as f64))
    }

    /// The same with so many times the steps along each side, the heights between four points being mixed from theirs.
    fn refined(&self, times: usize) -> Self {
        let [columns, rows] = [self.columns, self.rows()].map(|points| (points - 1) * times + 1);
        let mut heights = Vec::with_capacity(columns * rows);
        for row in 0..rows {
            for column in 0..columns {
                let (left, below) = ((column / times).min(self.columns - 2), (row / times).min(self.rows() - 2));
                let part = |place: usize, start: usize| (place - start * times) as f64 / times as f64;
                let (across, up) = (part(column, left), part(row, below));
                let mix = |from: f64, to: f64, part: f64| from + part * (to - from);
                let [lower, upper] =
                    [below, below + 1].map(|row| mix(self.height(left, row), self.height(left + 1, row), across));
                heights.push(mix(lower, upper, up));
            }
        }
        Self { x: self.x.clone(), y: self.y.clone(), columns, heights }
    }

    fn height(&self, column: usize, row: usize) -> f64 {
        self.heights[row * self.columns + column]
    }

    /// Lines along which the height is `level`, by marching squares: where a side of a square crosses the level, in
    /// between as the heights at its ends say. Around heights that are no numbers there are none.
    fn isolines(&self, level: f64) -> Vec<Vec<(f64, f64)>> {
        let mut ends: HashMap<Side, Vec<Side>> = HashMap::new();
        let mut order = Vec::new();
        for row in 0..self.rows() - 1 {
            for column in 0..self.columns - 1 {
                for (from, to) in self.crossings(column, row, level) {
                    ends.entry(from).or_default().push(to);
                    ends.entry(to).or_default().push(from);
                    order.extend([from, to]);
                }
            }
        }
        // Lines with loose ends first: what is left then are rings.
        let loose: Vec<Side> = order.iter().copied().filter(|side| ends[side].len() == 1).collect();
        let mut lines = Vec::new();
        for start in loose.into_iter().chain(order) {
            let mut line = vec![start];
            while let Some(next) = ends.get_mut(&line[line.len() - 1]).and_then(Vec::pop) {
                let here = line[line.len() - 1];
                if let Some(back) = ends.get_mut(&next)
                    && let Some(at) = back.iter().position(|side| *side == here)
                {
                    back.swap_remove(at);
                }
                line.push(next);
            }
            if line.len() > 1 {
                lines.push(line.into_iter().map(|side| self.crossing(side, level)).collect());
            }
        }
        lines
    }

    /// The pieces of the line inside a square, each from one of its sides to another.
    fn crossings(&self, column: usize, row: usize, level: f64) -> Vec<(Side, Side)> {
        let corners = [(0, 0), (1, 0), (1, 1), (0, 1)].map(|(x, y)| self.height(column + x, row + y));
        if !corners.iter().all(|height| height.is_finite()) {
            return Vec::new();
        }
        let sides = [
            Side { column, row, is_upright: false },
            Side { column: column + 1, row, is_upright: true },
            Side { column, row: row + 1, is_upright: false },
            Side { column, row, is_upright: true },
        ];
        let is_crossed = |i: &usize| (corners[*i] >= level) != (corners[(*i + 1) % 4] >= level);
        let crossed: Vec<Side> = (0..4).filter(is_crossed).map(|i| sides[i]).collect();
        match crossed[..] {
            [a, b] => vec![(a, b)],
            // A saddle: its middle says which corners belong together.
            [a, b, c, d] => {
                let is_middle_high = corners.iter().sum::<f64>() / 4.0 >= level;
                if is_middle_high == (corners[0] >= level) { vec![(a, b), (c, d)] } else { vec![(a, d), (b, c)] }
            }
            _ => Vec::new(),
        }
    }

    /// Where a side crosses the level.
    fn crossing(&self, side: Side, level: f64) -> (f64, f64) {
        let Side { column, row, is_upright } = side;
        let (right, up) = if is_upright { (0, 1) } else { (1, 0) };
        let (from, to) = (self.height(column, row), self.height(column + right, row + up));
        let part = ((level - from) / (to - from)).clamp(0.0, 1.0);
        self.point(column as f64 + part * right as f64, row as f64 + part * up as f64)
    }
}

/// A side of a square: from the point at a column and a row to the right, or upwards.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Side {
    column: usize,
    row: usize,
    is_upright: bool,
}

/// Band `band` of `count`: the higher, the darker.
pub(super) fn band_colour(band: usize, count: usize) -> RGBColor {
    let part = band as f64 / count.max(1) as f64;
    let level = |low: f64, high: f64| (low + part * (high - low)).round() as u8;
    RGBColor(level(254.0, 160.0), level(254.0, 174.0), level(252.0, 194.0))
}

/// The colour of the lines between bands.
pub(super) const ISOLINE: RGBColor = RGBColor(0x8C, 0x96, 0xA6);

/// Draws the bands between ascending `levels`, and the lines at them, over the whole plot.
pub(super) fn draw<B: Backend>(chart: &Chart<'_, B>, grid: &Grid, levels: &[f64]) -> Result<()> {
    let grid = &grid.refined(FINEST.div_ceil(grid.columns));
    let band = |column: usize, row: usize| {
        let corners = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(x, y)| grid.height(column + x, row + y));
        let middle = corners.iter().sum::<f64>() / 4.0;
        levels.iter().filter(|level| middle >= **level).count()
    };
    let (columns, rows) = (grid.columns - 1, grid.rows() - 1);
    for row in 0..rows {
        let mut start = 0;
        while start < columns {
            let here = band(start, row);
            let end = (start..columns).find(|column| band(*column, row) != here).unwrap_or(columns);
            let (left, bottom) = grid.point(start as f64, row as f64);
            // A little into the next row and column, so that nothing shines through between.
            let (right, top) = grid.point((end as f64 + 0.3).min(columns as f64), (row as f64 + 1.3).min(rows as f64));
            chart.band(left..right, &(bottom..top), &band_colour(here, levels.len()))?;
            start = end;
        }
    }
    for &level in levels {
        for line in grid.isolines(level) {
            chart.line(line, &ISOLINE.mix(0.8), 0.8)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_isoline_of_a_cone_is_a_circle() {
        let grid = Grid::sample((-2.0..2.0, -2.0..2.0), [81, 81], f64::hypot);
        let lines = grid.isolines(1.0);
        assert_eq!(lines.len(), 1, "one ring");
        assert_eq!(lines[0].first(), lines[0].last(), "it is closed");
        assert!(lines[0].len() > 100);
        for (x, y) in &lines[0] {
            assert!((x.hypot(*y) - 1.0).abs() < 1e-3, "({x}, {y})");
        }
    }

    #[test]
    fn a_refined_grid_keeps_its_points() {
        let grid = Grid::sample((0.0..2.0, 0.0..3.0), [3, 4], |x, y| 10.0 * x * y);
        let fine = grid.refined(5);
        assert_eq!((fine.columns, fine.rows()), (11, 16));
        for (column, row) in [(0, 0), (1, 2), (2, 3)] {
            assert_eq!(fine.height(5 * column, 5 * row), grid.height(column, row));
        }
        assert!((fine.height(3, 4) - 10.0 * 0.6 * 0.8).abs() < 1e-12);
    }

    #[test]
    fn open_lines_and_saddles_are_followed_to_their_ends() {
        let plane = Grid::sample((0.0..1.0, 0.0..1.0), [11, 11], |x, _| x);
        let lines = plane.isolines(0.55);
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].len(), 11);
        assert!(lines[0].iter().all(|(x, _)| (x - 0.55).abs() < 1e-12));
        let saddle = Grid::sample((-1.0..1.0, -1.0..1.0), [41, 41], |x, y| x * x - y * y);
        assert_eq!(saddle.isolines(0.5).len(), 2);
        assert_eq!(saddle.isolines(-0.5).len(), 2);
    }

    #[test]
    fn heights_that_are_no_numbers_have_no_lines() {
        let grid = Grid::sample((0.0..1.0, 0.0..1.0), [11, 11], |x, y| if x > 0.4 { f64::NAN } else { y });
        let lines = grid.isolines(0.55);
        assert!(lines.iter().flatten().all(|(x, _)| *x < 0.41));
        assert_eq!(lines.len(), 1);
    }
}
