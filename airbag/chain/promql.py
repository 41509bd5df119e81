"""What can be told of a PromQL expression without running it: the series, ranges and jobs that it names."""

from __future__ import annotations

import re
from collections.abc import Mapping

from airbag.chain.documents import Rule

_STRING = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|`[^`]*`')
_CLAUSE = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", re.IGNORECASE)
_NAME = re.compile(r"(?<![\w:.])([a-zA-Z_:][\w:]*)(?!\s*\()(?![\w:])")
_WORDS = frozenset(
    ["and", "or", "unless", "bool", "offset", "inf", "nan", "by", "without", "on", "ignoring", "group_left",
     "group_right", "start", "end"]
)  # fmt: skip
_RANGE = re.compile(r"\[\s*([^\]:\s]+)")
_JOB = re.compile(r"\bjob\s*(=~|=)\s*(\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*')")
_DOUBT = re.compile(r"(\d+(?:\.\d+)?)\s*\*\s*[\w:]*stderr")


def series(expr: str) -> set[str]:
    """The names of the series that it reads."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", _CLAUSE.sub(" ", _STRING.sub(" ", expr)))
    return {name for name in _NAME.findall(bare) if name.lower() not in _WORDS}


def ranges(expr: str) -> set[str]:
    """The windows that it looks back over, as written."""
    return set(_RANGE.findall(_STRING.sub('""', expr)))


def jobs(expr: str) -> set[tuple[str, bool]]:
    """The values that its matchers want the label `job` to have, each with whether that is a regular expression."""
    return {(value[1:-1], operator == "=~") for operator, value in _JOB.findall(expr)}


def behind(expr: str, records: Mapping[str, Rule]) -> list[str]:
    """The expression and those of all recorded series that it rests on."""
    found, waiting, seen = [], [expr], set[str]()
    while waiting:
        found.append(waiting.pop())
        for name in sorted(series(found[-1]) & records.keys() - seen):
            seen.add(name)
            waiting.append(records[name].expr)
    return found


def doubt(expr: str, records: Mapping[str, Rule]) -> float:
    """How many standard errors it grants to chance, by the recorded `...stderr...` that it or its records multiply."""
    return max((float(number) for each in behind(expr, records) for number in _DOUBT.findall(each)), default=0.0)
