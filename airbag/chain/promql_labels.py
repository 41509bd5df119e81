"""Which labels the result of a PromQL expression has, as far as the text tells."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from airbag.chain.documents import Rule

Kept = frozenset[str] | None
"""The labels; None for a selector or anything else that may have any."""

_TOKEN = re.compile(
    r'\s*(?:#[^\n]*\n\s*)*("(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|`[^`]*`|\[[^\]]*\]|[a-zA-Z_:][\w:]*'
    r"|\d[\w.]*(?:e[+-]?\d+)?|\.\d+|=~|!~|==|!=|>=|<=|.)",
    re.DOTALL | re.IGNORECASE,
)
_AGGREGATIONS = frozenset(
    {"sum", "min", "max", "avg", "count", "group", "stddev", "stdvar", "quantile", "count_values"}
)
_CHOICES = frozenset({"topk", "bottomk"})
_LEVELS = {
    "or": 1, "and": 2, "unless": 2, "==": 3, "!=": 3, ">": 3, "<": 3, ">=": 3, "<=": 3,
    "+": 4, "-": 4, "*": 5, "/": 5, "%": 5, "atan2": 5, "^": 6,
}  # fmt: skip
_SCALAR = object()
_LAST_ARGUMENT = frozenset({"histogram_quantile", "quantile_over_time"})
_DEPTH_MAX = 60


class _Unclear(Exception):
    """Not an expression that this reads; Prometheus may well."""


@dataclass
class _Scope:
    """The recorded series, what is known of them (one that rests on itself stays unknown), and how deep we are."""

    records: Mapping[str, Rule]
    known: dict[str, Kept] = field(default_factory=dict)
    depth: int = 0


def kept(expr: str, records: Mapping[str, Rule]) -> Kept:
    """The labels of the result; None when that cannot be told."""
    return _kept(expr, _Scope(records))


def _kept(expr: str, scope: _Scope) -> Kept:
    depth = scope.depth
    try:
        reader = _Reader(_TOKEN.findall(expr.strip()), scope)
        found = reader.expression(1)
    except _Unclear:
        return None
    finally:
        scope.depth = depth
    if reader.peek():
        return None
    return found if isinstance(found, frozenset) or found is None else frozenset()


class _Reader:
    def __init__(self, tokens: list[str], scope: _Scope) -> None:
        self._tokens = tokens
        self._at = 0
        self._scope = scope

    def peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def take(self, wanted: str = "") -> str:
        token = self.peek()
        if not token or (wanted and token != wanted):
            raise _Unclear
        self._at += 1
        return token

    def expression(self, level: int) -> object:
        """Precedence climbing; both sides of an operator become the labels of its result."""
        self._scope.depth += 1
        if self._scope.depth > _DEPTH_MAX:
            raise _Unclear
        left = self._operand()
        while _LEVELS.get(self.peek().lower(), 0) >= level:
            operator = self.take().lower()
            matching, names, many = self._matching()
            right = self.expression(_LEVELS[operator] + 1)
            left = _joined(left, right, operator, matching, names, many)
        self._scope.depth -= 1
        return left

    def _matching(self) -> tuple[str, frozenset[str], str]:
        matching, names, many = "", frozenset[str](), ""
        if self.peek().lower() == "bool":
            self.take()
        if self.peek().lower() in ("on", "ignoring"):
            matching, names = self.take().lower(), self._names()
        if self.peek().lower() in ("group_left", "group_right"):
            many = self.take().lower()
            if self.peek() == "(":
                self._names()
        return matching, names, many

    def _names(self) -> frozenset[str]:
        self.take("(")
        names = set()
        while self.peek() != ")":
            token = self.take()
            names |= {token} - {","}
        self.take(")")
        return frozenset(names)

    def _operand(self) -> object:
        word = self.take()
        if word in ("-", "+"):
            return self._operand()
        if word == "(":
            found = self.expression(1)
            self.take(")")
            return self._modified(found)
        if word[0].isdigit() or word[0] in ".\"'`" or word.lower() in ("inf", "nan"):
            return _SCALAR
        if word == "{":
            self._skip("{", "}")
            return self._modified(None)
        if not (word[0].isalpha() or word[0] in "_:"):
            raise _Unclear
        return self._modified(self._named(word))

    def _named(self, name: str) -> object:
        lower = name.lower()
        if lower in _AGGREGATIONS | _CHOICES and self.peek().lower() in ("(", "by", "without"):
            return self._aggregation(lower)
        if self.peek() == "(":
            return self._call(lower)
        if self.peek() == "{":
            self.take()
            self._skip("{", "}")
        return self._recorded(name)

    def _recorded(self, name: str) -> Kept:
        rule, known = self._scope.records.get(name), self._scope.known
        if rule is not None and name not in known:
            known[name] = None
            inner = _kept(rule.expr, self._scope)
            known[name] = None if inner is None else inner | frozenset(rule.labels)
        return known.get(name)

    def _aggregation(self, name: str) -> object:
        how, names = "", frozenset[str]()
        if self.peek().lower() in ("by", "without"):
            how, names = self.take().lower(), self._names()
        arguments = self._arguments()
        if self.peek().lower() in ("by", "without"):
            how, names = self.take().lower(), self._names()
        if name in _CHOICES and arguments:
            return arguments[-1]
        inner = arguments[-1] if arguments else None
        if how == "without":
            return inner - names if isinstance(inner, frozenset) else None
        return inner & names if isinstance(inner, frozenset) else names

    def _call(self, name: str) -> object:
        arguments = self._arguments()
        if name in ("vector", "time", "scalar", "pi") or not arguments:
            return _SCALAR
        if name.startswith(("label_", "absent")):
            return None
        return arguments[-1] if name in _LAST_ARGUMENT else arguments[0]

    def _arguments(self) -> list[object]:
        self.take("(")
        found: list[object] = []
        while self.peek() != ")":
            found.append(self.expression(1))
            if self.peek() == ",":
                self.take()
        self.take(")")
        return found

    def _modified(self, found: object) -> object:
        while self.peek()[:1] == "[" or self.peek().lower() in ("offset", "@"):
            if self.take()[0] == "[":
                continue
            if self.peek() == "-":
                self.take()
            if self.take() in ("start", "end"):
                self._names()
        return found

    def _skip(self, opening: str, closing: str) -> None:
        depth = 1
        while depth:
            token = self.take()
            depth += (token == opening) - (token == closing)


def _joined(left: object, right: object, operator: str, matching: str, names: frozenset[str], many: str) -> object:
    if left is _SCALAR or many == "group_right":
        return right
    if right is _SCALAR or many or operator in ("and", "unless"):
        return left
    if operator == "or":
        known = [side for side in (left, right) if isinstance(side, frozenset)]
        return frozenset.intersection(*known) if known else None
    if matching == "on":
        return names
    return left - names if isinstance(left, frozenset) else None
