"""docs/web-config.md, done word by word: the files it shows, the commands it gives, a real Prometheus that scrapes."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import requests

from tests.airbag.http_process import listening
from tests.fakes.binaries import ROOT, find
from tests.fakes.ports import free_port
from tests.fakes.wait import until

PAGE = ROOT / "docs" / "web-config.md"


def blocks(port: int) -> list[tuple[str, str]]:
    """The page's code blocks with their languages; the exporter's port is free on this machine."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text().replace("9811", str(port)), re.MULTILINE | re.DOTALL)


def sh(script: str, folder: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), str(find("prometheus").parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=folder, env=os.environ | {"PATH": path},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{script}\n{done.stdout}"


def health(port: int) -> list[str]:
    answer = requests.get(f"http://127.0.0.1:{port}/api/v1/targets", timeout=5).json()
    return [f"{target['health']} {target['lastError']}".strip() for target in answer["data"]["activeTargets"]]


def test_what_the_page_says_works_and_prometheus_scrapes(tmp_path: Path) -> None:
    port, prometheus_port = free_port(), free_port()
    (tmp_path / "exporters").mkdir()
    shutil.copy(ROOT / "exporters" / "exporters.yml", tmp_path / "exporters")
    told = blocks(port)
    start = next(text for kind, text in told if kind == "sh" and text.startswith("airbag") and "check" not in text)
    before, after = told[: told.index(("sh", start))], told[told.index(("sh", start)) + 1 :]
    for kind, text in before:
        done(kind, text, tmp_path)
    line = [sys.executable, "-m", *shlex.split(start), f"--web.listen-address=:{port}"]
    with listening(line, port, tmp_path):
        for kind, text in after:
            done(kind, text, tmp_path)
        (tmp_path / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s, scrape_timeout: 1s}\n" + (tmp_path / "prometheus.yml").read_text()
        )
        flags = [
            f"--web.listen-address=127.0.0.1:{prometheus_port}",
            "--storage.tsdb.path=data",
            "--config.file=prometheus.yml",
        ]
        with (tmp_path / "prometheus.log").open("wb") as log:
            prometheus = subprocess.Popen([find("prometheus"), *flags], cwd=tmp_path, stderr=log)
        try:
            until(lambda: health(prometheus_port) == ["up"], timeout=90, what="a scrape with TLS and password")
            (tmp_path / "prometheus.password").write_text("wrong")
            refused = "down server returned HTTP status 401 Unauthorized"
            until(lambda: health(prometheus_port) == [refused], timeout=90, what="no scrape with another password")
        finally:
            prometheus.terminate()
            prometheus.wait(30)


def done(kind: str, text: str, folder: Path) -> None:
    """A file is written under the name in its first line, a command is run."""
    if kind == "yaml":
        (folder / text.split(maxsplit=2)[1]).write_text(text)
    else:
        sh(text, folder)
