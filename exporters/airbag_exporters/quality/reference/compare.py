"""How far two references are apart, by the formulas of the recording rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from airbag_exporters.quality.columns import Floats
from airbag_exporters.quality.noise import KS_CRITICAL, SMOOTHING
from airbag_exporters.quality.reference.value import Categorical, Numeric, Reference


@dataclass(frozen=True)
class Difference:
    """One feature in two references. Numbers are None where they mean nothing; `note` says why.

    `psi` is in nats, and without drift about `psi_floor` on average. `ks` is the distance of the two distributions at
    the edges, and without drift rarely above `ks_floor`. `missing` are the shares of missing values.
    """

    feature: str
    psi: float | None = None
    psi_floor: float | None = None
    ks: float | None = None
    ks_floor: float | None = None
    missing: tuple[float, float] | None = None
    note: str = ""


def compare(one: Reference, other: Reference) -> list[Difference]:
    """Feature by feature, the score last."""
    return list(_compared(one, other))


def _compared(one: Reference, other: Reference) -> Iterator[Difference]:
    profiles = [dict(each.features) | ({"score": each.score} if each.score else {}) for each in (one, other)]
    for name in dict.fromkeys([*profiles[0], *profiles[1]]):
        left, right = profiles[0].get(name), profiles[1].get(name)
        if left is None or right is None:
            yield Difference(name, note=f"only in the {'first' if left else 'second'}")
        elif isinstance(left, Numeric) and isinstance(right, Numeric):
            yield _numeric(name, left, right)
        elif isinstance(left, Categorical) and isinstance(right, Categorical):
            yield _categorical(name, left, right)
        else:
            yield Difference(name, note=f"{left.kind} in the first, {right.kind} in the second")


def _numeric(name: str, left: Numeric, right: Numeric) -> Difference:
    missing = (_missing(left), _missing(right))
    if left.edges != right.edges:
        return Difference(name, missing=missing, note="other edges; count the data again with --edges-from")
    if not left.rows or not right.rows:
        return Difference(name, missing=missing, note="no values")
    ours, theirs = np.array(left.le, dtype=np.float64), np.array(right.le, dtype=np.float64)
    ks = float(np.max(np.abs(ours / left.rows - theirs / right.rows)))
    noise = 1 / left.rows + 1 / right.rows
    counts = np.diff(ours, prepend=0.0), np.diff(theirs, prepend=0.0)
    return Difference(name, psi(*counts), (len(ours) - 1) * noise, ks, KS_CRITICAL * noise**0.5, missing)


def _categorical(name: str, left: Categorical, right: Categorical) -> Difference:
    missing = (_missing(left), _missing(right))
    if left.counts.keys() != right.counts.keys():
        return Difference(name, missing=missing, note="other categories; count the data again with --edges-from")
    if not left.rows or not right.rows:
        return Difference(name, missing=missing, note="no values")
    ours = np.array([*left.counts.values(), left.other], dtype=np.float64)
    theirs = np.array([*(right.counts[category] for category in left.counts), right.other], dtype=np.float64)
    noise = 1 / left.rows + 1 / right.rows
    return Difference(name, psi(ours, theirs), (len(ours) - 1) * noise, missing=missing)


def psi(ours: Floats, theirs: Floats) -> float:
    """The population stability index of two vectors of counts, in nats: sum of (p - q) ln(p / q), smoothed."""
    p = (ours + SMOOTHING) / (ours.sum() + SMOOTHING * len(ours))
    q = (theirs + SMOOTHING) / (theirs.sum() + SMOOTHING * len(theirs))
    return float(np.sum((p - q) * np.log(p / q)))


def _missing(profile: Numeric | Categorical) -> float:
    rows = profile.rows + profile.missing
    return profile.missing / rows if rows else 0.0
