//! Variables: values on a tape.

use super::Tape;
use super::recording::Recording;
use crate::error::Error;
use crate::shape::Shape;
use crate::tensor::Tensor;
use lanegrad_kernels::isa::Scalar;
use std::borrow::Cow;
use std::cell::Ref;
use std::fmt;

/// A value on a tape, until that tape is reset.
///
/// Operators and methods record operations; see [`crate::ops`] for all of them.
pub struct Var<'t, T: Scalar = f32> {
    tape: &'t Tape<T>,
    index: u32,
}

/// The index of a variable that stands for a failed operation's result.
const POISONED: u32 = u32::MAX;

impl<T: Scalar> Clone for Var<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Scalar> Copy for Var<'_, T> {}

impl<T: Scalar> fmt::Debug for Var<'_, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value() {
            Ok(value) => write!(formatter, "Var({value:?})"),
            Err(error) => write!(formatter, "Var({error})"),
        }
    }
}

impl<'t, T: Scalar> Var<'t, T> {
    pub(super) fn new(tape: &'t Tape<T>, index: u32) -> Self {
        Self { tape, index }
    }

    pub(super) fn poisoned(tape: &'t Tape<T>) -> Self {
        Self { tape, index: POISONED }
    }

    pub(super) fn index(self) -> u32 {
        self.index
    }

    /// The tape that it is on.
    pub fn tape(self) -> &'t Tape<T> {
        self.tape
    }

    /// Whether it stands for the result of an operation that succeeded.
    ///
    /// # Errors
    /// The error of the operation that failed.
    pub fn check(self) -> Result<(), Error> {
        if self.index == POISONED { self.tape.finish() } else { Ok(()) }
    }

    /// The recording that it is in, to look at.
    fn recording(self) -> Result<Ref<'t, Recording<T>>, Error> {
        self.check()?;
        self.tape.look()
    }

    /// Gives it a name, for graphs and [`Tape::find`]. A parameter keeps its own: another poisons the result.
    pub fn named(self, name: impl Into<Cow<'static, str>>) -> Self {
        if self.index != POISONED {
            let named = match self.tape.recording.try_borrow_mut() {
                Ok(mut recording) => recording.set_name(self.index as usize, name.into()),
                Err(_) => Err(super::IN_USE),
            };
            if let Err(error) = named {
                return self.tape.fail(error);
            }
        }
        self
    }

    /// Its shape.
    ///
    /// # Errors
    /// The error of the operation that failed, if it is poisoned.
    pub fn shape(self) -> Result<Shape, Error> {
        Ok(self.recording()?.nodes()[self.index as usize].shape.clone())
    }

    /// A copy of its value.
    ///
    /// # Errors
    /// The error of the operation that failed, if it is poisoned.
    pub fn value(self) -> Result<Tensor<T>, Error> {
        let shape = self.shape()?;
        self.look(|values| Tensor::from_slice(shape, values))?
    }

    /// Shows its elements, row-major, to `look`. Nothing can be recorded meanwhile.
    ///
    /// # Errors
    /// The error of the operation that failed, if it is poisoned.
    pub fn look<R>(self, look: impl FnOnce(&[T]) -> R) -> Result<R, Error> {
        Ok(look(self.recording()?.values(self.index as usize)))
    }

    /// Its only element.
    ///
    /// # Errors
    /// [`Error::Shape`] if it does not have exactly one; the error of the operation that failed, if it is poisoned.
    pub fn item(self) -> Result<T, Error> {
        let item = self.look(|values| if let &[item] = values { Some(item) } else { None })?;
        item.ok_or(Error::Shape { op: "item", shape: self.shape()?, wanted: "one element was wanted" })
    }

    /// A copy of its gradient: the derivative of what was differentiated by each of its elements. Zero where that does not
    /// depend on it.
    ///
    /// # Errors
    /// [`Error::Tape`] if nothing was differentiated yet, or it is a constant.
    pub fn gradient(self) -> Result<Tensor<T>, Error> {
        let shape = self.shape()?;
        match self.recording()?.gradient(self.index as usize)? {
            Some(gradient) => Tensor::from_slice(shape, gradient),
            None => Tensor::zeros(shape),
        }
    }

    /// Backpropagation: the gradient of this number by all it was computed from.
    ///
    /// # Errors
    /// [`Error::Shape`] if it is more than one number (see [`Var::backward_from`]); [`Error::Tape`] for a second time before
    /// a reset, after a change of parameters, or if it depends on constants alone; the error of the operation that failed, if
    /// it is poisoned.
    pub fn backward(self) -> Result<(), Error> {
        let shape = self.shape()?;
        if shape.elements()? != 1 {
            return Err(Error::Shape { op: "backward", shape, wanted: "the gradient is that of one number" });
        }
        self.run_backward(None)
    }

    /// Backpropagation of a vector-Jacobian product: the gradient of the sum of its elements times those of `cotangent`.
    ///
    /// # Errors
    /// [`Error::Shapes`] if the shapes differ; otherwise those of [`Var::backward`].
    pub fn backward_from(self, cotangent: &Tensor<T>) -> Result<(), Error> {
        let shape = self.shape()?;
        if shape != *cotangent.shape() {
            return Err(Error::Shapes { op: "backward", left: shape, right: cotangent.shape().clone() });
        }
        self.run_backward(Some(cotangent.values()))
    }

    fn run_backward(self, seed: Option<&[T]>) -> Result<(), Error> {
        let mut recording = self.tape.recording.try_borrow_mut().map_err(|_| super::IN_USE)?;
        recording.backward(self.tape.mode, self.index as usize, seed)
    }
}
