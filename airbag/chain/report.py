"""What the check found, for people and for programs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from airbag.chain.durations import shown
from airbag.chain.facts import Chain
from airbag.chain.finding import Finding, Level
from airbag.chain.times import SWITCH, Way

_ORDER = ("exporter", "poll", "golden", "scrape", "evaluation", "window", "for", "group_wait", "decision")


def text(chain: Chain, findings: Sequence[Finding], ways: Sequence[Way]) -> Iterator[str]:
    """Lines: the times, the notes, and the problems last, where the eye is."""
    yield from _times(chain, ways)
    for level in (Level.NOTE, Level.PROBLEM):
        told = [each for each in findings if each.level is level]
        if told:
            yield f"{len(told)} {level}{'' if len(told) == 1 else 's'}:"
            yield from (f"  {each}" for each in told)
    if not any(each.level is Level.PROBLEM for each in findings):
        yield "no problem found"


def as_json(chain: Chain, findings: Sequence[Finding], ways: Sequence[Way]) -> dict[str, Any]:
    """The same as one object; times in seconds, null where such a fault is never acted on."""
    problems = [each for each in findings if each.level is Level.PROBLEM]
    return {
        "ok": not problems,
        "problems": [_plain(each) for each in problems],
        "notes": [_plain(each) for each in findings if each.level is Level.NOTE],
        "profile": chain.servings.rules.profile if chain.servings else None,
        "act_within": chain.servings.rules.objective if chain.servings else None,
        "traffic": chain.traffic,
        "times": [_way(each) for each in ways],
    }


def _plain(finding: Finding) -> dict[str, str]:
    return {key: value for key, value in asdict(finding).items() if key != "level"}


def _way(way: Way) -> dict[str, Any]:
    return {
        "alert": way.alert,
        "lane": way.lane,
        "model_name": way.model or None,
        "bad_share": way.fault,
        "terms": {each.name: _number(each.seconds) for each in way.terms},
        "seconds": _number(way.seconds),
        "dominated_by": way.dominant.name,
        "serves_again": _number(way.seconds + SWITCH),
        "lost_to_alertmanager": _number(way.seconds + way.lost_before),
        "lost_to_receiver": _number(way.seconds + way.lost_after),
        "second_fault": _number(way.again),
        "traffic_min": way.traffic_min,
    }


def _number(seconds: float) -> float | None:
    return None if math.isinf(seconds) else round(seconds, 3)


def _times(chain: Chain, ways: Sequence[Way]) -> Iterator[str]:
    if not ways or chain.servings is None:
        return
    rules = chain.servings.rules
    yield (
        f"from a fault to the first action, at most, with {chain.traffic:g} answers a second; "
        f"profile {rules.profile}, wanted within {shown(rules.objective)}:"
    )
    names = [name for name in _ORDER if any(each.name == name for way in ways for each in way.terms)]
    head = ["alert", "fault", "by", *names, "in all", "most of it", "lost before", "lost after"]
    yield from _table([head, *(_row(way, names) for way in ways)])
    yield f"TF Serving follows {SWITCH:g} s later when the version to go back to is loaded."
    yield "`lost before`, `lost after`: in all, when one message to Alertmanager, or from it, gets lost."
    least = max(way.traffic_min for way in ways)
    yield f"Below {least:.3g} answers a second there is no verdict on them; just above it takes a whole window."


def _row(way: Way, names: Sequence[str]) -> list[str]:
    fault = "state" if way.fault is None else f"{way.fault:.0%}"
    terms = {each.name: each.seconds for each in way.terms}
    cells = [f"{terms[name]:.2f}" if math.isfinite(terms.get(name, math.inf)) else "-" for name in names]
    if math.isinf(way.seconds):
        return [way.alert, fault, way.lane, *cells, "never", "", "", ""]
    lost = [f"{way.seconds + more:.1f}" for more in (way.lost_before, way.lost_after)]
    return [way.alert, fault, way.lane, *cells, f"{way.seconds:.2f} s", way.dominant.name, *lost]


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
