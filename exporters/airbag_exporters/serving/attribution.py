"""Which version answered: the native counters carry no version, so what happened between two pages is given to one.

The server is looked at before and after each page. What a counter grew by between two pages belongs to version V only
if V answered by default at every look from before the first page to after the second, and nothing else can have
answered in between: no look shows another version leave, no golden request of ours went to another one, and the
server's own count says that neither V nor a higher number was loaded anew.
Everything else goes to `switching`, so that the sum over versions stays the native counter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Literal

from airbag.serving.values import State, VersionStatus
from airbag_exporters.serving.loads import Loads, loaded_between
from airbag_exporters.serving.native import Counter, Page

SWITCHING = "switching"
MULTIPLE = "multiple"
Routing = Literal["default", "labels", "versions"]


@dataclass(frozen=True)
class View:
    """One look at one model: its versions, and the one that answers clients who name none (None: nothing serves)."""

    versions: tuple[VersionStatus, ...]
    default: int | None

    def in_state(self, *states: State) -> set[int]:
        """The versions that are in one of `states`."""
        return {status.version for status in self.versions if status.state in states}


Look = Mapping[str, View]
"""One look at a server. A model that is missing could not be read."""


@dataclass(frozen=True)
class Sample:
    """What one poll saw, in that order. `page` is None when it could not be read.

    `asked` are the versions whose golden requests may be on the page and were not on the one before it, `loads` the
    loads that the page counts.
    """

    before: Look
    page: Page | None
    after: Look
    asked: Mapping[str, frozenset[int]] = field(default_factory=dict)
    loads: Loads = field(default_factory=dict)


@dataclass(frozen=True)
class Increase:
    """What a native counter grew by, and the version it belongs to: a number, `switching` or `multiple`."""

    counter: Counter
    owner: str
    amount: int


def owner(views: Sequence[View | None], routing: Routing) -> str:
    """Who answered from the first view to the last. None among the views is a look that failed."""
    seen = [view for view in views if view is not None]
    if routing != "default" and any(len(view.in_state(State.AVAILABLE)) > 1 for view in seen):
        return MULTIPLE
    if not seen or len(seen) < len(views):
        return SWITCHING
    version = seen[0].default
    if version is None or any(view.default != version for view in seen):
        return SWITCHING
    # AVAILABLE is published after the requests that older versions still held have drained. At every look, because a
    # version that is wanted again while it unloads is taken out and loaded anew, and another one answers meanwhile.
    if any(version not in view.in_state(State.AVAILABLE) for view in seen):
        return SWITCHING
    if any(view.in_state(State.UNLOADING) for view in seen):
        return SWITCHING
    if any(_has_left(earlier, later) for earlier, later in pairwise(seen)):
        return SWITCHING
    return str(version)


def _has_left(earlier: View, later: View) -> bool:
    """Whether a version ended between two looks that may have served between them. A failed load never served."""
    before = {status.version: status for status in earlier.versions}
    for status in later.versions:
        was = before.get(status.version)
        if status.state is not State.END or (was is not None and was.state is State.END and was == status):
            continue
        if status.error_code == "OK" or (was is not None and was.state in (State.AVAILABLE, State.UNLOADING)):
            return True
    return False


class Attribution:
    """The counters of one server as they were last seen, and the looks since then. Not thread-safe."""

    def __init__(self, last: Mapping[Counter, int] | None = None) -> None:
        """`last` are the counters that an earlier process saw; what they grew by since belongs to `switching`."""
        self.last = last
        self._loads: Loads = {}
        self._looks: list[Look] = [] if last is None else [{}]

    def observe(
        self, sample: Sample, routing: Mapping[str, Routing], folders: Mapping[str, str] = MappingProxyType({})
    ) -> list[Increase]:
        """Take one poll in; what the counters grew by since the page before it.

        A counter first seen by a fresh Attribution, and everything at the first page after a restart of the server,
        belongs to `switching`. `routing` says how clients choose a version; models that it lacks are nobody's:
        `multiple`. `folders` are the base paths of models, as far as they are known; a load in an unknown one may be
        any model's.
        """
        self._see(sample.before)
        if sample.page is None or (self.last is None and not sample.page.complete):  # what it lacks is not at 0
            self._see(sample.after)
            return []
        looks: list[Look] = [*self._looks, sample.after]
        counters, last = sample.page.counters, self.last
        if last is not None and not sample.page.complete:
            counters = {**last, **counters}  # a series whose line was lost has not left the server
        if last is None or _is_younger(counters, last):
            last, owners = {}, dict[str, str]()
        else:
            owners = {model: owner([look.get(model) for look in looks], kind) for model, kind in routing.items()}
            for model in [model for model in owners if self._may_be_anothers(model, owners[model], sample, folders)]:
                owners[model] = SWITCHING
        self._loads = sample.loads
        self.last = counters
        self._looks = [sample.before]
        self._see(sample.after)
        return [
            Increase(counter, owners.get(counter.model, SWITCHING if counter.model in routing else MULTIPLE), amount)
            for counter, value in counters.items()
            if (amount := value - last.get(counter, 0))
        ]

    def _may_be_anothers(self, model: str, owner: str, sample: Sample, folders: Mapping[str, str]) -> bool:
        """Whether somebody else can have answered although every look shows `owner`."""
        if owner in (SWITCHING, MULTIPLE):
            return False
        if {*map(str, sample.asked.get(model, ()))} - {owner}:
            return True
        # The highest loaded number answers, so a lower one that was loaded took nothing over.
        return any(
            version >= int(owner) and folders.get(model, folder).rstrip("/") == folder
            for folder, version in loaded_between(self._loads, sample.loads)
        )

    def _see(self, look: Look) -> None:
        if not self._looks or self._looks[-1] != look:  # pages may fail for hours; looks that agree count once
            self._looks.append(look)


def _is_younger(counters: Mapping[Counter, int], last: Mapping[Counter, int]) -> bool:
    """Whether another server process made `counters`: in one process they never fall, and no series ever leaves."""
    return any(counters.get(counter, -1) < value for counter, value in last.items())
