"""The training profile that travels with every release, made by the command that users have."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from airbag_demo.drawing import features
from airbag_demo.trainer.network import Network, Rows

_FILE = Path("assets.extra", "airbag_reference.json")
_CONFIDENCE = "confidence"


def write(release: Path, network: Network, pixels: Rows, bins_of: Path | None = None) -> None:
    """Write the profile of `pixels` (n, 64) and of how sure the network is of its answers to them.

    With `bins_of`, a release that has one already, its bins are used, so that both can be compared.
    """
    logits = network.logits(pixels).numpy()
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    columns = {**features(pixels), _CONFIDENCE: (exponents / exponents.sum(axis=1, keepdims=True)).max(axis=1)}
    data = release.parent / f"{release.name}.training.ndjson"
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    data.write_text("".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows))
    bins = ["--edges-from", bins_of / _FILE] if bins_of else []
    command = [sys.executable, "-m", "airbag", "reference", "build", data, "--score", _CONFIDENCE,
               "--version-folder", release, *bins]  # fmt: skip
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
    data.unlink()


def copy(release: Path, other: Path) -> None:
    """Give a release the profile of another one."""
    (release / _FILE).parent.mkdir(exist_ok=True)
    (release / _FILE).write_bytes((other / _FILE).read_bytes())
