"""Each guard is there for a reason: without it, a row of the tables that the other tests assert comes out otherwise."""

from __future__ import annotations

import ast
import importlib
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airbag_rollback.engine import decide, guards, target, world
from airbag_rollback.engine.target import Candidate, Rules
from airbag_rollback.engine.world import World, WorldLimits
from tests.alertmanager.decisions import questions
from tests.alertmanager.test_guards import LIMITS, NONE, Past

Answers = Callable[[Any], list[object]]
"""What a module (or a mutant of it) says to everything in the tables."""


def _decisions(module: Any) -> list[object]:
    return [_plain(module.decide(ask)) for ask in questions()]


def _held(module: Any) -> list[object]:
    pasts = [
        Past(), Past((700.0,), (700.0,)), Past((700.1,), (700.1,)), Past((100.0, 200.0, 300.0)),
        Past((-2600.0, 200.0, 300.0)), Past((), (200.0, 300.0, 400.0, 500.0, 600.0)),
        Past((), (100.0, 300.0, 400.0, 500.0, 600.0)),
    ]  # fmt: skip
    freezes = (
        (), (module.Freeze("sale", 900.0, 1100.0),), (module.Freeze("sale", 100.0, 1000.0),),
        (module.Freeze("day", weekdays=frozenset({3})),), (module.Freeze("other day", weekdays=frozenset({4})),),
    )  # fmt: skip
    return [
        _plain(module.held(1000.0, paused, each, limits, past))
        for paused in ("", "by ann") for each in freezes for past in pasts for limits in (LIMITS, NONE)
    ]  # fmt: skip


def _choices(module: Any) -> list[object]:
    good = {"version": 5, "soak": 100.0, "present": True, "requests": 100.0}
    flaws: list[dict[str, Any]] = [
        {}, {"version": 7}, {"version": 3}, {"soak": 3.0}, {"rolled_back": True}, {"present": None},
        {"present": False}, {"requests": 3.0}, {"requests": None}, {"bad": True}, {"quarantined": "by ann"},
        {"flaw": "its files changed"}, {"version": 4}, {"version": 6},
    ]  # fmt: skip
    rules = Rules(10.0, 50.0, not_before=4, tried=frozenset({4}))
    return [
        (chosen.target, chosen.refused)
        for flaw in flaws for asked in (None, 5, 3, 6, 7)
        for chosen in [module.choose([Candidate(**good | flaw)], 6, rules, asked)]
    ]  # fmt: skip


def _suspicions(module: Any) -> list[object]:
    worlds = [
        World(), World(1, 2), World(1, 3), World(0, 3), World(good_for=600.0), World(good_for=599.0),
        World(load_ratio=2.0), World(load_ratio=1.9), World(inputs_ks=0.2, input="x"), World(inputs_ks=0.1, input="x"),
    ]  # fmt: skip
    limits = (WorldLimits(), WorldLimits(0, 0, 0, 0))
    return [module.suspects(each, limit) for each in worlds for limit in limits]


TABLES: dict[types.ModuleType, Answers] = {
    decide: _decisions, guards: _held, target: _choices, world: _suspicions,
}  # fmt: skip
NOT_GUARDS = {"decide._sentence", "decide._plan", "decide._ordered", "decide._list", "target.choose"}


def _plain(value: object) -> object:
    return tuple(map(str, vars(value).values())) if value is not None else None


def _mutants(module: types.ModuleType) -> Iterator[tuple[str, ast.Module]]:
    """The module without one guard at a time: a function that may say no says nothing, an `if` never holds."""
    assert module.__file__ is not None
    with open(module.__file__) as file:  # noqa: PTH123
        source = file.read()
    short = module.__name__.rpartition(".")[2]
    for number, node in enumerate(ast.walk(ast.parse(source))):
        if isinstance(node, ast.FunctionDef) and node.returns and "None" in ast.unparse(node.returns):
            yield f"{short}.{node.name}", _changed(source, number)
        elif isinstance(node, ast.If):
            yield f"{short}:{node.lineno} if {ast.unparse(node.test)[:60]}", _changed(source, number)


def _changed(source: str, number: int) -> ast.Module:
    tree = ast.parse(source)
    node = list(ast.walk(tree))[number]
    if isinstance(node, ast.FunctionDef):
        node.body = [ast.parse("def f():\n    return None").body[0].body[0]]  # type: ignore[attr-defined]
    elif isinstance(node, ast.If):
        node.test = ast.Constant(value=False)
    return ast.fix_missing_locations(tree)


MUTANTS = [(module, name, tree) for module in TABLES for name, tree in _mutants(module) if name not in NOT_GUARDS]


@pytest.mark.parametrize(("module", "name", "tree"), MUTANTS, ids=[name for _, name, _ in MUTANTS])
def test_without_this_guard_something_in_the_tables_comes_out_otherwise(
    module: types.ModuleType, name: str, tree: ast.Module
) -> None:
    mutant = importlib.util.module_from_spec(module.__spec__)  # type: ignore[arg-type]
    exec(compile(tree, f"<{name} removed>", "exec"), vars(mutant))  # noqa: S102 - our own source, changed in one place
    try:
        answers = TABLES[module](mutant)
    except (TypeError, AttributeError, ValueError, IndexError, AssertionError):
        return  # what comes after leans on it so much that it breaks
    assert answers != TABLES[module](module)
