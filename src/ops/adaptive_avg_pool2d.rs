//! Average pooling to a given size.

use crate::error::Error;
use crate::shape::Shape;
use crate::tape::{Backward, Forward, Inputs, Op, Output, Var};
use lanegrad_kernels::isa::Scalar;
use std::ops::Range;

/// y = the mean of x in each of `rows` x `columns` windows that cover an image, channel by channel; dx = dy over the number of
/// pixels, added up where windows overlap.
///
/// Window i of n covers the rows from i height / n, rounded down, to (i + 1) height / n, rounded up, as in PyTorch.
#[derive(Clone, Copy, Debug)]
pub struct AdaptiveAvgPool2d {
    output: [usize; 2],
}

impl<'t, T: Scalar> Var<'t, T> {
    /// The means of as many windows of images (N, H, W, C) as the `output` has rows and columns: (N, rows, columns, C). A
    /// failure poisons the result.
    pub fn adaptive_avg_pool2d(self, output: [usize; 2]) -> Self {
        self.tape().apply(AdaptiveAvgPool2d { output }, &[self])
    }

    /// [`Var::adaptive_avg_pool2d`].
    ///
    /// # Errors
    /// [`Error::Shape`] if these are not images or have no pixel.
    pub fn try_adaptive_avg_pool2d(self, output: [usize; 2]) -> Result<Self, Error> {
        self.tape().try_apply(AdaptiveAvgPool2d { output }, &[self])
    }
}

/// What window `i` of `windows` covers of `extent` rows or columns.
fn covered(i: usize, windows: usize, extent: usize) -> Range<usize> {
    // In 128 bits, where no product of two extents overflows.
    let place = |i: usize| i as u128 * extent as u128;
    (place(i) / windows as u128) as usize..place(i + 1).div_ceil(windows as u128) as usize
}

impl AdaptiveAvgPool2d {
    /// Calls `visit` with the places of the channels of each pixel of each window in y and x, and 1 / the window's pixels.
    fn for_each_pixel(&self, images: &Shape, mut visit: impl FnMut(Range<usize>, Range<usize>, f64)) {
        let &[batch, height, width, channels] = images.extents() else { return };
        let [rows, columns] = self.output;
        let place = |pixel: usize| pixel * channels..(pixel + 1) * channels;
        for (n, i) in (0..batch).flat_map(|n| (0..rows).map(move |i| (n, i))) {
            let vertical = covered(i, rows, height);
            for j in 0..columns {
                let (target, horizontal) = (place((n * rows + i) * columns + j), covered(j, columns, width));
                let share = 1.0 / (vertical.len() * horizontal.len()) as f64;
                for (h, w) in vertical.clone().flat_map(|h| horizontal.clone().map(move |w| (h, w))) {
                    visit(target.clone(), place((n * height + h) * width + w), share);
                }
            }
        }
    }
}

impl<T: Scalar> Op<T> for AdaptiveAvgPool2d {
    fn name(&self) -> &'static str {
        "adaptive_avg_pool2d"
    }

    fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error> {
        let (shape, [rows, columns]) = (inputs.shape(0), self.output);
        match *shape.extents() {
            [batch, height, width, channels] if height > 0 && width > 0 => {
                Ok(Output::of([batch, rows, columns, channels]))
            }
            _ => {
                let wanted = "images are (batch, height, width, channels), with pixels";
                Err(Error::Shape { op: "adaptive_avg_pool2d", shape: shape.clone(), wanted })
            }
        }
    }

    fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error> {
        let (x, y) = (pass.inputs.values(0), pass.output);
        y.fill(T::ZERO);
        self.for_each_pixel(pass.inputs.shape(0), |target, source, share| {
            let share = T::from_f64(share);
            y[target].iter_mut().zip(&x[source]).for_each(|(y, &x)| *y += share * x);
        });
        Ok(())
    }

    fn vjp(&self, mut pass: Backward<'_, T>) -> Result<(), Error> {
        let (shape, dy) = (pass.inputs.shape(0), pass.gradient);
        let Some(dx) = pass.input_gradient(0) else { return Ok(()) };
        let dx = dx.accumulator();
        self.for_each_pixel(shape, |target, source, share| {
            let share = T::from_f64(share);
            dx[source].iter_mut().zip(&dy[target]).for_each(|(dx, &dy)| *dx += share * dy);
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{array, smooth};
    use crate::ops::pool2d::Window;
    use crate::tape::Tape;

    #[test]
    fn gradient() {
        for output in [[1, 1], [2, 2], [3, 2], [4, 7]] {
            smooth(|x| x[0].adaptive_avg_pool2d(output) * x[0].sum_all(), &[array(&[2, 4, 5, 3], 1)]);
        }
    }

    #[test]
    fn windows_that_come_out_even_are_those_of_average_pooling() {
        let tape = Tape::<f64>::new();
        let x = tape.variable(&array(&[2, 4, 6, 3], 1));
        let difference = x.adaptive_avg_pool2d([2, 3]) - x.avg_pool2d(Window::new(2, 2), false);
        assert!(difference.abs().max_all().item().unwrap() < 1e-15);
        let whole = x.adaptive_avg_pool2d([1, 1]).reshape([2, 3]) - x.mean([1, 2]);
        assert!(whole.abs().max_all().item().unwrap() < 1e-15);
        // Three windows of five pixels: 0 to 2, 1 to 4, 3 to 5.
        let row = tape.variable(&crate::tensor::Tensor::arange(5).unwrap().reshape([1, 1, 5, 1]).unwrap());
        assert_eq!(row.adaptive_avg_pool2d([1, 3]).value().unwrap().values(), [0.5, 2.0, 3.5]);
        assert_eq!(x.adaptive_avg_pool2d([0, 3]).shape().unwrap().extents(), [2, 0, 3, 3]);
        assert!(x.flatten().try_adaptive_avg_pool2d([1, 1]).is_err());
    }
}
