"""Alertmanager's webhook: who may post, what is taken, and what is done about alerts that were left out."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import requests

from airbag_rollback import webhook
from airbag_rollback.engine.states import State
from airbag_rollback.truncated import QUERY
from tests.fakes.alertmanager_api import alert, message
from tests.fakes.binaries import find
from tests.fakes.ports import free_port
from tests.fakes.rollback import ADMIN, HEADERS, TOKEN, Bench, Process, process, surroundings
from tests.fakes.secure_receiver import SecureReceiver, secure_receiver
from tests.fakes.wait import until

FIRING = {"alertname": "AirbagErrorRatioHigh", "airbag_action": "rollback"}
PASSWORD = "alertmanagers-own-password"


def firing(version: int = 3, **labels: str) -> dict[str, str]:
    return FIRING | {"serving": "main", "model_name": "digits", "model_version": str(version)} | labels


def deliver(desk: Bench, *alerts: dict[str, Any], left_out: int = 0) -> None:
    body = json.dumps(message(*alerts, truncatedAlerts=left_out)).encode()
    desk.receiver.journal.deliveries.accept(body, desk.clock.now())


def questions(desk: Bench) -> int:
    return sum(query == QUERY for query, _ in desk.around.prometheus.asked)


def counted(desk: Bench, result: str) -> float:
    return float(desk.receiver.metrics.truncated.labels(result)._value.get())


def test_alerts_that_were_left_out_are_asked_of_prometheus_and_judged_like_any_other(desk: Bench) -> None:
    desk.around.prometheus.firing = [firing(), firing(model_name="nobody knows it")]
    deliver(desk, alert(2, status="resolved"), left_out=2)
    action = desk.run_until_ended()
    assert (action.state, action.bad_version, desk.around.named()) == (State.SUCCEEDED, 3, (2,))
    assert (questions(desk), counted(desk, "asked")) == (1, 1)
    assert len(desk.actions()) == 1


def test_a_message_that_leaves_nothing_out_asks_for_nothing(desk: Bench) -> None:
    deliver(desk, alert())
    desk.settle()
    assert questions(desk) == 0


def test_what_prometheus_cannot_say_is_asked_again_also_after_a_restart(desk: Bench) -> None:
    desk.around.prometheus.firing = [firing()]
    desk.around.prometheus.status = 503
    deliver(desk, alert(2, status="resolved"), left_out=1)
    for _ in range(20):
        desk.turn()
    assert (questions(desk), counted(desk, "failed")) == (1, 1)
    desk.clock.time += 5
    desk.turn(5)
    assert counted(desk, "failed") == 2
    desk.restart()
    desk.around.prometheus.status = 200
    desk.turn()
    assert [each.bad_version for each in desk.actions()] == [3]
    asked = questions(desk)
    desk.clock.time += 60
    desk.turn(5)
    assert questions(desk) == asked


def test_nothing_that_still_fires_is_an_answer_too(desk: Bench) -> None:
    deliver(desk, alert(2, status="resolved"), left_out=1)
    desk.settle()
    assert (counted(desk, "asked"), desk.actions()) == (1, [])
    desk.clock.time += 60
    desk.settle()
    assert questions(desk) == 1


@pytest.mark.parametrize("years", [1, 7900], ids=["a year ahead", "the end of the calendar"])
def test_an_alert_that_begins_in_the_future_is_judged_as_one_that_began_now(desk: Bench, years: int) -> None:
    ahead = datetime(9999, 12, 31, tzinfo=UTC) if years > 1000 else datetime.now(UTC) + timedelta(days=365 * years)
    desk.post(alert(starts_at=ahead))
    assert desk.run_until_ended().state is State.SUCCEEDED
    stages = desk.receiver.metrics.stages.labels("detected")
    assert stages._sum.get() == 0


def test_alerts_of_the_year_one_do_no_harm(desk: Bench) -> None:
    desk.post(alert(starts_at=datetime(1, 1, 1, tzinfo=UTC)))
    assert desk.run_until_ended().state is State.SUCCEEDED


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A receiver in observe mode."""
    with surroundings(tmp_path_factory.mktemp("webhook")) as around:
        around.write_policy(mode="observe")
        with process(around) as found:
            yield found


def test_a_message_that_is_too_large_is_an_alarm_in_the_log_and_a_number(quiet: Process) -> None:
    body = b" " * (webhook.BODY_LIMIT + 1)
    answer = requests.post(f"{quiet.url}/v1/alerts", data=body, headers=HEADERS, timeout=20)
    assert answer.status_code == 413
    assert (
        'airbag_rollback_webhooks_total{result="too_large"} 1.0' in requests.get(f"{quiet.url}/metrics", timeout=5).text
    )
    log = (quiet.around.folder / "receiver.log").read_text()
    assert any("level=error" in line and "result=too_large" in line for line in log.splitlines())


def test_only_json_is_taken(quiet: Process) -> None:
    body = json.dumps(message(alert(77))).encode()
    for kind, status in (("text/plain", 415), ("application/json; charset=utf-8", 202), ("", 415)):
        headers = HEADERS | {"Content-Type": kind}
        assert requests.post(f"{quiet.url}/v1/alerts", data=body, headers=headers, timeout=10).status_code == status


def test_people_cannot_hand_in_alerts(quiet: Process) -> None:
    answer = requests.post(f"{quiet.url}/v1/alerts", json=message(alert(78)), headers=ADMIN, timeout=10)
    assert answer.status_code == 403
    assert "anna has the role admin; this takes the role alertmanager" in answer.json()["detail"]
    assert 78 not in {action["bad_version"] for action in quiet.actions()}


def test_two_hundred_copies_are_one_action(quiet: Process) -> None:
    body = json.dumps(message(alert(3))).encode()
    with requests.Session() as session:
        for _ in range(200):
            assert session.post(f"{quiet.url}/v1/alerts", data=body, headers=HEADERS, timeout=10).status_code == 202
    until(
        lambda: len([each for each in quiet.actions() if each["bad_version"] == 3]) >= 1, what="the action", timeout=60
    )
    ended = [each for each in quiet.actions() if each["bad_version"] == 3 and each["ended_at"] is None]
    assert len(ended) <= 1


@contextmanager
def alertmanager(folder: Path, url: str, http_config: str) -> Iterator[str]:
    """The real Alertmanager with one webhook."""
    port = free_port()
    folder.mkdir()
    (folder / "alertmanager.yml").write_text(
        "route: {receiver: machine, group_wait: 0s, group_interval: 1s, group_by: [...]}\n"
        "receivers:\n  - name: machine\n    webhook_configs:\n"
        f"      - url: {url}/v1/alerts\n        http_config: {http_config}\n"
    )
    command = [
        str(find("alertmanager")), f"--config.file={folder / 'alertmanager.yml'}", f"--storage.path={folder}",
        f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        until(lambda: requests.get(f"{address}/-/ready", timeout=2).ok, timeout=60, what="Alertmanager")
        yield address
    finally:
        child.terminate()
        child.wait(20)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureReceiver]:
    """A receiver behind TLS which knows Alertmanager by token, by password and by certificate."""
    with surroundings(tmp_path_factory.mktemp("secure")) as around:
        hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        (around.folder / "hash").write_text(hashed)
        around.write_policy(
            mode="observe",
            access="{tokens: [{name: vera, role: viewer, token: {file: token_vera}}], "
            "users: [{name: prom, role: alertmanager, password_hash: {file: hash}}], "
            "certificates: [{name: pair-a, role: alertmanager}, {name: eve, role: viewer}]}",
        )
        with secure_receiver(around) as found:
            yield found


def webhooks(secure: SecureReceiver, result: str) -> float:
    page = requests.get(f"{secure.url}/metrics", timeout=10, verify=str(secure.ca)).text
    (line,) = [
        line for line in page.splitlines() if line.startswith(f'airbag_rollback_webhooks_total{{result="{result}"}}')
    ]
    return float(line.rpartition(" ")[2])


@pytest.mark.parametrize(
    ("way", "result"),
    [
        ("token", "accepted"), ("password", "accepted"), ("certificate", "accepted"), ("wrong token", "unauthorized"),
        ("wrong password", "unauthorized"), ("nothing", "unauthorized"), ("viewer's certificate", "forbidden"),
    ],
)  # fmt: skip
def test_the_real_alertmanager_comes_in_by_each_way_that_it_has(
    secure: SecureReceiver, tmp_path: Path, way: str, result: str
) -> None:
    cert, key = secure.certificate("eve" if way == "viewer's certificate" else "pair-a")
    own = f"ca_file: {secure.ca}"
    paired = f"tls_config: {{{own}, cert_file: {cert}, key_file: {key}}}"
    ways = {
        "token": f"tls_config: {{{own}}}, authorization: {{credentials: {TOKEN}}}",
        "wrong token": f"tls_config: {{{own}}}, authorization: {{credentials: not-the-token}}",
        "password": f"tls_config: {{{own}}}, basic_auth: {{username: prom, password: {PASSWORD}}}",
        "wrong password": f"tls_config: {{{own}}}, basic_auth: {{username: prom, password: no}}",
        "certificate": paired, "viewer's certificate": paired, "nothing": f"tls_config: {{{own}}}",
    }  # fmt: skip
    before = webhooks(secure, result)
    with alertmanager(tmp_path / "am", secure.url, f"{{{ways[way]}}}") as url:
        posted = {"labels": alert(3)["labels"], "startsAt": datetime.now(UTC).isoformat()}
        requests.post(f"{url}/api/v2/alerts", json=[posted], timeout=10).raise_for_status()
        until(lambda: webhooks(secure, result) > before, timeout=60, what=f"a webhook call that is {result}")


def test_a_certificate_of_another_authority_does_not_even_connect(secure: SecureReceiver) -> None:
    import trustme

    pair = secure.certificate("pair-a", trustme.CA())
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.post(
            f"{secure.url}/v1/alerts", json=message(alert()), timeout=10, verify=str(secure.ca),
            cert=(str(pair[0]), str(pair[1])),
        )  # fmt: skip
