//! Where the windows of one axis lie: the rows or the columns of an image.

/// Rows (or columns) of images that are read through windows to make the rows (or columns) of others.
///
/// The source is thought of with zeros `before` and behind it, `length` in all, such that every window lies inside. The
/// targets fall into `phases` of equal windows: all of them for a convolution; for its gradient with stride s, every s-th one
/// has the same taps, so that no product with a zero between two sources is ever computed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub source: usize,
    pub before: usize,
    pub length: usize,
    pub target: usize,
    pub phases: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    gradient: bool,
}

/// Equal windows of an [`Axis`]: target `first + step i` is made of the `taps` sources from `start + advance i` on.
///
/// Source `start + advance i + j` is multiplied by weight `first_tap + tap_step j`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phase {
    pub first: usize,
    pub step: usize,
    pub count: usize,
    pub start: usize,
    pub advance: usize,
    pub taps: usize,
    pub first_tap: usize,
    pub tap_step: isize,
}

impl Axis {
    /// target o = sum over k of source s o + k - p times weight k.
    pub fn forward(source: usize, target: usize, kernel: usize, stride: usize, padding: usize) -> Self {
        let length = target.saturating_sub(1) * stride + kernel;
        Self { source, before: padding, length, target, phases: 1, kernel, stride, padding, gradient: false }
    }

    /// target h = sum over all o and k with s o + k - p = h of source o times weight k.
    pub fn gradient(source: usize, target: usize, kernel: usize, stride: usize, padding: usize) -> Self {
        let axis =
            Self { source, before: 0, length: 0, target, phases: stride, kernel, stride, padding, gradient: true };
        // A stride beyond the axis leaves phases without targets: those need no look.
        let phases = (0..stride.min(target)).map(|h| axis.phase((h + padding) % stride));
        let reached = phases.filter(|phase| phase.taps > 0);
        let before = reached.map(|phase| (phase.taps - 1).saturating_sub((phase.first + padding) / stride)).max();
        let before = before.unwrap_or(0);
        let length = (target + padding).saturating_sub(1) / stride + 1 + before;
        Self { before, length, ..axis }
    }

    /// Whether all windows lie inside the source, so that it needs no zeros around it.
    pub fn is_inside(&self) -> bool {
        self.before == 0 && self.length <= self.source
    }

    /// The windows of phase `r` of `phases`.
    pub fn phase(&self, r: usize) -> Phase {
        let Self { target, kernel, stride, padding, .. } = *self;
        if !self.gradient {
            return Phase {
                first: 0,
                step: 1,
                count: target,
                start: 0,
                advance: stride,
                taps: kernel,
                first_tap: 0,
                tap_step: 1,
            };
        }
        // With h + p = s q + r and k = r + s j, the source is q - j: the last tap first.
        let first = (r + stride - padding % stride) % stride;
        let taps = kernel.saturating_sub(r).div_ceil(stride);
        let start = ((first + padding) / stride + 1 + self.before).saturating_sub(taps);
        let count = target.saturating_sub(first).div_ceil(stride);
        let first_tap = r + stride * taps.saturating_sub(1);
        Phase { first, step: stride, count, start, advance: 1, taps, first_tap, tap_step: -(stride as isize) }
    }

    /// All phases that have targets.
    pub fn all_phases(self) -> impl Iterator<Item = Phase> {
        (0..self.phases).map(move |r| self.phase(r)).filter(|phase| phase.count > 0)
    }

    /// How many targets in a row, at least `least`, can be made of `sources` sources.
    pub fn targets_of(&self, sources: usize, least: usize) -> usize {
        let (advance, taps) =
            if self.gradient { (1, self.kernel.div_ceil(self.stride)) } else { (self.stride, self.kernel) };
        ((sources.saturating_sub(taps) / advance + 1).saturating_mul(self.phases)).max(least)
    }

    /// The sources, counted with the zeros before them, that the targets `low..high` are made of: the first, and one more
    /// than the last.
    pub fn sources_of(&self, low: usize, high: usize) -> (usize, usize) {
        let mut range = (usize::MAX, 0);
        for phase in self.all_phases().filter(|phase| phase.taps > 0) {
            let (i, end) = phase.between(low, high);
            if i < end {
                range.0 = range.0.min(phase.start + phase.advance * i);
                range.1 = range.1.max(phase.start + phase.advance * (end - 1) + phase.taps);
            }
        }
        (range.0.min(range.1), range.1)
    }
}

impl Phase {
    /// The windows whose targets lie in `low..high`: the first, and one more than the last.
    pub fn between(&self, low: usize, high: usize) -> (usize, usize) {
        let from = |bound: usize| bound.saturating_sub(self.first).div_ceil(self.step).min(self.count);
        (from(low), from(high))
    }

    /// The weight of source `j` of a window.
    pub fn tap(&self, j: usize) -> usize {
        self.first_tap.wrapping_add_signed(self.tap_step * j as isize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs of target, source and weight, sorted: by windows.
    fn by_windows(axis: Axis) -> Vec<(usize, usize, usize)> {
        let mut triples = Vec::new();
        for phase in axis.all_phases() {
            for i in 0..phase.count {
                for j in 0..phase.taps {
                    let padded = phase.start + phase.advance * i + j;
                    assert!(padded < axis.length, "{axis:?} {phase:?}");
                    if padded >= axis.before && padded - axis.before < axis.source {
                        triples.push((phase.first + phase.step * i, padded - axis.before, phase.tap(j)));
                    }
                }
            }
        }
        triples.sort_unstable();
        triples
    }

    #[test]
    fn windows_are_those_of_the_definition() {
        for input in 1..9 {
            for kernel in 1..6 {
                for stride in 1..8 {
                    for padding in 0..=kernel {
                        if kernel > input + 2 * padding {
                            continue;
                        }
                        let output = (input + 2 * padding - kernel) / stride + 1;
                        let mut wanted = Vec::new();
                        for o in 0..output {
                            for k in 0..kernel {
                                if (padding..input + padding).contains(&(o * stride + k)) {
                                    wanted.push((o, o * stride + k - padding, k));
                                }
                            }
                        }
                        assert_eq!(by_windows(Axis::forward(input, output, kernel, stride, padding)), wanted);
                        let mut wanted: Vec<_> = wanted.iter().map(|&(o, h, k)| (h, o, k)).collect();
                        wanted.sort_unstable();
                        assert_eq!(by_windows(Axis::gradient(output, input, kernel, stride, padding)), wanted);
                    }
                }
            }
        }
    }
}
