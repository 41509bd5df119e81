"""The local model server as a child process on free ports."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.ports import free_port
from tests.fakes.wait import until

METRICS_PATH = "/monitoring/prometheus/metrics"
MONITORING = f'prometheus_config {{ enable: true path: "{METRICS_PATH}" }}\n'


@dataclass(frozen=True)
class ModelServer:
    """A running server: where it listens, and what it said."""

    process: subprocess.Popen[bytes]
    grpc_port: int
    rest_port: int
    log_file: Path

    @property
    def grpc_address(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def rest_url(self) -> str:
        return f"http://127.0.0.1:{self.rest_port}"

    @property
    def metrics_url(self) -> str:
        return self.rest_url + METRICS_PATH

    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def is_open(self) -> bool:
        return answers(self.grpc_port) and answers(self.rest_port)


@contextlib.contextmanager
def running(
    *flags: str,
    base_path: Path | None = None,
    model_name: str = "m",
    config_file: Path | None = None,
    wait: bool = True,
    timeout: float = 60.0,
) -> Iterator[ModelServer]:
    """Start the server with its metrics page on, wait until both ports answer, and end it whatever happens.

    Give `base_path` (one model) or `config_file` (several), and any further `--flag=value`. With `wait=False` the
    server is handed out at once, ports still closed. Raises AssertionError with the server's log if it ends early.
    """
    grpc_port, rest_port = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="airbag-model-server-") as folder:
        monitoring, log_file = Path(folder, "monitoring.config"), Path(folder, "log")
        monitoring.write_text(MONITORING, encoding="utf-8")
        own = [f"--port={grpc_port}", f"--rest_api_port={rest_port}", f"--monitoring_config_file={monitoring}"]
        if base_path is not None:
            own += [f"--model_name={model_name}", f"--model_base_path={base_path}"]
        if config_file is not None:
            own.append(f"--model_config_file={config_file}")
        with log_file.open("wb") as log, _ended(start([*own, *flags], log.fileno())) as process:
            server = ModelServer(process, grpc_port, rest_port, log_file)
            if wait:
                _wait_until_open(server, timeout)
            yield server


def start(flags: list[str], log: int) -> subprocess.Popen[bytes]:
    """Start the server with exactly these flags; the caller must end it."""
    command = [sys.executable, "-m", "airbag_demo.model_server", *flags]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"}
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait_until_open(server: ModelServer, timeout: float) -> None:
    def open_or_ended() -> bool:
        return server.is_open() or server.process.poll() is not None

    try:
        until(open_or_ended, timeout=timeout, what="the model server's ports")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{server.log()}") from None
    if server.process.poll() is not None:
        raise AssertionError(f"the model server ended with {server.process.returncode}\n{server.log()}")


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
