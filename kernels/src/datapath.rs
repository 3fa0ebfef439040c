//! How wide the vectors are that a core computes at once.

#[cfg(target_arch = "x86_64")]
use crate::cpuid;
use std::sync::OnceLock;

/// Whether a core computes a vector of AVX-512 in two halves, one after the other, so that half a vector takes half the time.
///
/// A Zen 4 does (AMD's family 19h; those of it without AVX-512 are not asked); what else does is not known here. On a core that
/// is as wide as its vectors, two halves take twice the time of a whole.
pub fn is_half_as_wide() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(detect)
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> bool {
    false
}

#[cfg(target_arch = "x86_64")]
fn detect() -> bool {
    cpuid::is_amd() && cpuid::family() == 0x19
}
