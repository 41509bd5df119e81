"""From predictions to what waits for a label, and from there with the label to outcomes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from airbag_exporters.quality.columns import (
    BadBatch,
    Coded,
    Floats,
    Keys,
    Outcomes,
    Owner,
    Predictions,
    as_classes,
    as_numbers,
)
from airbag_exporters.quality.hashing import hash_text
from airbag_exporters.quality.ledger.values import WAITING
from airbag_exporters.quality.models import Spec

_BITS = 8  # of each segment in the packed number


def owner_hash(owner: Owner) -> int:
    """Names an owner in ledgers; the same on every replica."""
    return hash_text("\0".join(owner))


def waiting(spec: Spec, predictions: Predictions, since: float) -> NDArray[np.void]:
    """The rows (n,) WAITING that a ledger keeps of predictions with keys; `since` is now, in epoch seconds."""
    rows = np.zeros(len(predictions), WAITING)
    rows["key"] = predictions.keys
    rows["at"] = predictions.at
    rows["since"] = since
    rows["owner"] = owner_hash(predictions.owner)
    rows["segments"] = _packed(spec, predictions)
    rows["class"] = -1
    if predictions.predicted is not None:
        rows["class"] = class_numbers(spec, predictions.predicted)
        rows["predicted"] = _hashes(predictions.predicted)
    number = predictions.value if spec.quality.kind == "regression" else predictions.score
    rows["score"] = np.nan if number is None else number
    return rows


def extras(spec: Spec, predictions: Predictions) -> dict[int, bytes]:
    """By key, what the label needs of a prediction beside its row: a translation, or the probability of each class."""
    if predictions.keys is None:
        return {}
    if spec.quality.kind == "translation" and predictions.texts is not None:
        return {key: text.encode() for key, text in zip(predictions.keys.tolist(), predictions.texts, strict=True)}
    if predictions.scores is None:
        return {}
    known = np.flatnonzero(~np.isnan(predictions.scores[:, 0]))
    scores = np.ascontiguousarray(predictions.scores[known], dtype="<f8")
    return {key: row.tobytes() for key, row in zip(predictions.keys[known].tolist(), scores, strict=True)}


def at_once(spec: Spec, predictions: Predictions) -> Outcomes:
    """The outcomes of predictions whose label came with them."""
    if predictions.actual is None:
        raise ValueError("these predictions have no labels")
    keyed = predictions
    if predictions.keys is None:  # any distinct keys will do, nobody waits
        keyed = replace(predictions, keys=np.arange(len(predictions), dtype=np.uint64))
    by_key = extras(spec, keyed)
    keys = keyed.keys.tolist() if keyed.keys is not None else []
    kept = {place: by_key[key] for place, key in enumerate(keys) if key in by_key}
    return outcomes(spec, keyed.owner, waiting(spec, keyed, 0.0), kept, predictions.actual, predictions.at)


def outcomes(
    spec: Spec, owner: Owner, rows: NDArray[np.void], kept: Mapping[int, bytes], actual: Coded | Floats, at: Floats,
    numbers: Sequence[int] | NDArray[np.intp] | None = None,
) -> Outcomes:  # fmt: skip
    """What labels say about the predictions of one version.

    `rows` (n,) WAITING and `kept` (extras by position) are the predictions, `actual` and `at` (n,) their labels. What
    was predicted before the model's configuration changed may lack what is needed now, and is left out.
    BadBatch for a label that a model of this kind cannot have; `numbers` (n,) are the places in the batch to name.
    """
    segments = _unpacked(spec, rows["segments"])
    delay = at - rows["at"]
    kind = spec.quality.kind
    if kind in ("regression", "ranking"):
        target = as_numbers(actual)
        _refuse_targets(kind, target, numbers)
        if kind == "regression":
            return Outcomes(owner, delay, segments, value=rows["score"].copy(), target=target)
        return Outcomes(owner, delay, segments, score=rows["score"].copy(), target=target)
    classes = as_classes(actual)
    if kind == "translation":
        places = sorted(kept)
        codes = classes.codes[places].tolist()
        texts = [
            (kept[place].decode(errors="replace"), classes.values[code])
            for place, code in zip(places, codes, strict=True)
        ]
        chosen = {name: each[places] for name, each in segments.items()}
        return Outcomes(owner, delay[places], chosen, texts=texts)
    return Outcomes(
        owner, delay, segments,
        predicted=np.minimum(rows["class"].astype(np.uint32), len(spec.classes)).astype(np.intp),  # -1 is `other` too
        actual=class_numbers(spec, classes),
        correct=rows["predicted"] == _hashes(classes),
        score=rows["score"].copy(),
        scores=_scores(spec, len(rows), kept),
    )  # fmt: skip


def class_numbers(spec: Spec, column: Coded) -> NDArray[np.intp]:
    """The number of each row's class, the one after the last for `other`."""
    return numbered(spec.classes, column)


def numbered(values: Sequence[str], column: Coded) -> NDArray[np.intp]:
    """The place (n,) of each row's text among `values`, the one after the last for any other and for none."""
    places = {value: place for place, value in enumerate(values)}
    return column.looked_up(lambda value: places.get(value, len(places)), len(places))


def _hashes(column: Coded) -> Keys:
    return np.array([*(hash_text(value) for value in column.values), 0], dtype=np.uint64)[column.codes]


def _packed(spec: Spec, predictions: Predictions) -> NDArray[np.uint32]:
    packed = np.zeros(len(predictions), dtype=np.uint32)
    for place, (name, values) in enumerate(spec.quality.segments.items()):
        column = predictions.segments.get(name)
        codes = np.full(len(predictions), len(values), dtype=np.intp) if column is None else numbered(values, column)
        packed |= codes.astype(np.uint32) << np.uint32(place * _BITS)
    return packed


def _unpacked(spec: Spec, packed: NDArray[np.uint32]) -> dict[str, NDArray[np.intp]]:
    mask = np.uint32((1 << _BITS) - 1)
    return {
        # A row from before the segment was configured may hold any number.
        name: np.minimum((packed >> np.uint32(place * _BITS)) & mask, len(values)).astype(np.intp)
        for place, (name, values) in enumerate(spec.quality.segments.items())
    }


def _scores(spec: Spec, size: int, kept: Mapping[int, bytes]) -> Floats | None:
    """Rows whose number of classes is no longer the model's count as rows without probabilities."""
    if not kept:
        return None
    scores = np.full((size, len(spec.classes)), np.nan)
    for place, data in kept.items():
        if len(data) == 8 * len(spec.classes):
            scores[place] = np.frombuffer(data, dtype="<f8")
    return scores


def _refuse_targets(kind: str, target: Floats, numbers: Sequence[int] | NDArray[np.intp] | None) -> None:
    fine = np.isfinite(target) if kind == "regression" else (target == 0) | (target == 1)
    if not fine.all():
        first = int(np.argmin(fine))
        wanted = "a finite number" if kind == "regression" else "0 or 1"
        place = int(numbers[first]) if numbers is not None else first
        raise BadBatch(f"item {place + 1}, field `actual`: the label of a {kind} model must be {wanted}")
