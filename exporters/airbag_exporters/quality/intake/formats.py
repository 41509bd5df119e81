"""Which formats a batch may have, by its headers."""

from __future__ import annotations

from typing import NamedTuple

from starlette.datastructures import Headers

from airbag_exporters.quality.intake.metrics import Reason
from airbag_exporters.quality.intake.refusal import Refusal, Refused
from airbag_exporters.quality.intake.taker import Kind
from airbag_exporters.quality.media import ARROW, JSON, NDJSON

GZIP = "gzip"
_SIZE_BYTES = 4  # at the end of a gzip member: its size before compression, modulo 2^32


class Format(NamedTuple):
    """What a body is, without parameters and capitals."""

    content_type: str
    is_gzip: bool


def content_types(kind: Kind) -> tuple[str, ...]:
    """What a batch of that kind may be."""
    return (NDJSON, JSON) if kind is Kind.PIPELINE_RUNS else (NDJSON, JSON, ARROW)


def format_of(kind: Kind, headers: Headers) -> Format:
    """What the headers say that the body is. Raises Refused (415) for anything that is not taken."""
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type not in content_types(kind):
        types = ", ".join(content_types(kind))
        what = f"content-type {content_type!r}" if content_type else "a body without content-type"
        text = f"{what} is not taken here; taken: {types}"
        raise Refused(Refusal(415, Reason.FORMAT, text, {"accept": types}))
    encoding = headers.get("content-encoding", "").strip().lower() or "identity"
    if encoding not in ("identity", GZIP, "x-gzip"):
        text = f"content-encoding {encoding!r} is not taken; send {GZIP} or none"
        raise Refused(Refusal(415, Reason.FORMAT, text, {"accept-encoding": GZIP}))
    return Format(content_type, encoding != "identity")


def told_size(body: bytes) -> int:
    """How large a gzip body says to become. True of one member that was not tampered with; check what comes out."""
    return int.from_bytes(body[-_SIZE_BYTES:], "little")
