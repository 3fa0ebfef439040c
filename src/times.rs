//! Where the time of a trainer's steps goes.

use std::time::{Duration, Instant};

/// What the parts of steps took, all steps together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepTimes {
    /// From images to the loss.
    pub forward: Duration,
    /// From the loss to the gradients; with the update of the weights, where one kernel does both.
    pub backward: Duration,
    /// From the gradients to the new weights, clipping included.
    pub update: Duration,
    /// Whether backward has the update of the weights in it.
    pub fused: bool,
}

/// The clock that fills them in. It is read only if it was switched on.
#[derive(Debug, Default)]
pub(crate) struct Laps {
    times: Option<StepTimes>,
    last: Option<Instant>,
}

impl Laps {
    pub fn switched(on: bool) -> Self {
        Self { times: on.then(StepTimes::default), last: None }
    }

    pub fn times(&self) -> Option<StepTimes> {
        self.times
    }

    /// A lap starts.
    pub fn start(&mut self) {
        self.last = self.times.map(|_| Instant::now());
    }

    /// A lap ends, and the next one starts.
    pub fn end(&mut self, note: impl FnOnce(&mut StepTimes, Duration)) {
        if let (Some(times), Some(last)) = (&mut self.times, self.last) {
            let now = Instant::now();
            note(times, now - last);
            self.last = Some(now);
        }
    }
}
