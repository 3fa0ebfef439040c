"""The same operations in plain NumPy: loops over output positions, gradients written out by hand.

Images are (images, height, width, channels), convolution weights (height, width, channels of a group, filters), linear
weights (inputs, outputs). A gradient function takes the gradient of the output and returns those of the inputs.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

Array = np.ndarray


def output_size(size: int, kernel: int, stride: int, padding: int, ceil: bool = False) -> int:
    """Windows along one axis. Rounding up adds one that overlaps the edge, unless it would lie in the padding alone."""
    room = size + 2 * padding - kernel
    if not ceil:
        return room // stride + 1
    count = -(-room // stride) + 1
    return count - 1 if (count - 1) * stride >= size + padding else count


# Convolution


def convolution(images: Array, weight: Array, bias: Array, stride: int, padding: int, groups: int = 1) -> Array:
    """Cross-correlation, as in every deep-learning library; the filters are cut into groups as the channels are."""
    _, height, width, _ = images.shape
    padded = pad(images, padding)
    rows = output_size(height, weight.shape[0], stride, padding)
    columns = output_size(width, weight.shape[1], stride, padding)
    output = np.empty((len(images), rows, columns, weight.shape[3]))
    for (row, column), window in convolution_windows(output, weight, stride):
        for channels, filters in group_slices(weight, groups):
            patch = padded[:, window[0], window[1], channels]
            output[:, row, column, filters] = np.einsum("nhwc,hwcf->nf", patch, weight[..., filters])
    return output + bias


def convolution_gradients(
    images: Array, weight: Array, gradient: Array, stride: int, padding: int, groups: int = 1
) -> tuple[Array, Array, Array]:
    """Gradients of images, weight and bias."""
    _, height, width, _ = images.shape
    padded = pad(images, padding)
    image_gradient = np.zeros_like(padded)
    weight_gradient = np.zeros_like(weight)
    for (row, column), window in convolution_windows(gradient, weight, stride):
        for channels, filters in group_slices(weight, groups):
            place = (slice(None), *window, channels)
            here = gradient[:, row, column, filters]
            image_gradient[place] += np.einsum("nf,hwcf->nhwc", here, weight[..., filters])
            weight_gradient[..., filters] += np.einsum("nhwc,nf->hwcf", padded[place], here)
    inside = image_gradient[:, padding : padding + height, padding : padding + width]
    return inside.copy(), weight_gradient, gradient.sum(axis=(0, 1, 2))


def pad(images: Array, padding: int) -> Array:
    return np.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))


def convolution_windows(output: Array, weight: Array, stride: int) -> Iterator[tuple[tuple[int, int], tuple]]:
    """Each output position with the rows and columns of the padded image it sees."""
    for row, column in np.ndindex(output.shape[1:3]):
        top, left = row * stride, column * stride
        yield (row, column), (slice(top, top + weight.shape[0]), slice(left, left + weight.shape[1]))


def group_slices(weight: Array, groups: int) -> Iterator[tuple[slice, slice]]:
    """Channels and filters of each group."""
    channels, filters = weight.shape[2], weight.shape[3] // groups
    for group in range(groups):
        yield slice(group * channels, (group + 1) * channels), slice(group * filters, (group + 1) * filters)


# Pooling


def pooling_windows(
    shape: tuple[int, ...], kernel: int, stride: int, padding: int, ceil: bool
) -> Iterator[tuple[tuple[int, int], tuple[slice, slice], int]]:
    """Each output position with the rows and columns it sees, clipped to the image, and its size with padding."""
    height, width = shape[1:3]
    for row in range(output_size(height, kernel, stride, padding, ceil)):
        for column in range(output_size(width, kernel, stride, padding, ceil)):
            (rows, tall), (columns, wide) = (
                clipped_window(position, size, kernel, stride, padding)
                for position, size in ((row, height), (column, width))
            )
            yield (row, column), (rows, columns), tall * wide


def clipped_window(position: int, size: int, kernel: int, stride: int, padding: int) -> tuple[slice, int]:
    """The part of a window inside the image, and the length of its part inside image and padding."""
    start = position * stride - padding
    end = min(start + kernel, size + padding)
    return slice(max(start, 0), min(end, size)), end - start


def pooled(images: Array, kernel: int, stride: int, padding: int, ceil: bool) -> Array:
    rows, columns = (output_size(size, kernel, stride, padding, ceil) for size in images.shape[1:3])
    return np.empty((images.shape[0], rows, columns, images.shape[3]))


def max_pool(images: Array, kernel: int, stride: int, padding: int = 0, ceil: bool = False) -> Array:
    output = pooled(images, kernel, stride, padding, ceil)
    for (row, column), (rows, columns), _ in pooling_windows(images.shape, kernel, stride, padding, ceil):
        output[:, row, column] = images[:, rows, columns].max(axis=(1, 2))
    return output


def max_pool_gradient(
    images: Array, gradient: Array, kernel: int, stride: int, padding: int = 0, ceil: bool = False
) -> Array:
    """Of equal largest values the first, row by row, gets the gradient."""
    result = np.zeros_like(images)
    for (row, column), (rows, columns), _ in pooling_windows(images.shape, kernel, stride, padding, ceil):
        for image, channel in np.ndindex(images.shape[0], images.shape[3]):
            window = images[image, rows, columns, channel]
            best = np.unravel_index(window.argmax(), window.shape)
            result[image, rows, columns, channel][best] += gradient[image, row, column, channel]
    return result


def average_pool(
    images: Array, kernel: int, stride: int, padding: int = 0, ceil: bool = False, count_padding: bool = True
) -> Array:
    """Divides by the positions of the window inside the image, or inside image and padding; never by those beyond."""
    output = pooled(images, kernel, stride, padding, ceil)
    for (row, column), (rows, columns), size in pooling_windows(images.shape, kernel, stride, padding, ceil):
        window = images[:, rows, columns]
        divisor = size if count_padding else window.shape[1] * window.shape[2]
        output[:, row, column] = window.sum(axis=(1, 2)) / divisor
    return output


def average_pool_gradient(
    images: Array,
    gradient: Array,
    kernel: int,
    stride: int,
    padding: int = 0,
    ceil: bool = False,
    count_padding: bool = True,
) -> Array:
    result = np.zeros_like(images)
    for (row, column), (rows, columns), size in pooling_windows(images.shape, kernel, stride, padding, ceil):
        window = result[:, rows, columns]
        divisor = size if count_padding else window.shape[1] * window.shape[2]
        window += (gradient[:, row, column] / divisor)[:, None, None, :]
    return result


# Normalisation


def neighbour_sums(values: Array, size: int) -> Array:
    """For each channel the sum over the channels at most size / 2 away, for odd sizes."""
    channels = np.arange(values.shape[-1])
    near = np.abs(channels[:, None] - channels) <= size // 2
    return values @ near.astype(np.float64)


def response_norm(images: Array, size: int, alpha: float, beta: float, k: float) -> Array:
    """x (k + alpha / size * sum over neighbouring channels of x^2)^-beta."""
    return images * (k + alpha / size * neighbour_sums(images**2, size)) ** -beta


def response_norm_gradient(
    images: Array, gradient: Array, size: int, alpha: float, beta: float, k: float
) -> Array:
    base = k + alpha / size * neighbour_sums(images**2, size)
    shared = neighbour_sums(gradient * images * base ** (-beta - 1.0), size)
    return gradient * base**-beta - 2.0 * alpha * beta / size * images * shared


def batch_norm(images: Array, gamma: Array, beta: Array, mean: Array, variance: Array, epsilon: float) -> Array:
    return gamma * (images - mean) / np.sqrt(variance + epsilon) + beta


def batch_statistics(images: Array) -> tuple[Array, Array]:
    """Mean and biased variance of each channel."""
    return images.mean(axis=(0, 1, 2)), images.var(axis=(0, 1, 2))


def batch_norm_gradients(
    images: Array, gamma: Array, gradient: Array, mean: Array, variance: Array, epsilon: float, training: bool
) -> tuple[Array, Array, Array]:
    """Gradients of images, gamma and beta. In training, mean and variance are functions of the images."""
    deviation = np.sqrt(variance + epsilon)
    standard = (images - mean) / deviation
    gamma_gradient = (gradient * standard).sum(axis=(0, 1, 2))
    beta_gradient = gradient.sum(axis=(0, 1, 2))
    centred = gradient
    if training:
        count = images.size // images.shape[-1]
        centred = gradient - (beta_gradient + standard * gamma_gradient) / count
    return gamma / deviation * centred, gamma_gradient, beta_gradient


# Losses and elementwise functions


def log_softmax(scores: Array) -> Array:
    shifted = scores - scores.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def log_softmax_gradient(scores: Array, gradient: Array) -> Array:
    return gradient - np.exp(log_softmax(scores)) * gradient.sum(axis=1, keepdims=True)


def softplus(values: Array) -> Array:
    return np.logaddexp(0.0, values)


def softplus_gradient(values: Array, gradient: Array) -> Array:
    return gradient * sigmoid(values)


def sigmoid(values: Array) -> Array:
    small = np.exp(-np.abs(values))
    return np.where(values >= 0.0, 1.0, small) / (1.0 + small)


def cross_entropy(scores: Array, labels: Array) -> tuple[float, Array]:
    """The mean loss of the rows and its gradient."""
    logs = log_softmax(scores)
    targets = np.eye(scores.shape[1])[labels]
    return -(logs * targets).sum() / len(labels), (np.exp(logs) - targets) / len(labels)


def binary_cross_entropy(logits: Array, targets: Array) -> tuple[Array, Array]:
    """Each element's loss -t log s(x) - (1 - t) log(1 - s(x)), s the sigmoid, and its derivative."""
    return softplus(logits) - targets * logits, sigmoid(logits) - targets


def multi_margin(scores: Array, labels: Array, margin: float) -> tuple[Array, Array]:
    """Each row's Weston-Watkins loss, the sum of max(0, margin + wrong - right) over wrong classes; its gradient."""
    rows = np.arange(len(labels))
    margins = scores - scores[rows, labels][:, None] + margin
    margins[rows, labels] = 0.0
    gradient = (margins > 0.0).astype(np.float64)
    gradient[rows, labels] = -gradient.sum(axis=1)
    return np.maximum(margins, 0.0).sum(axis=1), gradient
