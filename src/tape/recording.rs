//! The arenas and nodes behind a tape.

use super::observer::{Observed, Observer, Pass};
use super::op::{Backward, Forward, Inputs, Op, Output};
use crate::error::Error;
use crate::shape::Shape;
use crate::tensor::Tensor;
use lanegrad_kernels::aligned::{AlignedVec, CACHE_LINE};
use lanegrad_kernels::isa::Scalar;
use std::any::Any;
use std::borrow::Cow;
use std::ops::Range;
use std::time::Instant;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A leaf that outlives resets and gets a gradient.
    Parameter,
    /// A leaf that outlives resets and gets none.
    Buffer,
    /// A leaf that gets a gradient.
    Variable,
    /// A leaf without one.
    Constant,
    /// The result of an operation.
    Operation,
}

/// One value on the tape.
#[derive(Debug)]
pub(super) struct Node<T> {
    pub kind: Kind,
    /// The operation; that of an earlier recording if this node is a leaf now.
    pub op: Option<Box<dyn Op<T>>>,
    /// Where its inputs stand among the edges.
    pub edges: Range<usize>,
    pub shape: Shape,
    /// Its place in the arena of values.
    pub value: Range<usize>,
    /// Its start in the arena of gradients, if it wants one.
    pub gradient: usize,
    pub residual: Range<usize>,
    pub wants_gradient: bool,
    pub name: Cow<'static, str>,
}

/// What a tape's user chooses between recordings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mode {
    pub training: bool,
    /// Number of resets so far.
    pub step: u64,
}

/// The nodes of a tape and the arenas that their numbers lie in, parameters first.
#[derive(Debug)]
pub(super) struct Recording<T: Scalar> {
    values: AlignedVec<T>,
    gradients: AlignedVec<T>,
    residuals: AlignedVec<T>,
    /// The first `length` are in use; those beyond are kept for their memory.
    nodes: Vec<Node<T>>,
    length: usize,
    /// Inputs of the nodes, one after the other.
    edges: Vec<u32>,
    /// How many of the nodes are parameters.
    parameters: usize,
    /// Length of the arena of gradients that this recording needs.
    gradient_length: usize,
    /// Nodes whose gradient has been written, during and after backpropagation.
    reached: Vec<bool>,
    differentiated: bool,
    /// Whether parameters, mode or step changed after something was computed with them.
    outdated: bool,
    observer: Option<Box<dyn Observer<T>>>,
}

/// Rounds a place in an arena up to a cache line.
fn aligned<T>(position: usize) -> usize {
    position.next_multiple_of(CACHE_LINE / size_of::<T>())
}

impl<T: Scalar> Recording<T> {
    pub fn new() -> Self {
        Self {
            values: AlignedVec::default(),
            gradients: AlignedVec::default(),
            residuals: AlignedVec::default(),
            nodes: Vec::new(),
            length: 0,
            edges: Vec::new(),
            parameters: 0,
            gradient_length: 0,
            reached: Vec::new(),
            differentiated: false,
            outdated: false,
            observer: None,
        }
    }

    pub fn set_observer(&mut self, observer: Option<Box<dyn Observer<T>>>) {
        self.observer = observer;
    }

    /// When something starts that the observer wants to know of, if there is one.
    fn clock(&self) -> Option<Instant> {
        self.observer.as_ref().map(|_| Instant::now())
    }

    /// Tells the observer of what started at `start`.
    fn observed(&mut self, start: Option<Instant>, index: usize, pass: Pass) {
        let (Some(start), Some(observer)) = (start, &mut self.observer) else {
            return;
        };
        let elapsed = start.elapsed();
        let node = &self.nodes[index];
        let inputs = Inputs { nodes: &self.nodes, edges: &self.edges[node.edges.clone()], values: &self.values };
        let op = node.op.as_ref().filter(|_| node.kind == Kind::Operation);
        let name = op.map_or("leaf", |op| op.name());
        observer.observe(Observed { node: index, name, pass, inputs, shape: &node.shape, elapsed });
    }

    pub fn parameter(&mut self, kind: Kind, name: Cow<'static, str>, value: &Tensor<T>) -> Result<u32, Error> {
        if self.length != self.parameters {
            return Err(Error::Tape("a parameter can only be added to a tape with nothing recorded on it"));
        }
        if self.find(&name).is_some() {
            return Err(Error::Tape("two parameters of one name"));
        }
        // A parameter's gradient has a place whatever the mode, and a buffer's too, so that one range serves both arenas.
        let end = self.parameter_end();
        let index = self.node(kind, value.shape().clone(), 0, true)?;
        let range = self.nodes[index].value.clone();
        if self.gradients.len() < range.end && self.gradients.try_resize(range.end).is_err() {
            self.pop();
            return Err(Error::TooLarge { shape: value.shape().clone() });
        }
        // Earlier recordings had numbers there.
        self.values[end..range.start].fill(T::ZERO);
        self.gradients[end..range.end].fill(T::ZERO);
        let node = &mut self.nodes[index];
        node.wants_gradient = kind == Kind::Parameter;
        node.name = name;
        self.values[range].copy_from_slice(value.values());
        self.parameters = self.length;
        Ok(index as u32)
    }

    pub fn leaf(
        &mut self,
        mode: Mode,
        kind: Kind,
        shape: &Shape,
        fill: impl FnOnce(&mut [T]) -> Result<(), Error>,
    ) -> Result<u32, Error> {
        let wants_gradient = kind != Kind::Constant && mode.training;
        let index = self.node(kind, shape.clone(), 0, wants_gradient)?;
        let range = self.nodes[index].value.clone();
        let edges = self.edges.len();
        self.nodes[index].edges = edges..edges;
        let start = self.clock();
        fill(&mut self.values[range]).inspect_err(|_| self.pop())?;
        self.observed(start, index, Pass::Forward);
        Ok(index as u32)
    }

    /// Records `op` on `inputs`, which are indices of nodes in use, and computes it.
    pub fn operation<O: Op<T>>(
        &mut self,
        mode: Mode,
        op: O,
        inputs: &mut dyn Iterator<Item = u32>,
    ) -> Result<u32, Error> {
        // Nothing but the second line is compiled for each kind of operation.
        let index = self.prepare(mode, &op, inputs)?;
        self.keep(index, op);
        self.compute(mode, index)
    }

    /// Makes a node for the result of `op` on `inputs`.
    fn prepare(&mut self, mode: Mode, op: &dyn Op<T>, inputs: &mut dyn Iterator<Item = u32>) -> Result<usize, Error> {
        let first_edge = self.edges.len();
        self.edges.extend(inputs);
        let edges = first_edge..self.edges.len();
        let inputs = Inputs { nodes: &self.nodes, edges: &self.edges[edges.clone()], values: &self.values };
        let wants_gradient = mode.training && (0..inputs.len()).any(|i| inputs.wants_gradient(i));
        let output = if op.takes(inputs.len()) {
            op.output(inputs)
        } else {
            Err(Error::Inputs { op: op.name(), found: inputs.len() })
        };
        let made =
            output.and_then(|Output { shape, residual }| self.node(Kind::Operation, shape, residual, wants_gradient));
        match &made {
            Ok(index) => self.nodes[*index].edges = edges,
            Err(_) => self.edges.truncate(first_edge),
        }
        made
    }

    /// Gives a node its operation.
    fn keep<O: Op<T>>(&mut self, index: usize, op: O) {
        let node = &mut self.nodes[index];
        // The box of an earlier step is used again if it held the same kind of operation.
        match node.op.as_mut().and_then(|kept| (kept.as_mut() as &mut dyn Any).downcast_mut::<O>()) {
            Some(kept) => *kept = op,
            None => node.op = Some(Box::new(op)),
        }
    }

    /// Computes the value of a node; takes it back if that fails.
    fn compute(&mut self, mode: Mode, index: usize) -> Result<u32, Error> {
        let start = self.clock();
        let node = &self.nodes[index];
        let (earlier, rest) = self.values.split_at_mut(node.value.start);
        let pass = Forward {
            inputs: Inputs { nodes: &self.nodes, edges: &self.edges[node.edges.clone()], values: earlier },
            shape: &node.shape,
            output: &mut rest[..node.value.len()],
            residual: &mut self.residuals[node.residual.clone()],
            step: mode.step,
        };
        let op = node.op.as_ref().expect("an operation's node has its operation");
        op.forward(pass).inspect_err(|_| self.pop())?;
        self.observed(start, index, Pass::Forward);
        Ok(index as u32)
    }

    /// Makes room for one more node and its numbers.
    fn node(&mut self, kind: Kind, shape: Shape, residual: usize, wants_gradient: bool) -> Result<usize, Error> {
        let too_large = |shape: &Shape| Error::TooLarge { shape: shape.clone() };
        let elements = shape.elements()?;
        let index = self.length;
        if index >= u32::MAX as usize {
            return Err(Error::Tape("more operations than a tape can hold"));
        }
        let end = |start: usize, length: usize| start.checked_add(length).ok_or_else(|| too_large(&shape));
        let (start, residual_start) = (aligned::<T>(self.values.len()), aligned::<T>(self.residuals.len()));
        let value = start..end(start, elements)?;
        let residual = residual_start..end(residual_start, residual)?;
        let gradient = aligned::<T>(self.gradient_length);
        let gradient_end = if wants_gradient { end(gradient, elements)? } else { self.gradient_length };
        let (old_values, old_residuals) = (self.values.len(), self.residuals.len());
        self.values.try_resize(value.end).map_err(|_| too_large(&shape))?;
        if self.residuals.try_resize(residual.end).is_err() {
            self.values.resize(old_values);
            self.residuals.resize(old_residuals);
            return Err(too_large(&shape));
        }
        self.gradient_length = gradient_end;
        self.length += 1;
        let edges = 0..0;
        if let Some(node) = self.nodes.get_mut(index) {
            let op = node.op.take();
            *node = Node { kind, op, edges, shape, value, gradient, residual, wants_gradient, name: Cow::Borrowed("") };
        } else {
            let name = Cow::Borrowed("");
            self.nodes.push(Node { kind, op: None, edges, shape, value, gradient, residual, wants_gradient, name });
        }
        Ok(index)
    }

    /// Takes the last node back.
    fn pop(&mut self) {
        self.truncate(self.length - 1);
    }

    /// Keeps the first `length` nodes.
    fn truncate(&mut self, length: usize) {
        let last = self.nodes[..length].last();
        self.values.resize(last.map_or(0, |node| node.value.end));
        self.residuals.resize(last.map_or(0, |node| node.residual.end));
        self.edges.truncate(last.map_or(0, |node| node.edges.end));
        let with_gradient =
            self.nodes[..length].iter().rev().find(|node| node.wants_gradient || node.kind == Kind::Buffer);
        self.gradient_length = with_gradient.map_or(0, |node| node.gradient + node.value.len());
        self.length = length;
    }

    pub fn reset(&mut self) {
        self.truncate(self.parameters);
        self.outdated = false;
        // The gradients of the parameters can still be read, but nothing else may be differentiated into them twice.
        if self.differentiated {
            self.reached.truncate(self.parameters);
        }
        self.differentiated = false;
    }

    /// Refuses, until a reset, to differentiate what was recorded: what it was computed with has changed.
    pub fn outdate(&mut self) {
        self.outdated |= self.length > self.parameters;
    }

    pub fn nodes(&self) -> &[Node<T>] {
        &self.nodes[..self.length]
    }

    pub fn inputs(&self, node: &Node<T>) -> &[u32] {
        &self.edges[node.edges.clone()]
    }

    pub fn values(&self, index: usize) -> &[T] {
        &self.values[self.nodes[index].value.clone()]
    }

    pub fn set_name(&mut self, index: usize, name: Cow<'static, str>) -> Result<(), Error> {
        if index < self.parameters {
            return Err(Error::Tape("a parameter keeps the name that it was added with"));
        }
        self.nodes[index].name = name;
        Ok(())
    }

    pub fn find(&self, name: &str) -> Option<u32> {
        self.nodes().iter().rposition(|node| node.name == name).map(|index| index as u32)
    }

    /// Where the value of a node lies.
    pub fn range(&self, index: u32) -> Range<usize> {
        self.nodes[index as usize].value.clone()
    }

    /// Elements from the start of the arenas to the end of the last parameter.
    fn parameter_end(&self) -> usize {
        self.nodes[..self.parameters].last().map_or(0, |node| node.value.end)
    }

    pub fn flat_parameters(&self) -> &[T] {
        &self.values[..self.parameter_end()]
    }

    pub fn parameters_and_gradients(&mut self) -> (&mut [T], &mut [T]) {
        self.outdate();
        let end = self.parameter_end();
        if self.gradients.len() < end {
            self.gradients.resize(end);
        }
        (&mut self.values[..end], &mut self.gradients[..end])
    }

    pub fn set_parameter(&mut self, index: u32, value: &Tensor<T>) -> Result<(), Error> {
        let node = &self.nodes[index as usize];
        if node.shape != *value.shape() {
            let (left, right) = (node.shape.clone(), value.shape().clone());
            return Err(Error::Shapes { op: "parameter", left, right });
        }
        self.values[node.value.clone()].copy_from_slice(value.values());
        self.outdate();
        Ok(())
    }

    /// What the operation of node `source` keeps, and the value of node `target`.
    pub fn residual_and_value(&mut self, source: u32, target: u32) -> (&[T], &mut [T]) {
        let (source, target) = (&self.nodes[source as usize], &self.nodes[target as usize]);
        (&self.residuals[source.residual.clone()], &mut self.values[target.value.clone()])
    }

    /// The gradient of a node, if something was differentiated; `None` inside stands for zeros.
    pub fn gradient(&self, index: usize) -> Result<Option<&[T]>, Error> {
        let node = &self.nodes[index];
        if !node.wants_gradient {
            return Err(Error::Tape("a constant, or a value that depends on nothing but constants, has no gradient"));
        }
        match self.reached.get(index) {
            Some(true) => Ok(Some(&self.gradients[node.gradient..][..node.value.len()])),
            Some(false) => Ok(None),
            None => Err(Error::Tape("there is no gradient before backpropagation")),
        }
    }

    pub fn memory(&self) -> usize {
        (self.values.len() + self.gradients.len() + self.residuals.len()) * size_of::<T>()
    }

    /// Goes back from node `root`, whose cotangent is `seed` (ones, if there is none).
    pub fn backward(&mut self, mode: Mode, root: usize, seed: Option<&[T]>) -> Result<(), Error> {
        if self.differentiated {
            return Err(Error::Tape("backpropagation ran already; reset the tape and compute anew before the next"));
        }
        if self.outdated {
            return Err(Error::Tape(
                "parameters, mode or step were changed after this was computed; reset and compute anew",
            ));
        }
        if !self.nodes[root].wants_gradient {
            return Err(Error::Tape("this value depends on no variable or parameter that wants a gradient"));
        }
        let shape = || Error::TooLarge { shape: self.nodes[root].shape.clone() };
        self.gradients.try_resize(self.gradient_length).map_err(|_| shape())?;
        self.reached.clear();
        self.reached.resize(self.length, false);
        let start = self.nodes[root].gradient;
        let gradient = &mut self.gradients[start..][..self.nodes[root].value.len()];
        match seed {
            Some(seed) => gradient.copy_from_slice(seed),
            None => gradient.fill(T::ONE),
        }
        self.reached[root] = true;
        self.differentiated = true;
        for index in (self.parameters..=root).rev() {
            if self.reached[index] && self.nodes[index].kind == Kind::Operation {
                self.go_back_over(mode, index)?;
            }
        }
        for (node, _) in self.nodes[..self.parameters].iter().zip(&self.reached).filter(|(_, reached)| !**reached) {
            self.gradients[node.gradient..][..node.value.len()].fill(T::ZERO);
        }
        Ok(())
    }

    fn go_back_over(&mut self, mode: Mode, index: usize) -> Result<(), Error> {
        let start = self.clock();
        let node = &self.nodes[index];
        // The inputs of a node precede it in every arena.
        let (gradients, rest) = self.gradients.split_at_mut(node.gradient);
        let pass = Backward {
            inputs: Inputs { nodes: &self.nodes, edges: &self.edges[node.edges.clone()], values: &self.values },
            shape: &node.shape,
            output: &self.values[node.value.clone()],
            gradient: &rest[..node.value.len()],
            residual: &mut self.residuals[node.residual.clone()],
            step: mode.step,
            gradients,
            reached: &mut self.reached,
        };
        node.op.as_ref().expect("an operation's node has its operation").vjp(pass)?;
        self.observed(start, index, Pass::Backward);
        Ok(())
    }
}
