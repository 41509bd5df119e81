"""POST /v1/predictions, /v1/labels and /v1/pipeline-runs, and the document that describes them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from airbag.clock import Clock, SystemClock
from airbag.errors import AirbagError
from airbag_exporters.config import Limits
from airbag_exporters.quality.bearer import CHALLENGE, REFUSAL, is_let_in
from airbag_exporters.quality.columns import BadBatch
from airbag_exporters.quality.intake.admission import Full, Hold, InFlight, Pace
from airbag_exporters.quality.intake.formats import format_of, told_size
from airbag_exporters.quality.intake.inflate import decompress
from airbag_exporters.quality.intake.metrics import IntakeMetrics, Reason, Source
from airbag_exporters.quality.intake.openapi import document
from airbag_exporters.quality.intake.refusal import Answer, Refusal, Refused
from airbag_exporters.quality.intake.taker import Kind, Taker
from airbag_exporters.quality.intake.upload import TooLarge, Upload

log = logging.getLogger("airbag.quality.intake")

T = TypeVar("T")
AnswerTo = Callable[[Headers, Upload], Awaitable[Answer]]


class Intake:
    """The routes. A reload sets `token` and `limits`; both hold from the next request on.

    `executor` has one thread, the only one that counts. Everything else here runs on the event loop.
    """

    PATHS = frozenset(f"/v1/{kind}" for kind in Kind)

    def __init__(
        self, taker: Taker, executor: Executor, limits: Limits, token: str | None, metrics: IntakeMetrics,
        clock: Clock | None = None,
    ) -> None:  # fmt: skip
        self.limits = limits
        self.token = token
        self._taker = taker
        self._executor = executor
        self._metrics = metrics
        self._clock = clock or SystemClock()
        self._in_flight = InFlight(metrics.in_flight.set)
        self._pace = Pace(self._clock)
        self._inflating = anyio.CapacityLimiter(1)

    def routes(self) -> list[Route]:
        """The routes, for any Starlette application."""
        doors = [Route(f"/v1/{kind}", Door(partial(self._answer, kind))) for kind in Kind]
        return [*doors, Route("/openapi.json", self._document, methods=["GET"])]

    async def _document(self, _request: Request) -> Response:
        return JSONResponse(document(self.limits, needs_token=self.token is not None))

    async def _answer(self, kind: Kind, headers: Headers, upload: Upload) -> Answer:
        try:
            return Answer(202, {"accepted": await self._take(kind, headers, upload)})
        except Refused as error:
            refusal = error.refusal
        except ClientDisconnect:
            self._metrics.refused(Source.HTTP, Reason.DISCONNECTED)
            raise
        except Exception:  # the top of a request: whatever it is, the client and the counters hear of it
            log.exception("a batch could not be taken", extra={"kind": kind})
            refusal = Refusal(500, Reason.INTERNAL, "nothing was taken: a defect of the exporter; its log has more")
        self._metrics.refused(Source.HTTP, refusal.reason)
        return Answer.of(refusal)

    async def _take(self, kind: Kind, headers: Headers, upload: Upload) -> int:
        """Admit, receive and count one batch; its rows. Raises Refused and ClientDisconnect."""
        self._check_token(headers)
        form = format_of(kind, headers)
        if not upload.comes:
            raise Refused(Refusal(411, Reason.FORMAT, "a body is needed, with content-length or chunked"))
        if self._pace.wait() and self.limits.events_per_second:
            text = f"more than {self.limits.events_per_second:g} events a second; send this batch again later"
            raise Refused(Refusal.later(429, Reason.RATE, text, self._pace.wait()))
        with self._in_flight.hold() as hold:
            body = await self._body(upload, hold)
            complete = self._clock.monotonic()
            if form.is_gzip:
                body = await self._inflated(body, hold)
            rows = await self._counted(kind, body, form.content_type)
        self._metrics.accepted(Source.HTTP, kind, rows, self._clock.monotonic() - complete)
        if self.limits.events_per_second:
            self._pace.charge(rows, self.limits.events_per_second)
        return rows

    def _check_token(self, headers: Headers) -> None:
        if not is_let_in(headers, self.token):
            raise Refused(Refusal(401, Reason.TOKEN, REFUSAL, CHALLENGE))

    async def _body(self, upload: Upload, hold: Hold) -> bytes:
        largest = min(self.limits.body_bytes, self.limits.in_flight_bytes)
        try:
            return await upload.read(hold, largest, self.limits.in_flight_bytes)
        except TooLarge:
            text = f"a body may have {largest} bytes; send smaller batches"
            raise Refused(Refusal(413, Reason.TOO_LARGE, text)) from None
        except Full:
            raise Refused(_NO_ROOM) from None

    async def _inflated(self, body: bytes, hold: Hold) -> bytes:
        """Decompressed, with memory reserved before it is used.

        What the body says of its size is tried first; it is wrong for several members in one body, and for lies.
        """
        largest = min(self.limits.decompressed_bytes, self.limits.in_flight_bytes - len(body))
        told = told_size(body)
        inflated = await self._inflated_within(body, hold, min(told, largest))
        if isinstance(inflated, Refusal) and told < largest:
            inflated = await self._inflated_within(body, hold, largest)
        return _value(inflated)

    async def _inflated_within(self, body: bytes, hold: Hold, limit: int) -> bytes | Refusal:
        try:
            hold.grow(len(body) + limit, self.limits.in_flight_bytes)
        except Full:
            raise Refused(_NO_ROOM) from None
        inflate = partial(_outcome, partial(decompress, body, limit))
        inflated = await anyio.to_thread.run_sync(inflate, limiter=self._inflating)
        if not isinstance(inflated, Refusal):
            hold.shrink(len(inflated))
        return inflated

    async def _counted(self, kind: Kind, body: bytes, content_type: str) -> int:
        count = partial(_outcome, partial(self._taker.take, kind, body, content_type))
        return _value(await asyncio.get_running_loop().run_in_executor(self._executor, count))


class Door:
    """One path, as an ASGI application."""

    def __init__(self, answer_to: AnswerTo) -> None:
        self._answer_to = answer_to

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        upload = Upload(headers, receive)
        if scope["method"] == "POST":
            answer = await self._answer_to(headers, upload)
        else:
            answer = Answer(405, {"error": "only POST is taken here"}, {"allow": "POST"})
        await answer.send(upload, send)


_NO_ROOM = Refusal.later(503, Reason.MEMORY, "too many bytes are on their way already; send this batch again later")


def _outcome(call: Callable[[], T]) -> T | Refusal:
    """What the call gives, or why the batch is not taken.

    To be called on the other thread: an exception that came from there would stay in a reference cycle of the
    executor's, and the body with it, until the next garbage collection.
    """
    try:
        return call()
    except BadBatch as error:
        problems = str(error).splitlines()
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        return Refusal(400, Reason.BATCH, f"nothing was taken: {problems[0]}{more}", problems=problems)
    except AirbagError as error:
        if not error.retryable:
            raise
        return Refusal.later(503, Reason.LEDGER, f"nothing was taken: {error}")


def _value(outcome: T | Refusal) -> T:
    if isinstance(outcome, Refusal):
        raise Refused(outcome)
    return outcome
