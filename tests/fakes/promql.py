"""Reads PromQL with a real parser, for checks of the rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import promql_parser as ast
from promql_parser import parse

COMPARISONS = {">", "<", ">=", "<=", "==", "!="}
SETS = {"and", "or", "unless"}
_NO_LABELS = {"time", "vector", "scalar", "pi"}
_ABSENT = {"absent", "absent_over_time"}

LabelsOf = Callable[[str], frozenset[str]]


@cache
def read(query: str) -> ast.Expr:
    """The query's tree; ValueError when it is no PromQL."""
    return parse(query)


def bare(expr: ast.Expr) -> ast.Expr:
    """Without the parentheses around it."""
    return bare(expr.expr) if isinstance(expr, ast.ParenExpr) else expr


def nodes(expr: ast.Expr) -> Iterator[ast.Expr]:
    """The expression and everything inside it."""
    yield expr
    for inner in children(expr):
        yield from nodes(inner)


def children(expr: ast.Expr) -> list[ast.Expr]:
    """What stands directly inside of it."""
    match expr:
        case ast.BinaryExpr():
            return [expr.lhs, expr.rhs]
        case ast.AggregateExpr():
            return [expr.expr] if not isinstance(expr.param, ast.Expr) else [expr.param, expr.expr]
        case ast.Call():
            return list(expr.args)
        case ast.ParenExpr() | ast.UnaryExpr() | ast.SubqueryExpr():
            return [expr.expr]
        case ast.MatrixSelector():
            return [expr.vector_selector]
        case _:
            return []


def selectors(expr: ast.Expr) -> list[ast.VectorSelector]:
    """Every selector of series."""
    return [node for node in nodes(expr) if isinstance(node, ast.VectorSelector)]


def series(query: str) -> list[str]:
    """The names of all series that the query asks for."""
    return [str(selector.name) for selector in selectors(read(query))]


def is_scalar(expr: ast.Expr) -> bool:
    """Whether it is one number without labels."""
    inner = bare(expr)
    match inner:
        case ast.NumberLiteral():
            return True
        case ast.UnaryExpr():
            return is_scalar(inner.expr)
        case ast.Call():
            return inner.func.name in {"time", "scalar", "pi"}
        case ast.BinaryExpr():
            return is_scalar(inner.lhs) and is_scalar(inner.rhs)
        case _:
            return False


def labels(expr: ast.Expr, of: LabelsOf) -> frozenset[str]:
    """The labels that a result can have; `of` says those of a series by its name."""
    match expr:
        case ast.VectorSelector():
            return of(str(expr.name))
        case ast.AggregateExpr():
            return _aggregated(expr, of)
        case ast.Call():
            return _called(expr, of)
        case ast.BinaryExpr():
            return _combined(expr, of)
        case _:
            found = [labels(inner, of) for inner in children(expr)]
            return frozenset().union(*found)


def _aggregated(expr: ast.AggregateExpr, of: LabelsOf) -> frozenset[str]:
    inner = labels(expr.expr, of)
    op = str(expr.op)
    more = (
        frozenset({expr.param.val})
        if op == "count_values" and isinstance(expr.param, ast.StringLiteral)
        else frozenset()
    )
    if expr.modifier is None:
        return inner if op in {"topk", "bottomk"} else more
    named = frozenset(expr.modifier.labels)
    return more | (named & inner if expr.modifier.type == ast.AggModifierType.By else inner - named)


def _called(expr: ast.Call, of: LabelsOf) -> frozenset[str]:
    name = expr.func.name
    if name in _NO_LABELS:
        return frozenset()
    if name in _ABSENT:
        selector = selectors(expr)[0]
        return frozenset(each.name for each in selector.matchers.matchers if each.op == ast.MatchOp.Equal)
    inner = frozenset().union(*(labels(each, of) for each in expr.args))
    if name == "histogram_quantile":
        return inner - {"le"}
    if name in {"label_replace", "label_join"}:
        target = expr.args[1]
        return inner | {target.val}
    return inner


def _combined(expr: ast.BinaryExpr, of: LabelsOf) -> frozenset[str]:
    left, right = labels(expr.lhs, of), labels(expr.rhs, of)
    op = str(expr.op)
    if op == "or":
        return left | right
    if op in SETS or is_scalar(expr.rhs):
        return left
    if is_scalar(expr.lhs):
        return right
    modifier = expr.modifier
    if modifier is None:
        return left
    more = frozenset(modifier.group_labels or ())
    if modifier.card == ast.VectorMatchCardinality.ManyToOne:
        return left | more
    if modifier.card == ast.VectorMatchCardinality.OneToMany:
        return right | more
    if modifier.matching is None:
        return left
    named = frozenset(modifier.matching.labels)
    return left & named if modifier.matching.type == ast.LabelModifierType.Include else left - named


def matched_on(expr: ast.BinaryExpr, of: LabelsOf) -> tuple[frozenset[str], frozenset[str]] | None:
    """The labels by which two vectors are joined, as each side has them. None when one side is a number."""
    if is_scalar(expr.lhs) or is_scalar(expr.rhs):
        return None
    left, right = labels(expr.lhs, of), labels(expr.rhs, of)
    matching = expr.modifier.matching if expr.modifier else None
    if matching is None:
        return left, right
    named = frozenset(matching.labels)
    if matching.type == ast.LabelModifierType.Include:
        return left & named, right & named
    return left - named, right - named
