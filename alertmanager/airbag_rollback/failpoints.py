"""Named places where a test ends the receiver with SIGKILL, as power loss does, or stops it: before and after every
durable write and every call to somebody else.

`AIRBAG_FAILPOINT`, read once at the start of the process, is either `record:FILE`, which appends the name of every
place that is reached, or `kill:NAME|NAME|...`: the places have to be reached in that order, others may lie between
them, and the process dies at the last one. With `stop:` it stops there instead, as by SIGSTOP, once. A name is
`THREAD: PLACE` and may hold `*`. Without the variable a place costs one look at a variable.
"""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase

from airbag.errors import ConfigError, Problem

VARIABLE = "AIRBAG_FAILPOINT"

_told: Callable[[str], None] | None = None


def reached(place: str, about: object = "") -> None:
    """The process is here now. Does nothing unless a test asked for it."""
    if _told is not None:
        thread = threading.current_thread().name.rstrip("_0123456789")  # one of a pool is as good as another
        _told(f"{thread}: {place}{about}")


def arm(environment: Mapping[str, str]) -> None:
    """Do from now on what the variable says, which is usually nothing. ConfigError when it says something else."""
    global _told
    what, _, how = environment.get(VARIABLE, "").partition(":")
    if what not in ("", *_KINDS) or bool(what) != bool(how):
        raise ConfigError(VARIABLE, [Problem("", f"is no failpoint: {environment[VARIABLE]!r}", "unset it")])
    _told = _KINDS[what](how) if what else None


def _record(path: str) -> Callable[[str], None]:
    """One write per name, so that nothing is lost when the process dies next."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def reach(name: str) -> None:
        os.write(file, f"{name}\n".encode())

    return reach


def _signal(number: signal.Signals, names: str) -> Callable[[str], None]:
    """Threads reach places at the same time, so only one may look at what is left."""
    left = names.split("|")
    lock = threading.Lock()

    def reach(name: str) -> None:
        with lock:
            if not left or not fnmatchcase(name, left[0]):
                return
            if len(left) == 1:
                os.kill(os.getpid(), number)
            left.pop(0)

    return reach


_KINDS: Mapping[str, Callable[[str], Callable[[str], None]]] = {
    "record": _record,
    "kill": functools.partial(_signal, signal.SIGKILL),
    "stop": functools.partial(_signal, signal.SIGSTOP),
}
