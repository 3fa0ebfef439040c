//! Shapes: the extents of an array, and how two of them combine.

use crate::error::Error;
use std::fmt;

/// Dimensions that are kept without an allocation: images in groups have as many.
const INLINE: usize = 5;

/// The extents of a dense row-major array, outermost first. A scalar has none.
///
/// Up to five dimensions are held in place; there is no limit to their number.
#[derive(Clone)]
pub struct Shape(Extents);

#[derive(Clone)]
enum Extents {
    Inline { rank: u8, extents: [usize; INLINE] },
    Boxed(Box<[usize]>),
}

impl Default for Shape {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl Shape {
    /// The shape with these extents.
    pub fn new(extents: &[usize]) -> Self {
        if extents.len() > INLINE {
            return Self(Extents::Boxed(extents.into()));
        }
        let mut inline = [0; INLINE];
        inline[..extents.len()].copy_from_slice(extents);
        Self(Extents::Inline { rank: extents.len() as u8, extents: inline })
    }

    /// The shape of one number.
    pub fn scalar() -> Self {
        Self::default()
    }

    /// The extents, outermost first.
    pub fn extents(&self) -> &[usize] {
        match &self.0 {
            Extents::Inline { rank, extents } => &extents[..usize::from(*rank)],
            Extents::Boxed(extents) => extents,
        }
    }

    /// The extents, to be changed.
    pub fn extents_mut(&mut self) -> &mut [usize] {
        match &mut self.0 {
            Extents::Inline { rank, extents } => &mut extents[..usize::from(*rank)],
            Extents::Boxed(extents) => extents,
        }
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.extents().len()
    }

    /// Number of elements.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the product of the extents other than zero does not fit a slice.
    pub fn elements(&self) -> Result<usize, Error> {
        let too_large = || Error::TooLarge { shape: self.clone() };
        let mut product = 1_usize;
        let mut empty = false;
        for &extent in self.extents() {
            empty |= extent == 0;
            product = product.checked_mul(extent.max(1)).ok_or_else(too_large)?;
        }
        // No slice of numbers of up to 8 bytes is longer.
        if product > isize::MAX as usize / 8 { Err(too_large()) } else { Ok(if empty { 0 } else { product }) }
    }

    /// The position of `axis`, which counts from the last dimension if it is negative (-1 is the last).
    ///
    /// # Errors
    /// [`Error::Axis`] if there is no such dimension.
    pub fn axis(&self, axis: isize) -> Result<usize, Error> {
        let position = if axis < 0 { axis.checked_add_unsigned(self.rank()) } else { Some(axis) };
        let position = position.and_then(|position| usize::try_from(position).ok());
        position.filter(|&position| position < self.rank()).ok_or_else(|| Error::Axis { axis, shape: self.clone() })
    }

    /// The shape of an elementwise result of arrays of the two shapes: NumPy's rules.
    ///
    /// The shapes are aligned at their last dimensions; two extents must be equal or one of them 1, and a missing one
    /// counts as 1.
    ///
    /// # Errors
    /// [`Error::Shapes`] if two extents do not go together.
    pub fn broadcast(&self, other: &Self) -> Result<Self, Error> {
        let (long, short) = if self.rank() >= other.rank() { (self, other) } else { (other, self) };
        let mut result = long.clone();
        let skipped = long.rank() - short.rank();
        for (extent, &partner) in result.extents_mut()[skipped..].iter_mut().zip(short.extents()) {
            *extent = match (*extent, partner) {
                (a, b) if a == b => a,
                (1, b) => b,
                (a, 1) => a,
                _ => return Err(Error::Shapes { op: "broadcast", left: self.clone(), right: other.clone() }),
            };
        }
        Ok(result)
    }

    /// Distance in elements from one index of each dimension of `target` to the next, in an array of this shape that is
    /// broadcast to it: 0 where it is repeated.
    ///
    /// # Errors
    /// [`Error::Shapes`] if it cannot be broadcast to `target`.
    pub fn broadcast_strides(&self, target: &Self) -> Result<Shape, Error> {
        let refuse = || Error::Shapes { op: "broadcast", left: self.clone(), right: target.clone() };
        let skipped = target.rank().checked_sub(self.rank()).ok_or_else(refuse)?;
        let mut strides = target.clone();
        strides.extents_mut()[..skipped].fill(0);
        let mut distance = 1;
        for (i, &extent) in self.extents().iter().enumerate().rev() {
            let wanted = target.extents()[skipped + i];
            if extent != wanted && extent != 1 {
                return Err(refuse());
            }
            strides.extents_mut()[skipped + i] = if extent == 1 { 0 } else { distance };
            distance *= extent;
        }
        Ok(strides)
    }

    /// The extents before, at and after dimension `axis`, each multiplied into one number.
    pub fn around(&self, axis: usize) -> (usize, usize, usize) {
        let extents = self.extents();
        (extents[..axis].iter().product(), extents[axis], extents[axis + 1..].iter().product())
    }

    /// Rows and columns of the matrix whose rows are the last dimension; a scalar is a matrix of one element.
    pub fn as_matrix(&self) -> (usize, usize) {
        match self.extents().split_last() {
            Some((&columns, outer)) => (outer.iter().product(), columns),
            None => (1, 1),
        }
    }

    /// This shape with one more dimension before all others.
    pub fn with_leading(&self, extent: usize) -> Self {
        let old = self.extents();
        let mut buffer = [0; INLINE];
        if old.len() >= INLINE {
            return Self::new(&[&[extent], old].concat());
        }
        buffer[0] = extent;
        buffer[1..=old.len()].copy_from_slice(old);
        Self::new(&buffer[..=old.len()])
    }

    /// This shape without dimension `axis`.
    pub fn without(&self, axis: usize) -> Self {
        self.replaced(axis, &[])
    }

    /// This shape with dimension `axis` replaced by `extents`.
    pub fn replaced(&self, axis: usize, extents: &[usize]) -> Self {
        let old = self.extents();
        let mut buffer = [0; INLINE];
        let rank = self.rank() - 1 + extents.len();
        if rank > INLINE {
            return Self::new(&[&old[..axis], extents, &old[axis + 1..]].concat());
        }
        buffer[..axis].copy_from_slice(&old[..axis]);
        buffer[axis..axis + extents.len()].copy_from_slice(extents);
        buffer[axis + extents.len()..rank].copy_from_slice(&old[axis + 1..]);
        Self::new(&buffer[..rank])
    }
}

impl PartialEq for Shape {
    fn eq(&self, other: &Self) -> bool {
        self.extents() == other.extents()
    }
}

impl Eq for Shape {}

impl fmt::Debug for Shape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.extents(), formatter)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.extents(), formatter)
    }
}

impl From<&Shape> for Shape {
    fn from(shape: &Shape) -> Self {
        shape.clone()
    }
}

impl From<&[usize]> for Shape {
    fn from(extents: &[usize]) -> Self {
        Self::new(extents)
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(extents: [usize; N]) -> Self {
        Self::new(&extents)
    }
}

impl<const N: usize> From<&[usize; N]> for Shape {
    fn from(extents: &[usize; N]) -> Self {
        Self::new(extents)
    }
}

impl From<usize> for Shape {
    fn from(extent: usize) -> Self {
        Self::new(&[extent])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(extents: &[usize]) -> Shape {
        Shape::new(extents)
    }

    #[test]
    fn shapes_of_any_rank() {
        for rank in 0..10 {
            let extents: Vec<usize> = (1..=rank).collect();
            let mut shape = Shape::new(&extents);
            assert_eq!(shape.extents(), extents);
            assert_eq!(shape.rank(), rank);
            assert_eq!(shape.elements().unwrap(), extents.iter().product::<usize>());
            if let Some(first) = shape.extents_mut().first_mut() {
                *first = 7;
                assert_eq!(shape.extents()[0], 7);
                assert_eq!(shape.replaced(0, &[2, 3]).extents()[..2], [2, 3]);
                assert_eq!(shape.replaced(0, &[2, 3]).rank(), rank + 1);
                assert_eq!(shape.without(0).extents(), &extents[1..]);
                assert_eq!(shape.without(0).with_leading(7), shape);
            }
        }
    }

    #[test]
    fn products_that_overflow_are_refused_even_beside_a_zero() {
        let huge = 1 << 40;
        assert!(matches!(shape(&[huge, huge]).elements(), Err(Error::TooLarge { .. })));
        assert!(matches!(shape(&[huge, 0, huge]).elements(), Err(Error::TooLarge { .. })));
        assert_eq!(shape(&[3, 0, 2]).elements().unwrap(), 0);
        assert_eq!(Shape::scalar().elements().unwrap(), 1);
    }

    #[test]
    fn broadcasting_follows_numpy() {
        let both = |a: &[usize], b: &[usize]| shape(a).broadcast(&shape(b)).map(|c| c.extents().to_vec());
        assert_eq!(both(&[8, 1, 6, 1], &[7, 1, 5]).unwrap(), [8, 7, 6, 5]);
        assert_eq!(both(&[5, 4], &[1]).unwrap(), [5, 4]);
        assert_eq!(both(&[], &[3]).unwrap(), [3]);
        assert_eq!(both(&[0, 3], &[1, 3]).unwrap(), [0, 3]);
        assert_eq!(
            both(&[2, 1], &[8, 4, 3]).unwrap_err().to_string(),
            "broadcast: shapes [2, 1] and [8, 4, 3] do not fit"
        );
        assert_eq!(shape(&[3, 1]).broadcast_strides(&shape(&[2, 3, 4])).unwrap().extents(), [0, 1, 0]);
        assert_eq!(shape(&[2, 3]).broadcast_strides(&shape(&[2, 3])).unwrap().extents(), [3, 1]);
        assert!(shape(&[2, 3]).broadcast_strides(&shape(&[3])).is_err());
        assert!(shape(&[2]).broadcast_strides(&shape(&[3])).is_err());
    }

    #[test]
    fn axes_count_from_both_ends() {
        let shape = shape(&[2, 3, 4]);
        assert_eq!(shape.axis(0).unwrap(), 0);
        assert_eq!(shape.axis(-1).unwrap(), 2);
        assert_eq!(shape.axis(-3).unwrap(), 0);
        assert_eq!(shape.axis(3).unwrap_err().to_string(), "there is no axis 3 in shape [2, 3, 4]");
        assert!(shape.axis(-4).is_err() && shape.axis(isize::MIN).is_err() && shape.axis(isize::MAX).is_err());
        assert_eq!(shape.around(1), (2, 3, 4));
        assert_eq!(shape.as_matrix(), (6, 4));
    }
}
