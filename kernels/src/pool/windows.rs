//! The windows of a pooling, their channels in vectors and their rows divided among threads.

use super::Pooling;
use crate::isa::{Isa, Kernel, Lanes, Scalar};
use crate::parallel::{self, Divide};
use std::ops::Range;

/// What is done with each window. The method and all it calls must be `#[inline(always)]`.
pub(super) trait Pass<T: Scalar>: Copy + Send {
    /// Whether the result is the input's gradient, not the output.
    const BACKWARD: bool;
    /// Computes some channels of `window`, a whole vector of them if `WHOLE`; `result` is what the window's `origin` starts.
    fn lanes<S: Isa, const WHOLE: bool>(self, isa: S, window: Window, result: &mut [T]);
}

/// Some channels of a window; its rows and columns are those of one image.
pub(super) struct Window {
    pub pooling: Pooling,
    pub image: usize,
    /// Row and column among the windows.
    pub place: [usize; 2],
    /// The rows and columns of the image that it covers.
    pub rows: Range<usize>,
    pub cols: Range<usize>,
    /// The rows of the result's image that the thread may write.
    pub own: Range<usize>,
    /// The first channel, and how many.
    pub channel: usize,
    pub count: usize,
    /// The element of all images at which those rows start.
    pub origin: usize,
}

impl Window {
    /// Its elements in the output of all images.
    #[inline(always)]
    pub fn output(&self) -> Range<usize> {
        let ([row, col], [height, width]) = (self.place, self.pooling.output);
        self.elements(self.image * height + row, col, width)
    }

    /// The elements of a pixel in the input of all images.
    #[inline(always)]
    pub fn input(&self, row: usize, col: usize) -> Range<usize> {
        let shape = &self.pooling.shape;
        self.elements(self.image * shape.height + row, col, shape.width)
    }

    /// Where `elements` of all images are in what the thread writes.
    #[inline(always)]
    pub fn local(&self, elements: Range<usize>) -> Range<usize> {
        let start = elements.start - self.origin;
        start..start + self.count
    }

    #[inline(always)]
    fn elements(&self, row: usize, col: usize, width: usize) -> Range<usize> {
        let start = (row * width + col) * self.pooling.shape.channels + self.channel;
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
        for (image, own) in Pooling::images(first..first + result.len() / row, height) {
            let (part, rest) = std::mem::take(&mut result).split_at_mut(own.len() * row);
            result = rest;
            if clear {
                part.fill(T::ZERO);
            }
            let origin = (image * height + own.start) * row;
            for o in if P::BACKWARD { pooling.covering(own.clone()) } else { own.clone() } {
                let rows = pooling.covered(0, o);
                for j in 0..pooling.output[1] {
                    let cols = pooling.covered(1, j);
                    for channel in (0..channels).step_by(lanes) {
                        let (place, rows, cols, own) = ([o, j], rows.clone(), cols.clone(), own.clone());
                        let window = Window { pooling, image, place, rows, cols, own, channel, count: lanes, origin };
                        if channels - channel >= lanes {
                            pass.lanes::<S, true>(isa, window, part);
                        } else {
                            pass.lanes::<S, false>(isa, Window { count: channels - channel, ..window }, part);
                        }
                    }
                }
            }
        }
    }
}
