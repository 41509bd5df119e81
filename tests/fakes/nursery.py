"""Starts `airbag receiver` in a few milliseconds: a process that has imported everything once, and forks.

What it gives are whole processes of their own that run the real command; they can be killed as any other. A process
that is started the usual way needs seconds of a processor, most of them for imports, and a crash matrix starts
thousands.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Child:
    """One process. It ends with its nursery at the latest."""

    pid: int
    handle: int

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.handle >= 0 and not select.select([self.handle], [], [], 0)[0]

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        if self.handle >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.handle, signal.SIGKILL)
            select.select([self.handle], [], [], 10)
            os.close(self.handle)


class Nursery:
    """The process that forks. Any thread may ask it for children."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lock = threading.Lock()

    def start(self, arguments: Sequence[str], log: Path, environment: dict[str, str]) -> Child:
        """`airbag` with those arguments, its output appended to `log`."""
        wish = {"arguments": list(arguments), "log": str(log), "environment": environment}
        assert self._process.stdin
        assert self._process.stdout
        with self._lock:
            print(json.dumps(wish), file=self._process.stdin, flush=True)
            pid = int(self._process.stdout.readline())
        try:
            return Child(pid, os.pidfd_open(pid))
        except ProcessLookupError:  # it is dead already
            return Child(pid, -1)


@contextmanager
def nursery() -> Iterator[Nursery]:
    """A running one, ended with the block together with all its children."""
    command = [sys.executable, "-m", "tests.fakes.nursery"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root,
        env=os.environ | {"GRPC_ENABLE_FORK_SUPPORT": "0"},
    ) as process:  # fmt: skip
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        try:
            yield Nursery(process)
        finally:
            process.kill()  # and with it all its children
            process.wait(10)


def _main() -> None:
    import ctypes
    import importlib

    from airbag.cli import main

    for name in ("airbag_rollback.commands.receiver", "uvicorn.protocols.http.httptools_impl", "uvicorn.lifespan.on"):
        importlib.import_module(name)
    ends_with_parent = ctypes.CDLL(None).prctl
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the dead
    print("ready", flush=True)
    for line in sys.stdin:
        wish = json.loads(line)
        child = os.fork()
        if child:
            print(child, flush=True)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        ends_with_parent(1, signal.SIGKILL)
        log = os.open(wish["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ.update(wish["environment"])
        sys.argv = ["airbag", *wish["arguments"]]
        try:
            main()
        except SystemExit as ended:
            os._exit(ended.code if isinstance(ended.code, int) else 1)
        os._exit(0)


if __name__ == "__main__":
    _main()
