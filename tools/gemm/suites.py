#!/usr/bin/env python3
"""Judges the package by other people's tests, on the processor.

candle: the tests that candle-core's published package carries, with its `gemm` patched to be this one.
burn:   those of burn-flex, burn's backend for the processor, likewise.
gemm:   those of the crate gemm itself, calling this one.

    python3 tools/gemm/suites.py [candle] [burn] [gemm]   all of them if none is named
    python3 tools/gemm/suites.py --control                the same on a copy with a planted bug: each suite must fail

Cargo fetches the packages; everything is written under target/gemm-suites. Exit status 1 if a suite fails, or nothing in it
ran; under --control, if a suite passes.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from scratch import REPOSITORY, cargo, cargo_shown, package_folder, patch, write_if_changed

WORK = REPOSITORY / "target" / "gemm-suites"
CANDLE, BURN, GEMM = ("candle-core", "0.11.1"), ("burn-flex", "0.22.1"), ("gemm", "0.19.0")

# The copy leaves out the last step of every sum.
PLANTED = ("tools/gemm/src/element.rs", "$gemm(m, k, n,", "$gemm(m, k.saturating_sub(1), n,")


@dataclass
class Outcome:
    passed: int
    failed: int
    ignored: int
    succeeded: bool
    """Whether cargo said so."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", metavar="suite", help="candle, burn, gemm")
    parser.add_argument("--control", action="store_true", help="plant a bug that every suite must find")
    arguments = parser.parse_args()
    prepare = {"candle": prepare_candle, "burn": prepare_burn, "gemm": prepare_gemm}
    unknown = set(arguments.suites) - set(prepare)
    if unknown:
        parser.error(f"no suite is called {', '.join(sorted(unknown))}")
    ours = planted_copy() if arguments.control else REPOSITORY / "tools" / "gemm"
    wrong = []
    for name in arguments.suites or prepare:
        outcome = run(prepare[name](ours), ours)
        print(f"{name}: {outcome.passed} passed, {outcome.failed} failed, {outcome.ignored} ignored", flush=True)
        ran = outcome.passed + outcome.failed > 0
        fine = outcome.failed > 0 if arguments.control else outcome.succeeded and outcome.failed == 0
        if not (ran and fine):
            wrong.append(name)
    if wrong:
        print(f"{'did not find the planted bug' if arguments.control else 'failed, or ran nothing'}: {', '.join(wrong)}")
        return 1
    print("every suite found the planted bug" if arguments.control else "every suite passed")
    return 0


def planted_copy() -> Path:
    """A copy of this repository with a bug in the package."""
    copy = WORK / "planted"
    shutil.rmtree(copy, ignore_errors=True)
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (REPOSITORY / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, copy / name)
    name, right, wrong = PLANTED
    text = (copy / name).read_text()
    if right not in text:
        sys.exit(f"{name} has no {right!r} to break")
    (copy / name).write_text(text.replace(right, wrong))
    return copy / "tools" / "gemm"


def prepare_candle(ours: Path) -> list[str]:
    return copied(*CANDLE, ours)


def prepare_burn(ours: Path) -> list[str]:
    return copied(*BURN, ours)


def copied(name: str, version: str, ours: Path) -> list[str]:
    """The published package, in a folder of its own and patched; the options that choose it and its tests."""
    folder = WORK / name
    if not folder.exists():
        shutil.copytree(package_folder(name, version, WORK / "fetch"), folder)
    original = folder / "Cargo.toml.registry"
    if not original.exists():
        (folder / "Cargo.toml").rename(original)
    write_if_changed(folder / "Cargo.toml", original.read_text() + "\n[workspace]\n" + patch(ours))
    manifest = ["--manifest-path", str(folder / "Cargo.toml")]
    # A published package brings a Cargo.lock that names the registry's gemm.
    cargo("update", *manifest, "gemm")
    return [*manifest, "--lib", "--tests"]


def prepare_gemm(ours: Path) -> list[str]:
    """The tests inside gemm's library, in a library around ours that has the slow products they compare with."""
    upstream = package_folder(*GEMM, WORK / "fetch") / "src"
    library, product = (upstream / "lib.rs").read_text(), (upstream / "gemm.rs").read_text()
    tests = library[library.index("#[cfg(test)]\nmod tests") :]
    slow = product[product.index("#[inline(never)]\n#[cfg(test)]") :]
    folder = WORK / "gemm-tests"
    names = "c32, c64, f16, set_wasm_simd128, Parallelism"
    write_if_changed(
        folder / "src" / "lib.rs",
        f"#[cfg(test)]\nuse ::gemm::{{{names}}};\n#[cfg(test)]\nmod gemm {{\npub use ::gemm::gemm;\n{slow}}}\n{tests}",
    )
    write_if_changed(
        folder / "Cargo.toml",
        f"""[package]
name = "gemm-tests"
version = "0.0.0"
edition = "2021"

[features]
default = ["rayon"]
rayon = []
std = []

[dependencies]
gemm = "={GEMM[1].rsplit(".", 1)[0]}.99"
half = {{ version = "2", features = ["num-traits"] }}
num-complex = "0.4"
num-traits = "0.2"

[dev-dependencies]
assert_approx_eq = "1.1"
rand = "0.8"

[workspace]
{patch(ours)}""",
    )
    return ["--manifest-path", str(folder / "Cargo.toml"), "--lib"]


def run(options: list[str], ours: Path) -> Outcome:
    """Runs a suite and shows what it prints."""
    manifest = options[:2]
    tree = cargo("tree", *manifest, "--invert", "gemm", "--depth", "0")
    if str(ours) not in tree:
        sys.exit(f"the suite does not use {ours}, but {tree}")
    command = ["test", "--release", "--no-fail-fast", "--target-dir", str(WORK / "build"), *options]
    text, status = cargo_shown(*command)
    results = re.findall(r"^test result: .*? (\d+) passed; (\d+) failed; (\d+) ignored", text, re.MULTILINE)
    passed, failed, ignored = (sum(int(result[i]) for result in results) for i in range(3))
    return Outcome(passed, failed, ignored, status == 0)


if __name__ == "__main__":
    sys.exit(main())
