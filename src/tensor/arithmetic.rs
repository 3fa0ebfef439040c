//! Arithmetic between arrays, broadcast, and sums over dimensions.

use super::Tensor;
use crate::error::Error;
use crate::shape::Shape;
use lanegrad_kernels::elementwise::{self, Broadcast, BroadcastMut, Function, Identity};
use lanegrad_kernels::isa::{Isa, Lanes, Scalar};
use std::ops::{Add, Div, Mul, Sub};

/// Implements an operator between references to arrays: `&a + &b` is a `Result`, since the shapes may not fit.
macro_rules! operator {
    ($operator:ident, $method:ident, $function:ident) => {
        #[derive(Clone, Copy)]
        struct $function;

        impl<T: Scalar> Function<T, 2> for $function {
            #[inline(always)]
            fn lanes<S: Isa>(&self, isa: S, [a, b]: [T::Lanes<S>; 2]) -> T::Lanes<S> {
                a.$method(isa, b)
            }
        }

        impl<T: Scalar> $operator for &Tensor<T> {
            type Output = Result<Tensor<T>, Error>;
            fn $method(self, other: Self) -> Self::Output {
                self.combine(other, $function)
            }
        }
    };
}

operator!(Add, add, Sum);
operator!(Sub, sub, Difference);
operator!(Mul, mul, Product);
operator!(Div, div, Quotient);

impl<T: Scalar> Tensor<T> {
    fn combine(&self, other: &Self, function: impl Function<T, 2>) -> Result<Self, Error> {
        let shape = self.shape.broadcast(&other.shape)?;
        let (left, right) = (self.shape.broadcast_strides(&shape)?, other.shape.broadcast_strides(&shape)?);
        let mut result = Self::zeros(&shape)?;
        let left = Broadcast { values: &self.values, strides: left.extents() };
        let right = Broadcast { values: &other.values, strides: right.extents() };
        elementwise::map_broadcast(function, shape.extents(), [left, right], &mut result.values)?;
        Ok(result)
    }

    /// The sum over the dimensions in `axes`; a negative one counts from the last.
    ///
    /// # Errors
    /// [`Error::Axis`] if there is no such dimension.
    pub fn sum(&self, axes: impl AsRef<[isize]>) -> Result<Self, Error> {
        let mut kept = self.shape.clone();
        let mut left = Vec::new();
        let axes = axes.as_ref().iter().map(|&axis| self.shape.axis(axis)).collect::<Result<Vec<_>, _>>()?;
        for (axis, extent) in kept.extents_mut().iter_mut().enumerate() {
            if axes.contains(&axis) {
                *extent = 1;
            } else {
                left.push(*extent);
            }
        }
        let (own, strides) = (self.shape.broadcast_strides(&self.shape)?, kept.broadcast_strides(&self.shape)?);
        let mut result = Self::zeros(Shape::new(&left))?;
        let x = Broadcast { values: &self.values, strides: own.extents() };
        let y = BroadcastMut { values: &mut result.values, strides: strides.extents() };
        elementwise::accumulate_broadcast(Identity, self.shape.extents(), [x], y)?;
        Ok(result)
    }

    /// The mean over the dimensions in `axes`; a negative one counts from the last.
    ///
    /// # Errors
    /// [`Error::Axis`] if there is no such dimension.
    pub fn mean(&self, axes: impl AsRef<[isize]>) -> Result<Self, Error> {
        let mut result = self.sum(axes)?;
        let terms = T::from_f64(self.values.len() as f64 / result.values.len().max(1) as f64);
        result.values.iter_mut().for_each(|x| *x = *x / terms);
        Ok(result)
    }

    /// Along `axis`, the greatest elements; NaN where there is one.
    ///
    /// # Errors
    /// [`Error::Axis`] if there is no such dimension, [`Error::Shape`] if it is empty.
    pub fn max(&self, axis: isize) -> Result<Self, Error> {
        self.extremes(axis, |x, best| x > best).map(|(values, _)| values)
    }

    /// Along `axis`, the least elements; NaN where there is one.
    ///
    /// # Errors
    /// [`Error::Axis`] if there is no such dimension, [`Error::Shape`] if it is empty.
    pub fn min(&self, axis: isize) -> Result<Self, Error> {
        self.extremes(axis, |x, best| x < best).map(|(values, _)| values)
    }

    /// Along `axis`, where the greatest elements are: the first of equals; the first NaN if there is one.
    ///
    /// # Errors
    /// [`Error::Axis`] if there is no such dimension, [`Error::Shape`] if it is empty.
    pub fn argmax(&self, axis: isize) -> Result<Vec<usize>, Error> {
        self.extremes(axis, |x, best| x > best).map(|(_, indices)| indices)
    }

    /// Along `axis`, the elements that `beats` no other, and where they are.
    fn extremes(&self, axis: isize, beats: impl Fn(T, T) -> bool) -> Result<(Self, Vec<usize>), Error> {
        let axis = self.shape.axis(axis)?;
        let (outer, extent, inner) = self.shape.around(axis);
        if extent == 0 {
            return Err(Error::Shape { op: "max", shape: self.shape.clone(), wanted: "an empty axis has no extreme" });
        }
        let mut values = Self::zeros(self.shape.without(axis))?;
        let mut indices = vec![0; outer * inner];
        for (i, (value, index)) in values.values.iter_mut().zip(&mut indices).enumerate() {
            let first = i / inner * extent * inner + i % inner;
            *value = self.values[first];
            for (position, &x) in self.values[first..].iter().step_by(inner).take(extent).enumerate() {
                let is_number = |x: T| x.partial_cmp(&x).is_some();
                if is_number(*value) && (beats(x, *value) || !is_number(x)) {
                    (*value, *index) = (x, position);
                }
            }
        }
        Ok((values, indices))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_is_broadcast() {
        let a = Tensor::<f64>::arange(6).unwrap().reshape([2, 3]).unwrap();
        let row = Tensor::from_slice([3], &[1.0, 2.0, 4.0]).unwrap();
        let column = Tensor::from_slice([2, 1], &[10.0, 20.0]).unwrap();
        assert_eq!((&a + &row).unwrap().values(), [1.0, 3.0, 6.0, 4.0, 6.0, 9.0]);
        assert_eq!((&a - &column).unwrap().values(), [-10.0, -9.0, -8.0, -17.0, -16.0, -15.0]);
        assert_eq!((&row * &column).unwrap().values(), [10.0, 20.0, 40.0, 20.0, 40.0, 80.0]);
        assert_eq!((&a / &Tensor::scalar(2.0)).unwrap().values(), [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]);
        assert!((&a + &Tensor::zeros([2]).unwrap()).is_err());
    }

    #[test]
    fn reductions() {
        let a = Tensor::<f64>::from_slice([2, 3], &[3.0, 1.0, 3.0, -1.0, f64::NAN, 7.0]).unwrap();
        assert_eq!(a.sum([0]).unwrap().values()[2], 10.0);
        assert_eq!(a.at(0).unwrap().to_tensor().unwrap().mean([0]).unwrap().item().unwrap(), 7.0 / 3.0);
        assert_eq!(a.argmax(1).unwrap(), [0, 1]);
        assert_eq!(a.argmax(0).unwrap(), [0, 1, 1]);
        assert!(a.max(1).unwrap().values()[1].is_nan());
        assert_eq!(a.min(0).unwrap().values()[0], -1.0);
        assert!(a.sum([2]).is_err() && a.max(-3).is_err() && Tensor::<f64>::zeros([2, 0]).unwrap().max(1).is_err());
        assert_eq!(Tensor::<f64>::zeros([0, 2]).unwrap().sum([0]).unwrap().values(), [0.0, 0.0]);
    }
}
