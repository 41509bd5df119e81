"""Recomputes the audit from its records: finds the first that is wrong, and why. Reads nothing by itself but a file."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from airbag_rollback.journal.audit import ALGORITHM, START, Record, key_id, mac
from airbag_rollback.journal.peek import peek
from airbag_rollback.place import Place

Kind = Literal["changed", "missing", "inserted", "truncated", "rewritten", "wrong key", "algorithm"]


@dataclass(frozen=True)
class Wrong:
    """The first record that is wrong: its number, what happened to it and how that shows."""

    seq: int
    kind: Kind
    text: str

    def __str__(self) -> str:
        return f"record {self.seq}: {self.kind}: {self.text}"


@dataclass(frozen=True)
class Report:
    """What was found. `last` and `mac` are the head; `foreign` are records (from, to, key) whose key was not given."""

    first: int
    last: int
    mac: str
    foreign: tuple[tuple[int, int, str], ...] = ()
    wrong: Wrong | None = None

    @property
    def is_good(self) -> bool:
        """Whether every record was recomputed and none is wrong."""
        return self.wrong is None and not self.foreign


Anchors = Mapping[int, Collection[str]]
"""What somebody off this host saw: number of a record and beginnings of its MAC in hex."""


def verify(
    records: Iterable[Record], keys: Sequence[bytes], kept: tuple[int, str] = (0, START), anchors: Anchors | None = None
) -> Report:
    """Recompute `records`, oldest first. `kept` is the last record that retention removed, as the journal has it.

    That itself has to be confirmed by a record of the retention, or the beginning was cut off by somebody else.
    """
    by_id = {key_id(key): key for key in keys}
    seen = anchors or {}
    first, (last, before) = kept[0] + 1, kept
    foreign: list[tuple[int, int, str]] = []
    retired = (0, START)
    for record, following in _with_next(records):
        wrong = _out_of_place(record, last) or _not_as_signed(record, following, before, by_id)
        if wrong is None and any(not record.mac.startswith(each) for each in seen.get(record.seq, ())):
            wrong = Wrong(record.seq, "rewritten", f"was seen with another MAC than {record.mac[:12]}...")
        if wrong:
            return Report(first, last, before, tuple(foreign), wrong)
        last, before = record.seq, record.mac
        signed_by = record.fields["key"]
        if signed_by not in by_id:
            _extend(foreign, record.seq, signed_by)
        elif record.kind == "retention":
            retired = (record.fields["through"], record.fields["mac"])
    return Report(first, last, before, tuple(foreign), _at_the_ends(first, last, kept, retired, foreign, by_id, seen))


def _out_of_place(record: Record, last: int) -> Wrong | None:
    if record.seq > last + 1:
        gone = f"{last + 1}" if record.seq == last + 2 else f"{last + 1} to {record.seq - 1}"
        return Wrong(last + 1, "missing", f"after {last} comes {record.seq}; {gone} cannot have been left out")
    if record.seq <= last:
        return Wrong(record.seq, "inserted", f"comes after {last}")
    return None


def _not_as_signed(record: Record, following: Record | None, before: str, keys: Mapping[str, bytes]) -> Wrong | None:
    try:
        fields: dict[str, Any] = json.loads(record.text)  # Any: JSON
        said, algorithm, signed_by = fields["seq"], fields["algorithm"], fields["key"]
        columns = (fields["at"], fields["kind"], fields.get("action_id"))
    except (ValueError, KeyError, TypeError):
        return Wrong(record.seq, "changed", "is no record of Airbag's")
    if algorithm != ALGORITHM:
        return Wrong(record.seq, "algorithm", f"names {algorithm!r}; records are made with {ALGORITHM}")
    if isinstance(said, int) and said != record.seq:
        if said > record.seq:
            return Wrong(record.seq, "missing", f"what stands here was record {said}")
        return Wrong(record.seq, "inserted", f"what stands here was record {said}; something was put in before it")
    if columns != (record.at, record.kind, record.action_id):
        return Wrong(record.seq, "changed", "its columns differ from what was signed")
    if signed_by not in keys or _fits(record, before, keys[signed_by]):
        return None
    if following is not None and _claims(following, record.seq) and _fits(following, before, keys[signed_by]):
        return Wrong(record.seq, "inserted", f"what stands at {following.seq} is the real one")
    return Wrong(record.seq, "changed", "its MAC does not fit what it says")


def _fits(record: Record, before: str, key: bytes) -> bool:
    return hmac.compare_digest(mac(key, before, record.text), record.mac)


def _claims(record: Record, seq: int) -> bool:
    try:
        return bool(record.fields["seq"] == seq)
    except (ValueError, KeyError, TypeError):
        return False


def _at_the_ends(
    first: int, last: int, kept: tuple[int, str], retired: tuple[int, str],
    foreign: list[tuple[int, int, str]], keys: Mapping[str, bytes], seen: Anchors,
) -> Wrong | None:  # fmt: skip
    if foreign and foreign[0][:2] == (first, last):
        ids = ", ".join(keys) or "none"
        return Wrong(first, "wrong key", f"no record was signed with a key that was given ({ids}), but {foreign[0][2]}")
    if kept != (0, START) and retired != kept:
        return Wrong(kept[0], "missing", "the records up to here were not removed by retention")
    if seen and max(seen) > last:
        return Wrong(last + 1, "truncated", f"the audit ends with {last}, and record {max(seen)} was seen")
    return None


def _extend(foreign: list[tuple[int, int, str]], seq: int, key: str) -> None:
    if foreign and foreign[-1][1:] == (seq - 1, key):
        foreign[-1] = (foreign[-1][0], seq, key)
    else:
        foreign.append((seq, seq, key))


def _with_next(records: Iterable[Record]) -> Iterator[tuple[Record, Record | None]]:
    iterator = iter(records)
    record = next(iterator, None)
    while record is not None:
        following = next(iterator, None)
        yield record, following
        record = following


def verify_journal(
    place: Place, keys: Sequence[bytes], anchors: Anchors | None = None,
    watched: Callable[[Iterable[Record], int], Iterable[Record]] = lambda records, _size: records,
) -> Report:  # fmt: skip
    """Verify the audit of a journal, beside a running receiver too. JournalError when it cannot be read.

    `watched` gets the records and how many there are, and gives them on.
    """
    with peek(place) as found, found.still():
        kept, (last, _) = found.audit.kept(), found.audit.head()
        return verify(watched(found.audit.all(), last - kept[0]), keys, kept, anchors)
