"""The pages `/metrics` (its quality part) and `/reference`, written from counters and text that lie ready."""

from __future__ import annotations

from collections.abc import Iterator

from airbag.exposition import Family, Samples
from airbag_exporters.quality.counting import families
from airbag_exporters.quality.counting.families import MODEL, VERSION
from airbag_exporters.quality.render.snapshot import Snapshot
from airbag_exporters.quality.render.thresholds import THRESHOLDS

ROLE = Family("airbag_quality_version_role", "gauge", "1 for the role that a version has.", (*VERSION, "role"))
MODEL_INFO = Family("airbag_quality_model_info", "gauge", "The kind of each configured model.", (*MODEL, "kind"))
REFERENCE_INFO = Family(
    "airbag_quality_reference_info",
    "gauge",
    "The reference that a version is compared with: `ref` names its bins, `sha256` all of it.",
    (*VERSION, "ref", "sha256"),
)
PENDING = Family("airbag_quality_pending_predictions", "gauge", "Predictions that wait for their label.", ())
_GAUGES = (ROLE, MODEL_INFO, REFERENCE_INFO, PENDING, *THRESHOLDS.values())


def metrics_page(snapshot: Snapshot) -> Iterator[bytes]:
    """The counters and what rules need beside them, in Prometheus' text format, in pieces."""
    yield from _counters(snapshot)
    yield _gauges(snapshot)


def _counters(snapshot: Snapshot) -> Iterator[bytes]:
    blocks = [*snapshot.blocks.values(), *snapshot.labels.values()]
    ready = [(block.layout.lines, block.ints.tolist(), block.floats.tolist()) for block in blocks]
    for family in families.COUNTED:
        pieces = [
            each.template % tuple((floats if each.is_float else ints)[each.values])
            for lines, ints, floats in ready
            for each in lines.get(family, ())
        ]
        if pieces:
            yield f"{family.head}{''.join(pieces)}".encode(errors="replace")


def _gauges(snapshot: Snapshot) -> bytes:
    samples = Samples(_GAUGES)
    for owner, role in snapshot.roles.items():
        samples.add(ROLE, (*owner, role), 1)
    for model, kind in snapshot.kinds.items():
        samples.add(MODEL_INFO, (*model, kind), 1)
    for owner, reference in snapshot.references.items():
        samples.add(REFERENCE_INFO, (*owner, reference.ref, reference.sha256), 1)
    samples.add(PENDING, (), snapshot.pending)
    for model, expected in snapshot.expected.items():
        for key, value in expected.items():
            samples.add(THRESHOLDS[key], model, value)
    return samples.page()
