#!/usr/bin/env python3
"""Times candle's matrix products with the registry's gemm (before) and with this package in its place (after).

    python3 tools/gemm/compare.py [--rounds N]

Two programs of one source, compare/main.rs, take turns, on one thread and on all. Prints a Markdown table: medians over the
rounds, and the median of the rounds' own ratios. Everything is written under target/gemm-compare.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from scratch import REPOSITORY, cargo, patch, write_if_changed

WORK = REPOSITORY / "target" / "gemm-compare"
SOURCE = Path(__file__).resolve().parent / "compare" / "main.rs"
SIDES = ("before", "after")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each program runs (default 5)")
    rounds = parser.parse_args().rounds
    if rounds < 1:
        parser.error("at least one round is needed")
    programs = {side: build(side) for side in SIDES}
    for threads in (1, len(os.sched_getaffinity(0))):
        print(f"\n{threads} thread{'' if threads == 1 else 's'}:\n")
        show(measure(programs, threads, rounds))
    return 0


def build(side: str) -> Path:
    """The program that times the one or the other gemm."""
    folder = WORK / side
    manifest = f"""[package]
name = "{side}"
version = "0.0.0"
edition = "2024"

[[bin]]
name = "{side}"
path = "{SOURCE}"

[dependencies]
candle-core = "=0.11.1"
gemm = "0.19"

[workspace]
"""
    if side == "after":
        manifest += patch(Path(__file__).resolve().parent)
    write_if_changed(folder / "Cargo.toml", manifest)
    options = ["--manifest-path", str(folder / "Cargo.toml")]
    tree = cargo("tree", *options, "--invert", "gemm", "--depth", "0")
    if ("gemm v0.19.99" in tree) != (side == "after"):
        sys.exit(f"{side} is built with {tree}")
    cargo("build", "--release", "--target-dir", str(WORK / "build"), *options)
    return WORK / "build" / "release" / side


def measure(programs: dict[str, Path], threads: int, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Microseconds of each case, round by round, for both programs."""
    times: dict[str, dict[str, list[float]]] = defaultdict(lambda: {side: [] for side in SIDES})
    for turn in range(rounds):
        for side in SIDES if turn % 2 == 0 else reversed(SIDES):
            environment = {**os.environ, "RAYON_NUM_THREADS": str(threads)}
            done = subprocess.run([programs[side]], env=environment, check=True, capture_output=True, text=True)
            for line in done.stdout.splitlines():
                case, microseconds = line.split("\t")
                times[case][side].append(float(microseconds))
    return times


def show(times: dict[str, dict[str, list[float]]]) -> None:
    print("| type, m x k x n | before, us | after, us | before / after |\n|---|---:|---:|---:|")
    for case, sides in times.items():
        before, after = (statistics.median(sides[side]) for side in SIDES)
        ratio = statistics.median(b / a for b, a in zip(sides["before"], sides["after"], strict=True))
        print(f"| {case} | {before:,.1f} | {after:,.1f} | {ratio:.2f} |")


if __name__ == "__main__":
    sys.exit(main())
