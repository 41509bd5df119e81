"""What served, what was loaded, wanted and on disk at any time, by what the serving exporter told."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping

from airbag.clock import Clock
from airbag.serving.groups import ServingGroup
from airbag.serving.values import State, VersionStatus
from airbag_rollback.look import Lookout, ModelView, TargetView
from airbag_rollback.replay.past import PastPrometheus, Run, Span, runs

DEFAULT = "airbag_tfs_default_version"
_QUERIES: Mapping[str, str] = {
    "default": DEFAULT,
    "available": 'airbag_tfs_model_version_state{state="AVAILABLE"} == 1',
    "wanted": "airbag_tfs_model_version_wanted == 1",
    "labels": "airbag_tfs_label_version",
    "complete": "max by (serving, model_name, model_version) (airbag_repo_version_complete) == 1",
    "down": "airbag_tfs_up == 0",
    "up": "airbag_tfs_up == 1",
}
Place = tuple[str, str]
Slot = tuple[str, ...]


class _Line:
    """One thing over time: what it was last known to be."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self._starts: list[float] = []

    def add(self, run: Run) -> None:
        self.runs.append(run)
        self._starts.append(run.start)

    def at(self, when: float) -> Run | None:
        """The run that holds at that time, or the last one before it."""
        index = bisect_right(self._starts, when)
        return self.runs[index - 1] if index else None


class Past(Lookout):
    """A lookout that looks back. What the exporter did not tell for a while stays as it was last known.

    A version is loaded, wanted or complete only while that was told, or for as long as the exporter told nothing.
    """

    def __init__(self, prometheus: PastPrometheus, clock: Clock, span: Span) -> None:
        super().__init__()
        self._clock = clock
        self._lines: dict[str, dict[Slot, _Line]] = {name: defaultdict(_Line) for name in _QUERIES}
        self._slots: dict[str, dict[Place, set[Slot]]] = {name: defaultdict(set) for name in _QUERIES}
        self._seen: dict[tuple[str, str], _Line] = defaultdict(_Line)
        for name, query in _QUERIES.items():
            for run in runs(prometheus, query, span, "what served"):
                self._take(name, run)

    def _take(self, name: str, run: Run) -> None:
        get = run.labels.get
        place = (get("serving", ""), get("model_name", ""))
        slot = (*place, get("target", ""), get("model_version", ""), get("label", ""))
        if name in ("up", "down"):
            self._seen[place[0], slot[2]].add(Run({}, float(name == "up"), run.start, run.end))
        self._lines[name][slot].add(run)
        self._slots[name][place].add(slot)

    def models(self) -> set[Place]:
        """Serving and model of everything that ever served."""
        return set(self._slots["default"])

    def changes(self, place: Place) -> list[float]:
        """When anything about a model began or ended to be so."""
        serving = (place[0], "")
        lines = [self._lines[name][slot] for name in _QUERIES for slot in self._slots[name][place]]
        lines += [self._lines[name][slot] for name in ("up", "down") for slot in self._slots[name][serving]]
        times = {at for line in lines for run in line.runs for at in (run.start, run.end)}
        return sorted(times)

    def versions(self, place: Place) -> list[tuple[int, float, float]]:
        """Versions that served or were wanted, each with the first and the last time of that."""
        found: dict[int, tuple[float, float]] = {}
        for name in ("default", "wanted"):
            for run in self._of(name, place):
                version = int(run.value) if name == "default" else _version(run)
                start, end = found.get(version, (run.start, run.end))
                found[version] = (min(start, run.start), max(end, run.end))
        return [(version, start, end) for version, (start, end) in sorted(found.items())]

    def _of(self, name: str, place: Place) -> Iterable[Run]:
        return (run for slot in self._slots[name][place] for run in self._lines[name][slot].runs)

    def look(self, group: ServingGroup, model: str) -> ModelView:
        """What was true at the clock's time. Raises nothing."""
        now, place = self._clock.now(), (group.name, model)
        entry = group.model(model)
        targets = tuple(self._told(target.name, place, now) for target in group.targets)
        told_wanted, told_disk = (bool(self._slots[name][place]) for name in ("wanted", "complete"))
        return ModelView(
            targets,
            self._versions("wanted", place, now) if told_wanted else None,
            on_disk=self._versions("complete", place, now) if told_disk else None,
            by_label=entry is not None and entry.routing == "labels",
        )

    def _told(self, name: str, place: Place, now: float) -> TargetView:
        seen = self._seen[place[0], name].at(now)
        if seen is not None and seen.value == 0 and now <= seen.end:
            return TargetView(name, error="it did not answer the exporter then")
        default = self._lines["default"][(*place, name, "", "")].at(now)
        loaded = [
            VersionStatus(version, State.AVAILABLE, "OK", "")
            for version in sorted(self._versions("available", place, now, name))
        ]
        labels = {
            slot[4]: None if run is None else int(run.value)
            for slot in self._slots["labels"][place]
            if slot[2] == name
            for run in [self._lines["labels"][slot].at(now)]
        }
        return TargetView(name, None if default is None else int(default.value), tuple(loaded), labels=labels)

    def _versions(self, what: str, place: Place, now: float, target: str | None = None) -> frozenset[int]:
        """The versions of which it is told now; while the exporter tells nothing of the model, was told last."""
        told_at = self._told_at(place, now)
        return frozenset(
            _version(run)
            for slot in self._slots[what][place]
            if target in (None, slot[2])
            for run in [self._lines[what][slot].at(told_at)]
            if run is not None and run.end >= told_at
        )

    def _told_at(self, place: Place, now: float) -> float:
        """The last moment, not after `now`, at which the exporter told anything of the model."""
        last = [self._lines["default"][slot].at(now) for slot in self._slots["default"][place]]
        return max((min(now, run.end) for run in last if run is not None), default=now)


def _version(run: Run) -> int:
    text = run.labels.get("model_version", "")
    return int(text) if text.isdecimal() else 0
