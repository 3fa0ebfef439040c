//! Dense row-major arrays.

mod arithmetic;

use crate::error::Error;
use crate::shape::Shape;
use lanegrad_kernels::aligned::AlignedVec;
use lanegrad_kernels::isa::Scalar;
use lanegrad_kernels::{MatMut, MatRef, gemm};
use std::fmt;
use std::ops::Range;

/// A dense row-major array of any rank.
///
/// ```
/// use lanegrad::tensor::Tensor;
/// let a = Tensor::<f64>::from_slice([2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?;
/// let b = Tensor::full([3], 10.0)?;
/// assert_eq!((&a * &b)?.sum([-1])?.values(), [60.0, 150.0]);
/// assert_eq!(a.matmul(&Tensor::eye(3)?)?, a);
/// assert_eq!((&a + &Tensor::zeros([2])?).unwrap_err().to_string(), "broadcast: shapes [2, 3] and [2] do not fit");
/// # Ok::<(), lanegrad::Error>(())
/// ```
///
/// What can fail returns a `Result`: arithmetic between shapes that do not fit, an index beyond the end, a size that
/// overflows.
#[derive(Clone)]
pub struct Tensor<T: Scalar = f32> {
    shape: Shape,
    values: AlignedVec<T>,
}

impl<T: Scalar> Tensor<T> {
    /// Zeros.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the elements do not fit memory.
    pub fn zeros(shape: impl Into<Shape>) -> Result<Self, Error> {
        let shape = shape.into();
        let mut values = AlignedVec::default();
        values.try_resize(shape.elements()?).map_err(|_| Error::TooLarge { shape: shape.clone() })?;
        Ok(Self { shape, values })
    }

    /// `value` everywhere.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the elements do not fit memory.
    pub fn full(shape: impl Into<Shape>, value: T) -> Result<Self, Error> {
        let mut tensor = Self::zeros(shape)?;
        tensor.values.fill(value);
        Ok(tensor)
    }

    /// Ones.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the elements do not fit memory.
    pub fn ones(shape: impl Into<Shape>) -> Result<Self, Error> {
        Self::full(shape, T::ONE)
    }

    /// One number, without dimensions.
    pub fn scalar(value: T) -> Self {
        let mut values = AlignedVec::zeroed(1);
        values[0] = value;
        Self { shape: Shape::scalar(), values }
    }

    /// The identity matrix of `extent` rows.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the elements do not fit memory.
    pub fn eye(extent: usize) -> Result<Self, Error> {
        Self::from_fn([extent, extent], |i| if i / extent == i % extent { T::ONE } else { T::ZERO })
    }

    /// `count` numbers from `first` to `last`, both included, evenly apart.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the elements do not fit memory.
    pub fn linspace(first: f64, last: f64, count: usize) -> Result<Self, Error> {
        let step = (last - first) / count.saturating_sub(1).max(1) as f64;
        let end = |i| if i + 1 == count && count > 1 { last } else { first + i as f64 * step };
        Self::from_fn([count], |i| T::from_f64(end(i)))
    }

    /// The numbers 0, 1, 2, ...
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the elements do not fit memory.
    pub fn arange(count: usize) -> Result<Self, Error> {
        Self::from_fn([count], |i| T::from_f64(i as f64))
    }

    /// Element `i` in row-major order is `element(i)`.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the elements do not fit memory.
    pub fn from_fn(shape: impl Into<Shape>, element: impl FnMut(usize) -> T) -> Result<Self, Error> {
        let mut tensor = Self::zeros(shape)?;
        let mut element = element;
        for (i, value) in tensor.values.iter_mut().enumerate() {
            *value = element(i);
        }
        Ok(tensor)
    }

    /// A copy of `values`, which are in row-major order.
    ///
    /// # Errors
    /// [`Error::Shapes`] if the shape has another number of elements.
    pub fn from_slice(shape: impl Into<Shape>, values: &[T]) -> Result<Self, Error> {
        let shape = shape.into();
        if shape.elements()? != values.len() {
            return Err(Error::Shapes { op: "from_slice", left: Shape::from(values.len()), right: shape });
        }
        let mut tensor = Self::zeros(shape)?;
        tensor.values.copy_from_slice(values);
        Ok(tensor)
    }

    /// A copy in another type, each element rounded.
    pub fn cast<U: Scalar>(&self) -> Tensor<U> {
        let mut values = AlignedVec::zeroed(self.values.len());
        for (to, from) in values.iter_mut().zip(self.values.iter()) {
            *to = U::from_f64(from.to_f64());
        }
        Tensor { shape: self.shape.clone(), values }
    }

    /// Its shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Its elements in row-major order.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// Its elements in row-major order, to be changed.
    pub fn values_mut(&mut self) -> &mut [T] {
        &mut self.values
    }

    /// All of it, borrowed.
    pub fn view(&self) -> TensorView<'_, T> {
        TensorView { shape: self.shape.clone(), values: &self.values }
    }

    /// Entry `index` along the leading axis, without a copy.
    ///
    /// # Errors
    /// [`Error::Index`] if there is no such entry, [`Error::Axis`] if there is no axis.
    pub fn at(&self, index: usize) -> Result<TensorView<'_, T>, Error> {
        self.view().at(index)
    }

    /// The entries in `range` along the leading axis, without a copy.
    ///
    /// # Errors
    /// [`Error::Index`] if it reaches beyond the end, [`Error::Axis`] if there is no axis.
    pub fn rows(&self, range: Range<usize>) -> Result<TensorView<'_, T>, Error> {
        self.view().rows(range)
    }

    /// The element at `index`, one number for each dimension.
    ///
    /// # Errors
    /// [`Error::Shape`] if the numbers are not as many as the dimensions, [`Error::Index`] if one is beyond the end.
    pub fn get(&self, index: &[usize]) -> Result<T, Error> {
        Ok(self.values[self.position(index)?])
    }

    /// Replaces the element at `index`; see [`Tensor::get`].
    ///
    /// # Errors
    /// Those of [`Tensor::get`].
    pub fn set(&mut self, index: &[usize], value: T) -> Result<(), Error> {
        let position = self.position(index)?;
        self.values[position] = value;
        Ok(())
    }

    fn position(&self, index: &[usize]) -> Result<usize, Error> {
        if index.len() != self.shape.rank() {
            return Err(Error::Shape {
                op: "index",
                shape: self.shape.clone(),
                wanted: "an index has a number for each dimension",
            });
        }
        let mut position = 0;
        for (&index, &limit) in index.iter().zip(self.shape.extents()) {
            if index >= limit {
                return Err(Error::Index { op: "index", index, limit });
            }
            position = position * limit + index;
        }
        Ok(position)
    }

    /// Its only element.
    ///
    /// # Errors
    /// [`Error::Shape`] if it does not have exactly one.
    pub fn item(&self) -> Result<T, Error> {
        match *self.values {
            [item] => Ok(item),
            _ => Err(Error::Shape { op: "item", shape: self.shape.clone(), wanted: "one element was wanted" }),
        }
    }

    /// The same elements in another shape.
    ///
    /// # Errors
    /// [`Error::Shapes`] if that has another number of elements.
    pub fn reshape(self, shape: impl Into<Shape>) -> Result<Self, Error> {
        let shape = shape.into();
        if shape.elements()? != self.values.len() {
            return Err(Error::Shapes { op: "reshape", left: self.shape, right: shape });
        }
        Ok(Self { shape, values: self.values })
    }

    /// A copy whose dimension `i` is dimension `axes[i]` of this array.
    ///
    /// # Errors
    /// [`Error::Shape`] if `axes` does not name each dimension once.
    pub fn permute(&self, axes: &[usize]) -> Result<Self, Error> {
        let mut result = Self::zeros(permuted(&self.shape, axes)?)?;
        permute_into(&self.shape, &self.values, axes, &mut result.values);
        Ok(result)
    }

    /// A copy of a matrix with rows as columns.
    ///
    /// # Errors
    /// [`Error::Shape`] if it is not a matrix.
    pub fn transpose(&self) -> Result<Self, Error> {
        self.permute(&[1, 0])
    }

    /// The matrix product.
    ///
    /// # Errors
    /// [`Error::Shapes`] if the two are not matrices whose inner extents agree.
    pub fn matmul(&self, other: &Self) -> Result<Self, Error> {
        let (&[m, k], &[rows, n]) = (self.shape.extents(), other.shape.extents()) else {
            return Err(self.unfit("matmul", other));
        };
        if rows != k {
            return Err(self.unfit("matmul", other));
        }
        let mut result = Self::zeros([m, n])?;
        let (a, b) = (MatRef::row_major(&self.values, m, k)?, MatRef::row_major(&other.values, k, n)?);
        gemm(T::ONE, a, b, T::ZERO, MatMut::row_major(&mut result.values, m, n)?)?;
        Ok(result)
    }

    fn unfit(&self, op: &'static str, other: &Self) -> Error {
        Error::Shapes { op, left: self.shape.clone(), right: other.shape.clone() }
    }
}

/// The shape whose dimension `i` is dimension `axes[i]` of `shape`.
pub(crate) fn permuted(shape: &Shape, axes: &[usize]) -> Result<Shape, Error> {
    let rank = shape.rank();
    if axes.len() != rank || !(0..rank).all(|axis| axes.contains(&axis)) {
        return Err(Error::Shape {
            op: "permute",
            shape: shape.clone(),
            wanted: "a permutation names each dimension once",
        });
    }
    let mut result = shape.clone();
    for (extent, &axis) in result.extents_mut().iter_mut().zip(axes) {
        *extent = shape.extents()[axis];
    }
    Ok(result)
}

/// Writes `values`, of `shape`, to `target` with dimension `axes[i]` as dimension `i`.
pub(crate) fn permute_into<T: Scalar>(shape: &Shape, values: &[T], axes: &[usize], target: &mut [T]) {
    permute_each(shape, values, axes, target, |to, from| *to = from);
}

/// Calls `meet` with each element of `target` and the element of `values` that belongs there.
pub(crate) fn permute_each<T: Scalar>(
    shape: &Shape,
    values: &[T],
    axes: &[usize],
    target: &mut [T],
    meet: impl Fn(&mut T, T),
) {
    if target.is_empty() {
        return;
    }
    let extents = shape.extents();
    let Some((&last, outer)) = axes.split_last() else {
        return meet(&mut target[0], values[0]);
    };
    let stride = |axis: usize| extents[axis + 1..].iter().product::<usize>();
    let (length, step) = (extents[last], stride(last));
    for (row, line) in target.chunks_exact_mut(length).enumerate() {
        let mut rest = row;
        let mut position = 0;
        for &axis in outer.iter().rev() {
            position += rest % extents[axis] * stride(axis);
            rest /= extents[axis];
        }
        for (to, &from) in line.iter_mut().zip(values[position..].iter().step_by(step)) {
            meet(to, from);
        }
    }
}

impl<T: Scalar> PartialEq for Tensor<T> {
    fn eq(&self, other: &Self) -> bool {
        self.shape == other.shape && self.values == other.values
    }
}

impl<T: Scalar> fmt::Debug for Tensor<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.view(), formatter)
    }
}

/// A part of a [`Tensor`] along its leading axis, borrowed.
#[derive(Clone, PartialEq)]
pub struct TensorView<'a, T: Scalar = f32> {
    shape: Shape,
    values: &'a [T],
}

impl<'a, T: Scalar> TensorView<'a, T> {
    /// Its shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Its elements in row-major order.
    pub fn values(&self) -> &'a [T] {
        self.values
    }

    /// Entry `index` along the leading axis.
    ///
    /// # Errors
    /// [`Error::Index`] if there is no such entry, [`Error::Axis`] if there is no axis.
    pub fn at(&self, index: usize) -> Result<Self, Error> {
        let limit = self.shape.extents()[..1.min(self.shape.rank())].first().copied();
        let limit = limit.ok_or_else(|| Error::Axis { axis: 0, shape: self.shape.clone() })?;
        if index >= limit {
            return Err(Error::Index { op: "at", index, limit });
        }
        let shape = self.shape.without(0);
        let length = self.values.len() / limit;
        Ok(Self { shape, values: &self.values[index * length..][..length] })
    }

    /// The entries in `range` along the leading axis.
    ///
    /// # Errors
    /// [`Error::Index`] if it reaches beyond the end, [`Error::Axis`] if there is no axis.
    pub fn rows(&self, range: Range<usize>) -> Result<Self, Error> {
        let axis = self.shape.axis(0)?;
        let limit = self.shape.extents()[axis];
        if range.end > limit || range.start > range.end {
            return Err(Error::Index { op: "rows", index: range.start.max(range.end), limit: limit + 1 });
        }
        let length = self.values.len().checked_div(limit).unwrap_or(0);
        let shape = self.shape.replaced(0, &[range.len()]);
        Ok(Self { shape, values: &self.values[range.start * length..range.end * length] })
    }

    /// A copy.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if there is no memory for it.
    pub fn to_tensor(&self) -> Result<Tensor<T>, Error> {
        Tensor::from_slice(&self.shape, self.values)
    }
}

impl<T: Scalar> fmt::Debug for TensorView<'_, T> {
    /// The shape, and the elements of each row of the last dimension in brackets; the middle of a long one left out.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        write!(formatter, "{} ", self.shape)?;
        let (rows, columns) = self.shape.as_matrix();
        for (i, row) in self.values.chunks(columns.max(1)).take(SHOWN).enumerate() {
            let shown = row.iter().take(SHOWN).map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let comma = if i > 0 { ", " } else { "" };
            write!(formatter, "{comma}[{shown}{}]", if columns > SHOWN { ", ..." } else { "" })?;
        }
        if rows > SHOWN { write!(formatter, ", ...") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_can_be_reached() {
        let a = Tensor::<f32>::arange(24).unwrap().reshape([2, 3, 4]).unwrap();
        assert_eq!(a.get(&[1, 2, 3]).unwrap(), 23.0);
        assert_eq!(a.at(1).unwrap().at(2).unwrap().values(), [20.0, 21.0, 22.0, 23.0]);
        assert_eq!(a.rows(1..2).unwrap().shape().extents(), [1, 3, 4]);
        assert!(a.rows(2..2).unwrap().values().is_empty());
        assert!(a.get(&[1, 3, 0]).is_err() && a.get(&[1, 2]).is_err() && a.at(2).is_err() && a.rows(1..3).is_err());
        assert!(Tensor::<f32>::scalar(1.0).at(0).is_err());
        assert!(Tensor::<f32>::zeros([0, 3]).unwrap().at(0).is_err());
        for shape in [&[usize::MAX, 2][..], &[1 << 32, 1 << 32], &[usize::MAX, usize::MAX, 0]] {
            assert!(matches!(Tensor::<f32>::zeros(shape), Err(Error::TooLarge { .. })), "{shape:?}");
        }
        assert!(Tensor::<f64>::zeros([1 << 58]).is_err());
        assert!(Tensor::from_slice([2, 2], &[0.0_f32; 3]).is_err());
        assert!(a.clone().reshape([5, 5]).is_err());
    }

    #[test]
    fn construction() {
        assert_eq!(Tensor::<f64>::linspace(-0.5, 0.5, 3).unwrap().values(), [-0.5, 0.0, 0.5]);
        assert_eq!(Tensor::<f64>::linspace(2.0, 3.0, 1).unwrap().values(), [2.0]);
        assert_eq!(Tensor::<f64>::eye(2).unwrap().values(), [1.0, 0.0, 0.0, 1.0]);
        let a = Tensor::<f64>::arange(6).unwrap().reshape([2, 3]).unwrap();
        assert_eq!(a.transpose().unwrap().values(), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(a.cast::<f32>().cast::<f64>(), a);
        assert_eq!(format!("{a:?}"), "[2, 3] [0, 1, 2], [3, 4, 5]");
        let message = a.matmul(&a).unwrap_err().to_string();
        assert_eq!(message, "matmul: shapes [2, 3] and [2, 3] do not fit");
    }
}
