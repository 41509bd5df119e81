"""A real process that does what it is told: opens files, takes memory, starts threads. And the page that shows it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from airbag_exporters.host.page import HostPage

_OBEY = """
import sys, threading
kept = []
print("ready", flush=True)
for line in sys.stdin:
    word, number = line.split()
    if word == "open":
        kept += [open("/dev/null") for _ in range(int(number))]
    elif word == "grow":
        kept.append(b"x" * int(number))
    elif word == "start":
        for _ in range(int(number)):
            threading.Thread(target=threading.Event().wait, daemon=True).start()
    elif word == "compute":
        import time
        while time.process_time() < float(number):
            pass
    print("done", flush=True)
"""


class Server:
    """The process. Every `tell` returns when it is done."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", _OBEY, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._hear("ready")

    @property
    def pid(self) -> int:
        return self.process.pid

    def tell(self, what: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        self._hear("done")

    def _hear(self, word: str) -> None:
        assert self.process.stdout
        assert self.process.stdout.readline().strip() == word

    def die(self, *, reaped: bool = True) -> None:
        """End it. Without `reaped` it stays in the table as a zombie."""
        self.process.kill()
        if reaped:
            self.process.wait()

    def close(self) -> None:
        self.die()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe
            pipe.close()


@contextmanager
def server(*arguments: str) -> Iterator[Server]:
    """Started when the block begins, ended when it ends."""
    started = Server(*arguments)
    try:
        yield started
    finally:
        started.close()


def unlimited(folder: Path) -> Path:
    """What /sys/fs/cgroup would be if the group of this process, whichever it is, could be seen and had no limit."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, group = line.split(":", 2)
        root = folder / "memory" if "memory" in controllers.split(",") else folder
        (root / group.strip("/")).mkdir(parents=True, exist_ok=True)
    return folder


def values(pages: Iterable[bytes]) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample of a page by name and labels."""
    families = text_string_to_metric_families(b"".join(pages).decode())
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def value(page: HostPage, name: str, /, **labels: str) -> float | None:
    """The one sample of a fresh page with at least these labels, or None."""
    found = [
        each
        for (known, those), each in values(page.page()).items()
        if known == f"airbag_host_{name}" and labels.items() <= dict(those).items()
    ]
    assert len(found) < 2, f"{name}{labels} is not one sample"
    return found[0] if found else None


def all_of(page: HostPage, names: Sequence[str], **labels: str) -> list[float | None]:
    """Several of them."""
    return [value(page, name, **labels) for name in names]
