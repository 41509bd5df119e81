"""A real PostgreSQL of the test's own: its port, its folder, a database for each test. It keeps what it promises."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from airbag.config import Secret
from airbag_rollback.place import PostgresqlJournal
from tests.fakes.ports import free_port
from tests.fakes.wait import until

PASSWORD = "as-long-as-it-is-secret"


class PostgresServer:
    """The server in `folder`, on loopback. PostgreSQL refuses to run as root, so then it runs as `postgres`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.password_file = folder / "password"
        self._user = "postgres" if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0

    def make(self) -> None:
        """Write the empty cluster."""
        self.password_file.write_text(PASSWORD)
        if self._user:
            for path in (self.folder, self.password_file):
                shutil.chown(path, self._user)
        subprocess.run(
            [_program("initdb"), "-D", self.folder / "data", "-U", "airbag", "--pwfile", self.password_file, "-A",
             "scram-sha-256", "-E", "UTF8", "--no-locale", "--no-sync"],
            user=self._user, cwd=self.folder, check=True, capture_output=True,
        )  # fmt: skip

    def start(self) -> None:
        """Returns when it answers."""
        command = [
            _program("postgres"), "-D", str(self.folder / "data"), "-p", str(self.port), "-h", "127.0.0.1", "-k", "",
            "-c", "shared_buffers=16MB", "-c", "max_connections=50", "-c", "max_wal_size=64MB",
        ]  # fmt: skip

        def answers() -> bool:
            """One that ended at once, since something of the one before was still there, is started again."""
            if self._process is None or self._process.poll() is not None:
                with (self.folder / "postgres.log").open("ab") as log:
                    self._process = subprocess.Popen(command, stdout=log, stderr=log, user=self._user, cwd=self.folder)
            return self.execute("SELECT 1") == [(1,)]

        try:
            until(answers, timeout=60, what="PostgreSQL", every=0.1)
        except AssertionError as error:
            raise AssertionError((self.folder / "postgres.log").read_text()[-2000:]) from error

    def words(self, database: str, port: int | None = None) -> str:
        """How one reaches a database, by another port where a proxy stands between."""
        return f"host=127.0.0.1 port={port or self.port} dbname={database} user=airbag"

    def place(self, database: str, port: int | None = None) -> PostgresqlJournal:
        """The same for the receiver."""
        return PostgresqlJournal(
            postgresql=self.words(database, port), password=Secret(file=self.password_file), folder=self.folder / "host"
        )

    def database(self) -> str:
        """A new, empty database."""
        self._made += 1
        name = f"journal{self._made}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def execute(self, query: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement as the owner of everything; its rows."""
        with psycopg.connect(
            self.words(database), password=PASSWORD, autocommit=True, connect_timeout=10
        ) as connection:
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else []

    def kill(self) -> None:
        """As a crash of the machine does it to every process of the server."""
        self._end(signal.SIGQUIT)

    def stop(self) -> None:
        """As an administrator does it, without waiting for clients."""
        self._end(signal.SIGINT)

    def _end(self, number: signal.Signals) -> None:
        if self._process:
            self._process.send_signal(number)
            self._process.wait(60)
            self._process = None


@contextlib.contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A running one, which is gone afterwards with all that it held."""
    folder = Path(tempfile.mkdtemp(prefix="airbag-postgres-"))  # where the server's user gets to, unlike in tmp_path
    server = PostgresServer(folder)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder)


def _program(name: str) -> str:
    """PostgreSQL's programs lie beside its versions, and not on PATH."""
    found = [shutil.which(name), *sorted(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")))]
    present = [each for each in found if each]
    if not present:
        pytest.fail(f"{name} is not there; install postgresql with the system's package manager")
    return present[-1]
