"""What every process says about itself: /, /metrics, /-/healthy, /-/ready, POST /-/reload."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, disable_created_metrics
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from airbag import __version__
from airbag.errors import AirbagError
from airbag.landing import landing_page
from airbag.metrics_page import Page, metrics_response
from airbag.web_file import WebFile

log = logging.getLogger("airbag.http")

CONFIGURATION = "configuration"
WEB_CONFIGURATION = "web configuration"


@dataclass
class Surface:
    """What a process says about itself.

    `not_ready` gives the reason why it cannot serve yet, or None; `ready_as` is what it is else; `reload` re-reads the
    configuration and raises AirbagError when the new one is refused, in which case the old one stays in force. `pages`
    give exposition text to append to the registry's; with any, /metrics speaks the classic text format only. `about`
    is a sentence for people.
    """

    name: str
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    not_ready: Callable[[], str | None] = lambda: None
    ready_as: Callable[[], str] = lambda: "ready"
    reload: Callable[[], None] = lambda: None
    links: Sequence[tuple[str, str]] = ()
    pages: list[Page] = field(default_factory=list)
    about: str = ""

    def __post_init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # a series for each counter that nobody asks for; holds for the whole process
        ProcessCollector(registry=self.registry)
        info = Gauge("airbag_build_info", "Version of this Airbag process.", ["version", "pythonversion"],
                     registry=self.registry)  # fmt: skip
        info.labels(__version__, platform.python_version()).set(1)
        self._reloaded = Gauge(
            "airbag_config_last_reload_successful", "Whether the last configuration read was accepted.",
            registry=self.registry,
        )  # fmt: skip
        self._reloaded.set(1)
        self._refusals: dict[str, str] = {}
        self._web_file: WebFile | None = None

    def watch(self, web_file: WebFile) -> None:
        """Reload this file too, and tell how its readings end."""
        self._web_file = web_file
        web_file.on_read = lambda refusal: self._tell(WEB_CONFIGURATION, refusal)
        if web_file.encrypts:
            ends = Gauge(
                "airbag_web_certificate_expiry_timestamp_seconds", "When the certificate that this process shows ends.",
                registry=self.registry,
            )  # fmt: skip
            ends.set_function(web_file.certificate_ends)

    def try_reload(self) -> str | None:
        """Reload; the text of the refusals, or None when all that is new is in force."""
        reloads = [(CONFIGURATION, self.reload)]
        if self._web_file:
            reloads.append((WEB_CONFIGURATION, self._web_file.reload))
        for what, reload in reloads:
            self._refusals.pop(what, None)  # who asks wants to read the answer in the log, also for the second time
            try:
                reload()
            except AirbagError as error:
                self._tell(what, str(error))
            else:
                self._tell(what, None)
        return "\n".join(self._refusals.values()) or None

    def _tell(self, what: str, refusal: str | None) -> None:
        """Put the end of a reading into the log and the metric; the same refusal again is not worth a line."""
        if refusal is None:
            self._refusals.pop(what, None)
            log.info("configuration reloaded", extra={"what": what})
        elif self._refusals.get(what) != refusal:
            self._refusals[what] = refusal
            log.warning("configuration refused, the old one stays in force", extra={"what": what, "reason": refusal})
        self._reloaded.set(not self._refusals)

    def routes(self) -> list[BaseRoute]:
        """The common routes, for any Starlette application."""
        return [
            Route("/", self._landing, methods=["GET"]),
            Route("/metrics", self._metrics, methods=["GET"]),
            Route("/-/healthy", self._healthy, methods=["GET"]),
            Route("/-/ready", self._ready, methods=["GET"]),
            Route("/-/reload", self._reload, methods=["POST"]),
        ]

    def _landing(self, _request: Request) -> Response:
        links = [("/metrics", "metrics"), ("/-/healthy", "healthy"), ("/-/ready", "ready"), *self.links]
        return HTMLResponse(landing_page(self.name, __version__, self.about, links))

    def _metrics(self, request: Request) -> Response:
        return metrics_response(request, self.registry, self.pages)

    async def _healthy(self, _request: Request) -> Response:
        return PlainTextResponse(f"{self.name} is healthy.\n")

    def _ready(self, _request: Request) -> Response:
        reason = self.not_ready()
        if reason:
            return PlainTextResponse(f"{self.name} is not ready: {reason}\n", status_code=503)
        return PlainTextResponse(f"{self.name} is {self.ready_as()}.\n")

    def _reload(self, _request: Request) -> Response:
        refusal = self.try_reload()
        return PlainTextResponse(f"{refusal or 'reloaded'}\n", status_code=500 if refusal else 200)
