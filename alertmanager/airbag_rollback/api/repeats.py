"""The header Idempotency-Key: the same order sent again, by somebody who saw no answer, gets the first one's answer."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from typing import Annotated

from fastapi import Header, Request, Response
from pydantic import BaseModel, TypeAdapter

from airbag.clock import Clock
from airbag_rollback.api.door import caller_of
from airbag_rollback.journal.database import Database
from airbag_rollback.people import NotNow
from airbag_rollback.records import Action

Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=100, pattern=r"^[!-~]+$")]

_KEPT = 86_400.0
_PREFIX = "order/"
_action = TypeAdapter(Action)


class OtherOrder(NotNow):
    """The key was used for another order."""

    reason = "other_order"


class Repeats:
    """Answers by key, kept for a day beside the journal's notes. A key belongs to who used it first."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._under_way: set[str] = set()
        self._lock = threading.Lock()

    def answer(
        self, request: Request, key: str | None, order: BaseModel | None, status: int,
        give: Callable[[], Action | BaseModel],
    ) -> Response:  # fmt: skip
        """Give the order unless this key has its answer already. An order that is refused uses no key up."""
        if key is None:
            return _json(_text(give()), status)
        name = _PREFIX + _hash(caller_of(request).name, key)
        what = _hash(request.method, request.url.path, order.model_dump_json() if order else "")
        with self._lock:
            if name in self._under_way:
                raise NotNow("the same order is being taken right now")
            self._under_way.add(name)
        try:
            known = self._known(name, what)
            if known is None:
                known = _text(give())
                self._keep(name, what, known)
        finally:
            with self._lock:
                self._under_way.discard(name)
        return _json(known, status)

    def _known(self, name: str, what: str) -> str | None:
        rows = self._database.rows("SELECT value FROM meta WHERE name = ?", name)
        if not rows:
            return None
        _, ordered, text = rows[0][0].split(" ", 2)
        if ordered != what:
            raise OtherOrder("this Idempotency-Key was used for another order; use a new one")
        return str(text)

    def _keep(self, name: str, what: str, text: str) -> None:
        """Values begin with the time, so that old ones are found; a repetition later is then an order of its own."""
        now = self._clock.now()
        with self._database.write("repeat") as connection:
            connection.execute(
                "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (name, f"{now:.0f} {what} {text}"),
            )
            given = connection.execute(
                "SELECT name, substr(value, 1, 20) FROM meta WHERE name LIKE ?", (f"{_PREFIX}%",)
            )
            old = [(each,) for each, value in given.rows if float(value.partition(" ")[0]) < now - _KEPT]
            connection.executemany("DELETE FROM meta WHERE name = ?", old)


def _text(given: Action | BaseModel) -> str:
    return given.model_dump_json() if isinstance(given, BaseModel) else _action.dump_json(given).decode()


def _json(text: str, status: int) -> Response:
    return Response(text, status, media_type="application/json")


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
