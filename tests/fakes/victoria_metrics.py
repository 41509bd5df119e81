"""The real VictoriaMetrics, to be stopped, killed and frozen: what it holds is asked as Prometheus is."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import requests

from airbag.errors import StartError
from airbag_demo.processes import Processes, Program
from tests.fakes.binaries import find
from tests.fakes.ports import free_port
from tests.fakes.wait import until

FLAGS = ("-search.latencyOffset=1s", "-inmemoryDataFlushInterval=1s", "-retentionPeriod=1y")
"""As docs/long-term.md has them, but for the interval of samples that are kept: here that is all."""

Samples = dict[float, float]


@dataclass(frozen=True)
class VictoriaMetrics:
    """One process among `processes`, and its folder, which outlives it."""

    processes: Processes
    program: Program
    address: str

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def start(self) -> None:
        """Returns when it answers."""
        self.processes.start(self.program)
        self.processes.wait_ready()

    def freeze(self) -> None:
        """It takes connections and says nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """As an administrator does it: all that it took is on disk."""
        self._signal(signal.SIGTERM)
        until(self._has_ended, timeout=60, what="the end of VictoriaMetrics")

    def kill(self) -> None:
        """As a crash does it."""
        self.processes.kill(self.program.name)

    def _has_ended(self) -> bool:
        try:
            self.processes.check()
        except StartError:
            return True
        return False

    def _signal(self, number: signal.Signals) -> None:
        os.kill(self.processes.pid(self.program.name), number)


def victoria_metrics(folder: Path, processes: Processes, *flags: str) -> VictoriaMetrics:
    """One with its data in `folder`, not yet started."""
    address = f"127.0.0.1:{free_port()}"
    command = [
        str(find("victoria-metrics", "newest")), f"-storageDataPath={folder / 'victoria-metrics-data'}",
        f"-httpListenAddr={address}", "-memory.allowedBytes=64MB", *FLAGS, *flags,
    ]  # fmt: skip
    ready = Program("victoria-metrics", command, lambda: requests.get(f"http://{address}/health", timeout=1).ok)
    return VictoriaMetrics(processes, ready, address)


def samples(url: str, selector: str, span: str = "10m") -> dict[frozenset[tuple[str, str]], Samples]:
    """Every sample of the last `span` by its time, of each series; of Prometheus or of VictoriaMetrics.

    VictoriaMetrics shows as NaN where a series was marked stale, Prometheus does not.
    """
    answer = requests.get(f"{url}/api/v1/query", params={"query": f"{selector}[{span}]"}, timeout=30).json()
    assert answer["status"] == "success", (selector, answer)
    return {
        frozenset(each["metric"].items()): {float(at): float(value) for at, value in each["values"] if value != "NaN"}
        for each in answer["data"]["result"]
    }
