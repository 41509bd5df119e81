"""A process that is killed at any moment leaves a ledger whose counters equal its records."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from airbag_exporters.quality.ledger.values import State
from tests.exporters.quality import ledger_child
from tests.exporters.quality.ledger_child import ROWS, counted, keys_of, open_it
from tests.fakes.clock import SetClock
from tests.fakes.redis_server import redis_server
from tests.fakes.wait import until

ROOT = Path(__file__).parents[3]
ROUNDS = 12


class Child:
    """The process of `ledger_child`, and the lines that it has written."""

    def __init__(self, name: str, replica: str = "a") -> None:
        command = [sys.executable, ledger_child.__file__, name, replica]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=ROOT
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        self.lines.extend(line.strip() for line in self.process.stdout if line.endswith("\n"))

    def until_steps(self, count: int) -> None:
        until(lambda: len(self.lines) > count, timeout=60, every=0.001, what=f"{count} steps of {self.lines}")

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self, number: int = signal.SIGKILL) -> None:
        self.process.send_signal(number)
        self.process.wait(60)
        self._reader.join(60)
        if self.process.stdout:
            self.process.stdout.close()


@pytest.fixture(params=["sqlite", "redis"])
def name(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield str(tmp_path / "state")
        return
    with redis_server(tmp_path / "redis") as server:
        yield server.url


def agreeing_steps(name: str) -> int:
    """How many steps the ledger knows; fails when its counters are not those of its records."""
    clock = SetClock(0.0)
    ledger = open_it(name, "a", clock)
    try:
        counts = counted(ledger.load().blocks)
        looked = ledger.look(np.arange((counts["steps"] + 3) * ROWS, dtype=np.uint64))
        pending = int(np.count_nonzero(looked.states == State.PENDING))
        assert counts["predicted"] == counts["steps"] * ROWS
        assert counts["predicted"] - counts["labelled"] - counts["expired"] == pending == ledger.pending()
        assert not looked.states[counts["steps"] * ROWS :].any()
        if counts["steps"]:
            assert looked.states[keys_of(counts["steps"] - 1)].tolist() == [State.PENDING] * ROWS
        return counts["steps"]
    finally:
        ledger.close()


def test_what_was_acknowledged_is_there_once_however_often_the_process_is_killed(name: str) -> None:
    chance = random.Random(11)  # noqa: S311 - no secret
    known = 0
    for _ in range(ROUNDS):
        with Child(name) as child:
            child.until_steps(chance.randrange(1, 60))
            threading.Event().wait(chance.random() * 0.01)  # so that it dies at any point of a step
        lines = child.lines
        assert lines[0] == f"begins {known}"
        known = agreeing_steps(name)
        acknowledged = int(lines[-1].split()[1])
        assert known in (acknowledged, acknowledged + 1)
    assert known > ROUNDS
