"""The parts of the receiver, put together."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from prometheus_client import CollectorRegistry

from airbag.clock import Clock
from airbag.errors import AirbagError, ConfigError, Problem
from airbag_rollback.access import Access
from airbag_rollback.actions.script_checks import longest_step
from airbag_rollback.alert_path import AlertPath, PathWatch
from airbag_rollback.config import Settings, load_settings
from airbag_rollback.drill_clock import DrillClock, DrillStanding
from airbag_rollback.files import Files, FileWatch
from airbag_rollback.journal import Journal, JournalError, open_journal
from airbag_rollback.journal.lease import Keeper
from airbag_rollback.journal.retention import Retention
from airbag_rollback.judge import Judge
from airbag_rollback.lead import LeadStanding, written_fence
from airbag_rollback.look import Lookout
from airbag_rollback.metrics import Metrics
from airbag_rollback.notify import Alertmanagers, Notifier
from airbag_rollback.onlooking import Unmoved
from airbag_rollback.pausing import PauseStanding, not_acting_since
from airbag_rollback.people import People
from airbag_rollback.prometheus import Prometheus
from airbag_rollback.prove import Prover
from airbag_rollback.quiet import Quiet, SteadyClock
from airbag_rollback.standing import Standing
from airbag_rollback.steps import Steps
from airbag_rollback.truncated import Truncated
from airbag_rollback.watch import Watcher
from airbag_rollback.worker import Worker
from airbag_rollback.world import Surroundings

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
    path: AlertPath
    path_watch: PathWatch
    lookout: Lookout
    people: People
    judge: Judge
    drill_clock: DrillClock
    onlooker: Judge
    access: Access
    prover: Prover
    file_watch: FileWatch
    not_acting_since: float | None = None

    def reload(self) -> None:
        """Take the files anew; ConfigError keeps the old settings. The journal's place cannot change."""
        settings = load_settings(self.config_file)
        if settings.policy.journal != self.settings.policy.journal:
            problem = Problem("journal", "cannot change while the receiver runs", "restart it")
            raise ConfigError(str(self.config_file), [problem])
        self.settings = settings
        with contextlib.suppress(JournalError):  # the settings are in force all the same
            self.journal.lease.outbid()  # a models.config that is new here may have seen a higher fence
        self.show_mode()
        self.worker.wake()

    def show_mode(self) -> None:
        """Tell the mode in force and since when it has kept the receiver from acting."""
        mode, now = self.settings.policy.mode, self.clock.now()
        self.metrics.show_mode(mode)
        try:
            self.not_acting_since = self.journal.notes.acting(mode in ("approve", "auto"), now)
        except AirbagError as error:  # the mode is in force all the same
            log.warning("since when nothing acts cannot be written down", extra={"reason": str(error)})
            self.not_acting_since = None if mode in ("approve", "auto") else self.not_acting_since or now

    @contextlib.contextmanager
    def run(self) -> Iterator[None]:
        """Work while the block lasts. Leaving it waits for a step in progress, a reload or a script."""
        self.path.heard()  # the wait for the watchdog begins now
        provers = (self.prover, self.file_watch)
        keeper = Keeper(self.journal.lease, self.worker.wake)
        for thread in (keeper, self.watcher, self.worker, self.notifier, self.path_watch, self.drill_clock, *provers):
            thread.start()
        try:
            yield
        finally:
            for thread in (self.worker, self.watcher, self.notifier, self.path_watch, self.drill_clock, *provers):
                thread.stop()
            for thread in (self.worker, self.watcher, self.notifier, self.path_watch, self.drill_clock, *provers):
                thread.join(timeout=30.0 + longest_step(self.settings.policy))
            keeper.stop()  # last: until here a step may be in progress, and nobody else may begin one
            keeper.join(timeout=30.0)
            self.lookout.close()
            self.journal.close()


def assemble(
    config_file: Path, settings: Settings, registry: CollectorRegistry, clock: Clock | None = None
) -> Receiver:
    """Open the journal and build everything; StartError when the journal cannot be had. Starts no thread.

    The receiver leads when it returns, unless another process does.
    """
    steady = SteadyClock()
    clock = clock or steady
    journal = open_journal(settings.policy.journal, settings.audit_key, lambda: written_fence(current()))
    metrics = Metrics(registry)
    metrics.journal_writable.set_function(lambda: float(not journal.database.last_error))
    lookout = Lookout()
    asked = threading.local()

    def current() -> Settings:
        return receiver.settings

    def prometheus() -> Prometheus:
        """This thread's own, as its connections are."""
        policy = current().policy
        where = (policy.prometheus_url, policy.prometheus_http_config)
        if getattr(asked, "where", None) != where:
            asked.where = where
            asked.prometheus = Prometheus(where[0], metrics.prometheus_up.set, http=where[1])
        found: Prometheus = asked.prometheus
        return found

    def alertmanagers() -> Alertmanagers:
        return Alertmanagers(
            lambda: current().policy.alertmanager_urls, metrics, lambda: current().policy.alertmanager_http_config
        )

    world = Surroundings(journal, current)
    files = Files()
    judge = Judge(lookout, journal, clock, current, world.look, files)
    steps = Steps(current, journal, lookout, judge, prometheus, clock, metrics)
    path = AlertPath(clock)
    people = People(current, journal, lookout, clock, lambda: receiver.worker.wake())
    retention = Retention(journal.database, journal.audit, journal.deliveries, journal.reports.sweep)
    quiet = Quiet(clock.now, lambda: current().policy.keep, retention, steady.follow)
    receiver = Receiver(
        config_file, settings, journal, metrics, clock,
        Worker(steps, journal, metrics, clock, Truncated(journal, prometheus, metrics, clock), quiet),
        Watcher(lambda: current().servings, lookout, journal, clock),
        Notifier(alertmanagers(), journal, metrics, clock),
        path,
        PathWatch(path, lambda: current().policy.watchdog_within, alertmanagers(), clock),
        lookout,
        people,
        judge,
        DrillClock(current, journal, people, clock),
        Judge(lookout, replace(journal, ledger=Unmoved(journal.database)), clock, current, world.look, files),
        Access(lambda: current().keys, lambda reason: metrics.unauthorized.labels(reason).inc(), clock),
        Prover(current, journal, clock),
        FileWatch(lambda: current().servings, journal, files, clock.now),
    )  # fmt: skip
    with contextlib.suppress(JournalError):  # the keeper tries on
        journal.lease.tend()
        journal.audit.sign_on(clock.now())
    receiver.show_mode()
    registry.register(LeadStanding(journal))
    registry.register(DrillStanding(current, journal, clock))
    registry.register(PauseStanding(current, journal, clock))
    registry.register(
        Standing(current, path, journal, lambda: not_acting_since(receiver.not_acting_since, journal, clock.now()))
    )
    return receiver
