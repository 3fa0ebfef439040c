//! The signatures are those of matrixmultiply 0.3.11, to the type.

use matrixmultiply::CGemmOption;

type Real<T> =
    unsafe fn(usize, usize, usize, T, *const T, isize, isize, *const T, isize, isize, T, *mut T, isize, isize);
type Complex<T> = unsafe fn(
    CGemmOption,
    CGemmOption,
    usize,
    usize,
    usize,
    [T; 2],
    *const [T; 2],
    isize,
    isize,
    *const [T; 2],
    isize,
    isize,
    [T; 2],
    *mut [T; 2],
    isize,
    isize,
);

const SGEMM: Real<f32> = matrixmultiply::sgemm;
const DGEMM: Real<f64> = matrixmultiply::dgemm;
const CGEMM: Complex<f32> = matrixmultiply::cgemm;
const ZGEMM: Complex<f64> = matrixmultiply::zgemm;

#[test]
fn each_function_multiplies_two_numbers() {
    let (mut s, mut d, mut c, mut z) = (1.0, 1.0, [1.0, 0.0], [1.0, 0.0]);
    let plain = CGemmOption::Standard;
    // SAFETY: every matrix is one element.
    unsafe {
        SGEMM(1, 1, 1, 2.0, &3.0, 1, 1, &5.0, 1, 1, 1.0, &mut s, 1, 1);
        DGEMM(1, 1, 1, 2.0, &3.0, 1, 1, &5.0, 1, 1, 1.0, &mut d, 1, 1);
        CGEMM(plain, plain, 1, 1, 1, [2.0, 0.0], &[3.0, 1.0], 1, 1, &[5.0, 1.0], 1, 1, [0.0, 1.0], &mut c, 1, 1);
        ZGEMM(plain, plain, 1, 1, 1, [2.0, 0.0], &[3.0, 1.0], 1, 1, &[5.0, 1.0], 1, 1, [0.0, 1.0], &mut z, 1, 1);
    }
    assert_eq!((s, d), (31.0, 31.0));
    assert_eq!((c, z), ([28.0, 17.0], [28.0, 17.0]));
}

#[test]
fn an_option_is_copied_cloned_and_printed() {
    fn traits<T: Copy + Clone + std::fmt::Debug>(value: T) -> String {
        format!("{value:?}")
    }
    assert_eq!(traits(CGemmOption::Standard), "Standard");
}
