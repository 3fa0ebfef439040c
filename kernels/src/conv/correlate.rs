//! Images made of windows of other images: the forward pass, and the gradient of the input.

use super::contraction::{Contraction, MAX_WIDTH, Sum, Tiles};
use super::geometry::{Axis, Phase};
use super::pad::Frame;
use crate::isa::{Isa, Lanes, Scalar};
use crate::parallel::{self, Divide};
use crate::workspace::with_scratch;
use std::ops::Range;

/// target\[f\] <- max(floor, addend\[f\] + sum over a window's rows, columns and channels c of source\[c\] weight\[c, f\]).
#[derive(Debug)]
pub(super) struct Correlation<'a, T> {
    pub frame: Frame,
    /// Channels of the targets.
    pub filters: usize,
    pub groups: usize,
    pub source: &'a [T],
    pub target: &'a mut [T],
    pub weights: Weights<'a, T>,
    pub addend: Addend<'a, T>,
    pub floor: T,
}

/// What is added to the sums.
#[derive(Clone, Copy, Debug)]
pub(super) enum Addend<'a, T> {
    Zero,
    /// One number for each of the filters.
    Bias(&'a [T]),
    /// What the target holds.
    Target,
}

/// Weights of (kernel rows, kernel columns, channels of a group, filters), as the forward pass reads them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights<'a, T> {
    pub data: &'a [T],
    pub kernel_cols: usize,
    /// Channels of a group.
    pub channels: usize,
    /// Filters of all groups.
    pub filters: usize,
    /// Whether the filters are the sources and the channels the targets.
    pub transposed: bool,
}

impl<T: Scalar> Correlation<'_, T> {
    /// Runs it; `each` is the number of multiply-adds that a row of targets takes.
    pub fn run<S: Isa>(self, isa: S, each: usize) {
        let Self { frame, filters, groups, source, target, weights, addend, floor } = self;
        if target.is_empty() {
            return;
        }
        let lanes = T::Lanes::<S>::COUNT;
        let taps = |axis: Axis| axis.all_phases().map(|phase| phase.taps).sum::<usize>();
        let padded = (filters / groups).next_multiple_of(lanes);
        let length = taps(frame.rows) * taps(frame.cols) * frame.channels * padded;
        with_scratch(length, |packed: &mut [T]| {
            let panel = S::GEMM_VECTORS * lanes;
            let plan = Plan { frame, filters, groups, source, packed: &[], addend, floor };
            pack(&plan, weights, panel, lanes, packed);
            let plan = Plan { packed, ..plan };
            let row = frame.cols.target * filters;
            let grain = super::grain(target.len() / (row * frame.rows.target), frame.rows.target, each);
            parallel::divide(Rows { isa, plan: &plan, target, row, first: 0 }, grain);
        });
    }
}

/// What all threads share.
#[derive(Debug)]
struct Plan<'a, T> {
    frame: Frame,
    filters: usize,
    groups: usize,
    source: &'a [T],
    packed: &'a [T],
    addend: Addend<'a, T>,
    floor: T,
}

impl<T> Plan<'_, T> {
    /// The pairs of phases, in the order in which their weights are packed.
    fn phases(&self) -> impl Iterator<Item = (Phase, Phase)> {
        let Frame { rows, cols, .. } = self.frame;
        rows.all_phases().flat_map(move |row| cols.all_phases().map(move |col| (row, col)))
    }

    /// The groups' panels of at most `panel` filters: the group, and its filters.
    fn panels(&self, panel: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
        let filters = self.filters / self.groups;
        let panels = move || (0..filters).step_by(panel).map(move |first| first..filters.min(first + panel));
        (0..self.groups).flat_map(move |group| panels().map(move |range| (group, range)))
    }
}

/// Copies the weights into the order in which they are read: phase of rows, of columns, group, panel of filters, tap, channel.
///
/// A panel is filled up with zeros to whole vectors.
fn pack<T: Scalar>(plan: &Plan<'_, T>, weights: Weights<'_, T>, panel: usize, lanes: usize, packed: &mut [T]) {
    let channels = plan.frame.channels / plan.groups;
    let mut rest = packed;
    for (rows, cols) in plan.phases() {
        for (group, range) in plan.panels(panel) {
            let padded = range.len().next_multiple_of(lanes);
            let (target, after) = std::mem::take(&mut rest).split_at_mut(rows.taps * cols.taps * channels * padded);
            rest = after;
            if range.len() < padded {
                target.fill(T::ZERO);
            }
            // A group has its own filters, but channels are counted within it.
            let before = if weights.transposed { 0 } else { group * (plan.filters / plan.groups) };
            let first = before + range.start;
            for (tap, target) in target.chunks_exact_mut((channels * padded).max(1)).enumerate() {
                let (row, col) = (rows.tap(tap / cols.taps), cols.tap(tap % cols.taps));
                weights.copy_tap(row * weights.kernel_cols + col, group, first, range.len(), padded, target);
            }
        }
    }
}

impl<T: Scalar> Weights<'_, T> {
    /// Writes a tap's weights of `width` targets of `group` from `first` on to rows of `padded` elements, one for each source.
    fn copy_tap(&self, tap: usize, group: usize, first: usize, width: usize, padded: usize, rows: &mut [T]) {
        let Self { data, channels, filters, transposed, .. } = *self;
        let data = &data[tap * channels * filters..][..channels * filters];
        let rows = rows.chunks_exact_mut(padded);
        if transposed {
            let offset = first * filters + group * rows.len();
            for (s, row) in rows.enumerate() {
                let column = data[offset + s..].iter().step_by(filters);
                row[..width].iter_mut().zip(column).for_each(|(target, &weight)| *target = weight);
            }
        } else {
            for (row, line) in rows.zip(data.chunks_exact(filters)) {
                row[..width].copy_from_slice(&line[first..][..width]);
            }
        }
    }
}

/// Some rows of the targets of all images, `row` elements each, from row `first` on.
struct Rows<'a, S, T> {
    isa: S,
    plan: &'a Plan<'a, T>,
    target: &'a mut [T],
    row: usize,
    first: usize,
}

impl<S: Isa, T: Scalar> Divide for Rows<'_, S, T> {
    fn length(&self) -> usize {
        self.target.len() / self.row
    }

    fn split(self, at: usize) -> (Self, Self) {
        let (top, bottom) = self.target.split_at_mut(at * self.row);
        (Self { target: top, ..self }, Self { target: bottom, first: self.first + at, ..self })
    }

    fn run(self) {
        let frame = &self.plan.frame;
        let at_once = frame.rows_at_once(size_of::<T>());
        let end = self.first + self.length();
        with_scratch(frame.scratch(at_once), |scratch: &mut [T]| {
            let mut next = self.first;
            while next < end {
                let (image, low) = (next / frame.rows.target, next % frame.rows.target);
                let high = (low + at_once).min(frame.rows.target).min(low + end - next);
                let target = &mut self.target[(next - self.first) * self.row..][..(high - low) * self.row];
                let source = &self.plan.source[image * frame.image()..][..frame.image()];
                let (first, last) = frame.rows.sources_of(low, high);
                let block = frame.block(source, first, last, scratch);
                self.plan.run_block(self.isa, block, first, target, low..high);
                next += high - low;
            }
        });
    }
}

impl<T: Scalar> Plan<'_, T> {
    /// Makes the targets of the rows `range`; `block` is where row `first` of the padded source lies.
    fn run_block<S: Isa>(&self, isa: S, block: *const T, first: usize, target: &mut [T], range: Range<usize>) {
        let Self { frame, filters, groups, .. } = *self;
        let lanes = T::Lanes::<S>::COUNT;
        let panel = S::GEMM_VECTORS * lanes;
        let channels = frame.channels / groups;
        let (pitch, row) = (frame.pitch(), frame.cols.target * filters);
        let zeros = [T::ZERO; MAX_WIDTH];
        let target = target.as_mut_ptr();
        let mut packed = self.packed;
        for (rows, cols) in self.phases() {
            let (low, high) = rows.between(range.start, range.end);
            // In one group, the channels of adjacent taps are adjacent.
            let (runs, run) = if groups == 1 { (1, cols.taps * channels) } else { (cols.taps, channels) };
            for (group, of_group) in self.panels(panel) {
                let width = of_group.len().next_multiple_of(lanes);
                let (weights, after) = packed.split_at(rows.taps * runs * run * width);
                packed = after;
                if low == high {
                    continue;
                }
                let start = (rows.start + rows.advance * low).saturating_sub(first);
                let filter = group * (filters / groups) + of_group.start;
                // The block holds all rows that these windows reach, at a distance of `pitch`, and the windows of all columns
                // lie inside; the weights hold `width` elements a step; the targets are rows of `row` elements, of which
                // this thread has `range`.
                let contraction = Contraction {
                    a: block.wrapping_add(start * pitch + cols.start * frame.channels + group * channels),
                    a_row: cols.advance * frame.channels,
                    b: weights.as_ptr(),
                    sums: [
                        Sum { count: rows.taps, a: pitch, b: runs * run * width },
                        Sum { count: runs, a: frame.channels, b: run * width },
                        Sum { count: run, a: 1, b: width },
                    ],
                    tiles: [
                        Tiles { count: high - low, a: rows.advance * pitch, c: rows.step * row },
                        Tiles { count: 0, a: 0, c: 0 },
                    ],
                    c: target.wrapping_add(
                        (rows.first + rows.step * low - range.start) * row + cols.first * filters + filter,
                    ),
                    c_row: cols.step * filters,
                    cols: of_group.len(),
                    addend: match self.addend {
                        Addend::Zero => Some(zeros.as_ptr()),
                        Addend::Bias(bias) => Some(bias[filter..][..of_group.len()].as_ptr()),
                        Addend::Target => None,
                    },
                    floor: self.floor,
                };
                contraction.run_rows(isa, cols.count);
            }
        }
    }
}
