"""A consumer group of a Redis stream: what is asked of Redis, and its errors as ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airbag.errors import Unreachable
from airbag_exporters.config import Streams

if TYPE_CHECKING:
    from redis import Redis

REJECTED_MAX = 10_000
"""Entries in the stream of rejected ones, about."""
_CONNECT_SECONDS, _ANSWER_SECONDS = 2.0, 10.0

Delivered = list[tuple[str, Mapping[bytes, bytes] | None]]
"""Ids and fields; None for an entry that was deleted from the stream."""


class Group:
    """One consumer of it. Every call may raise Unreachable, and connects anew after that."""

    def __init__(self, config: Streams, consumer: str) -> None:
        from redis import Redis  # the library takes a while to import
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self._config = config
        self._consumer = consumer
        self._at = (config.stream, config.group)
        # Not tried again by the library: what it was given then is only found by reading the own pending entries.
        self._redis: Redis = Redis.from_url(
            config.url, **config.connection(),
            socket_connect_timeout=_CONNECT_SECONDS, socket_timeout=_ANSWER_SECONDS, socket_keepalive=True,
            retry=Retry(NoBackoff(), 0), protocol=2,
        )  # fmt: skip

    def create(self) -> None:
        """Make stream and group where they are not; the group begins with the oldest entry."""
        from redis.exceptions import ResponseError

        with self._translated():
            try:
                self._redis.xgroup_create(*self._at, id="0", mkstream=True)
            except ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise

    def own(self, after: str, count: int) -> Delivered:
        """What this consumer was given and did not confirm, after an id."""
        return self._read(after, count, None)

    def new(self, count: int, wait: float) -> Delivered:
        """What no consumer was given yet; waits up to so many seconds for it."""
        return self._read(">", count, round(wait * 1000))

    def claim(self, idle: float, start: str, count: int) -> tuple[str, Delivered]:
        """Take over what others did not confirm within so many seconds; and where to go on, "0-0" at the end."""
        with self._translated():
            answer: Any = self._redis.xautoclaim(  # Any: the library's types say less
                *self._at, self._consumer, min_idle_time=round(idle * 1000), start_id=start, count=count
            )
        return answer[0].decode(), _delivered(answer[1])

    def hold(self, ids: Sequence[str]) -> None:
        """Keep others from claiming these now."""
        with self._translated():
            self._redis.xclaim(*self._at, self._consumer, 0, list(ids), justid=True)

    def deliveries(self, ids: Sequence[str]) -> Mapping[str, int]:
        """How often each of these, in their order, was delivered."""
        with self._translated():
            found: Any = self._redis.xpending_range(*self._at, ids[0], ids[-1], 10 * len(ids), self._consumer)
        return {each["message_id"].decode(): each["times_delivered"] for each in found}

    def confirm(self, ids: Sequence[str]) -> None:
        """These are done."""
        if ids:
            with self._translated():
                self._redis.xack(*self._at, *ids)

    def reject(self, fields: Mapping[str, str | bytes], confirmed: str | None = None) -> None:
        """Set something aside in STREAM:rejected, and confirm the entry that it was, as one."""
        with self._translated(), self._redis.pipeline(transaction=True) as pipeline:
            entry: dict[Any, Any] = dict(fields)  # Any: the library wants a dict of unions
            pipeline.xadd(f"{self._config.stream}:rejected", entry, maxlen=REJECTED_MAX, approximate=True)
            if confirmed is not None:
                pipeline.xack(*self._at, confirmed)
            pipeline.execute()

    def state(self) -> tuple[int, int | None]:
        """How many entries are pending, and how many no consumer was given, where Redis can tell."""
        with self._translated():
            groups: Any = self._redis.xinfo_groups(self._config.stream)
        ours = next(each for each in groups if each["name"].decode() == self._config.group)
        return ours["pending"], ours.get("lag")

    def close(self) -> None:
        """Let go of the connection."""
        self._redis.close()

    def _read(self, after: str, count: int, wait: int | None) -> Delivered:
        with self._translated():
            answer: Any = self._redis.xreadgroup(
                self._config.group, self._consumer, {self._config.stream: after}, count=count, block=wait
            )
        return _delivered(answer[0][1]) if answer else []

    @contextmanager
    def _translated(self) -> Iterator[None]:
        from redis.exceptions import RedisError

        try:
            yield
        except (RedisError, OSError) as error:
            raise Unreachable(f"the stream {self._config.stream} at {self._config.url}: {error}") from error


def _delivered(entries: Any) -> Delivered:  # Any: the library's types say less
    return [(id_.decode(), fields) for id_, fields in entries if id_ is not None]
