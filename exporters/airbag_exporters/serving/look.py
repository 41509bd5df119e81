"""One look at one server: status and metadata, its page, metadata and status again. Every part may fail by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from airbag.clock import Clock
from airbag.errors import Garbled, RemoteError, Unreachable
from airbag.serving.groups import ModelEntry
from airbag.serving.reader import Reader
from airbag.serving.values import VersionStatus
from airbag_exporters.serving import loads
from airbag_exporters.serving.attribution import Look, Sample, View
from airbag_exporters.serving.native import Page, Parser
from airbag_exporters.serving.own_requests import OwnRequests

K = TypeVar("K")
T = TypeVar("T")

PARTS = ("status", "metadata", "metrics", "page")
"""What a poll consists of. `metrics` is getting the native page, `page` making sense of all of it."""

CALL_TIMEOUT = 0.3
TICK_BUDGET = 0.9
Statuses = Mapping[str, tuple[VersionStatus, ...]]
Defaults = Mapping[str, int | None]


@dataclass(frozen=True)
class Observation:
    """What one poll found, by model name; what could not be read is missing.

    `defaults` were read before and after the page. `failures` holds the first error of each part, None for a part that
    answered throughout; parts that were not asked for are missing. `known` says of the models that were looked up
    because the page names them whether the server knows them.
    """

    sample: Sample
    versions: Statuses
    defaults: tuple[Defaults, Defaults]
    labels: Mapping[tuple[str, str], int | None]
    failures: Mapping[str, RemoteError | None]
    known: Mapping[str, bool]


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


def observe(
    reader: Reader,
    models: Sequence[ModelEntry],
    clock: Clock,
    parser: Parser,
    own: OwnRequests,
    candidates: Callable[[Page], Iterable[str]],
) -> Observation:
    """Never raises for what the server does. Takes well under a second, also when nothing answers.

    `candidates` are the models on a page that are not watched and worth a question.
    """
    calls = _Calls(clock)
    names = [model.name for model in models]
    labels = [(model.name, label) for model in models for label in model.labels]
    # Status is the outermost call: what it shows holds for the whole time between.
    status = calls.each("status", names, reader.versions)
    default = calls.each("metadata", names, reader.default_version)
    pages = calls.each("metrics", [()] if reader.endpoint.rest else [], lambda _, left: reader.native_page(left))
    asked = own.take() if pages else {}
    new_default = calls.each("metadata", names, reader.default_version)
    new_status = calls.each("status", names, reader.versions)
    page = parser.parse(pages[()]) if pages else None
    counted = loads.parse(pages[()]) if pages else {}
    if page:
        calls.failures["page"] = Garbled("; ".join(map(str, page.defects))) if page.defects else None
    found = calls.each("status", candidates(page) if page else [], reader.versions)
    return Observation(
        Sample(_joined(status, default), page, _joined(new_status, new_default), asked, counted),
        {**status, **new_status, **{name: statuses for name, statuses in found.items() if statuses}},
        (default, new_default),
        calls.each("metadata", labels, lambda key, left: reader.label_version(*key, left)),
        calls.failures,
        {name: bool(statuses) for name, statuses in found.items()},
    )


def _joined(statuses: Statuses, defaults: Defaults) -> Look:
    return {name: View(versions, defaults[name]) for name, versions in statuses.items() if name in defaults}
