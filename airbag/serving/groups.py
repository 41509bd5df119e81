"""Which TF Serving servers there are and what is expected of the models on them.

The sections `servings` and `rules` of `exporters.yml`; the rollback side reads the same ones, so that no address,
threshold or window is written twice.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from airbag.config import Duration, LocalPath, Section, load_sections, written_as
from airbag.errors import Problem
from airbag.http_config import TlsConfig
from airbag.rules import RuleSettings
from airbag.serving.quality import ModelQuality
from airbag.serving.values import Endpoint

NAME = r"[A-Za-z0-9_.-]{1,100}"
Name = Annotated[str, written_as(NAME, "1 to 100 letters, digits, `_`, `.` or `-`")]
Ratio = Annotated[float, Field(ge=0, le=1)]
HOST_PORT = r"(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):\d{1,5}"
HostPort = Annotated[str, written_as(HOST_PORT, "HOST:PORT")]


class Target(Section):
    """One server process. `grpc` and `rest` are HOST:PORT; without `rest` there are no native metrics."""

    name: Name
    grpc: HostPort
    rest: HostPort | None = None


class Expectations(Section):
    """Thresholds of one model, exported as series beside the values that they judge.

    A machine acts on the first seven. `latency_bound` is best put on one of the server's own bucket edges (they lie 1.8
    apart); it is rounded up to the next one. `accuracy_drop_max` is against the version before, and only where chance
    does not explain it. `requests_min` and `labels_min` hold for the verdict's window.

    People are told of the rest: medians that are `latency_increase_max` times those of the version before, loads that
    take longer than `load_max`, the two objectives of the error budget, macro F1, drift from the reference in PSI and
    KS, prediction entropy that differs from the version before by `entropy_shift_max` nats, values that are missing
    more often than in the reference by `missing_ratio_max`, and labels of which nine in ten should be there after
    `label_delay_max`.
    """

    error_ratio_max: Ratio = 0.05
    latency_bound: Duration = 0.12144
    slow_ratio_max: Ratio = 0.05
    accuracy_min: Ratio | None = None
    accuracy_drop_max: Ratio = 0.02
    requests_min: Annotated[float, Field(gt=0)] = 20.0
    labels_min: Annotated[float, Field(gt=0)] = 50.0

    latency_increase_max: Annotated[float, Field(gt=1)] = 2.0
    load_max: Annotated[Duration, Field(gt=0)] = 120.0
    availability_objective: Annotated[float, Field(gt=0, lt=1)] = 0.999
    latency_objective: Annotated[float, Field(gt=0, lt=1)] = 0.99
    f1_min: Ratio | None = None
    f1_drop_max: Ratio = 0.05
    psi_max: Annotated[float, Field(gt=0)] = 0.2
    ks_max: Ratio = 0.2
    entropy_shift_max: Annotated[float, Field(gt=0)] = 0.5
    missing_ratio_max: Ratio = 0.05
    label_delay_max: Annotated[Duration, Field(gt=0)] | None = None


class Golden(Section):
    """Requests with known answers, asked of every version that becomes AVAILABLE and then every `interval` seconds.

    They stand in `file`. A version that brings `assets.extra/airbag_golden.json` is asked those instead; without `file`
    only such versions are asked.
    """

    file: LocalPath | None = None
    interval: Annotated[Duration, Field(ge=1)] = 60.0
    timeout: Annotated[Duration, Field(gt=0)] = 2.0


class ModelEntry(Section):
    """One model of a group. `routing` says how clients choose a version: `default` means that they name none.

    `base_path` is where its versions lie, for servers that run without a models.config.
    """

    name: Name
    routing: Literal["default", "labels", "versions"] = "default"
    labels: tuple[str, ...] = ()
    base_path: LocalPath | None = None
    classes: Annotated[tuple[str, ...], Field(max_length=100)] = ()
    expect: Expectations = Expectations()
    golden: Golden | None = None
    quality: ModelQuality = ModelQuality()

    @model_validator(mode="after")
    def _has_the_classes_that_its_kind_needs(self) -> Self:
        quality = self.quality
        if quality.kind == "binary":
            if len(self.classes) != 2:
                raise ValueError(f"is binary and has {len(self.classes)} `classes`; list both, the negative one first")
            if quality.positive is not None and quality.positive not in self.classes:
                raise ValueError(f"has the positive class {quality.positive!r}, which is not among its `classes`")
        elif quality.kind != "multiclass" and self.classes:
            raise ValueError(f"lists `classes`, which {quality.kind} models do not have")
        return self


class Retention(Section):
    """Which versions stay on disk: the newest `keep_last`, and whatever is younger than `keep_for` seconds.

    A version that serves, that a label or models.config names, or that one would go back to stays in any case.
    """

    keep_last: Annotated[int, Field(ge=1)] = 5
    keep_for: Annotated[Duration, Field(ge=0)] = 0.0


class Module(Section):
    """How to watch servers that serve the same models from the same `models.config`.

    With `discover` models are also taken from `model_config_file` and from the names that clients ask for, as long as
    the server knows them; `expect` holds for those. Beyond `models_max` models the rest is counted as `other`.
    `grpc_tls` is for servers that run with --ssl_config_file; without it gRPC is plain text.
    """

    models: tuple[ModelEntry, ...] = ()
    discover: bool = True
    models_max: Annotated[int, Field(ge=1)] = 200
    expect: Expectations = Expectations()
    model_config_file: LocalPath | None = None
    native_metrics_path: str = "/monitoring/prometheus/metrics"
    grpc_tls: TlsConfig | None = None
    retention: Retention = Retention()

    @model_validator(mode="after")
    def _models_are_unique(self) -> Self:
        _unique("models", [model.name for model in self.models])
        if not self.models and not self.discover:
            raise ValueError("lists no models and must not discover any; there would be nothing to watch")
        if len(self.models) > self.models_max:
            raise ValueError(f"lists {len(self.models)} models, more than models_max: {self.models_max}")
        return self

    def model(self, name: str) -> ModelEntry | None:
        """The entry of that model, or None when it is not listed."""
        return next((entry for entry in self.models if entry.name == name), None)


class ServingGroup(Module):
    """Servers that serve the same models from the same `models.config`."""

    name: Name
    targets: Annotated[tuple[Target, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _targets_are_unique(self) -> Self:
        _unique("targets", [target.name for target in self.targets])
        return self

    def endpoint(self, target: Target) -> Endpoint:
        """How to reach one of its servers."""
        return Endpoint(target.grpc, target.rest, self.grpc_tls)


class Servings(Section):
    """What the exporters and the receiver share of `exporters.yml`."""

    servings: Annotated[tuple[ServingGroup, ...], Field(min_length=1)]
    rules: RuleSettings = RuleSettings()

    @model_validator(mode="after")
    def _groups_are_unique(self) -> Self:
        if len({group.name for group in self.servings}) != len(self.servings):
            raise ValueError("two groups have the same name")
        return self

    def group(self, name: str) -> ServingGroup | None:
        """The group of that name, or None."""
        return next((group for group in self.servings if group.name == name), None)

    def tls_problems(self) -> list[Problem]:
        """All that is wrong with the certificates that the servers' gRPC ports want. For processes that call them."""
        return [
            problem
            for number, group in enumerate(self.servings) if group.grpc_tls
            for problem in group.grpc_tls.problems(f"servings[{number}].grpc_tls")
        ]  # fmt: skip


def _unique(kind: str, names: list[str]) -> None:
    if len(set(names)) != len(names):
        raise ValueError(f"two {kind} have the same name")


def load_servings(path: Path) -> Servings:
    """Read what both sides share of `exporters.yml`; ConfigError lists every problem."""
    return load_sections(path, Servings)
