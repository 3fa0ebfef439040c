//! What the linker must know about the shared library.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        // Its threads sleep in its code, so it must stay where it is when a program closes it.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
        // A program linked with it asks for it by name, not by the path that the linker was given.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,liblanegrad_blas.so");
    }
}
