"""The process: one poller per target, and the scrape page."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Route

from airbag.clock import SystemClock
from airbag.http import Surface, Web, serve
from airbag_exporters.config import ExportersConfig, load_exporters
from airbag_exporters.serving.fleet import Fleet
from airbag_exporters.serving.golden.probing import Probing
from airbag_exporters.serving.probe import Probes
from airbag_exporters.serving.repository.watch import RepositoryWatch
from airbag_exporters.serving.repository.watched import Seen
from airbag_exporters.serving.scrape import fleet_page


def run(config_file: Path, config: ExportersConfig, web: Web) -> None:
    """Serve until SIGTERM or SIGINT. StartError when the address is taken."""
    clock = SystemClock()
    probing = Probing(clock, lambda serving: fleet.file_of(serving))
    probing.adopt(config)
    fleet, probes = Fleet(config, clock, probing.listener), Probes(config, clock)
    store = RepositoryWatch(lambda: [Seen(each.group, each.targets) for each in fleet.read()], clock)

    def reload() -> None:
        new = load_exporters(config_file, "serving")
        probing.adopt(new)
        fleet.adopt(new)
        probes.adopt(new)

    about = (
        "Counts what TensorFlow Serving does for the model version that did it. Servers that are not listed: /probe."
    )
    surface = Surface("airbag serving exporter", not_ready=fleet.not_ready, reload=reload, about=about)

    def servers() -> Iterator[bytes]:
        fleet.scraped()
        return fleet_page(fleet.read())

    surface.pages += [servers, lambda: [probing.page()], lambda: [store.page()]]

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        probing.start()
        fleet.start()
        store.start()
        yield
        fleet.stop()
        probes.stop()
        probing.stop()
        store.stop()

    routes = [*surface.routes(), Route("/probe", probes.endpoint, methods=["GET"])]
    serve(Starlette(routes=routes, lifespan=lifespan), surface, web)
