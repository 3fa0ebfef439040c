#!/usr/bin/env python3
"""Times one epoch of the CIFAR-10 linear classifier in NumPy, PyTorch and JAX beside Lanegrad's.

The work is the same for all: 50,000 images in a fresh random order, batches of 256 (the last one shorter), images
held in memory as standardised float32, 3072 x 10 weights and a bias, softmax cross-entropy or Weston-Watkins hinge
loss, and a step of gradient descent with L2 on the weights after every batch. Shuffling is timed; loading and
evaluation are not. See README.md beside this file.
"""

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
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import numpy as np

LOSSES = ("softmax", "hinge")
CLASSES = 10
PIXELS = 3 * 32 * 32
RECORD_BYTES = 1 + PIXELS
TRAINING_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
ROWS_PER_FILE = 10_000

BATCH = 256
LEARNING_RATE = 1e-3
L2 = 1e-2
MARGIN = 1.0
DECAY = 1.0 - LEARNING_RATE * L2

SEED = 1
# Both of the largest value compared. A step is small beside the weights it is added to, and the addition rounds to the
# precision of the weights: once in most libraries, once for each of 256 products in a gemm that adds straight to them.
# Leaving L2 out altogether is off by 7e-3 (softmax).
LOSS_TOLERANCE = 1e-5
STEP_TOLERANCE = 2e-3

REPOSITORY = Path(__file__).resolve().parents[2]


class UsageError(Exception):
    """Something the caller can put right: reported in one line, exit status 2."""


class RunError(Exception):
    """A contender failed or computed something else: reported in one line, exit status 1."""


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


def loss_list(text: str) -> list[str]:
    losses = text.split(",")
    unknown = [loss for loss in losses if loss not in LOSSES]
    if unknown or len(set(losses)) != len(losses):
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of different losses among {','.join(LOSSES)}")
    return losses


def usable_cpus() -> int:
    """The CPUs this process may use, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def parse_options(arguments: list[str]) -> argparse.Namespace:
    parser = OneLineParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of the CIFAR-10 binary files (default: $CIFAR10_DIR)")
    parser.add_argument("--losses", type=loss_list, default=list(LOSSES), help="default: softmax,hinge")
    parser.add_argument("--rounds", type=integer_from(1), default=5, help="default: 5")
    parser.add_argument(
        "--epochs", type=integer_from(2), default=3, help="epochs a round, the first a warm-up (default: 3)"
    )
    parser.add_argument("--threads", type=integer_from(1), default=usable_cpus(), help="default: all")
    parser.add_argument(
        "--profile",
        type=Path,
        default=REPOSITORY / "target" / "release" / "profile",
        help="Lanegrad's profile binary (default: target/release/profile in this repository)",
    )
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    options = parser.parse_args(arguments)
    check_options(options)
    return options


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
# Libraries and data
# ---------------------------------------------------------------------------------------------------------------------


def limit_threads(threads: int) -> None:
    """Sets the size of every library's thread pool. They read these once, when first imported."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "PJRT_NPROC"):
        os.environ[name] = str(threads)


def import_numpy() -> None:
    """Binds `np` for the whole file. NumPy cannot be imported at the top: the thread limit has to come first."""
    global np
    try:
        import numpy as np
    except ImportError as error:
        raise UsageError(f"NumPy is needed to read the data: {first_line(error)}") from error


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
# Contenders: one class for each way of writing the epoch
# ---------------------------------------------------------------------------------------------------------------------


class Contender:
    """A linear classifier in one library. Weights come and go as 10 x 3072, whatever the class uses inside."""

    name: str

    def reset(self, weights: np.ndarray, bias: np.ndarray) -> None:
        raise NotImplementedError

    def train(self, order: np.ndarray) -> float:
        """Trains on these rows, batch by batch, and returns their mean loss."""
        raise NotImplementedError

    def parameters(self) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError


class NumpyLinear(Contender):
    """Gathers each batch into one buffer that stays in cache; a shuffled copy of all images took longer.

    OpenBLAS is fastest with pixels x classes weights, the losses with classes x rows scores, hence the transposes,
    which copy 10 x 256 numbers.
    """

    name = "NumPy"

    def __init__(self, data: Data, loss: str) -> None:
        self.data = data
        self.loss = numpy_softmax if loss == "softmax" else numpy_hinge
        self.pixels = np.empty((BATCH, PIXELS), dtype=np.float32)
        self.row_scores = np.empty((BATCH, CLASSES), dtype=np.float32)
        self.scores = np.empty((CLASSES, BATCH), dtype=np.float32)
        self.gradient = np.empty((PIXELS, CLASSES), dtype=np.float32)

    def reset(self, weights: np.ndarray, bias: np.ndarray) -> None:
        self.weights = np.ascontiguousarray(weights.T)
        self.bias = bias.copy()

    def train(self, order: np.ndarray) -> float:
        total = 0.0
        for start in range(0, len(order), BATCH):
            total += self.step(order[start : start + BATCH])
        return float(total) / len(order)

    def step(self, rows: np.ndarray) -> float:
        count = len(rows)
        pixels = self.pixels[:count]
        row_scores = self.row_scores[:count]
        scores = self.scores[:, :count]

        # The default mode, "raise", would gather into a temporary and copy it to `out`.
        np.take(self.data.pixels, rows, axis=0, out=pixels, mode="clip")
        np.matmul(pixels, self.weights, out=row_scores)
        np.add(row_scores.T, self.bias[:, None], out=scores)
        loss = self.loss(scores, self.data.labels[rows])

        np.multiply(scores.T, LEARNING_RATE / count, out=row_scores)
        np.matmul(pixels.T, row_scores, out=self.gradient)
        self.weights *= DECAY
        self.weights -= self.gradient
        self.bias -= row_scores.sum(axis=0)
        return loss

    def parameters(self) -> tuple[np.ndarray, np.ndarray]:
        return self.weights.T.copy(), self.bias.copy()


def numpy_softmax(scores: np.ndarray, labels: np.ndarray) -> float:
    """The batch's summed loss; turns classes x rows scores into its gradient."""
    rows = np.arange(len(labels))
    scores -= scores.max(axis=0)
    correct = scores[labels, rows]
    np.exp(scores, out=scores)
    sums = scores.sum(axis=0)
    scores /= sums
    scores[labels, rows] -= 1.0
    return np.log(sums).sum() - correct.sum()


def numpy_hinge(scores: np.ndarray, labels: np.ndarray) -> float:
    """The batch's summed loss; turns classes x rows scores into its gradient."""
    rows = np.arange(len(labels))
    scores -= scores[labels, rows] - MARGIN
    scores[labels, rows] = 0.0
    np.maximum(scores, 0.0, out=scores)
    loss = scores.sum()
    np.greater(scores, 0.0, out=scores)
    scores[labels, rows] = -scores.sum(axis=0)
    return loss


class TorchLinear(Contender):
    """PyTorch as it is usually written: automatic gradients and the library's own losses and optimiser."""

    name = "PyTorch"

    def __init__(self, torch: Any, data: Data, loss: str) -> None:
        self.torch = torch
        self.functions = torch.nn.functional
        self.loss = self.softmax if loss == "softmax" else self.hinge
        self.pixels = torch.from_numpy(data.pixels)
        self.labels = torch.from_numpy(data.labels)

    def reset(self, weights: np.ndarray, bias: np.ndarray) -> None:
        self.weights = self.torch.tensor(weights, requires_grad=True)
        self.bias = self.torch.tensor(bias, requires_grad=True)
        groups = [
            {"params": [self.weights], "weight_decay": L2},
            {"params": [self.bias], "weight_decay": 0.0},
        ]
        self.optimiser = self.torch.optim.SGD(groups, lr=LEARNING_RATE, fused=True)

    def train(self, order: np.ndarray) -> float:
        total = self.torch.zeros(())
        for rows in self.torch.from_numpy(order).split(BATCH):
            scores = self.functions.linear(self.pixels.index_select(0, rows), self.weights, self.bias)
            loss = self.loss(scores, self.labels.index_select(0, rows))
            loss.backward()
            self.optimiser.step()
            self.optimiser.zero_grad()
            total += loss.detach() * len(rows)
        return total.item() / len(order)

    def softmax(self, scores: Any, labels: Any) -> Any:
        return self.functions.cross_entropy(scores, labels)

    def hinge(self, scores: Any, labels: Any) -> Any:
        # multi_margin_loss divides by the number of classes, which Weston and Watkins do not.
        return self.functions.multi_margin_loss(scores, labels, margin=MARGIN) * CLASSES

    def parameters(self) -> tuple[np.ndarray, np.ndarray]:
        return self.weights.detach().numpy().copy(), self.bias.detach().numpy().copy()


class TorchByHandLinear(TorchLinear):
    """PyTorch at its fastest: gradients written out, and one addmm_ for weight gradient, L2 and update."""

    name = "PyTorch by hand"

    def reset(self, weights: np.ndarray, bias: np.ndarray) -> None:
        self.weights = self.torch.tensor(weights)
        self.bias = self.torch.tensor(bias)

    def train(self, order: np.ndarray) -> float:
        total = self.torch.zeros(())
        with self.torch.no_grad():
            for rows in self.torch.from_numpy(order).split(BATCH):
                total += self.step(rows)
        return total.item() / len(order)

    def step(self, rows: Any) -> Any:
        pixels = self.pixels.index_select(0, rows)
        labels = self.labels.index_select(0, rows)[:, None]
        scores = self.functions.linear(pixels, self.weights, self.bias)
        loss, gradient = self.loss(scores, labels)
        rate = LEARNING_RATE / len(rows)
        self.weights.addmm_(gradient.T, pixels, beta=DECAY, alpha=-rate)
        self.bias.sub_(gradient.sum(0), alpha=rate)
        return loss

    def softmax(self, scores: Any, labels: Any) -> tuple[Any, Any]:
        logs = self.torch.log_softmax(scores, 1)
        loss = -logs.gather(1, labels).sum()
        gradient = logs.exp_()
        gradient.scatter_add_(1, labels, self.torch.full(labels.shape, -1.0))
        return loss, gradient

    def hinge(self, scores: Any, labels: Any) -> tuple[Any, Any]:
        margins = scores.sub_(scores.gather(1, labels) - MARGIN).clamp_min_(0.0).scatter_(1, labels, 0.0)
        loss = margins.sum()
        gradient = margins.sign_()
        gradient.scatter_(1, labels, -gradient.sum(1, keepdim=True))
        return loss, gradient


class JaxLinear(Contender):
    """The whole epoch is one compiled function, a scan over the batches.

    The classes x pixels weights matter: with pixels x classes XLA's CPU code takes three to four times as long.
    """

    name = "JAX"

    def __init__(self, jax: Any, data: Data, loss: str) -> None:
        jax.config.update("jax_platforms", "cpu")
        self.jax = jax
        self.pixels = jax.numpy.asarray(data.pixels)
        self.labels = jax.numpy.asarray(data.labels.astype(np.int32))
        self.epoch = jax_epoch(jax, jax_softmax(jax) if loss == "softmax" else jax_hinge(jax))

    def reset(self, weights: np.ndarray, bias: np.ndarray) -> None:
        # array() copies: train() gives these buffers away, and the caller's must stay as they are.
        self.state = (self.jax.numpy.array(weights), self.jax.numpy.array(bias))

    def train(self, order: np.ndarray) -> float:
        self.state, loss = self.epoch(self.state, order.astype(np.int32), self.pixels, self.labels)
        self.jax.block_until_ready(self.state)
        return float(loss)

    def parameters(self) -> tuple[np.ndarray, np.ndarray]:
        weights, bias = self.state
        return np.array(weights), np.array(bias)


def jax_softmax(jax: Any) -> Any:
    def mean_loss(scores: Any, labels: Any) -> Any:
        correct = jax.numpy.take_along_axis(scores, labels[:, None], axis=1)[:, 0]
        return jax.numpy.mean(jax.nn.logsumexp(scores, axis=1) - correct)

    return mean_loss


def jax_hinge(jax: Any) -> Any:
    def mean_loss(scores: Any, labels: Any) -> Any:
        correct = jax.numpy.take_along_axis(scores, labels[:, None], axis=1)
        margins = jax.numpy.maximum(scores - correct + MARGIN, 0.0)
        others = jax.numpy.arange(CLASSES) != labels[:, None]
        return jax.numpy.mean(jax.numpy.sum(margins * others, axis=1))

    return mean_loss


def jax_epoch(jax: Any, mean_loss: Any) -> Any:
    """Compiles (state, order, pixels, labels) -> (state, mean loss)."""

    def loss_of(state: Any, pixels: Any, labels: Any) -> Any:
        weights, bias = state
        return mean_loss(pixels @ weights.T + bias, labels)

    def step(state: Any, rows: Any, pixels: Any, labels: Any) -> tuple[Any, Any]:
        # The row numbers are known to be good; checking each would cost a select.
        batch = pixels.at[rows].get(mode="promise_in_bounds", unique_indices=True)
        loss, (weight_gradient, bias_gradient) = jax.value_and_grad(loss_of)(state, batch, labels[rows])
        weights, bias = state
        state = (weights * DECAY - LEARNING_RATE * weight_gradient, bias - LEARNING_RATE * bias_gradient)
        return state, loss * len(rows)

    def epoch(state: Any, order: Any, pixels: Any, labels: Any) -> tuple[Any, Any]:
        # A scan needs batches of one length, so the last, shorter one is a step of its own.
        whole = len(order) // BATCH * BATCH
        batches = order[:whole].reshape(-1, BATCH)
        state, losses = jax.lax.scan(lambda state, rows: step(state, rows, pixels, labels), state, batches)
        total = losses.sum()
        if whole < len(order):
            state, loss = step(state, order[whole:], pixels, labels)
            total += loss
        return state, total / len(order)

    return jax.jit(epoch, donate_argnums=0)


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


def build_contenders(libraries: Libraries, data: Data, loss: str) -> list[Contender]:
    contenders: list[Contender] = [NumpyLinear(data, loss)]
    if libraries.torch is not None:
        contenders.append(TorchLinear(libraries.torch, data, loss))
        contenders.append(TorchByHandLinear(libraries.torch, data, loss))
    if libraries.jax is not None:
        contenders.append(JaxLinear(libraries.jax, data, loss))
    return contenders


# ---------------------------------------------------------------------------------------------------------------------
# The check: everyone takes the same steps
# ---------------------------------------------------------------------------------------------------------------------


def initial_parameters() -> tuple[np.ndarray, np.ndarray]:
    """Weights that give scores of about 1, where both losses have some terms on and some off."""
    random = np.random.default_rng(SEED)
    weights = 0.02 * random.standard_normal((CLASSES, PIXELS))
    bias = 0.1 * random.standard_normal(CLASSES)
    return weights.astype(np.float32), bias.astype(np.float32)


def reference_gradient(loss: str, scores: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """Summed loss and its gradient by the textbook formulas."""
    rows = np.arange(len(labels))
    if loss == "softmax":
        logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return -logs[rows, labels].sum(), np.exp(logs) - np.eye(CLASSES)[labels]
    margins = scores - scores[rows, labels][:, None] + MARGIN
    margins[rows, labels] = 0.0
    active = (margins > 0.0).astype(np.float64)
    active[rows, labels] = -active.sum(axis=1)
    return np.maximum(margins, 0.0).sum(), active


def reference_train(
    data: Data, loss: str, order: np.ndarray, weights: np.ndarray, bias: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Mean loss, weights and bias after training on these rows in double precision."""
    weights, bias = weights.astype(np.float64), bias.astype(np.float64)
    total = 0.0
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        pixels = data.pixels[rows].astype(np.float64)
        batch_loss, gradient = reference_gradient(loss, pixels @ weights.T + bias, data.labels[rows])
        gradient /= len(rows)
        weights -= LEARNING_RATE * (gradient.T @ pixels + L2 * weights)
        bias -= LEARNING_RATE * gradient.sum(axis=0)
        total += batch_loss
    return total / len(order), weights, bias


def check_contender(contender: Contender, data: Data, loss: str) -> None:
    """Compares the very code that is timed with the reference, on rows of one batch and of one and a shorter one.

    After one batch the change of the weights is the gradient, L2's share included, times the learning rate.
    """
    weights, bias = initial_parameters()
    shuffled = np.random.default_rng(SEED).permutation(len(data.labels))
    for rows in (BATCH, BATCH + len(data.labels) % BATCH):
        order = shuffled[:rows]
        expected_loss, expected_weights, expected_bias = reference_train(data, loss, order, weights, bias)
        contender.reset(weights, bias)
        got_loss = contender.train(order)
        got_weights, got_bias = contender.parameters()
        compare(contender.name, loss, "value", np.array(got_loss), np.array(expected_loss), LOSS_TOLERANCE)
        compare(contender.name, loss, "weight step", got_weights - weights, expected_weights - weights, STEP_TOLERANCE)
        compare(contender.name, loss, "bias step", got_bias - bias, expected_bias - bias, STEP_TOLERANCE)


def compare(name: str, loss: str, what: str, got: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    scale = np.abs(expected).max()
    difference = np.abs(got - expected).max()
    if not difference <= tolerance * scale:  # written so that NaN fails
        raise RunError(f"{name} computes another {loss} {what}: off by {difference / scale:.1e} of the largest value")


# ---------------------------------------------------------------------------------------------------------------------
# Timing
# ---------------------------------------------------------------------------------------------------------------------

LANEGRAD = "Lanegrad"


@dataclass(frozen=True)
class Round:
    """One contender's epochs in one round."""

    warm_up_ms: float
    epoch_ms: list[float]
    train_loss: float

    def median_ms(self) -> float:
        return statistics.median(self.epoch_ms)


@dataclass
class Result:
    contender: str
    loss: str
    rounds: list[Round] = field(default_factory=list)

    def epoch_ms(self) -> list[float]:
        return [milliseconds for one in self.rounds for milliseconds in one.epoch_ms]

    def ratio_to(self, other: Result) -> float:
        """How many times as long as `other`, each round against the same round."""
        return statistics.median(
            mine.median_ms() / theirs.median_ms() for mine, theirs in zip(self.rounds, other.rounds)
        )


def as_round(milliseconds: list[float], train_loss: float) -> Round:
    return Round(warm_up_ms=milliseconds[0], epoch_ms=milliseconds[1:], train_loss=train_loss)


def time_contender(contender: Contender, rows: int, epochs: int) -> Round:
    """NumPy shuffles for everyone: half a millisecond, where JAX's own permutation, which sorts, takes 20."""
    random = np.random.default_rng()
    milliseconds = []
    loss = math.nan
    contender.reset(*initial_parameters())
    for _ in range(epochs):
        start = time.perf_counter()
        loss = contender.train(random.permutation(rows))
        milliseconds.append(1e3 * (time.perf_counter() - start))
    if not math.isfinite(loss):
        raise RunError(f"{contender.name}: the loss is {loss}")
    return as_round(milliseconds, loss)


def time_lanegrad(options: argparse.Namespace, loss: str) -> tuple[Round, dict[str, Any]]:
    """Runs the profile binary; returns its epochs and what it says of the machine."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [str(options.profile.resolve()), "train", "--data", str(options.data), "--loss", loss]
        command += ["--epochs", str(options.epochs), "--threads", str(options.threads)]
        command += ["--json", str(report), "--out", folder]
        try:
            finished = subprocess.run(command, capture_output=True, text=True, errors="replace")
        except OSError as error:
            raise RunError(f"{options.profile} cannot be run: {error.strerror}") from error
        if finished.returncode != 0:
            said = (finished.stderr.strip() or finished.stdout.strip() or "no message").splitlines()[-1]
            raise RunError(f"{options.profile} ended with status {finished.returncode}: {said}")
        return read_report(report, options.epochs)


def read_report(path: Path, epochs: int) -> tuple[Round, dict[str, Any]]:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        milliseconds = [1e3 * float(epoch["seconds"]) for epoch in report["epochs"]]
        loss = float(report["epochs"][-1]["train_loss"])
        machine = dict(report["machine"])
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise RunError(f"{LANEGRAD}'s report cannot be read: {type(error).__name__}: {first_line(error)}") from error
    if len(milliseconds) != epochs or not all(0.0 < value < math.inf for value in milliseconds):
        raise RunError(f"{LANEGRAD}'s report does not hold {epochs} epochs with a time each")
    if not math.isfinite(loss):
        raise RunError(f"{LANEGRAD}: the loss is {loss}")
    return as_round(milliseconds, loss), machine


def time_loss(
    options: argparse.Namespace, libraries: Libraries, data: Data, loss: str
) -> tuple[list[Result], dict[str, Any]]:
    """All rounds of one loss. Contenders take turns, so that a busy spell of the machine falls on all of them."""
    contenders: list[Contender | None] = [None, *build_contenders(libraries, data, loss)]  # None is Lanegrad
    results = [Result(LANEGRAD if contender is None else contender.name, loss) for contender in contenders]
    machine: dict[str, Any] = {}
    for contender in contenders:
        if contender is not None:
            check_contender(contender, data, loss)
    for number in range(options.rounds):
        progress(f"{loss}: round {number + 1} of {options.rounds}")
        # Another one goes first each round: nobody always follows the same state of caches and clock.
        for turn in range(len(contenders)):
            index = (number + turn) % len(contenders)
            contender = contenders[index]
            if contender is None:
                one, machine = time_lanegrad(options, loss)
            else:
                one = time_contender(contender, len(data.labels), options.epochs)
            results[index].rounds.append(one)
    return results, machine


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


def print_table(results: list[Result]) -> None:
    lanegrad = {result.loss: result for result in results if result.contender == LANEGRAD}
    print()
    print("milliseconds an epoch; the ratio is to Lanegrad in the same round, the median of the rounds")
    print(f"{'contender':<16} {'loss':<8} {'min':>9} {'median':>9} {'max':>9} {'ratio':>7}")
    for result in results:
        times = result.epoch_ms()
        print(
            f"{result.contender:<16} {result.loss:<8} {min(times):>9.1f} {statistics.median(times):>9.1f}"
            f" {max(times):>9.1f} {result.ratio_to(lanegrad[result.loss]):>7.2f}"
        )


def result_figures(result: Result, lanegrad: Result) -> dict[str, Any]:
    times = result.epoch_ms()
    return {
        "contender": result.contender,
        "loss": result.loss,
        "min_ms": min(times),
        "median_ms": statistics.median(times),
        "max_ms": max(times),
        "ratio_to_lanegrad": result.ratio_to(lanegrad),
        "rounds": [vars(one) for one in result.rounds],
    }


def write_json(
    path: Path, options: argparse.Namespace, machine: dict[str, Any], versions: dict[str, str], results: list[Result]
) -> None:
    lanegrad = {result.loss: result for result in results if result.contender == LANEGRAD}
    figures = {
        "machine": machine,
        "versions": versions,
        "settings": {
            "batch": BATCH,
            "learning_rate": LEARNING_RATE,
            "l2": L2,
            "rounds": options.rounds,
            "epochs_a_round": options.epochs,
            "warm_up_epochs_a_round": 1,
        },
        "results": [result_figures(result, lanegrad[result.loss]) for result in results],
    }
    try:
        path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from error


def run(arguments: list[str]) -> None:
    options = parse_options(arguments)
    limit_threads(options.threads)
    import_numpy()
    machine = describe_machine(options.threads)
    data = load_training_data(options.data)
    libraries = import_libraries(options.threads)
    versions = libraries.versions()
    print_heading(machine, versions)
    results: list[Result] = []
    for loss in options.losses:
        timed, machine["lanegrad_report"] = time_loss(options, libraries, data, loss)
        results += timed
    print_table(results)
    if options.json is not None:
        write_json(options.json, options, machine, versions, results)


def main() -> int:
    try:
        run(sys.argv[1:])
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
