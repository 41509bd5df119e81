"""The HTTP surface that every process shares: /, /metrics, /-/healthy, /-/ready, POST /-/reload."""

from __future__ import annotations

import html
import logging
import platform
import re
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import uvicorn
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from airbag import __version__
from airbag.errors import AirbagError, StartError
from airbag.metrics_page import Page, metrics_response

log = logging.getLogger("airbag.http")


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """`HOST:PORT`, `[V6]:PORT` or `:PORT`, which means loopback; ValueError otherwise."""
        found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^\s:\[\]]*)):(\d{1,5})", text)
        if not found or int(found[3]) > 65535:
            raise ValueError(f"{text!r} is not an address; write HOST:PORT, [V6]:PORT or :PORT")
        return cls(found[1] or found[2] or "127.0.0.1", int(found[3]))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass
class Surface:
    """What a process says about itself.

    `not_ready` gives the reason why it cannot serve yet, or None; `reload` re-reads the configuration and raises
    AirbagError when the new one is refused, in which case the old one stays in force. `pages` give exposition text to
    append to the registry's; with any, /metrics speaks the classic text format only.
    """

    name: str
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    not_ready: Callable[[], str | None] = lambda: None
    reload: Callable[[], None] = lambda: None
    links: Sequence[tuple[str, str]] = ()
    pages: list[Page] = field(default_factory=list)

    def __post_init__(self) -> None:
        ProcessCollector(registry=self.registry)
        info = Gauge("airbag_build_info", "Version of this Airbag process.", ["version", "pythonversion"],
                     registry=self.registry)  # fmt: skip
        info.labels(__version__, platform.python_version()).set(1)
        self._reloaded = Gauge(
            "airbag_config_last_reload_successful", "Whether the last configuration read was accepted.",
            registry=self.registry,
        )  # fmt: skip
        self._reloaded.set(1)

    def try_reload(self) -> str | None:
        """Reload; the text of the refusal, or None when the new configuration is in force."""
        try:
            self.reload()
        except AirbagError as error:
            self._reloaded.set(0)
            log.warning("configuration refused, the old one stays in force", extra={"reason": str(error)})
            return str(error)
        self._reloaded.set(1)
        log.info("configuration reloaded")
        return None

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
        items = "".join(f'<li><a href="{html.escape(to)}">{html.escape(text)}</a></li>' for to, text in links)
        name = html.escape(self.name)
        return HTMLResponse(
            f'<!doctype html><html lang="en"><title>{name}</title><h1>{name}</h1><p>Airbag {__version__}</p>'
            f"<ul>{items}</ul></html>"
        )

    def _metrics(self, request: Request) -> Response:
        return metrics_response(request, self.registry, self.pages)

    async def _healthy(self, _request: Request) -> Response:
        return PlainTextResponse(f"{self.name} is healthy.\n")

    def _ready(self, _request: Request) -> Response:
        reason = self.not_ready()
        if reason:
            return PlainTextResponse(f"{self.name} is not ready: {reason}\n", status_code=503)
        return PlainTextResponse(f"{self.name} is ready.\n")

    def _reload(self, _request: Request) -> Response:
        refusal = self.try_reload()
        return PlainTextResponse(f"{refusal or 'reloaded'}\n", status_code=500 if refusal else 200)


def bind(address: Address) -> socket.socket:
    """A listening socket; StartError naming the remedy when the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise StartError(
            f"cannot listen on {address}: {error.strerror or error}. "
            "End what uses that address, or choose another with --web.listen-address"
        ) from error
    return listener


def serve(app: Starlette, surface: Surface, address: Address, *, shutdown_timeout: float = 5.0) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP reloads. Must be called from the main thread."""
    listener = bind(address)
    signal.signal(signal.SIGHUP, lambda *_: surface.try_reload())
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: None)  # uvicorn raises the signal once more after its shutdown
    config = uvicorn.Config(
        app, log_config=None, log_level="warning", access_log=False, lifespan="on", server_header=False, ws="none",
        timeout_graceful_shutdown=int(shutdown_timeout),
    )  # fmt: skip
    log.info("listening", extra={"who": surface.name, "address": str(Address(*listener.getsockname()[:2]))})
    uvicorn.Server(config).run(sockets=[listener])
    listener.close()
    log.info("stopped", extra={"who": surface.name})
