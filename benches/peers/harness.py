"""What the scripts of this folder share: options, data, fair turns, running Lanegrad, tables and JSON."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import numpy as np

CLASSES = 10
PIXELS = 3 * 32 * 32
RECORD_BYTES = 1 + PIXELS
TRAINING_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
ROWS_PER_FILE = 10_000
SEED = 1

REPOSITORY = Path(__file__).resolve().parents[2]
LANEGRAD = "Lanegrad"


class UsageError(Exception):
    """Something the caller can put right: reported in one line, exit status 2."""


class RunError(Exception):
    """A contender failed or computed something else: reported in one line, exit status 1."""


class Refused(Exception):
    """Lanegrad's program does not know what it was asked for: it is left out."""


# ---------------------------------------------------------------------------------------------------------------------
# Options
# ---------------------------------------------------------------------------------------------------------------------


class OneLineParser(argparse.ArgumentParser):
    """Reports a bad option in one line; argparse alone would print the usage as well."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def integer_from(least: int) -> Any:
    """An option type: whole numbers of at least `least`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of at least {least}")
        return value

    return parse


def list_of(known: tuple[str, ...]) -> Any:
    """An option type: different words among the known ones, with commas between them."""

    def parse(text: str) -> list[str]:
        words = text.split(",")
        if not set(words) <= set(known) or len(set(words)) != len(words):
            raise argparse.ArgumentTypeError(f"'{text}' is not a list of different words among {','.join(known)}")
        return words

    return parse


def usable_cpus() -> int:
    """The CPUs this process may use, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def common_options(description: str) -> OneLineParser:
    """The options of every script; a script adds its own."""
    parser = OneLineParser(description=description)
    parser.add_argument("--data", type=Path, help="folder of the CIFAR-10 binary files (default: $CIFAR10_DIR)")
    parser.add_argument("--rounds", type=integer_from(1), default=5, help="default: 5")
    parser.add_argument("--threads", type=integer_from(1), default=usable_cpus(), help="default: all")
    parser.add_argument(
        "--profile",
        type=Path,
        default=REPOSITORY / "target" / "release" / "profile",
        help="Lanegrad's profile binary (default: target/release/profile in this repository)",
    )
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    return parser


def check_options(options: argparse.Namespace) -> None:
    """Finds what would otherwise fail only after minutes of timing."""
    if options.data is None:
        if not os.environ.get("CIFAR10_DIR"):
            raise UsageError("no data: give --data DIR or set CIFAR10_DIR")
        options.data = Path(os.environ["CIFAR10_DIR"])
    if options.threads > usable_cpus():
        raise UsageError(f"--threads {options.threads}: this process may use {usable_cpus()}")
    if not (options.profile.is_file() and os.access(options.profile, os.X_OK)):
        raise UsageError(f"no program at {options.profile}: run 'cargo build --release' or give --profile PATH")
    if options.json is not None and (options.json.is_dir() or not options.json.absolute().parent.is_dir()):
        raise UsageError(f"--json {options.json}: cannot write a file there")


# ---------------------------------------------------------------------------------------------------------------------
# Libraries
# ---------------------------------------------------------------------------------------------------------------------


def limit_threads(threads: int) -> None:
    """Sets the size of every library's thread pool. They read these once, when first imported."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "PJRT_NPROC"):
        os.environ[name] = str(threads)


def import_numpy() -> Any:
    """Binds `np` for this file and returns it. It cannot be imported at the top: the thread limit comes first."""
    global np
    try:
        import numpy as np
    except ImportError as error:
        raise UsageError(f"NumPy is needed to read the data: {first_line(error)}") from error
    return np


def import_library(name: str, module: str) -> Any | None:
    """The module, or None after one line that says why it is left out."""
    try:
        return import_module(module)
    except (ImportError, OSError) as error:  # OSError: a shared library the module needs is not there
        print(f"skipped: {name} cannot be imported ({first_line(error)})")
        return None


def first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


@dataclass(frozen=True)
class Libraries:
    """What could be imported; None is skipped."""

    torch: Any | None
    jax: Any | None

    def versions(self) -> dict[str, str]:
        versions = {"Python": platform.python_version(), "NumPy": np.__version__}
        if self.torch is not None:
            versions["PyTorch"] = self.torch.__version__
        if self.jax is not None:
            versions["JAX"] = self.jax.__version__
        return versions


def import_libraries(threads: int) -> Libraries:
    torch = import_library("PyTorch", "torch")
    if torch is not None:
        torch.set_num_threads(threads)
    return Libraries(torch=torch, jax=import_library("JAX", "jax"))


# ---------------------------------------------------------------------------------------------------------------------
# Data
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Data:
    pixels: np.ndarray  # float32, one row of 3072 for each image
    labels: np.ndarray  # int64


def read_records(path: Path) -> np.ndarray:
    try:
        records = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if records.size != ROWS_PER_FILE * RECORD_BYTES:
        raise UsageError(f"{path}: {records.size} bytes, not the {ROWS_PER_FILE * RECORD_BYTES} of a CIFAR-10 file")
    records = records.reshape(ROWS_PER_FILE, RECORD_BYTES)
    if records[:, 0].max() >= CLASSES:
        raise UsageError(f"{path}: label {records[:, 0].max()}, CIFAR-10 has labels 0 to {CLASSES - 1}")
    return records


def load_training_data(folder: Path) -> Data:
    rows = ROWS_PER_FILE * len(TRAINING_FILES)
    pixels = np.empty((rows, PIXELS), dtype=np.float32)
    labels = np.empty(rows, dtype=np.int64)
    for number, name in enumerate(TRAINING_FILES):
        records = read_records(folder / name)
        here = slice(number * ROWS_PER_FILE, (number + 1) * ROWS_PER_FILE)
        pixels[here] = records[:, 1:]
        labels[here] = records[:, 0]
    standardise(pixels)
    return Data(pixels, labels)


def standardise(pixels: np.ndarray) -> None:
    """Gives each colour channel mean 0 and deviation 1, in place."""
    channels = pixels.reshape(len(pixels), 3, -1)
    for channel in range(3):
        values = channels[:, channel]
        values -= values.mean(dtype=np.float64)
        values /= values.std(dtype=np.float64)


# ---------------------------------------------------------------------------------------------------------------------
# Contenders
# ---------------------------------------------------------------------------------------------------------------------


class Contender:
    """A model in one library. Parameters come and go in one form, whatever the class uses inside."""

    name: str

    def reset(self, *parameters: np.ndarray) -> None:
        raise NotImplementedError

    def train(self, order: np.ndarray) -> float:
        """Trains on these rows, batch by batch, and returns their mean loss."""
        raise NotImplementedError

    def parameters(self) -> tuple[np.ndarray, ...]:
        raise NotImplementedError


def compare(name: str, work: str, what: str, got: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    scale = np.abs(expected).max()
    difference = np.abs(got - expected).max()
    if not difference <= tolerance * scale:  # written so that NaN fails
        raise RunError(f"{name} computes another {work} {what}: off by {difference / scale:.1e} of the largest value")


# ---------------------------------------------------------------------------------------------------------------------
# Timing
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Round:
    """One contender's passes in one round. Lanegrad needs no warm-up where a process makes only one pass."""

    warm_up_ms: float | None
    pass_ms: list[float]
    train_loss: float

    def median_ms(self) -> float:
        return statistics.median(self.pass_ms)


@dataclass
class Result:
    contender: str
    work: str
    rounds: list[Round] = field(default_factory=list)

    def pass_ms(self) -> list[float]:
        return [milliseconds for one in self.rounds for milliseconds in one.pass_ms]

    def ratio_to(self, other: Result) -> float:
        """How many times as long as `other`, each round against the same round."""
        return statistics.median(
            mine.median_ms() / theirs.median_ms() for mine, theirs in zip(self.rounds, other.rounds)
        )


def as_round(milliseconds: list[float], train_loss: float) -> Round:
    return Round(warm_up_ms=milliseconds[0], pass_ms=milliseconds[1:], train_loss=train_loss)


def time_contender(contender: Contender, initial: tuple[np.ndarray, ...], rows: int, used: int, passes: int) -> Round:
    """Times passes over `used` of the rows, shuffled anew for each.

    NumPy shuffles for everyone: half a millisecond, where JAX's own permutation, which sorts, takes 20.
    """
    random = np.random.default_rng()
    milliseconds = []
    loss = math.nan
    contender.reset(*initial)
    for _ in range(passes):
        start = time.perf_counter()
        loss = contender.train(random.permutation(rows)[:used])
        milliseconds.append(1e3 * (time.perf_counter() - start))
    if not math.isfinite(loss):
        raise RunError(f"{contender.name}: the loss is {loss}")
    return as_round(milliseconds, loss)


def run_lanegrad(options: argparse.Namespace, arguments: list[str]) -> dict[str, Any]:
    """Runs `profile train` with these arguments and returns its report."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [str(options.profile.resolve()), "train", "--data", str(options.data), *arguments]
        command += ["--threads", str(options.threads), "--json", str(report), "--out", folder]
        try:
            finished = subprocess.run(command, capture_output=True, text=True, errors="replace")
        except OSError as error:
            raise RunError(f"{options.profile} cannot be run: {error.strerror}") from error
        said = [line for line in (finished.stderr + finished.stdout).splitlines() if line.strip()] or ["no message"]
        if finished.returncode == 2:
            raise Refused(said[0])
        if finished.returncode != 0:
            raise RunError(f"{options.profile} ended with status {finished.returncode}: {said[-1]}")
        try:
            return dict(json.loads(report.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise unreadable(error) from error


def unreadable(error: Exception) -> RunError:
    return RunError(f"{LANEGRAD}'s report cannot be read: {type(error).__name__}: {first_line(error)}")


def read_report(report: dict[str, Any], epochs: int) -> tuple[list[float], float, dict[str, Any]]:
    """The epochs' milliseconds, the last one's loss, and what it says of the machine."""
    try:
        milliseconds = [1e3 * float(epoch["seconds"]) for epoch in report["epochs"]]
        loss = float(report["epochs"][-1]["train_loss"])
        machine = dict(report["machine"])
    except (ValueError, TypeError, LookupError) as error:
        raise unreadable(error) from error
    if len(milliseconds) != epochs or not all(0.0 < value < math.inf for value in milliseconds):
        raise RunError(f"{LANEGRAD}'s report does not hold {epochs} epochs with a time each")
    if not math.isfinite(loss):
        raise RunError(f"{LANEGRAD}: the loss is {loss}")
    return milliseconds, loss, machine


def take_turns(work: str, names: list[str], rounds: int, time_one: Callable[[int], Round]) -> list[Result]:
    """All rounds of one piece of work. Contenders take turns, so that a busy spell of the machine falls on everyone."""
    results = [Result(name, work) for name in names]
    for number in range(rounds):
        progress(f"{work}: round {number + 1} of {rounds}")
        # Another one goes first each round: nobody always follows the same state of caches and clock.
        for turn in range(len(names)):
            index = (number + turn) % len(names)
            results[index].rounds.append(time_one(index))
    return results


# ---------------------------------------------------------------------------------------------------------------------
# Reports
# ---------------------------------------------------------------------------------------------------------------------


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def processor_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def describe_machine(threads: int) -> dict[str, Any]:
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "processor": processor_name(),
        "system": platform.platform(),
        "cpus": usable_cpus(),
        "threads": threads,
        "load_before": load,
    }


def print_heading(machine: dict[str, Any], versions: dict[str, str]) -> None:
    load = "" if machine["load_before"] is None else f", load {machine['load_before']:.2f} before"
    print(f"machine:  {machine['processor']}, {machine['threads']} of {machine['cpus']} CPUs{load}")
    print("versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()), flush=True)


def lanegrads(results: list[Result]) -> dict[str, Result]:
    """Lanegrad's results by work; where it was left out there is none."""
    return {result.work: result for result in results if result.contender == LANEGRAD}


def print_table(results: list[Result], what: str, column: str, images: dict[str, int]) -> None:
    """One line for each result. `images` holds the images of a pass where their number a second is worth a column."""
    lanegrad = lanegrads(results)
    print()
    print(f"milliseconds {what}; the ratio is to Lanegrad in the same round, the median of the rounds")
    speed = f" {'images/s':>9}" if images else ""
    print(f"{'contender':<22} {column:<8} {'min':>9} {'median':>9} {'max':>9}{speed} {'ratio':>7}")
    for result in results:
        times = result.pass_ms()
        median = statistics.median(times)
        speed = f" {1e3 * images[result.work] / median:>9.0f}" if images else ""
        ratio = f"{result.ratio_to(lanegrad[result.work]):.2f}" if result.work in lanegrad else "-"
        print(
            f"{result.contender:<22} {result.work:<8} {min(times):>9.1f} {median:>9.1f} {max(times):>9.1f}"
            f"{speed} {ratio:>7}"
        )


def result_figures(result: Result, lanegrad: Result | None, column: str) -> dict[str, Any]:
    times = result.pass_ms()
    return {
        "contender": result.contender,
        column: result.work,
        "min_ms": min(times),
        "median_ms": statistics.median(times),
        "max_ms": max(times),
        "ratio_to_lanegrad": None if lanegrad is None else result.ratio_to(lanegrad),
        "rounds": [vars(one) for one in result.rounds],
    }


def write_json(
    path: Path,
    machine: dict[str, Any],
    versions: dict[str, str],
    settings: dict[str, Any],
    results: list[Result],
    column: str,
) -> None:
    lanegrad = lanegrads(results)
    figures = {
        "machine": machine,
        "versions": versions,
        "settings": settings,
        "results": [result_figures(result, lanegrad.get(result.work), column) for result in results],
    }
    try:
        path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from error


def report_errors(run: Callable[[list[str]], None]) -> int:
    """Runs a script on this process's arguments and returns its exit status."""
    try:
        run(sys.argv[1:])
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (RunError, Refused) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
