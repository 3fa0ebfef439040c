//! Which level runs: the one place that asks the processor.
//!
//! ```
//! use lanegrad_kernels::dispatch;
//! println!("kernels run at {}", dispatch::level()?);
//! # Ok::<(), lanegrad_kernels::Error>(())
//! ```

use crate::error::Error;
use crate::isa::{Isa, Kernel, Level, portable::Portable};
#[cfg(target_arch = "x86_64")]
use crate::isa::{avx2::Avx2, avx512::Avx512};
use std::sync::OnceLock;

/// The environment variable that pins the level: `portable`, `avx2` or `avx512`.
pub const PIN: &str = "LANEGRAD_ISA";

/// The level that [`dispatch`] runs at: the best the processor has, or the one that `LANEGRAD_ISA` pins.
///
/// The variable is read once, at the first call.
///
/// # Errors
/// [`Error::UnknownIsa`] or [`Error::UnsupportedIsa`] if the variable pins what is not there.
pub fn level() -> Result<Level, Error> {
    static LEVEL: OnceLock<Result<Level, Error>> = OnceLock::new();
    LEVEL.get_or_init(|| choose(std::env::var_os(PIN).map(|value| value.to_string_lossy().into_owned()))).clone()
}

/// The level that a pin asks for (none, or an empty one: the best).
fn choose(pin: Option<String>) -> Result<Level, Error> {
    let Some(requested) = pin.filter(|value| !value.is_empty()) else {
        return Ok(best());
    };
    let Some(level) = Level::ALL.into_iter().find(|level| level.name() == requested) else {
        return Err(Error::UnknownIsa { requested });
    };
    if is_supported(level) { Ok(level) } else { Err(unsupported(level)) }
}

/// The best level that this processor has.
pub fn best() -> Level {
    Level::ALL.into_iter().rev().find(|&level| is_supported(level)).unwrap_or(Level::Portable)
}

/// Whether this processor has the instructions of `level`.
pub fn is_supported(level: Level) -> bool {
    match level {
        Level::Portable => true,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => Avx2::detect().is_some(),
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => Avx512::detect().is_some(),
        #[cfg(not(target_arch = "x86_64"))]
        Level::Avx2 | Level::Avx512 => false,
    }
}

/// Every level that this processor has, narrowest lanes first: what a test or a bench runs through.
pub fn supported() -> impl Iterator<Item = Level> {
    Level::ALL.into_iter().filter(|&level| is_supported(level))
}

fn unsupported(requested: Level) -> Error {
    Error::UnsupportedIsa { requested, best: best() }
}

/// Runs `kernel` at [`level`].
///
/// # Errors
/// Those of [`level`]; the kernel has not run then.
pub fn dispatch<K: Kernel>(kernel: K) -> Result<K::Output, Error> {
    dispatch_at(level()?, kernel)
}

/// Runs `kernel` at the level given, whatever `LANEGRAD_ISA` says.
///
/// # Errors
/// [`Error::UnsupportedIsa`] if the processor lacks it; the kernel has not run then.
pub fn dispatch_at<K: Kernel>(level: Level, kernel: K) -> Result<K::Output, Error> {
    match level {
        Level::Portable => run(Portable::detect(), level, kernel),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => run(Avx2::detect(), level, kernel),
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => run(Avx512::detect(), level, kernel),
        #[cfg(not(target_arch = "x86_64"))]
        Level::Avx2 | Level::Avx512 => Err(unsupported(level)),
    }
}

fn run<S: Isa, K: Kernel>(token: Option<S>, level: Level, kernel: K) -> Result<K::Output, Error> {
    token.map(|isa| start(isa, kernel)).ok_or_else(|| unsupported(level))
}

/// Runs `kernel`.
// Never inlined, so that whoever runs a kernel that a linked crate runs, too, links that crate's code: see `instances`.
#[inline(never)]
pub(crate) fn start<S: Isa, K: Kernel>(isa: S, kernel: K) -> K::Output {
    kernel.run(isa)
}

/// Runs `kernel` at [`level`], for entry points that have no way to report an error.
///
/// Prints the error and aborts the process where [`dispatch`] would return one.
pub(crate) fn dispatch_or_abort<K: Kernel>(kernel: K) -> K::Output {
    dispatch(kernel).unwrap_or_else(|error| {
        eprintln!("lanegrad: {error}");
        std::process::abort()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_that_names_no_level_is_refused() {
        let error = choose(Some("nosuch".into())).unwrap_err();
        assert_eq!(error, Error::UnknownIsa { requested: "nosuch".into() });
        assert!(error.to_string().contains("nosuch"));
    }

    #[test]
    fn a_pin_is_obeyed_or_refused_but_never_replaced() {
        for level in Level::ALL {
            let chosen = choose(Some(level.name().into()));
            if is_supported(level) {
                assert_eq!(chosen, Ok(level));
            } else {
                assert_eq!(chosen, Err(Error::UnsupportedIsa { requested: level, best: best() }));
            }
        }
    }

    #[test]
    fn no_pin_means_the_best() {
        assert_eq!(choose(None), Ok(best()));
        assert_eq!(choose(Some(String::new())), Ok(best()));
    }
}
