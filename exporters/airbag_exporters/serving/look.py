"""One look at one server: status and metadata, its page, metadata and status again. Every part may fail by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from airbag.clock import Clock
from airbag.errors import RemoteError, Unreachable
from airbag.serving.groups import ServingGroup, Target
from airbag.serving.reader import Reader
from airbag.serving.values import VersionStatus
from airbag_exporters.serving import native
from airbag_exporters.serving.attribution import Look, Sample, View

K = TypeVar("K")
T = TypeVar("T")

PARTS = ("status", "metadata", "metrics")
CALL_TIMEOUT = 0.3
TICK_BUDGET = 0.9
Statuses = Mapping[str, tuple[VersionStatus, ...]]
Defaults = Mapping[str, int | None]


@dataclass(frozen=True)
class Observation:
    """What one poll found, by model name; what could not be read is missing.

    `defaults` were read before and after the page. `failures` holds the first error of each part, None for a part that
    answered throughout; parts that were not asked for are missing.
    """

    sample: Sample
    versions: Statuses
    defaults: tuple[Defaults, Defaults]
    labels: Mapping[tuple[str, str], int | None]
    failures: Mapping[str, RemoteError | None]


class _Calls:
    """The calls of one poll, which share its time. A part that gave no answer is not asked again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._deadline = clock.monotonic() + TICK_BUDGET
        self.failures: dict[str, RemoteError | None] = {}

    def each(self, part: str, keys: Iterable[K], call: Callable[[K, float], T]) -> dict[K, T]:
        """`call(key, timeout)` for each key; the keys that were answered, with their answers."""
        found: dict[K, T] = {}
        for key in keys:
            self.failures.setdefault(part, None)
            if isinstance(self.failures[part], Unreachable):
                break
            try:
                found[key] = call(key, self._timeout())
            except RemoteError as error:
                self.failures[part] = error
        return found

    def _timeout(self) -> float:
        left = self._deadline - self._clock.monotonic()
        if left <= 0:
            raise Unreachable(f"the calls before this one took the {TICK_BUDGET:g} s that a poll has")
        return min(CALL_TIMEOUT, left)


def observe(reader: Reader, group: ServingGroup, target: Target, clock: Clock) -> Observation:
    """Never raises for what the server does. Takes well under a second, also when nothing answers."""
    calls = _Calls(clock)
    names = [model.name for model in group.models]
    labels = [(model.name, label) for model in group.models for label in model.labels]
    # Status is the outermost call: what it shows holds for the whole time between.
    status = calls.each("status", names, reader.versions)
    default = calls.each("metadata", names, reader.default_version)
    pages = calls.each("metrics", [target.rest] if target.rest else [], lambda _, left: reader.native_page(left))
    new_default = calls.each("metadata", names, reader.default_version)
    new_status = calls.each("status", names, reader.versions)
    page = next((native.parse(page) for page in pages.values()), None)
    return Observation(
        Sample(_joined(status, default), page, _joined(new_status, new_default)),
        {**status, **new_status},
        (default, new_default),
        calls.each("metadata", labels, lambda key, left: reader.label_version(*key, left)),
        calls.failures,
    )


def _joined(statuses: Statuses, defaults: Defaults) -> Look:
    return {name: View(versions, defaults[name]) for name, versions in statuses.items() if name in defaults}
