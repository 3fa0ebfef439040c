//! Pooling layers.

use super::Layer;
use crate::ops::pool2d::Window;
use crate::tape::Var;
use lanegrad_kernels::isa::Scalar;

/// The greatest elements in windows of images.
#[derive(Clone, Copy, Debug)]
pub struct MaxPool2d {
    /// How windows lie.
    pub window: Window,
}

/// The means of windows of images.
#[derive(Clone, Copy, Debug)]
pub struct AvgPool2d {
    /// How windows lie.
    pub window: Window,
    /// Whether the zeros of the padding are part of the mean.
    pub count_padding: bool,
}

impl<T: Scalar> Layer<T> for MaxPool2d {
    fn forward<'t>(&self, x: Var<'t, T>) -> Var<'t, T> {
        x.max_pool2d(self.window)
    }
}

impl<T: Scalar> Layer<T> for AvgPool2d {
    fn forward<'t>(&self, x: Var<'t, T>) -> Var<'t, T> {
        x.avg_pool2d(self.window, self.count_padding)
    }
}
