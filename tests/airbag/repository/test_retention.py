"""What a retention policy lets go, and what never goes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airbag.repository import Stored, Uses, asked_for, fates
from airbag.repository.retention import ABANDONED, span
from airbag.serving.groups import Retention
from airbag.serving.model_config import Policy

NOW = 2_000_000_000.0
DAY = 86400.0


def kept(last: int, days: float = 0.0) -> Retention:
    return Retention.model_construct(keep_last=last, keep_for=days * DAY)


def whole(version: int, days: float = 30.0) -> Stored:
    return Stored(version, True, NOW - days * DAY)


def broken(version: int, days: float = 30.0) -> Stored:
    return Stored(version, False, NOW - days * DAY, "it has no saved_model.pb")


def going(stored: list[Stored], uses: Uses, keep: Retention) -> list[int]:
    return [fate.version for fate in fates(stored, uses, keep, NOW) if fate.goes]


def why(stored: list[Stored], uses: Uses, keep: Retention) -> dict[int, str]:
    return {fate.version: str(fate) for fate in fates(stored, uses, keep, NOW)}


SEVEN = [whole(version) for version in range(1, 8)]


def test_the_newest_stay_and_the_rest_goes() -> None:
    serving = Uses(serves=frozenset({7}), loaded=frozenset({7}))
    assert going(SEVEN, serving, kept(3)) == [4, 3, 2, 1]
    assert why(SEVEN, serving, kept(3))[4] == "3 newer complete ones"


def test_every_use_of_a_version_keeps_it_and_is_named() -> None:
    uses = Uses(
        serves=frozenset({5}), loaded=frozenset({5, 4}), labels={3: "canary"}, asked=frozenset({2, 5}),
        targets=frozenset({1}), twice=frozenset({6}),
    )  # fmt: skip
    assert going(SEVEN, uses, kept(1)) == []
    assert why(SEVEN, uses, kept(1)) == {
        7: "is one of the newest 1",
        6: "two names spell this number",
        5: "serves; models.config asks for it",
        4: "is loaded; is the newest complete one below what serves",
        3: "has the label canary",
        2: "models.config asks for it",
        1: "is the rollback target",
    }


def test_the_newest_complete_one_below_what_serves_stays_on_each_server() -> None:
    versions = [whole(1), whole(2), broken(3), whole(4), whole(5), whole(6), whole(7)]
    assert going(versions, Uses(serves=frozenset({4, 7})), kept(1)) == [5, 3, 1]


def test_a_young_version_stays() -> None:
    versions = [whole(1, 9), whole(2, 11), whole(3, 2), whole(4, 1)]
    assert going(versions, Uses(serves=frozenset({4})), kept(1, 10)) == [2]
    assert "is younger than 10d" in why(versions, Uses(serves=frozenset({4})), kept(1, 10))[1]


def test_a_version_that_is_not_complete_never_takes_the_place_of_one_that_is() -> None:
    versions = [whole(1), whole(2), whole(3), broken(4), broken(5)]
    assert going(versions, Uses(serves=frozenset({3})), kept(2)) == [1]


def test_a_version_that_is_not_complete_goes_once_it_is_given_up_and_enough_newer_ones_are_there() -> None:
    versions = [broken(1), broken(2, 0.5), whole(3), whole(4)]
    serving = Uses(serves=frozenset({4}))
    assert going(versions, serving, kept(2)) == [1]
    assert why(versions, serving, kept(2))[1] == "it has no saved_model.pb; 2 newer complete ones"
    assert "may still be arriving" in why(versions, serving, kept(2))[2]
    assert going(versions, serving, kept(3)) == []


def test_where_no_version_is_complete_none_goes() -> None:
    """As on a server with other --saved_model_tags, which the files do not tell."""
    assert going([broken(version) for version in range(9)], Uses(serves=frozenset({8})), kept(1)) == []


def test_what_a_version_that_stays_leans_on_stays() -> None:
    versions = [whole(1), replace(whole(2), leans_on=frozenset({1})), whole(3), whole(4),
                replace(whole(5), leans_on=frozenset({2}))]  # fmt: skip
    assert going(versions, Uses(serves=frozenset({5})), kept(1)) == [3]
    assert why(versions, Uses(serves=frozenset({5})), kept(1))[1] == "2 has links into it"


@pytest.mark.parametrize("uses", [Uses(serves=frozenset({7}), unknown="server a did not answer"), Uses()])
def test_nothing_goes_while_it_is_not_known_what_serves(uses: Uses) -> None:
    assert going(SEVEN, uses, kept(1)) == []
    assert why(SEVEN, uses, kept(1))[1] == (uses.unknown or "no server serves this model now")


def test_a_policy_asks_for_what_the_server_would_load() -> None:
    assert asked_for(Policy.latest(2), [1, 2, 3]) == {2, 3}
    assert asked_for(Policy.all(), [1, 2]) == {1, 2}
    assert asked_for(Policy.specific(2, 9), [1, 2]) == {2, 9}


def test_uses_of_several_servers_add_up() -> None:
    both = Uses(serves=frozenset({1}), labels={1: "a"}).with_(Uses(serves=frozenset({2}), unknown="silence"))
    assert (both.serves, both.labels, both.unknown) == ({1, 2}, {1: "a"}, "silence")


def test_a_span_is_told_in_its_largest_unit() -> None:
    assert [span(each) for each in (5, 90, 3600, 36 * 3600, 864000)] == ["5s", "1.5m", "1h", "1.5d", "10d"]


versions_of = st.sets(st.integers(-3, 25), max_size=14)


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[Stored], Uses]:
    numbers = sorted(draw(versions_of))
    some = st.frozensets(st.sampled_from(numbers or [1]), max_size=4)
    stored = [
        Stored(number, draw(st.booleans()), NOW - draw(st.floats(-10, 400 * DAY)), "", draw(some)) for number in numbers
    ]
    labels = dict.fromkeys(draw(some), "label")
    uses = Uses(
        draw(some), draw(some), labels, draw(some), draw(some), draw(some), draw(st.sampled_from(["", "", "?"]))
    )
    return stored, uses


policies = st.builds(kept, st.integers(1, 9), st.floats(0, 300))


@given(situations(), policies)
def test_what_is_needed_never_goes(situation: tuple[list[Stored], Uses], keep: Retention) -> None:
    stored, uses = situation
    gone = set(going(stored, uses, keep))
    needed = uses.serves | uses.loaded | uses.labels.keys() | uses.asked | uses.targets | uses.twice
    assert not gone & needed
    assert not (gone and (uses.unknown or not uses.serves))
    stays = [each for each in stored if each.version not in gone]
    assert not gone & frozenset().union(*(each.leans_on for each in stays))


@given(situations(), policies)
def test_what_is_new_whole_and_young_never_goes(situation: tuple[list[Stored], Uses], keep: Retention) -> None:
    stored, uses = situation
    gone = set(going(stored, uses, keep))
    complete = sorted(each.version for each in stored if each.complete)
    assert not gone & set(complete[-keep.keep_last :])
    assert not gone & {each.version for each in stored if NOW - each.touched_at < keep.keep_for}
    assert not gone & {e.version for e in stored if not e.complete and NOW - e.touched_at < ABANDONED}
    for serving in uses.serves:
        assert not gone & {max((v for v in complete if v < serving), default=serving)}


@given(situations(), policies, st.integers(0, 5), st.floats(0, 100))
def test_keeping_more_never_removes_more(
    situation: tuple[list[Stored], Uses], keep: Retention, more: int, longer: float
) -> None:
    stored, uses = situation
    generous = kept(keep.keep_last + more, keep.keep_for / DAY + longer)
    assert set(going(stored, uses, generous)) <= set(going(stored, uses, keep))


@given(situations(), policies)
def test_a_second_prune_right_after_finds_nothing_more(situation: tuple[list[Stored], Uses], keep: Retention) -> None:
    stored, uses = situation
    gone = set(going(stored, uses, keep))
    assert going([each for each in stored if each.version not in gone], uses, keep) == []
