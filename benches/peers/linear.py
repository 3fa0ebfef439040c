#!/usr/bin/env python3
"""Times one epoch of the CIFAR-10 linear classifier in NumPy, PyTorch and JAX beside Lanegrad's.

The work is the same for all: 50,000 images in a fresh random order, batches of 256 (the last one shorter), images
held in memory as standardised float32, 3072 x 10 weights and a bias, softmax cross-entropy or Weston-Watkins hinge
loss, and a step of gradient descent with L2 on the weights after every batch. Shuffling is timed; loading and
evaluation are not. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

import harness
from harness import CLASSES, LANEGRAD, PIXELS, SEED, Contender, Data, Libraries, Result, Round, compare

if TYPE_CHECKING:
    import numpy as np

LOSSES = ("softmax", "hinge")

BATCH = 256
LEARNING_RATE = 1e-3
L2 = 1e-2
MARGIN = 1.0
DECAY = 1.0 - LEARNING_RATE * L2

# Both of the largest value compared. A step is small beside the weights it is added to, and the addition rounds to the
# precision of the weights: once in most libraries, once for each of 256 products in a gemm that adds straight to them.
# Leaving L2 out altogether is off by 7e-3 (softmax).
LOSS_TOLERANCE = 1e-5
STEP_TOLERANCE = 2e-3


def parse_options(arguments: list[str]) -> argparse.Namespace:
    parser = harness.common_options((__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--losses", type=harness.list_of(LOSSES), default=list(LOSSES), help="default: softmax,hinge"
    )
    parser.add_argument(
        "--epochs", type=harness.integer_from(2), default=3, help="epochs a round, the first a warm-up (default: 3)"
    )
    options = parser.parse_args(arguments)
    harness.check_options(options)
    return options


# ---------------------------------------------------------------------------------------------------------------------
# Contenders: one class for each way of writing the epoch. Weights come and go as 10 x 3072, whatever it uses inside
# ---------------------------------------------------------------------------------------------------------------------


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


# ---------------------------------------------------------------------------------------------------------------------
# Timing
# ---------------------------------------------------------------------------------------------------------------------


def time_lanegrad(options: argparse.Namespace, loss: str) -> tuple[Round, dict[str, Any]]:
    """Runs the profile binary; returns its epochs and what it says of the machine."""
    report = harness.run_lanegrad(options, ["--loss", loss, "--epochs", str(options.epochs)])
    milliseconds, train_loss, machine = harness.read_report(report, options.epochs)
    return harness.as_round(milliseconds, train_loss), machine


def time_loss(
    options: argparse.Namespace, libraries: Libraries, data: Data, loss: str
) -> tuple[list[Result], dict[str, Any]]:
    """All contenders' rounds of one loss, and what Lanegrad says of the machine."""
    contenders = build_contenders(libraries, data, loss)
    machine: dict[str, Any] = {}
    for contender in contenders:
        check_contender(contender, data, loss)

    def time_one(index: int) -> Round:
        if index == 0:
            one, said = time_lanegrad(options, loss)
            machine.update(said)
            return one
        rows = len(data.labels)
        return harness.time_contender(contenders[index - 1], initial_parameters(), rows, rows, options.epochs)

    names = [LANEGRAD, *(contender.name for contender in contenders)]
    return harness.take_turns(loss, names, options.rounds, time_one), machine


def settings(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "batch": BATCH,
        "learning_rate": LEARNING_RATE,
        "l2": L2,
        "rounds": options.rounds,
        "epochs_a_round": options.epochs,
        "warm_up_epochs_a_round": 1,
    }


def run(arguments: list[str]) -> None:
    global np
    options = parse_options(arguments)
    harness.limit_threads(options.threads)
    np = harness.import_numpy()
    machine = harness.describe_machine(options.threads)
    data = harness.load_training_data(options.data)
    libraries = harness.import_libraries(options.threads)
    versions = libraries.versions()
    harness.print_heading(machine, versions)
    results: list[Result] = []
    for loss in options.losses:
        timed, machine["lanegrad_report"] = time_loss(options, libraries, data, loss)
        results += timed
    harness.print_table(results, "an epoch", "loss", {})
    if options.json is not None:
        harness.write_json(options.json, machine, versions, settings(options), results, "loss")


if __name__ == "__main__":
    sys.exit(harness.report_errors(run))
