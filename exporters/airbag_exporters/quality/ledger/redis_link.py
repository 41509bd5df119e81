"""The way to Redis: foreign errors become ours, and whether a change happened is asked until Redis says so."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airbag.errors import StartError
from airbag_exporters.config import RedisLedger
from airbag_exporters.quality.ledger.values import LedgerUnavailable

if TYPE_CHECKING:
    from redis import Redis

log = logging.getLogger("airbag.exporter.quality")
KEY = 8
"""Bytes of a hashed id."""
ROWS_AT_ONCE = 4096
"""Some milliseconds of Redis' time, in which all replicas wait."""
Argument = bytes | str | int | float
_CONNECT_SECONDS, _ANSWER_SECONDS = 2.0, 10.0
_PAUSE_MAX = 1.0
_VERSION_MIN = 7


class Link:
    """Connects when it is used, and again after each failure. `prefix` stands before every key."""

    def __init__(self, config: RedisLedger) -> None:
        from redis import Redis  # the library takes a while to import
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self.url, self.prefix = config.url, f"{{{config.prefix}}}"  # braces: one slot of a cluster holds all
        self._closing, self._changing = threading.Event(), threading.Lock()
        self._client: Redis = Redis.from_url(
            config.url,
            **config.connection(),
            socket_connect_timeout=_CONNECT_SECONDS,
            socket_timeout=_ANSWER_SECONDS,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 1),  # a connection that was closed while nobody looked
            protocol=2,
        )

    def check(self) -> None:
        """Say what would lose data later. StartError when this Redis cannot be used at all."""
        from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError

        try:
            with self._translated():
                server = self._client.info("server")
                memory, persistence = self._client.info("memory"), self._client.info("persistence")
        except LedgerUnavailable as error:
            if isinstance(error.__cause__, AuthenticationError | NoPermissionError | ResponseError):
                raise StartError(f"{error}. Check `username`, `password` and the rights in `quality.redis`") from error
            raise
        version = str(server["redis_version"])
        if int(version.split(".")[0]) < _VERSION_MIN:
            raise StartError(f"the ledger at {self.url} is Redis {version}; it needs {_VERSION_MIN} or newer")
        if (policy := memory.get("maxmemory_policy", "noeviction")) != "noeviction":
            remedy = "set `maxmemory-policy noeviction`"
            log.warning(
                "Redis may drop waiting predictions when it is full", extra={"policy": policy, "remedy": remedy}
            )
        if not persistence.get("aof_enabled"):
            remedy = "set `appendonly yes` and `appendfsync everysec`, or `always`"
            log.warning("Redis forgets the join and the counters when it restarts", extra={"remedy": remedy})

    def ask(self, *command: Argument) -> Any:
        """The answer, of the type that the command has; LedgerUnavailable when none came."""
        with self._translated():
            return self._client.execute_command(*command)  # type: ignore[no-untyped-call]  # the library's

    def ask_all(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        """The answers to several commands, sent together."""
        with self._translated(), self._client.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)  # type: ignore[no-untyped-call]  # the library's
            return pipeline.execute()

    def records(self, keys: bytes) -> list[bytes | None]:
        """What is kept of these ids, None for those that are not known."""
        start = f"{self.prefix}:w:".encode()
        names = [start + keys[at : at + KEY] for at in range(0, len(keys), KEY)]
        parts = [names[at : at + ROWS_AT_ONCE] for at in range(0, len(names), ROWS_AT_ONCE)]
        return [record for part in self.ask_all([("MGET", *part) for part in parts]) for record in part]

    def change(self, script: str, *arguments: Argument) -> list[Any]:
        """Run a script that may be run twice, and return its answer.

        LedgerUnavailable when it certainly did not run. When its answer was lost it may have run: then this asks until
        Redis answers, however long that takes, or until `give_up`. A refusal after that, such as that of a server which
        is still loading, says nothing of the first time.
        """
        self.ask("PING")  # whether there is a server at all is known before anything is sent
        pause, may_have_run = 0.01, False
        with self._changing:
            while True:
                try:
                    with self._translated():
                        return list(self._client.eval(script, 1, self.prefix, *arguments))
                except LedgerUnavailable as error:
                    may_have_run = may_have_run or _is_lost_answer(error.__cause__)
                    if not may_have_run:
                        raise
                    detail = {"reason": str(error)}
                    log.warning("Redis did not say whether a change happened; asking again", extra=detail)
                if self._closing.wait(pause):
                    raise LedgerUnavailable(
                        f"{self.url} did not say whether a change happened; the next start shows it"
                    )
                pause = min(pause * 2, _PAUSE_MAX)

    def give_up(self) -> None:
        """From any thread: whoever waits in `change` waits no longer."""
        self._closing.set()

    def close(self) -> None:
        """Give up, and let go of the connection."""
        self.give_up()
        with self._changing:
            self._client.close()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        from redis.exceptions import RedisError

        try:
            yield
        except (RedisError, OSError) as error:
            raise LedgerUnavailable(
                f"the quality ledger at {self.url} does not answer as it should: {error}"
            ) from error


def script(*names: str) -> str:
    """The text of scripts beside this file, one after the other."""
    return "".join(Path(__file__).with_name(name).read_text() for name in names)


def _is_lost_answer(cause: BaseException | None) -> bool:
    from redis import exceptions

    refused = (exceptions.AuthenticationError, exceptions.BusyLoadingError)
    lost = (exceptions.ConnectionError, exceptions.TimeoutError, OSError)
    return isinstance(cause, lost) and not isinstance(cause, refused)
