"""The rows of the crash matrix, and how a run is cut into cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from airbag_rollback.engine.states import State
from tests.fakes.crashing import Outside, Row
from tests.fakes.rollback import Surroundings

_MOVED = "worker: after the commit of "
_SWITCHED = (f"{_MOVED}EXECUTING>VERIFY_MECHANISM", f"{_MOVED}UNKNOWN>VERIFY_MECHANISM")
_POLLS = ("look", "query", "note")
_COUNTED = ("AnyIO worker thread", "MainThread", "notifier", "*")
"""Threads that do the same things in every run; what the others do hangs on the time, so its first time counts."""


def cells(reached: Sequence[str]) -> list[str]:
    """How to die at each place of a run that came by `reached`: the places to pass, in order, as failpoints want them.

    The worker's places are found by the transitions before them. What it asks again and again while it waits is one
    place. The other threads go their own pace: theirs are counted, the watcher's looks from the switch on anew.
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
        elif thread == "worker":
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
    around.serving.stuck.add(2)
    around.serving.models["digits"][2] = 50  # never loaded: what is loaded stays loaded


def _approve(outside: Outside) -> None:
    outside.tell()
    for action in outside.actions():
        if action.state is State.AWAITING_APPROVAL and not action.approved_by:
            outside.order(f"/v1/actions/{action.id}/approve", {"because": "it is right"})


def _order(outside: Outside) -> None:
    if not outside.told and not outside.actions():
        body = {"serving": "main", "model_name": "digits", "because": "I want it"}
        outside.told = outside.order("/v1/rollbacks", body) in (200, 201, 202)
    outside.told = outside.told or bool(outside.actions())


_BACK = ((2,),)
ROWS = {
    row.name: row
    for row in (
        Row("alert", State.SUCCEEDED, _BACK, frozenset({2})),
        Row(
            "escalation", State.SUCCEEDED, ((2,), (1,)), frozenset({1}), {"recover_within": "500ms"}, _second_is_bad_too
        ),
        Row("approval", State.SUCCEEDED, _BACK, frozenset({2}), {"mode": "approve"}, drive=_approve),
        Row("order", State.SUCCEEDED, _BACK, frozenset({2}), drive=_order),
        Row("no load", State.NEEDS_HUMAN, _BACK, frozenset({3}), {"switch_within": "1500ms"}, _does_not_load),
    )
}
