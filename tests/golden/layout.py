"""Between PyTorch's images, (images, channels, height, width), and ours, (images, height, width, channels)."""

from __future__ import annotations

import numpy as np
import torch

Tensors = dict[str, np.ndarray]


def channels_first(ours: torch.Tensor) -> torch.Tensor:
    """Our images as PyTorch wants them."""
    return ours.permute(0, 3, 1, 2)


def channels_last(theirs: torch.Tensor) -> torch.Tensor:
    """PyTorch's images as ours are."""
    return theirs.permute(0, 2, 3, 1)
