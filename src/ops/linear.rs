//! The affine layer: a matrix product and a bias.

use crate::error::Error;
use crate::ops::matmul::beta;
use crate::shape::Shape;
use crate::tape::{Backward, Forward, Inputs, Op, Output, Var};
use lanegrad_kernels::elementwise::{self, Broadcast, BroadcastMut, Identity};
use lanegrad_kernels::isa::Scalar;
use lanegrad_kernels::{MatMut, MatRef, gemm};

/// Y = X W + b, for X (..., i), W (i, o) and b (o).
///
/// dX = dY W', dW = X' dY, db = the sum of the rows of dY.
#[derive(Clone, Copy, Debug)]
pub struct Linear;

impl<'t, T: Scalar> Var<'t, T> {
    /// X W + b: rows of `i` numbers to rows of `o`, with `weight` of shape (i, o) and `bias` (o). A failure poisons the
    /// result.
    pub fn linear(self, weight: Self, bias: Self) -> Self {
        self.tape().apply(Linear, &[self, weight, bias])
    }

    /// [`Var::linear`].
    ///
    /// # Errors
    /// [`Error::Shapes`] if the shapes do not fit.
    pub fn try_linear(self, weight: Self, bias: Self) -> Result<Self, Error> {
        self.tape().try_apply(Linear, &[self, weight, bias])
    }
}

/// Rows of the input, its columns, and columns of the output.
fn extents<T: Scalar>(inputs: Inputs<'_, T>) -> (usize, usize, usize) {
    let (rows, columns) = inputs.shape(0).as_matrix();
    (rows, columns, inputs.shape(1).as_matrix().1)
}

impl<T: Scalar> Op<T> for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn takes(&self, inputs: usize) -> bool {
        inputs == 3
    }

    fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error> {
        let (x, weight, bias) = (inputs.shape(0), inputs.shape(1), inputs.shape(2));
        let unfit =
            |left: &Shape, right: &Shape| Error::Shapes { op: "linear", left: left.clone(), right: right.clone() };
        let (Some((&found, _)), &[columns, width]) = (x.extents().split_last(), weight.extents()) else {
            return Err(unfit(x, weight));
        };
        if found != columns {
            return Err(unfit(x, weight));
        }
        if bias.extents() != [width] {
            return Err(unfit(weight, bias));
        }
        Ok(Output::of(x.replaced(x.rank() - 1, &[width])))
    }

    fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error> {
        let (m, k, n) = extents(pass.inputs);
        let bias = Broadcast { values: pass.inputs.values(2), strides: &[0, 1] };
        elementwise::map_broadcast(Identity, &[m, n], [bias], pass.output)?;
        let x = MatRef::row_major(pass.inputs.values(0), m, k)?;
        let weight = MatRef::row_major(pass.inputs.values(1), k, n)?;
        Ok(gemm(T::ONE, x, weight, T::ONE, MatMut::row_major(pass.output, m, n)?)?)
    }

    fn vjp(&self, mut pass: Backward<'_, T>) -> Result<(), Error> {
        let (m, k, n) = extents(pass.inputs);
        let (inputs, gradient) = (pass.inputs, pass.gradient);
        let dy = MatRef::row_major(gradient, m, n)?;
        if let Some(dx) = pass.input_gradient(0) {
            let (dx, add) = dx.parts();
            let weight = MatRef::row_major(inputs.values(1), k, n)?;
            gemm(T::ONE, dy, weight.transposed(), beta(add), MatMut::row_major(dx, m, k)?)?;
        }
        if let Some(dw) = pass.input_gradient(1) {
            let (dw, add) = dw.parts();
            let x = MatRef::row_major(inputs.values(0), m, k)?;
            gemm(T::ONE, x.transposed(), dy, beta(add), MatMut::row_major(dw, k, n)?)?;
        }
        if let Some(db) = pass.input_gradient(2) {
            let dy = Broadcast { values: gradient, strides: &[n, 1] };
            let db = BroadcastMut { values: db.accumulator(), strides: &[0, 1] };
            elementwise::accumulate_broadcast(Identity, &[m, n], [dy], db)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{array, smooth};
    use crate::tape::Tape;

    #[test]
    fn gradient() {
        for shape in [&[3, 4][..], &[4], &[2, 3, 4]] {
            smooth(|x| x[0].linear(x[1], x[2]), &[array(shape, 1), array(&[4, 5], 2), array(&[5], 3)]);
        }
        smooth(|x| x[0].linear(x[1], x[2]).linear(x[1], x[2]), &[array(&[3, 4], 1), array(&[4, 4], 2), array(&[4], 3)]);
    }

    #[test]
    fn shapes_that_do_not_fit_are_named() {
        let tape = Tape::<f64>::new();
        let [x, w, b] = [&[2, 3][..], &[4, 5], &[5]].map(|shape| tape.variable(&array(shape, 1)));
        assert_eq!(x.try_linear(w, b).unwrap_err().to_string(), "linear: shapes [2, 3] and [4, 5] do not fit");
        assert_eq!(b.try_linear(w, b).unwrap_err().to_string(), "linear: shapes [5] and [4, 5] do not fit");
        let y = x.slice(1, 0..0).try_linear(w.slice(0, 0..0), b).unwrap();
        assert_eq!(y.at(0, 1).value().unwrap(), b.value().unwrap());
    }
}
