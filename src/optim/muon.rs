//! Muon's step for one matrix.

use crate::error::Error;
use lanegrad_kernels::aligned::AlignedVec;
use lanegrad_kernels::isa::Scalar;
use lanegrad_kernels::update::Segment;
use lanegrad_kernels::update::clip::sum_of_squares;
use lanegrad_kernels::{MatMut, MatRef, gemm};
use std::ops::Range;

/// Rounds of the Newton-Schulz iteration.
const ITERATIONS: usize = 5;

/// a, b and c of X <- a X + b (X X') X + c (X X')^2 X: chosen by Jordan et al. for the steepest rise from zero, so that
/// singular values end between about 0.7 and 1.2 instead of at 1.
const COEFFICIENTS: [f64; 3] = [3.4445, -4.7750, 2.0315];

/// The least norm that a direction is divided by.
const NORM_EPSILON: f64 = 1e-7;

/// A matrix in the arena.
#[derive(Clone, Debug)]
pub(super) struct Matrix {
    pub range: Range<usize>,
    pub rows: usize,
    pub cols: usize,
    pub regularised: bool,
}

/// The settings of a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub rate: f64,
    pub momentum: f64,
    pub weight_decay: f64,
    /// Factor of the parameters that is added to their gradient: 2 lambda.
    pub decay: f64,
}

/// Memory for the largest matrix, kept from step to step.
#[derive(Clone, Debug)]
pub(super) struct Scratch<T> {
    /// X, and the next X.
    iterates: [AlignedVec<T>; 2],
    /// X X', and b X X' + c (X X')^2.
    squares: [AlignedVec<T>; 2],
}

impl<T: Scalar> Scratch<T> {
    pub fn new(matrices: &[Matrix]) -> Self {
        let elements = matrices.iter().map(|matrix| matrix.rows * matrix.cols).max().unwrap_or(0);
        let square = matrices.iter().map(|matrix| matrix.rows.min(matrix.cols).pow(2)).max().unwrap_or(0);
        Self {
            iterates: [AlignedVec::zeroed(elements), AlignedVec::zeroed(elements)],
            squares: [AlignedVec::zeroed(square), AlignedVec::zeroed(square)],
        }
    }
}

/// One step of `matrix`: `parameters`, `gradient` and the mean gradient `mean` are its elements, row-major.
///
/// # Errors
/// Those of [`gemm`].
pub(super) fn step<T: Scalar>(
    settings: Settings,
    matrix: &Matrix,
    parameters: &mut [T],
    gradient: &[T],
    mean: &mut [T],
    scratch: &mut Scratch<T>,
) -> Result<(), Error> {
    let Matrix { rows, cols, .. } = *matrix;
    let (momentum, complement) = (T::from_f64(settings.momentum), T::from_f64(1.0 - settings.momentum));
    let decay = T::from_f64(if matrix.regularised { settings.decay } else { 0.0 });
    let direction = &mut scratch.iterates[0][..rows * cols];
    for (((x, dx), mean), direction) in parameters.iter().zip(gradient).zip(mean).zip(direction.iter_mut()) {
        let dx = *dx + decay * *x;
        *mean = momentum * *mean + complement * dx;
        *direction = momentum * *mean + complement * dx;
    }
    orthogonalize(rows, cols, scratch)?;
    let weight_decay = if matrix.regularised { settings.weight_decay } else { 0.0 };
    let kept = T::from_f64(1.0 - settings.rate * weight_decay);
    let scale = (rows as f64 / cols.max(1) as f64).max(1.0).sqrt();
    let rate = T::from_f64(settings.rate * scale);
    for (x, direction) in parameters.iter_mut().zip(scratch.iterates[0].iter()) {
        *x = kept * *x - rate * *direction;
    }
    Ok(())
}

/// Replaces the first iterate, `rows` x `cols`, by one of the same singular vectors with singular values near 1.
fn orthogonalize<T: Scalar>(rows: usize, cols: usize, scratch: &mut Scratch<T>) -> Result<(), Error> {
    let length = rows * cols;
    let small = rows.min(cols);
    let whole = [Segment { range: 0..length, regularised: true }];
    let norm = sum_of_squares(&whole, &scratch.iterates[0][..length])?.sqrt().max(NORM_EPSILON);
    let inverse = T::from_f64(1.0 / norm);
    scratch.iterates[0][..length].iter_mut().for_each(|x| *x = *x * inverse);
    let [a, b, c] = COEFFICIENTS.map(T::from_f64);
    for _ in 0..ITERATIONS {
        let ([old, new], [square, polynomial]) = (&mut scratch.iterates, &mut scratch.squares);
        new[..length].copy_from_slice(&old[..length]);
        // The smaller of X X' and X' X: a tall matrix is seen as its transpose.
        let (old, new) = (MatRef::row_major(old, rows, cols)?, MatMut::row_major(new, rows, cols)?);
        let (old, new) = if rows > cols { (old.transposed(), new.transposed()) } else { (old, new) };
        gemm(T::ONE, old, old.transposed(), T::ZERO, MatMut::row_major(square, small, small)?)?;
        polynomial[..small * small].copy_from_slice(&square[..small * small]);
        let square = MatRef::row_major(square, small, small)?;
        gemm(c, square, square, b, MatMut::row_major(polynomial, small, small)?)?;
        gemm(T::ONE, MatRef::row_major(polynomial, small, small)?, old, a, new)?;
        scratch.iterates.swap(0, 1);
    }
    Ok(())
}
