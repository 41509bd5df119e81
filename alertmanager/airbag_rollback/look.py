"""What serves, what is wanted and what is on disk, read fresh from the servers, models.config and the model store."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from airbag.errors import AirbagError, RemoteError
from airbag.serving.groups import ServingGroup, Target
from airbag.serving.model_config import Kind, ModelConfigFile, Snapshot
from airbag.serving.reader import Reader
from airbag.serving.values import Endpoint, State, VersionStatus
from airbag_rollback import failpoints

_BUSY = (State.START, State.LOADING, State.AVAILABLE)
_COMING = (State.START, State.LOADING)

T = TypeVar("T")


@dataclass(frozen=True)
class TargetView:
    """One server's answer about one model; `error` says why there is none.

    `labels` are the versions that answer for each label; None where the label is unknown or its version is gone.
    """

    name: str
    default: int | None = None
    versions: tuple[VersionStatus, ...] = ()
    error: str = ""
    labels: Mapping[str, int | None] = field(default_factory=dict)

    @property
    def available(self) -> frozenset[int]:
        """The versions that are loaded here."""
        return frozenset(status.version for status in self.versions if status.state is State.AVAILABLE)

    @property
    def busy(self) -> frozenset[int]:
        """The versions that are up or coming up."""
        return frozenset(status.version for status in self.versions if status.state in _BUSY)

    def settled(self, target: int) -> bool:
        """Whether `target` is AVAILABLE, answers by default, and nothing else is up or coming up."""
        return not self.error and self.default == target and target in self.available and self.busy == {target}

    def comes(self, version: int) -> bool:
        """Whether the server is at loading `version`."""
        return any(status.version == version and status.state in _COMING for status in self.versions)

    def failure(self, version: int) -> str:
        """The server's own words about why `version` failed; "" when it did not."""
        return next(
            (f"{status.error_code}: {status.error_message}" for status in self.versions
             if status.version == version and status.state is State.END and status.error_code != "OK"), ""
        )  # fmt: skip

    def __str__(self) -> str:
        old = [each for each in self.versions if each.state is State.END and each.error_code == "OK"]
        states = ", ".join(f"{each.version} {each.state.name}" for each in self.versions if each not in old)
        states = states or "no version is up"
        return f"{self.name}: {self.error or states}"


@dataclass(frozen=True)
class ModelView:
    """One model on all servers of its group. `wanted` is None when models.config is absent or names no versions.

    `labelled` are the labels in models.config. `on_disk`: the complete versions under its base_path, None when that
    cannot be seen from here. With `by_label` clients ask for labels, and what a label answers is what serves.
    """

    targets: tuple[TargetView, ...]
    wanted: frozenset[int] | None = None
    config_error: str = ""
    on_disk: frozenset[int] | None = None
    labelled: Mapping[str, int] = field(default_factory=dict)
    by_label: bool = False

    @property
    def answering(self) -> tuple[TargetView, ...]:
        """The servers that said something."""
        return tuple(target for target in self.targets if not target.error)

    @property
    def serves(self) -> frozenset[int]:
        """The versions that answer clients: more than one while servers differ, or where labels name several."""
        if self.by_label:
            behind = {version for target in self.targets for version in target.labels.values()} - {None}
            if behind:
                return frozenset(version for version in behind if version is not None)
        return self.behind(None)

    def behind(self, label: str | None) -> frozenset[int]:
        """The versions that answer for one label, or by default."""
        found = [target.default if label is None else target.labels.get(label) for target in self.targets]
        return frozenset(version for version in found if version is not None)

    @property
    def available(self) -> frozenset[int]:
        """The versions that are loaded on every server that answers."""
        loaded = [target.available for target in self.answering]
        return frozenset.intersection(*loaded) if loaded else frozenset()

    @property
    def silent(self) -> str:
        """The servers that did not answer, and why; or ""."""
        return "; ".join(f"{target.name}: {target.error}" for target in self.targets if target.error)

    @property
    def unreachable(self) -> str:
        """Why nothing can be done now, or "": no server answers, or models.config cannot be read.

        Some servers that are silent hold nothing back: the file is the truth that they restart with.
        """
        nobody = "" if self.answering else self.silent
        return "; ".join(why for why in (nobody, self.config_error) if why)

    def present(self, version: int) -> bool | None:
        """Whether the version can be served. What is loaded does not count when its files are seen to be gone:
        told to serve only versions without files, the server unloads the model.
        """
        if self.on_disk is not None:
            return version in self.on_disk
        return True if version in self.available else None


class Lookout:
    """Looks at servers; keeps one connection to each. Safe for several threads."""

    def __init__(self) -> None:
        self._readers: dict[Endpoint, Reader] = {}
        self._lock = threading.Lock()

    def look(self, group: ServingGroup, model: str) -> ModelView:
        """What is true now. Never raises: what could not be read is in the view."""
        entry = group.model(model)
        by_label = entry is not None and entry.routing == "labels"
        labels = entry.labels if entry else ()
        failpoints.reached("before a look")
        try:
            snapshot = ModelConfigFile(group.model_config_file).read() if group.model_config_file else None
            labelled = dict(snapshot.model(model).version_labels) if snapshot else {}
            base = base_path(snapshot, model) if snapshot else entry and entry.base_path
            named, problem = wanted(snapshot, model) if snapshot else None, ""
        except AirbagError as error:
            labelled, base, named, problem = {}, None, None, str(error)
        asked = sorted({*labels, *labelled})
        targets = tuple(at_each(group.targets, lambda target: self._target(group, target, model, asked)))
        failpoints.reached("after a look")
        return ModelView(targets, named, problem, on_disk(base) if base else None, labelled, by_label)

    def available(self, group: ServingGroup, target: Target, model: str) -> frozenset[int]:
        """The versions of a model that one server has loaded; empty when it does not say."""
        return self._target(group, target, model, ()).available

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for reader in self._readers.values():
                reader.close()
            self._readers.clear()

    def _target(self, group: ServingGroup, target: Target, model: str, labels: Sequence[str]) -> TargetView:
        try:
            reader = self._reader(group.endpoint(target))
            behind = {label: reader.label_version(model, label) for label in labels}
            return TargetView(target.name, reader.default_version(model), reader.versions(model), labels=behind)
        except RemoteError as error:
            return TargetView(target.name, error=str(error))

    def _reader(self, at: Endpoint) -> Reader:
        with self._lock:
            if at not in self._readers:
                self._readers[at] = Reader(at)
            return self._readers[at]


def at_each(targets: Sequence[Target], ask: Callable[[Target], T]) -> list[T]:
    """What `ask` answers for each, all asked at the same time: one that hangs must not hold up the others.

    `ask` must not raise.
    """
    if len(targets) == 1:
        return [ask(targets[0])]
    answers: dict[str, T] = {}

    def take(target: Target) -> None:
        answers[target.name] = ask(target)

    threads = [threading.Thread(target=take, args=(target,), name=f"at {target.name}") for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [answers[target.name] for target in targets]


def wanted(snapshot: Snapshot, model: str) -> frozenset[int] | None:
    """The versions that the file names; None for a policy that names none. ConfigError for an unknown model."""
    policy = snapshot.policy(model)
    return frozenset(policy.versions) if policy.kind is Kind.SPECIFIC else None


def base_path(snapshot: Snapshot, model: str) -> Path:
    """Where the versions of the model lie; a place on another machine is simply not there."""
    return Path(snapshot.model(model).base_path)


def on_disk(base: Path) -> frozenset[int] | None:
    """The versions with a model in their folder; None when the folder cannot be seen from here."""
    try:
        with os.scandir(base) as entries:
            names = [entry.name for entry in entries if entry.name.isascii() and entry.name.isdigit()]
    except OSError:
        return None
    models = ("saved_model.pb", "saved_model.pbtxt")
    return frozenset(int(name) for name in names if any((base / name / model).is_file() for model in models))
