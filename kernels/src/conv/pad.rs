//! Copies of images with the zeros around them that their windows reach into.

use super::geometry::Axis;

/// An image, and how its windows lie in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub rows: Axis,
    pub cols: Axis,
    pub channels: usize,
}

/// What a block of images takes up in the first-level and half of a 1 MiB second-level cache.
const BLOCK_BYTES: usize = 512 * 1024;

impl Frame {
    /// Whether images can be read where they lie.
    pub fn is_inside(&self) -> bool {
        self.rows.is_inside() && self.cols.is_inside()
    }

    /// Elements from one row to the next, as [`Frame::block`] leaves them.
    pub fn pitch(&self) -> usize {
        if self.is_inside() { self.cols.source * self.channels } else { self.cols.length * self.channels }
    }

    /// Elements of an image without zeros.
    pub fn image(&self) -> usize {
        self.rows.source * self.cols.source * self.channels
    }

    /// How many target rows are made at a time, so that what they are made of stays near.
    pub fn rows_at_once(&self, size: usize) -> usize {
        if self.is_inside() {
            return self.rows.target.max(1);
        }
        let sources = BLOCK_BYTES / (self.pitch() * size).max(1);
        // Windows overlap: what few rows are made of would mostly be copied again for the next ones.
        let least = self.rows.sources_of(0, 1).1.max(1);
        self.rows.targets_of(sources, least).min(self.rows.target).max(1)
    }

    /// Scratch that a block of `targets` rows needs.
    pub fn scratch(&self, targets: usize) -> usize {
        if self.is_inside() {
            return 0;
        }
        let rows = targets.div_ceil(self.rows.phases) * self.rows.phase(0).advance + self.rows.phase(0).taps + 1;
        rows.min(self.rows.length) * self.pitch()
    }

    /// Where row `low` of `image`, counted with the zeros before it, lies: in the image, or in `scratch`, to which the rows
    /// `low..high` are copied.
    pub fn block<T: bytemuck::Pod>(&self, image: &[T], low: usize, high: usize, scratch: &mut [T]) -> *const T {
        if self.is_inside() {
            return image[low * self.pitch()..].as_ptr();
        }
        self.copy(image, low, high, scratch);
        scratch.as_ptr()
    }

    /// Copies the rows `low..high` of `image`, counted with the zeros before it, to rows `pitch` elements apart.
    pub fn copy<T: bytemuck::Pod>(&self, image: &[T], low: usize, high: usize, scratch: &mut [T]) {
        let Self { rows, cols, channels } = *self;
        let pitch = self.pitch();
        let left = cols.before.min(cols.length) * channels;
        let copied = cols.source.min(cols.length.saturating_sub(cols.before)) * channels;
        let lines = scratch[..(high - low) * pitch].chunks_exact_mut(pitch.max(1));
        for (row, line) in (low..high).zip(lines) {
            match row.checked_sub(rows.before).filter(|&row| row < rows.source) {
                Some(row) => {
                    line[..left].fill(T::zeroed());
                    line[left..left + copied].copy_from_slice(&image[row * cols.source * channels..][..copied]);
                    line[left + copied..].fill(T::zeroed());
                }
                None => line.fill(T::zeroed()),
            }
        }
    }
}
