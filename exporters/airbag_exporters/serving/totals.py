"""Our own counters of one server: they only ever grow, whatever the server, its page or the configuration does."""

from __future__ import annotations

from collections import Counter as Count
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from airbag.serving.values import CODES
from airbag_exporters.serving import native
from airbag_exporters.serving.attribution import Increase
from airbag_exporters.serving.native import INF, Bucket, Requests

OTHER = "other"
STATUSES = tuple(CODES.values())
GRPC_APIS = ("Predict", "Classify", "Regress")
APIS = frozenset({*GRPC_APIS, *(api.lower() for api in GRPC_APIS)})
ENTRYPOINTS = frozenset({"GRPC", "REST"})


def seconds(edge: str) -> str:
    """A native edge as a `le` value in seconds, without rounding."""
    return INF if edge == INF else repr(float(Decimal(edge).scaleb(-6)))


EDGES = tuple(seconds(edge) for edge in native.EDGES)


def slow_edge(bound: float) -> str:
    """The first edge that is no less than `bound` seconds: what lies at or above it is slow."""
    return next(edge for edge in EDGES if edge == INF or float(edge) >= bound)


class Owned(NamedTuple):
    """A model of the configuration (or `other`) and who answered."""

    model: str
    version: str


@dataclass
class Totals:
    """Sums of increases. `latency` is by API and entry point, then by edge in seconds; the counts are cumulative.

    `changes` grows with every addition, so that whoever shows an owner's counters knows when to look again.
    """

    requests: dict[Owned, Count[str]] = field(default_factory=dict)
    latency: dict[Owned, dict[tuple[str, str], Count[str]]] = field(default_factory=dict)
    answers: Count[Owned] = field(default_factory=Count)
    slow: Count[Owned] = field(default_factory=Count)
    changes: Count[Owned] = field(default_factory=Count, compare=False)

    def add(self, increases: Iterable[Increase], bounds: Mapping[str, float]) -> None:
        """Add what one poll found. `bounds` are the latency bounds in force, in seconds, of the models that we know.

        The slow ones are counted here and not derived later, so that a changed bound never makes a counter fall.
        """
        edges = {model: slow_edge(bound) for model, bound in bounds.items()}
        for increase in increases:
            counter = increase.counter
            owned = Owned(counter.model if counter.model in bounds else OTHER, increase.owner)
            if isinstance(counter, Requests):
                status = counter.status if counter.status in STATUSES else OTHER
                self.requests.setdefault(owned, Count())[status] += increase.amount
                self.changes[owned] += 1
            elif counter.api in APIS and counter.entrypoint in ENTRYPOINTS:
                self._add_bucket(counter, owned, increase.amount, edges.get(counter.model, INF))

    def _add_bucket(self, counter: Bucket, owned: Owned, amount: int, slow: str) -> None:
        edge = seconds(counter.edge)
        routes = self.latency.setdefault(owned, {})
        routes.setdefault((counter.api, counter.entrypoint), Count())[edge] += amount
        self.changes[owned] += 1
        if edge == INF:
            self.answers[owned] += amount
            self.slow[owned] += amount
        if edge == slow:
            self.slow[owned] -= amount
