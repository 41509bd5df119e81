"""All counters of a process as one immutable value, and the draft of what a batch makes of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import msgspec

from airbag_exporters.quality.columns import Owner
from airbag_exporters.quality.counting import Block, Layout, ModelLayout
from airbag_exporters.quality.models import Spec
from airbag_exporters.quality.pipelines.state import BLOCK
from airbag_exporters.quality.pipelines.state import State as Pipelines

log = logging.getLogger("airbag.quality.counters")

SpecOf = Callable[[Owner], Spec]

_LIFE = "life"
_SEEN_STEP = 5.0  # seconds; finer is not worth a write a batch


class Model(NamedTuple):
    """A model, whose labels are counted before it is known which version they are for."""

    serving: str
    model: str


class _Life(msgspec.Struct, array_like=True):
    owner: Owner
    seen: float
    shown: bool


@dataclass(frozen=True)
class Counters:
    """`versions` and `models` are never changed in place.

    `seen` is the epoch second of a version's last prediction; `shown` are the versions that were shown at 0 before they
    are shown as they are, see `pages.Fresh`.
    """

    versions: Mapping[Owner, Block] = field(default_factory=dict)
    models: Mapping[Model, Block] = field(default_factory=dict)
    seen: Mapping[Owner, float] = field(default_factory=dict)
    shown: frozenset[Owner] = frozenset()
    pipelines: Pipelines = field(default_factory=Pipelines)

    @classmethod
    def of(cls, stored: Mapping[str, bytes], spec_of: SpecOf) -> Counters:
        """From what `Draft.changed` gave. What cannot be read starts at 0, which Prometheus takes for a restart."""
        versions: dict[Owner, Block] = {}
        models: dict[Model, Block] = {}
        for name, data in stored.items():
            kind, *names = name.split("\0")
            if not data:
                continue
            try:
                if kind == "version":
                    owner = Owner(*names)
                    versions[owner] = Block.from_bytes(Layout.of(spec_of(owner), owner), data)
                elif kind == "model":
                    model = Model(*names)
                    models[model] = Block.from_bytes(ModelLayout.of(*model), data)
            except ValueError as error:
                told = {"of": " ".join(names), "reason": str(error)}
                log.warning("counters cannot be read and start at 0", extra=told)
        life = [each for each in _life(stored.get(_LIFE, b"")) if each.owner in versions]
        seen = {each.owner: each.seen for each in life}
        shown = frozenset(each.owner for each in life if each.shown)
        return cls(versions, models, seen, shown, _pipelines(stored.get(BLOCK, b"")))

    def relaid(self, spec_of: SpecOf) -> Counters:
        """The same counters for a changed configuration: what still fits goes on, what is new starts at 0."""
        versions = {
            owner: Block.from_bytes(Layout.of(spec_of(owner), owner), block.to_bytes())
            for owner, block in self.versions.items()
        }
        return replace(self, versions=versions)

    def life(self) -> bytes:
        """For a ledger: when each version was seen last, and whether it was shown."""
        return msgspec.msgpack.encode([_Life(owner, at, owner in self.shown) for owner, at in self.seen.items()])


class Draft:
    """Copies of the counters that one batch touches; nothing is seen of them until `counters` takes their place."""

    def __init__(self, before: Counters, spec_of: SpecOf) -> None:
        self._before = before
        self._spec_of = spec_of
        self._versions: dict[Owner, Block] = {}
        self._models: dict[Model, Block] = {}
        self._seen: dict[Owner, float] = {}
        self._shown: frozenset[Owner] = frozenset()
        self.pipelines: Pipelines | None = None

    def version(self, owner: Owner) -> Block:
        """The counters of a version, to be changed in place."""
        if owner not in self._versions:
            known = self._before.versions.get(owner)
            self._versions[owner] = known.copy() if known else Block(Layout.of(self._spec_of(owner), owner))
        return self._versions[owner]

    def labels(self, serving: str, model: str, result: str, count: int) -> None:
        """Count labels of a model that ended in this way."""
        key = Model(serving, model)
        if key not in self._models:
            known = self._before.models.get(key)
            self._models[key] = known.copy() if known else Block(ModelLayout.of(*key))
        self._models[key].count_labels(result, count)

    def saw(self, owner: Owner, now: float) -> None:
        """Remember that a version answered."""
        if now - self._before.seen.get(owner, 0.0) >= _SEEN_STEP:
            self._seen[owner] = now

    def show(self, owners: frozenset[Owner]) -> None:
        """Remember that these versions were shown at 0."""
        self._shown = owners & self._before.versions.keys()

    def knows(self, owner: Owner) -> bool:
        """Whether the version has counters."""
        return owner in self._versions or owner in self._before.versions

    def versions_of(self, owner: Owner) -> int:
        """How many versions of this owner's model have counters."""
        return sum(1 for known in {*self._versions, *self._before.versions} if known[:2] == owner[:2])

    def changed(self) -> dict[str, bytes]:
        """What a ledger has to keep, by name."""
        stored = {"\0".join(("version", *owner)): block.to_bytes() for owner, block in self._versions.items()}
        stored |= {"\0".join(("model", *model)): block.to_bytes() for model, block in self._models.items()}
        if self._seen or self._shown:
            stored[_LIFE] = self.counters().life()
        if self.pipelines is not None:
            stored[BLOCK] = self.pipelines.to_bytes()
        return stored

    def counters(self) -> Counters:
        """The counters as they are once this draft is kept."""
        before = self._before
        return Counters(
            {**before.versions, **self._versions},
            {**before.models, **self._models},
            {**before.seen, **self._seen},
            before.shown | self._shown,
            self.pipelines or before.pipelines,
        )


def without(before: Counters, owners: set[Owner]) -> tuple[Counters, dict[str, bytes]]:
    """The counters without those of some versions, and what a ledger has to know of it."""
    kept = replace(
        before,
        versions={owner: block for owner, block in before.versions.items() if owner not in owners},
        seen={owner: at for owner, at in before.seen.items() if owner not in owners},
        shown=before.shown - owners,
    )
    return kept, {_LIFE: kept.life(), **{"\0".join(("version", *owner)): b"" for owner in owners}}


def _life(data: bytes) -> list[_Life]:
    return msgspec.msgpack.decode(data, type=list[_Life]) if data else []


def _pipelines(data: bytes) -> Pipelines:
    return Pipelines.from_bytes(data) if data else Pipelines()
