//! Any library with the C interface of BLAS and 32-bit integers, found when the program runs.

use super::Contestant;
use crate::number::{Number, alpha, beta};
use crate::product::{Product, Shape};
use anyhow::{Context, Result};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::ffi::{CStr, c_char, c_int};
use std::path::{Path, PathBuf};

/// The environment variable that names the libraries: paths with colons between them.
const PATHS: &str = "LANEGRAD_BENCH_BLAS";

/// `cblas_sgemm` or `cblas_dgemm`: order, transpositions; m, n, k; alpha; A, B and beta, C with their leading dimensions.
type CblasGemm<T> = unsafe extern "C" fn(
    c_int,
    c_int,
    c_int,
    c_int,
    c_int,
    c_int,
    T,
    *const T,
    c_int,
    *const T,
    c_int,
    T,
    *mut T,
    c_int,
);
/// `CblasRowMajor`.
const ROW_MAJOR: c_int = 101;
/// `CblasNoTrans`.
const AS_IT_IS: c_int = 111;
/// `CblasTrans`.
const TRANSPOSED: c_int = 112;

/// One loaded library.
#[derive(Debug)]
pub struct Cblas<T> {
    name: String,
    version: String,
    threads: usize,
    gemm: CblasGemm<T>,
}

/// The libraries that `LANEGRAD_BENCH_BLAS` names, each told to use `threads` threads.
///
/// # Errors
/// If one of them cannot be loaded or has no product of this type.
pub fn from_environment<T: Number>(threads: usize) -> Result<Vec<Cblas<T>>> {
    let Some(paths) = std::env::var_os(PATHS).filter(|paths| !paths.is_empty()) else {
        return Ok(Vec::new());
    };
    std::env::split_paths(&paths)
        .map(|path| load(&path, threads).with_context(|| format!("{PATHS} names {}", path.display())))
        .collect()
}

fn load<T: Number>(path: &PathBuf, threads: usize) -> Result<Cblas<T>> {
    // SAFETY: the user asked for this library's code to run. Its names stay its own: others have the same ones.
    let library = unsafe { Library::open(Some(path), RTLD_LOCAL | RTLD_NOW) }?;
    // SAFETY: every CBLAS declares this function so.
    let gemm = unsafe { *library.get::<CblasGemm<T>>(T::CBLAS_GEMM)? };
    let threads = set_threads(&library, threads);
    let version = version(&library).unwrap_or_else(|| "unknown".into());
    // It stays loaded until the process ends: `gemm` points into it, and its threads may run.
    std::mem::forget(library);
    Ok(Cblas { name: name(path), version, threads, gemm })
}

/// `/usr/lib/libopenblas.so.0` is openblas.
fn name(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let name = file.split('.').next().unwrap_or_default();
    name.strip_prefix("lib").unwrap_or(name).into()
}

/// Sets the number of threads if the library has a way that is known here, and says how many it uses then: 0 if unknown.
fn set_threads(library: &Library, threads: usize) -> usize {
    // SAFETY: OpenBLAS and MKL declare these functions so.
    let by_int = ["openblas_set_num_threads", "MKL_Set_Num_Threads"]
        .iter()
        .find_map(|name| unsafe { library.get::<unsafe extern "C" fn(c_int)>(*name) }.ok());
    // SAFETY: BLIS declares this function so; its `dim_t` has 64 bits unless it was built otherwise.
    let by_dim = unsafe { library.get::<unsafe extern "C" fn(i64)>("bli_thread_set_num_threads") };
    match (by_int, by_dim) {
        // SAFETY: any number of threads is allowed.
        (Some(set), _) => unsafe { set(threads as c_int) },
        // SAFETY: any number of threads is allowed.
        (None, Ok(set)) => unsafe { set(threads as i64) },
        (None, Err(_)) => return 0,
    }
    threads
}

/// The version and, where the library tells, the kernels that it chose.
fn version(library: &Library) -> Option<String> {
    let string = |name: &str| {
        // SAFETY: OpenBLAS and BLIS declare the functions below so; what they return is a string that stays.
        let function = unsafe { library.get::<unsafe extern "C" fn() -> *const c_char>(name) }.ok()?;
        // SAFETY: as above.
        Some(unsafe { CStr::from_ptr(function()) }.to_string_lossy().into_owned())
    };
    if let Some(config) = string("openblas_get_config") {
        let version = config.split_whitespace().nth(1).unwrap_or("unknown");
        return Some(format!("{version} {}", string("openblas_get_corename").unwrap_or_default()));
    }
    if let Some(version) = string("bli_info_get_version_str") {
        return Some(format!("{version} {}", blis_kernels(library).unwrap_or_default()));
    }
    mkl_version(library)
}

/// The name of the configuration that BLIS chose for this processor.
fn blis_kernels(library: &Library) -> Option<String> {
    // SAFETY: BLIS declares these functions so; `arch_t` is an enumeration.
    let chosen = unsafe { library.get::<unsafe extern "C" fn() -> c_int>("bli_arch_query_id") }.ok()?;
    // SAFETY: as above.
    let name = unsafe { library.get::<unsafe extern "C" fn(c_int) -> *const c_char>("bli_arch_string") }.ok()?;
    // SAFETY: the first function's result is what the second takes, and that returns a string that stays.
    Some(unsafe { CStr::from_ptr(name(chosen())) }.to_string_lossy().into_owned())
}

/// MKL's "... Version 2026.0-Product Build ..." as the part between.
fn mkl_version(library: &Library) -> Option<String> {
    // SAFETY: MKL declares this function so.
    let write = unsafe { library.get::<unsafe extern "C" fn(*mut c_char, c_int)>("MKL_Get_Version_String") }.ok()?;
    let mut text: [c_char; 256] = [0; 256];
    // SAFETY: it writes at most so many bytes, and the last stays zero.
    unsafe { write(text.as_mut_ptr(), 255) };
    // SAFETY: a zero ends the text.
    let text = unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy();
    let version = text.split_once("Version ").map_or(&*text, |(_, version)| version);
    Some(version.split("-Product").next().unwrap_or_default().trim().into())
}

impl<T: Number> Contestant<T> for Cblas<T> {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn threads(&self) -> usize {
        self.threads
    }

    fn multiply(&self, product: &mut Product<T>) {
        let Shape { m, k, n } = product.shape();
        let (a, b, c) = product.operands();
        let [a_transposition, b_transposition] =
            [a.is_transposed, b.is_transposed].map(|is| if is { TRANSPOSED } else { AS_IT_IS });
        // No extent is beyond `product::LARGEST`.
        let (m, k, n) = (m as c_int, k as c_int, n as c_int);
        let (a_leading, b_leading) = (a.leading() as c_int, b.leading() as c_int);
        let (a, b, c) = (a.data.as_ptr(), b.data.as_ptr(), c.as_mut_ptr());
        // SAFETY: a product's operands are matrices of its shape, row-major or the transposes of such; C is borrowed exclusively.
        unsafe {
            (self.gemm)(
                ROW_MAJOR,
                a_transposition,
                b_transposition,
                m,
                n,
                k,
                alpha(),
                a,
                a_leading,
                b,
                b_leading,
                beta(),
                c,
                n,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_called_what_its_file_is() {
        assert_eq!(name(Path::new("/usr/lib/openblas-pthread/libopenblas.so.0")), "openblas");
        assert_eq!(name(Path::new("libmkl_rt.so.3")), "mkl_rt");
    }

    #[test]
    fn what_is_no_blas_is_refused() {
        assert!(load::<f32>(&"/nosuch/libblas.so".into(), 1).is_err());
    }
}
