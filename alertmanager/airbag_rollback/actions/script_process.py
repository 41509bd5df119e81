"""Runs one script to its end, in a process between the receiver and the script.

`script.py` starts this file as `python -I script_process.py`, with one job as JSON on stdin, and reads one JSON answer.
A process of its own because a receiver may be killed: the script is still bounded by its timeout, still has somebody
who reads what it prints, and still holds the lock by which the next receiver knows that it runs.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import IO, Any

_TICK = 0.02
"""Seconds between two looks at a script that prints nothing."""

_DRAIN = 0.2
"""Seconds to read on after the script ended, while somebody whom it left behind holds its output open."""

_KILLING = 5.0
"""Seconds after which processes that outlive SIGKILL (a dead disk) are left to the kernel."""

_PR_SET_CHILD_SUBREAPER = 36


class _Tail:
    """The last `keep` bytes of a stream, however long it is."""

    def __init__(self, keep: int) -> None:
        self._chunks: deque[bytes] = deque()
        self._keep = keep
        self._held = 0
        self.seen = 0

    def add(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._held += len(chunk)
        self.seen += len(chunk)
        while self._held - len(self._chunks[0]) >= self._keep:
            self._held -= len(self._chunks.popleft())

    def text(self) -> str:
        return b"".join(self._chunks)[-self._keep :].decode("utf-8", "replace")


class _Run:
    """A started script: feeds it, reads it, ends it."""

    def __init__(self, job: dict[str, Any]) -> None:  # Any: JSON
        self._grace: float = job["grace"]
        self._feed = memoryview(job["stdin"].encode())
        self.out, self.err = _Tail(job["keep"]), _Tail(job["keep"])
        self.timed_out = False
        self.child = subprocess.Popen(
            job["command"], env=job["environment"], cwd=job["folder"], start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
        )  # fmt: skip
        self._deadline = time.monotonic() + job["timeout"]
        self._killing_since: float | None = None
        self._ended_at: float | None = None
        self._streams = selectors.DefaultSelector()
        self._add(self.child.stdout, selectors.EVENT_READ, self.out)
        self._add(self.child.stderr, selectors.EVENT_READ, self.err)
        self._add(self.child.stdin, selectors.EVENT_WRITE, None)

    def _add(self, stream: IO[bytes] | None, event: int, tail: _Tail | None) -> None:
        assert stream is not None  # noqa: S101 - all three are pipes
        os.set_blocking(stream.fileno(), False)
        self._streams.register(stream, event, tail)

    def to_the_end(self) -> None:
        """Return when the script has ended; after a timeout, when everything it started has."""
        while not self._over():
            for key, _ in self._streams.select(_TICK):
                stream: Any = key.fileobj  # a pipe's file
                with contextlib.suppress(BlockingIOError):
                    if not self._move(stream, key.data):
                        self._streams.unregister(stream)
                        stream.close()

    def _move(self, stream: Any, tail: _Tail | None) -> bool:  # Any: a pipe's file
        """Read or write what is possible now; False when that stream is done."""
        if tail is not None:
            chunk = stream.read(65_536)
            if chunk:
                tail.add(chunk)
            return bool(chunk)
        try:
            self._feed = self._feed[os.write(stream.fileno(), self._feed[:65_536]) :]
        except BrokenPipeError:  # a script need not read
            return False
        return len(self._feed) > 0

    def _over(self) -> bool:
        now = time.monotonic()
        ended = self.child.poll() is not None
        if self.timed_out:
            return self._end_all(now)
        if ended:
            self._ended_at = self._ended_at or now
            readers = any(key.data is not None for key in self._streams.get_map().values())
            return not readers or now - self._ended_at > _DRAIN
        if now >= self._deadline:
            self.timed_out = True
            self._deadline = now + self._grace
            self._signal(signal.SIGTERM)
        return False

    def _end_all(self, now: float) -> bool:
        """SIGKILL for all that is left once the grace is over; whether nothing is left."""
        if not _descendants():
            return self.child.poll() is not None
        if now < self._deadline:
            return False
        self._killing_since = self._killing_since or now
        self._signal(signal.SIGKILL)
        return now - self._killing_since > _KILLING

    def _signal(self, number: int) -> None:
        """To the script's group, and to what left the group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.child.pid, number)
        for process in _descendants():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, number)


def _descendants() -> list[int]:
    """All that runs below this process. Orphans are handed to it, so a double fork is still below it (on Linux)."""
    import psutil  # only a timeout needs it, and it takes as long to import as a short script runs

    found = []
    for each in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if each.status() != psutil.STATUS_ZOMBIE:
                found.append(each.pid)
    return found


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _work(job: dict[str, Any]) -> dict[str, Any]:  # Any: JSON
    with Path(job["lock"]).open("a") as lock:  # not inherited: it is free again as soon as this process ends
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return {"busy": True}
        begun = time.monotonic()
        try:
            run = _Run(job)
        except (OSError, ValueError) as error:
            return {"not_started": f"{error.strerror if isinstance(error, OSError) else error}"}
        run.to_the_end()
    return {
        "code": run.child.poll(), "timed_out": run.timed_out, "seconds": time.monotonic() - begun,
        "stdout": run.out.text(), "stderr": run.err.text(), "stdout_bytes": run.out.seen,
    }  # fmt: skip


def main() -> None:
    """One job from stdin, one answer to stdout."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # A handler and not SIG_IGN, which the script would inherit.
        signal.signal(number, lambda *_: None)
    _adopt_orphans()
    answer = _work(json.load(sys.stdin))
    with contextlib.suppress(BrokenPipeError):  # the receiver is gone; it will read reality
        os.write(1, json.dumps(answer).encode())


if __name__ == "__main__":
    main()
