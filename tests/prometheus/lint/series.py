"""Checks of the series that a rule asks for, and of what it does with their numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import promql_parser as ast

from tests.fakes import promql
from tests.prometheus.lint.world import Rule, World

_OF_COUNTERS = {"rate", "increase", "irate", "resets"}
_OF_GAUGES = {"delta", "idelta", "deriv", "predict_linear"}
_OF_BOTH = {"count_over_time", "present_over_time", "absent", "absent_over_time"}
_PATTERN = re.compile(r"[.*+?|()\[\]{}\\^$]")
_ABOVE_0 = {
    "model:airbag_tfs_errors:budget_ratio": "the configuration refuses an objective of 1",
    "model:airbag_tfs_slow_requests:budget_ratio": "the same",
    "model_version_feature:airbag_quality_reference:rows": "a reference without rows is refused",
    "model_version:airbag_tfs_request_duration_seconds:p50": "a quantile lies inside of its bucket",
}
_GUARDED_OUTSIDE = {
    "model_version_feature:airbag_quality_missing:significant": "its last factor is absent without rows",
}
_BANNED = {
    "double_exponential_smoothing", "holt_winters", "mad_over_time", "sort_by_label", "sort_by_label_desc",
    "histogram_avg", "limitk", "limit_ratio", "info", "first_over_time", "topk", "bottomk", "irate", "sort",
}  # fmt: skip
"""What one of the supported Prometheus versions lacks, and what makes no stable rule."""


def exists(rule: Rule, world: World) -> Iterator[str]:
    """A series that nothing exports or records, a label that it does not have."""
    for selector in promql.selectors(rule.tree):
        name = str(selector.name)
        if not world.knows(name):
            yield f"nothing exports {name}"
            continue
        for matcher in selector.matchers.matchers:
            if matcher.name not in world.labels(name):
                yield f"{name} has no label {matcher.name}"


def matchers(rule: Rule, world: World) -> Iterator[str]:
    """A regular expression without a pattern or with anchors, a bucket by its bound: 3.x writes those differently."""
    for selector in promql.selectors(rule.tree):
        for matcher in selector.matchers.matchers:
            if matcher.name in {"le", "quantile"}:
                yield f"names the value {matcher.value} of {matcher.name}"
            if matcher.op in (ast.MatchOp.Re, ast.MatchOp.NotRe):
                if not _PATTERN.search(matcher.value):
                    yield f"{matcher.name}={matcher.value} is no pattern"
                if matcher.value.startswith("^") or matcher.value.endswith("$"):
                    yield f"{matcher.value} is anchored anyway"


def functions(rule: Rule, world: World) -> Iterator[str]:
    """A function or aggregation that not every supported version has, or that makes no stable rule."""
    for node in promql.nodes(rule.tree):
        name = node.func.name if isinstance(node, ast.Call) else str(getattr(node, "op", ""))
        if name in _BANNED:
            yield f"uses {name}"


def counters(rule: Rule, world: World) -> Iterator[str]:
    """The rate of what is no counter, and a counter whose number is used as it is, which a restart changes."""
    inside: set[int] = set()
    for node in promql.nodes(rule.tree):
        if isinstance(node, ast.AggregateExpr) and str(node.op) in {"count", "count_values", "group"}:
            inside |= {_key(selector) for selector in promql.selectors(node)}
        if not isinstance(node, ast.Call) or node.func.name not in _OF_COUNTERS | _OF_GAUGES | _OF_BOTH:
            continue
        for selector in promql.selectors(node):
            inside.add(_key(selector))
            counter = world.types.get(str(selector.name)) == "counter"
            if node.func.name in _OF_COUNTERS and not counter:
                yield f"{node.func.name} of {selector.name}, which is no counter"
            if node.func.name in _OF_GAUGES and counter:
                yield f"{node.func.name} of {selector.name}, which is a counter"
    for selector in promql.selectors(rule.tree):
        if world.types.get(str(selector.name)) == "counter" and _key(selector) not in inside:
            yield f"takes the number of the counter {selector.name}"


def _key(selector: ast.VectorSelector) -> int:
    return hash(selector.prettify())


def units(rule: Rule, world: World) -> Iterator[str]:
    """A counter that does not say so, an age of what is no time."""
    for node in promql.nodes(rule.tree):
        if isinstance(node, ast.Call) and node.func.name in _OF_COUNTERS:
            for selector in promql.selectors(node):
                if not re.search(r"_(total|bucket|sum|count)$", str(selector.name)):
                    yield f"{node.func.name} of {selector.name}, which has no _total"
        if isinstance(node, ast.BinaryExpr) and str(node.op) == "-" and _is_now(node.lhs):
            if any(isinstance(each, ast.Call) and each.func.name == "timestamp" for each in promql.nodes(node.rhs)):
                continue
            for selector in promql.selectors(node.rhs)[:1]:
                if not re.search(r"_timestamp_seconds$|:timestamp\w*$", str(selector.name)):
                    yield f"time() less {selector.name}, which is no time"


def _is_now(expr: ast.Expr) -> bool:
    inner = promql.bare(expr)
    return isinstance(inner, ast.Call) and inner.func.name == "time"


def divisions(rule: Rule, world: World) -> Iterator[str]:
    """A denominator that can be 0, which gives NaN or an infinite number."""
    if rule.name.startswith(tuple(_GUARDED_OUTSIDE)):
        return
    for node in promql.nodes(rule.tree):
        if isinstance(node, ast.BinaryExpr) and str(node.op) in {"/", "%"} and not is_positive(node.rhs, world):
            yield f"divides by {' '.join(node.rhs.prettify().split())}, which can be 0"


def is_positive(expr: ast.Expr, world: World) -> bool:
    """Whether the number is above 0 wherever there is one. Counts and sizes are taken to be 0 at least."""
    match expr:
        case ast.NumberLiteral():
            return expr.val > 0
        case ast.VectorSelector():
            if str(expr.name).startswith(tuple(_ABOVE_0)):
                return True
            record = world.records.get(str(expr.name))
            return record is not None and is_positive(record.tree, world)
        case ast.AggregateExpr():
            return str(expr.op) == "count" or is_positive(expr.expr, world)
        case ast.Call():
            return _positive_call(expr, world)
        case ast.BinaryExpr():
            return _positive_pair(expr, world)
        case _:
            inner = promql.children(expr)
            return bool(inner) and all(is_positive(each, world) for each in inner)


def _positive_call(expr: ast.Call, world: World) -> bool:
    name, arguments = expr.func.name, expr.args
    if name == "clamp_min":
        return is_positive(arguments[1], world) or is_positive(arguments[0], world)
    if name == "sqrt" or name == "label_replace":
        return is_positive(arguments[0], world)
    if name.endswith("_over_time"):
        return name == "count_over_time" or is_positive(arguments[-1], world)
    return name == "exp"


def _positive_pair(expr: ast.BinaryExpr, world: World) -> bool:
    op, left, right = str(expr.op), expr.lhs, expr.rhs
    sides = is_positive(left, world), is_positive(right, world)
    if op in promql.COMPARISONS:
        bound = promql.bare(right)
        above = isinstance(bound, ast.NumberLiteral) and (bound.val >= 0 if op == ">" else op == ">=" and bound.val > 0)
        return sides[0] or above
    if op in {"and", "unless", "^"}:
        return sides[0]
    if op == "-" and isinstance(left, ast.NumberLiteral):
        return left.val >= 2 and isinstance(right, ast.VectorSelector) and ":ratio" in str(right.name)
    return any(sides) if op == "+" else all(sides) and op in {"*", "/", "or"}
