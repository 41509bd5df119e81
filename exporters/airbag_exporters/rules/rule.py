"""What a rule file is made of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Record:
    """A recording rule. Its name is `level:metric:operation`; the level says which labels it has."""

    name: str
    expr: str


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated one after the other, so that each sees what those before it have just said.

    `rules` is YAML as a person wrote it: a list of rules, mostly alerts, which come after the records.
    """

    name: str
    interval: str
    records: tuple[Record, ...] = ()
    rules: str = ""
