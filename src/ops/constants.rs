//! Arithmetic with plain numbers.

use crate::ops::unary::{Pointwise, Unary};
use crate::shape::Shape;
use crate::tape::Var;
use lanegrad_kernels::isa::{Isa, Lanes, Scalar};
use std::ops::{Add, Div, Mul, Sub};

/// y = scale x + shift; dx = dy scale.
#[derive(Clone, Copy, Debug)]
pub struct Affine<T> {
    /// What each element is multiplied by.
    pub scale: T,
    /// What is then added.
    pub shift: T,
}

impl<T: Scalar> Pointwise<T> for Affine<T> {
    const NAME: &'static str = "affine";

    #[inline(always)]
    fn value<S: Isa>(self, isa: S, x: T::Lanes<S>) -> T::Lanes<S> {
        x.mul_add(isa, T::Lanes::<S>::splat(isa, self.scale), T::Lanes::<S>::splat(isa, self.shift))
    }

    #[inline(always)]
    fn slope<S: Isa>(self, isa: S, _: T::Lanes<S>, _: T::Lanes<S>, dy: T::Lanes<S>) -> T::Lanes<S> {
        dy.mul(isa, T::Lanes::<S>::splat(isa, self.scale))
    }
}

impl<'t, T: Scalar> Var<'t, T> {
    /// scale x + shift, of each element.
    pub fn affine(self, scale: T, shift: T) -> Self {
        self.tape().apply(Unary(Affine { scale, shift }), &[self])
    }

    /// A number without gradient on the same tape.
    fn number(self, value: T) -> Self {
        self.tape().constant_with(Shape::scalar(), |values| {
            values[0] = value;
            Ok(())
        })
    }
}

impl<T: Scalar> Add<T> for Var<'_, T> {
    type Output = Self;
    fn add(self, number: T) -> Self {
        self.affine(T::ONE, number)
    }
}

impl<T: Scalar> Sub<T> for Var<'_, T> {
    type Output = Self;
    fn sub(self, number: T) -> Self {
        self.affine(T::ONE, -number)
    }
}

impl<T: Scalar> Mul<T> for Var<'_, T> {
    type Output = Self;
    fn mul(self, number: T) -> Self {
        self.affine(number, T::ZERO)
    }
}

impl<T: Scalar> Div<T> for Var<'_, T> {
    type Output = Self;
    fn div(self, number: T) -> Self {
        self / self.number(number)
    }
}

/// The operators with the number on the left: the orphan rule wants them for each type by name.
macro_rules! number_on_the_left {
    ($number:ty) => {
        impl<'t> Add<Var<'t, $number>> for $number {
            type Output = Var<'t, $number>;
            fn add(self, x: Var<'t, $number>) -> Var<'t, $number> {
                x.affine(1.0, self)
            }
        }

        impl<'t> Sub<Var<'t, $number>> for $number {
            type Output = Var<'t, $number>;
            fn sub(self, x: Var<'t, $number>) -> Var<'t, $number> {
                x.affine(-1.0, self)
            }
        }

        impl<'t> Mul<Var<'t, $number>> for $number {
            type Output = Var<'t, $number>;
            fn mul(self, x: Var<'t, $number>) -> Var<'t, $number> {
                x.affine(self, 0.0)
            }
        }

        impl<'t> Div<Var<'t, $number>> for $number {
            type Output = Var<'t, $number>;
            fn div(self, x: Var<'t, $number>) -> Var<'t, $number> {
                x.number(self) / x
            }
        }
    };
}

number_on_the_left!(f32);
number_on_the_left!(f64);

#[cfg(test)]
mod tests {
    use crate::ops::check::{array, smooth};

    #[test]
    fn gradient() {
        smooth(|x| (2.0 * x[0] + 1.0) * (3.0 - x[0]) / (x[0] - 4.0) / 7.0, &[array(&[5], 1)]);
        smooth(|x| 1.0 / x[0] + (1.5 + x[0]) * 0.5, &[array(&[5], 1)]);
    }
}
