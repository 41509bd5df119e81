"""Which versions of a model are on the page. A server lists every version it ever had; the page must stay small."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from airbag.clock import Clock
from airbag.serving.groups import ModelEntry
from airbag.serving.values import State, VersionStatus
from airbag_exporters.serving.attribution import MULTIPLE, SWITCHING
from airbag_exporters.serving.page import ModelFacts
from airbag_exporters.serving.target_state import TargetState
from airbag_exporters.serving.totals import Owned, Totals
from airbag_exporters.serving.wanted import FileModel, wanted

ENDED_KEPT = 3
WANTED_KEPT = 10
ENDED_KEPT_FOR = 3600.0
"""Seconds for which a version that was seen alive stays on the page after its end."""


class Shown:
    """Remembers when versions of one server were last alive, and since when they load. Not thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._alive_at: dict[str, dict[int, float]] = {}
        self._loading: dict[str, dict[int, float]] = {}

    def models(
        self,
        models: Sequence[ModelEntry],
        state: TargetState,
        file: Mapping[str, FileModel],
        totals: Totals,
        listed: Container[str],
    ) -> list[tuple[ModelFacts, list[str]]]:
        """What the page says of each model, and the owners of requests that have counters.

        Shown are the versions that are not at END, that are meant to serve, that were alive within the last hour, and
        the newest few of the others. One that leaves the page keeps its counts, should it come back. `listed` are the
        models that should serve: the configured ones and those of models.config.
        """
        return [self._one(model, state, file.get(model.name), totals, model.name in listed) for model in models]

    def _one(
        self, model: ModelEntry, state: TargetState, file: FileModel | None, totals: Totals, is_listed: bool
    ) -> tuple[ModelFacts, list[str]]:
        name, statuses = model.name, state.versions.get(model.name, ())
        policy = file.policy if file else None
        meant = wanted(policy, [each.version for each in statuses], state.last_defaults.get(name))
        kept = self._kept(name, statuses, meant)
        targets = [(label, state.labels[name, label]) for label in model.labels if (name, label) in state.labels]
        is_read = name in state.versions
        available = {each.version for each in statuses if each.state is State.AVAILABLE}
        facts = ModelFacts(
            name,
            statuses=tuple(each for each in statuses if each.version in kept),
            wanted=tuple((version, is_wanted) for version, is_wanted in sorted(meant.items()) if version in kept),
            default=state.defaults.get(name),
            previous=state.previous_defaults.get(name),
            available=len(available) if is_read and is_listed else None,
            loading=self._loading_since(name, statuses) if is_read else (),
            label_versions=tuple((label, version) for label, version in targets if version is not None),
            label_available=tuple((label, version in available) for label, version in targets if is_read),
            switches=state.switches.get(name, 0),
        )
        nobody = [SWITCHING]
        if model.routing != "default" or Owned(name, MULTIPLE) in totals.requests:
            nobody.append(MULTIPLE)
        return facts, [*map(str, sorted(kept)), *nobody]

    def _loading_since(self, model: str, statuses: Sequence[VersionStatus]) -> tuple[tuple[int, float], ...]:
        """A server that is busy with a load may leave polls unanswered; the load goes on all the same."""
        before, now = self._loading.get(model, {}), self._clock.now()
        loading = sorted(each.version for each in statuses if each.state in (State.START, State.LOADING))
        self._loading[model] = {version: before.get(version, now) for version in loading}
        return tuple(self._loading[model].items())

    def _kept(self, model: str, statuses: Sequence[VersionStatus], meant: Mapping[int, bool]) -> set[int]:
        now = self._clock.monotonic()
        alive = {v: at for v, at in self._alive_at.get(model, {}).items() if at > now - ENDED_KEPT_FOR}
        alive.update({each.version: now for each in statuses if each.state is not State.END})
        self._alive_at[model] = alive
        newest = sorted((each.version for each in statuses if each.version not in alive), reverse=True)
        named = sorted((version for version, is_wanted in meant.items() if is_wanted), reverse=True)
        return {*alive, *newest[:ENDED_KEPT], *named[:WANTED_KEPT]}
