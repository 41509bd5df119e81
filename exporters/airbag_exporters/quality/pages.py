"""What the process shows of its book: counters, references, and both in one for the aggregator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from airbag.clock import Clock
from airbag.metrics_page import Page, exposition_response
from airbag_exporters.quality.bearer import CHALLENGE, REFUSAL, is_let_in
from airbag_exporters.quality.book import Book
from airbag_exporters.quality.columns import Owner
from airbag_exporters.quality.counters import Counters
from airbag_exporters.quality.counting import Block, ModelLayout
from airbag_exporters.quality.pipelines.page import pipeline_page
from airbag_exporters.quality.render import Snapshot, encode_snapshot, metrics_page, reference_page
from airbag_exporters.quality.render.thresholds import thresholds
from airbag_exporters.quality.roles import roles

SNAPSHOT = "/v1/snapshot"


class Pages:
    """Reads the book from any thread. `token` is what the aggregator has to bring, asked at each request."""

    def __init__(self, book: Book, clock: Clock, token: Callable[[], str | None]) -> None:
        self._book = book
        self._clock = clock
        self._token = token
        self.fresh = Fresh()

    def metrics(self) -> list[Page]:
        """What stands on /metrics beside the registry."""
        return [self._metrics, lambda: pipeline_page(self._book.counters.pipelines, self._book.config)]

    def routes(self) -> list[Route]:
        """/reference, and the counters for the aggregator."""
        return [
            Route("/reference", self._reference, methods=["GET"]),
            Route(SNAPSHOT, self._snapshot, methods=["GET"]),
        ]

    def _metrics(self) -> Iterable[bytes]:
        counters = self._book.counters
        versions = self.fresh.scraped(counters.versions, counters.shown, self._clock.monotonic())
        return metrics_page(self._shown(counters, versions))

    def _reference(self, request: Request) -> Response:
        counters = self._book.counters
        return exposition_response(request, reference_page(self._shown(counters, counters.versions)))

    def _snapshot(self, request: Request) -> Response:
        if not is_let_in(request.headers, self._token()):
            return JSONResponse({"error": REFUSAL}, 401, CHALLENGE)
        counters = self._book.counters
        encoded = encode_snapshot(self._shown(counters, counters.versions))
        return Response(encoded, media_type="application/vnd.msgpack")

    def _shown(self, counters: Counters, versions: Mapping[Owner, Block]) -> Snapshot:
        models, quality = self._book.models, self._book.config.quality
        entries = models.entries()
        found = {owner: self._book.spec(owner).reference for owner in versions}
        return Snapshot(
            blocks=versions,
            labels=self._labels(counters),
            roles=roles(counters.seen, self._clock.now(), quality.role_window),
            references={owner: reference for owner, reference in found.items() if reference},
            kinds={name: entry.quality.kind for name, entry in entries.items()},
            expected={name: thresholds(entry.expect) for name, entry in entries.items()},
            pending=self._book.waiting,
        )

    def _labels(self, counters: Counters) -> dict[tuple[str, str], Block]:
        """Of every model, also those that have had none."""
        foreseen = {name: Block(ModelLayout.of(*name)) for name in self._book.models.every()}
        return foreseen | {(model.serving, model.model): block for model, block in counters.models.items()}


class Fresh:
    """Shows the counters of a version that is new at 0 first.

    Prometheus takes a counter's first sample for where it began: what was counted before would be missing from every
    `increase()`. So a version is shown at 0 in its first scrape, and for `_SECONDS` more, in which a second Prometheus
    sees it too. Then it is `due`, and shown as it is once the ledger knows that: at 0 again after a restart, all of it
    would count twice.
    """

    _SECONDS = 1.0

    def __init__(self) -> None:
        self._since: Mapping[Owner, float] = {}

    def scraped(self, versions: Mapping[Owner, Block], shown: frozenset[Owner], now: float) -> dict[Owner, Block]:
        """The counters as a scrape at `now`, in seconds of a steady clock, is to see them."""
        self._since = {owner: self._since.get(owner, now) for owner in versions if owner not in shown}
        return {owner: block if owner in shown else Block(block.layout) for owner, block in versions.items()}

    def due(self, now: float) -> frozenset[Owner]:
        """The versions that were shown at 0 for long enough."""
        return frozenset(owner for owner, since in self._since.items() if now - since > self._SECONDS)
