"""convnet.safetensors: five layers, forward and backward.

conv1 5x5, padding 2, 3 -> 4; ReLU; max pool 2 by 2
conv2 3x3, padding 1, 2 groups, 4 -> 6; ReLU; average pool 3, stride 2, rounded up
conv3 3x3, stride 2, padding 1, 6 -> 8; ReLU; flatten
fc1 32 -> 10; tanh
fc2 10 -> 5; mean softmax cross-entropy
"""

from __future__ import annotations

import numpy as np
import plain
import torch
from layout import Tensors, channels_first, channels_last
from torch.nn import functional

SEED = 11
IMAGES = 3
CLASSES = 5
SHAPES = {
    "conv1.weight": (5, 5, 3, 4),
    "conv2.weight": (3, 3, 2, 6),
    "conv3.weight": (3, 3, 6, 8),
    "fc1.weight": (32, 10),
    "fc2.weight": (10, 5),
}
CONVOLUTIONS = {
    "conv1": {"stride": 1, "padding": 2, "groups": 1},
    "conv2": {"stride": 1, "padding": 1, "groups": 2},
    "conv3": {"stride": 2, "padding": 1, "groups": 1},
}
POOLS = {
    "pool1": {"kernel": 2, "stride": 2},
    "pool2": {"kernel": 3, "stride": 2, "ceil": True},
}
SETTINGS = {**CONVOLUTIONS, **POOLS}


def inputs() -> Tensors:
    """Images, labels and weights that keep every unit's variance near 1."""
    random = np.random.default_rng(SEED)
    tensors = {
        "input": random.standard_normal((IMAGES, 12, 12, 3)),
        "labels": random.integers(0, CLASSES, IMAGES).astype(np.float64),
    }
    for name, shape in SHAPES.items():
        tensors[name] = random.standard_normal(shape) * np.sqrt(2.0 / np.prod(shape[:-1]))
        tensors[name.replace("weight", "bias")] = 0.3 * random.standard_normal(shape[-1])
    return tensors


def by_torch(given: Tensors) -> Tensors:
    """Every layer's output, the loss and all gradients. The leaves are in our layout, and so are their gradients."""
    leaves = {name: torch.tensor(values, requires_grad=name != "labels") for name, values in given.items()}
    outputs: dict[str, torch.Tensor] = {}

    def layer(name: str, values: torch.Tensor) -> torch.Tensor:
        outputs[name] = values
        return values

    def convolution(name: str, values: torch.Tensor) -> torch.Tensor:
        weight = leaves[f"{name}.weight"].permute(3, 2, 0, 1)
        return layer(name, functional.conv2d(values, weight, leaves[f"{name}.bias"], **CONVOLUTIONS[name]))

    def linear(name: str, values: torch.Tensor) -> torch.Tensor:
        return layer(name, functional.linear(values, leaves[f"{name}.weight"].T, leaves[f"{name}.bias"]))

    values = layer("relu1", functional.relu(convolution("conv1", channels_first(leaves["input"]))))
    values = layer("pool1", functional.max_pool2d(values, 2, 2))
    values = layer("relu2", functional.relu(convolution("conv2", values)))
    values = layer("pool2", functional.avg_pool2d(values, 3, 2, ceil_mode=True))
    values = layer("relu3", functional.relu(convolution("conv3", values)))
    values = layer("flatten", channels_last(values).reshape(IMAGES, -1))
    values = layer("tanh1", torch.tanh(linear("fc1", values)))
    loss = functional.cross_entropy(linear("fc2", values), leaves["labels"].long())
    loss.backward()

    results = {"loss": loss.detach().numpy().reshape(1)}
    for name, values in outputs.items():
        results[f"out.{name}"] = (channels_last(values) if values.dim() == 4 else values).detach().numpy()
    for name, leaf in leaves.items():
        if leaf.grad is not None:
            results[f"grad.{name}"] = leaf.grad.numpy()
    return results


def by_numpy(given: Tensors) -> Tensors:
    outputs = forward(given)
    loss, gradient = plain.cross_entropy(outputs["fc2"], given["labels"].astype(np.int64))
    results = {f"out.{name}": values for name, values in outputs.items()}
    results["loss"] = np.array([loss])
    for name, values in backward(given, outputs, gradient).items():
        results[f"grad.{name}"] = values
    return results


def forward(given: Tensors) -> Tensors:
    out: Tensors = {}

    def convolution(name: str, images: np.ndarray) -> np.ndarray:
        return plain.convolution(images, given[f"{name}.weight"], given[f"{name}.bias"], **CONVOLUTIONS[name])

    out["conv1"] = convolution("conv1", given["input"])
    out["relu1"] = np.maximum(out["conv1"], 0.0)
    out["pool1"] = plain.max_pool(out["relu1"], **POOLS["pool1"])
    out["conv2"] = convolution("conv2", out["pool1"])
    out["relu2"] = np.maximum(out["conv2"], 0.0)
    out["pool2"] = plain.average_pool(out["relu2"], **POOLS["pool2"])
    out["conv3"] = convolution("conv3", out["pool2"])
    out["relu3"] = np.maximum(out["conv3"], 0.0)
    out["flatten"] = out["relu3"].reshape(IMAGES, -1)
    out["fc1"] = out["flatten"] @ given["fc1.weight"] + given["fc1.bias"]
    out["tanh1"] = np.tanh(out["fc1"])
    out["fc2"] = out["tanh1"] @ given["fc2.weight"] + given["fc2.bias"]
    return out


def backward(given: Tensors, out: Tensors, gradient: np.ndarray) -> Tensors:
    """Gradients of input, weights and biases from that of the scores."""
    found: Tensors = {}

    def linear(name: str, values: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        found[f"{name}.weight"] = values.T @ gradient
        found[f"{name}.bias"] = gradient.sum(axis=0)
        return gradient @ given[f"{name}.weight"].T

    def convolution(name: str, images: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        image_gradient, found[f"{name}.weight"], found[f"{name}.bias"] = plain.convolution_gradients(
            images, given[f"{name}.weight"], gradient, **CONVOLUTIONS[name]
        )
        return image_gradient

    gradient = linear("fc2", out["tanh1"], gradient) * (1.0 - out["tanh1"] ** 2)
    gradient = linear("fc1", out["flatten"], gradient).reshape(out["relu3"].shape) * (out["conv3"] > 0.0)
    gradient = convolution("conv3", out["pool2"], gradient)
    gradient = plain.average_pool_gradient(out["relu2"], gradient, **POOLS["pool2"]) * (out["conv2"] > 0.0)
    gradient = convolution("conv2", out["pool1"], gradient)
    gradient = plain.max_pool_gradient(out["relu1"], gradient, **POOLS["pool1"]) * (out["conv1"] > 0.0)
    found["input"] = convolution("conv1", given["input"], gradient)
    return found
