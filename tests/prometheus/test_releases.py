"""The shipped files work with the oldest and with the newest Prometheus and Alertmanager that they are meant for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests

from airbag_demo.processes import Processes, Program
from tests.fakes import exported, shipped
from tests.fakes.binaries import RELEASES, ROOT, Release, find, run, version
from tests.fakes.http_server import serving_http
from tests.fakes.ports import free_port
from tests.fakes.wait import until


@pytest.mark.parametrize(
    ("program", "oldest_newest"),
    [("prometheus", (3, 5)), ("promtool", (3, 5)), ("alertmanager", (0, 33)), ("amtool", (0, 33))],
)
def test_two_versions_are_tested_and_one_of_them_is_new(program: str, oldest_newest: tuple[int, ...]) -> None:
    system, newest = (version(program, release) for release in RELEASES)
    print(f"{program}: {system} and {newest}")
    assert newest > system, f"{program} {newest} is not newer than the system's {system}"
    assert newest >= oldest_newest


@pytest.mark.parametrize("release", RELEASES)
def test_amtool_accepts_the_routes_and_the_templates(release: Release, tmp_path: Path) -> None:
    config = _alertmanager_files(tmp_path)
    said = run("amtool", "check-config", config, release=release)
    assert re.search(r"[1-9]\d* templates\s+SUCCESS", said)


@pytest.mark.parametrize("release", RELEASES)
def test_a_real_alertmanager_starts_with_the_shipped_files(release: Release, tmp_path: Path) -> None:
    config = _alertmanager_files(tmp_path)
    with Processes(tmp_path) as processes:
        url = f"http://127.0.0.1:{free_port()}"
        command = [
            str(find("alertmanager", release)), f"--config.file={config}", f"--storage.path={tmp_path / 'data'}",
            f"--web.listen-address={url.removeprefix('http://')}", "--cluster.listen-address=",
        ]  # fmt: skip
        processes.start(Program("alertmanager", command, lambda: requests.get(f"{url}/-/ready", timeout=1).ok))
        processes.wait_ready()
        assert "airbag" in {receiver["name"] for receiver in requests.get(f"{url}/api/v2/receivers", timeout=5).json()}


@pytest.mark.parametrize("release", RELEASES)
def test_a_real_prometheus_evaluates_every_rule_on_the_exporters_pages(release: Release, tmp_path: Path) -> None:
    with _targets() as targets, Processes(tmp_path) as processes:
        url = f"http://127.0.0.1:{free_port()}"
        config = _prometheus_files(tmp_path / "etc", targets | {"prometheus": url.removeprefix("http://")})
        command = [
            str(find("prometheus", release)), f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address={url.removeprefix('http://')}",
        ]  # fmt: skip
        processes.start(Program("prometheus", command, lambda: requests.get(f"{url}/-/ready", timeout=1).ok))
        processes.wait_ready()
        until(lambda: _scraped(url) >= set(targets), timeout=60, what="a scrape of every page")
        judged = "query?query=model_version:airbag_tfs_errors_per_request:ratio15s"
        until(lambda: _get(url, judged)["result"], timeout=60, what="numbers that the rules can judge")
        began = datetime.now(UTC)
        rules = until(lambda: _evaluated(url, began), timeout=120, what="an evaluation of every rule", every=0.5)
        assert not [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"]
        assert len(rules) == len(shipped.rules())


def _alertmanager_files(folder: Path) -> Path:
    (folder / "token").write_text("s3cret")
    tokens = {"/etc/alertmanager": str(folder), "/run/secrets/airbag_webhook_token": str(folder / "token")}
    return shipped.copied("alertmanager", folder, tokens) / "alertmanager.yml"


def _prometheus_files(folder: Path, targets: dict[str, str]) -> Path:
    """The shipped ones with local addresses, everything once a second: a minute's group would keep a test waiting."""
    shipped.copied("prometheus", folder, {"/etc/prometheus": str(folder)})
    for file in (folder / "targets").glob("*.yml"):
        file.write_text(f'- targets: ["{targets.get(file.stem, "127.0.0.1:1")}"]\n')
    for file in (folder / "prometheus.yml", *(folder / "rules").glob("*.yml")):
        file.write_text(re.sub(r"(?m)^( +(?:scrape_)?interval:) \S+$", r"\1 1s", file.read_text()))
    return folder / "prometheus.yml"


@contextmanager
def _targets() -> Iterator[dict[str, str]]:
    """The address of each process that is scraped, which shows its golden pages."""
    names = {path.stem for path in (ROOT / "prometheus" / "targets").glob("*.yml")} - {"prometheus"}
    with ExitStack() as held:
        yield {name: f"127.0.0.1:{held.enter_context(serving_http(_handler(name)))}" for name in names}


def _handler(job: str) -> type[BaseHTTPRequestHandler]:
    files = exported.pages()
    number = count(1)  # every number grows from scrape to scrape

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown = files[job] if self.path == "/metrics" else files[job + self.path.replace("/", "-")]
            page = exported.page(shown, next(number)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def _get(url: str, path: str) -> Any:
    return requests.get(f"{url}/api/v1/{path}", timeout=10).json()["data"]


def _scraped(url: str) -> set[str]:
    """The jobs all of whose pages were read without complaint."""
    targets = _get(url, "targets")["activeTargets"]
    bad = {target["labels"]["job"] for target in targets if target["health"] != "up"}
    return {target["labels"]["job"] for target in targets} - bad


def _evaluated(url: str, since: datetime) -> list[dict[str, Any]] | None:
    rules = [rule for group in _get(url, "rules")["groups"] for rule in group["rules"]]
    times = [datetime.fromisoformat(re.sub(r"\.\d+", "", rule["lastEvaluation"])) for rule in rules]
    return rules if all(time > since for time in times) else None
