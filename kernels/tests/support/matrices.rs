//! Matrices in every order of their elements, whose padding shows whether it was used.

#![allow(dead_code, reason = "each test file uses a part")]

use lanegrad_kernels::isa::Scalar;
use lanegrad_kernels::{MatMut, MatRef};
use rand::{Rng, RngExt};

/// How a matrix lies in memory: line after line, where a line is a row or, `by_columns`, a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Order {
    pub by_columns: bool,
    /// Elements between two neighbours of a line.
    pub gap: usize,
    /// Elements between the end of a line and the start of the next.
    pub padding: usize,
    /// The last line comes first.
    pub lines_reversed: bool,
    /// The last element of a line comes first.
    pub elements_reversed: bool,
    /// All lines lie at one place.
    pub is_repeated: bool,
}

pub const ROWS: Order = Order {
    by_columns: false,
    gap: 0,
    padding: 0,
    lines_reversed: false,
    elements_reversed: false,
    is_repeated: false,
};
pub const COLUMNS: Order = Order { by_columns: true, ..ROWS };

const BY_LINES: [Order; 2] = [ROWS, COLUMNS];
const TRUTHS: [bool; 2] = [false, true];

impl Order {
    /// Rows and columns: adjacent, padded, scattered, reversed.
    pub fn eight() -> Vec<Self> {
        let kinds = |order| {
            [
                order,
                Self { padding: 3, ..order },
                Self { gap: 1, padding: 2, ..order },
                Self { lines_reversed: true, elements_reversed: true, ..order },
            ]
        };
        BY_LINES.into_iter().flat_map(kinds).collect()
    }

    /// Rows and columns, adjacent or padded, lines forwards or backwards, elements forwards or backwards.
    pub fn sixteen() -> Vec<Self> {
        let mut orders = Vec::new();
        for order in BY_LINES {
            for padding in [0, 5] {
                for lines_reversed in TRUTHS {
                    for elements_reversed in TRUTHS {
                        orders.push(Self { padding, lines_reversed, elements_reversed, ..order });
                    }
                }
            }
        }
        orders
    }

    /// Any order in which no two elements coincide; half of them have adjacent elements.
    pub fn random(generator: &mut impl Rng) -> Self {
        let gap = if generator.random_bool(0.7) { 0 } else { generator.random_range(1..4) };
        Self {
            by_columns: generator.random(),
            gap,
            padding: if generator.random() { 0 } else { generator.random_range(1..20) },
            lines_reversed: generator.random_bool(0.2),
            elements_reversed: generator.random_bool(0.2),
            is_repeated: false,
        }
    }

    /// Where the elements of a matrix in this order lie.
    pub fn geometry(self, rows: usize, cols: usize) -> Geometry {
        let length = if self.by_columns { rows } else { cols };
        let reach = length.saturating_sub(1) * (self.gap + 1) + 1;
        self.geometry_with_lines(rows, cols, if self.is_repeated { 0 } else { reach + self.padding })
    }

    /// Where the elements lie if the lines are `line` elements apart.
    pub fn geometry_with_lines(self, rows: usize, cols: usize, line: usize) -> Geometry {
        let (lines, length) = if self.by_columns { (cols, rows) } else { (rows, cols) };
        if lines == 0 || length == 0 {
            return Geometry { used: 0, offset: 0, strides: (line as isize, 1) };
        }
        let step = self.gap + 1;
        let (last_line, last_element) = ((lines - 1) * line, (length - 1) * step);
        let offset =
            if self.lines_reversed { last_line } else { 0 } + if self.elements_reversed { last_element } else { 0 };
        let signed = |stride: usize, is_reversed| if is_reversed { -(stride as isize) } else { stride as isize };
        let (line, step) = (signed(line, self.lines_reversed), signed(step, self.elements_reversed));
        let strides = if self.by_columns { (step, line) } else { (line, step) };
        Geometry { used: last_line + last_element + 1, offset, strides }
    }

    /// Any order that can be read: now and then one whose lines lie at one place.
    pub fn random_readable(generator: &mut impl Rng) -> Self {
        Self { is_repeated: generator.random_bool(0.05), ..Self::random(generator) }
    }
}

/// Where the elements of a matrix lie.
#[derive(Clone, Copy, Debug)]
pub struct Geometry {
    /// Elements from the lowest address of one to the highest, both included.
    pub used: usize,
    /// The first row's first element, counted from the lowest address.
    pub offset: usize,
    /// From row to row, and from column to column.
    pub strides: (isize, isize),
}

/// Elements of padding before the first element and after the last.
const MARGIN: usize = 2;

/// A matrix and the slice that it lies in.
#[derive(Clone, Debug)]
pub struct Placed<T> {
    pub data: Vec<T>,
    offset: usize,
    shape: (usize, usize),
    strides: (isize, isize),
}

impl<T: Scalar> Placed<T> {
    /// A matrix of `value(i, j)`, written in the order of rows, with `filler` wherever no element lies.
    pub fn new(
        order: Order,
        (rows, cols): (usize, usize),
        filler: T,
        mut value: impl FnMut(usize, usize) -> T,
    ) -> Self {
        let Geometry { used, offset, strides } = order.geometry(rows, cols);
        let offset = MARGIN + offset;
        let mut placed = Self { data: vec![filler; used + 2 * MARGIN], offset, shape: (rows, cols), strides };
        for i in 0..rows {
            for j in 0..cols {
                let place = placed.place(i, j);
                placed.data[place] = value(i, j);
            }
        }
        placed
    }

    /// Index in the slice of element (i, j).
    pub fn place(&self, i: usize, j: usize) -> usize {
        (self.offset as isize + i as isize * self.strides.0 + j as isize * self.strides.1) as usize
    }

    pub fn shape(&self) -> (usize, usize) {
        self.shape
    }

    pub fn at(&self, i: usize, j: usize) -> T {
        self.data[self.place(i, j)]
    }

    pub fn set(&mut self, i: usize, j: usize, value: T) {
        let place = self.place(i, j);
        self.data[place] = value;
    }

    pub fn view(&self) -> MatRef<'_, T> {
        let ((rows, cols), (down, across)) = (self.shape, self.strides);
        MatRef::with_strides(&self.data, self.offset, rows, cols, down, across).unwrap()
    }

    pub fn view_mut(&mut self) -> MatMut<'_, T> {
        let ((rows, cols), (down, across)) = (self.shape, self.strides);
        MatMut::with_strides(&mut self.data, self.offset, rows, cols, down, across).unwrap()
    }

    /// The elements in the order of rows, exactly.
    pub fn widened(&self) -> Vec<f64> {
        let (rows, cols) = self.shape;
        (0..rows).flat_map(|i| (0..cols).map(move |j| self.at(i, j).to_f64())).collect()
    }

    /// Whether everything in the slice that is no element is equal to `filler`.
    pub fn padding_is(&self, filler: T) -> bool {
        let (rows, cols) = self.shape;
        let elements = (0..rows).flat_map(|i| (0..cols).map(move |j| self.at(i, j)));
        // No element is counted twice where none coincide.
        let outside = self.data.len() - rows * cols;
        let equal = |values: &mut dyn Iterator<Item = T>| values.filter(|&x| x == filler).count();
        equal(&mut self.data.iter().copied()) - equal(&mut elements.into_iter()) == outside
    }
}
