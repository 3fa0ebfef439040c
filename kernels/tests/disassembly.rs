//! What the compiler made of the kernels, in a release build without any flags, as a crate that links them gets it.
//!
//! The speed of every kernel rests on three things that no other test would notice the loss of: its accumulators live in
//! registers, its inner loop holds the arithmetic and nothing else, and everything between a trampoline and the intrinsics
//! was inlined.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

use std::path::Path;
use std::process::Command;

/// A function of the assembly listing.
struct Function {
    /// Demangled, without hashes.
    name: String,
    lines: Vec<String>,
}

/// The assembly of the library, built as `cargo build --release` builds it: in 16 parts, which is also what that takes when
/// it is not told.
fn assembly() -> Vec<Function> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("disassembly");
    let listings = target.join("release/deps");
    // Listings of an earlier build, of other parts, would count twice.
    for file in std::fs::read_dir(&listings).into_iter().flatten().map(|file| file.unwrap().path()) {
        if file.display().to_string().contains("lanegrad_kernels-") {
            std::fs::remove_file(file).unwrap();
        }
    }
    let build = Command::new(env!("CARGO"))
        .args(["rustc", "--release", "--quiet", "--package", "lanegrad-kernels", "--lib", "--target-dir"])
        .arg(&target)
        .args(["--", "-C", "symbol-mangling-version=v0", "-C", "codegen-units=16", "--emit=asm"])
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()
        .expect("cargo runs");
    assert!(build.success(), "the library could not be built");
    let files = std::fs::read_dir(&listings).unwrap().map(|file| file.unwrap().path());
    let parts = files.filter(|path| path.extension().is_some_and(|extension| extension == "s"));
    parts.flat_map(|path| functions(&std::fs::read_to_string(path).expect("the listing was written"))).collect()
}

fn functions(text: &str) -> Vec<Function> {
    let mut functions: Vec<Function> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if let Some(symbol) = line.strip_suffix(':').filter(|symbol| symbol.starts_with("_R")) {
            let name = format!("{:#}", rustc_demangle::demangle(symbol));
            functions.push(Function { name, lines: Vec::new() });
            inside = true;
        } else if line.starts_with(".Lfunc_end") {
            inside = false;
        } else if inside && let Some(function) = functions.last_mut() {
            function.lines.push(line.trim().to_owned());
        }
    }
    functions
}

impl Function {
    /// The first innermost loop that multiplies: the sums come before what is made of them.
    fn first_loop(&self) -> &[String] {
        self.inner_loops().first().copied().unwrap_or_default()
    }

    /// The innermost loops that multiply, in their order.
    fn inner_loops(&self) -> Vec<&[String]> {
        let place = |label: &str| self.lines.iter().position(|line| line.strip_suffix(':') == Some(label));
        let jumps = self.lines.iter().enumerate().filter(|(_, line)| line.starts_with('j'));
        // A jump back closes a loop, or a stretch that the compiler placed early.
        let loops: Vec<(usize, usize)> = jumps
            .filter_map(|(end, line)| Some((place(line.split_whitespace().last()?)?, end)))
            .filter(|(start, end)| start < end)
            .collect();
        let multiplications =
            |&(start, end): &(usize, usize)| self.lines[start..end].iter().filter(|line| multiplies(line)).count();
        let holds_another = |&(start, end): &(usize, usize)| {
            let inside = |other: &&(usize, usize)| start <= other.0 && other.1 <= end && (start, end) != **other;
            loops.iter().filter(inside).any(|other| multiplications(other) > 0)
        };
        let innermost = |each: &(usize, usize)| multiplications(each) > 0 && !holds_another(each);
        let mut innermost: Vec<_> = loops.iter().copied().filter(innermost).collect();
        innermost.sort_unstable();
        innermost.into_iter().map(|(start, end)| &self.lines[start..end]).collect()
    }

    /// The two constants of `Tile<KERNEL, A, B>`, if this is the trampoline of such a tile.
    fn tile(&self, kernel: &str) -> Option<(usize, usize)> {
        let inner = self.name.split_once(&format!("{kernel}<"))?.1;
        let (_, constants) = inner.split_once(">, ")?;
        let (a, b) = constants.split_once(", ")?;
        let number = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
        Some((number(a)?, number(b)?))
    }
}

/// Whether the instruction is a vector multiplication, fused with an addition or not.
fn multiplies(line: &str) -> bool {
    ["vfmadd", "vfnmadd", "mulps", "mulpd"].iter().any(|name| line.starts_with(name))
}

fn touches_stack(line: &str) -> bool {
    // Release builds keep no frame pointer: what is on the stack is addressed from its top.
    line.contains("(%rsp")
}

fn uses_vectors(line: &str) -> bool {
    line.contains("%xmm") || line.contains("%ymm") || line.contains("%zmm")
}

#[test]
fn tiles_stay_in_registers_and_everything_is_inlined() {
    let functions = assembly();
    let trampolines: Vec<&Function> = functions.iter().filter(|f| f.name.contains("::trampoline::<")).collect();
    // Per level: 28, 12 and 8 GEMM tiles of two types, for an A that is across or not, and again for a last vector that is cut
    // where there are masks; 8 and 2 of them that prefetch A, 8 again for cut ones, and as many that prefetch B; 12 of half a
    // vector; one of dense panels for each A; 6, 4 and 4 wide tiles, again where there is a way to prefetch; bands of 7 numbers of pairs of columns,
    // again in low tiles where these are lower, of which as many prefetch where there is a way to, of two types; 10, 10 and 8 tiles of dot products and as many
    // gradient tiles of f32 on floats and bytes; the GEMM's tiles for convolutions of f32.
    for (kernel, wanted) in [
        ("MicroKernel", 8 * (28 + 12) + 4 * 8 + 6 * 8 + 4 * 2 + 4 * 12),
        ("DenseKernel", 2 * 3 * 2),
        ("WideKernel", 2 * (2 * 6 + 2 * 4 + 4)),
        ("PairBand", 2 * (14 + 13 + 11)),
        ("PrefetchingBand", 2 * (14 + 13)),
        ("WholeVectors", 2 * 28),
        ("GradientTile", 2 * 28),
        ("Contraction", 48),
    ] {
        let tiles: Vec<_> = trampolines.iter().filter_map(|f| f.tile(kernel).map(|tile| (f, tile))).collect();
        assert_eq!(tiles.len(), wanted, "{kernel} tiles");
        for (function, (a, b)) in tiles {
            // A gradient tile of one vector is a row's end, read through a buffer.
            if kernel != "GradientTile" || b > 1 {
                check_tile(kernel, function, a * b);
            }
        }
    }
    let calls: Vec<String> = trampolines.iter().flat_map(|f| unexpected_calls(f)).collect();
    assert!(calls.is_empty(), "not inlined:\n{}", calls.join("\n"));
    check_updates(&trampolines);
}

/// The passes of ten update rules of two types keep what they compute in registers; settings may lie on the stack.
fn check_updates(trampolines: &[&Function]) {
    let wide = |f: &&&Function| f.name.contains("UpdateLoop<") && !f.name.contains("::portable::");
    let passes: Vec<_> = trampolines.iter().filter(wide).collect();
    assert_eq!(passes.len(), 2 * 2 * 10, "update passes");
    for function in passes {
        let inner = function.first_loop();
        assert!(inner.iter().any(|line| multiplies(line)), "{} has no loop", function.name);
        for line in inner {
            let target = line.rsplit(", ").next().unwrap_or(line);
            assert!(!(uses_vectors(line) && touches_stack(target)), "{} stores to the stack: {line}", function.name);
        }
    }
}

/// The inner loop holds a whole number of steps of `products` multiplications each, and no vector goes to the stack.
fn check_tile(kernel: &str, function: &Function, products: usize) {
    let count = |inner: &[String]| inner.iter().filter(|line| multiplies(line)).count();
    if !["PairBand", "PrefetchingBand"].contains(&kernel) {
        let inner = function.first_loop();
        let steps = count(inner);
        assert!(
            steps > 0 && steps.is_multiple_of(products),
            "{} multiplies {steps} times in its inner loop, not a multiple of {products}",
            function.name
        );
        return check_loop(kernel, function, inner);
    }
    // A band has a loop for the whole depth and, where its tiles take turns, others for parts of it. Those around them branch.
    let is_straight = |inner: &[String]| !inner.iter().any(|line| line.starts_with('j') || line.starts_with("call"));
    let is_sum = |inner: &&[String]| is_straight(inner) && count(inner).is_multiple_of(products);
    let sums: Vec<_> = function.inner_loops().into_iter().filter(is_sum).collect();
    assert!(!sums.is_empty(), "{} has no loop of {products} multiplications a step", function.name);
    sums.into_iter().for_each(|inner| check_loop(kernel, function, inner));
}

fn check_loop(kernel: &str, function: &Function, inner: &[String]) {
    let count = inner.iter().filter(|line| multiplies(line)).count();
    let fused = inner.iter().filter(|line| line.starts_with("vfmadd")).count();
    let wanted = if function.name.contains("::portable::") { 0 } else { count };
    assert_eq!(fused, wanted, "fused multiply-adds of {}", function.name);
    for line in inner {
        // The classifier's tiles have more row pointers than there are general registers: those may be reloaded.
        let pointer = !["MicroKernel", "DenseKernel"].contains(&kernel) && !uses_vectors(line);
        // The mask of a cut vector is the seventeenth of sixteen registers at one level: it may be reloaded.
        let target = line.rsplit(", ").next().unwrap_or(line);
        let is_cut = [", true, 0>", ", true, 3>"].iter().any(|end| function.name.contains(end));
        let mask = is_cut && function.name.contains("avx2::trampoline") && !touches_stack(target);
        assert!(
            pointer || mask || !touches_stack(line),
            "{} goes to the stack in its inner loop: {line}",
            function.name
        );
    }
}

/// What a trampoline calls that does not make up a panic, copy memory, or take a logarithm.
fn unexpected_calls(function: &Function) -> Vec<String> {
    let mut calls = Vec::new();
    for line in &function.lines {
        // A function is called by its name, or through the table that holds its address, maybe by way of a register.
        let symbol = match line.split_once("@GOTPCREL") {
            Some((before, _)) => before.rsplit(|c: char| c.is_whitespace() || c == '*').next().unwrap_or(before),
            None => match line.strip_prefix("callq") {
                Some(target) if !target.trim().starts_with('*') => target.trim().trim_end_matches("@PLT"),
                _ => continue,
            },
        };
        let name = format!("{:#}", rustc_demangle::demangle(symbol));
        let expected = name.starts_with("core::panicking")
            || name.starts_with("core::slice::index")
            || name.contains("core::fmt::")
            || ["memcpy", "memset", "memmove", "logf", "log"].contains(&name.as_str());
        if !expected {
            calls.push(format!("{} calls {name}", function.name));
        }
    }
    calls
}
