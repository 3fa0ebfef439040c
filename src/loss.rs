//! The loss of a step, and of a set of images.

pub use lanegrad_kernels::classifier::Loss;

/// What a step or an evaluation found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepLoss {
    /// Mean loss of the samples.
    pub data: f64,
    /// The regulariser, lambda times the sum of squares.
    pub regularisation: f64,
}

impl StepLoss {
    /// The lecture's full loss: data loss plus R(W).
    pub fn full(self) -> f64 {
        self.data + self.regularisation
    }
}

/// Mean loss and accuracy over a set of images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Mean data loss.
    pub loss: f64,
    /// Part of the images whose label has the highest score, 0 to 1.
    pub accuracy: f64,
}
