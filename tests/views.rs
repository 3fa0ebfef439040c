//! Matrices of ndarray, nalgebra and faer as operands, and tensors as their matrices: the same memory, the same products.
//!
//! The numbers are small and whole, so every product is exact and equal to the library's own.

use lanegrad::Error;
use lanegrad::kernels::{MatMut, MatRef, gemm};
use lanegrad::tensor::Tensor;

fn whole(i: usize, j: usize) -> f64 {
    ((7 * i + 3 * j) % 11) as f64 - 5.0
}

/// A tensor whose element (i, j) is `whole(i, j)`.
fn tensor(rows: usize, cols: usize) -> Tensor<f64> {
    Tensor::from_fn([rows, cols], |at| whole(at / cols, at % cols)).unwrap()
}

/// A x B, by the slow way.
fn product(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> impl Fn(usize, usize) -> f64 {
    move |i, j| (0..a.cols()).map(|p| a.at(i, p) * b.at(p, j)).sum()
}

/// Tensors that are no matrices.
fn refused() -> [Tensor<f64>; 3] {
    let shapes: [&[usize]; 3] = [&[], &[6], &[1, 2, 3]];
    shapes.map(|shape| Tensor::zeros(shape).unwrap())
}

/// Matrices without elements, the longest that there are among them.
fn empty() -> [Tensor<f64>; 4] {
    let longest = isize::MAX as usize / size_of::<f64>();
    [[0, longest], [longest, 0], [0, 0], [3, 0]].map(|shape| Tensor::zeros(shape).unwrap())
}

mod with_ndarray {
    use super::*;
    use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};

    #[test]
    fn any_strides_become_operands() {
        let (big_a, big_b) = (
            Array2::from_shape_fn((20, 26), |(i, j)| whole(i, j)),
            Array2::from_shape_fn((26, 30), |(i, j)| whole(j, i)),
        );
        let views_a = [
            big_a.slice(s![..9, ..12]),
            big_a.slice(s![..;2, 1..25;2]).slice_move(s![..9, ..]),
            big_a.slice(s![1..10, 2..14;-1]),
            big_a.slice(s![..12;-1, ..9]).reversed_axes(),
        ];
        let views_b =
            [big_b.slice(s![..12, ..7]), big_b.slice(s![1..25;-2, ..14;2]), big_b.slice(s![..7, ..12]).reversed_axes()];
        for a in views_a {
            let operand = MatRef::from(a);
            assert_eq!((operand.as_ptr(), operand.shape()), (a.as_ptr(), a.dim()));
            assert_eq!([operand.row_stride(), operand.col_stride()], a.strides());
            assert!(a.indexed_iter().all(|((i, j), &element)| operand.at(i, j) == element));
            for b in views_b {
                let mut c = Array2::from_elem((20, 30), f64::NAN);
                let mut target = c.slice_mut(s![..18;-2, 3..10]);
                gemm(1.0, a.into(), b.into(), 0.0, MatMut::from(target.view_mut())).unwrap();
                assert_eq!(target, a.dot(&b));
                assert_eq!(c.iter().filter(|element| !element.is_nan()).count(), 9 * 7, "only the view is written");
            }
        }
    }

    #[test]
    fn empty_views_are_operands() {
        let empty = Array2::<f32>::zeros((3, 0));
        let mut c = Array2::from_elem((3, 3), 1.0_f32);
        gemm(1.0, empty.view().into(), empty.t().into(), 0.0, c.view_mut().into()).unwrap();
        assert_eq!(c, Array2::<f32>::zeros((3, 3)));
        assert!(gemm(1.0, c.view().into(), empty.view().into(), 0.0, c.clone().view_mut().into()).is_err());
    }

    #[test]
    fn a_tensor_is_a_view() {
        let mut t = tensor(4, 6);
        let view = ArrayView2::try_from(&t).unwrap();
        assert_eq!((view.as_ptr(), view.dim()), (t.values().as_ptr(), (4, 6)));
        assert!(view.indexed_iter().all(|((i, j), &element)| element == whole(i, j)));
        ArrayViewMut2::try_from(&mut t).unwrap()[[2, 5]] = 99.0;
        assert_eq!(t.get(&[2, 5]).unwrap(), 99.0);
        for mut t in refused() {
            assert!(matches!(ArrayView2::try_from(&t), Err(Error::Shape { .. })));
            assert!(matches!(ArrayViewMut2::try_from(&mut t), Err(Error::Shape { .. })));
        }
        for mut t in empty() {
            let extents = (t.shape().extents()[0], t.shape().extents()[1]);
            let view = ArrayView2::try_from(&t).unwrap();
            assert_eq!(view.dim(), extents);
            let view = ArrayViewMut2::try_from(&mut t).unwrap();
            assert_eq!(view.dim(), extents);
        }
    }
}

mod with_nalgebra {
    use super::*;
    use nalgebra::{DMatrix, DMatrixView, DMatrixViewMut, Dyn, MatrixView, MatrixViewMut, SMatrix};

    type Strided<'a> = MatrixView<'a, f64, Dyn, Dyn, Dyn, Dyn>;

    #[test]
    fn any_storage_becomes_an_operand() {
        let (big_a, b) = (DMatrix::from_fn(20, 26, whole), DMatrix::from_fn(12, 7, |i, j| whole(j, i)));
        let fixed = SMatrix::<f64, 9, 12>::from_fn(whole);
        let owned = DMatrix::from_fn(9, 12, whole);
        let inner = big_a.view((3, 5), (9, 12));
        let steps = big_a.view_with_steps((1, 2), (9, 12), (1, 1));
        let check = |operand: MatRef<'_, f64>, pointer: *const f64, strides: (usize, usize), expected: DMatrix<f64>| {
            assert_eq!((operand.as_ptr(), operand.shape()), (pointer, (9, 12)));
            assert_eq!((operand.row_stride(), operand.col_stride()), (strides.0 as isize, strides.1 as isize));
            let mut c = DMatrix::from_element(20, 30, f64::NAN);
            let mut target = c.view_mut((2, 3), (9, 7));
            gemm(1.0, operand, (&b).into(), 0.0, (&mut target).into()).unwrap();
            assert_eq!(target, expected);
            assert_eq!(c.iter().filter(|element| !element.is_nan()).count(), 9 * 7, "only the view is written");
        };
        check((&owned).into(), owned.as_ptr(), owned.strides(), &owned * &b);
        check((&fixed).into(), fixed.as_ptr(), fixed.strides(), &owned * &b);
        check((&inner).into(), inner.as_ptr(), inner.strides(), inner * &b);
        check((&steps).into(), steps.as_ptr(), steps.strides(), steps.clone_owned() * &b);
    }

    #[test]
    fn a_tensor_is_a_view() {
        let mut t = tensor(4, 6);
        let view = Strided::try_from(&t).unwrap();
        assert_eq!((view.as_ptr(), view.shape()), (t.values().as_ptr(), (4, 6)));
        assert_eq!(view, DMatrix::from_fn(4, 6, whole));
        let mut view = MatrixViewMut::<f64, Dyn, Dyn, Dyn, Dyn>::try_from(&mut t).unwrap();
        view[(2, 5)] = 99.0;
        assert_eq!(t.get(&[2, 5]).unwrap(), 99.0);
        for mut t in refused() {
            assert!(matches!(Strided::try_from(&t), Err(Error::Shape { .. })));
            assert!(matches!(MatrixViewMut::<f64, Dyn, Dyn, Dyn, Dyn>::try_from(&mut t), Err(Error::Shape { .. })));
        }
        for mut t in empty() {
            let extents = (t.shape().extents()[0], t.shape().extents()[1]);
            let view = Strided::try_from(&t).unwrap();
            assert_eq!(view.shape(), extents);
            let view = MatrixViewMut::<f64, Dyn, Dyn, Dyn, Dyn>::try_from(&mut t).unwrap();
            assert_eq!(view.shape(), extents);
        }
    }

    /// nalgebra 0.35 lets it through in a release build, where the number of elements wraps around.
    #[test]
    #[should_panic]
    fn a_view_whose_elements_coincide_is_refused() {
        let mut two = [0.0; 2];
        let mut view = DMatrixViewMut::from_slice_with_strides_mut(&mut two, 1 << (usize::BITS - 1), 2, 0, 1);
        let _ = MatMut::from(&mut view);
    }

    #[test]
    fn dense_views_are_operands_too() {
        let (numbers, mut target) = (tensor(3, 3), [0.0; 9]);
        let square = DMatrixView::from_slice(numbers.values(), 3, 3);
        let mut c = DMatrixViewMut::from_slice(&mut target, 3, 3);
        gemm(1.0, (&square).into(), (&square).into(), 0.0, (&mut c).into()).unwrap();
        assert_eq!(c, square * square);
    }
}

mod with_faer {
    use super::*;
    use faer::Mat;

    #[test]
    fn any_strides_become_operands() {
        let (big_a, big_b) = (Mat::from_fn(20, 26, whole), Mat::from_fn(26, 30, |i, j| whole(j, i)));
        let views_a = [
            big_a.submatrix(0, 0, 9, 12),
            big_a.submatrix(3, 1, 9, 12).reverse_rows(),
            big_a.submatrix(2, 3, 12, 9).reverse_cols().transpose(),
        ];
        let views_b = [big_b.submatrix(0, 0, 12, 7), big_b.submatrix(1, 2, 7, 12).reverse_rows_and_cols().transpose()];
        for a in views_a {
            let operand = MatRef::from(a);
            assert_eq!((operand.as_ptr(), operand.shape()), (a.as_ptr(), (a.nrows(), a.ncols())));
            assert_eq!((operand.row_stride(), operand.col_stride()), (a.row_stride(), a.col_stride()));
            for b in views_b {
                let mut c = Mat::from_fn(20, 30, |_, _| f64::NAN);
                let target = c.as_mut().submatrix_mut(2, 3, 9, 7).reverse_rows_mut();
                gemm(1.0, operand, b.into(), 0.0, target.into()).unwrap();
                let expected = product(operand, b.into());
                let found = c.as_ref().submatrix(2, 3, 9, 7).reverse_rows();
                assert_eq!(found, Mat::from_fn(9, 7, &expected));
                assert_eq!(found, a * b, "faer's own product");
                let written = (0..20).flat_map(|i| (0..30).map(move |j| (i, j))).filter(|&(i, j)| !c[(i, j)].is_nan());
                assert_eq!(written.count(), 9 * 7, "only the view is written");
            }
        }
        let columns = big_a.as_ref().try_as_col_major().unwrap();
        assert_eq!(MatRef::from(columns).col_stride(), big_a.col_stride(), "a stride that the type knows");
    }

    /// faer 0.24 exchanges the strides of such a slice.
    #[test]
    #[should_panic(expected = "at one address")]
    fn a_view_whose_elements_coincide_is_refused() {
        let mut ten = [0.0; 10];
        let _ = MatMut::from(faer::MatMut::from_row_major_slice_with_stride_mut(&mut ten, 5, 2, 2));
    }

    #[test]
    fn a_tensor_is_a_view() {
        let mut t = tensor(4, 6);
        let view = faer::MatRef::try_from(&t).unwrap();
        assert_eq!((view.as_ptr(), view.nrows(), view.ncols()), (t.values().as_ptr(), 4, 6));
        assert_eq!(view, Mat::from_fn(4, 6, whole));
        let mut view = faer::MatMut::try_from(&mut t).unwrap();
        view[(2, 5)] = 99.0;
        assert_eq!(t.get(&[2, 5]).unwrap(), 99.0);
        for mut t in refused() {
            assert!(matches!(faer::MatRef::try_from(&t), Err(Error::Shape { .. })));
            assert!(matches!(faer::MatMut::try_from(&mut t), Err(Error::Shape { .. })));
        }
        for mut t in empty() {
            let extents = (t.shape().extents()[0], t.shape().extents()[1]);
            let view = faer::MatRef::try_from(&t).unwrap();
            assert_eq!((view.nrows(), view.ncols()), extents);
            let view = faer::MatMut::try_from(&mut t).unwrap();
            assert_eq!((view.nrows(), view.ncols()), extents);
        }
    }
}
