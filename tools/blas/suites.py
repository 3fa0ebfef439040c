#!/usr/bin/env python3
"""Judges liblanegrad_blas by the reference implementation's own test programs, and by NumPy.

Netlib's testers of BLAS and CBLAS (Debian's package libblas-test) run with the library preloaded, at every
instruction-set level of this processor. What they print must be what they print about the reference implementation:
every test passed, after as many calls. Then they run on a copy of the library with planted bugs, and must notice. Last,
NumPy multiplies with the library preloaded; the dynamic linker tells whose functions it called.

Needs cargo and rustc, apt-get (only to download; root is not needed) and dpkg. What is downloaded stays in
target/blas-suites.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
ROOT = PACKAGE.parent.parent
SCRATCH = ROOT / "target" / "blas-suites"
LIBRARY = "liblanegrad_blas.so"
LEVELS = ("portable", "avx2", "avx512")
DEBIAN = ("libblas-test", "libblas3", "libgfortran5", "libquadmath0")

# Sizes around those of vectors, micro-tiles and blocks, up to the testers' limit.
SIZES = "0 1 3 7 16 17 31 33 65"
FACTORS = "0.0 1.0 0.7 -1.0 1.3 1E-3 -2.5"


class Failure(Exception):
    """What was judged is wrong, or could not be judged."""


# ---------------------------------------------------------------------------------------------------------------------
# The testers
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tester:
    """A program, what it reads, and what it must say among other things."""

    program: str
    routine: str
    passes: tuple[str, ...]
    data: str | None = None
    # Also with many values of alpha and beta.
    is_long: bool = False


def testers() -> list[Tester]:
    exits, computed = "PASSED THE TESTS OF ERROR-EXITS", r"COMPUTATIONAL TESTS \( *\d+ CALLS\)"
    both_orders = (exits, "PASSED THE COLUMN-MAJOR " + computed, "PASSED THE ROW-MAJOR +" + computed)
    found = []
    for letter in "sd":
        upper = letter.upper()
        fortran = (exits, "PASSED THE " + computed)
        found += [
            Tester(f"xblat3{letter}", f"{upper}GEMM", fortran, f"{letter}blat3.in", is_long=True),
            Tester(f"x{letter}cblat3", f"cblas_{letter}gemm", both_orders, f"{letter}in3"),
            Tester(f"xblat2{letter}", f"{upper}GEMV", fortran, f"{letter}blat2.in"),
            Tester(f"x{letter}cblat2", f"cblas_{letter}gemv", both_orders, f"{letter}in2"),
            Tester(f"xblat1{letter}", f"{upper}DOT", (r"\s+----- PASS -----",)),
            Tester(f"x{letter}cblat1", f"CBLAS_{upper}DOT", (r"\s+----- PASS -----",)),
        ]
    return found


def restricted(tester: Tester, text: str) -> str:
    """A tester's input with one routine left to test, and more values to test it with."""

    def choose(line: str) -> str:
        name = re.match(r"(\w+ +)T( PUT F FOR NO TEST)", line)
        return line if name is None or line.split()[0] == tester.routine else f"{name[1]}F{line[name.end(1) + 1:]}"

    def values(of: str, new: str, text: str) -> str:
        pattern = rf"^\d+( +NUMBER OF VALUES OF {of})\n.*VALUES OF {of}"
        replaced, count = re.subn(pattern, rf"{len(new.split())}\1\n{new} VALUES OF {of}", text, flags=re.MULTILINE)
        if count != 1:
            raise Failure(f"{tester.data} has changed: no values of {of}")
        return replaced

    text = "\n".join(map(choose, text.splitlines())) + "\n"
    text = values("N", SIZES, text)
    if tester.is_long:
        text = values("ALPHA", FACTORS, values("BETA", FACTORS, text))
    return text


class Suites:
    """The testers, unpacked."""

    def __init__(self) -> None:
        root = SCRATCH / "debian"
        if not root.is_dir():
            unpack_debian_packages(root)
        found = list(root.glob("usr/lib/*/blas/xblat3s"))
        if len(found) != 1:
            raise Failure(f"there are {len(found)} files usr/lib/*/blas/xblat3s in {root}")
        self.programs = found[0].parent

    def run(self, tester: Tester, library: Path | None, level: str | None) -> str:
        """What `tester` prints with `library` before the reference implementation."""
        environment = {**os.environ, "LD_LIBRARY_PATH": f"{self.programs}:{self.programs.parent}"}
        if library is not None:
            environment["LD_PRELOAD"] = str(library)
        if level is not None:
            environment["LANEGRAD_ISA"] = level
        text = "" if tester.data is None else restricted(tester, (self.programs / tester.data).read_text())
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [str(self.programs / tester.program)],
                cwd=folder,
                env=environment,
                input=text,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=300,
            )
            # Fortran's testers of levels 2 and 3 write into a file.
            written = sorted(Path(folder).glob("*.out"))
            printed = done.stdout + "".join(path.read_text() for path in written)
        # A planted bug may crash a tester, which is as good as a complaint.
        return printed if done.returncode == 0 else f"{printed}\nexit status {done.returncode}\n"


def unpack_debian_packages(root: Path) -> None:
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise Failure(f"there is no {tool}: the testers come from Debian's package libblas-test")
    with tempfile.TemporaryDirectory() as folder:
        download = subprocess.run(
            ["apt-get", "download", *DEBIAN], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        archives = sorted(Path(folder).glob("*.deb"))
        if download.returncode != 0 or len(archives) != len(DEBIAN):
            raise Failure(f"apt-get download (after apt-get update?):\n{download.stdout}")
        # All or nothing, so that the next run finds all.
        part = root.with_suffix(".part")
        part.mkdir(parents=True, exist_ok=True)
        for archive in archives:
            if subprocess.run(["dpkg", "-x", str(archive), str(part)]).returncode != 0:
                raise Failure(f"dpkg does not unpack {archive.name}")
        part.rename(root)


def passed(tester: Tester, printed: str) -> list[bool]:
    """Whether the tester says each of the things that it must say about its routine."""
    return [re.search(rf"\b{tester.routine} +{line}", printed) is not None for line in tester.passes]


def complaints(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if re.search(r"FAIL|FATAL|\*\*\*\*|exit status|SUSPECT", line)]


def judge(suites: Suites, library: Path, levels: list[str]) -> None:
    for tester in testers():
        reference = suites.run(tester, None, None)
        if not all(passed(tester, reference)) or complaints(reference):
            raise Failure(f"{tester.program} does not pass the reference implementation:\n{reference}")
        for level in levels:
            start = time.monotonic()
            printed = suites.run(tester, library, level)
            if printed != reference:
                raise Failure(f"{tester.program} at {level} prints\n{printed}\nand of the reference\n{reference}")
            calls = sum(int(count) for count in re.findall(r"\( *(\d+) CALLS\)", printed))
            count = f"{calls:7,} calls" if calls else ""
            seconds = time.monotonic() - start
            name = f"{tester.program:<9} {tester.routine:<12}"
            print(f"  {name} {level:<9} passed  {seconds:4.1f} s  {count}".rstrip(), flush=True)


# ---------------------------------------------------------------------------------------------------------------------
# The library, and one with planted bugs
# ---------------------------------------------------------------------------------------------------------------------

# File, what is right, what is wrong.
BUGS = (
    ("gemm.rs", "(10, self.b.leading", "(11, self.b.leading"),
    ("gemm.rs", "|| !has_product && beta == T::ONE", "|| !has_product"),
    ("gemv.rs", "(8, incx == 0)", "(9, incx == 0)"),
    ("arguments.rs", "1 - count as isize", "-(count as isize)"),
)


def build() -> tuple[Path, dict[str, Path]]:
    """The library, and the compiled crates that it is made of."""
    command = ["cargo", "build", "--release", "--locked", "--package", "lanegrad-blas", "--lib"]
    done = subprocess.run(
        [*command, "--message-format", "json-render-diagnostics"], cwd=ROOT, text=True, stdout=subprocess.PIPE
    )
    if done.returncode != 0:
        raise Failure("the library does not build")
    artifacts = [artifact for artifact in map(json.loads, done.stdout.splitlines()) if "filenames" in artifact]
    files = {Path(name) for artifact in artifacts for name in artifact["filenames"]}
    library = next(path for path in files if path.name == LIBRARY)
    crates = {path.name.removeprefix("lib").split("-")[0]: path for path in files if path.suffix == ".rlib"}
    return library, crates


def build_with_bugs(crates: dict[str, Path]) -> Path:
    """The library, compiled from a copy of this package's source in which the bugs are planted."""
    copy = SCRATCH / "planted"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(PACKAGE / "src", copy)
    for name, right, wrong in BUGS:
        path = copy / name
        text = path.read_text()
        if text.count(right) != 1:
            raise Failure(f"{name} has changed: a bug can no longer be planted at `{right}`")
        path.write_text(text.replace(right, wrong))
    library = copy / LIBRARY
    command = ["rustc", "--edition", "2024", "--crate-name", "lanegrad_blas", "--crate-type", "cdylib", "-O"]
    for name in ("lanegrad_kernels", "libc"):
        command += ["--extern", f"{name}={crates[name]}"]
    command += ["-L", f"dependency={crates['lanegrad_kernels'].parent}", "-o", str(library), str(copy / "lib.rs")]
    if subprocess.run(command, cwd=ROOT).returncode != 0:
        raise Failure("the library with planted bugs does not build")
    return library


def check_that_bugs_are_noticed(suites: Suites, library: Path, level: str) -> None:
    for tester in testers():
        printed = suites.run(tester, library, level)
        said = passed(tester, printed)
        if not complaints(printed) or any(said):
            raise Failure(f"{tester.program} does not notice the planted bugs:\n{printed}")
        print(f"  {tester.program:<9} {tester.routine:<12} fails, as it must", flush=True)


def supported_levels(library: Path) -> list[str]:
    program = (
        "import ctypes, sys\n"
        "dot = ctypes.CDLL(sys.argv[1]).cblas_ddot\n"
        "dot.restype = ctypes.c_double\n"
        "x = (ctypes.c_double * 2)(3, 4)\n"
        "sys.exit(dot(2, x, 1, x, 1) != 25)\n"
    )
    supported = []
    for level in LEVELS:
        done = subprocess.run(
            [sys.executable, "-c", program, str(library)],
            env={**os.environ, "LANEGRAD_ISA": level},
            text=True,
            stderr=subprocess.PIPE,
        )
        if done.returncode == 0:
            supported.append(level)
        elif level not in done.stderr:
            raise Failure(f"at {level}: exit status {done.returncode}: {done.stderr}")
        else:
            print(f"  {level} is left out: {done.stderr.strip()}")
    return supported


# ---------------------------------------------------------------------------------------------------------------------
# NumPy
# ---------------------------------------------------------------------------------------------------------------------

WITH_NUMPY = r"""
import multiprocessing
import numpy as np

rng = np.random.default_rng(0)
products = 0

def check(a, b):
    global products
    wide = np.clongdouble if np.iscomplexobj(a) else np.longdouble
    want = a.astype(wide) @ b.astype(wide)  # long numbers are no business of any BLAS
    size = np.abs(a).astype(np.longdouble) @ np.abs(b).astype(np.longdouble)
    found = a @ b
    exact = not np.issubdtype(a.dtype, np.inexact)
    tolerance = 0 if exact else 4 * (a.shape[-1] + 4) * np.finfo(a.dtype).eps * size
    assert found.dtype == a.dtype and np.all(np.abs(found - want) <= tolerance), (a.dtype, a.shape, b.shape)
    products += 1

def random(shape, dtype):
    numbers = rng.standard_normal(shape)
    if np.issubdtype(dtype, np.integer):
        return (8 * numbers).astype(dtype)
    if np.issubdtype(dtype, np.complexfloating):
        return (numbers + 1j * rng.standard_normal(shape)).astype(dtype)
    return numbers.astype(dtype)

def layouts(rows, cols, dtype):
    yield random((rows, cols), dtype)
    yield random((cols, rows), dtype).T
    yield random((rows, 2 * cols), dtype)[:, :cols]
    yield random((2 * rows, cols), dtype)[::2]
    yield random((rows, 2 * cols), dtype)[:, ::2]
    yield random((rows, cols), dtype)[::-1, ::-1]

for dtype in (np.float32, np.float64, np.float16, np.complex64, np.int32):
    for m in (1, 2, 7, 33):
        for n in (1, 5, 64):
            for k in (0, 1, 8, 65):
                for a in layouts(m, k, dtype):
                    for b in layouts(k, n, dtype):
                        check(a, b)
                    check(a, random(k, dtype))
                    check(a, random(2 * k, dtype)[::-2])
                    check(random(3 * k, dtype)[::3], a.T)
                    check(random(k, dtype)[::-1], random(2 * k, dtype)[::2])
    if dtype in (np.float32, np.float64):
        a = random((300, 700), dtype)
        check(a, random((700, 400), dtype))
        check(random((5, 90, 80), dtype), random((5, 80, 70), dtype))
        check(a, a.T.copy())

# A child of fork() must not wait for threads that it does not have.
a = random((500, 500), np.float64)
want = a @ a.copy()
def child():
    assert np.array_equal(a @ a.copy(), want)
process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join(60)
hangs = process.is_alive()
if hangs:
    process.kill()
assert not hangs and process.exitcode == 0, "the forked child hangs" if hangs else process.exitcode
print(f"  NumPy {np.__version__}: {products:,} products are right, and so is one in a forked child")
"""


def check_numpy(python: str, library: Path) -> None:
    if subprocess.run([python, "-c", "import numpy"], stderr=subprocess.DEVNULL).returncode != 0:
        print(f"  skipped: {python} has no NumPy (choose another with --python)")
        return
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "LD_PRELOAD": str(library),
            "LD_DEBUG": "bindings",
            "LD_DEBUG_OUTPUT": f"{folder}/bindings",
        }
        done = subprocess.run([python, "-c", WITH_NUMPY], env=environment, timeout=300)
        bindings = "".join(path.read_text(errors="replace") for path in Path(folder).glob("bindings.*"))
    if done.returncode != 0:
        raise Failure(f"NumPy: exit status {done.returncode}")
    pattern = r"binding file \S*numpy\S* \[0\] to (\S+) \[0\]: normal symbol `((?:scipy_)?cblas_\w+)'"
    provider = {symbol: Path(path).name for path, symbol in re.findall(pattern, bindings)}
    ours = sorted(symbol for symbol, path in provider.items() if path == LIBRARY)
    theirs = sorted(symbol for symbol, path in provider.items() if path != LIBRARY)
    print(f"  through Lanegrad: {' '.join(ours) or 'nothing'}")
    print(f"  through NumPy's own BLAS: {' '.join(theirs) or 'nothing'}")
    missed = [symbol for symbol in theirs if re.search(r"cblas_[sd](gemm|gemv|dot)(64_)?$", symbol)]
    if missed or len(ours) < 6:
        raise Failure("NumPy does not call the library's products")


# ---------------------------------------------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="whose NumPy is tried (default: this one's)")
    options = parser.parse_args()
    if platform.system() != "Linux":
        parser.error("the testers are programs for Linux")
    try:
        library, crates = build()
        suites = Suites()
        levels = supported_levels(library)
        print("Netlib's testers:")
        judge(suites, library, levels)
        print("Netlib's testers on planted bugs:")
        check_that_bugs_are_noticed(suites, build_with_bugs(crates), levels[-1])
        print("NumPy:")
        check_numpy(options.python, library)
    except Failure as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
        return 1
    print("all is well")
    return 0


if __name__ == "__main__":
    sys.exit(main())
