"""Prometheus' classic text format, for pages that are too large for one object per series."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


@dataclass(frozen=True)
class Family:
    """One metric family. `name` is the one on the page, so that of a counter ends in `_total`."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    text: str
    labels: tuple[str, ...]

    @property
    def head(self) -> str:
        """The lines before the samples."""
        text = self.text.replace("\\", "\\\\").replace("\n", "\\n")
        return f"# HELP {self.name} {text}\n# TYPE {self.name} {self.kind}\n"

    def series(self, values: Sequence[str], suffix: str = "", more: str = "") -> str:
        """A sample line up to its value. `more` are further labels, ready to print."""
        if len(values) != len(self.labels):
            raise ValueError(f"{self.name} has the labels {self.labels}, got {values}")
        pairs = [f'{name}="{escaped(value)}"' for name, value in zip(self.labels, values, strict=True)]
        return f"{self.name}{suffix}{{{','.join([*pairs, more] if more else pairs)}}} "

    def sample(self, values: Sequence[str], value: float) -> str:
        """A whole sample line."""
        return f"{self.series(values)}{number(value)}\n"


class Samples:
    """The samples of some families, gathered in any order and written family by family."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._lines: dict[Family, list[str]] = {family: [] for family in families}

    def add(self, family: Family, values: Sequence[str], value: float) -> None:
        """Add one sample."""
        self._lines[family].append(family.sample(values, value))

    def text(self) -> Mapping[Family, str]:
        """The sample lines of each family, without its head."""
        return {family: "".join(lines) for family, lines in self._lines.items()}

    def page(self) -> bytes:
        """The whole page; a family without samples shows its head all the same."""
        return "".join(f"{family.head}{text}" for family, text in self.text().items()).encode(errors="replace")


def escaped(value: str) -> str:
    """A label value as it stands between quotes."""
    return value.translate(_ESCAPES)


def number(value: float) -> str:
    """A sample value: whole numbers without a point, and the words that the format has for what is no number."""
    if isinstance(value, int):
        return str(int(value))
    if math.isfinite(value):
        return repr(float(value))
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
