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
    decode_family(ask(1, 0).eax)
}

/// The family in the signature that leaf 1 begins with.
fn decode_family(signature: u32) -> u32 {
    let (base, extended) = (signature >> 8 & 0xf, signature >> 20 & 0xff);
    if base == 0xf { base + extended } else { base }
}

#[cfg(test)]
mod tests {
    use super::decode_family;

    #[test]
    fn families_are_those_that_the_manuals_name() {
        // Genoa, Milan, Turin, and Intel's Sapphire Rapids.
        let signatures = [0x00a1_0f11, 0x00a0_0f11, 0x00b0_0f21, 0x0008_06f8];
        assert_eq!(signatures.map(decode_family), [0x19, 0x19, 0x1a, 0x6]);
    }
}
