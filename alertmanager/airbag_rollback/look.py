"""What serves, what is wanted and what is on disk, read fresh from the servers, models.config and the model store."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from airbag.errors import AirbagError, RemoteError
from airbag.serving.groups import ServingGroup, Target
from airbag.serving.model_config import Kind, ModelConfigFile, Snapshot
from airbag.serving.reader import Reader
from airbag.serving.values import Endpoint, State, VersionStatus
from airbag_rollback import failpoints

_BUSY = (State.START, State.LOADING, State.AVAILABLE)


@dataclass(frozen=True)
class TargetView:
    """One server's answer about one model; `error` says why there is none."""

    name: str
    default: int | None = None
    versions: tuple[VersionStatus, ...] = ()
    error: str = ""

    def settled(self, target: int) -> bool:
        """Whether `target` is AVAILABLE, answers by default, and nothing else is up or coming up."""
        busy = {status.version for status in self.versions if status.state in _BUSY}
        available = {status.version for status in self.versions if status.state is State.AVAILABLE}
        return not self.error and self.default == target and target in available and busy == {target}

    def failure(self, version: int) -> str:
        """The server's own words about why `version` failed; "" when it did not."""
        return next(
            (f"{status.error_code}: {status.error_message}" for status in self.versions
             if status.version == version and status.state is State.END and status.error_code != "OK"), ""
        )  # fmt: skip


@dataclass(frozen=True)
class ModelView:
    """One model on all servers of its group. `wanted` is None when models.config is absent or names no versions.

    `on_disk`: the complete versions under its base_path, None when that cannot be seen from here.
    """

    targets: tuple[TargetView, ...]
    wanted: frozenset[int] | None = None
    config_error: str = ""
    on_disk: frozenset[int] | None = None

    @property
    def serves(self) -> frozenset[int]:
        """The versions that answer by default: more than one while servers differ."""
        return frozenset(target.default for target in self.targets if target.default is not None)

    @property
    def available(self) -> frozenset[int]:
        """The versions that are loaded on every server."""
        loaded = [{s.version for s in target.versions if s.state is State.AVAILABLE} for target in self.targets]
        return frozenset.intersection(*map(frozenset, loaded)) if loaded else frozenset()

    @property
    def unreachable(self) -> str:
        """What did not answer, or ""."""
        silent = [f"{target.name}: {target.error}" for target in self.targets if target.error]
        return "; ".join([*silent, *([self.config_error] if self.config_error else [])])

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
        failpoints.reached("before a look")
        targets = tuple(self._target(target, model) for target in group.targets)
        failpoints.reached("after a look")
        if group.model_config_file is None:
            return ModelView(targets)
        try:
            snapshot = ModelConfigFile(group.model_config_file).read()
            return ModelView(targets, wanted(snapshot, model), "", on_disk(base_path(snapshot, model)))
        except AirbagError as error:
            return ModelView(targets, config_error=str(error))

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for reader in self._readers.values():
                reader.close()
            self._readers.clear()

    def _target(self, target: Target, model: str) -> TargetView:
        try:
            reader = self._reader(endpoint(target))
            return TargetView(target.name, reader.default_version(model), reader.versions(model))
        except RemoteError as error:
            return TargetView(target.name, error=str(error))

    def _reader(self, at: Endpoint) -> Reader:
        with self._lock:
            if at not in self._readers:
                self._readers[at] = Reader(at)
            return self._readers[at]


def endpoint(target: Target) -> Endpoint:
    """Where that server listens."""
    return Endpoint(target.grpc, target.rest)


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
