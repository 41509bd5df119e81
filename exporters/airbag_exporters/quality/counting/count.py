"""Batches into blocks."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airbag_exporters.quality.columns import Outcomes, Predictions
from airbag_exporters.quality.counting.block import Block
from airbag_exporters.quality.counting.layout import Counter, Layout
from airbag_exporters.quality.counting.regression import countable
from airbag_exporters.quality.models import Spec


def count_predictions(spec: Spec, block: Block, predictions: Predictions) -> None:
    """Add a batch to the counters of its version, in place.

    Counting is additive: parts of a batch, counted in any order and into any blocks, add up to the whole.
    ValueError when the block was laid out for another configuration of the model; the reference is the one that the
    block was laid out for.
    """
    for counter in _counters(spec, block):
        counter.predictions(block, predictions)


def count_outcomes(spec: Spec, block: Block, outcomes: Outcomes) -> None:
    """Add labelled predictions to the counters of their version, in place; otherwise as `count_predictions`.

    Rows of a regression that lack either number, or whose squares are not finite, are left out everywhere.
    """
    if spec.quality.kind == "regression":
        usable = countable(spec, outcomes)
        outcomes = outcomes if usable.all() else _chosen(outcomes, usable)
    for counter in _counters(spec, block):
        counter.outcomes(block, outcomes)


def _counters(spec: Spec, block: Block) -> tuple[Counter, ...]:
    layout = block.layout
    if isinstance(layout, Layout) and layout.is_for(spec):
        return layout.counters
    raise ValueError(f"the counters of {'/'.join(layout.names)} are laid out for another configuration")


def _chosen(outcomes: Outcomes, rows: NDArray[np.bool_]) -> Outcomes:
    columns: dict[str, Any] = {
        each.name: column[rows]
        for each in fields(outcomes)
        if isinstance(column := getattr(outcomes, each.name), np.ndarray)
    }
    return replace(outcomes, segments={name: each[rows] for name, each in outcomes.segments.items()}, **columns)
