"""Which version is the candidate and which one the stable version, where the replicas agree on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from airbag_exporters.quality.aggregate.arithmetic import Places
from airbag_exporters.quality.aggregate.catalog import MODEL, VERSION, Key, Level
from airbag_exporters.quality.aggregate.window import Record
from airbag_exporters.quality.roles import CANDIDATE, STABLE


@dataclass(frozen=True)
class Roles:
    """The one version of every model that has the role; models without one are left out."""

    candidate: Mapping[Key, Key]
    stable: Mapping[Key, Key]

    @classmethod
    def of(cls, told: Iterable[Mapping[Key, str]]) -> Roles:
        """From the role of each version as every replica sees it."""
        found: dict[str, dict[Key, set[Key]]] = {CANDIDATE: {}, STABLE: {}}
        for roles in told:
            for version, role in roles.items():
                found.setdefault(role, {}).setdefault(version[: len(MODEL)], set()).add(version)
        candidate, stable = (
            {model: versions.pop() for model, versions in sorted(found[role].items()) if len(versions) == 1}
            for role in (CANDIDATE, STABLE)
        )
        return cls(candidate, stable)

    @cached_property
    def records(self) -> list[Record]:
        """1 for each version that has a role."""
        return [_record(CANDIDATE, self.candidate), _record(STABLE, self.stable)]

    def places(self, models: Level, versions: Level) -> tuple[Places, Places]:
        """(models,) the rows of the candidates and of the stable versions; -1 where there is none."""
        candidates, stables = (
            np.array([versions.place.get(of.get(model, ()), -1) for model in models.rows], np.intp)
            for of in (self.candidate, self.stable)
        )
        return candidates, stables


def _record(role: str, versions: Mapping[Key, Key]) -> Record:
    level = Level("model_version", VERSION, tuple(sorted(versions.values())))
    return Record(f"{level.name}:airbag_quality_version_role:{role}", level, np.ones(len(level)))
