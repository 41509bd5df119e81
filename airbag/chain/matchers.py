"""Alertmanager's matchers, in the new form (`matchers: ['a="b"']`) and the old one (`match`, `match_re`)."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_FORM = re.compile(r'\s*("?)([^\s="!~]+)\1\s*(=~|!~|!=|=)\s*(.*?)\s*', re.DOTALL)
_PARTS = re.compile(r'(?:"(?:\\.|[^"\\])*"|[^",])+', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class NotAMatcher(ValueError):
    """A text that is none; the message says what is wrong."""


@dataclass(frozen=True)
class Matcher:
    """One condition on one label. A label that is not there has the value ""."""

    name: str
    operator: str
    value: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether these labels meet it; a regular expression has to match the whole value."""
        given = labels.get(self.name, "")
        if self.operator in ("=~", "!~"):
            return bool(re.fullmatch(self.value, given, re.DOTALL)) == (self.operator == "=~")
        return (given == self.value) == (self.operator == "=")


def of(lines: Iterable[str], equal: Mapping[str, str], regex: Mapping[str, str]) -> list[Matcher]:
    """All matchers of a route or a side of an inhibit rule; NotAMatcher for the first that is none."""
    found = [_one(part) for line in lines for part in _parts(line)]
    found += [Matcher(name, "=", value) for name, value in equal.items()]
    found += [_checked(Matcher(name, "=~", value)) for name, value in regex.items()]
    return found


def _parts(line: str) -> list[str]:
    """A line may hold several, between commas and in braces."""
    text = line.strip()
    if text[:1] == "{" and text[-1:] == "}":
        text = text[1:-1]
    return [part for part in _PARTS.findall(text) if part.strip()]


def _one(text: str) -> Matcher:
    found = _FORM.fullmatch(text)
    if not found:
        raise NotAMatcher(f"{text.strip()!r} is no matcher; write it such as 'severity=\"critical\"'")
    value = found[4]
    if value[:1] == '"':
        if len(value) < 2 or value[-1] != '"':
            raise NotAMatcher(f"{text.strip()!r} has a quote that does not end")
        value = _ESCAPE.sub(lambda hit: {"n": "\n"}.get(hit[1], hit[1]) if hit[1] in 'n"\\' else hit[0], value[1:-1])
    return _checked(Matcher(found[2], found[3], value))


def _checked(matcher: Matcher) -> Matcher:
    if matcher.operator in ("=~", "!~"):
        try:
            with warnings.catch_warnings(action="ignore"):  # of what Python will read differently one day
                re.compile(matcher.value, re.DOTALL)
        except (re.error, RecursionError, OverflowError) as error:
            raise NotAMatcher(f"{matcher.value!r} is no regular expression: {error}") from error
    return matcher
