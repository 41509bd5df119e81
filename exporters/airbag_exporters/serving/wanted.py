"""Which versions somebody means to serve: what models.config names, or what the server is about to take up."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from airbag.errors import AirbagError
from airbag.serving.model_config import Kind, ModelConfigFile, Policy, policy_of

log = logging.getLogger("airbag.exporter.serving")


def wanted(policy: Policy | None, known: Iterable[int], default: int | None) -> dict[int, bool]:
    """For each known or named version whether it is meant to serve.

    A `specific` policy says so itself. Any other, or none, is read as: everything newer than what serves now.
    """
    if policy is not None and policy.kind is Kind.SPECIFIC:
        return {version: version in policy.versions for version in {*known, *policy.versions}}
    return {version: version > (default or 0) for version in known}


class PolicyFile:
    """The policies in a models.config, read again when the file changes. Used by several threads.

    While the file cannot be read the last policies stay, and the log says so once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = ModelConfigFile(path)
        self._seen: object = None
        self._policies: Mapping[str, Policy] = {}

    def policies(self) -> Mapping[str, Policy]:
        """The policy of each model in the file, as far as it could be read."""
        seen = self._signature()
        if seen != self._seen:
            self._seen = seen
            try:
                models = self._file.read().config.model_config_list.config
                self._policies = {model.name: policy_of(model) for model in models}
            except AirbagError as error:
                log.warning("models.config cannot be read, its last policies stay", extra={"reason": str(error)})
        return self._policies

    def _signature(self) -> object:
        try:
            stat = self.path.stat()
        except OSError as error:
            return error.errno
        return stat.st_ino, stat.st_mtime_ns, stat.st_size
