//! Views of matrices in slices: checked once, when they are made.

#[cfg(feature = "faer")]
mod faer;
#[cfg(feature = "nalgebra")]
mod nalgebra;
#[cfg(feature = "ndarray")]
mod ndarray;

use crate::error::Error;
use crate::isa::Scalar;
use std::marker::PhantomData;

/// Shape and strides of a view: what [`MatRef`] and [`MatMut`] share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    rows: usize,
    cols: usize,
    row_stride: isize,
    col_stride: isize,
}

impl Layout {
    /// Checks that every element, counted from `offset`, lies in a slice of `length` elements.
    fn check_bounds(self, length: usize, offset: usize) -> Result<(), Error> {
        // Even an empty view keeps a pointer that is derived from the slice, so its offset must be in it.
        if offset > length || self.rows.checked_mul(self.cols).is_none() {
            return Err(self.out_of_bounds(length, offset));
        }
        if self.rows == 0 || self.cols == 0 {
            return Ok(());
        }
        if let (Ok(row), Ok(col)) = (usize::try_from(self.row_stride), usize::try_from(self.col_stride)) {
            // What is usual, without 128 bits.
            let down = (self.rows - 1).checked_mul(row);
            let across = (self.cols - 1).checked_mul(col);
            let last = down.zip(across).and_then(|(down, across)| down.checked_add(across)?.checked_add(offset));
            return if last.is_some_and(|last| last < length) {
                Ok(())
            } else {
                Err(self.out_of_bounds(length, offset))
            };
        }
        // 128 bits hold these: the product of the extents fits 64 bits, and so does each stride.
        let down = (self.rows as i128 - 1) * self.row_stride as i128;
        let across = (self.cols as i128 - 1) * self.col_stride as i128;
        let first = offset as i128 + down.min(0) + across.min(0);
        let last = offset as i128 + down.max(0) + across.max(0);
        if first < 0 || last >= length as i128 { Err(self.out_of_bounds(length, offset)) } else { Ok(()) }
    }

    /// Checks that no two elements lie at one address.
    ///
    /// Elements (i, j) and (i', j') coincide when (i - i') row_stride = (j' - j) col_stride. The smallest such
    /// distances are the strides divided by their greatest common divisor, crosswise.
    fn check_distinct(self) -> Result<(), Error> {
        let error = Error::Overlap { shape: (self.rows, self.cols), strides: (self.row_stride, self.col_stride) };
        if self.rows == 0 || self.cols == 0 || self.rows == 1 && self.cols == 1 {
            return Ok(());
        }
        let (row, col) = (self.row_stride.unsigned_abs(), self.col_stride.unsigned_abs());
        if self.rows == 1 {
            return if col == 0 { Err(error) } else { Ok(()) };
        }
        if self.cols == 1 {
            return if row == 0 { Err(error) } else { Ok(()) };
        }
        // What is usual: a row ends before the next one starts, or a column.
        let (along_row, along_col) = ((self.cols - 1).checked_mul(col), (self.rows - 1).checked_mul(row));
        if along_row.is_some_and(|length| col > 0 && length < row)
            || along_col.is_some_and(|length| row > 0 && length < col)
        {
            return Ok(());
        }
        let divisor = greatest_common_divisor(row, col);
        let overlap = divisor == 0 || (col / divisor < self.rows && row / divisor < self.cols);
        if overlap { Err(error) } else { Ok(()) }
    }

    /// Elements from the first one to element (`row`, `col`); means nothing where there is none, but does not panic.
    #[inline(always)]
    fn distance(self, row: usize, col: usize) -> isize {
        let (down, across) = (row as isize, col as isize);
        down.wrapping_mul(self.row_stride).wrapping_add(across.wrapping_mul(self.col_stride))
    }

    fn transposed(self) -> Self {
        Self { rows: self.cols, cols: self.rows, row_stride: self.col_stride, col_stride: self.row_stride }
    }

    /// Rows one after the other, if a slice of `length` elements holds them: in bounds and distinct without any further check.
    #[inline]
    fn row_major(rows: usize, cols: usize, length: usize) -> Result<Self, Error> {
        let layout = Self { rows, cols, row_stride: cols as isize, col_stride: 1 };
        match rows.checked_mul(cols) {
            Some(count) if count <= length => Ok(layout),
            _ => Err(layout.out_of_bounds(length, 0)),
        }
    }

    #[cold]
    fn out_of_bounds(self, length: usize, offset: usize) -> Error {
        let (shape, strides) = ((self.rows, self.cols), (self.row_stride, self.col_stride));
        Error::OutOfBounds { shape, strides, length, offset }
    }
}

fn greatest_common_divisor(mut a: usize, mut b: usize) -> usize {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// A matrix that can be read: `rows` x `cols` elements at any strides, negative and zero ones too.
#[derive(Clone, Copy, Debug)]
pub struct MatRef<'a, T> {
    // Element (i, j) is readable at `first + i row_stride + j col_stride` for as long as `'a`.
    first: *const T,
    layout: Layout,
    borrow: PhantomData<&'a [T]>,
}

// SAFETY: a `MatRef` is a shared borrow of elements, like `&[T]`.
unsafe impl<T: Sync> Send for MatRef<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for MatRef<'_, T> {}

impl<'a, T: Scalar> MatRef<'a, T> {
    /// `data` as `rows` x `cols` elements in row-major order.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] if `data` is shorter.
    pub fn row_major(data: &'a [T], rows: usize, cols: usize) -> Result<Self, Error> {
        let layout = Layout::row_major(rows, cols, data.len())?;
        Ok(Self { first: data.as_ptr(), layout, borrow: PhantomData })
    }

    /// `rows` x `cols` elements of `data`, element (i, j) at `offset + i row_stride + j col_stride`.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] if any element lies outside `data`.
    pub fn with_strides(
        data: &'a [T],
        offset: usize,
        rows: usize,
        cols: usize,
        row_stride: isize,
        col_stride: isize,
    ) -> Result<Self, Error> {
        let layout = Layout { rows, cols, row_stride, col_stride };
        layout.check_bounds(data.len(), offset)?;
        // SAFETY: `offset <= data.len()`, checked above.
        let first = unsafe { data.as_ptr().add(offset) };
        Ok(Self { first, layout, borrow: PhantomData })
    }

    /// A view from a raw pointer.
    ///
    /// # Safety
    /// For as long as `'a`, every element (i, j) is readable at `first + i row_stride + j col_stride` and nobody writes it.
    pub(crate) unsafe fn from_raw(
        first: *const T,
        rows: usize,
        cols: usize,
        row_stride: isize,
        col_stride: isize,
    ) -> Self {
        Self { first, layout: Layout { rows, cols, row_stride, col_stride }, borrow: PhantomData }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.layout.rows
    }
    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.layout.cols
    }
    /// Rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        (self.layout.rows, self.layout.cols)
    }
    /// Distance in elements from one row to the next.
    pub fn row_stride(&self) -> isize {
        self.layout.row_stride
    }
    /// Distance in elements from one column to the next.
    pub fn col_stride(&self) -> isize {
        self.layout.col_stride
    }
    /// The address of element (0, 0).
    pub fn as_ptr(&self) -> *const T {
        self.first
    }

    /// The same elements, rows as columns.
    pub fn transposed(self) -> Self {
        Self { layout: self.layout.transposed(), ..self }
    }

    /// Element (`row`, `col`).
    ///
    /// # Panics
    /// If there is no such element.
    pub fn at(&self, row: usize, col: usize) -> T {
        assert!(row < self.rows() && col < self.cols(), "element ({row}, {col}) of {:?}", self.shape());
        // SAFETY: the element exists, checked above.
        unsafe { *self.element(row, col) }
    }

    /// Row `row` as a slice.
    ///
    /// # Panics
    /// If there is no such row, or its elements are not adjacent.
    #[inline(always)]
    pub fn row(&self, row: usize) -> &'a [T] {
        assert!(row < self.rows() && (self.col_stride() == 1 || self.cols() <= 1), "row {row} of {:?}", self.layout);
        if self.cols() == 0 {
            // An empty row may lie anywhere.
            return &[];
        }
        // SAFETY: the row exists and its elements are adjacent, checked above; it is borrowed for `'a`.
        unsafe { std::slice::from_raw_parts(self.element(row, 0), self.cols()) }
    }

    /// The address of element (`row`, `col`); where there is none, it must not be used.
    #[inline(always)]
    pub(crate) fn element(&self, row: usize, col: usize) -> *const T {
        self.first.wrapping_offset(self.layout.distance(row, col))
    }

    /// The first `at` rows, and the rest.
    ///
    /// # Panics
    /// If there are fewer rows than `at`.
    pub fn split_rows(self, at: usize) -> (Self, Self) {
        assert!(at <= self.rows(), "split at row {at} of {}", self.rows());
        let mut top = self;
        let mut bottom = self;
        top.layout.rows = at;
        bottom.layout.rows -= at;
        bottom.first = self.element(at, 0);
        (top, bottom)
    }

    /// The first `at` columns, and the rest.
    ///
    /// # Panics
    /// If there are fewer columns than `at`.
    pub fn split_cols(self, at: usize) -> (Self, Self) {
        let (left, right) = self.transposed().split_rows(at);
        (left.transposed(), right.transposed())
    }
}

/// A matrix that can be written: `rows` x `cols` elements at any strides that keep them apart.
#[derive(Debug)]
pub struct MatMut<'a, T> {
    // Element (i, j) lies at `first + i row_stride + j col_stride`, no two at one address, and is this view's alone
    // for as long as `'a`.
    first: *mut T,
    layout: Layout,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: a `MatMut` is an exclusive borrow of elements, like `&mut [T]`.
unsafe impl<T: Send> Send for MatMut<'_, T> {}
// SAFETY: as above; a shared `&MatMut` only reads.
unsafe impl<T: Sync> Sync for MatMut<'_, T> {}

impl<'a, T: Scalar> MatMut<'a, T> {
    /// `data` as `rows` x `cols` elements in row-major order.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] if `data` is shorter.
    pub fn row_major(data: &'a mut [T], rows: usize, cols: usize) -> Result<Self, Error> {
        let layout = Layout::row_major(rows, cols, data.len())?;
        Ok(Self { first: data.as_mut_ptr(), layout, borrow: PhantomData })
    }

    /// `rows` x `cols` elements of `data`, element (i, j) at `offset + i row_stride + j col_stride`.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] if any element lies outside `data`, [`Error::Overlap`] if two lie at one place.
    pub fn with_strides(
        data: &'a mut [T],
        offset: usize,
        rows: usize,
        cols: usize,
        row_stride: isize,
        col_stride: isize,
    ) -> Result<Self, Error> {
        let layout = Layout { rows, cols, row_stride, col_stride };
        layout.check_bounds(data.len(), offset)?;
        layout.check_distinct()?;
        // SAFETY: `offset <= data.len()`, checked above.
        let first = unsafe { data.as_mut_ptr().add(offset) };
        Ok(Self { first, layout, borrow: PhantomData })
    }

    /// A view from a raw pointer.
    ///
    /// # Safety
    /// For as long as `'a`, every element (i, j) is readable and writable at `first + i row_stride + j col_stride`, nobody
    /// else reads or writes it, and no two lie at one address.
    pub(crate) unsafe fn from_raw(
        first: *mut T,
        rows: usize,
        cols: usize,
        row_stride: isize,
        col_stride: isize,
    ) -> Self {
        Self { first, layout: Layout { rows, cols, row_stride, col_stride }, borrow: PhantomData }
    }

    /// A view of another library's matrix.
    ///
    /// # Safety
    /// That of [`MatMut::from_raw`], but for elements at one address, which some versions of such libraries let through.
    ///
    /// # Panics
    /// If two elements lie at one address.
    #[cfg(any(feature = "faer", feature = "nalgebra"))]
    unsafe fn from_foreign(first: *mut T, rows: usize, cols: usize, row_stride: isize, col_stride: isize) -> Self {
        if let Err(overlap) = (Layout { rows, cols, row_stride, col_stride }).check_distinct() {
            panic!("{overlap}");
        }
        // SAFETY: the caller's promise, and what was just checked.
        unsafe { Self::from_raw(first, rows, cols, row_stride, col_stride) }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.layout.rows
    }
    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.layout.cols
    }
    /// Rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        (self.layout.rows, self.layout.cols)
    }
    /// Distance in elements from one row to the next.
    pub fn row_stride(&self) -> isize {
        self.layout.row_stride
    }
    /// Distance in elements from one column to the next.
    pub fn col_stride(&self) -> isize {
        self.layout.col_stride
    }

    /// The same elements, rows as columns.
    pub fn transposed(self) -> Self {
        Self { layout: self.layout.transposed(), ..self }
    }

    /// A shorter borrow of the same elements.
    pub fn reborrow(&mut self) -> MatMut<'_, T> {
        MatMut { first: self.first, layout: self.layout, borrow: PhantomData }
    }

    /// The same elements, for reading.
    pub fn as_ref(&self) -> MatRef<'_, T> {
        MatRef { first: self.first, layout: self.layout, borrow: PhantomData }
    }

    /// The same elements, for reading, for as long as the view's own borrow.
    pub fn into_ref(self) -> MatRef<'a, T> {
        MatRef { first: self.first, layout: self.layout, borrow: PhantomData }
    }

    /// Row `row` as a slice.
    ///
    /// # Panics
    /// If there is no such row, or its elements are not adjacent.
    #[inline(always)]
    pub fn row_mut(&mut self, row: usize) -> &mut [T] {
        assert!(row < self.rows() && (self.col_stride() == 1 || self.cols() <= 1), "row {row} of {:?}", self.layout);
        if self.cols() == 0 {
            return &mut [];
        }
        // SAFETY: the row exists and its elements are adjacent, checked above; `&mut self` makes the borrow exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.element(row, 0), self.cols()) }
    }

    /// Element (`row`, `col`), to be written.
    ///
    /// # Panics
    /// If there is no such element.
    pub fn at_mut(&mut self, row: usize, col: usize) -> &mut T {
        assert!(row < self.rows() && col < self.cols(), "element ({row}, {col}) of {:?}", self.shape());
        // SAFETY: the element exists, checked above; `&mut self` makes the borrow exclusive.
        unsafe { &mut *self.element(row, col) }
    }

    /// The address of element (`row`, `col`); where there is none, it must not be used.
    #[inline(always)]
    pub(crate) fn element(&self, row: usize, col: usize) -> *mut T {
        self.first.wrapping_offset(self.layout.distance(row, col))
    }

    /// The first `at` rows, and the rest.
    ///
    /// # Panics
    /// If there are fewer rows than `at`.
    pub fn split_rows(self, at: usize) -> (Self, Self) {
        assert!(at <= self.rows(), "split at row {at} of {}", self.rows());
        let second = self.element(at, 0);
        let top = Layout { rows: at, ..self.layout };
        let bottom = Layout { rows: self.layout.rows - at, ..self.layout };
        // Rows below `at` and rows from `at` on share no element, so the two views are exclusive.
        (
            Self { first: self.first, layout: top, borrow: PhantomData },
            Self { first: second, layout: bottom, borrow: PhantomData },
        )
    }

    /// The first `at` columns, and the rest.
    ///
    /// # Panics
    /// If there are fewer columns than `at`.
    pub fn split_cols(self, at: usize) -> (Self, Self) {
        let (left, right) = self.transposed().split_rows(at);
        (left.transposed(), right.transposed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_must_fit_its_slice() {
        let data = [0.0_f32; 12];
        assert!(MatRef::row_major(&data, 3, 4).is_ok());
        assert!(MatRef::row_major(&data, 3, 5).is_err());
        assert!(MatRef::row_major(&data, 1 << 40, 1 << 40).is_err());
        assert!(MatRef::row_major(&data, 0, usize::MAX).is_ok());
        assert!(MatMut::row_major(&mut data.clone(), 3, 4).is_ok());
        assert!(MatMut::row_major(&mut data.clone(), 3, 5).is_err());
        assert!(MatMut::row_major(&mut data.clone(), 1 << 40, 1 << 40).is_err());
        assert!(MatRef::with_strides(&data, 11, 3, 4, -4, -1).is_ok());
        assert!(MatRef::with_strides(&data, 10, 3, 4, -4, -1).is_err());
        assert!(MatRef::with_strides(&data, 0, usize::MAX, usize::MAX, 0, 0).is_err());
        assert!(MatRef::with_strides(&data, 0, 2, 2, isize::MAX, isize::MAX).is_err());
        assert!(MatRef::with_strides(&data, 0, 1 << 40, 3, 0, 0).is_ok());
        assert!(MatRef::with_strides(&data, 13, 0, 3, 1, 1).is_err());
    }

    #[test]
    fn a_writable_view_keeps_its_elements_apart() {
        /// Whether two elements coincide, by listing all addresses.
        fn coincide(rows: usize, cols: usize, row_stride: isize, col_stride: isize) -> bool {
            let mut seen = std::collections::HashSet::new();
            (0..rows as isize)
                .flat_map(|i| (0..cols as isize).map(move |j| i * row_stride + j * col_stride))
                .any(|address| !seen.insert(address))
        }
        let mut data = [0.0_f64; 400];
        for rows in 0..6 {
            for cols in 0..6 {
                for row_stride in -9..=9 {
                    for col_stride in -9..=9 {
                        let made = MatMut::with_strides(&mut data, 200, rows, cols, row_stride, col_stride).is_ok();
                        assert_eq!(
                            made,
                            !coincide(rows, cols, row_stride, col_stride),
                            "{rows} x {cols} strides {row_stride}, {col_stride}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn empty_views_may_have_any_stride() {
        let mut data = [0.0_f32; 4];
        let to_null = -(data.as_ptr() as isize / 4);
        assert!(MatRef::with_strides(&data, 0, 2, 0, to_null, 1).unwrap().row(1).is_empty());
        assert!(MatMut::with_strides(&mut data, 0, 2, 0, to_null, 1).unwrap().row_mut(1).is_empty());
        let (top, bottom) = MatRef::with_strides(&data, 0, 3, 0, isize::MAX, 1).unwrap().split_rows(2);
        assert_eq!((top.shape(), bottom.shape()), ((2, 0), (1, 0)));
        assert!(MatRef::with_strides(&data, 0, 0, usize::MAX, 1, 1).unwrap().transposed().row(1 << 62).is_empty());
    }

    #[test]
    fn splits_share_nothing_and_miss_nothing() {
        let mut data: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let view = MatMut::row_major(&mut data, 3, 4).unwrap();
        let (mut left, mut right) = view.split_cols(1);
        assert_eq!((left.shape(), right.shape()), ((3, 1), (3, 3)));
        *left.at_mut(2, 0) += 100.0;
        right.row_mut(0)[2] += 200.0;
        assert_eq!((data[8], data[3]), (108.0, 203.0));
    }
}
