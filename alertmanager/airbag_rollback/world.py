"""Gathers what speaks for the world and against the release, by a few more questions to Prometheus."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from airbag.config import parse_duration
from airbag_rollback.config import Settings
from airbag_rollback.engine.inputs import Counts, Shift, largest_shift
from airbag_rollback.engine.target import Choice
from airbag_rollback.engine.world import World
from airbag_rollback.evidence import Evidence
from airbag_rollback.journal import Journal
from airbag_rollback.prometheus import Row
from airbag_rollback.records import Action
from airbag_rollback.signals import SIGNALS, Signal

_LOOKS_MAX = 240
"""Into how many moments the time since a release is divided at most."""

REQUESTS = 'sum(model_version:airbag_tfs_requests:increase$window{serving="$serving",model_name="$model"})'
REQUESTS_LATELY = REQUESTS.replace("$window", "$burst")
REQUESTS_THEN = f"max_over_time({REQUESTS}[5m:5s])"
"""The most that it bore: an average of minutes in which it began to serve is less than what it got."""
INPUTS = (
    "sum by (feature, ref, bin) (increase(airbag_quality_feature_le_total{"
    'serving="$serving",model_name="$model",model_version="$version",feature!="score"}[5m]))'
)
"""The score is what the model answers; all else is what it is given."""
INPUTS_LATELY = tuple(INPUTS.replace("[5m]", f"[{window}]") for window in ("$window", "$burst"))
"""What broke just now is hardly seen in minutes that were mostly right."""


class Surroundings:
    """Asks about the other models, the suspect's own past, its traffic and its inputs."""

    def __init__(self, journal: Journal, settings: Callable[[], Settings]) -> None:
        self._journal = journal
        self._settings = settings

    def look(self, action: Action, choice: Choice, evidence: Evidence) -> World:
        """What is known beside the suspect. What cannot be told speaks for nothing.

        One to four questions to Prometheus, each of which is kept in `evidence`.
        """
        if choice.target is None:
            return World()
        signal, now = SIGNALS[action.alertname], evidence.clock.now()
        others = self._others(signal, action, evidence, now)
        left = self._journal.ledger.left(action.serving, action.model_name, choice.target, now)
        load = _load_ratio(action.bad_version, left, evidence) if signal.moved_by_load else None
        shift = _shift(action.bad_version, choice.target, left, evidence) if signal.moved_by_inputs else None
        return World(
            others_bad=sum(others), others_judged=len(others),
            good_for=self._good_for(signal, action, evidence, now), load_ratio=load,
            inputs_ks=shift.distance if shift else None, input=shift.feature if shift else "",
        )  # fmt: skip

    def _others(self, signal: Signal, action: Action, evidence: Evidence, now: float) -> list[bool]:
        """For every other model that can be judged, and was not released lately itself, whether it is bad now."""
        if not signal.others:
            return []
        rows = evidence.rows("the other models", signal.others, action.bad_version) or ()
        window = self._settings().policy.rule(action.serving, action.model_name, action.alertname).release_window
        lately = frozenset() if signal.others_released else self._journal.ledger.released_since(now - window)
        own = (action.serving, action.model_name)
        return [row.value == 1 for row in rows if (who := _who(row)) != own and who not in lately]

    def _good_for(self, signal: Signal, action: Action, evidence: Evidence, now: float) -> float | None:
        """For how many seconds since its release the suspect measured good, on enough samples.

        The window is looked at again and again from the release until now. What was bad or could not be told does not
        count, and does not undo what was good before it.
        """
        released = self._journal.ledger.released_at(action.serving, action.model_name, action.bad_version)
        if not signal.good or released is None or now - released < 1:
            return None
        age = math.floor(now - released)
        every = math.ceil(max(parse_duration(evidence.pace.window), age / _LOOKS_MAX))
        query = f"count_over_time(({signal.good})[{age}s:{every}s])"
        looks = evidence.number("good looks since the release", query, action.bad_version)
        return None if looks is None else min(looks * every, float(age))


def _load_ratio(suspect: int, left: float, evidence: Evidence) -> float | None:
    """How many times the model's requests are now of what they were in the minutes before the target left."""
    now = evidence.number("requests to all versions, now beside", REQUESTS, suspect)
    then = evidence.number("requests to all versions, before the release", REQUESTS_THEN, suspect, left)
    if now is None or not then:
        return None
    return max(now, _lately(suspect, evidence)) / then


def _lately(suspect: int, evidence: Evidence) -> float:
    """The requests of the latest part of the window, as many as a whole window of them would surely have.

    An alert may fire before a jump of the traffic has filled half of the window. Three standard errors are granted to
    chance (of a Poisson count), so that a few requests more are no jump.
    """
    count = evidence.number("requests to all versions, in the latest part", REQUESTS_LATELY, suspect) or 0.0
    surely = max(0.0, count - 3 * math.sqrt(count))
    return surely * parse_duration(evidence.pace.window) / parse_duration(evidence.pace.burst)


def _shift(suspect: int, target: int, left: float, evidence: Evidence) -> Shift | None:
    """The input of which the suspect surely gets other values than the target got before it left."""
    now = evidence.rows(f"inputs of {suspect}", INPUTS, suspect)
    then = evidence.rows(f"inputs of {target}", INPUTS, target, left) if now else None
    if not now or not then:
        return None
    lately = [evidence.rows(f"inputs of {suspect} lately", query, suspect) or () for query in INPUTS_LATELY]
    looks = [_counts(rows) for rows in (now, *lately)]
    found = [largest_shift(each, _counts(then), len(looks)) for each in looks]
    return max((each for each in found if each is not None), key=lambda each: each.distance, default=None)


def _counts(rows: Iterable[Row]) -> Counts:
    found: dict[tuple[str, str], dict[str, float]] = {}
    for row in rows:
        key = (row.labels.get("feature", ""), row.labels.get("ref", ""))
        found.setdefault(key, {})[row.labels.get("bin", "")] = row.value
    return found


def _who(row: Row) -> tuple[str, str]:
    return row.labels.get("serving", ""), row.labels.get("model_name", "")
