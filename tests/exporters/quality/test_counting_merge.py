"""Counting is additive: any split of the rows, in any order, over any number of replicas, gives the same counters."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airbag_exporters.quality.columns import Coded, Outcomes, Predictions
from airbag_exporters.quality.counting import merged
from airbag_exporters.quality.models import Spec
from airbag_exporters.quality.reference.value import Categorical
from tests.exporters.quality.counted import block_of, numeric, outcomes_of, predictions_of, reference_of, spec_of

CLASSES = ("cat", "dog", "owl")
SEGMENTS = {"region": ("north", "south")}
REFERENCE = reference_of(
    {"age": numeric([0.0, 1.0], [0.2, 0.5]), "plan": Categorical(counts={"a": 1, "b": 1})},
    score=numeric([0.0, 1.0], [0.3, 0.6]),
    target_mean=0.4,
)
SPECS = {
    "binary": spec_of("binary", reference=REFERENCE, segments=SEGMENTS),
    "multiclass": spec_of("multiclass", CLASSES, REFERENCE, segments=SEGMENTS),
    "regression": spec_of("regression", reference=REFERENCE, segments=SEGMENTS),
    "ranking": spec_of("ranking", reference=REFERENCE, segments=SEGMENTS),
    "translation": spec_of("translation", segments=SEGMENTS, ter_sample=0.5),
}

NUMBERS = st.sampled_from(
    [0.2, 0.5, 0.3, 0.0, -0.0, 1.0, 1.5, -3.0, 1e300, np.nan, np.inf, -np.inf, 5e-324]
) | st.floats(0, 1)
NAMES = ("yes", "cat", "a", "north", "newt", "other")


def column(draw: st.DrawFn, rows: int) -> Any:
    return np.array(draw(st.lists(NUMBERS, min_size=rows, max_size=rows)), float)


def codes(draw: st.DrawFn, rows: int, low: int, high: int) -> Any:
    return np.array(draw(st.lists(st.integers(low, high), min_size=rows, max_size=rows)), np.intp)


@st.composite
def predictions(draw: st.DrawFn) -> Predictions:
    """Every column that there may be; a kind takes those that it wants."""
    rows = draw(st.integers(0, 12))

    def texts() -> Coded:
        return Coded(NAMES, codes(draw, rows, -1, len(NAMES) - 1))

    return predictions_of(
        rows,
        predicted=texts(),
        value=column(draw, rows),
        score=column(draw, rows),
        scores=np.stack([column(draw, rows) for _ in CLASSES], axis=1),
        features={"age": column(draw, rows), "plan": texts()},
        segments={"region": texts()},
        latency=column(draw, rows),
    )


@st.composite
def outcomes(draw: st.DrawFn, spec: Spec) -> Outcomes:
    rows = draw(st.integers(0, 12))
    classes = len(spec.classes)
    sentence = st.sampled_from(["a cat sat", "the cat sat on it", "", "a dog"])
    return outcomes_of(
        rows,
        {"region": codes(draw, rows, 0, 2)},
        column(draw, rows),
        predicted=codes(draw, rows, 0, classes),
        actual=codes(draw, rows, 0, classes),
        correct=codes(draw, rows, 0, 1).astype(bool),
        score=column(draw, rows),
        scores=np.stack([column(draw, rows) for _ in CLASSES], axis=1),
        value=column(draw, rows),
        target=column(draw, rows),
        texts=draw(st.lists(st.tuples(sentence, sentence), min_size=rows, max_size=rows)),
    )


def chosen(batch: Outcomes, rows: Any) -> Outcomes:
    columns: dict[str, Any] = {
        each.name: given[rows] for each in fields(batch) if isinstance(given := getattr(batch, each.name), np.ndarray)
    }
    segments = {name: each[rows] for name, each in batch.segments.items()}
    return replace(
        batch, segments=segments, texts=[batch.texts[row] for row in rows] if batch.texts else None, **columns
    )


@pytest.mark.parametrize("kind", SPECS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_parts_in_any_order_add_up_to_the_whole(kind: str, data: st.DataObject) -> None:
    spec = SPECS[kind]
    predicted, labelled = data.draw(predictions()), data.draw(outcomes(spec))
    whole = block_of(spec, predicted, labelled)

    parts = data.draw(st.integers(1, 4))
    which = codes(data.draw, len(predicted), 0, parts - 1)
    which_labelled = codes(data.draw, len(labelled), 0, parts - 1)
    split = [
        (chosen(labelled, np.flatnonzero(which_labelled == part)), predicted.take(np.flatnonzero(which == part)))
        for part in data.draw(st.permutations(range(parts)))
    ]
    replicas = merged([block_of(spec, *batches) for batches in split])
    one_after_the_other = block_of(spec, *(batch for batches in split for batch in batches))
    for total in (replicas, one_after_the_other):
        np.testing.assert_array_equal(total.ints, whole.ints)
        np.testing.assert_allclose(total.floats, whole.floats, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", SPECS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_counter_ever_falls_or_stops_being_a_number(kind: str, data: st.DataObject) -> None:
    spec = SPECS[kind]
    before = block_of(spec, data.draw(predictions()), data.draw(outcomes(spec)))
    after = merged([before, block_of(spec, data.draw(outcomes(spec)), data.draw(predictions()))])
    assert np.isfinite(after.floats).all()
    assert (after.floats >= before.floats).all()
    assert (before.floats >= 0).all()
    assert (after.ints >= before.ints).all()
    assert (before.ints >= 0).all()


def test_adding_up_stops_at_the_largest_number_too() -> None:
    spec = SPECS["regression"]
    block = block_of(spec, outcomes_of(1, value=np.array([1.3e154]), target=np.zeros(1)))
    total = merged([block, block])
    assert total.floats.max() == np.finfo(float).max
    assert block.floats.max() < total.floats.max()
