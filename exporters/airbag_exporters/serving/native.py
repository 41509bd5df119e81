"""TF Serving's own metrics page, read tolerantly: only the two families that we use, every good line of them.

The page cannot be trusted to be valid. Model names come from clients, so label values may hold newlines, control
characters and bytes that are no UTF-8; thousands of lines belong to TensorFlow itself; braces stand inside quotes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias


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

# The server escapes quotes and backslashes and nothing else, so a raw newline cannot fake the end of a value. A line
# without its newline is the torn end of a page. Possessive quantifiers: time grows with the page's length only.
_SAMPLE = re.compile(
    rb"^:tensorflow:serving:request_(?:count|latency_bucket)"
    rb'\{((?:[A-Za-z_]\w*+="(?:[^"\\]|\\.)*+",?+)*+)\}[ \t]++(\d{1,20})[ \t\r]*+(?=\n)',
    re.MULTILINE | re.DOTALL,
)
_LABEL = re.compile(rb'(\w++)="((?:[^"\\]|\\.)*+)"', re.DOTALL)
_KNOWN_EDGES = frozenset(EDGES)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)


@dataclass(frozen=True)
class Page:
    """The counters of one page. Names that are no UTF-8 stay apart from each other as surrogate escapes."""

    counters: Mapping[Counter, int]


def parse(page: bytes) -> Page:
    """Never raises. A line that makes no sense is skipped; a histogram that lacks a bucket is left out whole."""
    counters: dict[Counter, int] = {}
    edges: dict[tuple[str, str, str], set[str]] = {}
    for block, value in _SAMPLE.findall(page):
        counter = _counter({name: _text(text) for name, text in _LABEL.findall(block)})
        if counter is not None:
            counters[counter] = int(value)
        if isinstance(counter, Bucket):
            edges.setdefault(counter[:3], set()).add(counter.edge)
    torn = {histogram for histogram, found in edges.items() if len(found) < len(EDGES)}
    return Page({counter: value for counter, value in counters.items() if counter[:3] not in torn})


def _counter(labels: Mapping[bytes, str]) -> Counter | None:
    match labels:
        case {b"model_name": model, b"API": api, b"entrypoint": entrypoint, b"le": edge}:
            return Bucket(model, api, entrypoint, edge) if edge in _KNOWN_EDGES else None
        case {b"model_name": model, b"status": status}:
            return Requests(model, status)
    return None


def _text(value: bytes) -> str:
    if b"\\" in value:
        value = _ESCAPE.sub(lambda hit: {b"n": b"\n"}.get(hit[1], hit[1]), value)
    return value.decode(errors="surrogateescape")
