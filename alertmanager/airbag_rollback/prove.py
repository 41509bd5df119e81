"""Notes in the ledger how each version does while it serves: the proof that a version to go back to needs."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable

from airbag.clock import Clock
from airbag.config import parse_duration
from airbag.errors import AirbagError
from airbag_rollback.config import Settings
from airbag_rollback.journal import Journal
from airbag_rollback.journal.ledger import Proof
from airbag_rollback.policy import Policy
from airbag_rollback.prometheus import Prometheus, Row

log = logging.getLogger("airbag.receiver.prove")

EVERY = 5.0
"""Seconds between two notes, where that spans two scrapes."""
_MISSED_MAX = 300.0
"""Seconds that one note makes up for at most: what was answered before, while Prometheus was away, is not counted."""

_VERSION = "by (serving, model_name, model_version)"
ANSWERED = (
    f'sum {_VERSION} (increase(airbag_tfs_requests_total{{status="OK",model_version!~"switching|multiple"}}[$ranges]))'
)
STANDING = (
    f'max {_VERSION} (ALERTS{{alertstate="firing",airbag_action="rollback"}}) '
    f"or 0 * max {_VERSION} (model_version:airbag_tfs_requests:increase$window "
    ">= on (serving, model_name) group_left () max by (serving, model_name) (airbag_tfs_requests_min) "
    "and time() - timestamp(model_version:airbag_tfs_requests:increase$window) < 15) "
    'unless on (serving, model_name, model_version) ALERTS{airbag_action="rollback",alertstate="pending"}'
)
"""1 while a rollback alert fires; 0 while there is traffic enough for one, rules are evaluated, and none is near."""


class Prover(threading.Thread):
    """Asks about the whole fleet at once: two questions, however many models there are."""

    def __init__(
        self, settings: Callable[[], Settings], journal: Journal, clock: Clock, every: float = EVERY,
        connect: Callable[[Policy], Prometheus] = lambda policy: Prometheus(
            policy.prometheus_url, http=policy.prometheus_http_config
        ),
    ) -> None:  # fmt: skip
        super().__init__(name="prover", daemon=True)
        self._settings = settings
        self._journal = journal
        self._clock = clock
        self._every = every
        self._connect = connect
        self._ending = threading.Event()
        self._asked: tuple[object, Prometheus] | None = None
        self._noted_at: float | None = None
        self._said = ""

    def stop(self) -> None:
        """End after the present note."""
        self._ending.set()

    def run(self) -> None:
        while not self._ending.wait(max(self._every, self._two_scrapes())):
            self.turn()

    def turn(self) -> None:
        """One note while this receiver leads; a standby leaves that to the leader. Never raises."""
        if not self._journal.lease.fence:
            self._noted_at = None  # what another receiver noted meanwhile must not be counted twice
            return
        try:
            with self._journal.lease.leading():
                self.note()
            self._say("versions are being proven")
        except AirbagError as error:
            self._say(f"nothing is proven: {error}")
        except Exception:  # one bad answer must not end the proving
            log.exception("proving failed")

    def note(self) -> None:
        """Ask and note once. RemoteError or JournalError when nothing was noted; then the next note makes up for it."""
        settings, now = self._settings(), self._clock.now()
        prometheus, pace = self._prometheus(settings.policy), settings.servings.rules.pace
        since = now - self._every if self._noted_at is None else max(self._noted_at, now - _MISSED_MAX)
        seconds = math.ceil(max(now - since, self._two_scrapes()))
        answered = _by_version(prometheus.vector(ANSWERED.replace("$range", str(seconds))))
        standing = _by_version(prometheus.vector(STANDING.replace("$window", pace.window)))
        self._journal.ledger.note(
            (
                Proof(*of, answered.get(of), None if of not in standing else standing[of] == 1)
                for of in answered.keys() | standing.keys()
            ),
            now,
        )
        self._noted_at = now

    def _two_scrapes(self) -> float:
        """The least span, in seconds, of which Prometheus can say how many answers it brought."""
        return 2 * parse_duration(self._settings().servings.rules.pace.interval)

    def _prometheus(self, policy: Policy) -> Prometheus:
        where = (policy.prometheus_url, policy.prometheus_http_config)
        if self._asked is None or self._asked[0] != where:
            self._asked = (where, self._connect(policy))
        return self._asked[1]

    def _say(self, sentence: str) -> None:
        if self._said != sentence:
            self._said = sentence
            log.info(sentence)


def _by_version(rows: tuple[Row, ...]) -> dict[tuple[str, str, int], float]:
    """By serving, model and version; what is no number or names no version is left out."""
    return {
        (row.labels.get("serving", ""), row.labels.get("model_name", ""), int(version)): row.value
        for row in rows
        if (version := row.labels.get("model_version", "")).isdecimal() and math.isfinite(row.value)
    }
