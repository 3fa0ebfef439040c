//! The caches of the processor that the program runs on: how large blocks may be.
//!
//! What follows from them changes where a product's operands are while it is computed, and no bit of what comes out.

#[cfg(target_arch = "x86_64")]
use crate::cpuid::{self, ask};
use std::sync::OnceLock;

/// The data caches, as one core sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caches {
    /// Bytes of the first-level cache.
    pub first: usize,
    /// Lines of a set of the first-level cache.
    pub first_ways: usize,
    /// Bytes of the second-level cache.
    pub second: usize,
    /// Bytes of the third-level cache, 0 if there is none.
    pub third: usize,
}

impl Caches {
    /// What is assumed of a processor that cannot be asked, or whose answer makes no sense.
    pub const USUAL: Self = Self { first: 32 * 1024, first_ways: 8, second: 1024 * 1024, third: 32 * 1024 * 1024 };

    /// Whether a processor may be like that; hypervisors have been seen to answer with zeros.
    fn is_likely(self) -> bool {
        let sizes = [self.first, self.second];
        (1..=64).contains(&self.first_ways)
            && self.first <= self.second
            && sizes.iter().all(|bytes| (8 * 1024..=1 << 30).contains(bytes))
    }
}

/// The caches of this processor, asked for once.
pub fn caches() -> Caches {
    static CACHES: OnceLock<Caches> = OnceLock::new();
    *CACHES.get_or_init(|| detect().filter(|caches| caches.is_likely()).unwrap_or(Caches::USUAL))
}

/// What the processor says, if it can be asked.
#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Option<Caches> {
    None
}

/// What the processor says of its caches, one after the other: Intel's leaf 4, or AMD's 8000_001D, which has the same layout
/// (AMD64 Architecture Programmer's Manual, volume 3, E.4.16).
#[cfg(target_arch = "x86_64")]
fn detect() -> Option<Caches> {
    let is_amd = cpuid::is_amd();
    let leaf = if is_amd { 0x8000_001d } else { 4 };
    let last = ask(leaf & 0x8000_0000, 0).eax;
    if last < leaf {
        return None;
    }
    let mut found = Caches { first: 0, first_ways: 0, second: 0, third: 0 };
    for index in 0..16 {
        let answer = ask(leaf, index);
        let bits = |word: u32, from: u32, count: u32| (word >> from & ((1 << count) - 1)) as usize;
        let (kind, level) = (bits(answer.eax, 0, 5), bits(answer.eax, 5, 3));
        let ways = bits(answer.ebx, 22, 10) + 1;
        let factors = [ways, bits(answer.ebx, 12, 10) + 1, bits(answer.ebx, 0, 12) + 1, answer.ecx as usize + 1];
        let bytes = factors.into_iter().fold(1, usize::saturating_mul);
        match (kind, level) {
            (0, _) => break,
            // Kind 2 holds instructions.
            (2, _) => {}
            (_, 1) => (found.first, found.first_ways) = (bytes, ways),
            (_, 2) => found.second = bytes,
            (_, 3) => found.third = bytes,
            _ => {}
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_not_believed() {
        assert!(Caches::USUAL.is_likely());
        for wrong in [
            Caches { first: 0, ..Caches::USUAL },
            Caches { first_ways: 0, ..Caches::USUAL },
            Caches { second: 4096, ..Caches::USUAL },
            Caches { second: 1 << 40, ..Caches::USUAL },
        ] {
            assert!(!wrong.is_likely(), "{wrong:?}");
        }
    }

    /// The kernel's own account of all processors, where it gives one: they may differ.
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    #[test]
    fn the_operating_system_says_the_same() {
        if detect().is_none_or(|caches| !caches.is_likely()) {
            println!("skipped: this processor does not tell");
            return;
        }
        let folders = std::fs::read_dir("/sys/devices/system/cpu").into_iter().flatten().flatten();
        let described: Vec<_> =
            folders.map(|folder| described(&folder.path())).filter(|sizes| !sizes.is_empty()).collect();
        if described.is_empty() {
            println!("skipped: this system does not describe its caches");
            return;
        }
        let ours = [(1, caches().first), (2, caches().second), (3, caches().third)];
        // Of what a system does not describe there is nothing to compare.
        let agrees = |sizes: &[(usize, usize)]| {
            sizes.iter().all(|&(level, bytes)| ours.iter().all(|&(ours, size)| ours != level || size == bytes))
        };
        assert!(described.iter().any(|sizes| agrees(sizes)), "{ours:?} is none of {described:?}");
    }

    /// The levels and bytes of a processor's caches of data.
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    fn described(processor: &std::path::Path) -> Vec<(usize, usize)> {
        let cache = |index: usize| {
            let folder = processor.join(format!("cache/index{index}"));
            let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok().map(|text| text.trim().to_owned());
            let (level, kind, size) = (read("level")?, read("type")?, read("size")?);
            let bytes = 1024 * size.trim_end_matches('K').parse::<usize>().unwrap();
            (kind != "Instruction").then(|| (level.parse().unwrap(), bytes))
        };
        (0..8).filter_map(cache).collect()
    }
}
