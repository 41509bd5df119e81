"""The page `/reference`: the training data in the same bins as the counters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from airbag.exposition import Family, escaped, number
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


def reference_page(snapshot: Snapshot) -> Iterator[bytes]:
    """The reference of every version, in Prometheus' text format."""
    lines: dict[Family, list[str]] = {family: [] for family in (LE, CATEGORY, EDGE, MISSING)}
    for owner, reference in snapshot.references.items():
        version = ",".join(f'{label}="{escaped(value)}"' for label, value in zip(VERSION, owner, strict=True))
        for name, profile in profiles(reference).items():
            labels = f'{version},feature="{escaped(name)}",ref="{reference.ref}"'
            if isinstance(profile, Numeric):
                lines[LE] += _bins(labels, profile)
                lines[EDGE] += _edges(labels, profile)
            else:
                lines[CATEGORY] += _categories(labels, profile)
            if rows := profile.rows + profile.missing:
                lines[MISSING].append(f"{MISSING.name}{{{labels}}} {profile.missing / rows!r}\n")
    for family, ready in lines.items():
        yield f"{family.head}{''.join(ready)}".encode(errors="replace")


def profiles(reference: Reference) -> Mapping[str, Numeric | Categorical]:
    """Every feature, and the model's score under the name that its counters have."""
    return {**reference.features, SCORE: reference.score} if reference.score else reference.features


def _bins(labels: str, profile: Numeric) -> list[str]:
    return [
        f'{LE.name}{{{labels},bin="{name}",prev="{before}"}} {count}\n'
        for (name, before), count in zip(bins(len(profile.le)), (0, *profile.le), strict=True)
    ]


def _edges(labels: str, profile: Numeric) -> list[str]:
    return [
        f'{EDGE.name}{{{labels},bin="{name}"}} {number(edge)}\n'
        for (name, _), edge in zip(bins(len(profile.le))[1:], (*profile.edges, math.inf), strict=True)
    ]


def _categories(labels: str, profile: Categorical) -> list[str]:
    return [
        f'{CATEGORY.name}{{{labels},category="{escaped(category)}"}} {count}\n'
        for category, count in (*profile.counts.items(), (OTHER, profile.other))
    ]
