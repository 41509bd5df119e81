"""Alerts on their way to Alertmanager: at once, again while they hold, and over when they no longer do."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from airbag.clock import SystemClock
from airbag_demo.processes import Processes, Program
from airbag_exporters.serving.alerts.alert import Alert, Subject, load_failed, probe_failed
from airbag_exporters.serving.alerts.pusher import HELD_FOR, Pusher
from tests.fakes import shipped
from tests.fakes.alertmanager_api import FakeAlertmanager, alertmanager
from tests.fakes.binaries import ROOT, find
from tests.fakes.ports import free_port
from tests.fakes.wait import until

CASES = ROOT / "tests" / "prometheus" / "rules"


def alert(version: int = 3, since: float | None = None) -> Alert:
    return probe_failed("main", "a", "digits", version, {"two": ("output 'y' is 3", since or time.time())})


@contextmanager
def pushing(*urls: str, labels: dict[str, str] | None = None) -> Iterator[tuple[Pusher, Counter[str]]]:
    sent = Counter({"delivered": 0, "failed": 0})
    pusher = Pusher(urls, labels or {}, SystemClock(), sent, lambda: None)
    pusher.start()
    try:
        yield pusher, sent
    finally:
        pusher.stop()
        pusher.join()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("alerts to")]


@pytest.fixture
def manager() -> Iterator[FakeAlertmanager]:
    with alertmanager() as found:
        yield found


def test_an_alert_goes_out_at_once_and_is_over_when_its_cause_is(manager: FakeAlertmanager) -> None:
    with pushing(manager.url) as (pusher, sent):
        pusher.hold("a", [alert()])
        until(lambda: manager.alerts, timeout=5, what="the alert")
        assert _ends_in(manager.alerts[0]) == pytest.approx(HELD_FOR, abs=3)
        pusher.hold("a", [])
        until(lambda: len(manager.alerts) == 2, timeout=5, what="the end")
        assert _ends_in(manager.alerts[1]) < 0.5
        until(lambda: sent == {"delivered": 2, "failed": 0}, timeout=5, what="both to be counted")


def _ends_in(message: dict[str, Any]) -> float:
    return datetime.fromisoformat(message["endsAt"]).timestamp() - time.time()


def test_an_alert_that_holds_is_sent_again_before_it_runs_out(manager: FakeAlertmanager) -> None:
    with pushing(manager.url) as (pusher, _):
        pusher.hold("a", [alert()])
        until(lambda: len(manager.alerts) >= 2, timeout=15, what="the repetition")
        first, second = manager.alerts[:2]
        assert first["labels"] == second["labels"]
        assert first["startsAt"] == second["startsAt"]
        assert first["endsAt"] < second["endsAt"]


def test_an_alert_that_several_servers_give_is_one_and_over_with_the_last(manager: FakeAlertmanager) -> None:
    with pushing(manager.url) as (pusher, _):
        pusher.hold("a", [alert(since=1000.0)])
        until(lambda: manager.alerts, timeout=5, what="the alert")
        pusher.hold("b", [alert(since=900.0)])
        assert [each.since for each in pusher.held().values()] == [900.0]
        pusher.hold("b", [])
        assert len(pusher.held()) == 1
        pusher.hold("a", [])
        until(lambda: manager.alerts and _ends_in(manager.alerts[-1]) < 0.5, timeout=5, what="the end")


def test_an_alertmanager_that_refuses_or_is_away_is_asked_again_a_few_times_and_the_others_hear_it_at_once(
    manager: FakeAlertmanager, caplog: pytest.LogCaptureFixture
) -> None:
    with alertmanager() as other, pushing(manager.url, other.url) as (pusher, sent):
        manager.status = 503
        pusher.hold("a", [alert()])
        until(lambda: other.alerts, timeout=5, what="the alert at the other one")
        until(lambda: manager.refused == 4, timeout=10, what="four attempts")
        manager.status = 200
        until(lambda: manager.alerts, timeout=15, what="the alert after all")
        assert sent["failed"] == 4
    told = [each.getMessage() for each in caplog.records if each.name == "airbag.exporter.alerts"]
    assert told.count("Alertmanager took no alert; trying on") == 1


def test_nothing_is_sent_for_what_ended_before_anybody_was_told(manager: FakeAlertmanager) -> None:
    sent = Counter({"delivered": 0, "failed": 0})
    pusher = Pusher([manager.url], {}, SystemClock(), sent, lambda: None)
    pusher.hold("a", [alert()])
    pusher.hold("a", [])
    pusher.start()
    pusher.hold("b", [alert(version=4)])
    until(lambda: manager.alerts, timeout=5, what="the other alert")
    pusher.stop()
    pusher.join()
    assert [each["labels"]["model_version"] for each in manager.alerts] == ["4"]
    assert sent["delivered"] == 1


def test_stopping_says_nothing_so_that_a_restart_resolves_nothing(manager: FakeAlertmanager) -> None:
    with pushing(manager.url) as (pusher, _):
        pusher.hold("a", [alert()])
        until(lambda: manager.alerts, timeout=5, what="the alert")
    assert len(manager.alerts) == 1


RULES = {
    "AirbagProbeFailed": alert(),
    "AirbagVersionLoadFailed": load_failed("main", "a", "digits", 3, "NOT_FOUND: no saved_model.pb", 1000.0),
}


@pytest.mark.parametrize("name", sorted(RULES))
def test_an_alert_has_exactly_the_labels_of_the_rule_and_says_the_same(name: str) -> None:
    [fired] = [
        expected
        for test in yaml.safe_load((CASES / f"{name}.yml").read_text())["tests"]
        for step in test["alert_rule_test"]
        for expected in step["exp_alerts"]
    ]
    assert RULES[name].subject.labels() == {"alertname": name, **fired["exp_labels"]}
    last = fired["exp_annotations"]["description"].split(". ")[-1]
    assert RULES[name].description.endswith(last) or last.split(")")[-1].strip() in RULES[name].description


def test_a_description_names_a_few_requests_and_counts_the_rest() -> None:
    failing = {f"p{number}": ("why", 5.0 - number) for number in range(5)}
    found = probe_failed("main", "a", "digits", 3, failing)
    assert "p0 (why); p1 (why); p2 (why); 2 more." in found.description
    assert found.since == 1.0
    assert found.subject == Subject("AirbagProbeFailed", "main", "digits", 3)


@contextmanager
def real_alertmanager(folder: Path) -> Iterator[str]:
    (folder / "alertmanager.yml").write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        str(find("alertmanager")), f"--config.file={folder / 'alertmanager.yml'}", f"--storage.path={folder / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}", "--cluster.listen-address=",
    ]  # fmt: skip
    with Processes(folder) as processes:
        processes.start(Program("alertmanager", command, lambda: requests.get(f"{url}/-/ready", timeout=1).ok))
        processes.wait_ready()
        yield url


def test_a_real_alertmanager_takes_it_and_prometheus_own_alert_for_one(tmp_path: Path) -> None:
    def active() -> list[dict[str, Any]]:
        return list(requests.get(f"{url}/api/v2/alerts", params={"active": "true"}, timeout=5).json())

    since = time.time() - 2
    with real_alertmanager(tmp_path) as url, pushing(url) as (pusher, _):
        pusher.hold("a", [alert(since=since)])
        [first] = until(active, timeout=10, what="the alert")
        rule = shipped.alerts()["AirbagProbeFailed"]
        labels = {"serving": "main", "model_name": "digits", "model_version": "3"}
        from_prometheus = {
            "labels": {"alertname": "AirbagProbeFailed", **rule["labels"], **labels},
            "annotations": {"summary": rule["annotations"]["summary"], "description": "From Prometheus."},
            "generatorURL": "http://prometheus:9090/graph",
        }
        requests.post(f"{url}/api/v2/alerts", json=[from_prometheus], timeout=5).raise_for_status()
        [merged] = until(
            lambda: [each for each in active() if each["annotations"]["description"] == "From Prometheus."],
            timeout=4, what="Prometheus' alert",
        )  # fmt: skip
        assert len(active()) == 1
        assert merged["fingerprint"] == first["fingerprint"]
        assert datetime.fromisoformat(merged["startsAt"]).timestamp() == pytest.approx(since, abs=0.01)
        pusher.hold("a", [])
        until(lambda: not active(), timeout=10, what="the end of the alert")
