"""Where the documents of reports lie: files beside an SQLite journal, rows of a table of a PostgreSQL one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from airbag.disk import replace_file
from airbag_rollback.journal.database import Database, JournalError


class ReportStore(ABC):
    """Documents by name. JournalError as usual."""

    @abstractmethod
    def put(self, name: str, document: bytes) -> None:
        """Keep it for good, in the place of one with that name."""

    @abstractmethod
    def get(self, name: str) -> bytes:
        """The document; b"" when there is none."""

    @abstractmethod
    def names(self) -> list[str]:
        """Of all documents."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Forget it."""

    @abstractmethod
    def together(self) -> AbstractContextManager[object]:
        """What is done in the block is done whole or not at all, and nothing in between, where that can be had."""

    @abstractmethod
    def place_of(self, name: str) -> str:
        """How people find it."""


class Folder(ReportStore):
    """A file each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, document: bytes) -> None:
        with self._disk():
            self._folder.mkdir(mode=0o700, exist_ok=True)
            replace_file(self._folder / name, document)

    def get(self, name: str) -> bytes:
        path = self._folder / name
        with self._disk():
            return path.read_bytes() if path.is_file() else b""

    def names(self) -> list[str]:
        with self._disk():
            return [file.name for file in self._folder.glob("*.html")] if self._folder.is_dir() else []

    def remove(self, name: str) -> None:
        with self._disk():
            (self._folder / name).unlink(missing_ok=True)

    def together(self) -> AbstractContextManager[object]:
        return nullcontext()

    def place_of(self, name: str) -> str:
        return str(self._folder / name)

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise JournalError(f"cannot keep reports in {self._folder}: {error.strerror or error}") from error


class Table(ReportStore):
    """A row each, so that every host has it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, name: str, document: bytes) -> None:
        with self._database.write("report") as connection:
            connection.execute(
                "INSERT INTO reports VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET document = excluded.document",
                (name, document),
            )

    def get(self, name: str) -> bytes:
        rows = self._database.rows("SELECT document FROM reports WHERE name = ?", name)
        return bytes(rows[0][0]) if rows else b""

    def names(self) -> list[str]:
        return [name for (name,) in self._database.rows("SELECT name FROM reports")]

    def remove(self, name: str) -> None:
        with self._database.write("report") as connection:
            connection.execute("DELETE FROM reports WHERE name = ?", (name,))

    def together(self) -> AbstractContextManager[object]:
        return self._database.write("report")

    def place_of(self, name: str) -> str:
        return f"{name} in {self._database.name}"
