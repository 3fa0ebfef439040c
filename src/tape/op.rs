//! What an operation is.

use super::recording::Node;
use crate::error::Error;
use crate::shape::Shape;
use lanegrad_kernels::isa::Scalar;
use std::any::Any;
use std::fmt::Debug;

/// An operation on the tape: how to compute it, and its vector-Jacobian product (vjp).
///
/// ```
/// use lanegrad::tape::{Backward, Forward, Inputs, Op, Output, Tape};
/// use lanegrad::{Error, kernels::isa::Scalar};
///
/// /// y = x^2.
/// #[derive(Debug)]
/// struct Square;
///
/// impl<T: Scalar> Op<T> for Square {
///     fn name(&self) -> &'static str {
///         "square"
///     }
///     fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error> {
///         Ok(Output::of(inputs.shape(0)))
///     }
///     fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error> {
///         let x = pass.inputs.values(0);
///         pass.output.iter_mut().zip(x).for_each(|(y, &x)| *y = x * x);
///         Ok(())
///     }
///     fn vjp(&self, mut pass: Backward<'_, T>) -> Result<(), Error> {
///         let (x, dy) = (pass.inputs.values(0), pass.gradient);
///         if let Some(dx) = pass.input_gradient(0) {
///             let terms = x.iter().zip(dy);
///             dx.accumulator().iter_mut().zip(terms).for_each(|(dx, (&x, &dy))| *dx += (x + x) * dy);
///         }
///         Ok(())
///     }
/// }
///
/// let tape = Tape::<f64>::new();
/// let x = tape.scalar(3.0);
/// tape.apply(Square, &[x]).backward()?;
/// assert_eq!(x.gradient()?.item()?, 6.0);
/// # Ok::<(), Error>(())
/// ```
///
/// The tape keeps an operation where it keeps its node, and its memory from step to step: one that holds no allocation
/// of its own lets a step run without any.
pub trait Op<T: Scalar>: Any + Debug + Send {
    /// What it is called in graphs and errors.
    fn name(&self) -> &'static str;

    /// Whether it can be applied to that many inputs: one, unless it says otherwise. The other methods get no other number.
    fn takes(&self, inputs: usize) -> bool {
        inputs == 1
    }

    /// The shape of the result, and how much the operation wants to keep for its vjp.
    ///
    /// # Errors
    /// If it cannot be applied to these inputs; their shapes are named.
    fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error>;

    /// Computes the result: writes every element of the output.
    ///
    /// # Errors
    /// If it cannot be computed.
    fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error>;

    /// Adds the cotangent of each input that wants one, given that of the output.
    ///
    /// # Errors
    /// If it cannot be computed.
    fn vjp(&self, pass: Backward<'_, T>) -> Result<(), Error>;
}

/// What an operation needs of the arenas.
#[derive(Clone, Debug)]
pub struct Output {
    /// The shape of the result.
    pub shape: Shape,
    /// Numbers that the operation keeps from [`Op::forward`] to [`Op::vjp`].
    pub residual: usize,
}

impl Output {
    /// A result of this shape, and nothing to keep.
    pub fn of(shape: impl Into<Shape>) -> Self {
        Self { shape: shape.into(), residual: 0 }
    }

    /// Also keeps `residual` numbers.
    pub fn keeping(self, residual: usize) -> Self {
        Self { residual, ..self }
    }
}

/// The inputs of an operation.
#[derive(Debug)]
pub struct Inputs<'a, T> {
    pub(super) nodes: &'a [Node<T>],
    pub(super) edges: &'a [u32],
    pub(super) values: &'a [T],
}

impl<T> Clone for Inputs<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Inputs<'_, T> {}

impl<'a, T> Inputs<'a, T> {
    /// Number of inputs.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.edges.len()
    }

    fn node(&self, i: usize) -> &'a Node<T> {
        &self.nodes[self.edges[i] as usize]
    }

    /// The shape of input `i`.
    pub fn shape(&self, i: usize) -> &'a Shape {
        &self.node(i).shape
    }

    /// The elements of input `i`, row-major.
    pub fn values(&self, i: usize) -> &'a [T] {
        &self.values[self.node(i).value.clone()]
    }

    /// Whether input `i` wants a gradient.
    pub fn wants_gradient(&self, i: usize) -> bool {
        self.node(i).wants_gradient
    }
}

/// What [`Op::forward`] works on.
#[derive(Debug)]
pub struct Forward<'a, T> {
    /// The inputs.
    pub inputs: Inputs<'a, T>,
    /// The shape of the output.
    pub shape: &'a Shape,
    /// The elements to be written; whatever was left there before.
    pub output: &'a mut [T],
    /// What [`Op::vjp`] will find; whatever was left there before.
    pub residual: &'a mut [T],
    /// Number of resets of the tape so far, the key of what is random.
    pub step: u64,
}

/// What [`Op::vjp`] works on.
#[derive(Debug)]
pub struct Backward<'a, T> {
    /// The inputs.
    pub inputs: Inputs<'a, T>,
    /// The shape of the output.
    pub shape: &'a Shape,
    /// The elements of the output.
    pub output: &'a [T],
    /// The cotangent of the output: the derivative of what was differentiated by each of its elements.
    pub gradient: &'a [T],
    /// What [`Op::forward`] left; free to be used as scratch.
    pub residual: &'a mut [T],
    /// Number of resets of the tape so far, as in [`Op::forward`].
    pub step: u64,
    pub(super) gradients: &'a mut [T],
    pub(super) reached: &'a mut [bool],
}

impl<T: Scalar> Backward<'_, T> {
    /// The cotangent of input `i`, to be added to; nothing if nobody wants it.
    pub fn input_gradient(&mut self, i: usize) -> Option<InputGradient<'_, T>> {
        let node = self.inputs.node(i);
        if !node.wants_gradient {
            return None;
        }
        let reached = &mut self.reached[self.inputs.edges[i] as usize];
        Some(InputGradient { values: &mut self.gradients[node.gradient..][..node.value.len()], reached })
    }
}

/// The cotangent of an input: the sum over all operations that use it.
#[derive(Debug)]
pub struct InputGradient<'a, T> {
    values: &'a mut [T],
    /// Whether there is something in the values: not before one of the methods hands them out.
    reached: &'a mut bool,
}

impl<'a, T: Scalar> InputGradient<'a, T> {
    /// The elements, to be added to.
    pub fn accumulator(self) -> &'a mut [T] {
        let (values, add) = self.parts();
        if !add {
            values.fill(T::ZERO);
        }
        values
    }

    /// The elements, and whether there is something in them to be added to; if not, all of them must be overwritten.
    ///
    /// For a kernel that does both without a pass of zeros: `beta` of a matrix product, say.
    pub fn parts(self) -> (&'a mut [T], bool) {
        (self.values, std::mem::replace(self.reached, true))
    }
}
