"""Which versions are compared, and how one that is new begins."""

from __future__ import annotations

import numpy as np

from airbag_exporters.quality.columns import Owner
from airbag_exporters.quality.counting import Block, Layout
from airbag_exporters.quality.models import Spec
from airbag_exporters.quality.pages import Fresh
from airbag_exporters.quality.roles import CANDIDATE, STABLE, roles

V2, V9, V10 = (Owner("main", "digits", version) for version in ("2", "9", "10"))


def block(owner: Owner, count: int) -> Block:
    made = Block(Layout.of(Spec("main", "digits", ("0", "1")), owner))
    made.ints += count
    return made


def test_the_highest_number_is_the_candidate_and_the_one_below_it_is_stable() -> None:
    seen = {V10: 100.0, V2: 100.0, V9: 100.0}
    assert roles(seen, 100.0, 60.0) == {V10: CANDIDATE, V9: STABLE}


def test_versions_that_answer_no_more_have_no_role_and_the_only_one_left_is_stable() -> None:
    seen = {V10: 39.0, V9: 40.0, Owner("main", "digits", "other"): 100.0}
    assert roles(seen, 100.0, 60.0) == {V9: STABLE}
    assert roles(seen, 101.0, 60.0) == {}


def test_models_do_not_meet() -> None:
    other = Owner("main", "letters", "10")
    assert roles({V9: 1.0, other: 1.0}, 1.0, 60.0) == {V9: STABLE, other: STABLE}


def test_a_new_version_is_at_zero_until_it_is_known_to_have_been_shown() -> None:
    fresh, versions = Fresh(), {V9: block(V9, 5)}
    assert fresh.due(0.0) == frozenset()
    assert not fresh.scraped(versions, frozenset(), 10.0)[V9].ints.any()
    assert fresh.due(11.0) == frozenset()
    assert fresh.due(11.1) == {V9}
    assert not fresh.scraped(versions, frozenset(), 12.0)[V9].ints.any()
    assert np.array_equal(fresh.scraped(versions, frozenset({V9}), 13.0)[V9].ints, versions[V9].ints)
    assert fresh.due(99.0) == frozenset()


def test_each_version_begins_by_itself() -> None:
    fresh = Fresh()
    both = {V9: block(V9, 5), V10: block(V10, 7)}
    fresh.scraped({V9: both[V9]}, frozenset(), 10.0)
    fresh.scraped(both, frozenset(), 11.5)
    assert fresh.due(11.6) == {V9}
    assert fresh.due(13.0) == {V9, V10}
