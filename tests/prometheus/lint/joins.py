"""Checks of how series are put together."""

from __future__ import annotations

from collections.abc import Iterator

import promql_parser as ast

from tests.fakes import promql
from tests.prometheus.lint.world import TARGET, Rule, World
from tests.prometheus.records.levels import LEVELS, labels_of


def aggregations(rule: Rule, world: World) -> Iterator[str]:
    """A label to sum by that there is not."""
    for node in promql.nodes(rule.tree):
        if isinstance(node, ast.AggregateExpr) and node.modifier:
            lost = set(node.modifier.labels) - promql.labels(node.expr, world.labels)
            if lost:
                yield f"{node.op} by {', '.join(sorted(lost))}, which is not there"


def joins(rule: Rule, world: World) -> Iterator[str]:
    """Two sides that never meet, because they are not compared by the same labels."""
    for node in promql.nodes(rule.tree):
        if not isinstance(node, ast.BinaryExpr) or str(node.op) == "or":
            continue
        sides = promql.matched_on(node, world.labels)
        if sides is None:
            continue
        named = node.modifier.matching.labels if node.modifier and node.modifier.matching else []
        for label in sorted((sides[0] ^ sides[1]) | (set(named) - sides[0] - sides[1])):
            if label in sides[0] | sides[1] or _includes(node):
                yield f"{node.op}: only one side has {label}"


def _includes(node: ast.BinaryExpr) -> bool:
    return bool(node.modifier and node.modifier.matching.type == ast.LabelModifierType.Include)


def levels(rule: Rule, world: World) -> Iterator[str]:
    """A record whose labels are not those of its level, or that still has what names a target."""
    if rule.is_alert:
        return
    level = rule.name.partition(":")[0]
    if level not in LEVELS:
        yield f"{level} is no level"
        return
    # Bins have no category, and categories no bin: a level of bins says which labels there can be.
    held, most = promql.labels(rule.tree, world.labels), labels_of(rule.name)
    if held != most and not ("_bin" in level and held < most):
        yield f"has the labels {', '.join(sorted(held))}"


def conflicts(rule: Rule, world: World) -> Iterator[str]:
    """A label that Prometheus sets as well; a label on a record, which would hide that of a series."""
    for label in set(rule.labels) & (world.external_labels | TARGET | {"alertname"}):
        yield f"sets the label {label}"
    if rule.labels and not rule.is_alert:
        yield "is a record with labels of its own"
