//! The operand that all pieces of a divided product read, copied once by all threads together.

use super::{pack, part};
use crate::isa::{Isa, Lanes, Scalar};
use crate::matrix::MatRef;
use crate::parallel::{self, Divide, Grain};

/// Bytes up to which an operand is copied as a whole: more would be read back from memory.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// Elements of a copy that are worth another thread: about 10 microseconds.
const WORTH_A_THREAD: usize = 1 << 15;

/// What was copied, block of the depth after block, each in micropanels.
#[derive(Clone, Copy, Debug)]
pub(super) enum Common<'a, T> {
    Neither,
    A(&'a [T]),
    B {
        all: &'a [T],
        /// Columns of all of B, with those that fill the last vector.
        padded: usize,
        /// The first column of the part of B that is meant.
        first: usize,
    },
}

impl<'a, T: Scalar> Common<'a, T> {
    /// A copy of a B of `cols` columns.
    pub fn whole_b<S: Isa>(all: &'a [T], cols: usize) -> Self {
        Self::B { all, padded: padded::<S, T>(cols), first: 0 }
    }

    /// What is meant for the columns of C from `at` on, a whole number of panels.
    pub fn after_columns(self, at: usize) -> Self {
        match self {
            Self::B { all, padded, first } => Self::B { all, padded, first: first + at },
            other => other,
        }
    }
}

/// Elements that the copy of a `k` deep operand takes whose panels are `extent` wide together; none if that is too much.
pub(super) fn length<T>(extent: usize, k: usize) -> Option<usize> {
    extent.checked_mul(k).filter(|&length| length <= MOST_BYTES / size_of::<T>())
}

/// The columns of B with those that fill the last vector.
pub(super) fn padded<S: Isa, T: Scalar>(cols: usize) -> usize {
    cols.next_multiple_of(T::Lanes::<S>::COUNT)
}

/// Copies all of A (`of_a`) or B into `packed`, whose length is [`length`]'s; the depth is cut into blocks of `depth`.
pub(super) fn pack_all<S: Isa, T: Scalar>(isa: S, matrix: MatRef<'_, T>, of_a: bool, depth: usize, packed: &mut [T]) {
    let (extent, k) = if of_a { matrix.shape() } else { (matrix.cols(), matrix.rows()) };
    let panel = if of_a { S::GEMM_ROWS } else { S::GEMM_VECTORS * T::Lanes::<S>::COUNT };
    let (panels, blocks) = (extent.div_ceil(panel), k.div_ceil(depth));
    let all = Panels { isa, matrix, of_a, depth, panel, panels, first: 0, count: panels * blocks, packed };
    parallel::divide(all, Grain::of(panel * depth, WORTH_A_THREAD));
}

/// Some micropanels to be copied: those of one block of the depth after those of the block before.
struct Panels<'a, S, T> {
    isa: S,
    matrix: MatRef<'a, T>,
    of_a: bool,
    /// Extent of a block of the depth, the last of which may be smaller.
    depth: usize,
    /// Rows of A, or columns of B, in a panel; the last of a block may have fewer.
    panel: usize,
    /// Panels in a block.
    panels: usize,
    /// The first panel and how many there are, counted over all blocks.
    first: usize,
    count: usize,
    packed: &'a mut [T],
}

impl<S: Isa, T: Scalar> Panels<'_, S, T> {
    /// Rows of A, or columns of B, and the depth.
    fn extents(&self) -> (usize, usize) {
        if self.of_a { self.matrix.shape() } else { (self.matrix.cols(), self.matrix.rows()) }
    }

    /// Where panel `index` starts in a copy of everything.
    fn start(&self, index: usize) -> usize {
        let (extent, k) = self.extents();
        let padded = if self.of_a { extent } else { padded::<S, T>(extent) };
        let before = (index / self.panels * self.depth).min(k);
        let depth = self.depth.min(k - before);
        padded * before + (index % self.panels * self.panel).min(padded) * depth
    }
}

impl<S: Isa, T: Scalar> Divide for Panels<'_, S, T> {
    fn length(&self) -> usize {
        self.count
    }

    fn split(self, at: usize) -> (Self, Self) {
        let middle = self.start(self.first + at) - self.start(self.first);
        let Self { isa, matrix, of_a, depth, panel, panels, first, count, packed } = self;
        let (left, right) = packed.split_at_mut(middle);
        let part = |first, count, packed| Self { isa, matrix, of_a, depth, panel, panels, first, count, packed };
        (part(first, at, left), part(first + at, count - at, right))
    }

    fn run(self) {
        let (extent, k) = self.extents();
        let (origin, end) = (self.start(self.first), self.first + self.count);
        let mut index = self.first;
        while index < end {
            // As many panels of one block of the depth as there are.
            let block = index / self.panels;
            let next = end.min((block + 1) * self.panels);
            let range = self.start(index) - origin..self.start(next) - origin;
            let (before, from) = (block * self.depth, index % self.panels * self.panel);
            let depth = self.depth.min(k - before);
            let width = ((next - index) * self.panel).min(extent - from);
            let packed = &mut self.packed[range];
            if self.of_a {
                pack::pack_a(self.isa, part(self.matrix, from, width, before, depth), packed);
            } else {
                pack::pack_b(self.isa, part(self.matrix, before, depth, from, width), packed);
            }
            index = next;
        }
    }
}
