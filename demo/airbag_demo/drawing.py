"""What a gateway would report of a drawn digit beside the answer: a few features and a segment."""

from __future__ import annotations

import numpy as np

from airbag.serving.tensor import Array

BOLD = 5.0  # mean of the pixels (0 to 16) from which on a stroke is called bold; about half of the digits


def features(pixels: Array) -> dict[str, Array]:
    """Of (n, 64) pixels, each (n,): the ink of the whole drawing, of its upper half and of its left half, 0 to 16."""
    drawings = np.asarray(pixels, dtype=np.float64).reshape(-1, 8, 8)
    return {
        "ink": drawings.mean(axis=(1, 2)),
        "ink_top": drawings[:, :4].mean(axis=(1, 2)),
        "ink_left": drawings[:, :, :4].mean(axis=(1, 2)),
    }


def stroke(ink: float) -> str:
    """The segment of a drawing."""
    return "bold" if ink >= BOLD else "thin"
