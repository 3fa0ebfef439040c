#!/usr/bin/env python3
"""Times training of a multi-layer perceptron and of a convolutional network in PyTorch and JAX beside Lanegrad's.

The perceptron, 3072-512-10, takes one epoch of 50,000 shuffled CIFAR-10 images in batches of 256, the last one shorter;
the network, three 5 x 5 convolutions and two linear layers, takes a hundred batches of 128. Images are held in memory
as standardised float32. After every batch comes a step of gradient descent with momentum on the softmax cross-entropy.
Shuffling is timed; loading and evaluation are not. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

import harness
from harness import CLASSES, LANEGRAD, PIXELS, SEED, Contender, Data, Libraries, Refused, Result, Round, RunError

if TYPE_CHECKING:
    import numpy as np

MODELS = ("mlp", "convnet")
BATCHES = {"mlp": 256, "convnet": 128}
LEARNING_RATE = 1e-2
MOMENTUM = 0.9

# Weights in Lanegrad's layout: linear (inputs, outputs), convolution (height, width, channels, filters); and biases.
SIDE = 32
LAST_SIDE = 4
SHAPES: dict[str, tuple[tuple[int, ...], ...]] = {
    "mlp": ((PIXELS, 512), (512, CLASSES)),
    "convnet": ((5, 5, 3, 32), (5, 5, 32, 32), (5, 5, 32, 64), (LAST_SIDE * LAST_SIDE * 64, 64), (64, CLASSES)),
}
CONVOLUTIONS = 3
PADDING = 2

# Both of the largest value compared. A unit within rounding of 0, or of a window's largest, can be on for one library
# and off for another, which makes a hundredth of a step; without that, steps agree to 1e-4. Leaving momentum out is off
# by a third and more.
LOSS_TOLERANCE = 1e-4
STEP_TOLERANCE = 5e-2

# A report of Lanegrad's holds one entry for each epoch begun: a pass of the network has to end in the first.
LARGEST_STEPS = harness.ROWS_PER_FILE * len(harness.TRAINING_FILES) // BATCHES["convnet"]

Parameters = tuple["np.ndarray", ...]


def parse_options(arguments: list[str]) -> argparse.Namespace:
    parser = harness.common_options((__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--models", type=harness.list_of(MODELS), default=list(MODELS), help="default: mlp,convnet"
    )
    parser.add_argument(
        "--epochs", type=harness.integer_from(2), default=3, help="passes a round, the first a warm-up (default: 3)"
    )
    parser.add_argument(
        "--steps", type=harness.integer_from(1), default=100, help="batches in a pass of the convnet (default: 100)"
    )
    options = parser.parse_args(arguments)
    harness.check_options(options)
    if options.steps > LARGEST_STEPS:
        raise harness.UsageError(f"--steps {options.steps}: an epoch has {LARGEST_STEPS} whole batches")
    return options


# ---------------------------------------------------------------------------------------------------------------------
# PyTorch
# ---------------------------------------------------------------------------------------------------------------------


class TorchNetwork(Contender):
    """PyTorch as it is usually written: automatic gradients, the library's own loss and optimiser, eager."""

    def __init__(self, torch: Any, images: np.ndarray, labels: np.ndarray, batch: int) -> None:
        self.torch = torch
        self.functions = torch.nn.functional
        self.images = torch.from_numpy(images)
        self.labels = torch.from_numpy(labels)
        self.batch = batch

    def reset(self, *parameters: np.ndarray) -> None:
        self.leaves = [values.requires_grad_() for values in self.to_torch(parameters)]
        self.optimiser = self.torch.optim.SGD(self.leaves, lr=LEARNING_RATE, momentum=MOMENTUM, fused=True)

    def train(self, order: np.ndarray) -> float:
        total = self.torch.zeros(())
        for rows in self.torch.from_numpy(order).split(self.batch):
            scores = self.scores(self.images.index_select(0, rows))
            loss = self.functions.cross_entropy(scores, self.labels.index_select(0, rows))
            loss.backward()
            self.optimiser.step()
            self.optimiser.zero_grad()
            total += loss.detach() * len(rows)
        return total.item() / len(order)

    def parameters(self) -> Parameters:
        return self.from_torch([leaf.detach().numpy() for leaf in self.leaves])

    def scores(self, images: Any) -> Any:
        raise NotImplementedError

    def to_torch(self, parameters: Parameters) -> list[Any]:
        raise NotImplementedError

    def from_torch(self, leaves: list[np.ndarray]) -> Parameters:
        raise NotImplementedError


class TorchPerceptron(TorchNetwork):
    name = "PyTorch"

    def scores(self, images: Any) -> Any:
        first, first_bias, second, second_bias = self.leaves
        hidden = self.functions.linear(images, first, first_bias).relu()
        return self.functions.linear(hidden, second, second_bias)

    def to_torch(self, parameters: Parameters) -> list[Any]:
        return [self.torch.from_numpy(values.T.copy()) for values in parameters]

    def from_torch(self, leaves: list[np.ndarray]) -> Parameters:
        return tuple(leaf.T.copy() for leaf in leaves)


class TorchConvnet(TorchNetwork):
    """In PyTorch's usual layout: images (channels, height, width), weights (filters, channels, height, width)."""

    name = "PyTorch"

    def scores(self, images: Any) -> Any:
        values = images
        for layer in range(CONVOLUTIONS):
            weight, bias = self.leaves[2 * layer : 2 * layer + 2]
            values = self.functions.conv2d(values, weight, bias, padding=PADDING).relu()
            values = self.functions.max_pool2d(values, 2)
        first, first_bias, second, second_bias = self.leaves[2 * CONVOLUTIONS :]
        hidden = self.functions.linear(self.flatten(values), first, first_bias).relu()
        return self.functions.linear(hidden, second, second_bias)

    def flatten(self, values: Any) -> Any:
        return values.flatten(1)

    def to_torch(self, parameters: Parameters) -> list[Any]:
        leaves = [values.T.copy() for values in parameters]
        for index in range(0, 2 * CONVOLUTIONS, 2):
            leaves[index] = parameters[index].transpose(3, 2, 0, 1).copy()
        leaves[2 * CONVOLUTIONS] = self.from_height_width_channels(parameters[2 * CONVOLUTIONS])
        return [self.torch.from_numpy(leaf) for leaf in leaves]

    def from_torch(self, leaves: list[np.ndarray]) -> Parameters:
        parameters = [leaf.T.copy() for leaf in leaves]
        for index in range(0, 2 * CONVOLUTIONS, 2):
            parameters[index] = leaves[index].transpose(2, 3, 1, 0).copy()
        parameters[2 * CONVOLUTIONS] = self.to_height_width_channels(leaves[2 * CONVOLUTIONS])
        return tuple(parameters)

    def from_height_width_channels(self, weights: np.ndarray) -> np.ndarray:
        """The first linear layer's weights as PyTorch's, whose flattened images have the channels outside."""
        grid = weights.reshape(LAST_SIDE, LAST_SIDE, -1, weights.shape[1])
        return grid.transpose(3, 2, 0, 1).reshape(weights.shape[1], -1).copy()

    def to_height_width_channels(self, weights: np.ndarray) -> np.ndarray:
        grid = weights.reshape(len(weights), -1, LAST_SIDE, LAST_SIDE)
        return grid.transpose(2, 3, 1, 0).reshape(-1, len(weights)).copy()


class TorchChannelsLast(TorchConvnet):
    """The same tensors with the channels innermost in memory, weights as well, and a flattening that copies nothing."""

    name = "PyTorch channels last"

    def scores(self, images: Any) -> Any:
        return super().scores(images.permute(0, 3, 1, 2))

    def flatten(self, values: Any) -> Any:
        return values.permute(0, 2, 3, 1).flatten(1)

    def to_torch(self, parameters: Parameters) -> list[Any]:
        leaves = super().to_torch(parameters)
        for index in range(0, 2 * CONVOLUTIONS, 2):
            leaves[index] = leaves[index].contiguous(memory_format=self.torch.channels_last)
        return leaves

    def from_height_width_channels(self, weights: np.ndarray) -> np.ndarray:
        return weights.T.copy()

    def to_height_width_channels(self, weights: np.ndarray) -> np.ndarray:
        return weights.T.copy()


# ---------------------------------------------------------------------------------------------------------------------
# JAX
# ---------------------------------------------------------------------------------------------------------------------


class JaxNetwork(Contender):
    """Parameters are in Lanegrad's layout. `run_pass` is (state, order, images, labels) -> (state, mean loss)."""

    name = "JAX"

    def __init__(self, jax: Any, images: np.ndarray, labels: np.ndarray, run_pass: Any) -> None:
        jax.config.update("jax_platforms", "cpu")
        self.jax = jax
        self.images = jax.numpy.asarray(images)
        self.labels = jax.numpy.asarray(labels.astype(np.int32))
        self.run_pass = run_pass

    def reset(self, *parameters: np.ndarray) -> None:
        # array() copies: train() gives these buffers away, and the caller's must stay as they are.
        values = tuple(self.jax.numpy.array(one) for one in parameters)
        self.state = (values, tuple(self.jax.numpy.zeros_like(one) for one in values))

    def train(self, order: np.ndarray) -> float:
        self.state, loss = self.run_pass(self.state, order.astype(np.int32), self.images, self.labels)
        self.jax.block_until_ready(self.state)
        return float(loss)

    def parameters(self) -> Parameters:
        return tuple(np.array(one) for one in self.state[0])


def jax_perceptron(jax: Any) -> Any:
    def scores(parameters: Any, images: Any) -> Any:
        first, first_bias, second, second_bias = parameters
        return jax.nn.relu(images @ first + first_bias) @ second + second_bias

    return scores


def jax_convnet(jax: Any) -> Any:
    def scores(parameters: Any, images: Any) -> Any:
        values = images
        for layer in range(CONVOLUTIONS):
            weight, bias = parameters[2 * layer : 2 * layer + 2]
            values = jax.lax.conv_general_dilated(
                values, weight, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            values = halve(jax.nn.relu(values + bias))
        first, first_bias, second, second_bias = parameters[2 * CONVOLUTIONS :]
        hidden = jax.nn.relu(values.reshape(len(values), -1) @ first + first_bias)
        return hidden @ second + second_bias

    def halve(values: Any) -> Any:
        """Max pooling 2 x 2."""
        return jax.lax.reduce_window(values, -jax.numpy.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    return scores


def jax_step(jax: Any, scores: Any) -> Any:
    """(state, row numbers, images, labels) -> (state, summed loss); a state is parameters and velocities."""

    def mean_loss(parameters: Any, images: Any, labels: Any) -> Any:
        values = scores(parameters, images)
        correct = jax.numpy.take_along_axis(values, labels[:, None], axis=1)[:, 0]
        return jax.numpy.mean(jax.nn.logsumexp(values, axis=1) - correct)

    def step(state: Any, rows: Any, images: Any, labels: Any) -> tuple[Any, Any]:
        # The row numbers are known to be good; checking each would cost a select.
        chosen = images.at[rows].get(mode="promise_in_bounds", unique_indices=True)
        parameters, velocities = state
        loss, gradients = jax.value_and_grad(mean_loss)(parameters, chosen, labels[rows])
        velocities = tuple(MOMENTUM * old - LEARNING_RATE * new for old, new in zip(velocities, gradients))
        parameters = tuple(value + velocity for value, velocity in zip(parameters, velocities))
        return (parameters, velocities), loss * len(rows)

    return step


def jax_scan(jax: Any, step: Any, batch: int) -> Any:
    """Compiles a whole pass."""

    def run_pass(state: Any, order: Any, images: Any, labels: Any) -> tuple[Any, Any]:
        # A scan needs batches of one length, so the last, shorter one is a step of its own.
        whole = len(order) // batch * batch
        batches = order[:whole].reshape(-1, batch)
        state, losses = jax.lax.scan(lambda state, rows: step(state, rows, images, labels), state, batches)
        total = losses.sum()
        if whole < len(order):
            state, loss = step(state, order[whole:], images, labels)
            total += loss
        return state, total / len(order)

    return jax.jit(run_pass, donate_argnums=0)


def jax_steps(jax: Any, step: Any, batch: int) -> Any:
    """Compiles a step and loops over the batches in Python: in a scan XLA's convolutions took thirty times as long."""
    compiled = jax.jit(step, donate_argnums=0)

    def run_pass(state: Any, order: Any, images: Any, labels: Any) -> tuple[Any, Any]:
        losses = []
        for start in range(0, len(order), batch):
            state, loss = compiled(state, order[start : start + batch], images, labels)
            losses.append(loss)
        return state, sum(losses) / len(order)

    return run_pass


def build_contenders(libraries: Libraries, data: Data, model: str) -> list[Contender]:
    batch = BATCHES[model]
    contenders: list[Contender] = []
    if model == "mlp":
        if libraries.torch is not None:
            contenders.append(TorchPerceptron(libraries.torch, data.pixels, data.labels, batch))
        if libraries.jax is not None:
            run_pass = jax_scan(libraries.jax, jax_step(libraries.jax, jax_perceptron(libraries.jax)), batch)
            contenders.append(JaxNetwork(libraries.jax, data.pixels, data.labels, run_pass))
        return contenders
    first = data.pixels.reshape(-1, 3, SIDE, SIDE)
    last = channels_last(data.pixels)
    if libraries.torch is not None:
        contenders.append(TorchConvnet(libraries.torch, first, data.labels, batch))
        contenders.append(TorchChannelsLast(libraries.torch, last, data.labels, batch))
    if libraries.jax is not None:
        run_pass = jax_steps(libraries.jax, jax_step(libraries.jax, jax_convnet(libraries.jax)), batch)
        contenders.append(JaxNetwork(libraries.jax, last, data.labels, run_pass))
    return contenders


def channels_last(pixels: np.ndarray) -> np.ndarray:
    """Rows of three colour planes as images (height, width, channels)."""
    return np.ascontiguousarray(pixels.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))


# ---------------------------------------------------------------------------------------------------------------------
# The check: everyone takes the same steps
# ---------------------------------------------------------------------------------------------------------------------


def initial_parameters(model: str) -> Parameters:
    """Normal weights that keep a unit's variance through the ReLUs, and biases that are not zero, so that they show."""
    random = np.random.default_rng(SEED)
    parameters: list[np.ndarray] = []
    for shape in SHAPES[model]:
        inputs = np.prod(shape[:-1])
        parameters.append((np.sqrt(2.0 / inputs) * random.standard_normal(shape)).astype(np.float32))
        parameters.append((0.1 * random.standard_normal(shape[-1])).astype(np.float32))
    return tuple(parameters)


def cross_entropy(scores: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """Summed loss, and the mean's gradient."""
    logs = scores - scores.max(axis=1, keepdims=True)
    logs -= np.log(np.exp(logs).sum(axis=1, keepdims=True))
    targets = np.eye(CLASSES)[labels]
    return -(logs * targets).sum(), (np.exp(logs) - targets) / len(labels)


def linear_pair(parameters: Parameters, values: np.ndarray, labels: np.ndarray) -> tuple[float, Parameters, np.ndarray]:
    """Two linear layers with a ReLU between: summed loss, gradients of the four parameters and of the values."""
    first, first_bias, second, second_bias = parameters
    hidden = np.maximum(values @ first + first_bias, 0.0)
    loss, gradient = cross_entropy(hidden @ second + second_bias, labels)
    inner = (gradient @ second.T) * (hidden > 0.0)
    gradients = (values.T @ inner, inner.sum(axis=0), hidden.T @ gradient, gradient.sum(axis=0))
    return loss, gradients, inner @ first.T


def reference_gradients(
    model: str, parameters: Parameters, pixels: np.ndarray, labels: np.ndarray
) -> tuple[float, Parameters]:
    """Summed loss and the mean's gradients by the textbook formulas."""
    if model == "mlp":
        return linear_pair(parameters, pixels, labels)[:2]
    values = channels_last(pixels)
    layers = []
    for index in range(0, 2 * CONVOLUTIONS, 2):
        layer = ReferenceConvolution(values, parameters[index], parameters[index + 1])
        layers.append(layer)
        values = layer.pooled
    flat = values.reshape(len(values), -1)
    loss, gradients, gradient = linear_pair(parameters[2 * CONVOLUTIONS :], flat, labels)
    gradient = gradient.reshape(values.shape)
    for layer in reversed(layers):
        gradient, *own = layer.backward(gradient)
        gradients = (*own, *gradients)
    return loss, gradients


class ReferenceConvolution:
    """Convolution as a product with the matrix of all patches, ReLU and max pooling 2 x 2."""

    def __init__(self, images: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> None:
        self.weight = weight
        padded = np.pad(images, ((0, 0), (PADDING, PADDING), (PADDING, PADDING), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[:2], axis=(1, 2))
        self.patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, np.prod(weight.shape[:3]))
        output = self.patches @ weight.reshape(-1, weight.shape[3]) + bias
        self.output = np.maximum(output, 0.0).reshape(*images.shape[:3], -1)
        count, height, width, filters = self.output.shape
        quarters = self.output.reshape(count, height // 2, 2, width // 2, 2, filters).transpose(0, 1, 3, 5, 2, 4)
        quarters = quarters.reshape(count, height // 2, width // 2, filters, 4)
        # The first of equal largest ones: a picture's plain background makes many.
        self.winners = np.eye(4)[quarters.argmax(axis=4)]
        self.pooled = quarters.max(axis=4)

    def backward(self, gradient: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Gradients of images, weight and bias."""
        count, height, width, filters = self.output.shape
        quarters = (gradient[..., None] * self.winners).reshape(count, height // 2, width // 2, filters, 2, 2)
        rows = quarters.transpose(0, 1, 4, 2, 5, 3).reshape(-1, filters) * (self.output.reshape(-1, filters) > 0.0)
        patches = rows @ self.weight.reshape(-1, filters).T
        return self.gather(patches), (self.patches.T @ rows).reshape(self.weight.shape), rows.sum(axis=0)

    def gather(self, patches: np.ndarray) -> np.ndarray:
        """Adds every patch where it was taken from."""
        count, height, width, _ = self.output.shape
        patches = patches.reshape(count, height, width, *self.weight.shape[:3])
        padded = np.zeros((count, height + 2 * PADDING, width + 2 * PADDING, self.weight.shape[2]))
        for row, column in np.ndindex(self.weight.shape[:2]):
            padded[:, row : row + height, column : column + width] += patches[:, :, :, row, column]
        return padded[:, PADDING:-PADDING, PADDING:-PADDING]


def reference_train(data: Data, model: str, order: np.ndarray, initial: Parameters) -> tuple[float, Parameters]:
    """Mean loss and parameters after training on these rows in double precision."""
    parameters = [values.astype(np.float64) for values in initial]
    velocities = [np.zeros_like(values) for values in parameters]
    total = 0.0
    for start in range(0, len(order), BATCHES[model]):
        rows = order[start : start + BATCHES[model]]
        pixels = data.pixels[rows].astype(np.float64)
        loss, gradients = reference_gradients(model, tuple(parameters), pixels, data.labels[rows])
        for index, gradient in enumerate(gradients):
            velocities[index] = MOMENTUM * velocities[index] - LEARNING_RATE * gradient
            parameters[index] += velocities[index]
        total += loss
    return total / len(order), tuple(parameters)


def check_contenders(contenders: list[Contender], data: Data, model: str) -> None:
    """Compares the very code that is timed with the reference: one batch, then two, so that the velocity shows.

    Of the perceptron's two the second is the shorter one that ends an epoch; the convnet is timed on whole batches.
    """
    initial = initial_parameters(model)
    batch = BATCHES[model]
    second = len(data.labels) % batch if model == "mlp" else batch
    shuffled = np.random.default_rng(SEED).permutation(len(data.labels))
    for rows in (batch, batch + second):
        order = shuffled[:rows]
        expected_loss, expected = reference_train(data, model, order, initial)
        for contender in contenders:
            contender.reset(*initial)
            loss = contender.train(order)
            harness.compare(contender.name, model, "loss", np.array(loss), np.array(expected_loss), LOSS_TOLERANCE)
            for number, (got, wanted, start) in enumerate(zip(contender.parameters(), expected, initial)):
                what = f"step of {'bias' if number % 2 else 'weight'} {number // 2 + 1}"
                harness.compare(contender.name, model, what, got - start, wanted - start, STEP_TOLERANCE)


# ---------------------------------------------------------------------------------------------------------------------
# Timing
# ---------------------------------------------------------------------------------------------------------------------


def lanegrad_arguments(model: str) -> list[str]:
    arguments = ["--model", model, "--optimizer", "momentum", "--momentum", str(MOMENTUM)]
    return arguments + ["--lr", str(LEARNING_RATE), "--reg", "0", "--batch-size", str(BATCHES[model])]


def lanegrad_takes(options: argparse.Namespace, model: str) -> bool:
    """Whether the program has this model; if not, says so in one line."""
    try:
        harness.run_lanegrad(options, [*lanegrad_arguments(model), "--iterations", "1"])
    except Refused as refusal:
        print(f"skipped: {LANEGRAD} does not train '{model}' ({refusal})", flush=True)
        return False
    return True


def time_lanegrad(options: argparse.Namespace, model: str) -> tuple[Round, dict[str, Any]]:
    """Runs the profile binary; returns its passes and what it says of the machine."""
    if model == "mlp":
        report = harness.run_lanegrad(options, [*lanegrad_arguments(model), "--epochs", str(options.epochs)])
        milliseconds, loss, machine = harness.read_report(report, options.epochs)
        return harness.as_round(milliseconds, loss), machine
    report = harness.run_lanegrad(options, [*lanegrad_arguments(model), "--iterations", str(options.steps)])
    milliseconds, loss, machine = harness.read_report(report, 1)
    return Round(warm_up_ms=None, pass_ms=milliseconds, train_loss=loss), machine


def images_in_pass(options: argparse.Namespace, data: Data, model: str) -> int:
    return len(data.labels) if model == "mlp" else options.steps * BATCHES[model]


def time_model(
    options: argparse.Namespace, libraries: Libraries, data: Data, model: str
) -> tuple[list[Result], dict[str, Any]]:
    """All contenders' rounds of one model, and what Lanegrad says of the machine."""
    contenders: list[Contender | None] = [*build_contenders(libraries, data, model)]
    check_contenders([contender for contender in contenders if contender is not None], data, model)
    if lanegrad_takes(options, model):
        contenders.insert(0, None)
    if not contenders:
        raise RunError(f"nobody trains '{model}'")
    initial = initial_parameters(model)
    machine: dict[str, Any] = {}

    def time_one(index: int) -> Round:
        contender = contenders[index]
        if contender is None:
            one, said = time_lanegrad(options, model)
            machine.update(said)
            return one
        used = images_in_pass(options, data, model)
        return harness.time_contender(contender, initial, len(data.labels), used, options.epochs)

    names = [LANEGRAD if contender is None else contender.name for contender in contenders]
    return harness.take_turns(model, names, options.rounds, time_one), machine


def settings(options: argparse.Namespace, images: dict[str, int]) -> dict[str, Any]:
    return {
        "batch": {model: BATCHES[model] for model in options.models},
        "images_a_pass": images,
        "learning_rate": LEARNING_RATE,
        "momentum": MOMENTUM,
        "rounds": options.rounds,
        "passes_a_round": options.epochs,
        "warm_up_passes_a_round": 1,
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
    images = {model: images_in_pass(options, data, model) for model in options.models}
    results: list[Result] = []
    for model in options.models:
        timed, machine["lanegrad_report"] = time_model(options, libraries, data, model)
        results += timed
    harness.print_table(results, f"an epoch (mlp) or {options.steps} batches (convnet)", "model", images)
    if options.json is not None:
        harness.write_json(options.json, machine, versions, settings(options, images), results, "model")


if __name__ == "__main__":
    sys.exit(harness.report_errors(run))
