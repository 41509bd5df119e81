"""The signatures of the versions that serve, asked of the servers and only when another version serves."""

from __future__ import annotations

import logging
from collections.abc import Callable

from airbag.clock import Clock
from airbag.errors import RemoteError
from airbag.repository import Signatures, of_map
from airbag.serving.groups import ServingGroup, Target
from airbag.serving.proto.tfs_pb2 import SignatureDefMap
from airbag.serving.reader import Reader
from airbag_exporters.serving.repository.watched import Watched

log = logging.getLogger("airbag.exporter.repository")

Ask = Callable[[ServingGroup, Target, str, int], SignatureDefMap]
"""(group, target, model, version) to signatures; RemoteError when there is no answer."""

RETRY_AFTER = 60.0
_TIMEOUT = 2.0


def ask_server(group: ServingGroup, target: Target, model: str, version: int) -> SignatureDefMap:
    """Ask over gRPC. It is rare enough to connect anew each time."""
    with Reader(group.endpoint(target)) as reader:
        return reader.signatures(model, version, timeout=_TIMEOUT)


class Serving:
    """What each model's serving version takes and gives. Belongs to one thread."""

    def __init__(self, ask: Ask, clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[int, Signatures]] = {}
        self._failed: dict[str, float] = {}

    def signatures(self, model: Watched) -> Signatures | None:
        """Of the version that serves now; None while none does, servers differ, or it could not be asked."""
        version, name = model.serving(), model.serving_on()
        if version is None or name is None:
            return None
        known = self._known.get(model.key)
        if known and known[0] == version:
            return known[1]
        group = model.seen.group
        target = next((each for each in group.targets if each.name == name), None)
        if target is None or self._failed.get(target.grpc, -RETRY_AFTER) + RETRY_AFTER > self._clock.monotonic():
            return None
        try:
            found = of_map(self._ask(group, target, model.model, version).signature_def)
        except RemoteError as error:
            self._failed[target.grpc] = self._clock.monotonic()
            log.info("cannot ask for the signatures that serve", extra={"target": name, "reason": str(error)})
            return None
        self._known[model.key] = (version, found)
        return found
