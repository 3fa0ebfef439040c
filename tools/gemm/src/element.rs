//! The numbers that a product is made of, and the real numbers that it is computed in.

use crate::call::Matrix;
#[cfg(feature = "f16")]
use crate::f16;
use crate::{c32, c64};
use lanegrad_kernels::isa::Scalar;
use std::fmt::Debug;
use std::ops::{Add, Mul};

/// A type that the kernels compute.
pub(crate) trait Real: Scalar + Element<Part = Self> {
    /// c <- alpha a b + beta c, for a shape of (m, n, k).
    ///
    /// # Safety
    /// As [`lanegrad_kernels::sgemm`].
    unsafe fn product(
        shape: (usize, usize, usize),
        alpha: Self,
        a: Matrix<*const Self>,
        b: Matrix<*const Self>,
        beta: Self,
        c: Matrix<*mut Self>,
    );
}

macro_rules! real {
    ($type:ty, $gemm:path) => {
        impl Real for $type {
            unsafe fn product(
                (m, n, k): (usize, usize, usize),
                alpha: Self,
                a: Matrix<*const Self>,
                b: Matrix<*const Self>,
                beta: Self,
                c: Matrix<*mut Self>,
            ) {
                let (a, a_rs, a_cs) = (a.first, a.row_stride, a.col_stride);
                let (b, b_rs, b_cs) = (b.first, b.row_stride, b.col_stride);
                let (c, c_rs, c_cs) = (c.first, c.row_stride, c.col_stride);
                // SAFETY: the caller's promises.
                unsafe { $gemm(m, k, n, alpha, a, a_rs, a_cs, b, b_rs, b_cs, beta, c, c_rs, c_cs) };
            }
        }
    };
}

real!(f32, lanegrad_kernels::sgemm);
real!(f64, lanegrad_kernels::dgemm);

/// One real product of a product: part `c` of the result <- `sign` part `a` of lhs part `b` of rhs, plus what it was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Term {
    pub negative: bool,
    pub a: usize,
    pub b: usize,
    pub c: usize,
    /// Nothing was added to part `c` before.
    pub is_first: bool,
}

const fn term(negative: bool, a: usize, b: usize, c: usize, is_first: bool) -> Term {
    Term { negative, a, b, c, is_first }
}

/// A real number has one part.
const REAL: &[Term] = &[term(false, 0, 0, 0, true)];
/// A complex number has a real part, 0, and an imaginary one, 1.
const COMPLEX: &[Term] =
    &[term(false, 0, 0, 0, true), term(true, 1, 1, 0, false), term(false, 0, 1, 1, true), term(false, 1, 0, 1, false)];

/// A type that products are made of.
pub(crate) trait Element: Copy + Debug + Send + Sync + 'static {
    /// What its parts are computed in.
    type Part: Real;
    /// What its sums are scaled in before they are rounded.
    type Wide: Copy + Default + PartialEq + Add<Output = Self::Wide> + Mul<Output = Self::Wide>;
    /// The number of its parts, 1 or 2.
    const PARTS: usize;
    /// The real products that make a product.
    const TERMS: &'static [Term];
    /// The factor that changes nothing.
    const UNIT: Self::Wide;

    fn widen(self) -> Self::Wide;
    /// The nearest number of this type.
    fn narrow(wide: Self::Wide) -> Self;
    fn conjugate(wide: Self::Wide) -> Self::Wide;
    /// The parts; of a real number, the second is zero.
    fn parts(wide: Self::Wide) -> [Self::Part; 2];
    /// The number of these parts; the second of a real number is ignored.
    fn join(parts: [Self::Part; 2]) -> Self::Wide;

    /// The first part of every number of a line, if there is a faster way than number by number.
    fn convert_line(_line: &[Self], _parts: &mut [Self::Part]) -> bool {
        false
    }
}

macro_rules! real_element {
    ($type:ty) => {
        impl Element for $type {
            type Part = Self;
            type Wide = Self;
            const PARTS: usize = 1;
            const TERMS: &'static [Term] = REAL;
            const UNIT: Self = 1.0;

            fn widen(self) -> Self {
                self
            }
            fn narrow(wide: Self) -> Self {
                wide
            }
            fn conjugate(wide: Self) -> Self {
                wide
            }
            fn parts(wide: Self) -> [Self; 2] {
                [wide, 0.0]
            }
            fn join(parts: [Self; 2]) -> Self {
                parts[0]
            }
        }
    };
}

real_element!(f32);
real_element!(f64);

macro_rules! complex_element {
    ($type:ty, $part:ty) => {
        impl Element for $type {
            type Part = $part;
            type Wide = Self;
            const PARTS: usize = 2;
            const TERMS: &'static [Term] = COMPLEX;
            const UNIT: Self = <$type>::new(1.0, 0.0);

            fn widen(self) -> Self {
                self
            }
            fn narrow(wide: Self) -> Self {
                wide
            }
            fn conjugate(wide: Self) -> Self {
                wide.conj()
            }
            fn parts(wide: Self) -> [$part; 2] {
                [wide.re, wide.im]
            }
            fn join([re, im]: [$part; 2]) -> Self {
                Self::new(re, im)
            }
        }
    };
}

complex_element!(c32, f32);
complex_element!(c64, f64);

#[cfg(feature = "f16")]
impl Element for f16 {
    type Part = f32;
    type Wide = f32;
    const PARTS: usize = 1;
    const TERMS: &'static [Term] = REAL;
    const UNIT: f32 = 1.0;

    fn widen(self) -> f32 {
        self.to_f32()
    }
    fn narrow(wide: f32) -> Self {
        Self::from_f32(wide)
    }
    fn conjugate(wide: f32) -> f32 {
        wide
    }
    fn parts(wide: f32) -> [f32; 2] {
        [wide, 0.0]
    }
    fn join(parts: [f32; 2]) -> f32 {
        parts[0]
    }
    fn convert_line(line: &[Self], parts: &mut [f32]) -> bool {
        half::slice::HalfFloatSliceExt::convert_to_f32_slice(line, parts);
        true
    }
}
