"""Which models there are to watch, where they lie, and what the servers need of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Protocol

from airbag.errors import AirbagError
from airbag.repository import Listing, Uses, asked_for, used
from airbag.serving.groups import ServingGroup
from airbag.serving.model_config import ModelConfigFile, policy_of
from airbag.serving.proto.tfs_pb2 import ModelConfig
from airbag.serving.values import VersionStatus


class Known(Protocol):
    """What the poll knows of one server, by model name. What could not be read lately is missing."""

    @property
    def versions(self) -> Mapping[str, tuple[VersionStatus, ...]]: ...
    @property
    def defaults(self) -> Mapping[str, int | None]: ...
    @property
    def labels(self) -> Mapping[tuple[str, str], int | None]: ...


@dataclass(frozen=True)
class Seen:
    """One group of the configuration, and what is known of each of its targets now."""

    group: ServingGroup
    targets: Mapping[str, Known]


@dataclass(frozen=True)
class Watched:
    """One model of one group. Without `entry` it cannot be watched, and `problem` says why.

    `lost` when that is because models.config cannot be read: then the model may lie anywhere.
    """

    seen: Seen
    model: str
    entry: ModelConfig | None = None
    problem: str = ""
    lost: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Group and model."""
        return self.seen.group.name, self.model

    def serving(self) -> int | None:
        """The version that answers by default on every server that answers; None when they differ."""
        defaults = {state.defaults.get(self.model) for state in self.seen.targets.values()} - {None}
        return next(iter(defaults)) if len(defaults) == 1 else None

    def serving_on(self) -> str | None:
        """A target on which that version answers."""
        found = (name for name, state in self.seen.targets.items() if state.defaults.get(self.model) is not None)
        return next(found, None)

    def uses(self, listing: Listing) -> Uses:
        """What this group's servers and its models.config need of the model."""
        servers = (self._on(target.name) for target in self.seen.group.targets)
        return reduce(Uses.with_, servers, self._named(listing))

    def _named(self, listing: Listing) -> Uses:
        if self.entry is None:
            return Uses(unknown=self.problem)
        labels = {version: label for label, version in sorted(self.entry.version_labels.items())}
        asked = asked_for(policy_of(self.entry), listing.versions)
        return Uses(labels=labels, asked=asked, twice=listing.twice)

    def _on(self, target: str) -> Uses:
        state = self.seen.targets.get(target)
        if state is None or self.model not in state.versions or self.model not in state.defaults:
            return Uses(unknown=f"it is not known what {target} serves")
        labels = {
            version: label
            for (model, label), version in state.labels.items()
            if model == self.model and version is not None
        }
        return used(state.defaults[self.model], state.versions[self.model]).with_(Uses(labels=labels))


def watched(seen: Seen) -> Iterator[Watched]:
    """The models of a group: those that the configuration lists and, when it may discover, those in models.config."""
    group = seen.group
    if group.model_config_file is None:
        return
    listed = [entry.name for entry in group.models]
    try:
        snapshot = ModelConfigFile(group.model_config_file).read()
    except AirbagError as error:
        polled = [name for state in seen.targets.values() for name in state.versions] if group.discover else []
        names = list(dict.fromkeys([*listed, *polled]))
        yield from (Watched(seen, name, problem=str(error), lost=True) for name in names)
        return
    entries = {entry.name: entry for entry in snapshot.config.model_config_list.config}
    names = list(dict.fromkeys([*listed, *entries] if group.discover else listed))
    for name in names[: max(group.models_max, len(listed))]:
        problem = "" if name in entries else f"{snapshot.path} has no model of that name"
        yield Watched(seen, name, entries.get(name), problem)
