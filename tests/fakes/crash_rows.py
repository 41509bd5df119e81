"""The rows of the crash matrix, and how a run is cut into cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from airbag.serving.model_config import ModelConfigFile, edit_versions
from airbag_rollback.engine.states import State
from tests.fakes.crashing import Outside, Row, Told
from tests.fakes.rollback import Surroundings

_MOVED = "hand: after the commit of "
_SWITCHED = (f"{_MOVED}EXECUTING>VERIFY_MECHANISM", f"{_MOVED}UNKNOWN>VERIFY_MECHANISM")
_POLLS = ("look", "query", "note")
_COUNTED = ("AnyIO worker thread", "MainThread", "notifier", "worker", "*")
"""Threads that do the same things in every run; what the others do hangs on the time, so its first time counts."""


def cells(reached: Sequence[str]) -> list[str]:
    """How to die at each place of a run that came by `reached`: the places to pass, in order, as failpoints want them.

    The places of the worker's hands are found by the transitions before them. What they ask again and again while they
    wait is one place. The other threads go their own pace: theirs are counted, the watcher's looks from the switch on
    anew.
    """
    found: dict[str, None] = {}
    moved: list[str] = []
    since: Counter[str] = Counter()
    switched: list[str] = []
    looks: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for name in reached:
        thread, _, place = name.partition(": ")
        if place.endswith("ledger"):  # whoever looks first
            name = f"*: {place}"
        elif thread == "hand":
            since[name] += 1
            waits = moved and not moved[-1].endswith(">EVALUATING") and place.endswith(_POLLS)
            found["|".join([*moved, *[name] * (1 if waits else since[name])])] = None
            if name.startswith(_MOVED) and ">" in place:
                moved.append(name)
                since.clear()
            if name in _SWITCHED and not switched:
                switched, looks = [name], Counter()
            continue
        elif thread == "watcher":
            looks[name] += 1
            if looks[name] <= 2:  # two models
                found["|".join([*switched, *[name] * looks[name]])] = None
            continue
        others[name] += name.partition(":")[0] in _COUNTED or name not in others
        found["|".join([name] * others[name])] = None
    return list(found)


def changes(cell: str) -> bool:
    """Whether something new lies there for the next process since the place before."""
    place = cell.rpartition("|")[2].partition(": ")[2]
    return place.startswith("after the ") or "models.config" in place or "post" in place


def _second_is_bad_too(around: Surroundings) -> None:
    around.prometheus.errors(2, 0.5)
    around.prometheus.errors(1, 0.01)
    around.prometheus.errors(1, 0.01, history=True)


def _does_not_load(around: Surroundings) -> None:
    around.release(3)
    around.serving.stuck.add(2)


def _is_monitored(around: Surroundings) -> None:
    around.prometheus.values[("failing", "3", False)] = 0


def _approve(outside: Outside) -> None:
    outside.tell()
    for action in outside.actions():
        if action.state is State.AWAITING_APPROVAL and not action.approved_by:
            outside.order(f"/v1/actions/{action.id}/approve", {"because": "it is right"})


def _ordered(path: str) -> Callable[[Outside], None]:
    """An order is given once: who sees no answer looks whether the action is there before asking again."""

    def give(outside: Outside) -> None:
        body = {"serving": "main", "model_name": "digits", "because": "I want it"}
        if not outside.told:
            outside.told = bool(outside.actions()) or outside.order(path, body) == 201

    return give


def _drill(outside: Outside) -> None:
    _ordered("/v1/drills")(outside)
    outside.echo("AirbagDrill")


def _by_label(around: Surroundings) -> None:
    file = ModelConfigFile(around.models_config)
    snapshot = file.read()
    file.replace(snapshot, edit_versions(snapshot.text, "digits", (2, 3), labels={"stable": 3}))


def _with_script(around: Surroundings) -> None:
    script = around.folder / "call"
    script.write_text(SCRIPT)
    script.chmod(0o755)


SCRIPT = """#!/bin/sh
case $1 in
plan) ;;
apply) mkdir "$HOME/done" ;;
verify) test -d "$HOME/done" && echo '{"state": "done"}' || echo '{"state": "before"}' ;;
esac
"""

_BACK: tuple[Told, ...] = (((2,), None),)
_SCRIPT = {"landing": "call", "landings": "{call: {script: call, restores: false}}"}
ROWS = {
    row.name: row
    for row in (
        Row("alert", State.SUCCEEDED, _BACK, frozenset({2})),
        Row(
            "escalation", State.SUCCEEDED, (*_BACK, ((1,), None)), frozenset({1}), {"recover_within": "4s"},
            _second_is_bad_too,
        ),
        Row("approval", State.SUCCEEDED, _BACK, frozenset({2}), {"mode": "approve"}, drive=_approve),
        Row("order", State.SUCCEEDED, _BACK, frozenset({2}), drive=_ordered("/v1/rollbacks")),
        Row("no load", State.NEEDS_HUMAN, _BACK, frozenset({3}), {"switch_within": "1500ms"}, _does_not_load),
        Row("two servers", State.SUCCEEDED, _BACK, frozenset({2}), servers=2),
        Row(
            "label", State.SUCCEEDED, (((2, 3), 2),), frozenset({2}),
            {"models": "[{model: digits, landing: serving-label}]"}, _by_label, routing="labels",
        ),
        Row("script", State.SUCCEEDED, (), frozenset({3}), _SCRIPT, _with_script, intents=1),
        Row(
            "drill", State.SUCCEEDED, (), frozenset({3}), {}, _is_monitored, _drill, repeat=lambda _outside: True,
            intents=1,
        ),
    )
}  # fmt: skip
