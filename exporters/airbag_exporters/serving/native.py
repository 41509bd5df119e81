"""TF Serving's own metrics page, read tolerantly: only the two families that we use, every good line of them.

The page cannot be trusted to be valid. Model names come from clients, so label values may hold newlines, control
characters and bytes that are no UTF-8; thousands of lines belong to TensorFlow itself; braces stand inside quotes.

No name can forge a line. The server escapes every quote and backslash of a value, so inside a value no quote follows
an equals sign, and no block of labels begins there; and a value is read to its closing quote, over any newline in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, TypeAlias
from weakref import WeakValueDictionary

from airbag_exporters.serving.defects import Defect, Kind, shown


class Requests(NamedTuple):
    """`:tensorflow:serving:request_count`: finished requests, all outcomes."""

    model: str
    status: str


class Bucket(NamedTuple):
    """`:tensorflow:serving:request_latency_bucket`: successes that took less than `edge` microseconds, as text."""

    model: str
    api: str
    entrypoint: str
    edge: str


Counter: TypeAlias = Requests | Bucket
INF = "+Inf"
EDGES = (*(f"{10 * 1.8**step:g}" for step in range(33)), INF)
"""Upper edges of the server's latency buckets in microseconds, as it writes them. They are exclusive."""


@dataclass(frozen=True)
class Page:
    """The counters of one page. Names that are no UTF-8 stay apart from each other as surrogate escapes."""

    counters: Mapping[Counter, int]
    defects: tuple[Defect, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether a series that is missing here is missing on the server: not so after a line that was lost."""
        return all(defect.kind in (Kind.REFUSED, Kind.REPEATED) for defect in self.defects)


def parse(page: bytes) -> Page:
    """What a fresh Parser makes of one page."""
    return Parser().parse(page)


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class _Series:
    """One request counter, or one histogram with all its buckets."""

    counters: tuple[Counter, ...]


_Identity: TypeAlias = tuple[object, ...]
_Place: TypeAlias = tuple[_Series, int]
"""Where the value of a line goes: to which of the counters of a series."""

_Samples: TypeAlias = list[tuple[_Place, int]]
_MAX_INT = 2**63 - 1
_DIGITS = 19
"""Fewer digits than this are never more than _MAX_INT."""
_MAX_SERIES = 1 << 13
_MAX_KEY = 512
_PREFIX = b":tensorflow:serving:request_"
_BUCKET = _PREFIX + b"latency_bucket"
_OURS = tuple(family + end for family in (_PREFIX + b"count", _BUCKET) for end in (b"{", b" ", b"\t"))
_TYPE = b"# TYPE :tensorflow:serving:request_count "
_PLACES = {edge.encode(): index for index, edge in enumerate(EDGES)}

# A line begins with plain text, which the regex engine finds quickly; what follows it asks for the start of a line.
# Possessive quantifiers: nothing is read twice. The last branch is a line that makes no sense: it ends at its first
# newline, so that it takes no other line with it.
_TEXT = rb'[^"\\]*+(?:\\.[^"\\]*+)*+'
_LINE = re.compile(
    _PREFIX
    + (rb"(?<![^\n]" + _PREFIX + rb")(?:")
    + (rb'((?:count|latency_bucket)\{(?:[A-Za-z_]\w*+="' + _TEXT + rb'"(?:,|(?=\})))*+\})')
    + rb"[ \t]++([0-9.eE+]{1,40}+)(?:[ \t]++-?+\d++)?+[ \t\r]*+\n"
    + rb"|((?:count|latency_bucket)(?:[{ \t][^\n]*+)))",
    re.DOTALL,
)
_LABEL = re.compile(rb'(\w++)="(' + _TEXT + rb')"', re.DOTALL)
_ESCAPE = re.compile(rb'\\([\\"n])')
_HIGH = re.compile(rb"[\x80-\xff][^\n]*+")
_NUMBER = re.compile(rb"\+?\d{1,19}(?:\.\d{0,19})?(?:[eE]\+?\d{1,2})?")


class Parser:
    """Reads the pages of one server, one after the other: what it learned of a line makes the next page cheap.

    It keeps the short lines of some thousand series, without their values. Not thread-safe.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, _Place] = {}
        self._series: WeakValueDictionary[_Identity, _Series] = WeakValueDictionary()

    def parse(self, page: bytes) -> Page:
        """Never raises, and takes time in proportion to the page. What is no sample of our two families is skipped.

        Left out and told in `defects`: a line whose value is no whole number from 0 to 2^63 - 1, a histogram that lacks
        a bucket or whose buckets fall, the second of two lines for one series, and the torn end of a page.
        Series that differ only in labels that we do not know are added up.
        """
        if len(self._series) > _MAX_SERIES:
            self._known.clear()
        rest, ours = _lines(page)
        samples, unreadable = self._known_samples(ours), list[bytes]()
        if samples is None:
            samples, unreadable = self._samples(rest)
        if not samples and not unreadable and _TYPE not in page:
            return Page({}, (Defect(Kind.FOREIGN),))
        rows, repeated = _rows(samples)
        counters, broken = _counters(rows)
        defects = [_refused(page), Defect(Kind.TORN) if not page.endswith(b"\n") else None]
        for kind, lines in ((Kind.UNREADABLE, unreadable), (Kind.BROKEN, broken), (Kind.REPEATED, repeated)):
            defects.append(Defect(kind, len(lines), shown(lines[0])) if lines else None)
        return Page(counters, tuple(defect for defect in defects if defect))

    def _known_samples(self, ours: bytes) -> _Samples | None:
        """The quick way: no pattern, one look-up for each line. None when a line of ours is not known."""
        found: _Samples = []
        known = self._known
        for line in ours.split(b"\n"):
            key, _, value = line.rpartition(b" ")
            place = known.get(key)
            if place is None:
                if line.startswith(_OURS):
                    return None
            elif value.isdigit() and len(value) < _DIGITS:
                found.append((place, int(value)))
            else:
                return None
        return found

    def _samples(self, ours: bytes) -> tuple[_Samples, list[bytes]]:
        """The samples, and the lines that make no sense."""
        found: _Samples = []
        unreadable: list[bytes] = []
        for block, value, line in _LINE.findall(ours):
            place = None if line else self._known.get(_PREFIX + block) or self._learn(_PREFIX + block)
            number = None if line else _number(value)
            if place is None or number is None:
                unreadable.append(_PREFIX + (line or block + b" " + value))
            else:
                found.append((place, number))
        return found, unreadable

    def _learn(self, key: bytes) -> _Place | None:
        pairs = _LABEL.findall(key)
        labels = dict(pairs)
        place = 0
        try:
            if key.startswith(_BUCKET):
                edge, *names = (labels.pop(name) for name in (b"le", b"model_name", b"API", b"entrypoint"))
                place = _PLACES[edge]
            else:
                names = [labels.pop(name) for name in (b"model_name", b"status")]
        except KeyError:
            return None
        if len({name for name, _ in pairs}) < len(pairs):
            return None
        identity = (*map(_text, names), *sorted(labels.items()))
        series = self._series.get(identity)
        if series is None:
            self._series[identity] = series = _series(*map(_text, names))
        if len(key) <= _MAX_KEY:
            self._known[key] = series, place
        return series, place


def _series(model: str, *labels: str) -> _Series:
    if len(labels) == 1:
        return _Series((Requests(model, *labels),))
    api, entrypoint = labels
    return _Series(tuple(Bucket(model, api, entrypoint, edge) for edge in EDGES))


def _lines(page: bytes) -> tuple[bytes, bytes]:
    """From the first line of our families to the end, and to their last line. What follows the last newline is torn."""
    found, end = page.find(_PREFIX), page.rfind(b"\n") + 1
    if not 0 <= found < end:
        return b"", b""
    begin, last = page.rfind(b"\n", 0, found) + 1, page.find(b"\n", page.rfind(_PREFIX, 0, end), end)
    return page[begin:end], page[begin:last]


def _rows(samples: _Samples) -> tuple[dict[_Series, list[int]], list[bytes]]:
    """The values of each series in the order of its counters, -1 for none, and the counters that stand there twice."""
    rows: dict[_Series, list[int]] = {}
    repeated: list[bytes] = []
    for (series, place), value in samples:
        row = rows.get(series)
        if row is None:
            row = rows[series] = [-1] * len(series.counters)
        if row[place] < 0:
            row[place] = value
        else:
            repeated.append(ascii(series.counters[place]).encode())
    return rows, repeated


def _counters(rows: Mapping[_Series, list[int]]) -> tuple[dict[Counter, int], list[bytes]]:
    """The counters of the series that are whole, and the names of those that are not."""
    counters: dict[Counter, int] = {}
    broken: list[bytes] = []
    for series, row in rows.items():
        if row[0] < 0 or row != sorted(row):
            broken.append(ascii(series.counters[0]).encode())
        elif series.counters[0] in counters:
            for counter, value in zip(series.counters, row, strict=True):
                counters[counter] += value
        else:
            counters.update(zip(series.counters, row, strict=True))
    return counters, broken


def _refused(page: bytes) -> Defect | None:
    """The lines that are no UTF-8. Decoded piece by piece, since a whole page as text can take four times its bytes."""
    count, example = 0, ""
    for piece in () if page.isascii() else _HIGH.finditer(page):
        try:
            piece[0].decode()
        except UnicodeDecodeError as error:
            at = piece.start() + error.start
            begin = max(page.rfind(b"\n", 0, at) + 1, at - 80)
            count, example = count + 1, example or shown(page[begin : at + 20])
    return Defect(Kind.REFUSED, count, example) if count else None


def _number(text: bytes) -> int | None:
    """A whole number that a counter of the server can hold, also when it is written `1.2e+06`."""
    if text.isdigit() and len(text) < _DIGITS:
        return int(text)
    if not _NUMBER.fullmatch(text):
        return None
    number = Decimal(text.decode())
    return int(number) if number <= _MAX_INT and number == int(number) else None


def _text(value: bytes) -> str:
    if b"\\" in value:
        value = _ESCAPE.sub(lambda hit: b"\n" if hit[1] == b"n" else hit[1], value)
    return value.decode(errors="surrogateescape")
