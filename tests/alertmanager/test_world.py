"""Is it the release, or the world? What the numbers say, and from when on they say it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airbag_rollback.engine.decide import Kind, Question, Situation, decide
from airbag_rollback.engine.inputs import CHANCE, largest_shift
from airbag_rollback.engine.target import Choice
from airbag_rollback.engine.verdict import Bad, Measurement
from airbag_rollback.engine.world import World, WorldLimits, suspects

LIMITS = WorldLimits(others_share=0.5, good_for=600.0, load_ratio=2.0, inputs_ks=0.2)


@pytest.mark.parametrize(
    ("world", "reason"),
    [
        (World(others_bad=49, others_judged=100), None),
        (World(others_bad=50, others_judged=100), "others_suffer"),
        (World(others_bad=0, others_judged=0), None),
        (World(good_for=599.9), None),
        (World(good_for=600.0), "was_good"),
        (World(good_for=None), None),
        (World(load_ratio=1.99), None),
        (World(load_ratio=2.0), "load_changed"),
        (World(load_ratio=None), None),
        (World(inputs_ks=0.199, input="age"), None),
        (World(inputs_ks=0.2, input="age"), "inputs_changed"),
        (World(inputs_ks=None), None),
    ],
)
def test_each_test_of_the_world_has_its_limit_and_the_unknown_speaks_for_nothing(
    world: World, reason: str | None
) -> None:
    found = suspects(world, LIMITS)
    assert (found and found[0]) == reason


@pytest.mark.parametrize(
    ("world", "off"),
    [
        (World(others_bad=9, others_judged=9), {"others_share": 0.0}),
        (World(good_for=9e9), {"good_for": 0.0}),
        (World(load_ratio=9e9), {"load_ratio": 0.0}),
        (World(inputs_ks=1.0, input="age"), {"inputs_ks": 0.0}),
    ],
    ids=["others", "good", "load", "inputs"],
)
def test_a_limit_of_zero_turns_a_test_off(world: World, off: dict[str, float]) -> None:
    assert suspects(world, LIMITS) is not None
    assert suspects(world, replace(LIMITS, **off)) is None


EMPTY, FULL = Measurement(), Measurement(0.9, 0.05, 500, 20, 0.5)
GOOD = Measurement(0.01, 0.05, 500, 20, 0.0)


@pytest.mark.parametrize(
    ("suspect", "baseline", "kind", "reason"),
    [
        (EMPTY, EMPTY, Kind.WAIT, "no_data"),
        (EMPTY, GOOD, Kind.WAIT, "no_data"),
        (FULL, EMPTY, Kind.WAIT, "baseline_no_data"),
        (FULL, GOOD, Kind.PLAN, "bad"),
    ],
    ids=["neither", "baseline only", "suspect only", "both"],
)
def test_without_both_sides_nothing_is_decided(
    suspect: Measurement, baseline: Measurement, kind: Kind, reason: str
) -> None:
    """Two empty series are no agreement, and one is no difference."""
    ask = Question(
        mode="auto", now=1000.0, suspect=3, release_window=3600.0,
        situation=Situation(frozenset({3}), frozenset({2, 3}), 990.0), choice=Choice(2, ()), bad=Bad.ABOVE,
        measured=suspect, compares=True, baseline=baseline,
    )  # fmt: skip
    decision = decide(ask)
    assert (decision.kind, decision.reason) == (kind, reason)


def counts(**bins: float) -> dict[str, float]:
    """Rows at or below each bin's upper edge."""
    return dict(bins)


def test_the_distance_is_granted_what_chance_explains() -> None:
    now = {("age", "r"): counts(start=0, a=5000, b=10_000)}
    then = {("age", "r"): counts(start=0, a=9000, b=10_000)}
    found = largest_shift(now, then)
    assert found is not None
    assert found.feature == "age"
    assert found.distance == pytest.approx(0.4 - math.sqrt(math.log(4 / CHANCE) / 2) * 0.02)


def test_more_features_are_granted_more_chance_and_the_worst_is_told() -> None:
    same = counts(start=0, a=5000, b=10_000)
    moved = counts(start=0, a=9000, b=10_000)
    one = largest_shift({("age", "r"): same}, {("age", "r"): moved})
    two = largest_shift({("age", "r"): same, ("x", "r"): same}, {("age", "r"): moved, ("x", "r"): same})
    assert one is not None
    assert two is not None
    assert two.feature == "age"
    assert two.distance < one.distance


@pytest.mark.parametrize(
    ("now", "then"),
    [
        ({}, {}),
        ({("age", "r"): counts(a=9)}, {}),
        ({}, {("age", "r"): counts(a=9)}),
        ({("age", "r"): counts(a=9)}, {("age", "other bins"): counts(a=9)}),
        ({("age", "r"): counts(a=9)}, {("age", "r"): counts(a=9, b=9)}),
        ({("age", "r"): counts(a=0)}, {("age", "r"): counts(a=9)}),
        ({("age", "r"): counts(a=9)}, {("age", "r"): counts(a=0)}),
    ],
    ids=["neither", "now only", "then only", "other reference", "other bins", "no rows now", "no rows then"],
)
def test_inputs_that_were_not_counted_alike_are_not_compared(
    now: dict[tuple[str, str], dict[str, float]], then: dict[tuple[str, str], dict[str, float]]
) -> None:
    assert largest_shift(now, then) is None


@given(st.integers(1, 10**7), st.integers(1, 10**7), st.floats(0, 1), st.floats(0, 1))
def test_what_is_claimed_is_never_more_than_what_is_seen(n: int, m: int, one: float, other: float) -> None:
    found = largest_shift({("x", "r"): counts(a=n * one, b=n)}, {("x", "r"): counts(a=m * other, b=m)})
    assert found is not None
    assert 0 <= found.distance <= abs(one - other) + 1e-9


def test_samples_of_one_source_are_hardly_ever_called_different() -> None:
    dice = np.random.default_rng(6)

    def sample(rows: int) -> dict[str, float]:
        drawn = dice.integers(10, size=rows)
        return {str(edge): float((drawn <= edge).sum()) for edge in range(10)}

    for _ in range(200):
        found = largest_shift({("x", "r"): sample(300)}, {("x", "r"): sample(200)})
        assert found is not None
        assert found.distance == 0
