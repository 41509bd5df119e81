"""The journal in a PostgreSQL database that receivers on several hosts share.

All writers lock one row first, so that they come one after the other, as SQLite's do. No call hangs for ever: the
server ends what waits for a lock or for a client that went silent, and the client what the server does not answer.
While the server is away one thread at a time tries to come back to it, and all others are told at once.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import select
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from airbag.errors import AirbagError, StartError
from airbag_rollback import failpoints
from airbag_rollback.journal.database import Away, Database, JournalError, Result, Violated
from airbag_rollback.journal.migrations import MIGRATIONS, Migration, ahead, current, failed
from airbag_rollback.journal.postgresql_schema import TRIGGERS, in_its_words, tables
from airbag_rollback.journal.schema import FIRST
from airbag_rollback.place import PostgresqlJournal

log = logging.getLogger("airbag.receiver.journal")

T = TypeVar("T")

PATIENCE = 6.0
"""Seconds for one answer. The server gives up before: after 4 s for a lock, after 5 s altogether."""

_SETTINGS = {
    "lock_timeout": "4s", "statement_timeout": "5s",
    "idle_in_transaction_session_timeout": "3s",  # a paused leader must not hold the lock for ever
    "default_transaction_isolation": "read committed", "client_encoding": "utf8", "datestyle": "ISO",
    "standard_conforming_strings": "on",
}  # fmt: skip
_CONNECTION: Mapping[str, str | int] = {
    "connect_timeout": 3, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 2,
    "tcp_user_timeout": 6000, "application_name": "airbag",
}  # fmt: skip
_AGAIN = 1.0
"""Seconds after a failed connection before the next one is tried."""

_LOCK = "SELECT value FROM meta WHERE name = 'schema' FOR UPDATE"
"""What every writer does first."""

_META = """SELECT 1 FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relname = 'meta' AND n.nspname = ANY (current_schemas(false))"""

CREATION = 0x41697262
"""Number of the lock that is held while tables are made: no row is there to lock yet."""


class _Connection(psycopg.Connection[tuple[Any, ...]]):  # Any: columns differ in type
    """Waits for an answer no longer than `patience` seconds, whatever became of the network. Then it is closed."""

    patience = PATIENCE

    def wait(self, gen: PQGen[T], interval: float = 0.0, timeout: float | None = None) -> T:  # noqa: ARG002 - as psycopg has it
        end = time.monotonic() + self.patience
        try:
            wanted = next(gen)
            while True:
                poll = select.poll()
                poll.register(self.pgconn.socket, _events(wanted))
                found = poll.poll(max(0.0, end - time.monotonic()) * 1000)
                if not found:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"no answer in {self.patience:g} s")
                wanted = gen.send(_ready(found[0][1], wanted))
        except StopIteration as end_of_it:
            value: T = end_of_it.value
            return value


def _events(wanted: int) -> int:
    return (select.POLLIN if wanted & 1 else 0) | (select.POLLOUT if wanted & 2 else 0)


def _ready(events: int, wanted: int) -> Any:  # psycopg takes the number or its own word for it
    found = (1 if events & select.POLLIN else 0) | (2 if events & select.POLLOUT else 0)
    return found or wanted  # an error or a hang-up: whoever reads or writes now hears of it


class PostgresqlDatabase(Database):
    """A connection that is made anew whenever it broke."""

    _settings = _SETTINGS

    def __init__(
        self, place: PostgresqlJournal, migrations: Sequence[Migration] = MIGRATIONS, patience: float = 30.0
    ) -> None:
        """Connect, make the tables where there are none, and take them to the present schema.

        StartError when that cannot be; a server that does not answer is given `patience` seconds.
        """
        super().__init__(str(place), current(migrations))
        self._place = place
        self._connection: _Connection | None = None
        self._begun = False
        self._away = ""
        self._again_at = 0.0
        try:
            self._wait_for_it(time.monotonic() + patience)
            self._prepare(migrations)
        except (JournalError, Violated) as error:
            self._close()
            remedy = "Is `journal` right, does the server run, and does the database belong to the user?"
            raise StartError(f"{error}. {remedy}") from error
        except BaseException:
            self._close()
            raise

    @property
    def last_error(self) -> str:
        """Why the server is away, or the latest write failed."""
        return self._away or self._write_error

    def execute(self, query: str, values: Sequence[object] = ()) -> Result:
        connection = self._connected()
        try:
            cursor = connection.execute(_form(query), [_fit(value) for value in values])
            return Result(cursor.fetchall() if cursor.description else [], cursor.rowcount)
        except psycopg.IntegrityError as error:
            raise Violated(_line(error)) from error
        except psycopg.Error as error:
            raise self._failure(error) from error

    def _begin(self) -> None:
        self.execute("BEGIN")
        self._begun = True
        self.execute(_LOCK)

    def _commit(self) -> None:
        """An aborted transaction would be rolled back without a word."""
        connection = self._connected()
        try:
            done = connection.execute("COMMIT").statusmessage
        except psycopg.Error as error:
            raise self._failure(error) from error
        if done != "COMMIT":
            raise JournalError(f"cannot write the journal {self.name}: the transaction was lost")
        self._begun = False

    def _give_up(self) -> None:
        begun, self._begun = self._begun, False
        if begun and self._connection is not None:
            with contextlib.suppress(AirbagError):
                self.execute("ROLLBACK")

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextlib.contextmanager
    def still(self) -> Iterator[None]:
        self.rows("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        self._begun = True
        try:
            yield
        finally:
            self._give_up()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """While the server is away nobody waits for the thread that tries to come back to it."""
        if not self._lock.acquire(blocking=not self._away):
            raise Away(self._away)
        try:
            with super()._alone():
                yield
        finally:
            self._lock.release()

    def _connected(self) -> _Connection:
        if self._connection is None:
            if self._begun:
                raise Away(f"cannot write the journal {self.name}: the transaction was lost")
            if time.monotonic() < self._again_at:
                raise Away(self._away)
            self._connect()
        assert self._connection is not None  # noqa: S101 - or _connect raised
        return self._connection

    def _connect(self) -> None:
        place = self._place
        try:
            password = {"password": place.password.read()} if place.password else {}
            words = make_conninfo(place.postgresql, **password)
            known = conninfo_to_dict(words)
            words = make_conninfo(words, **{key: value for key, value in _CONNECTION.items() if key not in known})
            self._connection = _Connection.connect(words, autocommit=True)
            self._settle(self._connection)
        except (psycopg.Error, AirbagError) as error:
            raise self._gone(f"cannot reach the journal {self.name}: {_line(error)}") from error
        self._away = ""

    def _settle(self, connection: _Connection) -> None:
        """Limits for all that may hang, and a commit that is one."""
        names = ", ".join("set_config(%s, %s, false)" for _ in self._settings)
        connection.execute(f"SELECT {names}", [each for pair in self._settings.items() for each in pair])
        ((fsync, pages, commit),) = connection.execute(
            "SELECT current_setting('fsync'), current_setting('full_page_writes'), "
            "current_setting('synchronous_commit')"
        ).fetchall()
        if (fsync, pages) != ("on", "on"):
            raise JournalError(
                f"its server has fsync = {fsync} and full_page_writes = {pages}: a crash could lose what was promised. "
                "Turn both on"
            )
        if commit == "off":
            connection.execute("SET synchronous_commit = on")
            log.warning("the journal's server has synchronous_commit = off; Airbag turns it on for itself")

    def _failure(self, error: psycopg.Error) -> JournalError:
        text = f"cannot {'write' if self._writing else 'read'} the journal {self.name}: {_line(error)}"
        if self._connection is None or self._connection.closed:
            return self._gone(text)
        return JournalError(text)

    def _gone(self, text: str) -> Away:
        self._close()
        self._away = text
        self._again_at = time.monotonic() + _AGAIN
        return Away(text)

    def _wait_for_it(self, until: float) -> None:
        said = False
        while True:
            try:
                self._connected()
            except Away as error:
                if time.monotonic() >= until:
                    raise
                if not said:
                    log.warning("waiting for the journal", extra={"reason": str(error)})
                said = True
                time.sleep(_AGAIN)
            else:
                return

    def _prepare(self, migrations: Sequence[Migration]) -> None:
        """Make or migrate the tables. Other receivers may be at it at the same moment."""
        if not self._is_made():
            with self._making("the first schema"):
                if not self._is_made():
                    for statement in (*tables(), *TRIGGERS):
                        self.execute(statement)
                    self.execute("INSERT INTO meta VALUES ('schema', ?)", (str(FIRST),))
        for number, migration in ahead(self.name, self._found(), migrations):
            try:
                with self._making(f"schema {number + 1}"):
                    if self.execute(_LOCK).rows != [(str(number),)]:
                        continue
                    for statement in migration.statements:
                        self.execute(in_its_words(statement))
                    self.execute("UPDATE meta SET value = ? WHERE name = 'schema'", (str(number + 1),))
            except (JournalError, Violated) as error:
                raise failed(self.name, number, error, "; no copy was made of it") from error
            log.info(f"the journal is of schema {number + 1} now: {migration.about}")

    @contextlib.contextmanager
    def _making(self, what: str) -> Iterator[None]:
        """A transaction in which nobody else makes tables, and that may take its time."""
        connection = self._connected()
        self.execute("BEGIN")
        self._begun, connection.patience = True, 600.0
        try:
            self.execute("SET LOCAL lock_timeout = '60s'; SET LOCAL statement_timeout = 0")
            self.execute("SELECT pg_advisory_xact_lock(?)", (CREATION,))
            yield
            failpoints.reached("before the commit of ", what)
            self._commit()
        except BaseException:
            self._give_up()
            raise
        finally:
            connection.patience = PATIENCE
        failpoints.reached("after the commit of ", what)

    def _is_made(self) -> bool:
        """By a query of rows: what a session once knew of a name, it knows until it begins another transaction."""
        return bool(self.execute(_META).rows)

    def _found(self) -> str:
        rows = self.execute("SELECT value FROM meta WHERE name = 'schema'").rows
        return str(rows[0][0]) if rows else "unknown"


class PostgresqlReader(PostgresqlDatabase):
    """The same database for reading, beside the receivers. Writing raises JournalError."""

    _settings = _SETTINGS | {"default_transaction_read_only": "on", "idle_in_transaction_session_timeout": "0"}

    def __init__(self, place: PostgresqlJournal) -> None:
        Database.__init__(self, str(place), current())
        self._place = place
        self._connection = None
        self._begun = False
        self._away = ""
        self._again_at = 0.0
        if not self._is_made():
            raise JournalError(f"there is no journal in {place}")

    def _begin(self) -> None:
        raise JournalError(f"the journal {self.name} is only read here")


@functools.lru_cache
def _form(query: str) -> str:
    return query.replace("%", "%%").replace("?", "%s")


def _fit(value: object) -> object:
    """Text without the one character that PostgreSQL does not take."""
    return str(value).replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value


def _line(error: Exception) -> str:
    return "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
