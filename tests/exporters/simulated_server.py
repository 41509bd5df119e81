"""A TF Serving that only counts: versions come and go as the real server moves them, with requests in flight.

It remembers which version answered each request, which the real one does not tell.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from airbag.serving.values import State, VersionStatus
from airbag_exporters.serving.native import Page, Requests

MODEL = "m"


@dataclass
class Request:
    version: int
    older_than_swap: bool = False


@dataclass
class SimulatedServer:
    """`step` names what happens next; what is impossible in the present state does nothing."""

    states: dict[int, tuple[State, str]] = field(default_factory=lambda: {1: (State.AVAILABLE, "OK")})
    routed: set[int] = field(default_factory=lambda: {1})
    in_flight: list[Request] = field(default_factory=list)
    answered: Counter[tuple[int, str]] = field(default_factory=Counter)
    moving: tuple[str, int] | None = None
    begun: set[int] = field(default_factory=set)
    loads: Counter[str] = field(default_factory=lambda: Counter({"/m/1": 1}))

    @property
    def default(self) -> int | None:
        return max(self.routed, default=None)

    def let_a_second_pass(self) -> None:
        """The server takes up changes at most once a second."""
        self.begun.clear()

    def statuses(self) -> tuple[VersionStatus, ...]:
        found = (VersionStatus(version, state, code) for version, (state, code) in self.states.items())
        return tuple(sorted(found, key=lambda status: -status.version))

    def page(self) -> Page:
        counts: Counter[str] = Counter()
        for (_, status), count in self.answered.items():
            counts[status] += count
        return Page({Requests(MODEL, status): count for status, count in counts.items()})

    def start_request(self) -> None:
        if self.default is not None:
            self.in_flight.append(Request(self.default))

    def finish_request(self, index: int, status: str) -> None:
        if self.in_flight:
            done = self.in_flight.pop(index % len(self.in_flight))
            self.answered[done.version, status] += 1

    def begin(self, what: str, version: int) -> None:
        """Begin to load, fail to load, or unload a version; one movement at a time."""
        loaded = version in self.routed
        if self.moving or version in self.begun or (what == "unload") != loaded:
            return
        self.begun.add(version)
        self.moving = (what, version)
        self.states[version] = (State.UNLOADING if what == "unload" else State.START, "OK")

    def advance(self) -> None:
        """The next stage of the present movement, when nothing holds it up."""
        if self.moving is None:
            return
        what, version = self.moving
        state, _ = self.states[version]
        if what == "unload":
            self._advance_unload(version)
        elif state is State.START:
            self.states[version] = (State.LOADING, "OK")
        elif what == "fail":
            self.states[version] = (State.END, "NOT_FOUND")
            self.moving = None
        elif version not in self.routed:  # answers at once, and still shows LOADING
            for request in self.in_flight:
                request.older_than_swap = True
            self.routed.add(version)
            self.loads[f"/m/{version}"] += 1
        elif not any(request.older_than_swap for request in self.in_flight):
            self.states[version] = (State.AVAILABLE, "OK")
            self.moving = None

    def _advance_unload(self, version: int) -> None:
        if version in self.routed:
            self.routed.discard(version)
        elif not any(request.version == version for request in self.in_flight):
            self.states[version] = (State.END, "OK")
            self.moving = None
