"""Tables of decisions: what differs from a plain bad release in automatic mode, and what must come of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from airbag_rollback.engine.decide import Kind, Question, Situation
from airbag_rollback.engine.guards import Held
from airbag_rollback.engine.target import Choice
from airbag_rollback.engine.verdict import Bad, Measurement
from airbag_rollback.engine.world import World

BAD = Measurement(0.9, 0.05, 500, 20, 0.5)
GOOD = Measurement(0.01, 0.05, 500, 20, 0.5)
HELD = Held("frozen", "the freeze sale holds", 2000.0)
ASK = Question(
    mode="auto", now=1000.0, suspect=3, release_window=3600.0,
    situation=Situation(frozenset({3}), frozenset({2, 3}), 990.0), choice=Choice(2, ()), bad=Bad.ABOVE,
    measured=BAD, compares=True, baseline=GOOD,
)  # fmt: skip

Row = tuple[dict[str, Any], Kind, str | None]

DECISIONS: list[Row] = [
    ({}, Kind.PLAN, "bad"),
    ({"mode": "off"}, Kind.SUPPRESS, "mode_off"),
    ({"mode": "observe"}, Kind.SUPPRESS, "mode_observe"),
    ({"lately": GOOD}, Kind.WAIT, "has_stopped"),
    ({"lately": replace(BAD, value=0.05)}, Kind.WAIT, "has_stopped"),
    ({"lately": replace(BAD, value=0.051)}, Kind.PLAN, "bad"),
    ({"lately": replace(BAD, value=None)}, Kind.WAIT, "no_data_lately"),
    ({"measured": GOOD}, Kind.SUPPRESS, "good"),
    ({"measured": Measurement()}, Kind.WAIT, "no_data"),
    ({"measured": replace(BAD, samples=1)}, Kind.WAIT, "not_enough_data"),
    ({"baseline": BAD}, Kind.PAGE, "not_the_release"),
    ({"baseline": None}, Kind.WAIT, "baseline_no_data"),
    ({"baseline": replace(GOOD, samples=1)}, Kind.WAIT, "baseline_not_enough_data"),
    ({"baseline": BAD, "yields": True}, Kind.SUPPRESS, "not_the_release"),
    ({"baseline": None, "yields": True}, Kind.SUPPRESS, "baseline_no_data"),
    ({"baseline": Measurement(detail="no answer"), "yields": True}, Kind.WAIT, "baseline_no_data"),
    ({"measured": GOOD, "alert_at": 999.6}, Kind.WAIT, "measured_before"),
    ({"measured": GOOD, "alert_at": 999.4}, Kind.SUPPRESS, "good"),
    ({"measured": BAD, "alert_at": 1000.0}, Kind.PLAN, "bad"),
    ({"choice": Choice(None, ())}, Kind.PAGE, "no_eligible_target"),
    ({"now": 990.0 + 3600.1}, Kind.PAGE, "outside_release_window"),
    ({"situation": replace(ASK.situation, released_at=None)}, Kind.PAGE, "release_unknown"),
    ({"situation": replace(ASK.situation, serves=frozenset({2}))}, Kind.SUPPRESS, "superseded"),
    ({"situation": replace(ASK.situation, unreachable="one: down")}, Kind.WAIT, "server_unreachable"),
    ({"situation": replace(ASK.situation, busy=True)}, Kind.WAIT, "busy"),
    ({"mode": "approve"}, Kind.ASK, "approval"),
    ({"mode": "approve", "approved_by": "ann"}, Kind.PLAN, "bad"),
    ({"held": HELD}, Kind.HOLD, "frozen"),
    ({"held": HELD, "mode": "approve"}, Kind.HOLD, "frozen"),
    ({"held": HELD, "approved_by": "ann"}, Kind.PLAN, "bad"),
    ({"held": HELD, "mode": "observe"}, Kind.SUPPRESS, "mode_observe"),
    ({"held": HELD, "measured": GOOD}, Kind.SUPPRESS, "good"),
    ({"mode": "approve", "approved_by": "ann", "measured": GOOD}, Kind.SUPPRESS, "good"),
    ({"beside": BAD}, Kind.PAGE, "not_the_release"),
    ({"beside": BAD, "yields": True}, Kind.SUPPRESS, "not_the_release"),
    ({"beside": GOOD}, Kind.PLAN, "bad"),
    ({"beside": replace(BAD, samples=1)}, Kind.PLAN, "bad"),
    ({"world": World(others_bad=1, others_judged=2)}, Kind.PAGE, "others_suffer"),
    ({"world": World(others_bad=1, others_judged=3)}, Kind.PLAN, "bad"),
    ({"restores": False, "choice": Choice(None, ()), "baseline": None}, Kind.PLAN, "bad"),
    ({"restores": False, "situation": replace(ASK.situation, released_at=None)}, Kind.PLAN, "bad"),
]

LOAD = {"compares": False, "baseline": None, "measured": Measurement(1, 0, age=0.5, counted=False)}
OLD_SERVES = {"situation": Situation(frozenset({2}), frozenset({2, 3}), 990.0)}
LOADS: list[Row] = [
    (LOAD | {"situation": Situation(frozenset({2}), frozenset({2, 3}), 990.0)}, Kind.PLAN, "bad"),
    (LOAD | {"situation": Situation(frozenset({2}), frozenset({2}), 990.0)}, Kind.SUPPRESS, "superseded"),
    (LOAD | {"situation": Situation(frozenset(), frozenset({2, 3}), 990.0)}, Kind.PAGE, "nothing_serves"),
    (LOAD | OLD_SERVES, Kind.PLAN, "bad"),
    (LOAD | OLD_SERVES | {"world": World(others_bad=1, others_judged=2)}, Kind.PAGE, "others_suffer"),
]

ORDERS: list[Row] = [
    ({}, Kind.PLAN, None),
    ({"measured": Measurement(), "baseline": None}, Kind.PLAN, None),
    ({"mode": "off"}, Kind.PLAN, None),
    ({"unmonitored": "Prometheus is away"}, Kind.WAIT, "monitoring_silent"),
    ({"held": HELD}, Kind.PLAN, None),
    ({"now": 990.0 + 7200}, Kind.PLAN, None),
    ({"choice": Choice(None, ())}, Kind.PAGE, "no_eligible_target"),
    ({"situation": replace(ASK.situation, unreachable="one: down")}, Kind.WAIT, "server_unreachable"),
    ({"situation": replace(ASK.situation, busy=True)}, Kind.WAIT, "busy"),
    ({"situation": Situation(frozenset({2}), frozenset({2}), 990.0)}, Kind.SUPPRESS, "superseded"),
    ({"situation": Situation(frozenset({2}), frozenset({2, 3}), 990.0)}, Kind.PLAN, None),
]

ESCALATIONS: list[Row] = [
    ({}, Kind.PLAN, "bad"),
    ({"now": 990.0 + 3600.1}, Kind.PLAN, "bad"),
    ({"measured": GOOD}, Kind.SUPPRESS, "good"),
    ({"measured": Measurement()}, Kind.WAIT, "no_data"),
    ({"baseline": BAD}, Kind.PAGE, "not_the_release"),
    ({"baseline": None}, Kind.WAIT, "baseline_no_data"),
    ({"choice": Choice(None, ())}, Kind.PAGE, "no_eligible_target"),
    ({"held": HELD}, Kind.PAGE, "frozen"),
    ({"situation": replace(ASK.situation, busy=True)}, Kind.WAIT, "busy"),
    ({"situation": replace(ASK.situation, unreachable="one: down")}, Kind.WAIT, "server_unreachable"),
    ({"situation": replace(ASK.situation, serves=frozenset({2}))}, Kind.SUPPRESS, "superseded"),
]


def questions() -> Iterator[Question]:
    """Every question of the tables."""
    tables: list[tuple[list[Row], dict[str, Any]]] = [
        (DECISIONS, {}), (LOADS, {}), (ORDERS, {"source": "person"}), (ORDERS, {"source": "drill"}),
        (ESCALATIONS, {"escalates": True}),
    ]  # fmt: skip
    for rows, fixed in tables:
        for changes, _, _ in rows:
            yield replace(ASK, **(fixed | changes))
