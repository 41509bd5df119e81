"""Builds a reference in two passes over the data: first the edges, then exact counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np

from airbag.errors import ConfigError, Problem
from airbag_exporters.quality.columns import Coded, Floats
from airbag_exporters.quality.reference.chunk import Chunk, Read, Table
from airbag_exporters.quality.reference.edges import edges
from airbag_exporters.quality.reference.plan import Plan
from airbag_exporters.quality.reference.sample import row_keys, sample_rows
from airbag_exporters.quality.reference.tally import ExactSum, NumberSurvey, NumberTally, TextSurvey, TextTally
from airbag_exporters.quality.reference.value import Categorical, Numeric, Reference

Begin = Callable[[str, int], Read]
"""Told the name and the size of a pass; gives what is told of its progress."""


def unseen(name: str, size: int) -> Read:  # noqa: ARG001 - the signature of Begin
    """Progress that nobody looks at."""
    return lambda _: None


@dataclass(frozen=True)
class Fineness:
    """How many bins the features have, how many the score has for AUC, and how many categories are told apart."""

    bins: int = 10
    score_bins: int = 50
    top: int = 20


@dataclass(frozen=True)
class Bins:
    """Where values are counted: a name has either edges or categories."""

    edges: Mapping[str, tuple[float, ...]]
    categories: Mapping[str, list[str]]
    score_edges: tuple[float, ...] = ()
    target_mean: float = 0.0
    sampled: int = 0
    """How many rows the edges rest on, where they do not rest on all."""


@dataclass(frozen=True)
class Built:
    """A reference, and what whoever builds it should know besides."""

    reference: Reference
    notes: Sequence[str] = ()


def build(tables: Sequence[Table], plan: Plan, fineness: Fineness, built_at: str, begin: Begin = unseen) -> Built:
    """Choose bins and count; ConfigError lists every column that no profile can be made of."""
    bins, rows = survey(tables, plan, fineness, begin)
    built = count(tables, plan, bins, built_at, begin)
    if built.reference.rows != rows:
        raise ConfigError("data", [Problem("data", "changed while it was read", "build again once it rests")])
    return built


def bins_of(reference: Reference, score: str | None) -> Bins:
    """The bins of a reference, to count other data in; `score` is the column that its score is counted from."""
    profiles = dict(reference.features)
    if reference.score and score:
        profiles[score] = reference.score
    return Bins(
        {name: each.edges for name, each in profiles.items() if isinstance(each, Numeric)},
        {name: list(each.counts) for name, each in profiles.items() if isinstance(each, Categorical)},
        reference.score_edges,
        reference.target_mean,
    )


def survey(tables: Sequence[Table], plan: Plan, fineness: Fineness, begin: Begin = unseen) -> tuple[Bins, int]:
    """The first pass: bins, and the number of rows."""
    size = sample_rows(len(plan.kinds))
    surveys = {name: NumberSurvey(size) if kind == "numeric" else TextSurvey() for name, kind in plan.kinds.items()}
    total, rows = ExactSum(), 0
    for chunk in _checked(tables, plan, begin("edges", sum(table.size for table in tables))):
        keys = row_keys(rows, chunk.rows)
        rows += chunk.rows
        for name, values in chunk.columns.items():
            each = surveys[name]
            if isinstance(each, TextSurvey):
                each.add(_texts(values))
            else:
                each.add(_numbers(values), keys)
        if plan.target is not None and plan.target in chunk.columns:
            target = _numbers(chunk.columns[plan.target])
            total.add(target[np.isfinite(target)])
    _raise({name: each.problem() for name, each in surveys.items()})
    return _bins(surveys, plan, fineness, total, size), rows


def _bins(
    surveys: Mapping[str, NumberSurvey | TextSurvey], plan: Plan, fineness: Fineness, total: ExactSum, size: int
) -> Bins:
    numbers = {name: each.sample for name, each in surveys.items() if isinstance(each, NumberSurvey)}
    texts = {name: each for name, each in surveys.items() if isinstance(each, TextSurvey)}
    read = [name for name in numbers if name != plan.target]
    return Bins(
        {name: edges(numbers[name].values(), fineness.bins) for name in read},
        {name: each.top(fineness.top) for name, each in texts.items()},
        edges(numbers[plan.score].values(), fineness.score_bins) if plan.score else (),
        total.mean() if plan.target else 0.0,
        size if any(numbers[name].seen > size for name in read) else 0,
    )


@dataclass
class _Counted:
    rows: int = 0
    tallies: dict[str, NumberTally | TextTally] = field(default_factory=dict)

    def add(self, chunk: Chunk) -> None:
        self.rows += chunk.rows
        for name, values in chunk.columns.items():
            each = self.tallies.get(name)
            if isinstance(each, TextTally):
                each.add(_texts(values))
            elif each is not None:
                each.add(_numbers(values))


def count(tables: Sequence[Table], plan: Plan, bins: Bins, built_at: str, begin: Begin = unseen) -> Built:
    """The second pass: exact counts in bins that are known."""
    tallies: dict[str, NumberTally | TextTally] = {
        **{name: NumberTally(each) for name, each in bins.edges.items()},
        **{name: TextTally(each) for name, each in bins.categories.items()},
    }
    counted = _Counted(0, tallies)
    for chunk in _checked(tables, plan, begin("counts", sum(table.size for table in tables))):
        counted.add(chunk)
    _raise({name: each.problem() for name, each in tallies.items()})
    profiles = {name: tallies[name].profile() for name in [*plan.features, *([plan.score] if plan.score else [])]}
    score = profiles.pop(plan.score) if plan.score else None
    reference = Reference(
        rows=counted.rows, features=profiles, score=score if isinstance(score, Numeric) else None,
        score_edges=bins.score_edges, target_mean=bins.target_mean,
        source=_source(tables, counted.rows, bins.sampled), built_at=built_at,
    )  # fmt: skip
    return Built(reference, _notes(tallies))


def _checked(tables: Sequence[Table], plan: Plan, read: Read) -> Iterator[Chunk]:
    """All chunks of all tables. ConfigError at the end, with the first bad value of each column, or without rows."""
    bad: dict[str, str] = {}
    rows = 0
    for table in tables:
        for chunk in table.chunks(plan.kinds, read):
            bad = {**chunk.bad, **bad}
            rows += chunk.rows
            yield chunk
    _raise(bad)
    if not rows:
        raise ConfigError("data", [Problem("data", "has no rows")])


def _raise(bad: Mapping[str, str]) -> None:
    problems = [Problem(f"column `{name}`", what) for name, what in bad.items() if what]
    if problems:
        raise ConfigError("data", problems)


def _texts(values: object) -> Coded:
    if not isinstance(values, Coded):
        raise TypeError("a categorical column holds texts")
    return values


def _numbers(values: object) -> Floats:
    if isinstance(values, Coded):
        raise TypeError("a numeric column holds numbers")
    return cast("Floats", values)


def _source(tables: Sequence[Table], rows: int, sampled: int) -> str:
    names = ", ".join(table.path.name for table in tables[:5]) + (", ..." if len(tables) > 5 else "")
    edges_from = f"; edges from a random sample of {sampled:,} rows per column" if sampled else ""
    return f"{rows:,} rows of {names}{edges_from}"


def _notes(tallies: Mapping[str, NumberTally | TextTally]) -> list[str]:
    numbers = {name: each for name, each in tallies.items() if isinstance(each, NumberTally)}
    infinite = [f"column `{name}`: {each.infinite} infinities, out of any range" for name, each in numbers.items()
                if each.infinite]  # fmt: skip
    single = [f"column `{name}`: is constant, so that only out-of-range values will show" for name, each in
              numbers.items() if not each.edges]  # fmt: skip
    return infinite + single
