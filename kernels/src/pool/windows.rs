//! The windows of a pooling, their channels in vectors and their rows divided among threads.

use super::Pooling;
use crate::isa::{Isa, Kernel, Lanes, Scalar};
use crate::parallel::{self, Divide};
use std::ops::Range;

/// What is done with each window. The method and all it calls must be `#[inline(always)]`.
pub(super) trait Pass<T: Scalar>: Copy + Send {
    /// Whether the result is the input's gradient, not the output.
    const BACKWARD: bool;
    /// Computes some channels of a window, a whole vector of them if `WHOLE`; [`Window::local`] finds elements in `result`.
    fn lanes<S: Isa, const WHOLE: bool>(self, isa: S, window: Window, result: &mut [T]);
}

/// `count` channels of a window.
pub(super) struct Window<'a> {
    pub pooling: &'a Pooling,
    /// Row and column among the windows.
    pub place: [usize; 2],
    /// The rows and columns of the image that it covers.
    pub rows: Range<usize>,
    pub cols: Range<usize>,
    /// The rows of the result's image that the thread may write.
    pub own: Range<usize>,
    /// Its first element in the output of all images.
    output: usize,
    /// The first element of its image, in these channels, in the input of all images.
    input: usize,
    /// Elements from a row of the input to the next, and from a pixel to the next.
    steps: [usize; 2],
    /// The element at which `own` starts in the result of all images.
    origin: usize,
    count: usize,
}

impl Window<'_> {
    /// Its elements in the output of all images.
    #[inline(always)]
    pub fn output(&self) -> Range<usize> {
        self.output..self.output + self.count
    }

    /// The elements of a pixel in the input of all images.
    #[inline(always)]
    pub fn input(&self, row: usize, col: usize) -> Range<usize> {
        let start = self.input + row * self.steps[0] + col * self.steps[1];
        start..start + self.count
    }

    /// Where `elements` of all images are in what the thread writes.
    #[inline(always)]
    pub fn local(&self, elements: Range<usize>) -> Range<usize> {
        let start = elements.start - self.origin;
        start..start + self.count
    }
}

/// Runs `pass` for all windows, on the threads of the calling pool; with `clear`, `result` is first filled with zeros.
pub(super) fn run<S: Isa, T: Scalar>(isa: S, pooling: Pooling, pass: impl Pass<T>, clear: bool, result: &mut [T]) {
    if !result.is_empty() {
        let rows = Rows { isa, pooling, pass, clear, result, first: 0 };
        let grain = pooling.grain(rows.image()[0]);
        parallel::divide(rows, grain);
    }
}

/// Some rows of the result of all images, from row `first` on.
struct Rows<'a, S, P, T> {
    isa: S,
    pooling: Pooling,
    pass: P,
    clear: bool,
    result: &'a mut [T],
    first: usize,
}

impl<T: Scalar, S, P: Pass<T>> Rows<'_, S, P, T> {
    /// Rows of an image of the result, and elements of a row.
    #[inline(always)]
    fn image(&self) -> [usize; 2] {
        let Pooling { shape, output } = self.pooling;
        let [height, width] = if P::BACKWARD { [shape.height, shape.width] } else { output };
        [height, width * shape.channels]
    }
}

impl<S: Isa, T: Scalar, P: Pass<T>> Divide for Rows<'_, S, P, T> {
    fn length(&self) -> usize {
        self.result.len() / self.image()[1]
    }
    fn split(self, at: usize) -> (Self, Self) {
        let row = self.image()[1];
        let (top, bottom) = self.result.split_at_mut(at * row);
        (Self { result: top, ..self }, Self { result: bottom, first: self.first + at, ..self })
    }
    fn run(self) {
        self.isa.vectorize(Loop(self));
    }
}

struct Loop<'a, S, P, T>(Rows<'a, S, P, T>);

impl<I: Isa, T: Scalar, P: Pass<T>> Kernel for Loop<'_, I, P, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let [height, row] = self.0.image();
        let Rows { pooling, pass, clear, mut result, first, .. } = self.0;
        let (channels, lanes) = (pooling.shape.channels, T::Lanes::<S>::COUNT);
        let steps = [pooling.shape.width * channels, channels];
        for (image, own) in Pooling::images(first..first + result.len() / row, height) {
            let (part, rest) = std::mem::take(&mut result).split_at_mut(own.len() * row);
            result = rest;
            if clear {
                part.fill(T::ZERO);
            }
            let origin = (image * height + own.start) * row;
            let input = image * pooling.shape.height * steps[0];
            for o in if P::BACKWARD { pooling.covering(own.clone()) } else { own.clone() } {
                let rows = pooling.covered(0, o);
                for j in 0..pooling.output[1] {
                    let cols = pooling.covered(1, j);
                    let output = ((image * pooling.output[0] + o) * pooling.output[1] + j) * channels;
                    let window = |channel: usize, count: usize| Window {
                        pooling: &pooling,
                        place: [o, j],
                        rows: rows.clone(),
                        cols: cols.clone(),
                        own: own.clone(),
                        output: output + channel,
                        input: input + channel,
                        steps,
                        origin,
                        count,
                    };
                    let whole = channels - channels % lanes;
                    for channel in (0..whole).step_by(lanes) {
                        pass.lanes::<S, true>(isa, window(channel, lanes), part);
                    }
                    if whole < channels {
                        pass.lanes::<S, false>(isa, window(whole, channels - whole), part);
                    }
                }
            }
        }
    }
}
