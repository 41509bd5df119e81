"""Alerts that Alertmanager left out of a message (`max_alerts`): Prometheus knows the full set."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

from airbag.clock import Clock
from airbag.errors import RemoteError
from airbag_rollback.journal import Journal
from airbag_rollback.metrics import Metrics
from airbag_rollback.prometheus import Prometheus, Row

log = logging.getLogger("airbag.receiver.truncated")

QUERY = 'ALERTS{airbag_action="rollback",alertstate="firing"}'
_OWED = "alerts_left_out"
_AGAIN = 5.0
"""Seconds before Prometheus is asked again after it gave no answer."""


class Truncated:
    """Owes the question to Prometheus from the moment when a truncated message is admitted until it is answered.

    The debt is a row of the journal, written with the admission, so that no crash forgives it. For one thread.
    """

    def __init__(self, journal: Journal, prometheus: Callable[[], Prometheus], metrics: Metrics, clock: Clock) -> None:
        self._journal = journal
        self._prometheus = prometheus
        self._metrics = metrics
        self._clock = clock
        self._tried_at = -_AGAIN

    def owe(self, left_out: int) -> None:
        """Note that alerts were left out, inside the transaction that admits the others."""
        if left_out > 0:
            with self._journal.database.write() as connection:
                connection.execute(
                    "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    (_OWED, str(left_out)),
                )

    def settle(self) -> None:
        """Ask for the full set if that is owed, and take it in as a delivery like any other. JournalError as usual."""
        owed = self._journal.database.rows("SELECT value FROM meta WHERE name = ?", _OWED)
        if not owed or self._clock.monotonic() - self._tried_at < _AGAIN:
            return
        self._tried_at = self._clock.monotonic()
        try:
            firing = self._prometheus().vector(QUERY)
        except RemoteError as error:
            self._metrics.truncated.labels("failed").inc()
            log.warning("alerts were left out, and Prometheus cannot say which", extra={"reason": str(error)})
            return
        with self._journal.database.write("truncated") as connection:
            if firing:
                self._journal.deliveries.accept(_message(firing), self._clock.now())
            connection.execute("DELETE FROM meta WHERE name = ?", (_OWED,))
        self._tried_at = -_AGAIN
        self._metrics.truncated.labels("asked").inc()
        log.warning(
            "Alertmanager left alerts out, so Prometheus was asked for all; set max_alerts: 0",
            extra={"left_out": owed[0][0], "firing": len(firing)},
        )


def _message(firing: tuple[Row, ...]) -> bytes:
    """What Alertmanager would have sent of these alerts."""
    alerts = [
        {
            "status": "firing",
            "labels": {name: text for name, text in row.labels.items() if name not in ("__name__", "alertstate")},
        }
        for row in firing
    ]
    document = {"version": "4", "groupKey": "prometheus: alerts that were left out", "alerts": alerts}
    return json.dumps(document).encode()
