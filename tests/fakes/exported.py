"""What is exported, by the golden scrapes: every series of a real page, without its value."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.fakes.binaries import ROOT

GOLDEN = ROOT / "tests" / "golden"
_PARTS = {"probes": "airbag-serving", "serving_repository": "airbag-serving", "certificate": "airbag-receiver"}
_OTHERS = {"prometheus", "alertmanager"}


def pages() -> dict[str, list[Path]]:
    """Which golden scrapes make the page of a job of prometheus.yml."""
    found: dict[str, list[Path]] = {}
    for path in sorted(GOLDEN.glob("*.prom")):
        found.setdefault(_job(path.stem), []).append(path)
    return found


def _job(stem: str) -> str:
    return stem if stem in _OTHERS else _PARTS.get(stem, f"airbag-{stem.replace('_', '-')}")


def page(files: Iterable[Path], value: float = 0) -> str:
    """The text of a page on which every series has this value."""
    return "".join(re.sub(r"(?m)^([^#\n].*)$", rf"\1 {value}", file.read_text()) for file in files)


@cache
def families(job: str) -> tuple[Metric, ...]:
    """The metrics of a job."""
    return tuple(text_string_to_metric_families(page(pages()[job])))
