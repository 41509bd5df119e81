"""The one line that every benchmark ends with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Measured:
    """A number, what it should reach, and what the peer that it is compared with reaches in the same run."""

    value: float
    unit: str
    target: float | None = None
    better: Literal["lower", "higher"] = "lower"
    peer: str | None = None
    peer_value: float | None = None

    @property
    def is_reached(self) -> bool:
        """Whether the target is met; without one it always is."""
        if self.target is None:
            return True
        return self.value <= self.target if self.better == "lower" else self.value >= self.target


def report(name: str, metrics: dict[str, Measured]) -> None:
    """Print the JSON object."""
    rounded = {
        key: {**vars(each), "value": round(each.value, 3), "peer_value": each.peer_value and round(each.peer_value, 3)}
        for key, each in metrics.items()
    }
    print(json.dumps({"name": name, "ok": all(each.is_reached for each in metrics.values()), "metrics": rounded}))
