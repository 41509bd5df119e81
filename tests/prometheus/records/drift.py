"""PSI, KS, Jensen-Shannon and what is missing, against scipy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy, ks_2samp
from sklearn.datasets import load_diabetes

from tests.prometheus.records.promtool import (
    SCRAPES,
    Case,
    Counts,
    Labels,
    Sample,
    Series,
    gauges,
    replayed,
    series,
    text,
)
from tests.prometheus.records.rows import cumulative, quantiles, version

REF = "abcdef012345"
MISSING = {"age": 0.0, "bmi": 0.1, "pressure": 0.05, "colour": 0.02}
"""Their share in the reference, of which the training data here holds nothing."""
CATEGORIES = ("red", "green", "blue", "other")
_PREFIX = "model_version_feature:airbag_quality_"


@dataclass(frozen=True)
class Columns:
    """Numeric columns, where NaN is a missing value, and one column of categories."""

    numeric: Mapping[str, np.ndarray]
    colour: np.ndarray

    def __len__(self) -> int:
        return len(self.colour)


def _training() -> Columns:
    """Ten times as much as the set holds, drawn from it."""
    features = load_diabetes(scaled=False).data
    drawn = np.random.default_rng(1).choice(len(features), 4000)
    colour = np.array(CATEGORIES)[np.random.default_rng(2).choice(4, 4000, p=(0.5, 0.3, 0.15, 0.05))]
    return Columns({"age": features[drawn, 0], "bmi": features[drawn, 2], "pressure": features[drawn, 3]}, colour)


def _live(rows: int, seed: int, *, drifted: bool) -> Columns:
    """Drawn from the same set; when drifted, bmi grows, some pressures are missing, and nothing is red any more."""
    features = load_diabetes(scaled=False).data
    random = np.random.default_rng(seed)
    age, bmi, pressure = features[random.choice(len(features), rows)][:, [0, 2, 3]].T.copy()
    colour = np.array(CATEGORIES)[random.choice(4, rows, p=(0.5, 0.3, 0.15, 0.05))]
    if drifted:
        bmi, pressure[::5] = bmi * 1.3, np.nan
        colour = np.where(colour == "red", "green", colour)
    return Columns({"age": age, "bmi": bmi, "pressure": pressure}, colour)


TRAINING = _training()
EDGES = {name: quantiles(values, 10) for name, values in TRAINING.numeric.items()}


def _count(of: Labels, columns: Columns, rows: np.ndarray) -> Counts:
    counts = _distribution("feature", "_total", of, columns, rows)
    for name, values in columns.numeric.items():
        mine, reference = values[rows], TRAINING.numeric[name]
        beyond = (mine < reference.min()) | (mine > reference.max())
        labels = {**of, "feature": name}
        counts[series("airbag_quality_feature_missing_total", **labels)] = float(np.isnan(mine).sum())
        counts[series("airbag_quality_feature_out_of_range_total", **labels)] = float(beyond.sum())
    counts[series("airbag_quality_feature_missing_total", **of, feature="colour")] = 0.0
    return counts


def _distribution(what: str, ending: str, of: Labels, columns: Columns, rows: np.ndarray) -> Counts:
    counts: Counts = {}
    for name, values in columns.numeric.items():
        known = values[rows][~np.isnan(values[rows])]
        labels = {**of, "ref": REF, "feature": name}
        family = f"airbag_quality_{what}_le{ending}"
        counts |= cumulative(family, labels, EDGES[name], known, np.ones(len(known)))
    labels = {**of, "ref": REF, "feature": "colour"}
    for category in CATEGORIES:
        key = series(f"airbag_quality_{what}_category{ending}", **labels, category=category)
        counts[key] = float((columns.colour[rows] == category).sum())
    return counts


def _reference(of: Labels) -> Counts:
    missing = {
        series("airbag_quality_reference_missing_ratio", **of, feature=name, ref=REF): share
        for name, share in MISSING.items()
    }
    return _distribution("reference", "", of, TRAINING, np.arange(len(TRAINING))) | missing


def _pages(of: Labels, columns: Columns) -> dict[str, list[float]]:
    return replayed(lambda rows: _count(of, columns, rows), len(columns)) | gauges(_reference(of))


def case() -> Case:
    """One model, with a candidate that sees drift and a stable version that does not."""
    live = {3: _live(1500, 3, drifted=True), 2: _live(900, 4, drifted=False)}
    shown: dict[str, list[float]] = {}
    expected: list[Sample] = []
    for number, columns in live.items():
        shown |= _pages(version("diabetes", number), columns)
        expected += _expected(version("diabetes", number), columns, drifted=number == 3)
    roles = {
        series("airbag_quality_version_role", **version("diabetes", 3), role="candidate"): 1.0,
        series("airbag_quality_version_role", **version("diabetes", 2), role="stable"): 1.0,
    }
    return Case(
        shown | gauges(roles),
        expected + _between(live[3], live[2]),
        scrape=45,
        every=180,  # the roles come from a group that promtool runs after this one
        at=900,
    )


def seldom() -> Case:
    """Few rows, of which nothing is said to be significant.

    A hundred without drift, whose PSI is over every usual limit; and two hundred with drift, which chance does not
    explain, but three hundred are asked for.
    """
    without, drifted = _live(100, 17, drifted=False), _live(200, 6, drifted=True)
    assert max(_psi_of(name, without) for name in EDGES) > 0.2
    assert _psi_of("bmi", drifted) > 3 * 9 * (1 / 200 + 1 / len(TRAINING))
    quiet = [
        Sample(f"{_PREFIX}{metric}:significant15m", {**version("diabetes", number), "feature": name, "ref": REF}, 0)
        for number in (3, 4)
        for metric, names in (("psi", [*EDGES, "colour"]), ("ks", [*EDGES]), ("missing", [*EDGES, "colour"]))
        for name in names
    ]
    shown = _pages(version("diabetes"), without) | _pages(version("diabetes", 4), drifted)
    return Case(shown, quiet, scrape=45, every=900, at=900)


def _psi_of(name: str, columns: Columns) -> float:
    return _psi(_shares(columns.numeric[name], EDGES[name]), _shares(TRAINING.numeric[name], EDGES[name]))


def _shares(values: np.ndarray, edges: Sequence[float]) -> np.ndarray:
    counts = np.bincount(np.searchsorted(edges, values[~np.isnan(values)]), minlength=len(edges) + 1)
    return _smoothed(counts)


def _categories(colour: np.ndarray) -> np.ndarray:
    return _smoothed(np.array([(colour == each).sum() for each in CATEGORIES]))


def _smoothed(counts: np.ndarray) -> np.ndarray:
    smoothed: np.ndarray = (counts + 0.5) / (counts.sum() + 0.5 * len(counts))
    return smoothed


def _psi(one: np.ndarray, other: np.ndarray) -> float:
    """Kullback and Leibler's divergence both ways."""
    return float(entropy(one, other) + entropy(other, one))


def _expected(of: Labels, columns: Columns, *, drifted: bool) -> list[Sample]:
    found: list[Sample] = []
    for name, values in columns.numeric.items():
        labels = {**of, "feature": name, "ref": REF}
        known, training = values[~np.isnan(values)], TRAINING.numeric[name]
        found += _distances(labels, _shares(values, EDGES[name]), _shares(training, EDGES[name]), len(known))
        found += _ks(labels, known, training, EDGES[name])
        beyond = ((known < training.min()) | (known > training.max())).mean()
        found += _missing(labels, float(np.isnan(values).mean()), drifted and name == "pressure")
        found.append(Sample(f"{_PREFIX}out_of_range:ratio15m", labels, beyond))
        found.append(Sample(f"{_PREFIX}psi:significant15m", labels, float(drifted and name == "bmi")))
    labels = {**of, "feature": "colour", "ref": REF}
    found += _distances(labels, _categories(columns.colour), _categories(TRAINING.colour), len(columns))
    found += _missing(labels, 0.0, significant=False)
    found.append(Sample(f"{_PREFIX}psi:significant15m", labels, float(drifted)))
    return found


def _missing(labels: Labels, share: float, significant: bool) -> list[Sample]:
    return [
        Sample(f"{_PREFIX}missing:ratio15m", labels, share),
        Sample(f"{_PREFIX}missing:difference15m", labels, share - MISSING[labels["feature"]]),
        Sample(f"{_PREFIX}missing:significant15m", labels, float(significant)),
    ]


def _distances(labels: Labels, live: np.ndarray, training: np.ndarray, rows: int) -> list[Sample]:
    return [
        Sample(f"{_PREFIX}feature_rows:increase15m", labels, rows),
        Sample(f"{_PREFIX}reference:rows", labels, len(TRAINING)),
        Sample(f"{_PREFIX}reference:bins", labels, len(live)),
        Sample(f"{_PREFIX}reference:negentropy", labels, -entropy(training)),
        Sample(f"{_PREFIX}reference:mismatch", labels, 0),
        Sample(f"{_PREFIX}psi:nats15m", labels, _psi(live, training)),
        Sample(f"{_PREFIX}psi:noise_floor15m", labels, (len(live) - 1) * (1 / rows + 1 / len(TRAINING))),
        Sample(f"{_PREFIX}js:nats15m", labels, jensenshannon(live, training) ** 2),
    ]


def _ks(labels: Labels, live: np.ndarray, training: np.ndarray, edges: Sequence[float]) -> list[Sample]:
    """Between bins the exact distance may be larger, by what one bin holds at most."""
    bins, then = np.searchsorted(edges, live), np.searchsorted(edges, training)
    exact, binned = ks_2samp(live, training).statistic, ks_2samp(bins, then).statistic
    widest = max(max(np.bincount(each).max() / len(each) for each in (bins, then)), 0)
    floor = 1.949 * math.sqrt(1 / len(live) + 1 / len(training))
    return [
        Sample(f"{_PREFIX}ks:distance15m", labels, binned),
        Sample(f"{_PREFIX}ks:distance15m", labels, exact, tolerance=widest),
        Sample(f"{_PREFIX}ks:noise_floor15m", labels, floor),
        Sample(f"{_PREFIX}ks:significant15m", labels, float(binned > floor)),
    ]


def _between(candidate: Columns, stable: Columns) -> list[Sample]:
    found = []
    for name in [*candidate.numeric, "colour"]:
        labels = {"serving": "main", "model_name": "diabetes", "feature": name, "ref": REF}
        if name == "colour":
            one, other = _categories(candidate.colour), _categories(stable.colour)
            rows = [len(candidate), len(stable)]
        else:
            one, other = (_shares(each.numeric[name], EDGES[name]) for each in (candidate, stable))
            rows = [int((~np.isnan(each.numeric[name])).sum()) for each in (candidate, stable)]
        floor = (len(one) - 1) * (1 / rows[0] + 1 / rows[1])
        found.append(Sample("model_feature:airbag_quality_canary_psi:nats15m", labels, _psi(one, other)))
        found.append(Sample("model_feature:airbag_quality_canary_psi:noise_floor15m", labels, floor))
    return found


def mismatch() -> Case:
    """Replicas with other counts for the same bins, with other bins, without a reference; and two that agree."""
    columns = _live(400, 7, drifted=False)
    shown: dict[str, list[float]] = {}
    expected: list[Sample] = []
    for model, ref in {"agree": REF, "counts": REF, "bins": "ffffffffffff", "without": "default"}.items():
        of = version(model)
        live, reference = _count(of, columns, np.arange(400)), _reference(of)
        shown |= _page("a", live | reference)
        theirs = {} if model == "without" else reference
        if model == "counts":
            theirs = {key: value + (("feature", "age") in key[1]) for key, value in reference.items()}
        shown |= _page("b", {_with_ref(key, ref): value for key, value in (live | theirs).items()})
        for name in [*columns.numeric, "colour"]:
            differs = ref != REF or (model == "counts" and name == "age")
            expected += [
                Sample(f"{_PREFIX}reference:mismatch", {**of, "feature": name, "ref": each}, float(differs))
                for each in sorted({REF, ref})
            ]
    return Case(shown, expected, scrape=45, every=900, at=900)


def _page(replica: str, counts: Counts) -> dict[str, list[float]]:
    return {text(key, instance=replica): [value] * (SCRAPES + 1) for key, value in counts.items()}


def _with_ref(key: Series, ref: str) -> Series:
    name, labels = key
    return name, tuple((label, ref if label == "ref" else value) for label, value in labels)
