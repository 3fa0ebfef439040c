//! Samples as normalised numbers, for models that read them otherwise than through the fused kernels.

use super::fold::check_normalisation;
use super::{Normalisation, Samples};
use crate::dispatch;
use crate::error::Error;
use crate::isa::{Element, Isa, Kernel, Lanes, Scalar};
use crate::parallel::{self, Divide};

/// y <- (x - mean) scale, for N samples x of D features and a row-major y of N x D.
///
/// # Errors
/// [`Error::Shape`] if y or the normalisation has not as many elements, and those of [`dispatch::level`]. Nothing is changed
/// then.
#[inline(never)]
pub fn gather<T: Scalar, P: Element<T>>(
    samples: Samples<'_, P>,
    normalisation: Normalisation<'_, T>,
    y: &mut [T],
) -> Result<(), Error> {
    dispatch::dispatch(Gather::new(samples, normalisation, y)?)
}

/// A checked [`gather`], to be run at a level of one's choice.
#[derive(Debug)]
pub struct Gather<'a, T, P> {
    samples: Samples<'a, P>,
    normalisation: Normalisation<'a, T>,
    y: &'a mut [T],
}

impl<'a, T: Scalar, P: Element<T>> Gather<'a, T, P> {
    /// See [`gather`].
    ///
    /// # Errors
    /// [`Error::Shape`] if y or the normalisation has not as many elements as the samples.
    pub fn new(samples: Samples<'a, P>, normalisation: Normalisation<'a, T>, y: &'a mut [T]) -> Result<Self, Error> {
        check_normalisation(&normalisation, samples.features)?;
        if samples.len().checked_mul(samples.features) != Some(y.len()) {
            let (expected, found) = ((samples.len(), samples.features), (1, y.len()));
            return Err(Error::Shape { what: "gathered samples", expected, found });
        }
        Ok(Self { samples, normalisation, y })
    }
}

/// Elements that are worth another thread: about 10 microseconds.
const WORTH_A_THREAD: usize = 1 << 15;

impl<T: Scalar, P: Element<T>> Kernel for Gather<'_, T, P> {
    type Output = ();
    fn run<S: Isa>(self, isa: S) {
        if self.samples.features > 0 {
            let grain = WORTH_A_THREAD.div_ceil(self.samples.features);
            parallel::divide(Part { isa, gather: self }, grain);
        }
    }
}

/// Some of the samples.
struct Part<'a, S, T, P> {
    isa: S,
    gather: Gather<'a, T, P>,
}

impl<S: Isa, T: Scalar, P: Element<T>> Divide for Part<'_, S, T, P> {
    fn length(&self) -> usize {
        self.gather.samples.len()
    }

    fn split(self, at: usize) -> (Self, Self) {
        let Self { isa, gather: Gather { samples, normalisation, y } } = self;
        let (top, bottom) = y.split_at_mut(at * samples.features);
        let (first, rest) = samples.split(at);
        let part = |samples, y| Self { isa, gather: Gather { samples, normalisation, y } };
        (part(first, top), part(rest, bottom))
    }

    fn run(self) {
        self.isa.vectorize(Loop(self.gather));
    }
}

struct Loop<'a, T, P>(Gather<'a, T, P>);

impl<T: Scalar, P: Element<T>> Kernel for Loop<'_, T, P> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let Gather { samples, normalisation, y } = self.0;
        let lanes = T::Lanes::<S>::COUNT;
        for (n, y) in y.chunks_exact_mut(samples.features).enumerate() {
            let (row, next) = (samples.row(n), samples.row(n + 1));
            for (chunk, y) in y.chunks_mut(lanes).enumerate() {
                let first = chunk * lanes;
                isa.prefetch(next.wrapping_add(first));
                let (mean, scale) = normalisation.lanes(isa, first, y.len());
                // SAFETY: sample `n` has `features` elements at `row`, and y, as long as that, has `y.len()` of them at `first`.
                let x = unsafe {
                    if y.len() == lanes {
                        P::load(isa, row.add(first))
                    } else {
                        P::load_partial(isa, row.add(first), y.len())
                    }
                };
                x.sub(isa, mean).mul(isa, scale).write(isa, y);
            }
        }
    }
}
