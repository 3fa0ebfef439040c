//! Memory between pages that can be neither read nor written: a step outside of it ends the process.

#![allow(dead_code, reason = "each test file uses a part")]

use super::matrices::{Geometry, Order};
use lanegrad_kernels::isa::Scalar;
use std::ffi::{c_int, c_long, c_void};

unsafe extern "C" {
    fn mmap(
        address: *mut c_void,
        length: usize,
        access: c_int,
        flags: c_int,
        file: c_int,
        offset: c_long,
    ) -> *mut c_void;
    fn mprotect(address: *mut c_void, length: usize, access: c_int) -> c_int;
    fn munmap(address: *mut c_void, length: usize) -> c_int;
    fn getpagesize() -> c_int;
}

const NO_ACCESS: c_int = 0;
const READ_AND_WRITE: c_int = 1 | 2;
const PRIVATE_AND_ANONYMOUS: c_int = 2 | 0x20;

/// Runs of pages, with one page that cannot be touched before, between and after them.
pub struct Guarded {
    start: *mut u8,
    page: usize,
    runs: usize,
    /// Bytes of a run.
    run: usize,
}

impl Guarded {
    /// `runs` runs of at least `bytes` bytes.
    pub fn new(runs: usize, bytes: usize) -> Self {
        // SAFETY: it only returns a number.
        let page = unsafe { getpagesize() } as usize;
        let run = bytes.next_multiple_of(page);
        let length = runs * (run + page) + page;
        // SAFETY: a new mapping, at an address of the system's choice, overlaps nothing.
        let start = unsafe { mmap(std::ptr::null_mut(), length, NO_ACCESS, PRIVATE_AND_ANONYMOUS, -1, 0) };
        assert!(start as isize != -1, "mmap of {length} bytes: {}", std::io::Error::last_os_error());
        let guarded = Self { start: start.cast(), page, runs, run };
        for i in 0..runs {
            // SAFETY: the run lies in the mapping that was made above.
            let status = unsafe { mprotect(guarded.run_start(i).cast(), run, READ_AND_WRITE) };
            assert_eq!(status, 0, "mprotect: {}", std::io::Error::last_os_error());
        }
        guarded
    }

    fn run_start(&self, index: usize) -> *mut u8 {
        self.start.wrapping_add(self.page + index * (self.run + self.page))
    }

    /// A run as elements.
    pub fn elements<T: Scalar>(&mut self, index: usize) -> &mut [T] {
        assert!(index < self.runs);
        // SAFETY: the run is mapped for reading and writing, starts at a page, holds zeros or numbers, and is borrowed for as
        // long as `self` is.
        unsafe { std::slice::from_raw_parts_mut(self.run_start(index).cast(), self.run / size_of::<T>()) }
    }

    /// The element at the lowest address of a matrix, and its geometry.
    ///
    /// Where there is one run, it holds the matrix; where there are several, each holds one line. What it holds touches the
    /// start of the run or, `at_end`, its end.
    pub fn place<T: Scalar>(&self, order: Order, (rows, cols): (usize, usize), at_end: bool) -> (*mut T, Geometry) {
        let size = size_of::<T>();
        let (geometry, held) = if self.runs == 1 {
            let geometry = order.geometry(rows, cols);
            (geometry, geometry.used)
        } else {
            let (lines, length) = if order.by_columns { (cols, rows) } else { (rows, cols) };
            assert!(lines <= self.runs, "{lines} lines in {} runs", self.runs);
            let held = length.saturating_sub(1) * (order.gap + 1) + 1;
            (order.geometry_with_lines(rows, cols, (self.run + self.page) / size), held)
        };
        assert!(held * size <= self.run, "{held} elements in a run of {} bytes", self.run);
        let before = if at_end { self.run - held * size } else { 0 };
        (self.run_start(0).wrapping_add(before).cast(), geometry)
    }

    /// Number of runs.
    pub fn runs(&self) -> usize {
        self.runs
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the mapping was made in `new`, and no borrow of it is left.
        unsafe { munmap(self.start.cast(), self.runs * (self.run + self.page) + self.page) };
    }
}
