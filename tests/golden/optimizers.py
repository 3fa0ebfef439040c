"""optimizers.safetensors: where update rules go, 100 steps on Beale's function, Muon 20 on a least-squares problem.

A trajectory's row t is the position after t steps, row 0 the start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from layout import Tensors

SEED = 13
START = (1.0, 1.5)
STEPS = 100
MUON_STEPS = 20

RULES: dict[str, dict[str, float]] = {
    "sgd": {"lr": 1e-3},
    "momentum": {"lr": 1e-3, "momentum": 0.9},
    "nesterov": {"lr": 1e-3, "momentum": 0.9},
    "adagrad": {"lr": 0.1, "epsilon": 1e-8},
    "adadelta": {"lr": 1.0, "rho": 0.95, "epsilon": 1e-6},
    "rmsprop": {"lr": 1e-2, "decay": 0.9, "epsilon": 1e-8},
    "adam": {"lr": 1e-2, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
    "adamw": {"lr": 1e-2, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weight_decay": 1e-2},
}
MUON = {
    "momentum": 0.95,
    "nesterov": True,
    "newton_schulz_steps": 5,
    "newton_schulz_coefficients": [3.4445, -4.7750, 2.0315],
    "epsilon": 1e-7,
}
MUON_RULES: dict[str, dict[str, float]] = {
    "muon_wide": {"lr": 0.02, "weight_decay": 0.0},
    "muon_tall": {"lr": 0.02, "weight_decay": 0.1},
}
SETTINGS = {
    **RULES,
    **{name: {**MUON, **settings} for name, settings in MUON_RULES.items()},
}


def inputs() -> Tensors:
    """Muon's problems: minimise |A W - B|^2 / 2 from W0."""
    random = np.random.default_rng(SEED)
    given: Tensors = {}
    for name, (rows, columns) in (("muon_wide", (4, 6)), ("muon_tall", (6, 4))):
        given[f"{name}.a"] = random.standard_normal((8, rows))
        given[f"{name}.b"] = random.standard_normal((8, columns))
        given[f"{name}.w0"] = random.standard_normal((rows, columns))
    return given


def beale(point: Any) -> Any:
    """(1.5 - x + xy)^2 + (2.25 - x + xy^2)^2 + (2.625 - x + xy^3)^2, smallest, 0, at (3, 0.5)."""
    x, y = point
    return sum((c - x + x * y**power) ** 2 for power, c in enumerate((1.5, 2.25, 2.625), start=1))


def beale_gradient(point: np.ndarray) -> np.ndarray:
    x, y = point
    gradient = np.zeros(2)
    for power, c in enumerate((1.5, 2.25, 2.625), start=1):
        term = c - x + x * y**power
        gradient += 2.0 * term * np.array([y**power - 1.0, power * x * y ** (power - 1)])
    return gradient


def least_squares_gradient(a: np.ndarray, b: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    def gradient(weights: np.ndarray) -> np.ndarray:
        return a.T @ (a @ weights - b)

    return gradient


# By PyTorch


def by_torch(given: Tensors) -> Tensors:
    results = {}
    for name in RULES:
        point = torch.tensor(START, dtype=torch.float64, requires_grad=True)
        optimizer = torch_optimizer(name, point)
        results[name] = torch_trajectory(point, optimizer, lambda point: beale(point.unbind()), STEPS)
    with newton_schulz_in_double():
        results |= {name: torch_muon(name, given) for name in MUON_RULES}
    return results


def torch_optimizer(name: str, point: torch.Tensor) -> torch.optim.Optimizer:
    rule = dict(RULES[name])
    lr = rule.pop("lr")
    if name in ("sgd", "momentum", "nesterov"):
        return torch.optim.SGD([point], lr=lr, nesterov=name == "nesterov", **rule)
    epsilon = rule.pop("epsilon")
    if name == "adagrad":
        return torch.optim.Adagrad([point], lr=lr, eps=epsilon)
    if name == "adadelta":
        return torch.optim.Adadelta([point], lr=lr, eps=epsilon, rho=rule["rho"])
    if name == "rmsprop":
        return torch.optim.RMSprop([point], lr=lr, eps=epsilon, alpha=rule["decay"])
    betas = (rule["beta1"], rule["beta2"])
    if name == "adam":
        return torch.optim.Adam([point], lr=lr, eps=epsilon, betas=betas)
    return torch.optim.AdamW([point], lr=lr, eps=epsilon, betas=betas, weight_decay=rule["weight_decay"])


def torch_muon(name: str, given: Tensors) -> np.ndarray:
    a, b = (torch.tensor(given[f"{name}.{operand}"]) for operand in ("a", "b"))
    weights = torch.tensor(given[f"{name}.w0"], requires_grad=True)
    optimizer = torch.optim.Muon(
        [weights],
        momentum=MUON["momentum"],
        nesterov=MUON["nesterov"],
        ns_coefficients=tuple(MUON["newton_schulz_coefficients"]),
        ns_steps=MUON["newton_schulz_steps"],
        eps=MUON["epsilon"],
        **MUON_RULES[name],
    )
    return torch_trajectory(weights, optimizer, lambda weights: 0.5 * ((a @ weights - b) ** 2).sum(), MUON_STEPS)


def torch_trajectory(
    point: torch.Tensor, optimizer: torch.optim.Optimizer, function: Callable[[Any], torch.Tensor], steps: int
) -> np.ndarray:
    positions = [point.detach().numpy().copy()]
    for _ in range(steps):
        optimizer.zero_grad()
        function(point).backward()
        optimizer.step()
        positions.append(point.detach().numpy().copy())
    return np.stack(positions)


class newton_schulz_in_double:
    """While open, PyTorch's Muon orthogonalises in float64; left alone it does so in bfloat16, whatever the weights."""

    def __enter__(self) -> None:
        self.module = torch.optim._muon
        self.original = self.module._zeropower_via_newtonschulz
        self.module._zeropower_via_newtonschulz = newton_schulz

    def __exit__(self, *_: Any) -> None:
        self.module._zeropower_via_newtonschulz = self.original


def newton_schulz(
    matrix: torch.Tensor, coefficients: tuple[float, float, float], steps: int, epsilon: float
) -> torch.Tensor:
    """X <- a X + (b X X' + c (X X')^2) X, from X = matrix / |matrix|."""
    a, b, c = coefficients
    matrix = matrix / matrix.norm().clamp(min=epsilon)
    for _ in range(steps):
        gram = matrix @ matrix.T
        matrix = a * matrix + (b * gram + c * gram @ gram) @ matrix
    return matrix


# By NumPy


def by_numpy(given: Tensors) -> Tensors:
    results = {}
    for name, rule in RULES.items():
        steps = STEP_RULES[name](np.zeros(2), **rule)
        results[name] = numpy_trajectory(np.array(START), steps, beale_gradient, STEPS)
    for name, rule in MUON_RULES.items():
        start = given[f"{name}.w0"]
        gradient = least_squares_gradient(given[f"{name}.a"], given[f"{name}.b"])
        results[name] = numpy_trajectory(start, muon_steps(np.zeros_like(start), **rule), gradient, MUON_STEPS)
    return results


# A rule in NumPy is a generator: it is sent position and gradient, and yields what to add to the position.
Steps = Iterator[np.ndarray]


def numpy_trajectory(
    start: np.ndarray, steps: Any, gradient: Callable[[np.ndarray], np.ndarray], count: int
) -> np.ndarray:
    positions = [start]
    next(steps)
    for _ in range(count):
        here = positions[-1]
        positions.append(here + steps.send((here, gradient(here))))
    return np.stack(positions)


def sgd_steps(step: np.ndarray, lr: float) -> Steps:
    """-lr g"""
    while True:
        _, gradient = yield step
        step = -lr * gradient


def momentum_steps(velocity: np.ndarray, lr: float, momentum: float) -> Steps:
    """v <- mu v - lr g; v"""
    while True:
        _, gradient = yield velocity
        velocity = momentum * velocity - lr * gradient


def nesterov_steps(velocity: np.ndarray, lr: float, momentum: float) -> Steps:
    """v0 = v; v <- mu v - lr g; (1 + mu) v - mu v0"""
    step = velocity
    while True:
        _, gradient = yield step
        before, velocity = velocity, momentum * velocity - lr * gradient
        step = (1.0 + momentum) * velocity - momentum * before


def adagrad_steps(squares: np.ndarray, lr: float, epsilon: float) -> Steps:
    """c <- c + g^2; -lr g / (sqrt(c) + eps)"""
    step = squares
    while True:
        _, gradient = yield step
        squares = squares + gradient**2
        step = -lr * gradient / (np.sqrt(squares) + epsilon)


def adadelta_steps(squares: np.ndarray, lr: float, rho: float, epsilon: float) -> Steps:
    """c <- rho c + (1 - rho) g^2; d = -sqrt((u + eps) / (c + eps)) g; u <- rho u + (1 - rho) d^2; lr d"""
    step_squares = step = squares
    while True:
        _, gradient = yield lr * step
        squares = rho * squares + (1.0 - rho) * gradient**2
        step = -np.sqrt((step_squares + epsilon) / (squares + epsilon)) * gradient
        step_squares = rho * step_squares + (1.0 - rho) * step**2


def rmsprop_steps(squares: np.ndarray, lr: float, decay: float, epsilon: float) -> Steps:
    """c <- d c + (1 - d) g^2; -lr g / (sqrt(c) + eps)"""
    step = squares
    while True:
        _, gradient = yield step
        squares = decay * squares + (1.0 - decay) * gradient**2
        step = -lr * gradient / (np.sqrt(squares) + epsilon)


def adam_steps(
    mean: np.ndarray, lr: float, beta1: float, beta2: float, epsilon: float, weight_decay: float = 0.0
) -> Steps:
    """m <- b1 m + (1 - b1) g; v <- b2 v + (1 - b2) g^2; -lr (m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps) + wd x)"""
    square = step = mean
    time = 0
    while True:
        position, gradient = yield step
        time += 1
        mean = beta1 * mean + (1.0 - beta1) * gradient
        square = beta2 * square + (1.0 - beta2) * gradient**2
        direction = mean / (1.0 - beta1**time) / (np.sqrt(square / (1.0 - beta2**time)) + epsilon)
        step = -lr * (direction + weight_decay * position)


STEP_RULES: dict[str, Callable[..., Steps]] = {
    "sgd": sgd_steps,
    "momentum": momentum_steps,
    "nesterov": nesterov_steps,
    "adagrad": adagrad_steps,
    "adadelta": adadelta_steps,
    "rmsprop": rmsprop_steps,
    "adam": adam_steps,
    "adamw": adam_steps,
}


def muon_steps(mean: np.ndarray, lr: float, weight_decay: float) -> Steps:
    """m <- mu m + (1 - mu) g; u = mu m + (1 - mu) g; -lr (sqrt(max(1, rows / columns)) orthogonal(u) + wd W)"""
    step, momentum = mean, MUON["momentum"]
    scale = np.sqrt(max(1.0, mean.shape[0] / mean.shape[1]))
    while True:
        weights, gradient = yield step
        mean = momentum * mean + (1.0 - momentum) * gradient
        update = momentum * mean + (1.0 - momentum) * gradient
        step = -lr * (scale * nearly_orthogonal(update) + weight_decay * weights)


def nearly_orthogonal(matrix: np.ndarray) -> np.ndarray:
    """What the Newton-Schulz steps compute, each an odd polynomial of the singular values, by way of those."""
    a, b, c = MUON["newton_schulz_coefficients"]
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    values = values / max(np.linalg.norm(values), MUON["epsilon"])
    for _ in range(MUON["newton_schulz_steps"]):
        values = a * values + b * values**3 + c * values**5
    return left * values @ right
