"""A real Redis of the test's own: its port, its folder, and no other data than the test's."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import redis

from tests.fakes.binaries import find
from tests.fakes.ports import free_port
from tests.fakes.wait import until


class RedisServer:
    """Keeps every write in `folder` before it answers, unless `options` say otherwise."""

    def __init__(self, folder: Path, *options: str, appendonly: bool = True) -> None:
        self.folder, self.port = folder, free_port()
        self._options = [*options, "--appendonly", "yes" if appendonly else "no", "--appendfsync", "always"]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Returns when it answers, with all that its folder holds."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [
            str(find("redis-server")), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder),
            "--save", "", "--daemonize", "no", *self._options,
        ]  # fmt: skip
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

        def is_ready() -> bool:
            with contextlib.suppress(redis.exceptions.AuthenticationError), self.client() as client:
                client.ping()
            return True

        until(is_ready, timeout=60, what="Redis")

    def client(self, **options: object) -> redis.Redis:
        """A connection for the test to look at what is there."""
        return redis.Redis(port=self.port, socket_timeout=30, **options)  # type: ignore[arg-type]  # by name

    def kill(self) -> None:
        """As a crash of the process does it."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """As an administrator does it."""
        self._end(signal.SIGTERM)

    def signal(self, number: signal.Signals) -> None:
        """Such as SIGSTOP, which makes it hang, and SIGCONT."""
        if self._process:
            self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self._process:
            self._process.send_signal(number)
            self._process.wait(60)
            self._process = None


@contextlib.contextmanager
def redis_server(folder: Path, *options: str, appendonly: bool = True) -> Iterator[RedisServer]:
    """A running one, which is gone afterwards."""
    server = RedisServer(folder, *options, appendonly=appendonly)
    try:
        server.start()
        yield server
    finally:
        server.signal(signal.SIGCONT)
        server.kill()
