"""Airbag's real processes with the shipped files around a server of ours, and webhooks that we listen to."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from airbag_demo.ports import free_ports
from airbag_demo.processes import Processes
from airbag_demo.stack import RemoteServing, Stack
from bench._server import BusyServer
from bench._sink import Sink, sink

ROOT = Path(__file__).parents[1]
Series = tuple[dict[str, str], list[tuple[float, float]]]


@dataclass(frozen=True)
class Running:
    """A stack that runs, its server, and what its Alertmanager tells."""

    stack: Stack
    server: BusyServer
    sink: Sink
    processes: Processes

    def stored(self, selector: str, seconds: float) -> list[Series]:
        """Labels and samples (time, value) of each series that Prometheus has stored in the last `seconds`."""
        answer = requests.get(
            f"{self.stack.url('prometheus')}/api/v1/query", {"query": f"{selector}[{seconds:.0f}s]"}, timeout=10
        )
        answer.raise_for_status()
        return [
            (each["metric"], [(at, float(value)) for at, value in each["values"]])
            for each in answer.json()["data"]["result"]
        ]


@contextmanager
def running(
    server: BusyServer, models: Collection[dict[str, Any]], programs: Collection[str], profile: str | None = None,
    change: Callable[[Stack], None] = lambda _stack: None, models_config: Path | None = None,
) -> Iterator[Running]:  # fmt: skip
    """A new stack in a new folder on new ports. `models` are the entries of exporters.yml (Any: YAML).

    `change` may edit the stack's files before it starts. Without `models_config` nothing can be rolled back.

    Where the receiver is not among the programs its place is taken by the sink, which always hears what it hears.
    """
    with tempfile.TemporaryDirectory(prefix="airbag-bench-") as folder, sink() as told, free_ports() as ports:
        ports["people"] = told.port
        if "receiver" not in programs:
            ports["receiver"] = told.port
        grpc, rest = server.addresses
        stack = Stack(ROOT, Path(folder), ports, RemoteServing(grpc, "any", rest, models_config), "rules", profile)
        stack.prepare()
        _edit(stack.file("exporters/exporters.yml"), lambda each: each["servings"][0].update(models=list(models)))
        if "receiver" in programs:
            _edit(stack.file("alertmanager/alertmanager.yml"), lambda each: _listen_in(each, told.port))
        change(stack)
        stack.check()
        with Processes(stack.run / "logs") as processes:
            for program in stack.programs():
                if program.name in programs:
                    processes.start(program)
            processes.wait_ready()
            yield Running(stack, server, told, processes)


def say(line: str) -> None:
    """How far a long benchmark is."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def _edit(path: Path, change: Any) -> None:
    document = yaml.safe_load(path.read_text())
    change(document)
    path.write_text(yaml.safe_dump(document, sort_keys=False))


def _listen_in(alertmanager: dict[str, Any], port: int) -> None:
    [machine] = [each for each in alertmanager["receivers"] if each["name"] == "airbag"]
    machine["webhook_configs"].append({"url": f"http://127.0.0.1:{port}/v1/alerts", "send_resolved": True})
