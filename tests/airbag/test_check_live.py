"""`airbag check --live` against a real Prometheus and a real Alertmanager."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner

from airbag.cli import airbag
from airbag_demo.ports import free_ports
from airbag_demo.processes import Processes
from airbag_demo.stack import Stack
from tests.fakes.binaries import ROOT
from tests.fakes.http_server import serving_http
from tests.fakes.ports import free_port
from tests.fakes.wait import until


class Ready(BaseHTTPRequestHandler):
    """The receiver as far as `--live` asks it."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/-/ready" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Prometheus and Alertmanager with the shipped files; of Airbag itself nothing runs but a stand-in receiver."""
    run = tmp_path_factory.mktemp("live")
    with free_ports() as ports, serving_http(Ready) as receiver, Processes(run / "logs") as processes:
        found = Stack(ROOT, run, {**ports, "receiver": receiver})
        found.prepare()
        for program in found.programs():
            if program.name in ("prometheus", "alertmanager"):
                processes.start(program)
        processes.wait_ready()
        url = f"{found.url('prometheus')}/api/v1/"
        until(lambda: requests.get(url + "alertmanagers", timeout=2).json()["data"]["activeAlertmanagers"])
        until(
            lambda: all(
                target["health"] != "unknown"
                for target in requests.get(url + "targets?state=active", timeout=2).json()["data"]["activeTargets"]
            ),
            timeout=60,
        )
        yield found


def check(stack: Stack, *more: str, **files: Path) -> dict[str, Any]:
    """What it says of the stack's own files, or of those given instead."""
    shipped = {
        "exporters": "exporters/exporters.yml", "policy": "alertmanager/policy.yml",
        "prometheus": "prometheus/prometheus.yml", "alertmanager": "alertmanager/alertmanager.yml",
    }  # fmt: skip
    flags = [f"--{key}.file={files.get(key) or stack.file(path)}" for key, path in shipped.items()]
    done = CliRunner().invoke(airbag, ["check", "--live", "--format=json", *flags, *more])
    assert done.exit_code in (0, 1), done.output
    found: dict[str, Any] = json.loads(done.output)
    return found


def test_what_runs_as_written_differs_in_nothing_and_what_is_down_is_named(stack: Stack) -> None:
    def scraped() -> dict[str, Any] | None:
        """What is found once Prometheus has every target and has tried all of them."""
        found = _with_problem(check(stack), "targets, airbag-serving")
        return found if found and not any(each["what"] == "has no target" for each in found["problems"]) else None

    found = until(scraped, what="a scrape that failed", timeout=60)
    assert {each["file"] for each in found["problems"]} == {stack.url("prometheus")}
    assert all("cannot be scraped" in each["what"] for each in found["problems"]), found["problems"]


def _with_problem(found: dict[str, Any], path: str) -> dict[str, Any] | None:
    return found if path in {each["path"] for each in found["problems"]} else None


def test_files_that_changed_since_are_told_from_what_is_loaded(stack: Stack, tmp_path: Path) -> None:
    prometheus = stack.file("prometheus/prometheus.yml").read_text()
    (tmp_path / "prometheus.yml").write_text(prometheus.replace("scrape_interval: 15s", "scrape_interval: 20s"))
    alertmanager = stack.file("alertmanager/alertmanager.yml").read_text()
    (tmp_path / "alertmanager.yml").write_text(alertmanager.replace("group_interval: 1s", "group_interval: 2s"))
    found = check(stack, prometheus=tmp_path / "prometheus.yml", alertmanager=tmp_path / "alertmanager.yml")
    told = {(each["file"], each["path"]) for each in found["problems"]}
    assert (stack.url("prometheus"), "scrape_configs") in told
    assert (stack.url("alertmanager"), "route") in told


def test_a_rule_that_is_not_loaded_is_named(stack: Stack, tmp_path: Path) -> None:
    rules = (stack.config / "prometheus/rules/serving.yml").read_text()
    (tmp_path / "serving.yml").write_text(rules.replace("for: 2s", "for: 3s", 1).replace("AirbagProbeFailed", "Mine"))
    prometheus = stack.file("prometheus/prometheus.yml").read_text()
    pattern = str(stack.config / "prometheus/rules/*.yml")
    assert pattern in prometheus
    (tmp_path / "prometheus.yml").write_text(prometheus.replace(pattern, str(tmp_path / "serving.yml")))
    told = [
        f"{each['path']}: {each['what']}" for each in check(stack, prometheus=tmp_path / "prometheus.yml")["problems"]
    ]
    assert any(each.startswith("rules, Mine: is not loaded") for each in told), told
    assert any("has `for` 2 s where it runs, and 3 s in" in each for each in told), told


def test_the_resend_delay_is_that_of_the_running_prometheus(stack: Stack) -> None:
    [way] = [
        each for each in check(stack, "--resend-delay=1m")["times"]
        if (each["alert"], each["lane"], each["bad_share"]) == ("AirbagErrorRatioHigh", "rules", 1.0)
    ]  # fmt: skip
    assert way["lost_to_alertmanager"] == pytest.approx(way["seconds"] + 6)


def test_what_does_not_answer_is_a_problem_with_its_address(stack: Stack) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    addresses = [f"127.0.0.1:{stack.ports[name]}" for name in ("prometheus", "alertmanager", "receiver")]
    found = check(stack, *(f"--address={address}={nobody}" for address in addresses))
    told = {each["file"]: each["what"] for each in found["problems"]}
    assert told[f"http://{addresses[0]}"] == "does not answer: no connection"
    assert told[f"http://{addresses[1]}"] == "does not answer: no connection"
    assert told[f"http://{addresses[2]}/v1/alerts"] == "the receiver does not answer: no connection"


def test_another_server_at_the_address_is_told_from_the_right_one(stack: Stack) -> None:
    prometheus, receiver = (f"127.0.0.1:{stack.ports[name]}" for name in ("prometheus", "receiver"))
    found = check(stack, f"--address={prometheus}={receiver}", f"--address={receiver}={prometheus}")
    assert any("does not answer: 404" in each["what"] for each in found["problems"])
