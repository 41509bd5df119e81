"""What is wrong with a batch, gathered until it is worth telling."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from airbag_exporters.quality.columns import BadBatch

PROBLEMS_MAX = 10
"""How many are listed; further ones are only counted where that is cheap."""
TEXT_MAX = 300
"""Characters of a problem; what clients sent may stand in it."""

Place = Callable[[int], str]
"""Names a row by its number from 0: "line 3"."""


class Problems:
    """Problems by the row they are in. `place` is asked for rows with a problem only."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._found: list[tuple[int, str]] = []

    def add(self, row: int, field: str, text: str) -> None:
        """One row's field; `field` may be empty."""
        self._found.append((row, f"field `{field}`: {text}" if field else text))

    def add_rows(self, rows: NDArray[np.intp], field: str, text: str) -> None:
        """The same in several rows."""
        for row in rows[:PROBLEMS_MAX].tolist():
            self.add(row, field, text)

    @property
    def is_full(self) -> bool:
        """Whether no further problem would be told."""
        return len(self._found) >= PROBLEMS_MAX

    def as_error(self) -> BadBatch | None:
        """An error with a line a problem, if there are any."""
        told = [f"{self._place(row)}, {text}" for row, text in sorted(self._found)[:PROBLEMS_MAX]]
        return BadBatch("\n".join(map(shortened, told))) if told else None

    def refuse(self) -> None:
        """Raise that error, if there is one."""
        error = self.as_error()
        if error:
            raise error


def shortened(text: str) -> str:
    """One printable line of bounded length."""
    line = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return line if len(line) <= TEXT_MAX else f"{line[:TEXT_MAX]}..."
