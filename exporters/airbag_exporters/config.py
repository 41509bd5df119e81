"""The exporters' configuration, `exporters.yml`: what to watch, and how much to remember about it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from airbag.config import Duration, LocalPath, Secret, Section, load, written_as
from airbag.serving.groups import Module, Name, Servings


class Quality(Section):
    """The section `quality`. With a `token`, both intakes want it as a bearer token."""

    pending_max: Annotated[int, Field(gt=0)] = 200_000
    label_ttl: Annotated[Duration, Field(gt=0)] = 3600.0
    token: Secret | None = None


# A user name or password in an address would show up in messages; `@` is refused for that.
Url = Annotated[str, written_as(r"https?://[^\s@/?#]+(/[^\s@?#]*)?", "http(s)://HOST:PORT without user or query")]


class Alerts(Section):
    """The section `alerts`, the fast lane: what failed goes straight to every Alertmanager, ahead of Prometheus' rules.

    `labels` are the `external_labels` of Prometheus where it has some, so that both alerts are one.
    """

    alertmanager_urls: Annotated[tuple[Url, ...], Field(min_length=1)]
    labels: Mapping[str, str] = {}


class ProbeModule(Module):
    """How to watch servers that are not listed here but named by whoever scrapes `/probe`: HOST:PORT of gRPC.

    Without `rest_port` there are no native metrics.
    """

    rest_port: Annotated[int, Field(gt=0, lt=65536)] | None = 8501


class ExportersConfig(Servings):
    """The whole file.

    Without `alerts` nothing is sent to anybody. Without `state_folder` the counters start anew with the exporter.
    `modules` are for `/probe`, which watches `probe_targets_max` servers at a time.
    """

    quality: Quality = Quality()
    alerts: Alerts | None = None
    state_folder: LocalPath | None = None
    modules: Mapping[Name, ProbeModule] = {}
    probe_targets_max: Annotated[int, Field(gt=0)] = 100


def load_exporters(path: Path) -> ExportersConfig:
    """Read and check the file, its secret included; ConfigError lists every problem."""
    config = load(path, ExportersConfig)
    if config.quality.token:
        config.quality.token.read()
    return config
