"""Events in, counters out: the one place that every source writes to and the scrape reads from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from airbag_exporters.config import ExportersConfig
from airbag_exporters.quality.columns import OTHER, BadBatch, Coded, Keys, Labels, Owner, Predictions, portions
from airbag_exporters.quality.counters import Counters, Draft, without
from airbag_exporters.quality.counting import count_outcomes, count_predictions
from airbag_exporters.quality.early import packed, unpacked
from airbag_exporters.quality.gathered import Gathered, by_row, firsts_of
from airbag_exporters.quality.joining import at_once, extras, outcomes, owner_hash, waiting
from airbag_exporters.quality.ledger.open import limits_of
from airbag_exporters.quality.ledger.values import WAITING, Change, Conflict, Ledger, Looked, State
from airbag_exporters.quality.models import Models, Spec
from airbag_exporters.quality.pipelines.runs import Runs
from airbag_exporters.quality.pipelines.state import count_runs

T = TypeVar("T")

JOINED, UNMATCHED, DUPLICATE, EXPIRED = "joined", "unmatched", "duplicate", "expired"
_TRIES = 8  # against replicas that are faster
_PIPELINES = Owner("pipelines", OTHER, OTHER)


class Book:
    """Written to by one thread. `counters` may be read by any: it is replaced, never changed.

    `waiting` is how many predictions waited for their label at the last `expire`.

    Every `take_*` looks at what is known of the ids, counts what is new into a draft, and commits ids and counters as
    one. What raises has taken nothing: BadBatch, LedgerUnavailable, or Conflict when other replicas were faster each
    time. Only a batch of more rows than the ledger likes is taken in portions, of which some may stay: those who send
    it again send the same ids.
    """

    def __init__(self, config: ExportersConfig, ledger: Ledger, now: Callable[[], float]) -> None:
        self._ledger = ledger
        self._now = now
        self._owners: dict[int, Owner] = {owner_hash(_PIPELINES): _PIPELINES}
        self.config = config
        self.models = Models(config)
        kept = ledger.load()
        self._owners |= kept.owners
        self.cursors: Mapping[str, str] = kept.cursors
        self.counters = Counters.of(kept.blocks, self.spec)
        self.waiting = ledger.pending()

    def configure(self, config: ExportersConfig) -> None:
        """Go on with another configuration, and with references read anew. Counters that still fit are kept."""
        self.config, self.models = config, Models(config)
        self.counters = self.counters.relaid(self.spec)
        self._ledger.bound(limits_of(config.quality))

    def spec(self, owner: Owner) -> Spec:
        """What is known of an owner's model."""
        return self.models.find(owner.serving, owner.model, owner.version)

    def take_predictions(self, batch: Sequence[Predictions], cursors: Mapping[str, str] | None = None) -> int:
        """Count predictions that are new and let those with an id wait for their label. How many rows came."""
        *ahead, last = portions(batch, self._ledger.batch_rows_max)
        for portion in ahead:
            self._until_agreed(partial(self._predict, portion, {}))
        self._until_agreed(partial(self._predict, last, cursors or {}))
        return sum(len(each) for each in batch)

    def take_labels(self, labels: Labels, cursors: Mapping[str, str] | None = None) -> int:
        """Count each label that has a prediction, once. How many came."""
        most = self._ledger.batch_rows_max
        *ahead, last = [labels.take(slice(start, start + most)) for start in range(0, len(labels), most)] or [labels]
        for portion in ahead:
            self._until_agreed(partial(self._label, portion, {}))
        self._until_agreed(partial(self._label, last, cursors or {}))
        return len(labels)

    def take_runs(self, runs: Runs, cursors: Mapping[str, str] | None = None) -> int:
        """Count runs of pipelines, each once. How many came."""
        self._until_agreed(partial(self._run, runs, cursors or {}))
        return len(runs)

    def expire(self) -> bool:
        """Count what got no label in time, to be called every second or so. True when there may be more of it."""
        self.waiting = self._ledger.pending()
        expired = self._ledger.expire(self._now())
        if not expired:
            return False
        draft = self._draft()
        for number, count in expired.predictions.items():
            owner = self._owner(number)
            draft.labels(owner.serving, owner.model, EXPIRED, count)
        if expired.labels:
            draft.labels(*self._nobody(), UNMATCHED, expired.labels)
        try:
            self._ledger.forget(expired, draft.changed())
        except Conflict:  # a label came meanwhile; the next look knows
            return True
        self.counters = draft.counters()
        return True

    def drop_old_versions(self) -> None:
        """Forget the counters of versions that have not answered for `version_ttl`."""
        oldest = self._now() - self.config.quality.version_ttl
        gone = {owner for owner in self.counters.versions if self.counters.seen.get(owner, np.inf) < oldest}
        if gone:
            counters, blocks = without(self.counters, gone)
            self._ledger.commit(Change(blocks=blocks))
            self.counters = counters

    def show(self, owners: frozenset[Owner]) -> None:
        """Show these versions as they are from now on, also after a restart."""
        if owners:
            draft = self._draft()
            draft.show(owners)
            self._commit(draft, Change())

    def _until_agreed(self, attempt: Callable[[], None]) -> None:
        for left in reversed(range(_TRIES)):
            try:
                return attempt()
            except Conflict:
                if not left:
                    raise
        return None

    def _draft(self) -> Draft:
        return Draft(self.counters, self.spec)

    def _commit(self, draft: Draft, change: Change) -> None:
        self._ledger.commit(replace(change, blocks=draft.changed()))
        self._owners |= change.owners
        self.counters = draft.counters()

    def _predict(self, batch: Sequence[Predictions], cursors: Mapping[str, str]) -> None:
        draft, now = self._draft(), self._now()
        change = Gathered()
        for predictions, early in self._new(batch):
            owner = self._place(draft, predictions.owner)
            placed = predictions if owner == predictions.owner else replace(predictions, owner=owner)
            self._count(draft, placed, early, change, now)
        self._commit(draft, change.whole(cursors))

    def _new(self, batch: Sequence[Predictions]) -> Iterable[tuple[Predictions, Mapping[int, bytes]]]:
        """Of each part of a batch the rows that were never seen, and the labels that came before them, by row."""
        keyed = [each for each in batch if each.keys is not None]
        firsts, _, looked = self._look([each.keys for each in keyed if each.keys is not None])
        begin = 0
        for each in batch:
            if each.keys is None:
                yield each, {}
                continue
            here = (firsts >= begin) & (firsts < begin + len(each))
            rows, states = firsts[here] - begin, looked.states[here]
            fresh = (states == State.ABSENT) | (states == State.EARLY)
            places = np.flatnonzero(here)[fresh]
            begin += len(each)
            chosen = each if len(places) == len(each) else each.take(rows[fresh])
            yield chosen, by_row(looked.early, places)

    def _look(self, parts: Sequence[Keys]) -> tuple[NDArray[np.intp], NDArray[np.intp], Looked]:
        """What is known of all ids of the parts.

        The rows (m,), counted through all parts, that hold an id for the first time, in order; how often each of these
        ids is repeated; the answers for them.
        """
        keys = np.concatenate([np.empty(0, np.uint64), *parts])
        firsts, repeated = firsts_of(keys)
        return firsts, repeated, self._ledger.look(keys[firsts])

    def _place(self, draft: Draft, owner: Owner) -> Owner:
        """The owner, or the version `other` where the model has as many versions as are told apart already."""
        if draft.knows(owner) or draft.versions_of(owner) < self.spec(owner).quality.versions_max:
            return owner
        return owner._replace(version=OTHER)

    def _count(
        self, draft: Draft, predictions: Predictions, early: Mapping[int, bytes], change: Gathered, now: float
    ) -> None:
        owner, spec = predictions.owner, self.spec(predictions.owner)
        count_predictions(spec, draft.version(owner), predictions)
        draft.saw(owner, now)
        labelled = predictions.actual is not None
        if labelled:
            count_outcomes(spec, draft.version(owner), at_once(spec, predictions))
            draft.labels(owner.serving, owner.model, JOINED, len(predictions))
        if predictions.keys is None:
            return
        rows, kept = waiting(spec, predictions, now), extras(spec, predictions)
        change.owners[owner_hash(owner)] = owner
        if labelled:
            change.done.append(rows)
            return
        if early:
            labelled_rows = sorted(early)
            self._meet(draft, owner, rows[labelled_rows], kept, [early[row] for row in labelled_rows])
            change.done.append(rows[labelled_rows])
            rows = np.delete(rows, labelled_rows)
        change.new.append(rows)
        change.extras |= kept

    def _meet(
        self, draft: Draft, owner: Owner, rows: NDArray[np.void], kept: Mapping[int, bytes], labels: Sequence[bytes]
    ) -> None:
        """Count predictions whose labels were there first. A label that its model cannot have counts as unmatched."""
        actual, at = unpacked(labels)
        by_row = {row: kept[key] for row, key in enumerate(rows["key"].tolist()) if key in kept}
        try:
            found = outcomes(self.spec(owner), owner, rows, by_row, actual, at)
        except BadBatch:
            if len(rows) > 1:
                for row in range(len(rows)):
                    self._meet(draft, owner, rows[row : row + 1], kept, labels[row : row + 1])
            else:
                draft.labels(owner.serving, owner.model, UNMATCHED, 1)
            return
        count_outcomes(self.spec(owner), draft.version(owner), found)
        draft.labels(owner.serving, owner.model, JOINED, len(rows))

    def _label(self, labels: Labels, cursors: Mapping[str, str]) -> None:
        draft, change = self._draft(), Gathered()
        firsts, repeated, looked = self._look([labels.keys])
        states, owners = looked.states, looked.rows["owner"]
        predicted = (states == State.PENDING) | (states == State.DONE)
        for number in np.unique(owners[predicted]).tolist():
            owner, mine = self._owner(number), predicted & (owners == number)
            places = np.flatnonzero(mine & (states == State.PENDING))
            again = int(np.count_nonzero(mine)) - len(places) + int(repeated[mine].sum())
            self._join(draft, owner, labels, firsts[places], places, looked)
            draft.labels(owner.serving, owner.model, JOINED, len(places))
            draft.labels(owner.serving, owner.model, DUPLICATE, again)
            change.done.append(looked.rows[places])
        absent = firsts[states == State.ABSENT]
        if self.config.quality.early_label_ttl:
            change.early |= packed(labels, absent)
        else:
            draft.labels(*self._nobody(), UNMATCHED, len(absent))
        again = int(np.count_nonzero(states == State.EARLY)) + int(repeated[~predicted].sum())
        draft.labels(*self._nobody(), DUPLICATE, again)
        self._commit(draft, change.whole(cursors))

    def _join(
        self, draft: Draft, owner: Owner, labels: Labels, items: NDArray[np.intp], places: NDArray[np.intp],
        looked: Looked,
    ) -> None:  # fmt: skip
        """Count the labels `items` of a batch, whose predictions of one version stand in `looked` at `places`."""
        if not len(places):
            return
        spec = self.spec(owner)
        kept = by_row(looked.extras, places)
        actual = labels.actual.take(items) if isinstance(labels.actual, Coded) else labels.actual[items]
        found = outcomes(spec, owner, looked.rows[places], kept, actual, labels.at[items], items)
        count_outcomes(spec, draft.version(owner), found)

    def _run(self, runs: Runs, cursors: Mapping[str, str]) -> None:
        draft = self._draft()
        new = runs.take(self._ledger.look(runs.keys).states == State.ABSENT)
        draft.pipelines = count_runs(self.counters.pipelines, new.rows)
        rows = np.zeros(len(new), WAITING)
        rows["key"], rows["owner"], rows["since"] = new.keys, owner_hash(_PIPELINES), self._now()
        self._commit(draft, Change(done=rows, cursors=cursors, owners={owner_hash(_PIPELINES): _PIPELINES}))

    def _owner(self, number: int) -> Owner:
        if number not in self._owners:
            found = self._ledger.owner(number)
            if found is None:
                return Owner(*self._nobody(), OTHER)
            self._owners[number] = found
        return self._owners[number]

    def _nobody(self) -> tuple[str, str]:
        """Whose a label is that has no prediction."""
        servings = self.config.servings
        return (servings[0].name if len(servings) == 1 else OTHER), OTHER
