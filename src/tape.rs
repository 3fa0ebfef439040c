//! The tape: records what is computed, and goes back over it for the gradients.
//!
//! ```
//! use lanegrad::tape::Tape;
//! let tape = Tape::<f64>::new();
//! let (x, y, z) = (tape.scalar(-2.0).named("x"), tape.scalar(5.0).named("y"), tape.scalar(-4.0).named("z"));
//! let q = (x + y).named("q");
//! let f = (q * z).named("f");
//! f.backward()?;
//! assert_eq!(f.item()?, -12.0);
//! let gradients = [x, y, z, q].map(|v| v.gradient().unwrap().item().unwrap());
//! assert_eq!(gradients, [-4.0, -4.0, 3.0, -4.0]);
//! # Ok::<(), lanegrad::Error>(())
//! ```
//!
//! Each operation is computed when it is recorded, and what backpropagation gives are numbers: the gradient at this point,
//! never an expression for it.
//!
//! **Ownership.** The tape owns the parameters: a [`Param`] is an index that outlives steps, while a [`Var`] borrows the
//! tape and dies at [`Tape::reset`], so that a stale one does not compile. Values lie in one flat arena and gradients in
//! another, the parameters first in both, so that an update rule goes over all of them in one pass
//! ([`Tape::parameters_and_gradients`]). Memory is kept from step to step: a step like the one before it allocates nothing.
//!
//! **Errors.** An operator never panics. The first operation that fails leaves its error in the tape and yields a poisoned
//! variable; operations on that do nothing, and its value, its backpropagation and [`Tape::finish`] return the error. What
//! has a `try_` twin can be asked at once.
//!
//! **Wrong numbers are errors.** Backpropagation consumes what was recorded: a second one before [`Tape::reset`] is refused,
//! and so is one over values that were computed before the parameters, the mode or the step changed.

mod graph;
mod observer;
mod op;
mod recording;
mod var;

pub use graph::{Graph, GraphNode};
pub use observer::{Observed, Observer, Pass};
pub use op::{Backward, Forward, InputGradient, Inputs, Op, Output};
pub use var::Var;

use crate::error::Error;
use crate::shape::Shape;
use crate::tensor::Tensor;
use lanegrad_kernels::isa::Scalar;
use recording::{Kind, Mode, Recording};
use std::borrow::Cow;
use std::cell::{Ref, RefCell, RefMut};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A parameter: its place on the tape that owns it, valid as long as that tape is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Param {
    tape: u64,
    index: u32,
}

/// What a tape says of one of its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterInfo<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its shape.
    pub shape: &'a Shape,
    /// Where it lies in the flat parameters and gradients.
    pub range: Range<usize>,
    /// Whether an update rule changes it; if not, it is a buffer ([`Tape::buffer`]) whose gradient is always zero.
    pub trained: bool,
}

/// What does not change of a parameter.
#[derive(Debug)]
struct Parameter {
    name: Cow<'static, str>,
    shape: Shape,
    range: Range<usize>,
    trained: bool,
}

/// What is computed, from the parameters on; see the [module](self).
#[derive(Debug)]
pub struct Tape<T: Scalar = f32> {
    identity: u64,
    mode: Mode,
    /// Apart from the recording, so that they can be asked for while that is in use.
    parameters: Vec<Parameter>,
    recording: RefCell<Recording<T>>,
    failure: RefCell<Option<Arc<Error>>>,
}

impl<T: Scalar> Default for Tape<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Scalar> Tape<T> {
    /// An empty tape, in training mode.
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let identity = NEXT.fetch_add(1, Ordering::Relaxed);
        let mode = Mode { training: true, step: 0 };
        let recording = RefCell::new(Recording::new());
        Self { identity, mode, parameters: Vec::new(), recording, failure: RefCell::new(None) }
    }

    /// Adds a parameter with an initial value.
    ///
    /// # Errors
    /// [`Error::Tape`] if something else was recorded since the last reset, or the name is taken; [`Error::TooLarge`] if there
    /// is no memory for it.
    pub fn parameter(&mut self, name: impl Into<Cow<'static, str>>, value: &Tensor<T>) -> Result<Param, Error> {
        self.add_parameter(Kind::Parameter, name.into(), value)
    }

    /// Adds an array that lives as long as the parameters do but is not trained: running statistics, say.
    ///
    /// # Errors
    /// Those of [`Tape::parameter`].
    pub fn buffer(&mut self, name: impl Into<Cow<'static, str>>, value: &Tensor<T>) -> Result<Param, Error> {
        self.add_parameter(Kind::Buffer, name.into(), value)
    }

    fn add_parameter(&mut self, kind: Kind, name: Cow<'static, str>, value: &Tensor<T>) -> Result<Param, Error> {
        let recording = self.recording.get_mut();
        let index = recording.parameter(kind, name.clone(), value)?;
        let (shape, range) = (value.shape().clone(), recording.range(index));
        self.parameters.push(Parameter { name, shape, range, trained: kind == Kind::Parameter });
        Ok(Param { tape: self.identity, index })
    }

    /// The parameter as a variable of this recording.
    pub fn param(&self, param: Param) -> Var<'_, T> {
        if param.tape != self.identity {
            return self.fail(Error::Tape("a parameter of another tape"));
        }
        Var::new(self, param.index)
    }

    /// A leaf that gets a gradient, with the value of `tensor`.
    pub fn variable(&self, tensor: &Tensor<T>) -> Var<'_, T> {
        self.leaf(Kind::Variable, tensor.shape(), |values| {
            values.copy_from_slice(tensor.values());
            Ok(())
        })
    }

    /// A leaf of one number that gets a gradient.
    pub fn scalar(&self, value: T) -> Var<'_, T> {
        self.leaf(Kind::Variable, &Shape::scalar(), |values| {
            values[0] = value;
            Ok(())
        })
    }

    /// A leaf without gradient, with the value of `tensor`.
    pub fn constant(&self, tensor: &Tensor<T>) -> Var<'_, T> {
        self.leaf(Kind::Constant, tensor.shape(), |values| {
            values.copy_from_slice(tensor.values());
            Ok(())
        })
    }

    /// A leaf without gradient whose elements `fill` writes, in row-major order; it finds there whatever was left.
    ///
    /// This is how a mini-batch comes onto the tape without a copy in between. While `fill` runs, whatever else wants the
    /// tape's numbers gets an error.
    pub fn constant_with(
        &self,
        shape: impl Into<Shape>,
        fill: impl FnOnce(&mut [T]) -> Result<(), Error>,
    ) -> Var<'_, T> {
        self.leaf(Kind::Constant, &shape.into(), fill)
    }

    fn leaf(&self, kind: Kind, shape: &Shape, fill: impl FnOnce(&mut [T]) -> Result<(), Error>) -> Var<'_, T> {
        let recorded = match self.recording.try_borrow_mut() {
            Ok(mut recording) => recording.leaf(self.mode, kind, shape, fill),
            Err(_) => Err(IN_USE),
        };
        self.or_poisoned(recorded.map(|index| Var::new(self, index)))
    }

    /// Records `op` on `inputs` and computes it. If it fails, the tape keeps the error and the result is poisoned.
    pub fn apply<'t, O: Op<T>>(&'t self, op: O, inputs: &[Var<'t, T>]) -> Var<'t, T> {
        self.or_poisoned(self.try_apply(op, inputs))
    }

    /// Records `op` on `inputs` and computes it.
    ///
    /// # Errors
    /// The error of an input that is poisoned, and those of the operation. Nothing is recorded then.
    // Compiled once for each of this crate's operations: see `instances`.
    #[inline(never)]
    pub fn try_apply<'t, O: Op<T>>(&'t self, op: O, inputs: &[Var<'t, T>]) -> Result<Var<'t, T>, Error> {
        let mut recording = self.recording_of(inputs)?;
        let index = recording.operation(self.mode, op, &mut inputs.iter().copied().map(Var::index))?;
        Ok(Var::new(self, index))
    }

    /// The recording, to have an operation on `inputs` recorded.
    fn recording_of(&self, inputs: &[Var<'_, T>]) -> Result<RefMut<'_, Recording<T>>, Error> {
        for input in inputs {
            if !std::ptr::eq(input.tape(), self) {
                return Err(Error::Tape("a variable of another tape"));
            }
            input.check()?;
        }
        self.recording.try_borrow_mut().map_err(|_| IN_USE)
    }

    /// The variable, or a poisoned one if there is an error, which the tape keeps.
    pub(crate) fn or_poisoned<'t>(&'t self, result: Result<Var<'t, T>, Error>) -> Var<'t, T> {
        result.unwrap_or_else(|error| self.fail(error))
    }

    /// Keeps the first error, and yields a poisoned variable.
    pub fn fail(&self, error: Error) -> Var<'_, T> {
        let mut failure = self.failure.borrow_mut();
        if failure.is_none() {
            *failure = Some(match error {
                Error::Failed(shared) => shared,
                error => Arc::new(error),
            });
        }
        Var::poisoned(self)
    }

    /// Whether all operations since the last reset succeeded.
    ///
    /// # Errors
    /// The error of the first that failed.
    pub fn finish(&self) -> Result<(), Error> {
        match &*self.failure.borrow() {
            Some(error) => Err(Error::Failed(error.clone())),
            None => Ok(()),
        }
    }

    /// The variable that was given this name in this recording; the last one, if several were.
    ///
    /// # Errors
    /// [`Error::Name`] if there is none, or no name.
    pub fn find(&self, name: &str) -> Result<Var<'_, T>, Error> {
        let recording = self.look()?;
        match recording.find(name) {
            Some(index) if !name.is_empty() => Ok(Var::new(self, index)),
            _ => Err(Error::Name(name.into())),
        }
    }

    /// Forgets everything but the parameters, their gradients, and the memory. Counts as the end of a step.
    pub fn reset(&mut self) {
        self.recording.get_mut().reset();
        self.mode.step = self.mode.step.wrapping_add(1);
        *self.failure.get_mut() = None;
    }

    /// Number of resets so far: what random operations, such as dropout, are keyed by.
    pub fn step(&self) -> u64 {
        self.mode.step
    }

    /// Sets the number of resets so far, to go on where another tape stopped. As after [`Tape::parameters_mut`],
    /// backpropagation over what was recorded before is refused until a reset.
    pub fn set_step(&mut self, step: u64) {
        self.set_mode(Mode { step, ..self.mode });
    }

    /// Whether layers behave as in training (dropout drops, batch normalisation uses the batch) and gradients can be had.
    pub fn is_training(&self) -> bool {
        self.mode.training
    }

    /// Chooses between training and evaluation. What is recorded in evaluation has no gradient and takes no memory for one.
    /// As after [`Tape::parameters_mut`], backpropagation over what was recorded before is refused until a reset.
    pub fn set_training(&mut self, training: bool) {
        self.set_mode(Mode { training, ..self.mode });
    }

    /// Tells `observer` of every operation and leaf from now on, how long each took; without one, no clock is read. The last
    /// observer is dropped.
    pub fn set_observer(&mut self, observer: Option<Box<dyn Observer<T>>>) {
        self.recording.get_mut().set_observer(observer);
    }

    fn set_mode(&mut self, mode: Mode) {
        if mode != self.mode {
            self.recording.get_mut().outdate();
        }
        self.mode = mode;
    }

    /// Name, shape and place of each parameter, in the order in which they were added.
    pub fn for_each_parameter(&self, mut visit: impl FnMut(ParameterInfo<'_>)) {
        for Parameter { name, shape, range, trained } in &self.parameters {
            visit(ParameterInfo { name, shape, range: range.clone(), trained: *trained });
        }
    }

    /// Number of numbers in all parameters that are trained.
    pub fn parameter_count(&self) -> usize {
        self.parameters.iter().filter(|parameter| parameter.trained).map(|parameter| parameter.range.len()).sum()
    }

    /// Shows the flat parameters, each at its [`ParameterInfo::range`], to `look`. Nothing can be recorded meanwhile.
    ///
    /// # Errors
    /// [`Error::Tape`] inside of [`Tape::constant_with`].
    pub fn look_at_parameters<R>(&self, look: impl FnOnce(&[T]) -> R) -> Result<R, Error> {
        Ok(look(self.look()?.flat_parameters()))
    }

    /// The flat parameters, each at its [`ParameterInfo::range`]; between them are zeros.
    ///
    /// Values that were computed before are out of date then: backpropagation over them is refused until a reset.
    pub fn parameters_mut(&mut self) -> &mut [T] {
        self.parameters_and_gradients().0
    }

    /// The flat parameters and their gradients, which lie at the same places; see [`Tape::parameters_mut`].
    ///
    /// Gradients may be changed too, to clip them, say.
    pub fn parameters_and_gradients(&mut self) -> (&mut [T], &mut [T]) {
        self.recording.get_mut().parameters_and_gradients()
    }

    /// A copy of a parameter's value.
    ///
    /// # Errors
    /// [`Error::Tape`] if it belongs to another tape.
    pub fn value(&self, param: Param) -> Result<Tensor<T>, Error> {
        self.own(param)?;
        Var::new(self, param.index).value()
    }

    /// A copy of a parameter's gradient, zero if the value that was differentiated does not depend on it.
    ///
    /// # Errors
    /// [`Error::Tape`] if it belongs to another tape, or nothing was differentiated yet.
    pub fn gradient(&self, param: Param) -> Result<Tensor<T>, Error> {
        self.own(param)?;
        Var::new(self, param.index).gradient()
    }

    /// Replaces a parameter's value; see [`Tape::parameters_mut`].
    ///
    /// # Errors
    /// [`Error::Shapes`] if the shape differs, [`Error::Tape`] if it belongs to another tape. Nothing is changed then.
    pub fn set_value(&mut self, param: Param, value: &Tensor<T>) -> Result<(), Error> {
        self.own(param)?;
        self.recording.get_mut().set_parameter(param.index, value)
    }

    /// Changes a buffer while something is recorded: `update` gets what the operation behind `source` keeps, and the buffer.
    pub(crate) fn update_buffer(
        &self,
        buffer: Param,
        source: Var<'_, T>,
        update: impl FnOnce(&[T], &mut [T]),
    ) -> Result<(), Error> {
        self.own(buffer)?;
        source.check()?;
        let mut recording = self.recording.try_borrow_mut().map_err(|_| IN_USE)?;
        let (residual, value) = recording.residual_and_value(source.index(), buffer.index);
        update(residual, value);
        Ok(())
    }

    fn own(&self, param: Param) -> Result<(), Error> {
        if param.tape == self.identity { Ok(()) } else { Err(Error::Tape("a parameter of another tape")) }
    }

    /// The recording, to look at.
    fn look(&self) -> Result<Ref<'_, Recording<T>>, Error> {
        self.recording.try_borrow().map_err(|_| IN_USE)
    }

    /// The computational graph as it is now, with values and gradients: to look at, not to compute with.
    ///
    /// Inside of [`Tape::constant_with`] it is empty.
    pub fn graph(&self) -> Graph {
        self.look().map_or_else(|_| Graph { nodes: Vec::new() }, |recording| Graph::new(&recording))
    }

    /// Bytes of the values, gradients and residuals that are on the tape now, with the gaps that put each on a cache line. The
    /// memory of longer recordings before is kept beyond that.
    ///
    /// # Errors
    /// [`Error::Tape`] inside of [`Tape::constant_with`].
    pub fn memory(&self) -> Result<usize, Error> {
        Ok(self.look()?.memory())
    }
}

/// What an operation meets that is recorded while a closure looks into the tape, or looks into it while one writes to it.
const IN_USE: Error =
    Error::Tape("a closure that looks at values of the tape, or fills one, cannot use the tape itself");
