"""The parts of the receiver, put together."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry

from airbag.clock import Clock, SystemClock
from airbag.errors import ConfigError, Problem
from airbag_rollback.config import Settings, load_settings
from airbag_rollback.journal import Journal, open_journal
from airbag_rollback.judge import Judge
from airbag_rollback.look import Lookout
from airbag_rollback.metrics import Metrics
from airbag_rollback.notify import Notifier
from airbag_rollback.prometheus import Prometheus
from airbag_rollback.steps import Steps
from airbag_rollback.watch import Watcher
from airbag_rollback.worker import Worker

log = logging.getLogger("airbag.receiver")


@dataclass
class Receiver:
    """Holds the settings in force and the journal; `run` keeps the threads alive."""

    config_file: Path
    settings: Settings
    journal: Journal
    metrics: Metrics
    clock: Clock
    worker: Worker
    watcher: Watcher
    notifier: Notifier
    lookout: Lookout

    def reload(self) -> None:
        """Take the files anew; ConfigError keeps the old settings. The journal's place cannot change."""
        settings = load_settings(self.config_file)
        if settings.policy.journal != self.settings.policy.journal:
            problem = Problem("journal", "cannot change while the receiver runs", "restart it")
            raise ConfigError(str(self.config_file), [problem])
        self.settings = settings
        self.metrics.show_mode(settings.policy.mode)
        self.worker.wake()

    @contextlib.contextmanager
    def run(self) -> Iterator[None]:
        """Work while the block lasts. Leaving it waits for a step in progress, which includes a reload call."""
        for thread in (self.watcher, self.worker, self.notifier):
            thread.start()
        try:
            yield
        finally:
            for thread in (self.worker, self.watcher, self.notifier):
                thread.stop()
            for thread in (self.worker, self.watcher, self.notifier):
                thread.join(timeout=30.0)
            self.lookout.close()
            self.journal.close()


def assemble(
    config_file: Path, settings: Settings, registry: CollectorRegistry, clock: Clock | None = None
) -> Receiver:
    """Open the journal and build everything; StartError when the journal cannot be had. Starts nothing."""
    clock = clock or SystemClock()
    journal = open_journal(settings.policy.journal)
    journal.deliveries.prune(clock.now())
    metrics = Metrics(registry)
    metrics.show_mode(settings.policy.mode)
    metrics.journal_writable.set_function(lambda: float(not journal.database.last_error))
    lookout = Lookout()
    asked: dict[str, Prometheus] = {}

    def current() -> Settings:
        return receiver.settings

    def prometheus() -> Prometheus:
        url = current().policy.prometheus_url
        if url not in asked:
            asked.clear()
            asked[url] = Prometheus(url, metrics.prometheus_up.set)
        return asked[url]

    judge = Judge(lookout, journal, clock, lambda: current().servings.rules.pace)
    steps = Steps(current, journal, lookout, judge, prometheus, clock, metrics)
    receiver = Receiver(
        config_file, settings, journal, metrics, clock,
        Worker(steps, journal, metrics, clock),
        Watcher(lambda: current().servings, lookout, journal, clock),
        Notifier(lambda: current().policy.alertmanager_urls, journal, metrics, clock),
        lookout,
    )  # fmt: skip
    return receiver
