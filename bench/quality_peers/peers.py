"""Which peers there are, the rows that they get, and what they say."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench._report import Measured
from bench.quality_peers.environments import NotInstalled, python_of

FEATURES = 20
REFERENCE_ROWS, ROWS = 20_000, 100_000
SHIFTED, WIDENED = 3, 7  # features that drift: the mean by 0.3 standard deviations, the spread by half
_PATIENCE = 240  # seconds


@dataclass(frozen=True)
class Peer:
    """`script` lies beside this file and runs in the peer's own environment; `drift` is what it computes."""

    name: str
    requirements: tuple[str, ...]
    drift: str

    @property
    def script(self) -> Path:
        """Prints one JSON object: `seconds` for the live rows, `rss_mib` at its peak, `drift` by feature."""
        return Path(__file__).with_name(f"{self.name}_drift.py")

    @property
    def title(self) -> str:
        """The peer as the report calls it."""
        version = self.requirements[0].partition("==")[2]
        return f"{self.name} {version}, {self.drift}, one core"


# Neither runs with what pip would choose today: pandas 3 breaks both, numpy 2 the first.
PEERS = (
    Peer("whylogs", ("whylogs[viz]==1.6.4", "numpy<2", "pandas<2.3"), "profile and Hellinger distance"),
    Peer("evidently", ("evidently==0.7.23", "pandas<3"), "PSI preset"),
)


Rows = NDArray[np.float64]
Ours = Callable[[Rows, Rows], tuple[float, Sequence[float]]]
"""Told the reference's and the live rows, each (n, features); gives rows per second and the PSI of every feature."""


def drift_by_peers(ours: Ours) -> dict[str, Measured]:
    """Ours beside each peer's, on the same rows. A peer that cannot be had has no value, and says why on the way."""
    rng = np.random.default_rng(7)
    live, reference = rng.normal(size=(ROWS, FEATURES)), rng.normal(size=(REFERENCE_ROWS, FEATURES))
    live[:, SHIFTED] += 0.3
    live[:, WIDENED] *= 1.5
    rate, values = ours(reference, live)
    _tell("airbag", rate, "PSI from counters", values)
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.npz"
        np.savez(rows, reference=reference, live=live)
        return {
            f"drift_rows_per_second_beside_{peer.name}": Measured(
                rate, "rows/s", None, "higher", peer.title, _rate(peer, _asked(peer, rows))
            )
            for peer in PEERS
        }


def _asked(peer: Peer, rows: Path) -> dict[str, Any] | None:
    try:
        python = python_of(peer.name, peer.requirements)
    except NotInstalled as error:
        print(f"{peer.name}: cannot be installed here: {error}", flush=True)
        return None
    command = [str(python), "-W", "ignore", str(peer.script), str(rows)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=True)
        said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        told = getattr(error, "stderr", None) or str(error)
        print(f"{peer.name}: cannot be measured here: {str(told).strip()[-300:]}", flush=True)
        return None
    return said


def _rate(peer: Peer, said: dict[str, Any] | None) -> float | None:
    if said is None:
        return None
    rate = ROWS / float(said["seconds"])
    _tell(
        f"{peer.name} ({said['rss_mib']:.0f} MiB)", rate, peer.drift, [float(each) for each in said["drift"].values()]
    )
    return rate


def _tell(who: str, rate: float, what: str, values: Sequence[float]) -> None:
    print(
        f"{who}: {rate:,.0f} rows/s; {what}: {values[SHIFTED]:.4f} and {values[WIDENED]:.4f} where features drift, "
        f"{np.median(values):.4f} elsewhere",
        flush=True,
    )
