"""What models.config says, and which versions somebody means to serve."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from airbag.errors import AirbagError
from airbag.serving.model_config import Kind, ModelConfigFile, Policy, policy_of

log = logging.getLogger("airbag.exporter.serving")


@dataclass(frozen=True)
class FileModel:
    """One entry of models.config."""

    policy: Policy
    base_path: str
    labels: tuple[str, ...]


def wanted(policy: Policy | None, known: Iterable[int], default: int | None) -> dict[int, bool]:
    """For each known or named version whether it is meant to serve.

    A `specific` policy says so itself. Any other, or none, is read as: everything newer than what serves now.
    """
    if policy is not None and policy.kind is Kind.SPECIFIC:
        return {version: version in policy.versions for version in {*known, *policy.versions}}
    return {version: version > (default or 0) for version in known}


class ModelsFile:
    """A models.config, read again when the file changes. Used by several threads.

    While it cannot be read what was last read stays, and the log says so once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = ModelConfigFile(path)
        self._seen: object = None
        self._models: Mapping[str, FileModel] = {}

    def models(self) -> Mapping[str, FileModel]:
        """The entries of the file by name, as far as it could be read."""
        seen = self._signature()
        if seen != self._seen:
            self._seen = seen
            try:
                entries = self._file.read().config.model_config_list.config
                self._models = {
                    each.name: FileModel(policy_of(each), each.base_path, tuple(sorted(each.version_labels)))
                    for each in entries
                }
            except AirbagError as error:
                log.warning("models.config cannot be read, what it last said stays", extra={"reason": str(error)})
        return self._models

    def _signature(self) -> object:
        try:
            stat = self.path.stat()
        except OSError as error:
            return error.errno
        return stat.st_ino, stat.st_mtime_ns, stat.st_size
