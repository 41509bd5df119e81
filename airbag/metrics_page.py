"""The answer of /metrics: which format, what is on the page, and whether it is compressed."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder, generate_latest
from starlette.requests import Request
from starlette.responses import Response

Page = Callable[[], Iterable[bytes]]
"""Gives whole families as ready classic text, in chunks of any size. Called at each scrape, on a worker thread."""

_WORTH_COMPRESSING = 4096  # bytes; below, a packet or two carry the page as it is
_GZIP = 31  # zlib's word for a gzip header around a 32 KiB window


def metrics_response(request: Request, registry: CollectorRegistry, pages: Sequence[Page]) -> Response:
    """Render and compress. Takes its time on large pages: not for the event loop.

    A process with pages of its own speaks the classic text format only, whatever the client prefers.
    """
    if pages:
        return exposition_response(request, [generate_latest(registry), *(chunk for page in pages for chunk in page())])
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return _response(request, encode(registry), {"content-type": content_type, "vary": "Accept, Accept-Encoding"})


def exposition_response(request: Request, chunks: Iterable[bytes]) -> Response:
    """A page of ready classic text, compressed where that is worth it."""
    headers = {"content-type": CONTENT_TYPE_PLAIN_0_0_4, "vary": "Accept-Encoding"}
    return _response(request, b"".join(chunks), headers)


def _response(request: Request, body: bytes, headers: dict[str, str]) -> Response:
    if len(body) >= _WORTH_COMPRESSING and accepts_gzip(request.headers.get("accept-encoding", "")):
        headers["content-encoding"] = "gzip"
        body = zlib.compress(body, level=1, wbits=_GZIP)
    return Response(body, headers=headers)


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header allows gzip: by name, else by `*`, and with a weight above 0 (RFC 9110)."""
    weights: dict[str, float] = {}
    for offer in accept_encoding.lower().split(","):
        coding, _, parameter = offer.partition(";")
        weights[coding.strip()] = _weight(parameter)
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


def _weight(parameter: str) -> float:
    name, _, value = parameter.partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
