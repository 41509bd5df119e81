"""The journal's database as its parts see it: SQL in the words that SQLite and PostgreSQL share.

Values stand as `?`. Every commit is on the disk before it returns. All writers of a journal come one after the other,
also those of other processes: what a transaction reads does not change before it commits.
"""

from __future__ import annotations

import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from airbag.errors import AirbagError
from airbag_rollback import failpoints

LEADER = "leader"
"""The one lease."""

NO_LIMIT = 2**62
"""For LIMIT, as each of the databases has another word for it."""

DRILL = "replace(key, '/drill/', '') != key"
"""Whether a row of `actions` is a drill. LIKE minds capitals in one of the databases only."""


class JournalError(AirbagError):
    """The journal cannot be written or read now: disk full, read-only, damaged, or its server is away."""

    reason = "journal"
    retryable = True


class Away(JournalError):
    """The database's server does not answer. That ends when it answers again, not with a write that works."""


class Violated(AirbagError):
    """The database's own rules forbid this write: it would be a second one of what there is once, or a change of the
    audit. The transaction is lost.
    """

    reason = "violated"


class Overtaken(AirbagError):
    """Somebody else moved the action first, or already holds what it needs."""

    reason = "overtaken"


class Fenced(AirbagError):
    """Another receiver leads by now: what was to be written or done is no longer this one's."""

    reason = "fenced"


@dataclass(frozen=True)
class Result:
    """What a statement gave: rows, and how many rows it touched."""

    rows: list[tuple[Any, ...]]  # Any: columns differ in type
    count: int


class Statements:
    """What may be done inside a transaction. JournalError and Violated."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def execute(self, query: str, values: Sequence[object] = ()) -> Result:
        """Run one statement."""
        return self._database.execute(query, values)

    def executemany(self, query: str, rows: Sequence[Sequence[object]]) -> None:
        """Run one statement for each of `rows`."""
        for values in rows:
            self._database.execute(query, values)


class Database(ABC):
    """One connection, shared by all threads of a process. `fence` is that of this process, 0 while it does not lead.

    `schema` is the version that this process writes. A back end raises JournalError, and Violated from `execute`.
    """

    def __init__(self, name: str, schema: int) -> None:
        self.name = name
        self.schema = schema
        self.fence = 0
        self._lock = threading.RLock()
        self._bound = threading.local()
        self._write_error = ""
        self._writing = False
        self._closed = False
        self._statements = Statements(self)

    @abstractmethod
    def execute(self, query: str, values: Sequence[object] = ()) -> Result:
        """One statement on the connection, in the hands of the thread that has the lock."""

    @abstractmethod
    def _begin(self) -> None:
        """Begin a transaction as the only writer."""

    @abstractmethod
    def _commit(self) -> None:
        """End it durably."""

    @abstractmethod
    def _give_up(self) -> None:
        """Undo it, if there is one. Raises nothing."""

    @abstractmethod
    def _close(self) -> None:
        """Close the connection."""

    @abstractmethod
    def still(self) -> contextlib.AbstractContextManager[None]:
        """What is read in the block is of one moment, whatever others write meanwhile. For a reader of its own."""

    @property
    def bound_to(self) -> int:
        """The fence that this thread is bound to, 0 for none."""
        return int(getattr(self._bound, "fence", 0))

    @contextlib.contextmanager
    def bound(self, fence: int) -> Iterator[None]:
        """Every transaction that this thread begins in the block fails with Fenced once another fence was granted."""
        before = self.bound_to
        self._bound.fence = fence
        try:
            yield
        finally:
            self._bound.fence = before

    @property
    def last_error(self) -> str:
        """Why the latest write failed; "" after one that worked."""
        return self._write_error

    def close(self) -> None:
        """Close; calls after it raise JournalError."""
        with self._lock:
            self._closed = True
            self._close()

    @contextlib.contextmanager
    def write(self, about: str = "") -> Iterator[Statements]:
        """A transaction: all of it is on the disk when the block ends, or nothing. JournalError when it cannot be.

        Where the database is another host's, an error of the commit leaves open which of the two it is, as a crash
        right after it does. Blocks may nest; the outermost commits. `about` names it for the crash tests.
        """
        with self._alone():
            if self._writing:
                yield self._statements
                return
            self._writing = True
            try:
                self._begin()
                self._check()
                yield self._statements
                failpoints.reached("before the commit of ", about)
                self._commit()
            except BaseException as error:
                self._give_up()
                if isinstance(error, JournalError) and not isinstance(error, Away):
                    self._write_error = str(error)
                raise
            finally:
                self._writing = False
            self._write_error = ""
            failpoints.reached("after the commit of ", about)

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """All rows that answer `query`; Any, since columns differ in type."""
        with self._alone():
            return self.execute(query, values).rows

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """The connection for this thread."""
        with self._lock:
            if self._closed:
                raise JournalError(f"the journal {self.name} is closed")
            yield

    def _check(self) -> None:
        """That the journal is still of the schema that is known here, and that this thread may write."""
        ((found, fence),) = self.execute(
            "SELECT (SELECT value FROM meta WHERE name = 'schema'), (SELECT fence FROM leases WHERE name = ?)",
            (LEADER,),
        ).rows
        if found != str(self.schema):
            raise JournalError(
                f"the journal {self.name} is of schema {found} by now; start the Airbag that writes that"
            )
        mine = self.bound_to
        if mine and fence != mine:
            if self.fence == mine:
                self.fence = 0
            raise Fenced(f"this receiver had fence {mine}; another one leads under fence {fence or '?'}")
