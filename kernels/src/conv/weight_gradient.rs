//! The gradient of the weights: sums over all pixels of all images.
//!
//! The images are cut into shards, whose number follows from the shape alone. Each shard has its own sum, and the sums are
//! added in order, so that neither the number of threads nor their speed changes a bit. Within a shard, threads share the
//! kernel's rows.

use super::contraction::{Contraction, MAX_WIDTH, Sum, Tiles};
use super::pad::Frame;
use crate::isa::{Isa, Kernel, Lanes, Scalar};
use crate::parallel::{self, Divide, Grain};
use crate::workspace::with_scratch;

/// dWeights\[k, c, f\] (+)= sum over all pixels of x\[window k, c\] dy\[f\].
#[derive(Debug)]
pub(super) struct Shards<'a, T> {
    pub batch: usize,
    /// How the windows lie in x.
    pub frame: Frame,
    pub kernel: [usize; 2],
    pub filters: usize,
    pub groups: usize,
    pub x: &'a [T],
    pub dy: &'a [T],
    /// Whether to add to what the gradient holds.
    pub add: bool,
}

/// Shards of a batch, if their sums are not too large together.
pub(super) const SHARDS: usize = 16;
/// Bytes of the sums of all shards together.
const SUMS_BYTES: usize = 16 << 20;
/// Pixels that are summed in registers, at least, where a shard has so many: small images are taken together.
const PIXELS: usize = 256;

impl<T: Scalar> Shards<'_, T> {
    /// Runs it; `each` is the number of multiply-adds that one image takes.
    pub fn run<S: Isa>(self, isa: S, dweights: &mut [T], each: usize) {
        if dweights.is_empty() {
            return;
        }
        if self.batch == 0 {
            if !self.add {
                dweights.fill(T::ZERO);
            }
            return;
        }
        let affordable = (SUMS_BYTES / size_of_val(dweights)).clamp(1, SHARDS);
        let images = self.batch.div_ceil(affordable);
        let shards = self.batch.div_ceil(images);
        let rows = self.kernel[0];
        let grain = Grain::of(each * images / rows, super::WORTH_A_THREAD);
        let (length, add) = (dweights.len(), self.add);
        if shards == 1 {
            let work = Rows { isa, shards: &self, images, sums: dweights, row: length / rows, first: 0, add };
            return parallel::divide(work, grain);
        }
        with_scratch(shards * length, |sums: &mut [T]| {
            let work = Rows { isa, shards: &self, images, sums, row: length / rows, first: 0, add: false };
            parallel::divide(work, grain);
            parallel::divide(Total { isa, sums, length, first: 0, total: dweights, add }, TOTAL_GRAIN);
        });
    }
}

/// Elements of a sum that are worth a thread: about 10 microseconds.
pub(super) const TOTAL_GRAIN: usize = 1 << 13;

/// total (+)= the shards' sums, one after the other.
pub(super) struct Total<'a, S, T> {
    pub isa: S,
    pub sums: &'a [T],
    /// Elements of a shard's sum.
    pub length: usize,
    pub first: usize,
    pub total: &'a mut [T],
    pub add: bool,
}

impl<S: Isa, T: Scalar> Divide for Total<'_, S, T> {
    fn length(&self) -> usize {
        self.total.len()
    }
    fn split(self, at: usize) -> (Self, Self) {
        let (left, right) = self.total.split_at_mut(at);
        (Self { total: left, ..self }, Self { total: right, first: self.first + at, ..self })
    }
    fn run(self) {
        self.isa.vectorize(TotalLoop(self));
    }
}

struct TotalLoop<'a, S, T>(Total<'a, S, T>);

impl<I: Isa, T: Scalar> Kernel for TotalLoop<'_, I, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let Total { sums, length, first, total, add, .. } = self.0;
        let lanes = T::Lanes::<S>::COUNT;
        for (i, target) in total.chunks_mut(lanes).enumerate() {
            let start = first + i * lanes;
            let count = target.len();
            let mut sum = T::Lanes::<S>::splat(isa, T::ZERO);
            if add {
                sum = T::Lanes::<S>::read(isa, target);
            }
            for shard in sums.chunks_exact(length) {
                sum = sum.add(isa, T::Lanes::<S>::read(isa, &shard[start..start + count]));
            }
            sum.write(isa, target);
        }
    }
}

/// Some of the shards' kernel rows, `row` elements each: of shard 0 the first rows, and so on.
struct Rows<'a, S, T> {
    isa: S,
    shards: &'a Shards<'a, T>,
    /// Images of a shard.
    images: usize,
    sums: &'a mut [T],
    row: usize,
    first: usize,
    add: bool,
}

impl<S: Isa, T: Scalar> Divide for Rows<'_, S, T> {
    fn length(&self) -> usize {
        self.sums.len() / self.row
    }

    fn split(self, at: usize) -> (Self, Self) {
        let (left, right) = self.sums.split_at_mut(at * self.row);
        (Self { sums: left, ..self }, Self { sums: right, first: self.first + at, ..self })
    }

    fn run(self) {
        let rows = self.shards.kernel[0];
        let end = self.first + self.length();
        let mut sums = self.sums;
        let mut next = self.first;
        while next < end {
            let (shard, low) = (next / rows, next % rows);
            let high = rows.min(low + end - next);
            let (part, rest) = std::mem::take(&mut sums).split_at_mut((high - low) * self.row);
            let images = shard * self.images..self.shards.batch.min((shard + 1) * self.images);
            self.shards.run_shard(self.isa, images, low..high, part, self.add);
            sums = rest;
            next += high - low;
        }
    }
}

impl<T: Scalar> Shards<'_, T> {
    /// Sums the kernel's rows `rows` over `images`.
    fn run_shard<S: Isa>(
        &self,
        isa: S,
        images: std::ops::Range<usize>,
        rows: std::ops::Range<usize>,
        sums: &mut [T],
        add: bool,
    ) {
        let frame = &self.frame;
        let (height, width) = (frame.rows.target, frame.cols.target);
        let lines = frame.rows_at_once(size_of::<T>());
        let at_once = if lines < height { 1 } else { PIXELS.div_ceil(height * width).min(images.len()) };
        let block = frame.scratch(lines);
        let padded = (self.filters / self.groups).next_multiple_of(T::Lanes::<S>::COUNT);
        let copied = if padded * self.groups == self.filters { 0 } else { padded * self.groups };
        let dy_length = at_once * lines * width * copied;
        with_scratch(at_once * block + dy_length, |scratch: &mut [T]| {
            let (x_scratch, dy_scratch) = scratch.split_at_mut(at_once * block);
            let mut add = add;
            for image in images.clone().step_by(at_once) {
                let count = at_once.min(images.end - image);
                for line in (0..height).step_by(lines) {
                    let high = height.min(line + lines);
                    let (first, last) = frame.rows.sources_of(line, high);
                    let sources = &self.x[image * frame.image()..][..count * frame.image()];
                    let (x, size) = if frame.is_inside() {
                        (sources[first * frame.pitch()..].as_ptr(), frame.image())
                    } else {
                        let copies = x_scratch.chunks_exact_mut(block.max(1));
                        for (source, copy) in sources.chunks_exact(frame.image().max(1)).zip(copies) {
                            frame.copy(source, first, last, copy);
                        }
                        (x_scratch.as_ptr(), block)
                    };
                    let start = (image * height + line) * width * self.filters;
                    let pixels = if count > 1 { count * height } else { high - line } * width;
                    let dy = &self.dy[start..][..pixels * self.filters];
                    let dy = if copied == 0 { dy } else { self.pad_filters(dy, padded, dy_scratch) };
                    let taken = Block { x, images: count, image: size, lines: high - line, dy, padded };
                    self.run_block(isa, taken, rows.clone(), sums, add);
                    add = true;
                }
            }
        });
    }

    /// Copies pixels with each group's filters filled up to `padded` by zeros.
    fn pad_filters<'b>(&self, dy: &[T], padded: usize, scratch: &'b mut [T]) -> &'b [T] {
        let filters = self.filters / self.groups;
        let length = dy.len() / filters * padded;
        for (source, target) in dy.chunks_exact(filters).zip(scratch.chunks_exact_mut(padded)) {
            target[..filters].copy_from_slice(source);
            target[filters..].fill(T::ZERO);
        }
        &scratch[..length]
    }

    fn run_block<S: Isa>(
        &self,
        isa: S,
        block: Block<'_, T>,
        kernel_rows: std::ops::Range<usize>,
        sums: &mut [T],
        add: bool,
    ) {
        let Self { frame, filters, groups, kernel, .. } = self;
        let lanes = T::Lanes::<S>::COUNT;
        let panel = S::GEMM_VECTORS * lanes;
        let (channels, of_group) = (frame.channels / groups, filters / groups);
        let (pitch, width) = (frame.pitch(), frame.cols.target);
        let (rows, cols) = (frame.rows.phase(0), frame.cols.phase(0));
        // In one group, the channels of adjacent taps are adjacent.
        let (runs, run) = if *groups == 1 { (1, kernel[1] * channels) } else { (kernel[1], channels) };
        let zeros = [T::ZERO; MAX_WIDTH];
        let sums = sums.as_mut_ptr();
        let pixel = block.padded * groups;
        for row in kernel_rows.clone() {
            for group in 0..*groups {
                for first in (0..of_group).step_by(panel) {
                    let c = (row - kernel_rows.start) * kernel[1] * channels * filters + group * of_group + first;
                    // x is readable for `lines` lines of windows of each image; dy holds `padded` filters of each group for
                    // each of their pixels; the sums hold the kernel's rows of `kernel_rows`.
                    let contraction = Contraction {
                        a: block.x.wrapping_add(row * pitch + group * channels),
                        a_row: 1,
                        b: block.dy[group * block.padded + first..].as_ptr(),
                        sums: [
                            Sum { count: block.images, a: block.image, b: block.lines * width * pixel },
                            Sum { count: block.lines, a: rows.advance * pitch, b: width * pixel },
                            Sum { count: width, a: cols.advance * frame.channels, b: pixel },
                        ],
                        tiles: [
                            Tiles { count: runs, a: frame.channels, c: channels * filters },
                            Tiles { count: 0, a: 0, c: 0 },
                        ],
                        c: sums.wrapping_add(c),
                        c_row: *filters,
                        cols: panel.min(of_group - first),
                        addend: if add { None } else { Some(zeros.as_ptr()) },
                        floor: T::from_f64(f64::NEG_INFINITY),
                    };
                    contraction.run_rows(isa, run);
                }
            }
        }
    }
}

/// Pixels that are summed in one go.
#[derive(Clone, Copy)]
struct Block<'a, T> {
    x: *const T,
    images: usize,
    /// Elements from one image to the next.
    image: usize,
    lines: usize,
    dy: &'a [T],
    /// Filters of a group in `dy`.
    padded: usize,
}
