//! What can go wrong, as one type whose every message is one line.

use crate::shape::Shape;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Why a call was refused. Paths are printed quoted and escaped, so that a message is one line
/// whatever a file is called.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An image of the wrong size was pushed into a set of images.
    #[error("an image of {found} bytes in a set whose images have {expected}")]
    ImageSize {
        /// Bytes in each image of the set.
        expected: usize,
        /// Bytes in the refused image.
        found: usize,
    },

    /// A label that is not below the number of classes.
    #[error("label {label} is not below {classes}, the number of classes")]
    Label {
        /// The refused label.
        label: u32,
        /// The number of classes.
        classes: usize,
    },

    /// A data directory that is something else, such as a file or an archive not yet unpacked.
    #[error("{path:?} is not a directory")]
    NotADirectory {
        /// The path as it was given.
        path: PathBuf,
    },

    /// A file of the data set that is not there.
    #[error("{path:?} is missing")]
    MissingFile {
        /// The path of the file that was looked for.
        path: PathBuf,
    },

    /// A directory, pipe or device where a file of the data set should be.
    #[error("{path:?} is not a regular file")]
    NotAFile {
        /// The path of the file that was looked for.
        path: PathBuf,
    },

    /// A file that is cut short, or too long, or not of this format.
    #[error("{path:?} has {found} bytes instead of {expected}")]
    FileSize {
        /// The file.
        path: PathBuf,
        /// Bytes that the format prescribes.
        expected: u64,
        /// Bytes that the file has.
        found: u64,
    },

    /// A label in a file that is not below the number of classes.
    #[error(
        "{path:?}: label {label} at byte {offset} (record {record}, counted from 0) is not below \
         {classes}, the number of classes"
    )]
    FileLabel {
        /// The file.
        path: PathBuf,
        /// The record, counted from 0.
        record: usize,
        /// Where the label lies, in bytes from the start of the file.
        offset: u64,
        /// The refused label.
        label: u32,
        /// The number of classes.
        classes: usize,
    },

    /// A kernel refused its operands, or the instruction set that `LANEGRAD_ISA` asks for is not there.
    #[error(transparent)]
    Kernel(#[from] lanegrad_kernels::Error),

    /// Two shapes that an operation cannot bring together.
    #[error("{op}: shapes {left} and {right} do not fit")]
    Shapes {
        /// The operation.
        op: &'static str,
        /// The shape of its first operand.
        left: Shape,
        /// The shape of its second operand, or the one that was asked for.
        right: Shape,
    },

    /// An operation that was applied to too few or too many inputs.
    #[error("{op} cannot be applied to {found} inputs")]
    Inputs {
        /// The operation.
        op: &'static str,
        /// How many inputs there were.
        found: usize,
    },

    /// A shape that an operation has no use for.
    #[error("{op}: shape {shape}, but {wanted}")]
    Shape {
        /// The operation.
        op: &'static str,
        /// The shape that was given.
        shape: Shape,
        /// What was wanted, as words.
        wanted: &'static str,
    },

    /// An axis that a shape does not have.
    #[error("there is no axis {axis} in shape {shape}")]
    Axis {
        /// The axis; a negative one counts from the last.
        axis: isize,
        /// The shape.
        shape: Shape,
    },

    /// An index beyond the end.
    #[error("{op}: index {index} is not below {limit}")]
    Index {
        /// The operation.
        op: &'static str,
        /// The refused index.
        index: usize,
        /// How many there are.
        limit: usize,
    },

    /// A number that stands where an index should.
    #[error("{op}: {value} is not an index below {limit}")]
    NotAnIndex {
        /// The operation.
        op: &'static str,
        /// The refused number.
        value: f64,
        /// How many there are.
        limit: usize,
    },

    /// A shape with more elements than memory can have.
    #[error("shape {shape} has too many elements")]
    TooLarge {
        /// The shape.
        shape: Shape,
    },

    /// A use of the tape that would give wrong numbers.
    #[error("{0}")]
    Tape(&'static str),

    /// A variable that was asked for by a name that none has.
    #[error("nothing on the tape is called {0:?}")]
    Name(String),

    /// An operation on the tape failed, and with it all that depends on it.
    #[error(transparent)]
    Failed(Arc<Error>),

    /// A loss that is not a finite number.
    #[error("the loss is {loss} at step {step}: mostly a step size that is too large")]
    Diverged {
        /// The step, counted from 0.
        step: u64,
        /// The loss.
        loss: f64,
    },

    /// A setting that no training can be done with.
    #[error("{0}")]
    Setting(String),

    /// Bytes that are not a file of the format they should be.
    #[error("not a safetensors file: {0}")]
    Format(String),

    /// A tensor in a file that is not what a tape's parameter needs.
    #[error("tensor {name:?} {problem}")]
    Tensor {
        /// Its name.
        name: String,
        /// Why it is refused.
        problem: TensorProblem,
    },

    /// The operating system refused to write a file.
    #[error("cannot write {path:?}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },

    /// The operating system refused to open or read a file.
    #[error("cannot read {path:?}: {source}")]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
}

/// What is wrong with a tensor in a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorProblem {
    /// The file does not have it.
    #[error("is not in the file")]
    Missing,

    /// No parameter or buffer has its name.
    #[error("is in the file, but no parameter or buffer is called so")]
    Unknown,

    /// It has another shape.
    #[error("has shape {found} in the file and {expected} on the tape")]
    Shape {
        /// The parameter's shape.
        expected: Shape,
        /// The shape in the file.
        found: Shape,
    },

    /// Its numbers are of another type.
    #[error("has type {found} in the file and {expected} on the tape")]
    Type {
        /// The tape's type.
        expected: String,
        /// The type in the file.
        found: String,
    },
}
