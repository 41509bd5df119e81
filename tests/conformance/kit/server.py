"""Servers that the suite starts itself: `--flag=value` only, and nothing else is expected of the command."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.ports import free_port
from tests.fakes.wait import until

MONITORING = "prometheus_config { enable: true }\n"
BATCHING = """
max_batch_size { value: 4 }
batch_timeout_micros { value: 1000 }
max_enqueued_batches { value: 1 }
num_batch_threads { value: 1 }
"""
GROUPS: dict[str, tuple[str, ...]] = {
    "main": (
        "--model_config_file_poll_wait_seconds=1",
        "--num_load_threads=2",
        "--num_unload_threads=2",
        "--max_num_load_retries=1",
        "--load_retry_interval_micros=200000",
        "--allow_version_labels_for_unavailable_models=true",
        "--rest_api_timeout_in_ms=3000",
        "--grpc_max_threads=64",
        "--enable_grpc_healthcheck_service=true",
    ),
    "inline": ("--max_num_load_retries=2", "--load_retry_interval_micros=1500000", "--grpc_max_threads=64"),
    "batching": ("--enable_batching=true", "--batching_parameters_file={folder}/batching.config"),
}
STATED: dict[str, frozenset[str]] = {
    "main": frozenset({"page", "labels", "threads", "quick failures", "config poll", "health"}),
    "inline": frozenset({"page", "no labels", "inline"}),
    "batching": frozenset({"page", "no labels", "inline", "batching"}),
}
"""What is true of each group, since its flags say so; everything else is not."""
ATTEMPTS = {"main": 2, "inline": 3}


@dataclass(frozen=True)
class Running:
    """A server process and where it listens."""

    process: subprocess.Popen[bytes]
    port: int
    rest_port: int
    folder: Path

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def rest(self) -> str:
        return f"127.0.0.1:{self.rest_port}"

    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def is_open(self) -> bool:
        return answers(self.port) and answers(self.rest_port)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def started(
    command: Sequence[str], *flags: str, monitoring: str | None = MONITORING, rest: bool = True
) -> Iterator[Running]:
    """Start a server on free ports and end it whatever happens. `{folder}` in a flag is its own empty folder."""
    with tempfile.TemporaryDirectory(prefix="airbag-conformance-") as name:
        folder = Path(name)
        (folder / "batching.config").write_text(BATCHING, encoding="utf-8")
        port, rest_port = free_port(), free_port()
        own = [f"--port={port}"]
        if rest:
            own.append(f"--rest_api_port={rest_port}")
        if monitoring is not None:
            (folder / "monitoring.config").write_text(monitoring, encoding="utf-8")
            own.append(f"--monitoring_config_file={folder}/monitoring.config")
        line = [*command, *own, *(flag.replace("{folder}", name).replace("{port}", str(port)) for flag in flags)]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield Running(process, port, rest_port, folder)
        finally:
            _end(process)


def wait_open(server: Running, timeout: float, *, rest: bool = True) -> None:
    """Wait until it listens. AssertionError with its log if it ends or takes longer than `timeout` seconds."""
    ready = server.is_open if rest else lambda: answers(server.port)
    try:
        until(
            lambda: ready() or server.process.poll() is not None, timeout=timeout, what="the server's ports", every=0.05
        )
    except AssertionError as error:
        raise AssertionError(f"{error}\n{server.log()}") from None
    if server.process.poll() is not None:
        raise AssertionError(f"the server ended with {server.process.returncode}\n{server.log()}")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
