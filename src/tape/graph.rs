//! The computational graph of a tape, to look at.

use super::recording::{Kind, Recording};
use crate::shape::Shape;
use lanegrad_kernels::isa::Scalar;
use std::fmt::{self, Write};

/// Elements of a value or gradient that are shown.
const SHOWN: usize = 4;

/// A node of a computational graph.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphNode {
    /// Its name; empty if it was given none.
    pub name: String,
    /// `parameter`, `buffer`, `variable`, `constant`, or what the operation is called.
    pub op: &'static str,
    /// Its shape.
    pub shape: Shape,
    /// Positions of its inputs in the graph; all precede it.
    pub inputs: Vec<usize>,
    /// Its first few elements.
    pub value: Vec<f64>,
    /// The Euclidean norm of all its elements.
    pub norm: f64,
    /// The first few elements of its gradient, if it has one.
    pub gradient: Option<Vec<f64>>,
    /// The Euclidean norm of all elements of its gradient; 0 if it has none.
    pub gradient_norm: f64,
}

impl GraphNode {
    /// Its name, or `%position` for the node at that position of the graph.
    pub fn label(&self, position: usize) -> String {
        if self.name.is_empty() { format!("%{position}") } else { self.name.clone() }
    }

    /// Whether it is no operation's result.
    pub fn is_leaf(&self) -> bool {
        self.inputs.is_empty()
    }

    /// Its value as text: all its elements if they are few, else the first ones and the norm.
    pub fn value_text(&self) -> String {
        self.numbers(&self.value, self.norm)
    }

    /// Its gradient as text, if it has one.
    pub fn gradient_text(&self) -> Option<String> {
        self.gradient.as_ref().map(|gradient| self.numbers(gradient, self.gradient_norm))
    }

    fn numbers(&self, numbers: &[f64], norm: f64) -> String {
        let shown: Vec<String> = numbers.iter().map(|x| Number(*x).to_string()).collect();
        let more = self.shape.elements().is_ok_and(|elements| elements > numbers.len());
        match (shown.as_slice(), self.shape.rank()) {
            ([one], 0) => one.clone(),
            _ if more => format!("[{}, ...] norm {}", shown.join(", "), Number(norm)),
            _ => format!("[{}]", shown.join(", ")),
        }
    }
}

/// A number with as many digits as tell something.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounded: f64 = format!("{:.5e}", self.0).parse().unwrap_or(self.0);
        if self.0 != 0.0 && !(1e-4..1e7).contains(&self.0.abs()) {
            write!(formatter, "{rounded:e}")
        } else {
            write!(formatter, "{rounded}")
        }
    }
}

/// A computational graph: every value with its name, shape, numbers and gradient, inputs before what is computed from them.
///
/// Displayed, it is a table with a line for each node; [`Graph::dot`] draws it.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// The nodes, in the order in which they were computed.
    pub nodes: Vec<GraphNode>,
}

impl Graph {
    pub(super) fn new<T: Scalar>(recording: &Recording<T>) -> Self {
        let first = |values: &[T]| values.iter().take(SHOWN).map(|x| x.to_f64()).collect();
        let norm = |values: &[T]| values.iter().map(|x| x.to_f64() * x.to_f64()).sum::<f64>().sqrt();
        let nodes = recording.nodes().iter().enumerate().map(|(index, node)| GraphNode {
            name: node.name.to_string(),
            op: match (node.kind, &node.op) {
                (Kind::Operation, Some(op)) => op.name(),
                (Kind::Parameter, _) => "parameter",
                (Kind::Buffer, _) => "buffer",
                (Kind::Variable, _) => "variable",
                _ => "constant",
            },
            shape: node.shape.clone(),
            inputs: recording.inputs(node).iter().map(|&input| input as usize).collect(),
            value: first(recording.values(index)),
            norm: norm(recording.values(index)),
            gradient: recording.gradient(index).ok().map(|gradient| match gradient {
                Some(gradient) => first(gradient),
                None => vec![0.0; SHOWN.min(node.value.len())],
            }),
            gradient_norm: recording.gradient(index).ok().flatten().map_or(0.0, norm),
        });
        Self { nodes: nodes.collect() }
    }

    /// The graph in the language of Graphviz: values in green, gradients in red, as on the lecture's slides.
    pub fn dot(&self) -> String {
        let mut text = String::from("digraph {\n  rankdir=LR;\n  node [shape=box, fontname=\"monospace\"];\n");
        for (position, node) in self.nodes.iter().enumerate() {
            let gradient = node.gradient_text().map_or(String::new(), |gradient| {
                format!("<br/><font color=\"#b00020\">{}</font>", escaped(&gradient))
            });
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "  n{position} [label=<<b>{}</b> {} {}<br/><font color=\"#00701a\">{}</font>{gradient}>];",
                escaped(&node.label(position)),
                escaped(node.op),
                node.shape,
                escaped(&node.value_text()),
            );
            for input in &node.inputs {
                let _ = writeln!(text, "  n{input} -> n{position};");
            }
        }
        text + "}\n"
    }
}

/// Text inside of an HTML-like label.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

impl fmt::Display for Graph {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.nodes.iter().enumerate().map(|(position, node)| {
            let inputs: Vec<String> = node.inputs.iter().map(|&input| self.nodes[input].label(input)).collect();
            [
                node.label(position),
                format!("{}({})", node.op, inputs.join(", ")),
                node.shape.to_string(),
                format!("value {}", node.value_text()),
                node.gradient_text().map_or(String::new(), |gradient| format!("gradient {gradient}")),
            ]
        });
        let rows: Vec<_> = rows.collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths = [0, 1, 2, 3].map(width);
        for row in &rows {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            let line = cells.chain([row[4].clone()]).collect::<Vec<_>>().join("  ");
            writeln!(formatter, "{}", line.trim_end())?;
        }
        Ok(())
    }
}
