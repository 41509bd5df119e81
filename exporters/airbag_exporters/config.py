"""The exporters' configuration, `exporters.yml`: what to watch, and how much to remember about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from airbag.config import Duration, Secret, Section, load
from airbag.serving.groups import Servings


class Quality(Section):
    """The section `quality`. With a `token`, both intakes want it as a bearer token."""

    pending_max: Annotated[int, Field(gt=0)] = 200_000
    label_ttl: Annotated[Duration, Field(gt=0)] = 3600.0
    token: Secret | None = None


class ExportersConfig(Servings):
    """The whole file."""

    quality: Quality = Quality()


def load_exporters(path: Path) -> ExportersConfig:
    """Read and check the file, its secret included; ConfigError lists every problem."""
    config = load(path, ExportersConfig)
    if config.quality.token:
        config.quality.token.read()
    return config
