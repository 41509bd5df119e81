"""How far two references are apart, in the numbers of the recording rules."""

from __future__ import annotations

import math

import numpy as np
import pytest

from airbag_exporters.quality.reference.compare import Difference, compare
from airbag_exporters.quality.reference.value import Categorical, Numeric, Profile, Reference


def reference(**features: Profile) -> Reference:
    return Reference(rows=1, features=features)


def number(*le: int, missing: int = 0, edges: tuple[float, ...] = (0.0, 1.0)) -> Numeric:
    return Numeric(edges=edges, le=le, missing=missing, minimum=0.0, maximum=1.0)


def test_psi_ks_and_their_noise_of_a_numeric_feature() -> None:
    (found,) = compare(reference(a=number(50, 80, 100)), reference(a=number(20, 80, 200, missing=200)))
    p, q = np.array([50.5, 30.5, 20.5]) / 101.5, np.array([20.5, 60.5, 120.5]) / 201.5
    assert found.psi == pytest.approx(np.sum((p - q) * np.log(p / q)))
    assert found.ks == pytest.approx(0.4)
    assert found.psi_floor == pytest.approx(2 * (1 / 100 + 1 / 200))
    assert found.ks_floor == pytest.approx(1.949 * math.sqrt(1 / 100 + 1 / 200))
    assert found.missing == (0, 0.5)


def test_categories_have_no_order_and_therefore_no_ks() -> None:
    one, two = Categorical(counts={"a": 60, "b": 30}, other=10), Categorical(counts={"b": 30, "a": 60}, other=10)
    (found,) = compare(reference(c=one), reference(c=two))
    assert found == Difference("c", 0.0, pytest.approx(2 * 0.02), missing=(0, 0))


def test_an_empty_bin_does_not_make_psi_infinite() -> None:
    (found,) = compare(reference(a=number(0, 0, 100)), reference(a=number(100, 100, 100)))
    assert found.psi is not None
    assert math.isfinite(found.psi)
    assert found.ks == 1


def test_what_cannot_be_compared_says_why() -> None:
    one = reference(a=number(1, 1, 1), b=number(1, 1, 1), c=number(1, 1, 1), d=number(0, 0, 0))
    two = reference(b=number(1, 1, 1, edges=(0.0, 2.0)), c=Categorical(counts={"x": 1}), d=number(1, 1, 1),
                    e=number(1, 1, 1))  # fmt: skip
    assert {each.feature: each.note for each in compare(one, two)} == {
        "a": "only in the first",
        "b": "other edges; count the data again with --edges-from",
        "c": "numeric in the first, categorical in the second",
        "d": "no values",
        "e": "only in the second",
    }


def test_the_score_is_compared_like_a_feature() -> None:
    one = Reference(rows=1, score=number(1, 2, 3))
    assert [each.feature for each in compare(one, one)] == ["score"]
