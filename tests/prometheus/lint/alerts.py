"""Checks of alerts and their texts, and of rules among each other."""

from __future__ import annotations

import re
from collections.abc import Iterator

import promql_parser as ast

from airbag.rules import PROFILES
from airbag_rollback.signals import SIGNALS
from tests.fakes import promql
from tests.prometheus.lint.world import Rule, World

_LABEL = re.compile(r"\$labels\.(\w+)")
_FOUND_LABEL = re.compile(r"\.Labels\.(\w+)")
_BARE_VALUE = re.compile(r"\{\{\s*(?:\$value|\.Value)\s*\}\}")
_QUERY = re.compile(r'(?:printf\s+)?"((?:[^"\\]|\\.)*)"((?:\s+\$[\w.]+)*)\s*\|\s*(?:query|graphLink)')
_ALWAYS_FIRING = "AirbagWatchdog"
DASHBOARDS = (
    "model:airbag_quality_accuracy:zscore", "model:airbag_quality_auc:zscore", "model:airbag_quality_mae:zscore",
    "model:airbag_quality_release_accuracy:zscore", "model:airbag_quality_f1_macro:difference",
    "model:airbag_quality_prediction_class_entropy:difference", "model:airbag_quality_prediction_entropy:difference",
    "model_feature:airbag_quality_canary_psi:", "model_version:airbag_quality_accuracy:upper_bound",
    "model_version:airbag_quality_auc:error_bound", "model_version:airbag_quality_bias:mean",
    "model_version:airbag_quality_bleu:score", "model_version:airbag_quality_brier:mean",
    "model_version:airbag_quality_ece:ratio", "model_version:airbag_quality_label_delay_seconds:p90_",
    "model_version:airbag_quality_labelled:sufficient", "model_version:airbag_quality_labelled_per_prediction:ratio",
    "model_version:airbag_quality_log_loss:nats", "model_version:airbag_quality_precision_macro:ratio",
    "model_version:airbag_quality_r2:ratio", "model_version:airbag_quality_recall_macro:ratio",
    "model_version:airbag_quality_rmse:root", "model_version:airbag_quality_ter:ratio",
    "model_version:airbag_tfs_request_duration_seconds:p99_", "model_version_class:airbag_quality_precision:stderr",
    "model_version_class:airbag_quality_recall:stderr", "model_version_feature:airbag_quality_js:nats",
    "model_version_feature:airbag_quality_out_of_range:ratio",
)  # fmt: skip
"""Records for people, who look at them without a rule."""


def compares(rule: Rule, world: World) -> Iterator[str]:
    """An alert that fires whenever there is a number."""
    if rule.is_alert and rule.name != _ALWAYS_FIRING and not _compares(rule.tree):
        yield "fires on any number"


def _compares(expr: ast.Expr) -> bool:
    match expr:
        case ast.BinaryExpr() if str(expr.op) in promql.COMPARISONS:
            return not (expr.modifier and expr.modifier.return_bool)
        case ast.BinaryExpr() if str(expr.op) == "or":
            return _compares(expr.lhs) and _compares(expr.rhs)
        case ast.Call() if expr.func.name.startswith("absent"):
            return True
        case _:
            return any(_compares(inner) for inner in promql.children(expr))


def texts(rule: Rule, world: World) -> Iterator[str]:
    """A text with a label that the alert does not have, a number that nobody can read, a query without an answer."""
    kept = promql.labels(rule.tree, world.labels) | set(rule.labels)
    for name, text in rule.annotations.items():
        for label in sorted(set(_LABEL.findall(text)) - kept):
            yield f"{name} names the label {label}, which the alert does not have"
        if _BARE_VALUE.search(text):
            yield f"{name} shows a number as it is"
        shown: set[str] = set()
        for query in queries(text):
            unknown = [series for series in promql.series(query) if not world.knows(series)]
            yield from (f"{name} asks for {series}, which nothing exports" for series in unknown)
            shown |= promql.labels(promql.read(query), world.labels)
            for selector in promql.selectors(promql.read(query)):
                for matcher in selector.matchers.matchers:
                    if matcher.name not in world.labels(str(selector.name)):
                        yield f"{name} asks {selector.name} for the label {matcher.name}"
        for label in sorted(set(_FOUND_LABEL.findall(text)) - shown):
            yield f"{name} shows the label {label}, which its query does not give"


def queries(text: str) -> list[str]:
    """The queries of a text, with something in the place of what is filled in."""
    return [query.replace("%s", "x").replace("%%", "%").replace('\\"', '"') for query, _ in _QUERY.findall(text)]


def values_in_labels(rule: Rule, world: World) -> Iterator[str]:
    """A label with a value in it makes a new alert at every evaluation, and `for` never ends."""
    for name, text in rule.labels.items():
        if "{{" in str(text):
            yield f"the label {name} is a template"


def twice(rule: Rule, world: World) -> Iterator[str]:
    """The same record or alert a second time, or the same numbers under a second name in the same group."""
    same = [each for each in world.rules if (each.name, each.labels) == (rule.name, rule.labels)]
    if len(same) > 1:
        yield "stands there twice"
    if not rule.is_alert:
        tree = rule.tree.prettify()
        for each in world.records.values():
            if each.group == rule.group and each.name != rule.name and each.tree.prettify() == tree:
                yield f"says the same as {each.name}"


def unused(rule: Rule, world: World) -> Iterator[str]:
    """A record that no rule, no text, no question of the receiver and no dashboard needs."""
    if not rule.is_alert and rule.name not in _used(world) and not rule.name.startswith(DASHBOARDS):
        yield "nobody uses it"


def _used(world: World) -> set[str]:
    asked = [rule.expr for rule in world.rules]
    asked += [query for rule in world.rules for text in rule.annotations.values() for query in queries(text)]
    found = {series for query in asked for series in promql.series(query)}
    for signal in SIGNALS.values():
        for query in (signal.value, signal.samples, signal.history, signal.history_samples, signal.recovered):
            for profile in PROFILES.values():
                found |= set(re.findall(r"[a-zA-Z_]\w*:[\w:]+", (query or "").replace("$window", profile.window)))
    return found
