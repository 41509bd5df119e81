"""Which receivers an alert reaches, by Alertmanager's rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from airbag.chain import matchers
from airbag.chain.documents import Route

_EVERYTHING = "..."


@dataclass(frozen=True)
class Delivery:
    """One way of an alert: to whom, and with which of the route's settings once all are inherited.

    `path` is the place of the route in the file. `group_by` is None when every label counts.
    """

    path: str
    receiver: str
    group_by: frozenset[str] | None = frozenset()
    group_wait: float = 30.0
    group_interval: float = 300.0
    repeat_interval: float = 14_400.0
    intervals: tuple[str, ...] = ()

    @property
    def repeats_after(self) -> float:
        """Seconds until a message is sent again at the latest: looked at once in each `group_interval`."""
        return self.repeat_interval + self.group_interval


def reached(root: Route, labels: Mapping[str, str]) -> list[Delivery]:
    """Every delivery of an alert, in the order of the file; NotAMatcher when the tree holds one that is none."""
    return list(_matching(root, Delivery("route", ""), labels, is_root=True))


def _matching(
    route: Route, inherited: Delivery, labels: Mapping[str, str], *, is_root: bool = False
) -> Iterator[Delivery]:
    if not is_root and not all(
        each.matches(labels) for each in matchers.of(route.matchers, route.match, route.match_re)
    ):
        return
    here = _with(route, inherited)
    found = False
    for number, child in enumerate(route.routes):
        below = list(_matching(child, _at(here, f"{here.path}.routes[{number}]"), labels))
        yield from below
        found = found or bool(below)
        if below and not child.continue_:
            break
    if not found:
        yield here


def _at(delivery: Delivery, path: str) -> Delivery:
    return Delivery(
        path, delivery.receiver, delivery.group_by, delivery.group_wait, delivery.group_interval,
        delivery.repeat_interval,
    )  # fmt: skip


def _with(route: Route, inherited: Delivery) -> Delivery:
    group_by: frozenset[str] | None = inherited.group_by
    if route.group_by is not None:
        group_by = None if _EVERYTHING in route.group_by else frozenset(route.group_by)
    return Delivery(
        inherited.path,
        route.receiver or inherited.receiver,
        group_by,
        _or(route.group_wait, inherited.group_wait),
        _or(route.group_interval, inherited.group_interval),
        _or(route.repeat_interval, inherited.repeat_interval),
        (*route.mute_time_intervals, *route.active_time_intervals),  # these are not inherited
    )


def _or(own: float | None, inherited: float) -> float:
    return inherited if own is None else own


def every(root: Route) -> Iterator[tuple[str, Route]]:
    """Every route of the tree with its place in the file."""
    waiting = [("route", root)]
    while waiting:
        path, route = waiting.pop(0)
        yield path, route
        waiting += [(f"{path}.routes[{number}]", child) for number, child in enumerate(route.routes)]
