"""What is wrong, or worth knowing, somewhere in the chain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from airbag.errors import ConfigError


class Level(StrEnum):
    """A problem keeps the chain from doing its work; a note only deserves a look."""

    PROBLEM = "problem"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """One finding: in which file, where in it, what, and what would be right."""

    file: str
    path: str
    what: str
    remedy: str = ""
    level: Level = Level.PROBLEM

    def __str__(self) -> str:
        return f"{self.file}: {self.path}: {self.what}" + (f" ({self.remedy})" if self.remedy else "")


def note(file: str, path: str, what: str, remedy: str = "") -> Finding:
    """A finding that is no problem."""
    return Finding(file, path, what, remedy, Level.NOTE)


def of_error(file: str, error: ConfigError, level: Level = Level.PROBLEM) -> list[Finding]:
    """Everything that a file was refused for. A file that is not there is missing as such, not at a place in it."""
    return [
        Finding(file, "file", each.what, "write it, or name another one", level)
        if each.path == error.source
        else Finding(file, each.path, each.what, each.remedy, level)
        for each in error.problems
    ]


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Each once, problems first, otherwise as found."""
    once = list(dict.fromkeys(findings))
    return sorted(once, key=lambda each: each.level is Level.NOTE)
