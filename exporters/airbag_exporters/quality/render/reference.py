"""The page `/reference`: the training data in the same bins as the counters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from airbag.exposition import Family, Samples
from airbag_exporters.quality.columns import OTHER
from airbag_exporters.quality.counting.families import VERSION
from airbag_exporters.quality.counting.features import SCORE
from airbag_exporters.quality.counting.slices import bins
from airbag_exporters.quality.reference.value import Categorical, Numeric, Reference
from airbag_exporters.quality.render.snapshot import Snapshot

_FEATURE = (*VERSION, "feature", "ref")
LE = Family(
    "airbag_quality_reference_le",
    "gauge",
    "Values of the reference up to the upper edge of the bin.",
    (*_FEATURE, "bin", "prev"),
)
CATEGORY = Family(
    "airbag_quality_reference_category", "gauge", "Values of the reference by category.", (*_FEATURE, "category")
)
EDGE = Family("airbag_quality_reference_edge", "gauge", "Upper edge of each bin.", (*_FEATURE, "bin"))
MISSING = Family(
    "airbag_quality_reference_missing_ratio", "gauge", "Share of the rows of the reference without a value.", _FEATURE
)
_FAMILIES = (LE, CATEGORY, EDGE, MISSING)


def reference_page(snapshot: Snapshot) -> Iterator[bytes]:
    """The reference of every version, in Prometheus' text format."""
    samples = Samples(_FAMILIES)
    for owner, reference in snapshot.references.items():
        for name, profile in profiles(reference).items():
            _add(samples, (*owner, name, reference.ref), profile)
    yield samples.page()


def profiles(reference: Reference) -> Mapping[str, Numeric | Categorical]:
    """Every feature, and the model's score under the name that its counters have."""
    features = {name: profile for name, profile in reference.features.items() if name != SCORE}
    return {**features, SCORE: reference.score} if reference.score else features


def _add(samples: Samples, labels: tuple[str, ...], profile: Numeric | Categorical) -> None:
    if isinstance(profile, Numeric):
        for one, count in zip(bins(len(profile.le)), (0, *profile.le), strict=True):
            samples.add(LE, (*labels, *one), count)
        for (name, _), edge in zip(bins(len(profile.le))[1:], (*profile.edges, math.inf), strict=True):
            samples.add(EDGE, (*labels, name), edge)
    else:
        for category, count in (*profile.counts.items(), (OTHER, profile.other)):
            samples.add(CATEGORY, (*labels, category), count)
    total = profile.rows + profile.missing
    if total:
        samples.add(MISSING, labels, profile.missing / total)
