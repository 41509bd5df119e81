"""A row of the suite: the section of the reference that it comes from, and what it states."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest


@dataclass(frozen=True)
class Row:
    """`evidence` is the reference's own: R was run on the real core, S read in its source, T tried with its parts.

    `group` names the server that the row gets when the suite starts servers itself. `needs` are facts about the
    server (see `facts`); where one does not hold the row is skipped. Rows with a higher `late` run later; from 9 on
    only a restart heals the server.
    """

    section: str
    statement: str = ""
    evidence: str = "R"
    group: str = "main"
    needs: tuple[str, ...] = ()
    late: int = 0

    @property
    def is_destructive(self) -> bool:
        return self.late >= 9


def row(section: str, **more: Any) -> pytest.MarkDecorator:
    """Mark a test as a row. Its docstring is the statement unless one is given."""
    return pytest.mark.row(Row(section, **more))


def table(section: str, rows: Mapping[str, Sequence[Any] | object], **more: Any) -> list[Any]:
    """Parameters for a test that runs once per row. The keys are the statements; a tuple is spread over the names."""
    return [
        pytest.param(
            *(values if isinstance(values, tuple) else (values,)),
            id=f"{section} {statement}".encode("ascii", "replace").decode(),
            marks=row(section, statement=statement, **more),
        )
        for statement, values in rows.items()
    ]


def of(item: pytest.Item) -> Row | None:
    """The row that a test is: the mark closest to it, with the docstring as its statement where it has none."""
    mark = item.get_closest_marker("row")
    if mark is None:
        return None
    found: Row = mark.args[0]
    text = found.statement or inspect.getdoc(getattr(item, "function", None)) or item.name
    statement = " ".join(text.split("\n\n")[0].split())
    return Row(found.section, statement, found.evidence, found.group, found.needs, found.late)
