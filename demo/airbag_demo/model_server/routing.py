"""The routing table: who answers a request, and how a swap waits for the requests that came before it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from airbag_demo.model_server.status import Code, StatusError

S = TypeVar("S")


@dataclass(frozen=True)
class Route(Generic[S]):
    """A loaded version and the servable behind it."""

    name: str
    version: int
    servable: S


@dataclass(eq=False)
class _Table(Generic[S]):
    routes: Mapping[str, Mapping[int, Route[S]]]
    holders: int = 0


class RoutingTable(Generic[S]):
    """Requests hold the table they started with. A swap is seen by all new requests at once, and returns only when
    no request, of any model, still holds the table before it."""

    def __init__(self) -> None:
        self._drained = threading.Condition()
        self._table: _Table[S] = _Table({})

    @contextmanager
    def hold(self, name: str, version: int | None) -> Iterator[Route[S]]:
        """The route for a request, held while it runs; without a version the highest loaded number.

        StatusError NOT_FOUND if nothing loaded fits.
        """
        with self._drained:
            table = self._table
            route = _find(table, name, version)
            table.holders += 1
        try:
            yield route
        finally:
            with self._drained:
                table.holders -= 1
                if not table.holders and table is not self._table:
                    self._drained.notify_all()

    def swap(self, routes: Iterable[Route[S]]) -> None:
        """Route by these from now on, then wait without limit for every request that started before."""
        table: dict[str, dict[int, Route[S]]] = {}
        for route in routes:
            table.setdefault(route.name, {})[route.version] = route
        with self._drained:
            before, self._table = self._table, _Table(table)
            self._drained.wait_for(lambda: not before.holders)


def _find(table: _Table[S], name: str, version: int | None) -> Route[S]:
    versions = table.routes.get(name, {})
    if version is None:
        if not versions:
            raise StatusError(Code.NOT_FOUND, f"Servable not found for request: Latest({name})")
        return versions[max(versions)]
    if version not in versions:
        raise StatusError(Code.NOT_FOUND, f"Servable not found for request: Specific({name}, {version})")
    return versions[version]
