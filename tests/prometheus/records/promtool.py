"""Cases for promtool made of counted rows: what replicas showed, and what the records must say."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.fakes import shipped
from tests.fakes.binaries import RELEASES, run

Labels = Mapping[str, str]
Series = tuple[str, tuple[tuple[str, str], ...]]
Counts = dict[Series, float]

SCRAPES = 20
"""In a window, which is then covered exactly: nothing is left to extrapolate."""
RESTART = 10
"""The scrape at which the second replica has just restarted and shows 0."""


@dataclass(frozen=True)
class Sample:
    """What one series of a record must be, with all of its labels."""

    record: str
    labels: Labels
    value: float
    tolerance: float = 1e-9


@dataclass(frozen=True)
class Case:
    """`series` hold one value a scrape, `scrape` seconds apart; the rules run `every` so many seconds until `at`.

    A record that is named in `expected` has exactly the series that stand there, one in `absent` has none. `files` are
    the rule files that run: all of them, unless days of samples would make that slow.
    """

    series: Mapping[str, Sequence[float]]
    expected: Sequence[Sample]
    absent: Sequence[str] = ()
    scrape: float = 15
    every: int = 300
    at: int = 300
    files: str = "*.yml"


def series(name: str, **labels: str) -> Series:
    """The key of a counted series."""
    return name, tuple(sorted(labels.items()))


def replayed(count: Callable[[np.ndarray], Counts], rows: int) -> dict[str, list[float]]:
    """The counters of two replicas that share the rows unevenly; the second loses its counters half way.

    `count` counts the rows with the given numbers, and knows every series that there can be.
    """
    shuffled = np.random.default_rng(5).permutation(rows)
    steps = np.array_split(shuffled, SCRAPES - 1)
    first = [step[: len(step) * 7 // 10] for step in steps]
    second = [step[len(step) * 7 // 10 :] for step in steps]
    nothing = count(np.array([], dtype=int))
    shown: dict[str, list[float]] = {}
    for replica, share, restart in (("a", first, None), ("b", second, RESTART)):
        now = dict(nothing)
        pages = [dict(now), dict(now)]
        for number, step in enumerate(share, start=2):
            if number == restart:
                pages.append(dict(nothing))
                now = dict(nothing)
            for key, amount in count(step).items():
                now[key] += amount
            pages.append(dict(now)) if number != restart else None
        for key in nothing:
            shown[text(key, instance=replica)] = [page[key] for page in pages]
    return shown


def text(key: Series, **more: str) -> str:
    """As PromQL writes it."""
    pairs = ", ".join(f"{name}={json.dumps(value)}" for name, value in (*key[1], *more.items()))
    return f"{key[0]}{{{pairs}}}"


def gauges(counts: Counts, points: int = SCRAPES + 1) -> dict[str, list[float]]:
    """What does not change, from both replicas."""
    return {text(key, instance=replica): [value] * points for key, value in counts.items() for replica in "ab"}


def verify(case: Case, folder: Path, rules: Path = shipped.RULES) -> None:
    """Run promtool of both releases on the rule files of a folder."""
    document = {
        "rule_files": sorted(str(path) for path in rules.glob(case.files)),
        "evaluation_interval": f"{case.every}s",
        "group_eval_order": shipped.groups(),  # any order, by chance, unless it is told
        "tests": [
            {
                "interval": f"{round(case.scrape * 1000)}ms",
                "input_series": [
                    {"series": name, "values": " ".join(map(_number, values))} for name, values in case.series.items()
                ],
                "promql_expr_test": [
                    _finite(case.at),
                    *_shapes(case),
                    *(_value(sample, case.at) for sample in case.expected),
                ],
            }
        ],
    }
    file = folder / "case.yml"
    file.write_text(json.dumps(document))
    for release in RELEASES:
        assert "SUCCESS" in run("promtool", "test", "rules", file, release=release)


def _finite(at: int) -> dict[str, object]:
    """No record is infinite or not a number: that would be a verdict that says nothing."""
    every = '{__name__=~"(model|pipeline).*:.+"}'
    return {
        "expr": f"count({every}) - count({every} > -Inf < Inf)",
        "eval_time": f"{at}s",
        "exp_samples": [{"labels": "{}", "value": 0}],
    }


def _shapes(case: Case) -> list[dict[str, object]]:
    records: dict[str, set[str]] = {record: set() for record in case.absent}
    for sample in case.expected:
        records.setdefault(sample.record, set()).add(text(series("", **sample.labels)))
    return [
        {
            "expr": f"{record} * 0",
            "eval_time": f"{case.at}s",
            "exp_samples": [{"labels": labels, "value": 0} for labels in sorted(found)],
        }
        for record, found in records.items()
    ]


def _value(sample: Sample, at: int) -> dict[str, object]:
    """Asks for the expected value itself when the record is close to it, so that promtool shows the record if not."""
    selected = text(series(sample.record, **sample.labels))
    wanted = _number(sample.value)
    far = f"{selected} and abs({selected} - ({wanted})) > {_number(sample.tolerance)}"
    return {
        "expr": f"({far}) or ({selected} * 0 + ({wanted}))",
        "eval_time": f"{at}s",
        "exp_samples": [{"labels": text(series("", **sample.labels)), "value": float(wanted)}],
    }


def _number(value: float) -> str:
    return str(np.format_float_positional(value, trim="-"))
