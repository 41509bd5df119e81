"""Serves an application: where, how safely, and until when."""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp

from airbag.address import Address
from airbag.errors import StartError
from airbag.http_limits import CONNECTIONS, IDLE_SECONDS, BoundedProtocol, calm
from airbag.surface import Surface
from airbag.web_file import WebFile
from airbag.web_guard import Guard
from airbag.web_tls import FollowingContext

__all__ = ["Address", "Surface", "Web", "bind", "serve"]

log = logging.getLogger("airbag.http")


@dataclass(frozen=True)
class Web:
    """Where a process listens, and the file that says who may come in and how; None lets everybody in."""

    address: Address
    file: WebFile | None = None


def bind(address: Address) -> socket.socket:
    """A listening socket; StartError naming the remedy when the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    # Named TCP, for otherwise asyncio leaves Nagle's delay on: 40 ms for each answer on a connection used again.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
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


def serve(
    app: Starlette, surface: Surface, web: Web, *, own_auth: Callable[[str], bool] = lambda _path: False,
    shutdown_timeout: float = 5.0,
) -> None:  # fmt: skip
    """Serve until SIGTERM or SIGINT; SIGHUP reloads. Must be called from the main thread.

    `own_auth` says of a path whether it checks by itself who asks, with a bearer token for example: such a path is
    exempt from the passwords and the rate limit of the web configuration, not from TLS. It is asked at each request.
    """
    listener = bind(web.address)
    signal.signal(signal.SIGHUP, lambda *_: surface.try_reload())
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: None)  # uvicorn raises the signal once more after its shutdown
    guarded: ASGIApp = app
    context = None
    if web.file:
        surface.watch(web.file)
        guarded = Guard(app, web.file, own_auth)
        context = FollowingContext.of(web.file.context) if web.file.encrypts else None
    config = uvicorn.Config(
        calm(guarded), http=BoundedProtocol, log_config=None, log_level="warning", access_log=False, lifespan="on",
        server_header=False, proxy_headers=False, ws="none", timeout_graceful_shutdown=int(shutdown_timeout),
        timeout_keep_alive=IDLE_SECONDS, limit_concurrency=CONNECTIONS,
        ssl_context_factory=(lambda *_: context) if context else None,
    )  # fmt: skip
    address = Address(*listener.getsockname()[:2])
    log.info("listening", extra={"who": surface.name, "address": str(address), "tls": bool(context)})
    uvicorn.Server(config).run(sockets=[listener])
    listener.close()
    log.info("stopped", extra={"who": surface.name})
