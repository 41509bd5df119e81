"""What one poller knows, as text: rendered by the poller as it changes, so that a scrape only joins what lies ready."""

from __future__ import annotations

from collections import Counter as Count
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from airbag.exposition import Family, Samples
from airbag.serving.groups import Expectations
from airbag.serving.values import State, VersionStatus
from airbag_exporters.serving import families
from airbag_exporters.serving.attribution import MULTIPLE
from airbag_exporters.serving.native import INF
from airbag_exporters.serving.totals import EDGES, OTHER, STATUSES, Owned, Totals

ROUTES = (("Predict", "GRPC"), ("predict", "REST"))
"""The ways in that every version starts with at 0; others appear with their first success."""

Chunks = Mapping[Family, Sequence[str]]
"""Sample lines by family, in pieces."""

_STATES = tuple(state for state in State if state is not State.UNKNOWN)


@dataclass(frozen=True)
class ModelFacts:
    """What is known about one model on one server.

    `loading` says since when (seconds since the epoch) versions are, `available` how many serve, None for a model that
    nobody lists. `label_versions` lacks the labels that point nowhere, `label_available` those that nobody could read.
    """

    name: str
    statuses: tuple[VersionStatus, ...] = ()
    wanted: tuple[tuple[int, bool], ...] = ()
    default: int | None = None
    previous: int | None = None
    available: int | None = None
    loading: tuple[tuple[int, float], ...] = ()
    label_available: tuple[tuple[str, bool], ...] = ()
    label_versions: tuple[tuple[str, int], ...] = ()
    switches: int = 0


class TargetPage:
    """The lines of one server. Not thread-safe; what it returns may be read by any thread."""

    def __init__(self, serving: str, target: str) -> None:
        self._names = (serving, target)
        self._facts: dict[ModelFacts, Mapping[Family, str]] = {}
        self._traffic: dict[Owned, _Traffic] = {}

    def render(self, models: Iterable[tuple[ModelFacts, Sequence[str]]], totals: Totals) -> Chunks:
        """The lines of every model, each with the owners (versions, `switching`) that have counters from 0 on.

        Every owner in `totals` that no model is given for is left out, except those of `other`.
        """
        chunks: dict[Family, list[str]] = {family: [] for family in (*families.FACTS, *families.TRAFFIC)}
        facts: dict[ModelFacts, Mapping[Family, str]] = {}
        traffic: dict[Owned, _Traffic] = {}
        owned = [Owned(each.name, owner) for each, owners in models for owner in owners]
        for each, _ in models:
            facts[each] = self._facts.get(each) or _facts_lines(self._names, each)
            for family, text in facts[each].items():
                chunks[family].append(text)
        for who in (*owned, Owned(OTHER, MULTIPLE)):
            traffic[who] = self._traffic.get(who) or _Traffic(self._names, who)
            for family, text in traffic[who].lines(totals).items():
                chunks[family].append(text)
        self._facts, self._traffic = facts, traffic
        return chunks


def expectation_lines(serving: str, models_max: int, expected: Mapping[str, Expectations]) -> Chunks:
    """The thresholds of one group, by model name."""
    chunks: dict[Family, list[str]] = {family: [] for family in families.EXPECTATIONS}
    chunks[families.MODELS_MAX].append(families.MODELS_MAX.sample((serving,), models_max))
    for model, expect in expected.items():
        for family, text in _threshold_lines(serving, model, expect).items():
            chunks[family].append(text)
    return chunks


@lru_cache(maxsize=10_000)
def _threshold_lines(serving: str, model: str, expect: Expectations) -> Mapping[Family, str]:
    """Rendered once: they change with the configuration only, and are asked for by every scrape."""
    values = {
        families.ERROR_RATIO_MAX: expect.error_ratio_max,
        families.LATENCY_BOUND: expect.latency_bound,
        families.SLOW_RATIO_MAX: expect.slow_ratio_max,
        families.REQUESTS_MIN: expect.requests_min,
        families.LATENCY_INCREASE_MAX: expect.latency_increase_max,
        families.LOAD_MAX: expect.load_max,
        families.AVAILABILITY_OBJECTIVE: expect.availability_objective,
        families.LATENCY_OBJECTIVE: expect.latency_objective,
    }
    return {family: family.sample((serving, model), value) for family, value in values.items()}


def _facts_lines(names: tuple[str, str], model: ModelFacts) -> Mapping[Family, str]:
    samples = Samples(families.FACTS)
    labels = (*names, model.name)
    for status in model.statuses:
        version = (*labels, str(status.version))
        for state in _STATES:
            samples.add(families.STATE, (*version, state.name), int(status.state is state))
        if status.state is State.END and status.error_code != "OK":
            samples.add(families.ERROR, (*version, status.error_code), 1)
    for number_, since in model.loading:
        samples.add(families.LOADING_SINCE, (*labels, str(number_)), since)
    if model.available is not None:
        samples.add(families.AVAILABLE, labels, model.available)
    for number_, is_wanted in model.wanted:
        samples.add(families.WANTED, (*labels, str(number_)), int(is_wanted))
    if model.default is not None:
        samples.add(families.DEFAULT, labels, model.default)
    if model.previous is not None:
        samples.add(families.PREVIOUS, labels, model.previous)
    for label, version_of_label in model.label_versions:
        samples.add(families.LABEL, (*labels, label), version_of_label)
    for label, is_available in model.label_available:
        samples.add(families.LABEL_AVAILABLE, (*labels, label), int(is_available))
    samples.add(families.SWITCHES, labels, model.switches)
    return samples.text()


class _Traffic:
    """The counters of one owner, rendered anew when `Totals` says that they changed."""

    def __init__(self, names: tuple[str, str], owned: Owned) -> None:
        self._owned = owned
        self._labels = (*names, *owned)
        self._changes = -1
        self._text: Mapping[Family, str] = {}
        self._statuses = {status: families.REQUESTS.series((*self._labels, status)) for status in (*STATUSES, OTHER)}
        self._routes: dict[tuple[str, str], list[tuple[str, str]]] = {}

    def lines(self, totals: Totals) -> Mapping[Family, str]:
        changes = totals.changes[self._owned]
        if changes != self._changes:
            self._changes, self._text = changes, self._rendered(totals)
        return self._text

    def _rendered(self, totals: Totals) -> Mapping[Family, str]:
        owned, zero = self._owned, Count[str]()
        requests = totals.requests.get(owned, zero)
        routes = totals.latency.get(owned, {})
        latency = [
            f"{prefix}{counts[edge]}\n"
            for route in dict.fromkeys([*ROUTES, *sorted(routes)])
            for counts in (routes.get(route, zero),)
            for edge, prefix in self._buckets(route)
        ]
        return {
            families.REQUESTS: "".join(
                f"{prefix}{requests[status]}\n"
                for status, prefix in self._statuses.items()
                if status != OTHER or status in requests
            ),
            families.ANSWERS: families.ANSWERS.sample(self._labels, totals.answers[owned]),
            families.SLOW: families.SLOW.sample(self._labels, totals.slow[owned]),
            families.LATENCY: "".join(latency),
        }

    def _buckets(self, route: tuple[str, str]) -> list[tuple[str, str]]:
        if route not in self._routes:
            labels = (*self._labels, *route)
            self._routes[route] = [
                *((edge, families.LATENCY.series(labels, "_bucket", f'le="{edge}"')) for edge in EDGES),
                (INF, families.LATENCY.series(labels, "_count")),
            ]
        return self._routes[route]
