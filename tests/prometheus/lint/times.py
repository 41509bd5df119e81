"""Checks of durations against how often a number comes."""

from __future__ import annotations

from collections.abc import Iterator

import promql_parser as ast

from tests.fakes import promql
from tests.prometheus.lint.world import Rule, World

_SCRAPES_IN_A_RANGE = 4  # 3.x leaves out the left edge, and one scrape may be lost
_LOOKBACK = 300
_RETENTION = 15 * 86400  # Prometheus' default


def ranges(rule: Rule, world: World) -> Iterator[str]:
    """A range with too few numbers in it, or that reaches further back than anything is kept."""
    for node in promql.nodes(rule.tree):
        if isinstance(node, ast.MatrixSelector):
            length, pace = node.range.total_seconds(), world.pace(node.vector_selector)
            if length < _SCRAPES_IN_A_RANGE * pace:
                yield f"{length:g} s of {node.vector_selector.name}, which comes every {pace:g} s"
        back = getattr(node, "offset", None)
        length = getattr(node, "range", None)
        if sum(each.total_seconds() for each in (back, length) if each) > _RETENTION:
            yield "reaches further back than Prometheus keeps numbers"


def holds(rule: Rule, world: World) -> Iterator[str]:
    """A `for` that one missing or odd scrape decides, and an absence that is believed at once."""
    if not rule.is_alert:
        return
    # What a range looks at is more than one number already.
    every = max((world.pace(selector) for selector in _momentary(rule.tree)), default=0)
    # Two evaluations in a row see two scrapes when they are no faster than those.
    least = every if rule.interval >= every else 2 * every
    if rule.hold is not None and rule.hold < least:
        yield f"for {rule.hold:g} s, and a number comes every {every:g} s"
    if rule.hold is not None and rule.hold < rule.interval:
        yield f"for {rule.hold:g} s, and is looked at every {rule.interval:g} s"
    if rule.hold is None and any(_is_absence(node) for node in promql.nodes(rule.tree)):
        yield "takes the first absence for the truth"


def _momentary(expr: ast.Expr) -> Iterator[ast.VectorSelector]:
    if isinstance(expr, ast.VectorSelector):
        yield expr
    elif not isinstance(expr, ast.MatrixSelector):
        for inner in promql.children(expr):
            yield from _momentary(inner)


def _is_absence(node: ast.Expr) -> bool:
    return isinstance(node, ast.Call) and node.func.name == "absent"


def groups(rule: Rule, world: World) -> Iterator[str]:
    """A group so slow that its records are gone before they come again."""
    if rule.interval > _LOOKBACK:
        yield f"its group runs every {rule.interval:g} s"
