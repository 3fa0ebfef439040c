//! What a checked entry point refuses.

use crate::isa::Level;
use std::fmt;

/// Why a kernel was not run. Nothing was written when one is returned.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// `LANEGRAD_ISA` holds a word that names no level.
    UnknownIsa {
        /// What the variable holds.
        requested: String,
    },
    /// The processor lacks the instructions of a level that was asked for.
    UnsupportedIsa {
        /// The level that was asked for.
        requested: Level,
        /// The best level this processor has.
        best: Level,
    },
    /// Two extents that must agree do not.
    Shape {
        /// Which operand, and what it must agree with.
        what: &'static str,
        /// Extents that were needed.
        expected: (usize, usize),
        /// Extents that were given.
        found: (usize, usize),
    },
    /// A matrix with these strides reaches outside its slice, or its extents overflow.
    OutOfBounds {
        /// Rows and columns.
        shape: (usize, usize),
        /// Row and column stride, in elements.
        strides: (isize, isize),
        /// Elements in the slice.
        length: usize,
        /// Index in the slice of the element in row 0, column 0.
        offset: usize,
    },
    /// Two elements of a writable matrix would lie at one address.
    Overlap {
        /// Rows and columns.
        shape: (usize, usize),
        /// Row and column stride, in elements.
        strides: (isize, isize),
    },
    /// An index names a sample, or a label names a class, that is not there.
    Index {
        /// What is indexed.
        what: &'static str,
        /// Position in the list.
        position: usize,
        /// The value found there.
        value: usize,
        /// How many there are.
        limit: usize,
    },
    /// A range of a list of segments that reaches beyond the data or does not begin after the one before it.
    Segment {
        /// Position in the list.
        position: usize,
        /// First element, and the one after the last.
        range: (usize, usize),
        /// Where it may begin at the earliest.
        earliest: usize,
        /// Elements in the data.
        length: usize,
    },
    /// A convolution or a pooling of this geometry does not exist.
    Geometry {
        /// The extent that is wrong.
        what: &'static str,
        /// Its value.
        found: usize,
        /// What it should have been.
        wanted: Wanted,
    },
    /// A thread pool of this many threads could not be started.
    Threads {
        /// Threads that were asked for.
        requested: usize,
        /// What the system said.
        reason: String,
    },
}

/// What an extent of a geometry must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wanted {
    /// One or more.
    AtLeastOne,
    /// No more than this.
    AtMost(usize),
    /// A whole number of times this.
    MultipleOf(usize),
    /// So small that the elements, scratch included, can be counted.
    Countable,
}

impl fmt::Display for Wanted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeastOne => write!(formatter, "at least 1"),
            Self::AtMost(limit) => write!(formatter, "at most {limit}"),
            Self::MultipleOf(divisor) => write!(formatter, "a multiple of {divisor}"),
            Self::Countable => write!(formatter, "small enough for the elements to be counted"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownIsa { requested } => write!(
                formatter,
                "LANEGRAD_ISA={requested:?} names no instruction set; it may be portable, avx2 or avx512"
            ),
            Self::UnsupportedIsa { requested, best } => {
                write!(formatter, "this processor does not support {requested}; the best level it has is {best}")
            }
            Self::Shape { what, expected, found } => {
                write!(formatter, "{what}: expected {} x {}, found {} x {}", expected.0, expected.1, found.0, found.1)
            }
            Self::OutOfBounds { shape, strides, length, offset } => write!(
                formatter,
                "a {} x {} matrix with strides ({}, {}) and its first element at {offset} reaches outside a slice of {length} \
                 elements",
                shape.0, shape.1, strides.0, strides.1
            ),
            Self::Overlap { shape, strides } => write!(
                formatter,
                "two elements of a writable {} x {} matrix with strides ({}, {}) would lie at one address",
                shape.0, shape.1, strides.0, strides.1
            ),
            Self::Index { what, position, value, limit } => {
                write!(formatter, "{what} at position {position} is {value}, but there are only {limit}")
            }
            Self::Segment { position, range, earliest, length } => write!(
                formatter,
                "segment {position} from {} to {} does not lie between {earliest} and {length}, the end of the data",
                range.0, range.1
            ),
            Self::Geometry { what, found, wanted } => write!(formatter, "{what} is {found}; it must be {wanted}"),
            Self::Threads { requested, reason } => {
                write!(formatter, "a pool of {requested} threads could not be started: {reason}")
            }
        }
    }
}

impl std::error::Error for Error {}
