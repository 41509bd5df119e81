"""The process `airbag exporter quality --aggregate`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette

from airbag.clock import SystemClock
from airbag.errors import ConfigError, Problem
from airbag.http import Surface, Web, serve
from airbag_exporters.config import ExportersConfig, load_exporters
from airbag_exporters.quality.aggregate.replicas import Replicas
from airbag_exporters.quality.aggregate.rounds import Rounds, Wanted

ABOUT = "Adds up the counters of the quality exporters and computes what the recording rules would."
_PATIENCE = 5.0  # seconds that a replica may take, whatever the interval is


def run(config_file: Path, config: ExportersConfig, web: Web) -> None:
    """Serve until SIGTERM or SIGINT. ConfigError without `quality.aggregate`, StartError when the address is taken."""
    plan = wanted(config_file, config)
    clock = SystemClock()
    with Replicas(min(plan.interval, _PATIENCE), clock) as replicas:
        rounds = Rounds(plan, clock, replicas)

        def reload() -> None:
            rounds.adopt(wanted(config_file, load_exporters(config_file, "aggregate")))

        surface = Surface(
            "airbag quality aggregator", not_ready=rounds.not_ready, reload=reload, about=ABOUT, pages=[rounds.pages]
        )

        @contextlib.asynccontextmanager
        async def lifespan(_app: Starlette) -> AsyncIterator[None]:
            rounds.start()
            yield
            rounds.stop()

        serve(Starlette(routes=surface.routes(), lifespan=lifespan), surface, web)


def wanted(config_file: Path, config: ExportersConfig) -> Wanted:
    """Whom to ask for what; ConfigError without `quality.aggregate`, or where its token cannot be read."""
    aggregate = config.quality.aggregate
    if aggregate is None:
        remedy = "list the replicas: `aggregate: {replicas: [http://HOST:9811]}`"
        raise ConfigError(str(config_file), [Problem("quality.aggregate", "is missing", remedy)])
    token = aggregate.token.read() if aggregate.token else None
    urls = tuple(dict.fromkeys(url.rstrip("/") for url in aggregate.replicas))
    return Wanted(urls, token, aggregate.interval, config.rules, aggregate.http_config)
