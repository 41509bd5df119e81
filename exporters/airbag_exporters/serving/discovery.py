"""Which models of a server are watched: the configured ones, those of models.config, and those that clients ask for."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping

from airbag.clock import Clock
from airbag.serving.groups import NAME, ModelEntry, Module
from airbag_exporters.serving.wanted import FileModel

log = logging.getLogger("airbag.exporter.serving")

ASKS_PER_POLL = 5
ASK_AGAIN_AFTER = 60.0
REFUSED_MAX = 10_000
"""Clients can invent names without end, and the server's page keeps them all."""


class Discovery:
    """The models of one server. Not thread-safe.

    A name that clients ask for counts once the server itself knows the model, so that nobody can make series up.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._requested: dict[str, None] = {}
        self._refused: dict[str, float] = {}
        self._said: set[str] = set()

    def models(self, module: Module, file: Mapping[str, FileModel]) -> tuple[ModelEntry, ...]:
        """The configured models, then the discovered ones, up to `models_max`."""
        entries = {entry.name: entry for entry in module.models}
        if module.discover:
            for name in (*file, *self._requested):
                if name in entries:
                    continue
                if not re.fullmatch(NAME, name):
                    self._say(f"cannot watch a model of this name: {name[:100]!r}", "list it under another name")
                elif len(entries) >= module.models_max:
                    self._say("there are more models than models_max; the rest counts as `other`", "raise models_max")
                    break
                else:
                    entries[name] = ModelEntry(name=name, expect=module.expect)
        return tuple(_with_labels(entry, file.get(entry.name)) for entry in entries.values())

    def candidates(self, module: Module, names: Iterable[str], watched: Iterable[str]) -> list[str]:
        """Names on the page that are worth asking the server about now; few at a time."""
        if not module.discover or len(self._refused) >= REFUSED_MAX:
            return []
        again = self._clock.monotonic() - ASK_AGAIN_AFTER
        new = sorted({name for name in names if re.fullmatch(NAME, name)} - set(watched))
        return [name for name in new if self._refused.get(name, again) <= again][:ASKS_PER_POLL]

    def answered(self, name: str, is_known: bool) -> None:
        """What the server said about a candidate."""
        if is_known:
            self._refused.pop(name, None)
            self._requested[name] = None
        else:
            self._refused[name] = self._clock.monotonic()

    def _say(self, what: str, remedy: str) -> None:
        if what not in self._said:
            self._said.add(what)
            log.warning(what, extra={"remedy": remedy})


def _with_labels(entry: ModelEntry, file: FileModel | None) -> ModelEntry:
    """The labels of models.config are watched too."""
    labels = tuple(dict.fromkeys([*entry.labels, *(file.labels if file else ())]))
    return entry if labels == entry.labels else entry.model_copy(update={"labels": labels})
