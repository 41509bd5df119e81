"""Child processes that never outlive us: started together, watched, ended together."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from airbag.errors import StartError

_TAIL_BYTES = 4000
_BOUND = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); "  # PR_SET_PDEATHSIG, SIGKILL
    "os.getppid() == int(sys.argv[1]) or os._exit(1); os.execv(sys.argv[2], sys.argv[2:])"
)


def _bound_to_us(command: Sequence[str]) -> list[str]:
    """The command, killed by Linux when this process is gone, however it went. FileNotFoundError when it is not there.

    A process of its own says so before it becomes the command: a hook in the forked child would run beside gRPC's,
    which abort it when calls are under way here.
    """
    program = shutil.which(command[0])
    if program is None:
        raise FileNotFoundError(f"there is no program {command[0]}")
    bind = [sys.executable, "-I", "-S", "-c", _BOUND, str(os.getpid())] if sys.platform.startswith("linux") else []
    return [*bind, program, *command[1:]]


@dataclass(frozen=True)
class Program:
    """What to run. `is_ready` is asked until it says yes; it may raise to say no."""

    name: str
    command: Sequence[str]
    is_ready: Callable[[], bool]
    ready_within: float = 60.0


class Processes:
    """The running children. Use it as a context manager, from the main thread: the end of the block ends them all."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self._running: dict[str, tuple[Program, subprocess.Popen[bytes]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self, program: Program) -> None:
        """Start one child; its output goes to a file of its name, appended."""
        with (self.logs / f"{program.name}.log").open("ab") as output:
            try:
                # One group a child: Ctrl-C reaches us alone, and we end them in order.
                child = subprocess.Popen(
                    _bound_to_us(program.command), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                    start_new_session=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
                )  # fmt: skip
            except OSError as error:
                raise StartError(f"{program.name} cannot be started: {error}") from error
        self._running[program.name] = (program, child)

    def wait_ready(self) -> None:
        """Wait until every child is ready; StartError with its last words when one ends or stays silent."""
        begun = time.monotonic()
        waiting = dict(self._running)
        while waiting:
            self.check()
            waiting = {name: entry for name, entry in waiting.items() if not _says_yes(entry[0].is_ready)}
            late = [n for n, (program, _) in waiting.items() if time.monotonic() - begun > program.ready_within]
            if late:
                raise StartError(f"{late[0]} did not become ready.\n{self.last_words(late[0])}")
            time.sleep(0.05)

    def check(self) -> None:
        """StartError with the last words of a child that has ended by itself."""
        for name, (_, child) in self._running.items():
            if child.poll() is not None:
                raise StartError(f"{name} ended with exit code {child.returncode}.\n{self.last_words(name)}")

    def last_words(self, name: str, lines: int = 12) -> str:
        """The end of a child's log."""
        path = self.logs / f"{name}.log"
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
        return "\n".join(["  " + line for line in text.splitlines()[-lines:]] + [f"  (all of it: {path})"])

    def kill(self, name: str) -> None:
        """SIGKILL one child, as a crash would; `restart` brings it back."""
        child = self._running[name][1]
        child.kill()
        child.wait()

    def restart(self, name: str) -> None:
        """Start a child again that has ended, and wait until it is ready."""
        self.start(self._running[name][0])
        self.wait_ready()

    def pid(self, name: str) -> int:
        """The process id of a running child."""
        return self._running[name][1].pid

    def stop(self, grace: float = 5.0) -> None:
        """End every child, the last started first: SIGTERM, after `grace` seconds SIGKILL for its whole group."""
        children = [child for _, child in reversed(self._running.values())]
        for child in children:
            _signal(child, signal.SIGTERM)
        deadline = time.monotonic() + grace
        for child in children:
            try:
                child.wait(max(0.05, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal(child, signal.SIGKILL)
                child.wait()
        self._running.clear()


def _signal(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if child.poll() is None:  # once it is reaped its number may belong to somebody else
        os.killpg(child.pid, number)


def _says_yes(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except Exception:  # noqa: BLE001 - a process that is not up yet may fail in any way
        return False
