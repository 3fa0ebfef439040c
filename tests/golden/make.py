#!/usr/bin/env python3
"""Writes the golden files of this folder, or checks that they still hold what would be written. See README.md."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from types import ModuleType

import convnet
import numpy as np
import ops
import optimizers
import torch
from layout import Tensors
from safetensors import safe_open
from safetensors.numpy import save_file

FOLDER = Path(__file__).resolve().parent
FILES: dict[str, ModuleType] = {
    "convnet.safetensors": convnet,
    "ops.safetensors": ops,
    "optimizers.safetensors": optimizers,
}

# Of a tensor's largest value, or of 1 where that is less.
TOLERANCE = 1e-12


class Disagreement(Exception):
    """Two sources of one tensor differ: reported in one line, exit status 1."""


def compare(file: str, first: Tensors, second: Tensors, between: str) -> float:
    """The largest difference of any tensor, relative to its largest value or 1."""
    if first.keys() != second.keys():
        raise Disagreement(f"{file}: {between} have different tensors: {sorted(first.keys() ^ second.keys())}")
    worst = 0.0
    for name, values in first.items():
        others = second[name]
        if values.shape != others.shape:
            raise Disagreement(f"{file}: {name}: {between} have shapes {values.shape} and {others.shape}")
        difference = np.abs(values - others).max() / max(1.0, np.abs(values).max())
        if not difference <= TOLERANCE:  # written so that NaN fails
            raise Disagreement(f"{file}: {name}: {between} differ by {difference:.1e} of the largest value")
        worst = max(worst, difference)
    return worst


def make(file: str, module: ModuleType) -> Tensors:
    """Operands and PyTorch's results, once NumPy has confirmed these."""
    given = module.inputs()
    results = module.by_torch(given)
    worst = compare(file, results, module.by_numpy(given), "PyTorch and NumPy")
    print(f"{file}: {len(results)} results, PyTorch and NumPy agree to {worst:.1e}")
    return {name: np.ascontiguousarray(values, dtype=np.float64) for name, values in {**given, **results}.items()}


def write(file: str, tensors: Tensors, settings: dict) -> None:
    """Metadata has one member: the library writes several in random order."""
    path = FOLDER / file
    save_file(tensors, path, metadata={"settings": json.dumps(settings, sort_keys=True)})
    path.chmod(0o644)  # the library's own choice keeps the file from everyone else


def read(file: str) -> Tensors:
    with safe_open(FOLDER / file, framework="numpy") as tensors:
        return {name: tensors.get_tensor(name) for name in tensors.keys()}


def run(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing: compare with the files that are there")
    options = parser.parse_args(arguments)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    for file, module in FILES.items():
        tensors = make(file, module)
        if options.check:
            worst = compare(file, read(file), tensors, "the file and what would be written")
            print(f"{file}: as written, to {worst:.1e}")
        else:
            write(file, tensors, module.SETTINGS)


def main() -> int:
    try:
        run(sys.argv[1:])
    except Disagreement as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
