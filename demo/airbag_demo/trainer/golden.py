"""Golden requests that travel with every release: one row of each digit whose answer people know."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from airbag_demo.trainer.network import Classes, Network, Rows


def requests(pixels: Rows, digits: Classes, good: Sequence[Network]) -> list[dict[str, object]]:
    """One request a digit: the first row that every good network reads as its label says."""
    read = [np.argmax(network.logits(pixels).numpy(), axis=1) == digits for network in good]
    right = np.logical_and.reduce(read)
    return [_request(digit, pixels[np.flatnonzero(right & (digits == digit))[0]]) for digit in range(10)]


def _request(digit: int, row: Rows) -> dict[str, object]:
    return {
        "name": f"digit-{digit}",
        "inputs": {"pixels": [row.tolist()]},
        "expect": {"digit": {"values": [digit]}, "probabilities": {"argmax": [digit], "min": 0.0, "max": 1.0}},
    }


def write(release: Path, golden: list[dict[str, object]]) -> None:
    """Put them where the exporter looks for them, beside the model."""
    folder = release / "assets.extra"
    folder.mkdir(exist_ok=True)
    (folder / "airbag_golden.json").write_text(json.dumps({"requests": golden}) + "\n")
