"""ops.safetensors: single operations, each with a random gradient of its output and what that gives for its inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import plain
import torch
from layout import Tensors, channels_first, channels_last
from torch.nn import functional

SEED = 12
CONVOLUTIONS = {
    "conv_stride2": {"stride": 2, "padding": 1, "groups": 2},
    "conv11": {"stride": 4, "padding": 2, "groups": 1},
}
RESPONSE_NORMS = {
    "lrn5": {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 2.0},
    "lrn3": {"size": 3, "alpha": 5e-2, "beta": 0.5, "k": 1.0},
}
BATCH_NORMS = {
    "batch_norm_train": {"epsilon": 1e-5, "momentum": 0.1, "training": True},
    "batch_norm_eval": {"epsilon": 1e-5, "training": False},
}
MAX_POOLS = {
    "max_pool": {"kernel": 3, "stride": 2, "padding": 1, "ceil": True},
    "max_pool_ties": {"kernel": 3, "stride": 2, "padding": 1, "ceil": True},
    "max_pool_dropped": {"kernel": 2, "stride": 2, "padding": 1, "ceil": True},
}
AVERAGE_POOLS = {
    "avg_pool_padding_counted": {"kernel": 3, "stride": 2, "padding": 1, "ceil": True, "count_padding": True},
    "avg_pool_padding_not_counted": {"kernel": 3, "stride": 2, "padding": 1, "ceil": True, "count_padding": False},
}
MULTI_MARGIN = {"margin": 1.0}
SETTINGS = {
    **CONVOLUTIONS,
    **RESPONSE_NORMS,
    **BATCH_NORMS,
    **MAX_POOLS,
    **AVERAGE_POOLS,
    "multi_margin": MULTI_MARGIN,
}

# PyTorch's softplus(x) is x from a threshold on, by default 20, where x is off by 2e-9. From 40 on it is x exactly.
SOFTPLUS_THRESHOLD = 40.0


def inputs() -> Tensors:
    """All operands and the gradients of all outputs."""
    random = np.random.default_rng(SEED)
    normal = random.standard_normal
    given: Tensors = {
        "conv_stride2.input": normal((2, 7, 6, 4)),
        "conv_stride2.weight": 0.3 * normal((3, 3, 2, 6)),
        "conv_stride2.bias": normal(6),
        "conv_stride2.grad.output": normal((2, 4, 3, 6)),
        "conv11.input": normal((1, 26, 23, 2)),
        "conv11.weight": 0.1 * normal((11, 11, 2, 3)),
        "conv11.bias": normal(3),
        "conv11.grad.output": normal((1, 5, 5, 3)),
    }
    for name, scale in (("lrn5", 60.0), ("lrn3", 3.0)):
        given[f"{name}.input"] = scale * normal((2, 3, 4, 7))
        given[f"{name}.grad.output"] = normal((2, 3, 4, 7))
    for name in BATCH_NORMS:
        given[f"{name}.input"] = 2.0 * normal((4, 3, 3, 5)) + normal(5)
        given[f"{name}.gamma"] = 1.0 + 0.3 * normal(5)
        given[f"{name}.beta"] = normal(5)
        given[f"{name}.running_mean"] = normal(5)
        given[f"{name}.running_var"] = random.uniform(0.5, 2.0, 5)
        given[f"{name}.grad.output"] = normal((4, 3, 3, 5))
    for name in (*MAX_POOLS, *AVERAGE_POOLS):
        given[f"{name}.input"] = normal((2, 8, 7, 3))
        given[f"{name}.grad.output"] = normal((2, 5, 4, 3))
    given["max_pool_ties.input"] = random.integers(-1, 2, (2, 8, 7, 3)).astype(np.float64)
    given["max_pool_dropped.input"] = normal((1, 5, 6, 2))
    given["max_pool_dropped.grad.output"] = normal((1, 3, 4, 2))
    given["log_softmax.input"] = np.vstack([3.0 * normal((4, 6)), 800.0 * normal((1, 6))])
    given["log_softmax.grad.output"] = normal((5, 6))
    given["softplus.input"] = np.concatenate([[-800.0, -45.0, -1.0, 0.0, 1.0, 45.0, 800.0], 10.0 * normal(9)])
    given["softplus.grad.output"] = normal(16)
    given["binary_cross_entropy.input"] = np.vstack([3.0 * normal((3, 4)), [[-800.0, 800.0, -30.0, 30.0]]])
    given["binary_cross_entropy.target"] = np.vstack([[[0, 1, 1, 0], [1, 0, 0, 1]], random.uniform(0, 1, (2, 4))])
    given["multi_margin.input"] = normal((6, 5))
    given["multi_margin.labels"] = random.integers(0, 5, 6).astype(np.float64)
    return given


# By PyTorch


def by_torch(given: Tensors) -> Tensors:
    results: Tensors = {}
    for name, settings in CONVOLUTIONS.items():
        results |= torch_convolution(name, given, settings)
    for name, settings in RESPONSE_NORMS.items():
        results |= torch_images(name, given, torch.nn.LocalResponseNorm(**settings))
    for name, settings in BATCH_NORMS.items():
        results |= torch_batch_norm(name, given, settings)
    for name, settings in MAX_POOLS.items():
        results |= torch_images(name, given, torch.nn.MaxPool2d(**pool_settings(settings)))
    for name, settings in AVERAGE_POOLS.items():
        counted = settings["count_padding"]
        results |= torch_images(name, given, torch.nn.AvgPool2d(**pool_settings(settings), count_include_pad=counted))
    results |= torch_vectors("log_softmax", given, lambda values: functional.log_softmax(values, dim=1))
    results |= torch_vectors("softplus", given, torch.nn.Softplus(threshold=SOFTPLUS_THRESHOLD))
    return results | torch_binary_cross_entropy(given) | torch_multi_margin(given)


def pool_settings(settings: dict[str, Any]) -> dict[str, Any]:
    names = {"kernel": "kernel_size", "stride": "stride", "padding": "padding", "ceil": "ceil_mode"}
    return {theirs: settings[ours] for ours, theirs in names.items()}


def leaf(values: np.ndarray) -> torch.Tensor:
    return torch.tensor(values, requires_grad=True)


def torch_convolution(name: str, given: Tensors, settings: dict[str, int]) -> Tensors:
    images, weight, bias = (leaf(given[f"{name}.{operand}"]) for operand in ("input", "weight", "bias"))
    output = channels_last(functional.conv2d(channels_first(images), weight.permute(3, 2, 0, 1), bias, **settings))
    output.backward(torch.tensor(given[f"{name}.grad.output"]))
    return {
        f"{name}.output": output.detach().numpy(),
        f"{name}.grad.input": images.grad.numpy(),
        f"{name}.grad.weight": weight.grad.numpy(),
        f"{name}.grad.bias": bias.grad.numpy(),
    }


def torch_images(name: str, given: Tensors, function: Any) -> Tensors:
    return torch_vectors(name, given, lambda images: channels_last(function(channels_first(images))))


def torch_vectors(name: str, given: Tensors, function: Any) -> Tensors:
    operand = leaf(given[f"{name}.input"])
    output = function(operand)
    output.backward(torch.tensor(given[f"{name}.grad.output"]))
    return {f"{name}.output": output.detach().numpy(), f"{name}.grad.input": operand.grad.numpy()}


def torch_batch_norm(name: str, given: Tensors, settings: dict[str, Any]) -> Tensors:
    norm = torch.nn.BatchNorm2d(5, eps=settings["epsilon"], momentum=settings.get("momentum", 0.1), dtype=torch.float64)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor(given[f"{name}.gamma"]))
        norm.bias.copy_(torch.tensor(given[f"{name}.beta"]))
        norm.running_mean.copy_(torch.tensor(given[f"{name}.running_mean"]))
        norm.running_var.copy_(torch.tensor(given[f"{name}.running_var"]))
    norm.train(settings["training"])
    results = torch_images(name, given, norm)
    results[f"{name}.grad.gamma"] = norm.weight.grad.numpy()
    results[f"{name}.grad.beta"] = norm.bias.grad.numpy()
    if settings["training"]:
        results[f"{name}.running_mean.after"] = norm.running_mean.numpy()
        results[f"{name}.running_var.after"] = norm.running_var.numpy()
    return results


def torch_binary_cross_entropy(given: Tensors) -> Tensors:
    logits, targets = leaf(given["binary_cross_entropy.input"]), torch.tensor(given["binary_cross_entropy.target"])
    elements = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    mean = functional.binary_cross_entropy_with_logits(logits, targets)
    mean.backward()
    return {
        "binary_cross_entropy.elements": elements.detach().numpy(),
        "binary_cross_entropy.mean": mean.detach().numpy().reshape(1),
        "binary_cross_entropy.grad.input": logits.grad.numpy(),
    }


def torch_multi_margin(given: Tensors) -> Tensors:
    """PyTorch divides a row's sum by the number of classes; Weston and Watkins do not."""
    scores, labels = leaf(given["multi_margin.input"]), torch.tensor(given["multi_margin.labels"]).long()
    rows = functional.multi_margin_loss(scores, labels, reduction="none", **MULTI_MARGIN) * scores.shape[1]
    mean = rows.mean()
    mean.backward()
    return {
        "multi_margin.rows": rows.detach().numpy(),
        "multi_margin.mean": mean.detach().numpy().reshape(1),
        "multi_margin.grad.input": scores.grad.numpy(),
    }


# By NumPy


def by_numpy(given: Tensors) -> Tensors:
    results: Tensors = {}
    for name, settings in CONVOLUTIONS.items():
        results |= numpy_convolution(name, given, settings)
    for name, settings in RESPONSE_NORMS.items():
        results |= numpy_pair(name, given, plain.response_norm, plain.response_norm_gradient, settings)
    for name, settings in BATCH_NORMS.items():
        results |= numpy_batch_norm(name, given, settings)
    for name, settings in MAX_POOLS.items():
        results |= numpy_pair(name, given, plain.max_pool, plain.max_pool_gradient, settings)
    for name, settings in AVERAGE_POOLS.items():
        results |= numpy_pair(name, given, plain.average_pool, plain.average_pool_gradient, settings)
    results |= numpy_pair("log_softmax", given, plain.log_softmax, plain.log_softmax_gradient, {})
    results |= numpy_pair("softplus", given, plain.softplus, plain.softplus_gradient, {})
    return results | numpy_binary_cross_entropy(given) | numpy_multi_margin(given)


def numpy_pair(name: str, given: Tensors, forward: Any, backward: Any, settings: dict[str, Any]) -> Tensors:
    operand = given[f"{name}.input"]
    return {
        f"{name}.output": forward(operand, **settings),
        f"{name}.grad.input": backward(operand, given[f"{name}.grad.output"], **settings),
    }


def numpy_convolution(name: str, given: Tensors, settings: dict[str, int]) -> Tensors:
    images, weight, bias = (given[f"{name}.{operand}"] for operand in ("input", "weight", "bias"))
    results = {f"{name}.output": plain.convolution(images, weight, bias, **settings)}
    gradients = plain.convolution_gradients(images, weight, given[f"{name}.grad.output"], **settings)
    for operand, gradient in zip(("input", "weight", "bias"), gradients):
        results[f"{name}.grad.{operand}"] = gradient
    return results


def numpy_batch_norm(name: str, given: Tensors, settings: dict[str, Any]) -> Tensors:
    images, gamma, beta = (given[f"{name}.{operand}"] for operand in ("input", "gamma", "beta"))
    mean, variance = given[f"{name}.running_mean"], given[f"{name}.running_var"]
    results: Tensors = {}
    if settings["training"]:
        kept, count = 1.0 - settings["momentum"], images.size // images.shape[-1]
        running = (mean, variance)
        mean, variance = plain.batch_statistics(images)
        unbiased = variance * count / (count - 1)
        results[f"{name}.running_mean.after"] = kept * running[0] + settings["momentum"] * mean
        results[f"{name}.running_var.after"] = kept * running[1] + settings["momentum"] * unbiased
    gradients = plain.batch_norm_gradients(
        images, gamma, given[f"{name}.grad.output"], mean, variance, settings["epsilon"], settings["training"]
    )
    results[f"{name}.output"] = plain.batch_norm(images, gamma, beta, mean, variance, settings["epsilon"])
    for operand, gradient in zip(("input", "gamma", "beta"), gradients):
        results[f"{name}.grad.{operand}"] = gradient
    return results


def numpy_binary_cross_entropy(given: Tensors) -> Tensors:
    elements, slopes = plain.binary_cross_entropy(
        given["binary_cross_entropy.input"], given["binary_cross_entropy.target"]
    )
    return {
        "binary_cross_entropy.elements": elements,
        "binary_cross_entropy.mean": np.array([elements.mean()]),
        "binary_cross_entropy.grad.input": slopes / slopes.size,
    }


def numpy_multi_margin(given: Tensors) -> Tensors:
    labels = given["multi_margin.labels"].astype(np.int64)
    rows, gradient = plain.multi_margin(given["multi_margin.input"], labels, **MULTI_MARGIN)
    return {
        "multi_margin.rows": rows,
        "multi_margin.mean": np.array([rows.mean()]),
        "multi_margin.grad.input": gradient / len(labels),
    }
