//! Watching a tape at work: what each operation took.

use super::op::Inputs;
use crate::shape::Shape;
use lanegrad_kernels::isa::Scalar;
use std::fmt::Debug;
use std::time::Duration;

/// Which way an operation was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pass {
    /// Its result was computed; for a leaf: its numbers were written.
    Forward,
    /// The cotangents of its inputs were.
    Backward,
}

/// One run of one operation.
#[derive(Debug)]
pub struct Observed<'a, T> {
    /// Its place on the tape: the same from step to step if the steps record the same.
    pub node: usize,
    /// What the operation is called ([`super::Op::name`]); `leaf` for the numbers of a leaf.
    pub name: &'static str,
    /// Which way it ran.
    pub pass: Pass,
    /// Its inputs.
    pub inputs: Inputs<'a, T>,
    /// The shape of its result.
    pub shape: &'a Shape,
    /// How long it took.
    pub elapsed: Duration,
}

/// Is told of every operation of a tape, right after it ran: see [`super::Tape::set_observer`].
///
/// ```
/// use lanegrad::tape::{Observed, Observer, Tape};
/// use std::sync::mpsc::{Sender, channel};
///
/// #[derive(Debug)]
/// struct Names(Sender<&'static str>);
///
/// impl Observer<f32> for Names {
///     fn observe(&mut self, run: Observed<'_, f32>) {
///         self.0.send(run.name).unwrap();
///     }
/// }
///
/// let (sender, names) = channel();
/// let mut tape = Tape::<f32>::new();
/// tape.set_observer(Some(Box::new(Names(sender))));
/// let x = tape.scalar(3.0);
/// (x * x).backward()?;
/// assert_eq!(names.try_iter().collect::<Vec<_>>(), ["leaf", "mul", "mul"]);
/// # Ok::<(), lanegrad::Error>(())
/// ```
pub trait Observer<T: Scalar>: Debug + Send {
    /// Takes note of a run.
    fn observe(&mut self, run: Observed<'_, T>);
}
