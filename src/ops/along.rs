//! Loops over an array with sums along one dimension.

use crate::error::Error;
use crate::shape::Shape;
use crate::tape::InputGradient;
use lanegrad_kernels::elementwise::{self, Broadcast, BroadcastMut, Function};
use lanegrad_kernels::isa::Scalar;

/// An array as (outer, extent, inner), and what has a number for each of its rows along the middle dimension.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Along {
    pub extents: [usize; 3],
    /// Strides of the whole array, and of one without the middle dimension.
    whole: [usize; 3],
    repeated: [usize; 3],
}

impl Along {
    /// Dimension `axis` of an array of this shape.
    pub fn new(shape: &Shape, axis: usize) -> Self {
        let (outer, extent, inner) = shape.around(axis);
        Self { extents: [outer, extent, inner], whole: [extent * inner, inner, 1], repeated: [inner, 0, 1] }
    }

    /// Number of sums.
    pub fn sums(&self) -> usize {
        self.extents[0] * self.extents[2]
    }

    /// An operand of all elements.
    pub fn whole<'a, T>(&'a self, values: &'a [T]) -> Broadcast<'a, T> {
        Broadcast { values, strides: &self.whole }
    }

    /// An operand with a number for each sum.
    pub fn repeated<'a, T>(&'a self, values: &'a [T]) -> Broadcast<'a, T> {
        Broadcast { values, strides: &self.repeated }
    }

    /// sums <- the sums of f(operands).
    pub fn sum<T: Scalar, const N: usize>(
        &self,
        f: impl Function<T, N>,
        operands: [Broadcast<'_, T>; N],
        sums: &mut [T],
    ) -> Result<(), Error> {
        sums.fill(T::ZERO);
        let sums = BroadcastMut { values: sums, strides: &self.repeated };
        Ok(elementwise::accumulate_broadcast(f, &self.extents, operands, sums)?)
    }

    /// dx += f(operands).
    pub fn add<T: Scalar, const N: usize>(
        &self,
        f: impl Function<T, N>,
        operands: [Broadcast<'_, T>; N],
        dx: InputGradient<'_, T>,
    ) -> Result<(), Error> {
        let (dx, add) = dx.parts();
        if !add {
            return Ok(elementwise::map_broadcast(f, &self.extents, operands, dx)?);
        }
        let dx = BroadcastMut { values: dx, strides: &self.whole };
        Ok(elementwise::accumulate_broadcast(f, &self.extents, operands, dx)?)
    }
}
