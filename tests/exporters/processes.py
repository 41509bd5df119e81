"""An exporter as a child process on a free port."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.fakes.ports import free_port
from tests.fakes.wait import until

PROMTOOL = "promtool"
Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Exporter:
    process: subprocess.Popen[bytes]
    url: str
    log_file: Path

    def log(self) -> str:
        return self.log_file.read_text()

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, timeout=5)

    def post(self, path: str, body: str | bytes = b"", **headers: str) -> requests.Response:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.post(self.url + path, data=body, headers=names, timeout=5)

    def samples(self) -> dict[tuple[str, Labels], float]:
        """Every sample of the scrape page by name and labels."""
        families = text_string_to_metric_families(self.get("/metrics").text)
        return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}

    def value(self, name: str, **labels: str) -> float | None:
        """The one sample that has at least these labels, or None."""
        found = [v for (n, each), v in self.samples().items() if n == name and labels.items() <= dict(each).items()]
        assert len(found) < 2, f"{name}{labels} is not one sample"
        return found[0] if found else None


def command(kind: str, config: Path, *flags: str) -> list[str]:
    return [sys.executable, "-m", "airbag", "exporter", kind, f"--config.file={config}", *flags]


@contextmanager
def running(kind: str, config: Path, *flags: str) -> Iterator[Exporter]:
    """Start it, wait until it listens, end it whatever happens."""
    address, log_file = f"127.0.0.1:{free_port()}", config.parent / f"{kind}.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            command(kind, config, f"--web.listen-address={address}", *flags), stdout=log, stderr=log, env=os.environ
        )
    exporter = Exporter(process, f"http://{address}", log_file)
    try:
        until(lambda: exporter.get("/-/healthy").ok, timeout=20, what=f"the {kind} exporter")
        yield exporter
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    assert process.returncode in (0, -signal.SIGKILL), f"the {kind} exporter ended with {process.returncode}"


def shape(page: str) -> str:
    """A scrape page without its values and without what differs from machine to machine."""
    lines = [
        line for line in page.splitlines() if not line.startswith(("process_", "# HELP process_", "# TYPE process_"))
    ]
    lines = [line for line in lines if not line.startswith("airbag_build_info{")]
    return "\n".join(line if line.startswith("#") else line.rpartition(" ")[0] for line in lines) + "\n"


def assert_golden(name: str, text: str) -> None:
    """`text` is what tests/golden/NAME holds. After a change that is meant, run the test with UPDATE_GOLDEN=1."""
    path = Path(__file__).parents[1] / "golden" / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text(), f"the scrape page changed; if that is meant, UPDATE_GOLDEN=1 writes {path.name}"


def assert_lints(page: str) -> None:
    """promtool finds nothing to complain about."""
    found = subprocess.run([PROMTOOL, "check", "metrics"], input=page, capture_output=True, text=True, timeout=60)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
