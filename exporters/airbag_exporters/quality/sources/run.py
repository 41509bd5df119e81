"""All sources of a configuration, each on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry

from airbag.clock import Clock
from airbag_exporters.config import Quality
from airbag_exporters.quality.intake.metrics import IntakeMetrics, Source
from airbag_exporters.quality.sources.dead_letters import DeadLetters
from airbag_exporters.quality.sources.files import FileSource
from airbag_exporters.quality.sources.group import Group
from airbag_exporters.quality.sources.streams import StreamSource
from airbag_exporters.quality.sources.taker import Taker
from airbag_exporters.quality.sources.told import SourceMetrics, Told


class Sources:
    """Reads while the `with` block lasts; its end waits for the batches that are being counted.

    The taker must go on working until then.
    """

    def __init__(
        self, config: Quality, taker: Taker, registry: CollectorRegistry, intake: IntakeMetrics, clock: Clock
    ) -> None:
        self._stop = threading.Event()
        metrics = SourceMetrics(registry)
        letters = DeadLetters(config.state_folder / "rejected" if config.state_folder else None, clock.now)
        runs: dict[str, Callable[[], None]] = {}
        for file in config.files:
            told = Told(Source.FILE, str(file.path), metrics, intake, clock)
            runs[f"file {file.path}"] = FileSource(file, taker, told, letters, self._stop, clock).run
        if streams := config.streams:
            told = Told(Source.STREAM, streams.stream, metrics, intake, clock)
            name = f"{streams.stream}/{streams.group}/{config.replica}"
            connect = partial(Group, streams, config.replica)
            runs["stream"] = StreamSource(streams.stream, name, connect, taker, told, self._stop, clock).run
        self._threads = [threading.Thread(target=run, name=name, daemon=True) for name, run in runs.items()]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
