//! Questions to the processor (AMD64 Architecture Programmer's Manual, volume 3, appendix E).

use std::arch::x86_64::CpuidResult;

/// What the processor says to one.
pub fn ask(leaf: u32, index: u32) -> CpuidResult {
    // Newer compilers know that the instruction is there on every processor of 64 bits.
    #[allow(unused_unsafe)]
    // SAFETY: every processor of 64 bits has the instruction.
    unsafe {
        std::arch::x86_64::__cpuid_count(leaf, index)
    }
}

/// Whether it is one of AMD's, or made after them: "AuthenticAMD" and "HygonGenuine" by their second words.
pub fn is_amd() -> bool {
    [*b"enti", *b"nGen"].map(u32::from_le_bytes).contains(&ask(0, 0).edx)
}

/// Its family: 0x19 is Zen 3 and Zen 4.
pub fn family() -> u32 {
    let answer = ask(1, 0).eax;
    let (base, extended) = (answer >> 8 & 0xf, answer >> 20 & 0xff);
    if base == 0xf { base + extended } else { base }
}
