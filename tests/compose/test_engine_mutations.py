"""Faults in the file or in what it mounts show on the engine: each a changed copy of a service, all side by side.

What the rules in tests/contracts find without an engine is not tried here.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.compose.kit.stack import Stack
from tests.fakes.wait import until

Service = dict[str, Any]  # Any: YAML


def _replaced(key: str, old: str, new: str) -> Callable[[Service], None]:
    def change(service: Service) -> None:
        before = service[key]
        service[key] = yaml.safe_load(yaml.safe_dump(before).replace(old, new))
        assert before != service[key]

    return change


def _set(key: str, value: object) -> Callable[[Service], None]:
    return lambda service: service.update({key: value})


def _unhealthy_after(check: list[str]) -> Callable[[Service], None]:
    return lambda service: service["healthcheck"].update(test=check, retries=2, start_period="1s")


MUTATIONS: dict[str, tuple[str, Callable[[Service], None], str]] = {
    "bad-flag": ("serving-exporter", _replaced("command", "--config.file", "--config.flie"), "No such option"),
    "unwritable-state": ("quality-exporter", _replaced("volumes", "quality-data:", "rooted:"), "ermission"),
    "missing-secret": ("receiver", _set("secrets", ["airbag_webhook_token"]), "airbag_audit_key"),
    "curl-healthcheck": ("people", _unhealthy_after(["CMD", "curl", "-f", "http://127.0.0.1:9820/-/healthy"]), ""),
    "wget-in-serving": ("tf-serving", _unhealthy_after(["CMD", "wget", "-q", "http://127.0.0.1:8501/"]), ""),
    "bad-rule": ("prometheus", _replaced("volumes", "./prometheus/rules", "./broken/rules"), "broken.yml"),
    "broken-dashboard": ("grafana", _replaced("volumes", "./grafana/dash", "./broken/dash"), "failed to load"),
    "bad-route": ("alertmanager", _replaced("volumes", "./alertmanager/alert", "./broken/alert"), "nowhere"),
}  # fmt: skip
"""By name: the service that is changed, how, and a word of its log that says so."""


@pytest.fixture(scope="module")
def mutated(client: dict[str, str], ports: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Every mutation as a service, one that is not changed, and two that stay healthy and do not deliver."""
    project = Stack(tmp_path_factory.mktemp("mutated"), "airbag-mutated", client, ports)
    path = project.folder / "docker-compose.yml"
    document = yaml.safe_load(path.read_text())
    shipped = document["services"]
    services: dict[str, Service] = {"control": _alone(shipped["people"])}
    for name, (service, change, _) in MUTATIONS.items():
        services[name] = _alone(shipped[service])
        change(services[name])
    services["wrong-scrape"] = _alone(shipped["prometheus"])
    _replaced("volumes", "./prometheus/targets", "./broken/targets")(services["wrong-scrape"])
    services["wrong-webhook"] = _alone(shipped["alertmanager"])
    _replaced("volumes", "./alertmanager/alertmanager.yml", "./broken/webhook.yml")(services["wrong-webhook"])
    document["services"] = services
    document["volumes"] |= {"rooted": {"driver_opts": {"type": "tmpfs", "device": "tmpfs", "o": "mode=755"}}}
    path.write_text(yaml.safe_dump(document))
    _break(project.folder)
    project.down()
    try:
        project.compose("up", "--detach", "--pull=never", "--no-build")
        yield project
    finally:
        project.down()


def _alone(service: Service) -> Service:
    found = copy.deepcopy(service)
    for key in ("depends_on", "ports", "build"):
        found.pop(key, None)
    return found


def _break(folder: Path) -> None:
    broken = folder / "broken"
    for name in ("rules", "dashboards", "targets"):
        (broken / name).mkdir(parents=True)
    (broken / "rules/broken.yml").write_text("groups: [{name: a, rules: [{alert: A, expr: 'sum('}]}]\n")
    (broken / "dashboards/broken.json").write_text('{"uid": "a", "title": ')
    for source in (folder / "prometheus/targets").iterdir():
        (broken / "targets" / source.name).write_text(source.read_text().replace("prometheus:9090", "prometeus:9090"))
    text = (folder / "alertmanager/alertmanager.yml").read_text()
    (broken / "alertmanager.yml").write_text(text.replace("receiver: people-warning", "receiver: nowhere", 1))
    (broken / "webhook.yml").write_text(text.replace("http://receiver:9815", "http://reciever:9815"))


@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_a_fault_shows(mutated: Stack, name: str) -> None:
    def failed() -> bool:
        state = mutated.inspect(name)["State"]
        restarted = mutated.inspect(name)["RestartCount"] > 0
        return bool(restarted or state.get("Health", {}).get("Status") == "unhealthy")

    until(failed, timeout=60, what=f"{name} to fail", every=0.5)
    words = MUTATIONS[name][2]
    until(lambda: words in mutated.log(name), timeout=10, what=f"{words!r} in the log", every=0.5)


def test_what_is_not_changed_is_healthy(mutated: Stack) -> None:
    until(lambda: mutated.inspect("control")["State"]["Health"]["Status"] == "healthy", timeout=60, what="the control")


def test_a_wrong_scrape_host_is_a_target_that_is_down(mutated: Stack) -> None:
    def down() -> bool:
        targets = mutated.get("wrong-scrape", "http://127.0.0.1:9090/api/v1/targets")["data"]["activeTargets"]
        return any("prometeus" in each["scrapeUrl"] and each["health"] == "down" for each in targets)

    until(down, timeout=60, what="the target down", every=0.5)


def test_a_wrong_webhook_host_is_a_notification_that_fails(mutated: Stack) -> None:
    """Alertmanager itself stays healthy: only what is delivered tells."""
    alert = json.dumps([{"labels": {"alertname": "A", "airbag_action": "rollback"}}])
    post = ["wget", "-q", "-O-", "--header=Content-Type: application/json", f"--post-data={alert}"]

    def fails() -> bool:
        mutated.run_in("wrong-webhook", *post, "http://127.0.0.1:9093/api/v2/alerts")
        page = mutated.run_in("wrong-webhook", "wget", "-q", "-O-", "http://127.0.0.1:9093/metrics")
        lines = [
            line for line in page.splitlines() if line.startswith("alertmanager_notification_requests_failed_total{")
        ]
        return any('integration="webhook"' in line and not line.endswith(" 0") for line in lines)

    until(fails, timeout=60, what="a failed notification", every=1)
    assert mutated.inspect("wrong-webhook")["State"]["Health"]["Status"] != "unhealthy"
