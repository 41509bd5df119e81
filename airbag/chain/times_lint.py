"""Whether the whole way is as short as the objective wants it, and what to change where it is not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from airbag.chain.durations import parse, shown
from airbag.chain.facts import Chain
from airbag.chain.finding import Finding, note
from airbag.chain.times import PARTIAL, POLL, TOTAL, Way, is_endless


def times_lint(chain: Chain, found: Sequence[Way]) -> Iterator[Finding]:
    """Every way that is too long."""
    if chain.servings is None:
        return
    objective = chain.servings.rules.objective
    for way in found:
        if is_endless(way):
            yield from _endless(chain, way)
        elif way.seconds > objective:
            yield _too_long(chain, way, objective)
        elif way.again > objective:
            what = (
                f"a second fault of a version is acted on only after {shown(way.again)}, and rules.act_within is "
                f"{shown(objective)}"
            )
            yield Finding(chain.names.alertmanager, f"{way.alert}, {way.lane}", what, "set `group_interval: 1s`")
    yield from _data_comes_too_late(chain)


def _endless(chain: Chain, way: Way) -> Iterator[Finding]:
    """A small fault that is within what is allowed is no fault; a total failure that nobody sees is one."""
    if way.fault == TOTAL:
        what = f"no failure of {way.model} is ever seen: the traffic or the threshold does not allow a verdict"
        remedy = f"it needs {way.traffic_min:.3g} answers a second; lower what it expects, or say --traffic"
        yield Finding(chain.names.exporters, f"{way.alert}, {way.lane}", what, remedy)


def _too_long(chain: Chain, way: Way, objective: float) -> Finding:
    fault = {TOTAL: " for a total failure", PARTIAL: f" when {PARTIAL:.0%} of the answers are bad"}.get(
        way.fault or 0, ""
    )
    longest = way.dominant
    what = (
        f"takes up to {shown(way.seconds)} from fault to action{fault}, and rules.act_within is {shown(objective)}; "
        f"{longest.name} takes {shown(longest.seconds)} of it"
    )
    remedy = f"change {longest.setting}"
    if way.is_doubted and way.fault != TOTAL:
        return note(chain.names.exporters, f"{way.alert}, {way.lane}", what, f"chance has to be ruled out; {remedy}")
    return Finding(chain.names.exporters, f"{way.alert}, {way.lane}", what, remedy)


def _data_comes_too_late(chain: Chain) -> Iterator[Finding]:
    """The receiver waits `decide_within` for data: too short, and a person is called before there can be any."""
    if chain.policy is None or chain.servings is None:
        return
    pace, given = chain.servings.rules.pace, chain.policy.decide_within
    soonest = POLL + 2 * parse(pace.interval)
    full = soonest + parse(pace.window)
    if given < soonest:
        what = f"is {shown(given)}, and what an exporter saw is recorded only after {shown(soonest)}"
        yield Finding(chain.names.policy, "decide_within", what, f"allow {shown(full)}")
    elif given < full:
        what = f"is {shown(given)}: a person is called before a window of numbers is full, which takes {shown(full)}"
        yield note(chain.names.policy, "decide_within", what, f"allow {shown(full)}")
    if chain.policy.release_window <= chain.servings.rules.objective:
        what = f"is {shown(chain.policy.release_window)}, shorter than the way from fault to action may be"
        yield note(chain.names.policy, "release_window", what, "such a short one excuses every release")
