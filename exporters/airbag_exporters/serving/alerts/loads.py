"""Which wanted versions failed to load, as soon as it is certain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from airbag.serving.values import State, VersionStatus
from airbag_exporters.serving.target_state import TargetState
from airbag_exporters.serving.wanted import FileModel, wanted

Version = tuple[str, int]
_COMING = (State.START, State.LOADING)


@dataclass(frozen=True)
class Loads:
    """What one poll showed: the state of every version, and the failures that are told, with their poll's time."""

    states: Mapping[Version, State] = field(default_factory=dict)
    suspects: frozenset[Version] = frozenset()
    failed: Mapping[Version, tuple[VersionStatus, float]] = field(default_factory=dict)


def next_loads(before: Loads, state: TargetState, file: Mapping[str, FileModel]) -> Loads:
    """What the new poll adds. A failure counts when the version was seen on its way, or the second time it is seen:

    just after a reload a version may still show the failure of an earlier life.
    """
    at = state.polled_at or 0.0
    states: dict[Version, State] = {}
    suspects: dict[Version, VersionStatus] = {}
    for model, statuses in state.versions.items():
        entry = file.get(model)
        meant = wanted(entry.policy if entry else None, [s.version for s in statuses], state.last_defaults.get(model))
        for status in statuses:
            states[model, status.version] = status.state
            if status.state is State.END and status.error_code != "OK" and meant[status.version]:
                suspects[model, status.version] = status
    failed = {
        version: (status, before.failed[version][1] if version in before.failed else at)
        for version, status in suspects.items()
        if version in before.failed or version in before.suspects or before.states.get(version) in _COMING
    }
    return Loads(states, frozenset(suspects), failed)
