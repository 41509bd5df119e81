"""Runs and a configuration to test with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airbag.config import parse
from airbag_exporters.config import ExportersConfig

NOW = 1_700_000_000.0

_GROUPS = "servings: [{name: main, targets: [{name: a, grpc: 'localhost:8500'}]}]\n"


def configured(pipelines: str) -> ExportersConfig:
    return parse(_GROUPS + f"pipelines: {pipelines}\n", ExportersConfig, source="test", base=Path())


CONFIG = configured(
    "[{name: features, tasks: [extract, load]}, {name: labels, sync_delay_max: 1h, success_ratio_min: 0.9}]"
)


def run(**changed: Any) -> dict[str, Any]:
    """A run of the pipeline `features` that took a minute and ended ten seconds ago."""
    known = {
        "pipeline": "features",
        "run_id": "1",
        "status": "success",
        "started_at": NOW - 70,
        "finished_at": NOW - 10,
    }
    return {**known, **changed}
