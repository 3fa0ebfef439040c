//! Wrong arguments, and the end of the process, as a C program sees them that is linked with the library.
#![cfg(target_os = "linux")]

mod support;

use std::path::Path;
use std::process::{Command, Output};

/// Compiles a program of `tests/c` with the library and runs it.
fn run(source: &str, options: &[&str], libraries: &[&str]) -> Output {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let program = scratch.path().join("program");
    let library = support::library();
    let folder = library.parent().expect("a file lies in a folder");
    let output = Command::new("cc")
        .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-I"])
        .arg(package)
        .args(options)
        .arg(package.join("tests/c").join(source))
        .arg("-o")
        .arg(&program)
        .arg("-L")
        .arg(folder)
        .args(libraries)
        .output()
        .expect("there is a C compiler");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Command::new(&program).env("LD_LIBRARY_PATH", folder).output().expect("the program starts")
}

fn assert_succeeds(output: &Output) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}{err}", output.status);
}

#[test]
fn a_programs_own_handler_is_told() {
    // A handler is found among the symbols that a program exports.
    let output = run("errors.c", &["-rdynamic"], &["-llanegrad_blas"]);
    assert_succeeds(&output);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_handler_of_the_reference_implementation_can_undo_the_swap() {
    assert_succeeds(&run("errors.c", &["-rdynamic", "-DREFERENCE"], &["-llanegrad_blas"]));
}

#[test]
fn without_a_handler_there_is_one_line() {
    let told = "lanegrad-blas: argument 9 of cblas_sgemm has an illegal value\n\
                lanegrad-blas: argument 13 of SGEMM has an illegal value\n";
    let shared: &[&str] = &["-llanegrad_blas"];
    let in_the_program: &[&str] = &["-l:liblanegrad_blas.a", "-lpthread", "-ldl", "-lm"];
    for libraries in [shared, in_the_program] {
        let output = run("no_handler.c", &[], libraries);
        assert_succeeds(&output);
        assert_eq!(String::from_utf8_lossy(&output.stderr), told);
    }
}

#[test]
fn products_are_computed_until_the_process_is_gone() {
    let output = run("at_exit.c", &[], &["-llanegrad_blas"]);
    assert_succeeds(&output);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "done\n");
}
