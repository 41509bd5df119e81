"""Where ticks, marks and gaps of a chart are."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from airbag_rollback.report.incident import Mark
from airbag_rollback.report.past import Points
from airbag_rollback.report.units import since

_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400)
_MOST = 8
_ROWS = 5
_LETTER = 0.0107
"""How much of the width of a chart a letter of a mark takes."""


def ticks(start: float, end: float, zero: float) -> tuple[list[float], list[str]]:
    """Round numbers of seconds from `zero` on, each with its time of day in UTC above."""
    span = end - start
    step = next((each for each in _STEPS if span / each <= _MOST), 0) or 86_400 * math.ceil(span / 86_400 / _MOST)
    count = range(math.ceil((start - zero) / step), math.floor((end - zero) / step) + 1)
    how = "%H:%M:%S" if span <= 86_400 else "%m-%d %H:%M"
    at = [zero + number * step for number in count]
    return at, [f"{datetime.fromtimestamp(each, UTC).strftime(how)}\n{since(round(each - zero))}" for each in at]


def with_gaps(points: Points, step: float) -> tuple[list[float], list[float]]:
    """Times and values, with NaN where nothing was measured in between: a line is only drawn along what was."""
    times: list[float] = []
    values: list[float] = []
    for at, value in points:
        if times and at - times[-1] > 1.5 * step:
            times.append(at)
            values.append(math.nan)
        times.append(at)
        values.append(value)
    return times, values


def leans(mark: Mark, start: float, end: float) -> str:
    """To which side of its line the text of a mark stands, so that it stays inside."""
    return "left" if (mark.at - start) / (end - start) < 0.75 else "right"


def placed(marks: list[Mark], start: float, end: float) -> list[tuple[Mark, int]]:
    """Each mark with the row of its text, 0 the lowest: texts do not lie on each other. -1: no room for the text."""
    rows: list[list[tuple[float, float]]] = []
    found: list[tuple[Mark, int]] = []
    for mark in marks:
        at, wide = (mark.at - start) / (end - start), _LETTER * (len(mark.text) + 1)
        reach = (at, at + wide) if leans(mark, start, end) == "left" else (at - wide, at)
        row = next(
            (n for n, taken in enumerate(rows) if all(reach[1] < a or b < reach[0] for a, b in taken)), len(rows)
        )
        if row == _ROWS:
            found.append((mark, -1))
            continue
        if row == len(rows):
            rows.append([])
        rows[row].append(reach)
        found.append((mark, row))
    return found
