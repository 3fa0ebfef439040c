#!/usr/bin/env python3
"""Judges this package by the test suites that others published: matrixmultiply's own, nalgebra's and ndarray's.

    python3 tools/matrixmultiply/suites.py              each suite must pass on this checkout
    python3 tools/matrixmultiply/suites.py --control    each suite must fail on a copy with one wrong line
    python3 tools/matrixmultiply/suites.py --registry   each suite on the matrixmultiply of the registry

The published sources are fetched through cargo, copied below target/suites, given this package by [patch.crates-io],
and tested in release mode. The exit status is 0 only if every suite ran tests and ended as it must. Names of suites as
arguments choose among them. The first run takes about ten minutes on two cores.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
CHECKOUT = PACKAGE.parent.parent
WORK = CHECKOUT / "target" / "suites"
CONTROL = WORK / "control" / "matrixmultiply"

# What the control gets wrong in src/lib.rs, in both real products: the last term of every sum is missing.
RIGHT = "gemm(m, k, n, alpha,"
WRONG = "gemm(m, k.saturating_sub(1), n, alpha,"

# matrixmultiply's tests are a package of their own here, since they must link the one that stands in for it.
MATRIXMULTIPLY_MANIFEST = """\
[package]
name = "matrixmultiply-suite"
version = "0.0.0"
edition = "2018"

[lib]
path = "empty.rs"

[features]
cgemm = ["matrixmultiply/cgemm"]
threading = ["matrixmultiply/threading"]

[dependencies]
matrixmultiply = "0.3.11"

[dev-dependencies]
itertools = "0.15"
"""

# ndarray's tests use a package of its repository that was never published: arrays that count from zero.
NDARRAY_GEN = {
    "Cargo.toml": """\
[package]
name = "ndarray-gen"
version = "0.0.0"
edition = "2021"

[dependencies]
ndarray = { path = ".." }
num-traits = "0.2"
""",
    "src/lib.rs": """\
pub mod array_builder {
    use ndarray::{Array, Dimension, IntoDimension, Order};
    use num_traits::Num;

    pub struct ArrayBuilder<D>(D, Order);

    impl<D: Dimension> ArrayBuilder<D> {
        pub fn new(shape: impl IntoDimension<Dim = D>) -> Self {
            Self(shape.into_dimension(), Order::RowMajor)
        }
        pub fn memory_order(self, order: Order) -> Self {
            Self(self.0, order)
        }
        pub fn build<T: Num + Clone>(self) -> Array<T, D> {
            let mut next = T::zero();
            let count = |_| {
                let number = next.clone();
                next = number.clone() + T::one();
                number
            };
            let numbers: Vec<T> = (0..self.0.size()).map(count).collect();
            Array::from_vec(numbers).into_shape_with_order((self.0, self.1)).unwrap()
        }
    }
}
""",
}


@dataclass
class Suite:
    """The tests of a published package."""

    package: str
    version: str
    runs: list[list[str]]
    """Arguments of `cargo test`, one list a run."""
    skipped: list[str] = field(default_factory=list)
    """Tests that fail with the registry's matrixmultiply too."""
    manifest: str | None = None
    """What stands in for the package's own manifest, where its library is not to be built."""
    extra_manifest: str = ""
    extra_files: dict[str, str] = field(default_factory=dict)


SUITES = [
    Suite(
        "matrixmultiply",
        "0.3.11",
        [["--features", "cgemm"], ["--features", "cgemm,threading"]],
        manifest=MATRIXMULTIPLY_MANIFEST,
        extra_files={"empty.rs": ""},
    ),
    Suite(
        "nalgebra",
        "0.35.0",
        [["--features", "debug,compare,rand,macros,arbitrary,proptest-support", "--test", "lib"]],
        # The first compares the compiler's messages word by word; the second draws rotations, some of them too close.
        skipped=["stack_trybuild_tests", "slerp_takes_shortest_path"],
    ),
    # 0.17.2 was published without tests.
    Suite(
        "ndarray",
        "0.17.1",
        [
            ["--features", "approx,rayon", "--tests"],
            ["--features", "approx,rayon,matrixmultiply-threading", "--test", "oper"],
        ],
        extra_manifest='\n[dev-dependencies.ndarray-gen]\npath = "ndarray-gen"\n',
        extra_files={f"ndarray-gen/{path}": text for path, text in NDARRAY_GEN.items()},
    ),
]


def main():
    parser = argparse.ArgumentParser(description="Judges this package by the test suites that others published.")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--control", action="store_true", help="require every suite to fail on a wrong copy")
    mode.add_argument("--registry", action="store_true", help="use the registry's matrixmultiply")
    names = [suite.package for suite in SUITES]
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"one of {', '.join(names)}; all if none is named")
    arguments = parser.parse_args()
    if unknown := set(arguments.suites) - set(names):
        parser.error(f"no such suite: {', '.join(sorted(unknown))}")
    if arguments.control:
        make_control()
    replacement = None if arguments.registry else CONTROL if arguments.control else PACKAGE
    chosen = [suite for suite in SUITES if not arguments.suites or suite.package in arguments.suites]
    sources = fetch(chosen)
    good = True
    for suite in chosen:
        folder = prepare(suite, sources[suite.package], replacement)
        good &= judge(suite, folder, must_fail=arguments.control)
    sys.exit(0 if good else 1)


def fetch(suites):
    """The folder of each suite's published source, by package."""
    scratch = WORK / "fetch"
    dependencies = "".join(f'{suite.package} = "={suite.version}"\n' for suite in suites)
    write(scratch / "src" / "lib.rs", "")
    manifest = '[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2024"\n\n[workspace]\n\n[dependencies]\n'
    write(scratch / "Cargo.toml", manifest + dependencies)
    (scratch / "Cargo.lock").unlink(missing_ok=True)
    packages = metadata(scratch)
    return {suite.package: packages[suite.package, suite.version].parent for suite in suites}


def prepare(suite, source, replacement):
    """A copy of the suite's source in which `replacement` stands for matrixmultiply; its folder."""
    folder = WORK / f"{suite.package}-{suite.version}"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    # The published lock file names a matrixmultiply of the registry.
    (folder / "Cargo.lock").unlink(missing_ok=True)
    if suite.manifest is not None:
        shutil.rmtree(folder / "src")
        (folder / "build.rs").unlink()
    for path, text in suite.extra_files.items():
        write(folder / path, text)
    manifest = suite.manifest or (folder / "Cargo.toml").read_text()
    manifest += suite.extra_manifest + "\n[workspace]\n"
    if replacement:
        manifest += f"\n[patch.crates-io]\nmatrixmultiply = {{ path = {json.dumps(str(replacement))} }}\n"
    write(folder / "Cargo.toml", manifest)
    used = [path.parent for (name, _), path in metadata(folder).items() if name == "matrixmultiply"]
    if len(used) != 1 or replacement and used != [replacement]:
        sys.exit(f"{suite.package} would not be tested with {replacement}, but with {used}")
    return folder


def judge(suite, folder, must_fail):
    """Runs the suite, prints its counts, and says whether it ended as it must."""
    passed = failed = 0
    completed = True
    for arguments in suite.runs:
        command = ["cargo", "test", "--release", "--no-fail-fast", *arguments, "--"]
        command += [word for name in suite.skipped for word in ("--skip", name)]
        print(f"\n== {suite.package} {suite.version}: {' '.join(command)}", flush=True)
        pipe = {"stdout": subprocess.PIPE, "text": True, "errors": "replace"}
        process = subprocess.Popen(command, cwd=folder, env=environment(), **pipe)
        run_passed = run_failed = 0
        for line in process.stdout:
            # What a failing test prints may be whole matrices: only its name is shown.
            if re.match(r"test .* FAILED$", line):
                print(line, end="", flush=True)
            if match := re.match(r"test result: \w+\. (\d+) passed; (\d+) failed", line):
                run_passed += int(match[1])
                run_failed += int(match[2])
        # What does not build, or crashes, fails without naming a test.
        completed &= run_passed + run_failed > 0 and (process.wait() == 0) == (run_failed == 0)
        passed += run_passed
        failed += run_failed
    good = completed and (failed > 0) == must_fail
    verdict = "as it must" if good else "NOT AS IT MUST"
    print(f"{suite.package} {suite.version}: {passed} passed, {failed} failed: {verdict}", flush=True)
    return good


def make_control():
    """Copies this package and gets one line wrong."""
    shutil.rmtree(CONTROL.parent, ignore_errors=True)
    shutil.copytree(PACKAGE, CONTROL, ignore=shutil.ignore_patterns("__pycache__"))
    library = CONTROL / "src" / "lib.rs"
    text = library.read_text()
    if text.count(RIGHT) != 2:
        sys.exit(f"{library} has no two lines with {RIGHT!r} to get wrong")
    library.write_text(text.replace(RIGHT, WRONG))
    write(CONTROL.parent / "Cargo.toml", workspace_manifest())


def workspace_manifest():
    """This checkout's manifest with the control as its only member, and its own packages by their paths."""
    text = (CHECKOUT / "Cargo.toml").read_text()
    tables = re.split(r"(?m)^(?=\[)", text)
    kept = [table for table in tables if table.startswith(("[workspace.", "[profile."))]
    inherited = "".join(kept).replace('path = "', f'path = "{CHECKOUT}/')
    return '[workspace]\nmembers = ["matrixmultiply"]\nresolver = "3"\n\n' + inherited


def metadata(folder):
    """The manifest of each package that the one in `folder` needs, by name and version."""
    command = ["cargo", "metadata", "--format-version", "1"]
    output = subprocess.run(command, cwd=folder, env=environment(), stdout=subprocess.PIPE, check=True).stdout
    packages = json.loads(output)["packages"]
    return {(package["name"], package["version"]): Path(package["manifest_path"]) for package in packages}


def environment():
    """One target folder for all."""
    return os.environ | {"CARGO_TARGET_DIR": str(WORK / "build")}


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


if __name__ == "__main__":
    main()
