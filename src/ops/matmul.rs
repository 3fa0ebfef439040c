//! The matrix product, of stacks of matrices too.

use crate::error::Error;
use crate::shape::Shape;
use crate::tape::{Backward, Forward, Inputs, Op, Output, Var};
use lanegrad_kernels::isa::Scalar;
use lanegrad_kernels::{MatMut, MatRef, gemm};

/// Y = A B, for A (..., m, k) and B (..., k, n).
///
/// The dimensions before the last two are broadcast as NumPy does. dA = dY B', dB = A' dY.
#[derive(Clone, Copy, Debug)]
pub struct Matmul;

impl<'t, T: Scalar> Var<'t, T> {
    /// The matrix product of the last two dimensions; those before them are broadcast. A failure poisons the result.
    ///
    /// A vector on the left counts as one row and on the right as one column, and that dimension is left out of the result.
    pub fn matmul(self, other: Self) -> Self {
        self.try_matmul(other).unwrap_or_else(|error| self.tape().fail(error))
    }

    /// [`Var::matmul`].
    ///
    /// # Errors
    /// [`Error::Shapes`] if the shapes do not fit.
    pub fn try_matmul(self, other: Self) -> Result<Self, Error> {
        let (left, right) = (self.shape()?, other.shape()?);
        let (row, column) = (left.rank() == 1, right.rank() == 1);
        if !row && !column {
            return self.tape().try_apply(Matmul, &[self, other]);
        }
        let a = if row { self.try_reshape(left.replaced(0, &[1, left.extents()[0]]))? } else { self };
        let b = if column { other.try_reshape(right.replaced(0, &[right.extents()[0], 1]))? } else { other };
        let product = self.tape().try_apply(Matmul, &[a, b]).map_err(|error| match error {
            Error::Shapes { op, .. } => Error::Shapes { op, left, right },
            error => error,
        })?;
        let mut shape = product.shape()?;
        if column {
            shape = shape.without(shape.rank() - 1);
        }
        if row {
            shape = shape.without(shape.rank() - 1 - usize::from(!column));
        }
        product.try_reshape(shape)
    }
}

/// How a stack of products is laid out.
struct Stack {
    m: usize,
    k: usize,
    n: usize,
    /// Extents of the stack.
    outer: Shape,
    /// For A and B: how many matrices further each dimension of the stack goes.
    strides: [Shape; 2],
}

impl Stack {
    fn new(left: &Shape, right: &Shape) -> Result<Self, Error> {
        let refuse = || Error::Shapes { op: "matmul", left: left.clone(), right: right.clone() };
        let (Some((a, &[m, k])), Some((b, &[rows, n]))) =
            (left.extents().split_last_chunk::<2>(), right.extents().split_last_chunk::<2>())
        else {
            return Err(refuse());
        };
        if rows != k {
            return Err(refuse());
        }
        let (a, b) = (Shape::new(a), Shape::new(b));
        let outer = a.broadcast(&b).map_err(|_| refuse())?;
        // A matrix that serves a whole stack of left operands multiplies all their rows at once.
        if b.elements()? == 1 && outer == a {
            let m = m.checked_mul(a.elements()?).ok_or_else(refuse)?;
            return Ok(Self { m, k, n, outer: Shape::scalar(), strides: [Shape::scalar(), Shape::scalar()] });
        }
        let strides = [a.broadcast_strides(&outer)?, b.broadcast_strides(&outer)?];
        Ok(Self { m, k, n, outer, strides })
    }

    fn count(&self) -> usize {
        self.outer.extents().iter().product()
    }

    /// Which matrices of A and B make the product at `position` of the stack.
    fn operands(&self, mut position: usize) -> [usize; 2] {
        let mut found = [0; 2];
        for (axis, &extent) in self.outer.extents().iter().enumerate().rev() {
            let index = position % extent;
            position /= extent;
            for (found, strides) in found.iter_mut().zip(&self.strides) {
                *found += index * strides.extents()[axis];
            }
        }
        found
    }
}

/// Matrix `position` of a stack of `rows` x `cols` matrices.
fn matrix<T: Scalar>(values: &[T], position: usize, rows: usize, cols: usize) -> Result<MatRef<'_, T>, Error> {
    Ok(MatRef::row_major(&values[position * rows * cols..][..rows * cols], rows, cols)?)
}

fn matrix_mut<T: Scalar>(values: &mut [T], position: usize, rows: usize, cols: usize) -> Result<MatMut<'_, T>, Error> {
    Ok(MatMut::row_major(&mut values[position * rows * cols..][..rows * cols], rows, cols)?)
}

impl<T: Scalar> Op<T> for Matmul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn takes(&self, inputs: usize) -> bool {
        inputs == 2
    }

    fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error> {
        let (left, right) = (inputs.shape(0), inputs.shape(1));
        let stack = Stack::new(left, right)?;
        let a = Shape::new(&left.extents()[..left.rank() - 2]);
        let b = Shape::new(&right.extents()[..right.rank() - 2]);
        let outer = a.broadcast(&b)?;
        let rows = left.extents()[left.rank() - 2];
        if outer.rank() == 0 {
            return Ok(Output::of([rows, stack.n]));
        }
        let last = outer.rank() - 1;
        Ok(Output::of(outer.replaced(last, &[outer.extents()[last], rows, stack.n])))
    }

    fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error> {
        let stack = Stack::new(pass.inputs.shape(0), pass.inputs.shape(1))?;
        let (m, k, n) = (stack.m, stack.k, stack.n);
        for position in 0..stack.count() {
            let [a, b] = stack.operands(position);
            let a = matrix(pass.inputs.values(0), a, m, k)?;
            let b = matrix(pass.inputs.values(1), b, k, n)?;
            gemm(T::ONE, a, b, T::ZERO, matrix_mut(pass.output, position, m, n)?)?;
        }
        Ok(())
    }

    fn vjp(&self, mut pass: Backward<'_, T>) -> Result<(), Error> {
        let stack = Stack::new(pass.inputs.shape(0), pass.inputs.shape(1))?;
        let (m, k, n) = (stack.m, stack.k, stack.n);
        let (inputs, dy) = (pass.inputs, pass.gradient);
        // Where each matrix of an operand is used once, its product can overwrite what was there.
        let once = |operand: usize, size: usize| stack.count() * size == inputs.values(operand).len();
        if let Some(da) = pass.input_gradient(0) {
            let (da, mut add) = da.parts();
            if !add && !once(0, m * k) {
                da.fill(T::ZERO);
                add = true;
            }
            for position in 0..stack.count() {
                let [a, b] = stack.operands(position);
                let b = matrix(inputs.values(1), b, k, n)?.transposed();
                gemm(T::ONE, matrix(dy, position, m, n)?, b, beta(add), matrix_mut(da, a, m, k)?)?;
            }
        }
        if let Some(db) = pass.input_gradient(1) {
            let (db, mut add) = db.parts();
            if !add && !once(1, k * n) {
                db.fill(T::ZERO);
                add = true;
            }
            for position in 0..stack.count() {
                let [a, b] = stack.operands(position);
                let a = matrix(inputs.values(0), a, m, k)?.transposed();
                gemm(T::ONE, a, matrix(dy, position, m, n)?, beta(add), matrix_mut(db, b, k, n)?)?;
            }
        }
        Ok(())
    }
}

/// The factor of what a product is added to.
pub(crate) fn beta<T: Scalar>(add: bool) -> T {
    if add { T::ONE } else { T::ZERO }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{array, smooth};
    use crate::tape::Tape;
    use crate::tensor::Tensor;

    #[test]
    fn gradients_of_products_of_every_kind() {
        for (a, b) in [
            (&[3, 4][..], &[4, 5][..]),
            (&[4], &[4, 5]),
            (&[3, 4], &[4]),
            (&[4], &[4]),
            (&[2, 3, 4], &[2, 4, 5]),
            (&[2, 3, 4], &[4, 5]),
            (&[3, 4], &[2, 4, 5]),
            (&[2, 1, 3, 4], &[3, 4, 2]),
            (&[2, 3, 4], &[4]),
        ] {
            smooth(|x| x[0].matmul(x[1]), &[array(a, 1), array(b, 2)]);
        }
    }

    #[test]
    fn shapes_as_numpy_has_them() {
        let tape = Tape::<f64>::new();
        let shape = |a: &[usize], b: &[usize]| {
            let product = tape.variable(&array(a, 1)).try_matmul(tape.variable(&array(b, 2)));
            product.and_then(|y| y.shape()).map(|shape| shape.extents().to_vec())
        };
        assert_eq!(shape(&[2, 1, 3, 4], &[5, 4, 6]).unwrap(), [2, 5, 3, 6]);
        assert_eq!(shape(&[4], &[5, 4, 6]).unwrap(), [5, 6]);
        assert_eq!(shape(&[5, 3, 4], &[4]).unwrap(), [5, 3]);
        assert!(shape(&[4], &[4]).unwrap().is_empty());
        assert_eq!(shape(&[2, 0], &[0, 3]).unwrap(), [2, 3]);
        for (a, b) in [(&[2, 3][..], &[4, 5][..]), (&[3], &[4, 5]), (&[], &[2, 2]), (&[2, 2, 2], &[3, 2, 2])] {
            let message = shape(a, b).unwrap_err().to_string();
            assert_eq!(message, format!("matmul: shapes {a:?} and {b:?} do not fit"));
        }
    }

    /// D = W X: dW = dD X', dX = W' dD.
    #[test]
    fn the_lectures_rule() {
        let tape = Tape::<f64>::new();
        let (w, x, dd) = (array(&[5, 10], 1), array(&[10, 3], 2), array(&[5, 3], 3));
        let (variable_w, variable_x) = (tape.variable(&w), tape.variable(&x));
        variable_w.matmul(variable_x).backward_from(&dd).unwrap();
        let close =
            |a: Tensor<f64>, b: Tensor<f64>| a.values().iter().zip(b.values()).all(|(a, b)| (a - b).abs() < 1e-14);
        assert!(close(variable_w.gradient().unwrap(), dd.matmul(&x.transpose().unwrap()).unwrap()));
        assert!(close(variable_x.gradient().unwrap(), w.transpose().unwrap().matmul(&dd).unwrap()));
    }
}
