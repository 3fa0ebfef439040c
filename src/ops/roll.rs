//! Circular shifts.

use crate::error::Error;
use crate::tape::{Backward, Forward, InputGradient, Inputs, Op, Output, Var};
use lanegrad_kernels::isa::Scalar;

/// Entry i along one dimension goes to entry i + shift, around the end; dX is dY shifted back.
#[derive(Clone, Copy, Debug)]
pub struct Roll {
    axis: isize,
    shift: isize,
}

/// Circular convolution along the last dimension: y(i) = sum over j of x(i - j) kernel(j), as the Neural Turing Machine
/// shifts its attention; the kernel's middle entry is j = 0.
///
/// dx(i) = sum over j of dy(i + j) kernel(j), dkernel(j) = sum over i of dy(i) x(i - j).
#[derive(Clone, Copy, Debug)]
pub struct CircularConvolution;

impl<'t, T: Scalar> Var<'t, T> {
    /// Entry i along `axis` (a negative one counts from the last) goes to entry i + `shift`, around the end. A failure
    /// poisons the result.
    pub fn roll(self, axis: isize, shift: isize) -> Self {
        self.tape().apply(Roll { axis, shift }, &[self])
    }

    /// [`Var::roll`].
    ///
    /// # Errors
    /// [`Error::Axis`] if there is no such dimension.
    pub fn try_roll(self, axis: isize, shift: isize) -> Result<Self, Error> {
        self.tape().try_apply(Roll { axis, shift }, &[self])
    }

    /// Circular convolution along the last dimension with the kernels in the last dimension of `kernel`, one for each
    /// row: y(i) = sum over j of x(i - j mod n) kernel(j), where j = 0 is the kernel's middle entry.
    ///
    /// Shapes (..., n) and (..., k) with k odd give (..., n). A failure poisons the result.
    pub fn circular_convolution(self, kernel: Self) -> Self {
        self.tape().apply(CircularConvolution, &[self, kernel])
    }

    /// [`Var::circular_convolution`].
    ///
    /// # Errors
    /// [`Error::Shapes`] if the dimensions before the last differ, or the kernel's length is even.
    pub fn try_circular_convolution(self, kernel: Self) -> Result<Self, Error> {
        self.tape().try_apply(CircularConvolution, &[self, kernel])
    }
}

/// `target` <- or += `source` with its `extent` runs of `inner` elements shifted by `shift`, in every group of them.
fn shift_runs<T: Scalar>(source: &[T], extent: usize, inner: usize, shift: usize, mut meet: impl FnMut(usize, &[T])) {
    if source.is_empty() {
        return;
    }
    let (group, split) = (extent * inner, (extent - shift) * inner);
    for (i, row) in source.chunks_exact(group).enumerate() {
        meet(i * group + shift * inner, &row[..split]);
        meet(i * group, &row[split..]);
    }
}

impl<T: Scalar> Op<T> for Roll {
    fn name(&self) -> &'static str {
        "roll"
    }

    fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error> {
        inputs.shape(0).axis(self.axis)?;
        Ok(Output::of(inputs.shape(0)))
    }

    fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error> {
        let (_, extent, inner) = pass.shape.around(pass.shape.axis(self.axis)?);
        let shift = self.shift.rem_euclid(extent.max(1) as isize) as usize;
        let output = pass.output;
        shift_runs(pass.inputs.values(0), extent, inner, shift, |at, run| {
            output[at..][..run.len()].copy_from_slice(run)
        });
        Ok(())
    }

    fn vjp(&self, mut pass: Backward<'_, T>) -> Result<(), Error> {
        let (_, extent, inner) = pass.shape.around(pass.shape.axis(self.axis)?);
        let back = (-self.shift.rem_euclid(extent.max(1) as isize)).rem_euclid(extent.max(1) as isize) as usize;
        let dy = pass.gradient;
        let Some(dx) = pass.input_gradient(0) else { return Ok(()) };
        let dx = dx.accumulator();
        shift_runs(dy, extent, inner, back, |at, run| {
            dx[at..][..run.len()].iter_mut().zip(run).for_each(|(dx, &dy)| *dx += dy);
        });
        Ok(())
    }
}

impl CircularConvolution {
    /// Calls `term` with the positions in y, x and kernel of each term of each sum.
    fn each_term(n: usize, k: usize, rows: usize, mut term: impl FnMut(usize, usize, usize)) {
        for row in 0..rows {
            for i in 0..n {
                for j in 0..k {
                    // x's index is i - (j - k / 2), around the end.
                    let from = (i + n * k + k / 2 - j) % n;
                    term(row * n + i, row * n + from, row * k + j);
                }
            }
        }
    }
}

impl<T: Scalar> Op<T> for CircularConvolution {
    fn name(&self) -> &'static str {
        "circular convolution"
    }

    fn takes(&self, inputs: usize) -> bool {
        inputs == 2
    }

    fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error> {
        let (x, kernel) = (inputs.shape(0), inputs.shape(1));
        let fits = match (x.extents().split_last(), kernel.extents().split_last()) {
            (Some((&n, outer)), Some((&k, kernels))) => outer == kernels && k % 2 == 1 && n.checked_mul(k).is_some(),
            _ => false,
        };
        if !fits {
            let (left, right) = (x.clone(), kernel.clone());
            return Err(Error::Shapes { op: "circular convolution", left, right });
        }
        Ok(Output::of(x))
    }

    fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error> {
        let ((rows, n), (_, k)) = (pass.inputs.shape(0).as_matrix(), pass.inputs.shape(1).as_matrix());
        let (x, kernel) = (pass.inputs.values(0), pass.inputs.values(1));
        pass.output.fill(T::ZERO);
        Self::each_term(n, k, rows, |y, i, j| pass.output[y] += x[i] * kernel[j]);
        Ok(())
    }

    fn vjp(&self, mut pass: Backward<'_, T>) -> Result<(), Error> {
        let ((rows, n), (_, k)) = (pass.inputs.shape(0).as_matrix(), pass.inputs.shape(1).as_matrix());
        let (x, kernel, dy) = (pass.inputs.values(0), pass.inputs.values(1), pass.gradient);
        if let Some(dx) = pass.input_gradient(0).map(InputGradient::accumulator) {
            Self::each_term(n, k, rows, |y, i, j| dx[i] += dy[y] * kernel[j]);
        }
        if let Some(dkernel) = pass.input_gradient(1).map(InputGradient::accumulator) {
            Self::each_term(n, k, rows, |y, i, j| dkernel[j] += dy[y] * x[i]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{array, smooth};
    use crate::tape::Tape;
    use crate::tensor::Tensor;

    #[test]
    fn gradient() {
        for (axis, shift) in [(0, 1), (1, 2), (1, -1), (-1, 7), (2, 0)] {
            smooth(|x| x[0].roll(axis, shift) * x[0], &[array(&[2, 3, 4], 1)]);
        }
        smooth(|x| x[0].circular_convolution(x[1]), &[array(&[5], 1), array(&[3], 2)]);
        smooth(|x| x[0].circular_convolution(x[1]), &[array(&[2, 4], 1), array(&[2, 5], 2)]);
    }

    #[test]
    fn shifts_around_the_end() {
        let tape = Tape::<f64>::new();
        let x = tape.variable(&Tensor::arange(5).unwrap());
        assert_eq!(x.roll(0, 1).value().unwrap().values(), [4.0, 0.0, 1.0, 2.0, 3.0]);
        assert_eq!(x.roll(0, -6).value().unwrap().values(), [1.0, 2.0, 3.0, 4.0, 0.0]);
        let one_on = tape.variable(&Tensor::from_slice([3], &[0.0, 0.0, 1.0]).unwrap());
        assert_eq!(x.circular_convolution(one_on).value().unwrap().values(), [4.0, 0.0, 1.0, 2.0, 3.0]);
        assert!(x.circular_convolution(x.slice(0, 0..2)).check().is_err());
    }
}
