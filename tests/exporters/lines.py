"""What a poller's lines say, read as Prometheus would."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from airbag_exporters.serving.scrape import probe_page
from airbag_exporters.serving.target_state import TargetState


def samples(state: TargetState) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample by name and labels, `serving` and `target` left out."""
    page = b"".join(probe_page("main", "a", 200, state)).decode()
    found = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    return {(s.name, frozenset((k, v) for k, v in s.labels.items() if k not in ("serving", "target"))): s.value
            for s in found}  # fmt: skip


def value(seen: TargetState, name: str, /, **labels: str) -> float | None:
    """The one sample with at least these labels, or None."""
    found = [v for (n, each), v in samples(seen).items() if n == name and labels.items() <= dict(each).items()]
    assert len(found) < 2, f"{name}{labels} is not one sample"
    return found[0] if found else None


def requests(state: TargetState, owner: str, model: str = "m", status: str = "OK") -> float | None:
    """Requests of one owner."""
    return value(state, "airbag_tfs_requests_total", model_name=model, model_version=owner, status=status)
