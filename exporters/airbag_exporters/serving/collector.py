"""What the pollers know, as a scrape. Nothing is fetched here: a scrape costs no server anything."""

from __future__ import annotations

from collections import Counter as Count
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from airbag.serving.groups import ModelEntry, ServingGroup
from airbag.serving.model_config import Policy
from airbag.serving.values import State, VersionStatus
from airbag_exporters.serving.attribution import MULTIPLE, SWITCHING
from airbag_exporters.serving.families import Families
from airbag_exporters.serving.poll import TargetState
from airbag_exporters.serving.totals import EDGES, OTHER, STATUSES, Owned
from airbag_exporters.serving.wanted import wanted

ROUTES = (("Predict", "GRPC"), ("predict", "REST"))
"""The ways in that every version starts with at 0; others appear with their first success."""

_STATES = tuple(state for state in State if state is not State.UNKNOWN)


@dataclass(frozen=True)
class GroupState:
    """One group of the configuration: the policies of its models.config, and its servers by target name."""

    group: ServingGroup
    policies: Mapping[str, Policy]
    targets: Mapping[str, TargetState]


class ServingCollector(Collector):
    """Renders whatever `read` gives at the time of the scrape."""

    def __init__(self, read: Callable[[], Iterable[GroupState]]) -> None:
        self._read = read

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not collect."""
        return []

    def collect(self) -> Iterator[Metric]:
        families = Families()
        for group in self._read():
            _add_expectations(families, group.group)
            for name, state in group.targets.items():
                names = (group.group.name, name)
                _add_poll(families, names, state)
                for model in group.group.models:
                    _add_model(families, names, model, state, group.policies.get(model.name))
                _add_traffic(families, names, OTHER, [MULTIPLE], state)
        yield from families


def _add_expectations(families: Families, group: ServingGroup) -> None:
    for model in group.models:
        names = (group.name, model.name)
        families.error_ratio_max.add_metric(names, model.expect.error_ratio_max)
        families.latency_bound.add_metric(names, model.expect.latency_bound)
        families.slow_ratio_max.add_metric(names, model.expect.slow_ratio_max)
        families.requests_min.add_metric(names, model.expect.requests_min)


def _add_poll(families: Families, names: tuple[str, str], state: TargetState) -> None:
    if state.polled_at is None:
        return
    families.up.add_metric(names, state.parts.get("status", False))
    families.duration.add_metric(names, state.duration)
    families.polled.add_metric(names, state.polled_at)
    for part, success in state.parts.items():
        families.part.add_metric((*names, part), success)


def _add_model(
    families: Families, names: tuple[str, str], model: ModelEntry, state: TargetState, policy: Policy | None
) -> None:
    labels = (*names, model.name)
    statuses = state.versions.get(model.name, ())
    for status in statuses:
        _add_version(families, labels, status)
    meant = wanted(policy, [status.version for status in statuses], state.last_defaults.get(model.name))
    for version, is_wanted in sorted(meant.items()):
        families.wanted.add_metric((*labels, str(version)), is_wanted)
    default = state.defaults.get(model.name)
    if default is not None:
        families.default.add_metric(labels, default)
    for label in model.labels:
        version_of_label = state.labels.get((model.name, label))
        if version_of_label is not None:
            families.label.add_metric((*labels, label), version_of_label)
    families.switches.add_metric(labels, state.switches.get(model.name, 0))
    known = sorted(state.known.get(model.name, frozenset()) | meant.keys())
    nobody = [SWITCHING] if model.routing == "default" else [SWITCHING, MULTIPLE]
    _add_traffic(families, names, model.name, [*map(str, known), *nobody], state)


def _add_version(families: Families, labels: tuple[str, str, str], status: VersionStatus) -> None:
    version = (*labels, str(status.version))
    for state in _STATES:
        families.state.add_metric((*version, state.name), status.state is state)
    if status.state is State.END and status.error_code != "OK":
        families.error.add_metric((*version, status.error_code), 1)


def _add_traffic(
    families: Families, names: tuple[str, str], model: str, versions: Iterable[str], state: TargetState
) -> None:
    """The counters of one model: those of `versions` in any case, and of every other owner that has some."""
    totals = state.totals
    counted = sorted(owned.version for owned in totals.requests.keys() | totals.latency.keys() if owned.model == model)
    for version in dict.fromkeys([*versions, *counted]):
        owned, labels = Owned(model, version), (*names, model, version)
        requests = totals.requests.get(owned, Count())
        for status in dict.fromkeys([*STATUSES, *requests]):
            families.requests.add_metric((*labels, status), requests[status])
        families.answers.add_metric(labels, totals.answers[owned])
        families.slow.add_metric(labels, totals.slow[owned])
        routes = totals.latency.get(owned, {})
        for route in dict.fromkeys([*ROUTES, *sorted(routes)]):
            counts = routes.get(route, Count())
            families.latency.add_metric((*labels, *route), [(e, float(counts[e])) for e in EDGES], None)
