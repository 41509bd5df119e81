"""What served when: the memory that a version to go back to is chosen from."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from airbag_rollback.journal.database import Database
from airbag_rollback.records import Served

_NOTE_EVERY = 10.0
_GAP = 15.0


@dataclass(frozen=True)
class Proof:
    """What was seen of one version since the last time. None is "nobody can tell".

    `answered`: requests. `bad`: whether a rollback alert fires for it; False only under traffic enough for one.
    """

    serving: str
    model_name: str
    version: int
    answered: float | None = None
    bad: bool | None = None

    @property
    def of(self) -> tuple[str, str, int]:
        """Whose proof it is."""
        return self.serving, self.model_name, self.version


class Ledger:
    """The tables `models` (now), `ledger` (stints of serving) and `wants` (since when the configuration names it)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def observe(
        self, serving: str, model: str, serves: frozenset[int], wanted: frozenset[int] | None, now: float
    ) -> int:
        """Take down what serves by default and what is wanted; returns the deployment epoch.

        The epoch grows whenever either changes, also by our own hand. An observation in which nothing serves changes
        nothing: a server that restarts is no release.
        """
        if self._is_news(serving, model, serves, wanted, now):
            with self._database.write("ledger"):
                self._take_down(serving, model, serves, wanted, now)
        return self.epoch(serving, model)

    def _current(self, serving: str, model: str, now: float) -> tuple[int, str, str | None, float]:
        rows = self._database.rows(
            "SELECT epoch, serves, wanted, seen_at FROM models WHERE serving = ? AND model_name = ?", serving, model
        )
        return rows[0] if rows else (0, "[]", None, now - _NOTE_EVERY)

    def _is_news(
        self, serving: str, model: str, serves: frozenset[int], wanted: frozenset[int] | None, now: float
    ) -> bool:
        _, before, before_wanted, seen_at = self._current(serving, model, now)
        same = (_text(serves) if serves else before, _text(wanted)) == (before, before_wanted)
        return not same or now - seen_at >= _NOTE_EVERY

    def _take_down(
        self, serving: str, model: str, serves: frozenset[int], wanted: frozenset[int] | None, now: float
    ) -> None:
        """Inside a transaction, since the watcher and the worker both look."""
        epoch, before, before_wanted, seen_at = self._current(serving, model, now)
        serves_text = _text(serves) if serves else before
        epoch += (serves_text, _text(wanted)) != (before, before_wanted)
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO models VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (serving, model_name) DO UPDATE SET "
                "epoch = excluded.epoch, serves = excluded.serves, wanted = excluded.wanted, "
                "seen_at = excluded.seen_at",
                (serving, model, epoch, serves_text, _text(wanted), now),
            )
            if serves_text != before:
                # After a time in which nobody looked, only the part that was seen counts as served.
                until = now if now - seen_at <= _GAP else seen_at
                self._stints(serving, model, frozenset(json.loads(serves_text or "[]")), epoch, until, now)
            if _text(wanted) != before_wanted:
                self._wants(serving, model, wanted or frozenset(), now)

    def _stints(self, serving: str, model: str, serves: frozenset[int], epoch: int, until: float, now: float) -> None:
        with self._database.write() as connection:
            rows = connection.execute(
                "SELECT id, version FROM ledger WHERE serving = ? AND model_name = ? AND until IS NULL",
                (serving, model),
            ).rows
            connection.executemany(
                "UPDATE ledger SET until = ? WHERE id = ?",
                [(until, row) for row, version in rows if version not in serves],
            )
            connection.executemany(
                "INSERT INTO ledger (serving, model_name, epoch, version, since) VALUES (?, ?, ?, ?, ?)",
                [
                    (serving, model, epoch, version, now)
                    for version in sorted(serves - {version for _, version in rows})
                ],
            )

    def _wants(self, serving: str, model: str, wanted: Iterable[int], now: float) -> None:
        with self._database.write() as connection:
            rows = connection.execute(
                "SELECT version FROM wants WHERE serving = ? AND model_name = ?", (serving, model)
            ).rows
            gone = {version for (version,) in rows} - set(wanted)
            connection.executemany(
                "DELETE FROM wants WHERE serving = ? AND model_name = ? AND version = ?",
                [(serving, model, version) for version in gone],
            )
            connection.executemany(
                "INSERT INTO wants VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                [(serving, model, version, now) for version in wanted],
            )

    def epoch(self, serving: str, model: str) -> int:
        """The present epoch; 0 for a model that was never seen."""
        rows = self._database.rows("SELECT epoch FROM models WHERE serving = ? AND model_name = ?", serving, model)
        return int(rows[0][0]) if rows else 0

    def serves(self, serving: str, model: str) -> frozenset[int]:
        """What served by default when somebody last looked."""
        rows = self._database.rows("SELECT serves FROM models WHERE serving = ? AND model_name = ?", serving, model)
        return frozenset(json.loads(rows[0][0])) if rows else frozenset()

    def wanted(self, serving: str, model: str) -> frozenset[int] | None:
        """What the configuration named when somebody last looked; None when it named nothing."""
        rows = self._database.rows("SELECT wanted FROM models WHERE serving = ? AND model_name = ?", serving, model)
        return frozenset(json.loads(rows[0][0])) if rows and rows[0][0] else None

    def released_at(self, serving: str, model: str, version: int) -> float | None:
        """When the version was released: since when it is wanted without a break, else when it first served."""
        rows = self._database.rows(
            "SELECT since FROM wants WHERE serving = ? AND model_name = ? AND version = ?", serving, model, version
        ) or self._database.rows(
            "SELECT min(since) FROM ledger WHERE serving = ? AND model_name = ? AND version = ?",
            serving,
            model,
            version,
        )
        return rows[0][0] if rows else None

    def left(self, serving: str, model: str, version: int, now: float) -> float:
        """When the version last served; `now` if it still does, or never did."""
        rows = self._database.rows(
            "SELECT CASE WHEN count(until) = count(*) THEN max(until) END FROM ledger "
            "WHERE serving = ? AND model_name = ? AND version = ?", serving, model, version,
        )  # fmt: skip
        return now if rows[0][0] is None else float(rows[0][0])

    def released_since(self, at: float) -> frozenset[tuple[str, str]]:
        """Serving and model wherever any version began to serve, or to be wanted, at `at` or later."""
        rows = self._database.rows(
            "SELECT serving, model_name FROM ledger WHERE since >= ? "
            "UNION SELECT serving, model_name FROM wants WHERE since >= ?", at, at,
        )  # fmt: skip
        return frozenset((serving, model) for serving, model in rows)

    def note(self, proofs: Iterable[Proof], now: float) -> None:
        """Add proof to the latest stint of each version, all of it or none; versions that never served have none."""
        values = [
            (each.answered, each.answered, now if each.bad else None, None if each.bad is not False else now, *each.of)
            for each in proofs
        ]
        with self._database.write("proof") as connection:
            connection.executemany(
                "UPDATE ledger SET requests = CASE WHEN CAST(? AS DOUBLE PRECISION) IS NULL THEN requests "
                "ELSE coalesce(requests, 0) + CAST(? AS DOUBLE PRECISION) END, "
                "bad_at = coalesce(CAST(? AS DOUBLE PRECISION), bad_at), "
                "good_at = coalesce(CAST(? AS DOUBLE PRECISION), good_at) "
                "WHERE id = (SELECT max(id) FROM ledger WHERE serving = ? AND model_name = ? AND version = ?)",
                values,
            )

    def unread(self) -> list[tuple[str, str, int]]:
        """Serving, model and version of what serves and of which no checksum is known yet."""
        return self._database.rows(
            "SELECT serving, model_name, version FROM ledger WHERE until IS NULL AND checksum = '' ORDER BY id"
        )

    def read(self, serving: str, model: str, version: int, checksum: str) -> None:
        """Note the checksum of the files of what serves. One that stands there already stays."""
        with self._database.write("checksum") as connection:
            connection.execute(
                "UPDATE ledger SET checksum = ? WHERE serving = ? AND model_name = ? AND version = ? "
                "AND until IS NULL AND checksum = ''", (checksum, serving, model, version),
            )  # fmt: skip

    def served(self, serving: str, model: str, now: float) -> list[Served]:
        """Every version that ever served here."""
        rows = self._database.rows(
            "SELECT version, sum(coalesce(until, CAST(? AS DOUBLE PRECISION)) - since), max(rolled_back), "
            "CASE WHEN count(until) = count(*) THEN max(until) END, "
            "sum(requests), max(bad_at), max(good_at), "
            "coalesce((SELECT checksum FROM ledger AS last WHERE last.serving = ? AND "
            "last.model_name = ? AND last.version = ledger.version AND last.checksum != '' "
            "ORDER BY last.id DESC LIMIT 1), '') "
            "FROM ledger WHERE serving = ? AND model_name = ? GROUP BY version "
            "ORDER BY version", now, serving, model, serving, model,
        )  # fmt: skip
        return [Served(version, soak, bool(gone), *rest) for version, soak, gone, *rest in rows]

    def rolled_back(self, serving: str, model: str, version: int) -> None:
        """Never go back to this one."""
        with self._database.write() as connection:
            connection.execute(
                "UPDATE ledger SET rolled_back = 1 WHERE serving = ? AND model_name = ? AND version = ?",
                (serving, model, version),
            )

    def present(self) -> list[tuple[str, str, int, list[int], list[int] | None]]:
        """Per model: serving, model, epoch, what serves, what is wanted."""
        rows = self._database.rows("SELECT serving, model_name, epoch, serves, wanted FROM models")
        return [
            (s, m, e, json.loads(serves), wanted and json.loads(wanted)) for s, m, e, serves, wanted in sorted(rows)
        ]


def _text(versions: frozenset[int] | None) -> str | None:
    return None if versions is None else json.dumps(sorted(versions))
